"""The charts of the Live screen: which curves stand in which, and their colours."""

from crdnd_tui.chart.series import PointSeries
from crdnd_tui.core import fast_path
from crdnd_tui.core.attack_names import attack_title
from crdnd_tui.core.format import number, whole_percent
from crdnd_tui.core.marks import SIGNS
from crdnd_tui.core.palette import Palette
from crdnd_tui.core.state import RunState
from crdnd_tui.core.text import one_line
from crdnd_tui.tui.monitor.run_curves import Curves
from crdnd_tui.tui.widgets.chart_sheet import Line
from crdnd_tui.tui.widgets.time_bar import PLACES

_BEST = 7  # place of the best epoch's colour


def loss_lines(curves: Curves, palette: Palette, *, teacher: bool) -> list[Line]:
    """The terms, and upon them the total with its raw band; a single term is the total itself."""
    who = "teacher's " if teacher else ""
    total = Line(name=f"{who}loss", colour=palette.series[0], series=curves.loss, band=True, smooth=True)
    terms = curves.terms if len(curves.terms) > 1 else {}
    colours = palette.series
    parts = [
        Line(name=one_line(name, 16), colour=colours[place % len(colours)], series=series, smooth=True)
        for place, (name, series) in enumerate(terms.items(), 1)
    ]
    return [*parts, total]


def accuracy_lines(curves: Curves, palette: Palette, state: RunState) -> list[Line]:
    """By epoch and raw: a mean would lag behind by many points. Names bear the marks of the whole run."""
    return [
        Line(
            name=f"{one_line(attack_title(attack), 16)}{SIGNS[state.severity('', attack)]}",
            colour=palette.series[place % len(palette.series)],
            series=series,
        )
        for place, (attack, series) in enumerate(curves.accuracy.items())
    ]


def best_line(state: RunState, palette: Palette) -> list[Line]:
    """A stroke at the best epoch, up to what it was chosen by; made anew only when another epoch is best."""
    best = state.best
    value = best.accuracy.get(best.by) if best else None
    if best is None or value is None:
        return []
    low = min((v for event in state.validations for v in event.accuracy.values()), default=0.0)
    series = PointSeries([(best.epoch, min(low, value)), (best.epoch, value)])
    return [Line(name="best", colour=palette.series[_BEST], series=series, value=f"epoch {best.epoch}")]


def quantities(curves: Curves) -> list[str]:
    """What the small chart can show, in the order of the key."""
    known = {"throughput": True, "shares of time": bool(curves.shares), "learning rate": True,
             "GPU memory": bool(len(curves.memory)), "GPU use": bool(len(curves.busy))}  # fmt: skip
    return [name for name, is_there in known.items() if is_there]


def pace_lines(curves: Curves, palette: Palette, quantity: str) -> list[Line]:
    """One of the quantities."""
    match quantity:
        case "shares of time":
            parts = [part for part in fast_path.TITLES if part in curves.shares]
            return [_share_line(part, curves.shares[part], palette) for part in parts]
        case "learning rate":
            return [Line(name="learning rate", colour=palette.series[3], series=curves.learning_rate)]
        case "GPU memory":
            last = curves.memory.last
            words = f"{number(last[1])} GiB" if last else ""
            return [Line(name="GPU memory", colour=palette.series[2], series=curves.memory, value=words)]
        case "GPU use":
            last = curves.busy.last
            words = f"{number(last[1])} %" if last else ""
            return [Line(name="GPU use", colour=palette.series[1], series=curves.busy, value=words)]
        case _:
            return [Line(name="images/s", colour=palette.series[3], series=curves.pace, band=True, smooth=True)]


def _share_line(part: str, series: PointSeries, palette: Palette) -> Line:
    last = series.last[1] if series.last else None
    words = f"{whole_percent(last / 100)} %" if last is not None else ""
    return Line(name=part, colour=palette.series[PLACES[part]], series=series, smooth=True, value=words)
