"""What can be drawn of runs run by run: the measures that some of them have, and their points. Pure."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, stdev
from typing import NamedTuple

from crdnd_tui.chart.series import PointSeries
from crdnd_tui.compare.rows import ComparisonRow
from crdnd_tui.compare.runs import ComparedRun
from crdnd_tui.core.attack_names import attack_title
from crdnd_tui.core.state import RunState
from crdnd_tui.core.text import one_line

Points = list[tuple[float, float | None]]
SELECTING = "selecting"
_PAIRS = 1500  # of a band at least, so that its columns touch where it is drawn


@dataclass(frozen=True, kw_only=True)
class CurveMeasure:
    """One y axis."""

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
    learns = any(e.teacher_clean or e.teacher_robust for run in runs for e in run.state.epochs[-1:])
    said = f", {attack_title(next(iter(by)))} (selects)" if by else ""
    return [
        *([CurveMeasure(key=SELECTING, title=f"validation{said}")] if len(by) < 2 else []),
        *(CurveMeasure(key=f"val:{a}", title=f"validation, {attack_title(a)}") for a in attacks if [a] != list(by)),
        CurveMeasure(key="loss", title="training loss", percent=False, smooth=True),
        *(
            CurveMeasure(key=f"term:{t}", title=f"loss term {one_line(t, 30)}", percent=False, smooth=True)
            for t in terms
            if len(terms) > 1
        ),
        *(
            [
                CurveMeasure(key="teacher_clean", title="teacher, clean, mean of classes"),
                CurveMeasure(key="teacher_robust", title="teacher on S's x', mean of classes"),
            ]
            if learns
            else []
        ),
    ]


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
        case "teacher_clean":
            return [(e.step, fmean(e.teacher_clean)) for e in state.epochs if e.teacher_clean]
        case "teacher_robust":
            return [(e.step, fmean(e.teacher_robust)) for e in state.epochs if e.teacher_robust]
        case _:
            return []


def of_row(row: ComparisonRow, key: str) -> Points:
    """Of a run; or the mean of a group at the steps that all of its runs have reached."""
    curves = _by_draw(row, key)
    if len(curves) == 1:
        return curves[0]
    return [(x, _mean(values)) for x, values in _shared(curves)]


def band(row: ComparisonRow, key: str) -> Points:
    """Mean \u00b1 sample deviation of a group, its lower and upper end in turn, straight between the steps."""
    curves = _by_draw(row, key)
    if sum(map(bool, curves)) < 2:
        return []
    ends = [(x, _ends(values)) for x, values in _shared(curves)]
    pieces = max(1, _PAIRS // max(1, len(ends) - 1))
    made: Points = []
    for (x0, one), (x1, two) in pairwise(ends):
        if one is None or two is None:
            made.append((x0, None))
            continue
        for k in range(pieces + 1):
            t = k / pieces
            made += [(x0 + t * (x1 - x0), low + t * (high - low)) for low, high in zip(one, two, strict=True)]
    return made


def _by_draw(row: ComparisonRow, key: str) -> list[Points]:
    """One curve for each seed: where it ran more than once, the mean of its runs at the steps that all have reached."""
    gathered: dict[str, list[Points]] = {}
    for run in row.runs:
        gathered.setdefault(run.draw, []).append(points(run, key))
    return [
        found[0] if len(found) == 1 else [(x, _mean(values)) for x, values in _shared(found)]
        for found in gathered.values()
    ]


def _shared(curves: Sequence[Points]) -> list[tuple[float, list[float | None]]]:
    """The steps that all curves with a point have, with the value of each."""
    tables: list[Mapping[float, float | None]] = [dict(curve) for curve in curves if curve]
    shared = [x for x in (tables[0] if tables else {}) if all(x in table for table in tables)]
    return [(x, [table[x] for table in tables]) for x in shared]


def _ends(values: Sequence[float | None]) -> tuple[float, float] | None:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    mean, std = fmean(known), stdev(known)
    return mean - std, mean + std


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if len(known) == len(values) else None


def last(row: ComparisonRow, key: str, curve: Points, *, percent: bool) -> str:
    """The newest value as the legend shows it; of a group its mean and sample deviation at the last common step."""
    known = next(((x, y) for x, y in reversed(curve) if y is not None), None)
    if known is None:
        return ""
    step, mean = known
    seeds = [dict(own).get(step) for own in _by_draw(row, key)] if row.draws > 1 else []
    values = [y for y in seeds if y is not None]
    scale, form = (100.0, ".1f") if percent else (1.0, ".4g")
    spread = f" \u00b1 {scale * stdev(values):{form if percent else '.2g'}}" if len(values) > 1 else ""
    return f"{scale * mean:{form}}{spread}{' %' if percent else ''}"


class RowCurve(NamedTuple):
    """What is drawn of a row."""

    series: PointSeries
    points: Points


class CurveCache:
    """Curves and bands of the rows on the screen, worked out again when one of their runs says something new."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], tuple[tuple[RunState, ...], RowCurve]] = {}

    def curve(self, row: ComparisonRow, key: str) -> RowCurve:
        """All points of this row."""
        return self._cached(row, key, of_row)

    def band(self, row: ComparisonRow, key: str) -> PointSeries | None:
        """Of a group; None of a run, and of seeds that have no two points in common."""
        found = self._cached(row, key, band) if row.draws > 1 else None
        return found.series if found and found.points else None

    def _cached(self, row: ComparisonRow, key: str, make: Callable[[ComparisonRow, str], Points]) -> RowCurve:
        name, states = (make.__name__, key, *row.ids), tuple(run.state for run in row.runs)
        before, curve = self._known.get(name, ((), RowCurve(PointSeries(), [])))
        if len(before) != len(states) or any(one is not two for one, two in zip(before, states, strict=True)):
            points = make(row, key)
            curve = RowCurve(PointSeries(points), points)
            self._known[name] = states, curve
        return curve
