"""What a study file says, as values that `file.read_study` makes; and the rows and tables of its report. Pure.

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

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from crdnd_tui.core.text import one_line
from engine.spec.config import PresetTeacher, RunConfig

LABEL = 40  # cells of a row's label


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
class StudyCell:
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
    def text(self) -> str:
        """`method rslad, seed 1`."""
        return ", ".join(f"{axis} {label}" for axis, label in self.place.items())


@dataclass(frozen=True, kw_only=True)
class Study:
    """A study file, expanded."""

    name: str
    title: str
    path: Path
    axes: Mapping[str, tuple[str, ...]]  # axis -> labels, in order
    cells: tuple[StudyCell, ...]
    layout: Layout
    published: tuple[Published, ...] = ()
    text: str = ""  # of the file


@dataclass(frozen=True, kw_only=True)
class Block:
    """A row or a table of the report: its labels on the axes, what it is called, and the runs wanted for it."""

    place: Mapping[str, str]  # axis -> label
    title: str
    cells: tuple[StudyCell, ...]


def table_blocks(study: Study) -> list[Block]:
    """One for each combination of the axes in `tables` that has runs; the whole study when there are none."""
    return _blocks(study, study.layout.tables, study.cells) or [Block(place={}, title="", cells=study.cells)]


def row_blocks(study: Study, table: Block) -> list[Block]:
    """One for each combination of the axes in `rows` in this table; a study of nothing but seeds is one row."""
    return _blocks(study, study.layout.rows, table.cells) or [
        Block(place={}, title=one_line(study.name, LABEL), cells=table.cells)
    ]


def _blocks(study: Study, axes: Sequence[str], cells: Sequence[StudyCell]) -> list[Block]:
    gathered: dict[tuple[str, ...], list[StudyCell]] = {}
    for cell in cells if axes else ():
        gathered.setdefault(tuple(cell.place[axis] for axis in axes), []).append(cell)
    order = sorted(gathered, key=lambda key: [study.axes[a].index(w) for a, w in zip(axes, key, strict=True)])
    words = {axis: _words(study, axis) for axis in axes}
    return [
        Block(
            place=dict(zip(axes, key, strict=True)),
            title=one_line(", ".join(words[a][w] for a, w in zip(axes, key, strict=True)), LABEL),
            cells=tuple(gathered[key]),
        )
        for key in order
    ]


def _words(study: Study, axis: str) -> dict[str, str]:
    """Label -> what it is called: the data set's or student's title, a preset's own name, `key label` of a number."""
    titles = {
        label: _title(axis, label, [c for c in study.cells if c.place[axis] == label]) for label in study.axes[axis]
    }
    return titles if len(set(titles.values())) == len(titles) else {label: label for label in study.axes[axis]}


def _title(axis: str, label: str, cells: Sequence[StudyCell]) -> str:
    match axis:
        case "data":
            return _same((cell.config.data.title for cell in cells), label)
        case "student":
            return _same((cell.config.student.title for cell in cells), label)
        case "method":
            return _same((cell.config.name.partition(",")[0].strip() for cell in cells), label)
        case _ if "." in axis:
            return f"{axis.rpartition('.')[2]} {label}"
        case _:
            return label


def _same(words: Iterable[str], otherwise: str) -> str:
    """The word that all share."""
    found = set(words)
    return found.pop() or otherwise if len(found) == 1 else otherwise
