"""The class that fares worst in each row, under the strongest judgement, and how the baseline fares in that class."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev

from crdnd_tui.compare import stats
from crdnd_tui.compare.comparison import Row
from crdnd_tui.compare.comparison_side import Side, by_draw
from crdnd_tui.core import marks, report
from crdnd_tui.core.marks import UNMARKED, Marked
from crdnd_tui.write import document
from crdnd_tui.write.document import Cell, Column, Table
from crdnd_tui.write.laid import Laid, ids
from engine.spec.outcomes import Interval, wilson

_OVER_SEEDS = "t interval over seeds"
_TIE = 1e-9  # accuracies as near as that are the same


@dataclass(frozen=True, kw_only=True)
class Worst:
    """The class that fares worst, by the mean over a row's seeds."""

    name: str
    place: int  # of the class
    values: tuple[float, ...]  # of each seed, fractions
    count: int  # images of the class; 0 where no file tells
    tied: int = 1  # classes that fare as badly
    marked: Marked = UNMARKED

    @property
    def called(self) -> str:
        """Its name, and how many fare no better: `cat, 3 tied`."""
        return f"{self.name}, {self.tied} tied" if self.tied > 1 else self.name

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return fmean(self.values)

    @property
    def std(self) -> float | None:
        """Sample standard deviation, of two seeds and more."""
        return stdev(self.values) if len(self.values) > 1 else None

    @property
    def interval(self) -> Interval | None:
        """Wilson's, of one run whose images are counted."""
        return wilson(round(self.mean * self.count), self.count) if len(self.values) == 1 and self.count else None


def worst(laid: Laid, row: Row, attack: str) -> Worst | None:
    """None where no run of the row has accuracies per class; the first of equals."""
    known = _classes(laid, row, attack)
    if not known:
        return None
    means = [fmean(values.values()) for values in known]
    place = min(range(len(known)), key=means.__getitem__)
    state = next((side.state for side in row.sides if side.state.training), row.sides[0].state)
    return Worst(
        name=report.class_name(state, place, 20), place=place, count=_images(laid, row, attack, place),
        values=tuple(known[place].values()), tied=sum(abs(mean - means[place]) < _TIE for mean in means),
        marked=laid.marked(row, attack),
    )  # fmt: skip


def _classes(laid: Laid, row: Row, attack: str) -> list[dict[str, float]]:
    """Of each class the accuracy of each seed; nothing where the runs do not have the same classes."""
    known = [(run.side, run.cell.per_class) for run in row.scored(laid.wanted, attack) if run.cell.per_class]
    if not known or len({len(accuracies) for _, accuracies in known}) > 1:
        return []
    return [by_draw((side, accuracies[k]) for side, accuracies in known) for k in range(len(known[0][1]))]


def _images(laid: Laid, row: Row, attack: str, place: int) -> int:
    """Of the class; 0 where no file tells."""
    records = (side.record(laid.wanted, attack) for side in row.sides)
    return next((record.counts[place] for record in records if record and place < len(record.counts)), 0)


def worst_class(laid: Laid) -> Table | None:
    """One line for each row; None without accuracies per class."""
    attack = laid.strongest
    found = [(row, one) for row in laid.fair(attack) if (one := worst(laid, row, attack)) is not None]
    if not found:
        return None
    base = laid.marked(laid.base, attack)
    beside = [_marked(_to_baseline(laid, row, one, attack), marks.joined((one.marked, base))) for row, one in found]
    compared = any(cell != Cell() for cell in beside)
    rows = [
        document.Row(
            label=row.label, runs=ids(row),
            cells=(
                Cell(text=one.called), _accuracy(one), *([cell] if compared else []),
                Cell(value=float(one.count)) if one.count else Cell(),
            ),
        )
        for (row, one), cell in zip(found, beside, strict=True)
    ]  # fmt: skip
    same = f"difference: the row minus {laid.base.label} in the row's own worst class, {_how(beside)}; no test"
    table = Table(
        key="worst-class", title=f"Worst class under {laid.title(attack)}", head="run",
        columns=(
            Column(key="class", title="class", unit="words"), Column(key="accuracy", title="accuracy"),
            *([Column(key="difference", title="to baseline", unit="points")] if compared else []),
            Column(key="n", title="images", unit="count"),
        ),
        rows=tuple(rows), notes=tuple(laid.unfair(attack)), baseline=laid.base.label if compared else "",
        caption=laid.caption(
            "The worst of several classes looks worse than it is, and so does its difference: it was chosen for that",
            same if compared else "",
        ),
    )  # fmt: skip
    return laid.noted(table)


def _accuracy(one: Worst) -> Cell:
    mean = 100 * one.mean
    cell = Cell(value=mean)
    if one.std is not None:
        cell = Cell(value=mean, std=100 * one.std, n=one.count, runs=len(one.values))
    elif one.interval is not None:
        cell = Cell(value=mean, low=100 * one.interval.low, high=100 * one.interval.high, n=one.count)
    return _marked(cell, one.marked)


def _marked(cell: Cell, found: Marked) -> Cell:
    return cell if cell.value is None else replace(cell, marks=found.letters, severity=found.severity)


def _how(cells: Sequence[Cell]) -> str:
    """What the intervals of the differences are."""
    several = {cell.runs > 1 for cell in cells if cell.value is not None}
    return " or ".join(words for many, words in ((False, "paired by image"), (True, _OVER_SEEDS)) if many in several)


def _to_baseline(laid: Laid, row: Row, one: Worst, attack: str) -> Cell:
    """Points in that class, with the 95 % interval; nothing for the baseline, and where nothing can be paired."""
    rows = [_classes(laid, row, attack), _classes(laid, laid.base, attack)]
    if row.id == laid.base.id or len(rows[0]) != len(rows[1]):
        return Cell()
    here, there = (known[one.place] for known in rows)
    if len(here) == len(there) == 1:
        return _of_images(_first(laid, row, attack), _first(laid, laid.base, attack), laid.wanted, attack, one)
    return _of_seeds(here, there, one)


def _first(laid: Laid, row: Row, attack: str) -> Side:
    """The run that has the number."""
    return next(side for side in row.sides if (cell := side.cell(laid.wanted, attack)) is not None and cell.per_class)


def _of_images(side: Side, base: Side, wanted: str, attack: str, one: Worst) -> Cell:
    """One run each, on the same images of the class."""
    record, other = side.record(wanted, attack), base.record(wanted, attack)
    counts = record.only_of(other, one.place) if record and other else None
    if counts is None or not one.count:
        return Cell()
    low, high = stats.agresti_min(*counts, one.count)
    value = 100 * (counts[0] - counts[1]) / one.count
    return Cell(value=value, low=100 * low, high=100 * high, n=one.count)


def _of_seeds(here: Mapping[str, float], there: Mapping[str, float], one: Worst) -> Cell:
    """Pairs of seeds, or two sets of them; one run against several says nothing of a method."""
    shared = [here[draw] - there[draw] for draw in here if draw in there]
    if len(shared) > 1:
        test: stats.MeanDifference | None = stats.paired_t(shared)
    elif min(len(here), len(there)) > 1:
        test = stats.welch_t(list(here.values()), list(there.values()))
    else:
        test = None
    if test is None:
        return Cell()
    runs = len(shared) if len(shared) > 1 else min(len(here), len(there))
    value, low, high = (100 * part for part in (test.difference, test.low, test.high))
    return Cell(value=value, low=low, high=high, n=one.count, runs=runs)
