"""The run under the cursor in three panels: what it is, how its loss went or its last words, what the attacks left."""

import textwrap
from collections.abc import Iterable, Sequence

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Container
from textual.content import Content
from textual.message import Message
from textual.strip import Strip
from textual.widgets import Static

from crdnd_tui.chart import plot
from crdnd_tui.chart.axes import PlotView
from crdnd_tui.chart.plot import Curve
from crdnd_tui.chart.series import PointSeries
from crdnd_tui.core.palette import named
from crdnd_tui.tui.widgets.selectable import SelectableLines

Points = Sequence[tuple[float, float | None]]


class LossCurve(SelectableLines):
    """The loss by step; or the last words of an engine that died."""

    def __init__(self) -> None:
        super().__init__(id="curve", classes="panel")
        self._series, self._words, self._waits = PointSeries(), (), ""  # type: tuple[PointSeries, Sequence[str], str]
        self._drawn: tuple[object, list[list[Segment]]] | None = None

    def on_mount(self) -> None:
        """Another theme, another picture."""
        self.watch(self.app, "theme", self._redraw, init=False)

    def _redraw(self, _theme: str = "") -> None:
        self._drawn = None
        self.refresh()

    def show(self, points: Points, words: Sequence[str], waits: str) -> None:
        """`words` stand in place of the curve; `waits` is said while there is neither."""
        self._series, self._words, self._waits = PointSeries(points), words, waits
        loss = points[-1][1] if points else None
        last = "not finite" if points and loss is None else f"{loss:.4g}" if loss is not None else ""
        self.border_title = "Last words" if words else "Loss"
        self.border_subtitle = "" if words else Content(last)
        self._redraw()

    def line_at(self, y: int) -> Strip:
        """One row of the picture."""
        size, palette = self.size, named(self.app.theme)
        key = (size, palette.name)
        if self._drawn is None or self._drawn[0] != key:
            self._drawn = (key, self._draw(size.width, size.height))
        lines = self._drawn[1]
        ground = Style(color=palette.text, bgcolor=palette.background)
        return Strip(lines[y] if y < len(lines) else []).adjust_cell_length(size.width, ground)

    def _draw(self, width: int, height: int) -> list[list[Segment]]:
        palette = named(self.app.theme)
        colours = {"loss": palette.accent, plot.AXIS: palette.faint, plot.LABEL: palette.muted, plot.BAD: palette.bad}
        if self._words:
            ground = Style(color=palette.muted, bgcolor=palette.background)
            return [[Segment(line[:width], ground)] for line in _wrapped(self._words, width)[-height:]]
        bounds = self._series.x_bounds()
        heights = self._series.y_bounds(*bounds) if bounds else None
        if bounds is None or heights is None or height < 3 or bounds[0] == bounds[1]:
            waits = "no finite loss" if bounds and heights is None else self._waits
            rows = plot.skeleton((width, height), waits) if height >= 2 and width >= 12 else []
        else:
            low, high = heights
            room = (high - low) * 0.05 or abs(high) * 0.05 or 1.0
            view = PlotView(x0=bounds[0], x1=bounds[1], y0=low - room, y1=high + room)
            curve = Curve(series=self._series, key="loss")
            gap = self._series.gap_in(*bounds)
            frame = plot.ChartFrame(gap=(gap[0], "not finite") if gap else None)
            rows = plot.draw([curve], view, (width, height), frame).rows
        return [
            [
                Segment(text, Style(color=colours.get(name, palette.muted), bgcolor=palette.background))
                for text, name in row
            ]
            for row in rows
        ]


def _wrapped(words: Iterable[str], width: int) -> list[str]:
    """Long lines go on below."""
    return [part for line in words for part in textwrap.wrap(line, max(4, width), subsequent_indent="  ")]


class RunPreview(Container):
    """Three panels beside each other, or below each other where the screen's style says so."""

    class Sized(Message):
        """There is another width to write for."""

    def on_resize(self) -> None:
        """After the panels have theirs."""
        self.call_after_refresh(self.post_message, self.Sized())

    def compose(self) -> ComposeResult:
        yield Static(id="facts", classes="panel", markup=False)
        yield LossCurve()
        yield Static(id="results", classes="panel", markup=False)

    def show(self, title: str, facts: Text, results: Text, n: str) -> None:
        """The words of the first and the last panel."""
        first, last = self.query_one("#facts", Static), self.query_one("#results", Static)
        first.border_title = Content(title)
        first.update(facts)
        last.border_title, last.border_subtitle = "Results", Content(n)
        last.update(results)

    @property
    def curve(self) -> LossCurve:
        """The middle panel."""
        return self.query_one(LossCurve)

    @property
    def widths(self) -> tuple[int, int]:
        """Cells inside the first and the last panel; 0 before they were laid out."""
        return self.query_one("#facts").content_size.width, self.query_one("#results").content_size.width
