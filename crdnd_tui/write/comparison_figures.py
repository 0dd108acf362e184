"""Figures of a comparison: clean against robust, attacks side by side, validation, classes, confusions, gaps."""

from dataclasses import replace
from statistics import fmean, stdev

from crdnd_tui.compare.comparison import Comparison
from crdnd_tui.compare.curves import by_seed
from crdnd_tui.compare.order import CE, SUITE
from crdnd_tui.compare.rows import ComparisonRow, class_differences
from crdnd_tui.compare.significance import attack_gap
from crdnd_tui.core import marks
from crdnd_tui.core.attack_names import CLEAN, attack_title
from crdnd_tui.core.marks import Marked
from crdnd_tui.write.comparison_tables import percent_of
from crdnd_tui.write.document import Bar, Figure, Series, mark_fields

_BESIDE = (CE, "cw_inf", SUITE)  # attacks whose bars stand side by side
_CLASS_FIGURES = 8


def figures(comparison: Comparison) -> tuple[Figure, ...]:
    made = [tradeoff(comparison), attack_bars(comparison), *_validation(comparison)]
    made += [*_class_bars(comparison), *_confusions(comparison)]
    return tuple(figure for figure in made if figure is not None)


def _noted(comparison: Comparison, figure: Figure) -> Figure:
    """With the sentences on the marks of what it shows."""
    return replace(figure, notes=tuple(comparison.footnotes.notes("".join(one.marks for one in figure.shown))))


def _share(fraction: float) -> float:
    """In per cent, within 0 and 100: a deviation may reach beyond, a share may not."""
    return 100 * min(1.0, max(0.0, fraction))


def _bars_caption(comparison: Comparison) -> str:
    several = {cell.runs > 1 for cell in comparison.cells.values()}
    spread, wilson = "mean \u00b1 standard deviation over seeds", "95 % Wilson interval"
    both = f"{spread}, of one run the {wilson}" if len(several) > 1 else spread if True in several else wilson
    return comparison.caption(f"Bars: {both}")


def tradeoff(comparison: Comparison) -> Figure | None:
    """Clean accuracy against the strongest judgement that rows share; None without two such rows.

    Error bars stand for y: the Wilson interval of one run, mean \u00b1 standard deviation of several.
    """
    attack = comparison.strongest
    clean = {row.id: cell for row, cell in comparison.comparable(CLEAN) if cell}
    points = [
        Series(
            label=row.label, x=(100 * x.mean,), y=(100 * y.mean,), low=(_share(y.low),), high=(_share(y.high),),
            colour=comparison.rows.index(row), runs=row.ids, **mark_fields(marks.joined((x.marked, y.marked))),
        )
        for row, y in comparison.comparable(attack)
        if y and (x := clean.get(row.id))
    ]  # fmt: skip
    if len(points) < 2 or attack == CLEAN:
        return None
    title = comparison.title(attack)
    return _noted(comparison, Figure(
        key="tradeoff", title=f"Clean accuracy against {title}", kind="scatter", x="clean, %", y=f"{title}, %",
        series=tuple(points), caption=_bars_caption(comparison),
    ))  # fmt: skip


def attack_bars(comparison: Comparison) -> Figure | None:
    """PGD-SAT, CW-inf and AutoAttack of each row as neighbouring bars; None without two of them."""
    shown = [attack for attack in _BESIDE if attack in comparison.attacks]
    titles = [comparison.title(attack) for attack in shown]
    bars = tuple(
        Bar(
            label=row.label, value=100 * cell.mean, low=_share(cell.low), high=_share(cell.high), colour=k,
            series=titles[k], runs=row.ids, **mark_fields(cell.marked),
        )
        for row in comparison.rows
        for k, attack in enumerate(shown)
        if (row.id, attack) not in comparison.reasons and (cell := comparison.cells.get((row.id, attack)))
    )  # fmt: skip
    if len(shown) < 2 or not bars:
        return None
    return _noted(comparison, Figure(
        key="attacks", title=", ".join(titles), kind="bars", x="run", y="% right", bars=bars,
        series=tuple(Series(label=title, x=(), y=(), colour=k) for k, title in enumerate(titles)),
        caption=_bars_caption(comparison),
    ))  # fmt: skip


def gap_bars(comparison: Comparison) -> Figure | None:
    """PGD-SAT minus AutoAttack in each row, in points; None where no row has been through both."""
    title = f"{comparison.title(CE)} minus {comparison.title(SUITE)}"
    gaps = [(k, row, attack_gap(row.runs, CE, SUITE)) for k, row in enumerate(comparison.rows)]
    bars = tuple(
        Bar(
            label=row.label, value=100 * gap.difference, low=percent_of(gap.low), high=percent_of(gap.high), colour=k,
            series=title, runs=row.ids, **mark_fields(comparison.marked(row, attacks=[CE, SUITE])),
        )
        for k, row, gap in gaps
        if gap.difference is not None
    )  # fmt: skip
    if not bars:
        return None
    return _noted(comparison, Figure(
        key="gap", title=title, kind="bars", x="method", y=f"{title}, points", bars=bars,
        caption=f"How far cross-entropy PGD flatters; bars: 95 % intervals; {comparison.conditions}.",
    ))  # fmt: skip


