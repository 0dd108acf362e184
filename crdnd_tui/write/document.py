"""What a report is made of, before anybody decides how it is written. Pure values, in the units that are shown.

Whoever compares runs, tells of one, or reports on a study makes a `Document`; every writer takes one and nothing else.
Words in it may come from files: each writer escapes for its own format.
"""

import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, TypedDict

from crdnd_tui.core.marks import Marked
from engine.spec.marks import Severity

WEIGHTS = "weights"  # facts that end so are hashes of weights
_SHORT = 12  # characters of a hash that a reader is shown
Unit = Literal["percent", "points", "p", "count", "seconds", "words"]


class MarkFields(TypedDict):
    """What a figure's marks make of a cell, bar or series."""

    marks: str
    severity: Severity | None


def mark_fields(found: Marked) -> MarkFields:
    """Keyword arguments of `Cell`, `Bar`, `Series` and `Figure`."""
    return {"marks": found.letters, "severity": found.severity}


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a table."""

    key: str  # of data for scripts: autoattack, pgd_sat, difference
    title: str  # as papers write it: AutoAttack
    unit: Unit = "percent"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One number with what bears it, or words.

    `value`, `std`, `low` and `high` are in the column's unit: per cent of images, points, a probability.
    """

    value: float | None = None
    text: str = ""  # what stands here when there is no value: words, or why there is none
    std: float | None = None  # sample standard deviation over runs
    low: float | None = None  # 95 % interval
    high: float | None = None
    n: int = 0  # images; 10,000 and more carry a second decimal
    runs: int = 1  # seeds
    best: bool = False  # among those that cannot be told from the best of its column
    significant: bool = False  # differs from the baseline after Holm's correction: the dagger
    barred: bool = False  # not comparable: `text` says why
    marks: str = ""  # letters of the table's notes
    severity: Severity | None = None  # red: not believed, and so neither bold nor with a dagger

    def __post_init__(self) -> None:
        if self.struck:
            object.__setattr__(self, "best", False)
            object.__setattr__(self, "significant", False)

    @property
    def struck(self) -> bool:
        """Whether the number is not believed."""
        return self.severity == "red"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a table."""

    label: str
    cells: tuple[Cell, ...]  # one for each column
    runs: tuple[str, ...] = ()  # ids of the runs whose numbers these are
    quiet: bool = False  # beside the point: a published number, an interval on a line of its own
    rule: bool = False  # a line above it: another group begins
    group: str = ""  # the group's name, at its first row
    unit: Unit | None = None  # of all its cells, where it is not that of the columns: a difference under its number


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table with its caption; `notes` are (letter, sentence) or ("", sentence)."""

    key: str  # a file name can be made of it: results, differences, worst-class
    title: str
    head: str  # above the labels: method, class, key
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    caption: str = ""  # n, epsilon, norm, attack versions, tests
    notes: tuple[tuple[str, str], ...] = ()
    baseline: str = ""  # label of the row that differences are taken from
    appendix: bool = False  # stands behind the figures, and in files only where a page is to be short


@dataclass(frozen=True, kw_only=True)
class Series:
    """One curve, or the points of one run in a scatter plot. NaN is a gap in a curve."""

    label: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()  # band, or error bars where it is a scatter plot
    high: tuple[float, ...] = ()
    colour: int = 0  # place in the Okabe-Ito order
    dashed: bool = False
    runs: tuple[str, ...] = ()  # ids of the runs whose numbers these are
    marks: str = ""  # letters of the figure's notes
    severity: Severity | None = None  # red: not believed


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One bar of a bar chart, which may go below zero."""

    label: str
    value: float
    low: float | None = None
    high: float | None = None
    colour: int = 0
    series: str = ""  # what its colour says: one of the figure's series, or the row that all bars are of
    runs: tuple[str, ...] = ()  # ids of the runs whose number it is
    marks: str = ""  # letters of the figure's notes
    severity: Severity | None = None  # red: not believed


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A plot: `series` of lines or points, or `bars`, or a `matrix` with `labels` for rows and columns.

    Neighbouring bars of one label stand together; `series` without points say what the bars' colours mean.
    """

    key: str
    title: str
    kind: Literal["lines", "scatter", "bars", "matrix"]
    x: str = ""  # axis titles, with units
    y: str = ""
    series: tuple[Series, ...] = ()
    bars: tuple[Bar, ...] = ()
    matrix: tuple[tuple[float, ...], ...] = ()
    labels: tuple[str, ...] = ()
    caption: str = ""
    runs: tuple[str, ...] = ()  # ids of the runs that a matrix is of
    notes: tuple[tuple[str, str], ...] = ()  # letter, its sentence
    marks: str = ""  # letters of the notes, of a whole matrix
    severity: Severity | None = None  # of a whole matrix; red: not believed

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not (self.bars or self.matrix or any(series.x for series in self.series))

    @property
    def shown(self) -> "tuple[Figure | Series | Bar, ...]":
        """All in it that may bear marks."""
        return (self, *self.series, *self.bars)


