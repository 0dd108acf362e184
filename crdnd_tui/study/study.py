"""What a study file says, as values that `file.read_study` makes; the rows and tables of its report. Pure.

`docs/studies.md` shows a file with all its keys.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from crdnd_tui.core.text import display, one_line
from engine.spec.base import Many, Spec
from engine.spec.config import PresetTeacher, RunConfig

LABEL = 40  # cells of a row's label
_Words = AfterValidator(display)


class PublishedEntry(Spec):
    """[[published]]: numbers in print for one row."""

    source: Annotated[str, Field(min_length=1, max_length=80), _Words]  # paper, reproduction, RSLAD paper
    where: dict[str, Any]  # axis -> label
    values: dict[str, float | int]  # attack -> per cent
    note: Annotated[str, Field(max_length=300), _Words] = ""


class ReportLayout(Spec):
    """[report]: how the table is laid out."""

    rows: Many[str] | None = None  # axes; None in a file: those that make no tables
    tables: Many[str] = ()
    attacks: Many[str] = ()  # all that any run was judged by, when empty
    checkpoint: Literal["best", "last"] = "best"
    baseline: dict[str, Any] = Field(default_factory=dict)  # axis -> label
    remark: Annotated[str, Field(max_length=400), _Words] = ""  # ends the caption of each table


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
    layout: ReportLayout
    published: tuple[PublishedEntry, ...] = ()
    text: str = ""  # of the file


@dataclass(frozen=True, kw_only=True)
class ReportBlock:
    """A row or a table of the report: its labels on the axes, what it is called, and the runs wanted for it."""

    place: Mapping[str, str]  # axis -> label
    title: str
    cells: tuple[StudyCell, ...]


def table_blocks(study: Study) -> list[ReportBlock]:
    """One for each combination of the axes in `tables` that has runs; the whole study when there are none."""
    return _blocks(study, study.layout.tables, study.cells, "")


def row_blocks(study: Study, table: ReportBlock) -> list[ReportBlock]:
    """One for each combination of the axes in `rows` in this table; a study of nothing but seeds is one row."""
    return _blocks(study, study.layout.rows or (), table.cells, one_line(study.name, LABEL))


def _blocks(study: Study, axes: Sequence[str], cells: Sequence[StudyCell], whole: str) -> list[ReportBlock]:
    gathered: dict[tuple[str, ...], list[StudyCell]] = {}
    for cell in cells if axes else ():
        gathered.setdefault(tuple(cell.place[axis] for axis in axes), []).append(cell)
    order = sorted(gathered, key=lambda key: [study.axes[a].index(w) for a, w in zip(axes, key, strict=True)])
    titles = [_titles(study, axis) for axis in axes]
    return [
        ReportBlock(
            place=dict(zip(axes, key, strict=True)), cells=tuple(gathered[key]),
            title=one_line(", ".join(of[label] for of, label in zip(titles, key, strict=True)), LABEL),
        )
        for key in order
    ] or [ReportBlock(place={}, title=whole, cells=tuple(cells))]  # fmt: skip


def _titles(study: Study, axis: str) -> dict[str, str]:
    """Label -> what it is called: the data set's or student's title, a preset's own name, `key label` of a number."""
    named = {
        "data": lambda config: config.data.title, "student": lambda config: config.student.title,
        "method": lambda config: config.name.partition(",")[0].strip(),
    }.get(axis)  # fmt: skip
    titles = {}
    for label in study.axes[axis]:
        words = {named(cell.config) for cell in study.cells if cell.place[axis] == label} if named else set()
        shared = words.pop() if len(words) == 1 else ""
        titles[label] = shared or (f"{axis.rpartition('.')[2]} {label}" if "." in axis else label)
    return titles if len(set(titles.values())) == len(titles) else {label: label for label in study.axes[axis]}