def _validation(comparison: Comparison) -> list[Figure]:
    """One figure for each attack that selects: runs chosen by different attacks are never one chart."""
    made = []
    for attack in dict.fromkeys(v.by for run in comparison.runs for v in run.state.validations[-1:]):
        series = [
            _selecting_curve(row, k, attack, comparison.marked(row, attacks=[attack], checkpoint=""))
            for k, row in enumerate(comparison.rows)
        ]
        title = attack_title(attack)
        if any(len(curve.x) > 1 for curve in series):
            made.append(_noted(comparison, Figure(
                key=f"validation-{attack}", title=f"Validation, {title}", kind="lines", x="epoch",
                y=f"{title} on validation images, %", series=tuple(curve for curve in series if curve.runs),
                caption="Selects the best checkpoint. Band: mean \u00b1 standard deviation, at epochs that all seeds "
                "have.",
            )))  # fmt: skip
    return made


def _selecting_curve(row: ComparisonRow, colour: int, attack: str, marked: Marked) -> Series:
    """Validation where this attack selects, in per cent by epoch: mean and band of several seeds."""
    told = [(run, [v for v in run.state.validations if v.by == attack and attack in v.accuracy]) for run in row.runs]
    shared = by_seed([(run, [(v.epoch, 100 * v.accuracy[attack]) for v in known]) for run, known in told])
    means = tuple(fmean(values) for _, values in shared)
    made = Series(
        label=row.label, x=tuple(float(epoch) for epoch, _ in shared), y=means, colour=colour,
        runs=row.ids if any(known for _, known in told) else (), **mark_fields(marked),
    )  # fmt: skip
    if all(len(values) < 2 for _, values in shared):
        return made
    low = tuple(max(0.0, mean - stdev(values)) for mean, (_, values) in zip(means, shared, strict=True))
    high = tuple(min(100.0, mean + stdev(values)) for mean, (_, values) in zip(means, shared, strict=True))
    return replace(made, low=low, high=high)


def _class_bars(comparison: Comparison) -> list[Figure]:
    """Differences class by class, of each of the first rows that may be compared with the baseline."""
    attack, base = comparison.strongest, comparison.base
    made = []
    for k, row in enumerate(comparison.others[:_CLASS_FIGURES], 1):
        entries, _ = class_differences(row, base, attack)
        colour, signs = comparison.rows.index(row), mark_fields(comparison.difference_marked(row, attack))
        bars = tuple(
            Bar(label=one.name, value=one.points, colour=colour, series=row.label, runs=row.ids, **signs)
            for one in entries
        )
        if bars:
            made.append(_noted(comparison, Figure(
                key=f"classes-{k}", title=f"{row.label} minus {base.label}, {comparison.title(attack)}", kind="bars",
                x="class", y="points", bars=bars,
                caption=comparison.caption("Means over seeds" if row.draws > 1 else ""),
            )))  # fmt: skip
    return made


def _confusions(comparison: Comparison) -> list[Figure]:
    """What the baseline and the best of the other rows take for what, under the strongest judgement."""
    attack = comparison.strongest
    fair = [
        (row, c) for row, c in comparison.comparable(attack) if c and not c.is_struck and row is not comparison.base
    ]
    rows = [comparison.base, *(row for row, _ in sorted(fair, key=lambda one: -one[1].mean)[:1])]
    made = (_confusion(comparison, row, attack, f"confusion-{k}") for k, row in enumerate(rows, 1))
    return [figure for figure in made if figure is not None]


def _confusion(comparison: Comparison, row: ComparisonRow, attack: str, key: str) -> Figure | None:
    """Of the first run that has one: means over seeds are no counts of images."""
    found = ((one.run, record) for one in row.scored(attack) if (record := one.record) and record.confusion)
    run, record = next(found, (None, None))
    if run is None or record is None:
        return None
    matrix, own = record.confusion, ComparisonRow(runs=(run, *row.runs), label=row.label)
    lost = record.n - sum(map(sum, matrix))
    alone = f"One of {len(row.runs)} seeds; counts" if len(row.runs) > 1 else "Counts"
    return _noted(comparison, Figure(
        key=key, title=f"Confusion under {comparison.title(attack)}, {run.label}", kind="matrix", runs=(run.id,),
        x="predicted class", y="true class", matrix=tuple(tuple(map(float, line)) for line in matrix),
        labels=tuple(own.class_name(k, 14) for k in range(len(matrix))),
        caption=comparison.caption(
            f"{alone} of images, right ones on the diagonal", f"{lost} had no finite answer" if lost else ""
        ),
        **mark_fields(comparison.footnotes.marked(run.state.marks(run.checkpoint, attack))),
    ))  # fmt: skip
