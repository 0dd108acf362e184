"""What a chart has to draw, worked out from its lines: means, the stretch of x, the range of y, the legend's words."""

from collections.abc import Sequence
from dataclasses import dataclass

from crdnd_tui.chart import axes, plot
from crdnd_tui.chart.axes import PlotView
from crdnd_tui.chart.plot import Curve
from crdnd_tui.chart.series import LIMIT, PointSeries, Smoothed, Span
from crdnd_tui.core.format import position
from crdnd_tui.tui.widgets.chart_view import Window
from crdnd_tui.tui.widgets.legend import Entry, mark_of, spoken


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A curve with its name and colour, as a screen knows it."""

    name: str
    colour: str
    series: PointSeries
    band: bool = False  # the raw points as a dim min/max band behind the smoothed line
    smooth: bool = False
    spread: PointSeries | None = None  # lower and upper end in turn: a dim band behind the line, smoothed or not
    value: str = ""  # legend text of the last value; made from the number when empty


@dataclass(frozen=True, kw_only=True, slots=True)
class How:
    """What was chosen by keys."""

    cursor: float | None
    smoothing: float
    log_x: bool
    log_y: bool
    no_colour: bool
    ascii_only: bool


class Sheet:
    """The lines of one chart; means are kept and catch up with what was appended."""

    def __init__(self, x_label: str, *, percent: bool) -> None:
        self.lines: tuple[Line, ...] = ()
        self.window = Window()
        self.x_label, self.percent = x_label, percent
        self._means: dict[int, Smoothed] = {}  # by the identity of the raw series

    def take(self, lines: Sequence[Line]) -> None:
        """Other lines; means of series that are still there stay."""
        self.lines = tuple(lines)
        kept = {id(line.series) for line in lines}
        self._means = {key: mean for key, mean in self._means.items() if key in kept}

    def smooths(self, how: How) -> bool:
        """Whether any line is drawn as its mean."""
        return how.smoothing > 0 and any(line.smooth for line in self.lines)

    def drawn(self, line: Line, how: How) -> PointSeries:
        """The series itself or its mean, caught up."""
        if not line.smooth or how.smoothing == 0:
            return line.series
        mean = self._means.get(id(line.series))
        if mean is None or mean.source is not line.series or mean.factor != how.smoothing:
            mean = self._means[id(line.series)] = Smoothed(line.series, how.smoothing)
        mean.update()
        return mean

    def curves(self, how: How) -> list[Curve]:
        """Bands behind, then the lines in their order."""
        bands, lines = [], []
        for place, line in enumerate(self.lines):
            smoothed = line.smooth and how.smoothing > 0
            behind = line.spread or (line.series if line.band and smoothed else None)
            if behind is not None:
                bands.append(Curve(series=behind, key=f"band{place}", kind="band"))
            lines.append(
                Curve(
                    series=self.drawn(line, how),
                    key=f"line{place}",
                    kind="ends" if smoothed else "line",
                    dash=place if how.no_colour or how.ascii_only else 0,
                )
            )
        return bands + lines

    def whole(self, how: How) -> Span | None:
        """From the first to the last x of all lines."""
        found = [span for line in self.lines if (span := line.series.x_bounds(positive_only=how.log_x))]
        return (min(low for low, _ in found), max(high for _, high in found)) if found else None

    def across(self, how: How) -> PlotView | None:
        """The stretch of x that is shown, with no y yet."""
        whole = self.whole(how)
        if whole is None:
            return None
        x0, x1 = self.window.shown(whole, log=how.log_x)
        return PlotView(x0=x0, x1=x1, y0=0.0, y1=1.0, log_x=how.log_x)

    def view(self, curves: Sequence[Curve], how: How) -> PlotView | None:
        """What lies between the axes; None where nothing could be drawn."""
        flat = self.across(how)
        span = plot.y_range(curves, flat.x0, flat.x1, log=how.log_y) if flat else None
        if flat is None or (span is None and not self.window.chosen):
            return None
        low, high = axes.bounds(*(span or (0.1, 1.0)), log=how.log_y)
        if self.percent and not how.log_y:
            low, high = max(0.0, low), min(1.0, high)
        return PlotView(x0=flat.x0, x1=flat.x1, y0=low, y1=high, log_x=how.log_x, log_y=how.log_y)

    def gap(self, view: PlotView) -> tuple[float, str] | None:
        """The first value that was not finite, and how many more there are."""
        found = [gap for line in self.lines if (gap := line.series.gap_in(view.x0, view.x1))]
        if not found:
            return None
        first, many = min(x for x, _ in found), max(count for _, count in found)
        more = f" +{many - 1:,}" if many > 1 else ""
        return first, f"NaN @ {self.x_label} {position(first)}{more}"

    def why_empty(self, words: str, how: How) -> str:
        """What is waited for, or what is wrong."""
        if not any(len(line.series) for line in self.lines):
            return words
        gap = next((gap[0] for line in self.lines if (gap := line.series.gap_in(-LIMIT, LIMIT))), None)
        finite = any(line.series.y_bounds(*span) for line in self.lines if (span := line.series.x_bounds()))
        if gap is not None and not finite:
            return f"nothing but NaN since {self.x_label} {position(gap)}"
        return "nothing above zero for a log axis" if how.log_y or how.log_x else words

    def entries(self, how: How) -> list[Entry]:
        """The legend: last values, or those under the crosshair."""
        entries = []
        for place, line in enumerate(self.lines):
            series = self.drawn(line, how)
            point = series.last if how.cursor is None else series.nearest(how.cursor)
            if point is None:
                value = "\u2013"
            elif line.value and how.cursor is None:
                value = line.value
            else:
                value = spoken(point[1], percent=self.percent)
            mark = mark_of(place, dashes=how.no_colour or how.ascii_only, ascii_only=how.ascii_only)
            entries.append(Entry(name=line.name, colour=line.colour, value=value, mark=mark))
        return entries

    def outline(self, series: PointSeries, width: int, how: How) -> list[float | None]:
        """So many values that tell how it went: all of them, or the last one in each column."""
        view = self.across(how)
        return series.newest(width) if view is None or len(series) <= width else series.ends(view.edges(width))

    def beside(self, x: float, direction: int, cells: int, how: How) -> float | None:
        """The next point of the longest line that is at least one cell away; None at its end."""
        series = max((line.series for line in self.lines), key=len, default=None)
        view = self.across(how)
        following = series.beside(x, direction) if series else None
        if series is None or view is None or following is None:
            return None
        far = series.nearest(view.x_at(view.across(x) + direction / max(1, cells)))
        return far[0] if far and (far[0] - following) * direction > 0 else following

    def at(self, share: float, how: How) -> float | None:
        """The x of the point of the longest line that is nearest to a share of the width, and in view if one is."""
        series = max((line.series for line in self.lines), key=len, default=None)
        view = self.across(how)
        point = series.nearest(view.x_at(min(1.0, max(0.0, share)))) if series and view else None
        if series is None or view is None or point is None:
            return None
        x = point[0]
        inward = series.beside(x, 1 if x < view.x0 else -1) if not view.x0 <= x <= view.x1 else x
        return inward if inward is not None and view.x0 <= inward <= view.x1 else x
