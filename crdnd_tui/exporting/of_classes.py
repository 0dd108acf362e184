"""Classes under the strongest judgement: each row's worst one, and how each differs from the baseline's."""

from dataclasses import dataclass
from statistics import fmean, stdev

from crdnd_tui import report
from crdnd_tui.comparing import comparison_config
from crdnd_tui.comparing.comparison import Row
from crdnd_tui.documents import document
from crdnd_tui.documents.document import Bar, Cell, Column, Figure, Table
from crdnd_tui.exporting.laid import Laid, ids, several
from engine.spec.outcomes import Interval, wilson

_MOST = 8  # figures


@dataclass(frozen=True, kw_only=True)
class Worst:
    """The class that fares worst, by the mean over a row's runs."""

    name: str
    values: tuple[float, ...]  # of each run, fractions
    count: int  # images of the class; 0 where no file tells

    @property
    def mean(self) -> float:
        """Over the runs."""
        return fmean(self.values)

    @property
    def std(self) -> float | None:
        """Sample standard deviation, of two runs and more."""
        return stdev(self.values) if len(self.values) > 1 else None

    @property
    def interval(self) -> Interval | None:
        """Wilson's, of one run whose images are counted."""
        return wilson(round(self.mean * self.count), self.count) if len(self.values) == 1 and self.count else None


def worst(laid: Laid, row: Row, attack: str) -> Worst | None:
    """None where no run of the row has accuracies per class; the first of equals."""
    judged = [(side, cell.per_class) for side in row.sides if (cell := side.cell(laid.wanted, attack))]
    known = [(side, accuracies) for side, accuracies in judged if accuracies]
    if not known or len({len(accuracies) for _, accuracies in known}) > 1:
        return None
    place = min(range(len(known[0][1])), key=lambda k: sum(accuracies[k] for _, accuracies in known))
    side = known[0][0]
    record = side.record(laid.wanted, attack)
    count = record.counts[place] if record is not None and place < len(record.counts) else 0
    state = next((s.state for s in row.sides if s.state.training), side.state)
    name = report.class_name(state, place, 20)
    return Worst(name=name, values=tuple(accuracies[place] for _, accuracies in known), count=count)


def worst_class(laid: Laid) -> Table | None:
    """One line for each row; None without accuracies per class."""
    attack = laid.strongest
    found = [(row, one) for row in laid.fair(attack) if (one := worst(laid, row, attack)) is not None]
    if not found:
        return None
    rows = [
        document.Row(
            label=row.label,
            runs=ids(row),
            cells=(Cell(text=one.name), _accuracy(one), Cell(value=float(one.count)) if one.count else Cell()),
        )
        for row, one in found
    ]
    return Table(
        key="worst-class", title=f"Worst class under {laid.title(attack)}", head="run",
        columns=(
            Column(key="class", title="class", unit="words"), Column(key="accuracy", title="accuracy"),
            Column(key="n", title="images", unit="count"),
        ),
        rows=tuple(rows), notes=tuple(laid.unfair(attack)),
        caption=laid.caption("The worst of several classes looks worse than it is: it was chosen for that"),
    )  # fmt: skip


def _accuracy(one: Worst) -> Cell:
    mean = 100 * one.mean
    if one.std is not None:
        return Cell(value=mean, std=100 * one.std, n=one.count, runs=len(one.values))
    if one.interval is None:
        return Cell(value=mean)
    return Cell(value=mean, low=100 * one.interval.low, high=100 * one.interval.high, n=one.count)


def classes(laid: Laid) -> Table | None:
    """Points by which each class differs from the baseline's; None where nothing may be compared."""
    attack = laid.strongest
    found = [
        (row, comparison_config.classes(row, laid.base, laid.wanted, attack))
        for row in laid.others
    ]  # fmt: skip
    compared = [(row, entries) for row, (entries, _) in found if entries]
    if not compared:
        return None
    names = [entry.name for entry in compared[0][1]]
    rows = [
        document.Row(
            label=name,
            cells=(
                Cell(value=100 * compared[0][1][k].baseline),
                *(Cell(value=entries[k].points) for _, entries in compared),
            ),
        )
        for k, name in enumerate(names)
    ]
    refused = [("", f"{row.label}: {why}") for row, (entries, why) in found if not entries]
    return Table(
        key="classes", title=f"Classes under {laid.title(attack)}, differences to {laid.base.label}", head="class",
        columns=(
            Column(key="baseline", title=laid.base.label),
            *(Column(key=row.id, title=row.label, unit="points") for row, _ in compared),
        ),
        rows=tuple(rows), notes=tuple(refused), baseline=laid.base.label,
        caption=laid.caption(
            f"{laid.base.label} in %, the others in points from it", "means over seeds" if several(laid.rows) else "",
            "no test is made of single classes",
        ),
    )  # fmt: skip


def class_figures(laid: Laid) -> list[Figure]:
    """Bars for each of the first rows that may be compared with the baseline."""
    attack = laid.strongest
    figures = []
    for place, row in enumerate(laid.others[:_MOST], 1):
        entries, _ = comparison_config.classes(row, laid.base, laid.wanted, attack)
        if entries:
            figures.append(
                Figure(
                    key=f"classes-{place}", title=f"{row.label} minus {laid.base.label}, {laid.title(attack)}",
                    kind="bars", x="class", y="points",
                    bars=tuple(Bar(label=e.name, value=e.points, colour=place) for e in entries),
                    caption=laid.conditions,
                )
            )  # fmt: skip
    return figures
