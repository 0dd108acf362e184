"""What can be drawn of runs run by run: the measures that some of them have, and their points. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, stdev
from typing import NamedTuple

from crdnd_tui.chart.series import PointSeries
from crdnd_tui.compare.rows import ComparisonRow
from crdnd_tui.compare.runs import ComparedRun, by_draw
from crdnd_tui.core.attack_names import attack_title
from crdnd_tui.core.state import RunState
from crdnd_tui.core.text import one_line

Points = list[tuple[float, float | None]]
SELECTING = "selecting"
_PAIRS = 1500  # of a band at least, so that its columns touch where it is drawn


@dataclass(frozen=True, kw_only=True)
class CurveMeasure:
    key: str
    title: str
    percent: bool = True
    smooth: bool = False


def measures(runs: Sequence[ComparedRun]) -> list[CurveMeasure]:
    """Those that some run has. First the accuracy by which they are selected, or, where they are by several, each.

    Runs that are selected by different attacks never lie in one chart as if these were one.
    """
    last = [v for run in runs for v in run.state.validations[-1:]]
    by = Counter(v.by for v in last)
    attacks = dict.fromkeys((*(name for name, _ in by.most_common()), *(a for v in last for a in v.accuracy)))
    terms = list(dict.fromkeys(t for run in runs for s in run.state.steps[-1:] for t in s.terms))
    said = f", {attack_title(next(iter(by)))} (selects)" if by else ""
    made = [CurveMeasure(key=SELECTING, title=f"validation{said}")] if len(by) < 2 else []
    made += [CurveMeasure(key=f"val:{a}", title=f"validation, {attack_title(a)}") for a in attacks if [a] != list(by)]
    made.append(CurveMeasure(key="loss", title="training loss", percent=False, smooth=True))
    for term in terms if len(terms) > 1 else ():
        title = f"loss term {one_line(term, 30)}"
        made.append(CurveMeasure(key=f"term:{term}", title=title, percent=False, smooth=True))
    if any(e.teacher_clean or e.teacher_robust for run in runs for e in run.state.epochs[-1:]):
        made.append(CurveMeasure(key="teacher_clean", title="teacher, clean, mean of classes"))
        made.append(CurveMeasure(key="teacher_robust", title="teacher on S's x', mean of classes"))
    return made


def points(run: ComparedRun, key: str) -> Points:
    """(step, y) of one run; accuracies as fractions."""
    state = run.state
    kind, _, name = key.partition(":")
    match kind:
        case "selecting":
            return [(v.step, v.accuracy.get(v.by)) for v in state.validations]
        case "val":
            return [(v.step, v.accuracy[name]) for v in state.validations if name in v.accuracy]
        case "loss":
            return [(s.step, s.loss) for s in state.steps]
        case "term":
            return [(s.step, s.terms[name]) for s in state.steps if name in s.terms]
        case "teacher_clean" | "teacher_robust":
            return [(e.step, fmean(values)) for e in state.epochs if (values := getattr(e, kind))]
        case _:
            return []


def by_seed(curves: Sequence[tuple[ComparedRun, Points]]) -> list[tuple[float, list[float]]]:
    """(x, one value for each seed) at every x that all runs with a point have; no values where one is not finite."""
    known = [(run, dict(points)) for run, points in curves if points]
    made = []
    for x in known[0][1] if known else ():
        if all(x in curve for _, curve in known):
            values = [(run, y) for run, curve in known if (y := curve[x]) is not None]
            made.append((x, list(by_draw(values).values()) if len(values) == len(known) else []))
    return made


class RowCurve(NamedTuple):
    """A run, or the mean of a group at the steps that all of its runs have reached; `band` is of seeds."""

    series: PointSeries
    band: PointSeries | None  # mean - and mean + sample deviation in turn, straight between the steps
    last: str  # the newest value, with its deviation over seeds


def row_curve(row: ComparisonRow, measure: CurveMeasure) -> RowCurve:
    shared = by_seed([(run, points(run, measure.key)) for run in row.runs])
    known = [values for _, values in shared if values]
    scale, form, spread = (100.0, ".1f", ".1f") if measure.percent else (1.0, ".4g", ".2g")
    last = f"{scale * fmean(known[-1]):{form}}" if known else ""
    if known and len(known[-1]) > 1:
        last += f" \u00b1 {scale * stdev(known[-1]):{spread}}"
    last += " %" if last and measure.percent else ""
    band = _band(shared) if any(len(values) > 1 for _, values in shared) else []
    series = PointSeries((x, fmean(values) if values else None) for x, values in shared)
    return RowCurve(series, PointSeries(band) if band else None, last)


def _band(shared: Sequence[tuple[float, list[float]]]) -> Points:
    pieces = max(1, _PAIRS // max(1, len(shared) - 1))
    made: Points = []
    for (x0, one), (x1, two) in pairwise(shared):
        if not one or not two:
            made.append((x0, None))
            continue
        for k in range(pieces + 1):
            t = k / pieces
            for sign in (-1, 1):
                y0, y1 = (fmean(values) + sign * stdev(values) for values in (one, two))
                made.append((x0 + t * (x1 - x0), y0 + t * (y1 - y0)))
    return made


class CurveCache:
    """Curves of the rows on the screen, worked out again when one of their runs says something new."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], tuple[tuple[RunState, ...], RowCurve]] = {}

    def curve(self, row: ComparisonRow, measure: CurveMeasure) -> RowCurve:
        """The same object until then."""
        name, states = (measure.key, *row.ids), tuple(run.state for run in row.runs)
        before = self._known.get(name)
        if before is None or any(one is not two for one, two in zip(before[0], states, strict=True)):
            before = self._known[name] = states, row_curve(row, measure)
        return before[1]
