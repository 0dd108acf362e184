"""What a study file says, as values; `read` in studies.reading makes them. Pure.

name = "digits"
title = "All methods on the handwritten digits"
preset = "../{method}_digits.toml"     # {axis} is replaced by the label on that axis; relative to the file, or the
                                       # bare name of a shipped preset
set = { "training.epochs" = 40 }       # keys for all runs, dotted or as tables, optional

[grid]                                 # axes, in the order of the table; their product is the list of runs
method = ["natural", "rslad", "crdnd"] # fills {method} in `preset`
seed = [0, 1, 2]                       # a key of the config is set
"training.learning_rate" = [0.1, 0.2]  # any dotted key
# an axis may also list cases, each with its label, its keys, and a preset of its own when it needs one
# acm = [{ label = "with ACM" }, { label = "without", set = { "method.compensate" = false } }]

[[leave_out]]                          # combinations that are not wanted; two equal runs are a mistake
method = "natural"
seed = [1, 2]

[report]                               # how `crdnd report` lays the table out
rows = ["method"]                      # axes that make rows; seeds are always averaged
tables = ["data", "student"]           # a table for each combination of these
attacks = ["clean", "fgsm", "pgd_sat", "pgd_trades", "cw_2", "autoattack"]
checkpoint = "best"
baseline = { method = "rslad" }
remark = "one run of each in print"    # ends the caption of each table, optional

[[published]]                          # numbers in print, in per cent; `where` names the row and its table
source = "paper"
where = { method = "rslad", data = "cifar10", student = "resnet18" }
values = { clean = 83.39, autoattack = 51.91 }
note = "printed twice"                 # optional
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from engine.spec.config import PresetTeacher, RunConfig


@dataclass(frozen=True, kw_only=True)
class Published:
    """Numbers in print for one row."""

    source: str  # paper, reproduction, RSLAD paper
    where: Mapping[str, str]  # axis -> label
    values: Mapping[str, float]  # attack -> per cent
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The report's table."""

    rows: tuple[str, ...]
    tables: tuple[str, ...] = ()
    attacks: tuple[str, ...] = ()  # all that any run was judged by, when empty
    checkpoint: str = "best"
    baseline: Mapping[str, str] = field(default_factory=dict)
    remark: str = ""  # ends the caption of each table


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One run of the grid that is wanted."""

    place: Mapping[str, str]  # axis -> label, the seed among them
    config: RunConfig
    preset: Path
    preset_text: str
    overrides: tuple[str, ...] = ()  # key=value, as --set takes them

    @cached_property
    def config_hash(self) -> str:
        """By which a run that was done already is known."""
        return self.config.config_hash

    @cached_property
    def teachers(self) -> tuple[tuple[str, RunConfig], ...]:
        """Config hash and config of the teacher, its teacher and so on, as far as presets of their own train them."""
        found, teacher = [], self.config.teacher
        while isinstance(teacher, PresetTeacher) and teacher.config is not None:
            found.append((teacher.config.config_hash, teacher.config))
            teacher = teacher.config.teacher
        return tuple(found)

    @property
    def words(self) -> str:
        """`method rslad, seed 1`."""
        return ", ".join(f"{axis} {label}" for axis, label in self.place.items())


@dataclass(frozen=True, kw_only=True)
class Study:
    """A study file, expanded."""

    name: str
    title: str
    path: Path
    axes: Mapping[str, tuple[str, ...]]  # axis -> labels, in order
    cells: tuple[Cell, ...]
    layout: Layout
    published: tuple[Published, ...] = ()
    text: str = ""  # of the file