@dataclass(frozen=True, kw_only=True)
class Picture:
    """An adversarial example: images as (height, width, 3) bytes, row by row; viewing copies only, the data are raw."""

    height: int
    width: int
    clean: bytes
    perturbation: bytes  # amplified about grey
    adversarial: bytes
    caption: str


@dataclass(frozen=True, kw_only=True)
class Origin:
    """A run whose numbers are in the document."""

    run: str
    label: str
    state: str
    config_hash: str
    seed: int | None = None
    facts: tuple[tuple[str, str], ...] = ()  # provenance: versions, device, data and weights hashes, command

    @property
    def weights(self) -> str:
        """Beginning of the SHA-256 of the student's weights; empty where none is known."""
        found = (value for fact, value in self.facts if fact.endswith(WEIGHTS))
        return next(found, "").removeprefix("sha256 ")[:_SHORT]


@dataclass(frozen=True, kw_only=True)
class Document:
    """Everything that a reader is to see, and where it comes from."""

    title: str
    lead: tuple[str, ...] = ()  # sentences: what the numbers say
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()
    pictures: tuple[Picture, ...] = ()
    origins: tuple[Origin, ...] = ()
    made: float = 0.0  # unix seconds
    version: str = ""  # of crdnd
    warnings: tuple[str, ...] = field(default=())

    @property
    def made_by(self) -> str:
        """By which version, when: `crdnd 0.1.0, 2031-02-03 04:05 UTC`; empty parts are left out."""
        when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(self.made)) if self.made > 0 else ""
        return ", ".join(part for part in (f"crdnd {self.version}" if self.version else "", when) if part)

    @cached_property
    def hashes(self) -> dict[str, str]:
        """Config hash of each run, whole."""
        return {origin.run: origin.config_hash for origin in self.origins}

    @cached_property
    def facts(self) -> list[tuple[str, str, tuple[str, ...]]]:
        """(fact, value, runs) in the order in which they are met; no runs where it holds for all of them.

        Without hashes of weights, which every run has of its own: they stand in the table of runs.
        """
        holders: dict[tuple[str, str], list[str]] = {}
        for origin in self.origins:
            for fact in (each for each in origin.facts if not each[0].endswith(WEIGHTS)):
                holders.setdefault(fact, []).append(origin.run)
        everybody = len(self.origins)
        return [(key, value, () if len(runs) == everybody else tuple(runs)) for (key, value), runs in holders.items()]

    @property
    def runs_table(self) -> Table:
        """Runs with label, state, seed, config hash and, where one is known, the hash of their weights."""
        words = [
            {
                "label": one.label, "state": one.state, "seed": "" if one.seed is None else str(one.seed),
                "config hash": one.config_hash[:_SHORT], WEIGHTS: one.weights,
            }
            for one in self.origins
        ]  # fmt: skip
        keys = ["label", "state", "seed", "config hash", *[WEIGHTS] * any(one.weights for one in self.origins)]
        return Table(
            key="runs", title="Runs", head="run",
            columns=tuple(Column(key=key.replace(" ", "_"), title=key, unit="words") for key in keys),
            rows=tuple(
                Row(label=one.run, runs=(one.run,), cells=tuple(Cell(text=said[key]) for key in keys))
                for one, said in zip(self.origins, words, strict=True)
            ),
        )  # fmt: skip
