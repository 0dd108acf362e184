"""Figures of a comparison: clean against robust, validation over epochs, and attacks side by side."""

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean, stdev

from crdnd_tui.compare.comparison import Row, Value
from crdnd_tui.compare.comparison_side import Side, by_draw
from crdnd_tui.compare.comparison_verdict import CE, SUITE
from crdnd_tui.core import marks, report
from crdnd_tui.write.document import Bar, Figure, Series
from crdnd_tui.write.laid import Laid, ids
from engine.spec.events import Validated

_SHOWN = (CE, "cw_inf", SUITE)


def tradeoff(laid: Laid) -> Figure | None:
    """Clean accuracy against the strongest judgement that rows share; None without two such rows.

    Error bars stand for y: the Wilson interval of one run, mean \u00b1 standard deviation of several.
    """
    attack = laid.strongest
    points = [
        (place, row, x, y)
        for place, row in enumerate(laid.rows)
        if (x := _fair(laid, row, report.CLEAN)) is not None and (y := _fair(laid, row, attack)) is not None
    ]
    if len(points) < 2 or attack == report.CLEAN:
        return None
    series = tuple(
        Series(
            label=row.label, x=(100 * x.mean,), y=(100 * y.mean,), low=(_share(y.low),), high=(_share(y.high),),
            colour=place, runs=ids(row), marks=found.letters, severity=found.severity,
        )
        for place, row, x, y in points
        for found in [marks.joined((x.marked, y.marked))]
    )  # fmt: skip
    figure = Figure(
        key="tradeoff", title=f"Clean accuracy against {laid.title(attack)}", kind="scatter", x="clean, %",
        y=f"{laid.title(attack)}, %", series=series, caption=laid.caption(_bars(laid)),
    )  # fmt: skip
    return laid.legended(figure)


def _share(fraction: float) -> float:
    """In per cent, within 0 and 100: a deviation may reach beyond, a share may not."""
    return 100 * min(1.0, max(0.0, fraction))


def _fair(laid: Laid, row: Row, attack: str) -> Value | None:
    """The row's value, unless it cannot be compared."""
    return None if (row.id, attack) in laid.grid.reasons else laid.grid.values.get((row.id, attack))


def _bars(laid: Laid) -> str:
    runs = {value.runs > 1 for value in laid.grid.values.values()}
    spread, wilson = "mean \u00b1 standard deviation over seeds", "95 % Wilson interval"
    return f"Bars: {f'{spread}, of one run the {wilson}' if len(runs) > 1 else spread if True in runs else wilson}"


def attacks(laid: Laid) -> Figure | None:
    """PGD-SAT, CW-inf and AutoAttack of each row as neighbouring bars; None without two of them."""
    shown = [attack for attack in _SHOWN if attack in laid.attacks]
    bars = [
        Bar(
            label=row.label, value=100 * value.mean, low=_share(value.low), high=_share(value.high), colour=place,
            series=laid.title(attack), runs=ids(row), marks=value.marked.letters, severity=value.marked.severity,
        )
        for row in laid.rows
        for place, attack in enumerate(shown)
        if (value := _fair(laid, row, attack)) is not None
    ]  # fmt: skip
    if len(shown) < 2 or not bars:
        return None
    legend = tuple(Series(label=laid.title(attack), x=(), y=(), colour=place) for place, attack in enumerate(shown))
    figure = Figure(
        key="attacks", title=", ".join(one.label for one in legend), kind="bars", x="run", y="% right", series=legend,
        bars=tuple(bars), caption=laid.caption(_bars(laid)),
    )  # fmt: skip
    return laid.legended(figure)


def validation(laid: Laid) -> list[Figure]:
    """One figure for each attack that selects: runs chosen by different attacks are never one chart."""
    by = dict.fromkeys(v.by for side in laid.sides for v in side.state.validations[-1:])
    figures = [_validation(laid, attack) for attack in by]
    return [figure for figure in figures if figure is not None]


def _validation(laid: Laid, attack: str) -> Figure | None:
    series = [
        replace(_curve(row, place, curves), marks=found.letters, severity=found.severity)
        for place, row in enumerate(laid.rows)
        if (curves := [(side, c) for side in row.sides if (c := _points(side.state.validations, attack))])
        for found in [laid.marked(row, attack, checkpoints=[""])]
    ]
    if not any(len(curve.x) > 1 for curve in series):
        return None
    figure = Figure(
        key=f"validation-{attack}", title=f"Validation, {report.title(attack)}", kind="lines", x="epoch",
        y=f"{report.title(attack)} on validation images, %", series=tuple(series),
        caption="Selects the best checkpoint. Band: mean \u00b1 standard deviation, at epochs that all seeds have.",
    )  # fmt: skip
    return laid.legended(figure)


def _points(validations: Sequence[Validated], attack: str) -> dict[int, float]:
    """Epoch -> per cent, where this attack selects."""
    return {v.epoch: 100 * v.accuracy[attack] for v in validations if v.by == attack and attack in v.accuracy}


def _curve(row: Row, colour: int, curves: Sequence[tuple[Side, dict[int, float]]]) -> Series:
    """Of one seed, or mean and band of several, at the epochs that all their runs have."""
    epochs = tuple(epoch for epoch in sorted(curves[0][1]) if all(epoch in curve for _, curve in curves))
    values = [list(by_draw((side, curve[epoch]) for side, curve in curves).values()) for epoch in epochs]
    means = tuple(fmean(found) for found in values)
    if len({side.draw for side, _ in curves}) == 1:
        return Series(label=row.label, x=tuple(map(float, epochs)), y=means, colour=colour, runs=ids(row))
    spreads = [stdev(found) for found in values]
    return Series(
        label=row.label, x=tuple(map(float, epochs)), y=means, colour=colour, runs=ids(row),
        low=tuple(max(0.0, m - s) for m, s in zip(means, spreads, strict=True)),
        high=tuple(min(100.0, m + s) for m, s in zip(means, spreads, strict=True)),
    )  # fmt: skip
