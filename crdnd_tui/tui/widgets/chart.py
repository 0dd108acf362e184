"""Curves over steps or epochs: follows the newest point until someone zooms; every key of it works by mouse, too.

Screens hand over lines; what is drawn is worked out only when the data, the size, the view or the theme changed.
"""

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from crdnd_tui.chart import plot
from crdnd_tui.core.format import position
from crdnd_tui.core.palette import Palette, named
from crdnd_tui.core.text import one_line
from crdnd_tui.tui.widgets.chart_sheet import How, Line, Sheet
from crdnd_tui.tui.widgets.legend import Styles, few_rows, legend, title

SMOOTHINGS = (0.0, 0.6, 0.9, 0.97, 0.99)
_BORDERS = 6  # cells of a panel's edge that carry no words: corners, a stroke and a space on each side


class Chart(Widget, can_focus=True):
    """Curves with axes, a legend in the border, zoom, smoothing and a crosshair."""

    ALLOW_SELECT = False
    DEFAULT_CSS = "Chart { height: 1fr; min-height: 1; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "log_y", "Log Y", show=False, tooltip="powers of ten upward; what is not positive is a gap"),
        Binding("x", "log_x", "Log X", show=False, tooltip="powers of ten to the right"),
        Binding("s", "smoothing", "Smoothing", show=False, tooltip="off, .6, .9, .97, .99; the band stays raw"),
        Binding("plus,equals_sign", "zoom(0.5)", "Zoom in", show=False, tooltip="around the crosshair, or the middle"),
        Binding("minus", "zoom(2.0)", "Zoom out", show=False, tooltip="until all of it is shown"),
        Binding("0", "reset", "All of it", show=False, tooltip="no zoom, no crosshair, follow the newest point"),
        Binding("left_square_bracket", "pan(-0.25)", "Pan left", show=False, tooltip="when zoomed in"),
        Binding("right_square_bracket", "pan(0.25)", "Pan right", show=False, tooltip="when zoomed in"),
        Binding("comma,left,h", "cross(-1)", "Crosshair left", show=False, tooltip="values at a point, in the legend"),
        Binding("full_stop,right,l", "cross(1)", "Crosshair right", show=False, tooltip="a click sets it, too"),
    ]

    cursor: reactive[float | None] = reactive(None)  # x under the crosshair
    smoothing: reactive[float] = reactive(0.9)
    log_x: reactive[bool] = reactive(False)
    log_y: reactive[bool] = reactive(False)
    ascii_only: reactive[bool] = reactive(False)  # glyphs are translated at the end
    ended: reactive[bool] = reactive(False)  # nothing is waited for any more

    class Moved(Message):
        """Someone moved the crosshair of this chart; None is away."""

        def __init__(self, chart: "Chart", x: float | None) -> None:
            super().__init__()
            self.chart, self.x = chart, x

        @property
        def control(self) -> "Chart":
            """For `@on(Chart.Moved, "#loss")`."""
            return self.chart

    def __init__(
        self,
        title: str,
        *,
        x_label: str = "step",
        percent: bool = False,
        empty: str = "waiting for the first step",
        log_y: bool = False,
        id: str | None = None,
        classes: str = "panel chart",
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._title, self._empty = title, empty
        self._sheet = Sheet(x_label, percent=percent)
        self._strips: list[Strip] | None = None  # None when something changed since
        self._shown: object = None  # the lines and how long they were
        self._said: object = None
        self._place = (0, 0)  # left edge and width of what lies between the axes, in cells
        self._held: tuple[int, bool] | None = None  # column of the pressed mouse, and whether it was dragged
        self.border_title = Content(title)
        self.set_reactive(Chart.log_y, log_y)

    def on_mount(self) -> None:
        """Another theme, another picture."""
        if getattr(getattr(self.app, "session", None), "ascii_only", False):
            self.ascii_only = True
        self.watch(self.app, "theme", self._changed, init=False)
        self._entitle()

    def show(self, lines: Sequence[Line]) -> None:
        """These are the curves now; the same series may have grown."""
        shown = tuple(lines), tuple(len(line.series) for line in lines)
        if shown != self._shown:
            self._shown = shown
            self._sheet.take(lines)
            self._changed()

    # what is shown

    @property
    def palette(self) -> Palette:
        """Of the theme that is on."""
        return named(self.app.theme)

    def _how(self) -> How:
        return How(
            cursor=self.cursor,
            smoothing=self.smoothing,
            log_x=self.log_x,
            log_y=self.log_y,
            no_colour=self.app.no_color,
            ascii_only=self.ascii_only,
        )

    def render_line(self, y: int) -> Strip:
        """From the last picture, or from a new one when something changed."""
        if self._strips is None:
            styles = Styles(self.palette, [line.colour for line in self._sheet.lines], ascii_only=self.ascii_only)
            width, height = self.size
            strips = [styles.strip(row, width) for row in self._rows()]
            self._strips = strips + [styles.strip([], width)] * (height - len(strips))
        return self._strips[y] if y < len(self._strips) else Strip.blank(self.size.width)

    def _rows(self) -> list[plot.Row]:
        how, sheet, size = self._how(), self._sheet, self.size
        if self.outer_size.height < 5 or self.outer_size.width < 16:
            return self._few_rows(how)
        curves = sheet.curves(how)
        view = sheet.view(curves, how)
        if view is None:
            return plot.skeleton(size, self._nothing(how))
        frame = plot.ChartFrame(x_label=sheet.x_label, percent=sheet.percent, cross=self.cursor, gap=sheet.gap(view))
        view = plot.settled(view, size.height, percent=sheet.percent)
        picture = plot.draw(curves, view, size, frame)
        self._place = picture.left, picture.width
        return picture.rows

    def _few_rows(self, how: How) -> list[plot.Row]:
        """The first line that has a value."""
        for place, (line, entry) in enumerate(zip(self._sheet.lines, self._sheet.entries(how), strict=True)):
            series = self._sheet.drawn(line, how)
            if len(series):
                return few_rows(entry, self._sheet.outline(series, self.size.width, how), place, self.size)
        return [[(one_line(self._nothing(how), self.size.width), plot.MUTED)]]

    def _nothing(self, how: How) -> str:
        return self._sheet.why_empty("nothing was recorded" if self.ended else self._empty, how)

    def _changed(self, *_: object) -> None:
        """New picture, new words in the border."""
        self._strips = None
        self._entitle()
        self.refresh()

    watch_log_x = watch_log_y = watch_ascii_only = watch_smoothing = watch_cursor = _changed

    def on_resize(self) -> None:
        """The legend may have more room now, or less."""
        self._changed()

    def _entitle(self) -> None:
        if not self.is_attached:
            return
        how, palette, room = self._how(), self.palette, self.outer_size.width - _BORDERS
        notes = [f"EMA {how.smoothing:g}".replace("0.", ".")] * self._sheet.smooths(how)
        notes += ["log"] * self.log_y + ["log x"] * self.log_x + ["zoom"] * self._sheet.window.zoomed
        at = "" if self.cursor is None else f"{self._sheet.x_label} {position(self.cursor)}"
        words = title(self._title, notes, palette, room), legend(self._sheet.entries(how), at, palette, room)
        said = [(part.plain, part.spans) for part in words]
        if said != self._said:
            self._said = said
            self.border_title, self.border_subtitle = words

    # what one may do

    def action_log_y(self) -> None:
        """Powers of ten upward, or not."""
        self.log_y = not self.log_y

    def action_log_x(self) -> None:
        """Powers of ten to the right, or not; all of it is shown again."""
        self._sheet.window.reset()
        self.log_x = not self.log_x

    def action_smoothing(self) -> None:
        """The next factor."""
        self.smoothing = next((factor for factor in SMOOTHINGS if factor > self.smoothing), 0.0)

    def action_zoom(self, factor: float) -> None:
        """Around the crosshair, or the middle."""
        view = self._sheet.across(self._how())
        if view is not None:
            seen = self.cursor is not None and view.x0 <= self.cursor <= view.x1
            self._zoom(factor, self.cursor if seen and self.cursor is not None else view.x_at(0.5))

    def _zoom(self, factor: float, around: float) -> None:
        whole = self._sheet.whole(self._how())
        if whole is not None:
            self._sheet.window.zoom(factor, around, whole, log=self.log_x)
            self._changed()

    def action_pan(self, share: float) -> None:
        """By a share of what is shown."""
        whole = self._sheet.whole(self._how())
        if whole is not None:
            self._sheet.window.pan(share, whole, log=self.log_x)
            self._changed()

    def action_reset(self) -> None:
        """Follow the newest point again."""
        self._sheet.window.reset()
        self._move(None)
        self._changed()

    def action_cross(self, direction: int) -> None:
        """To the next point that is at least one cell away; at first to the newest."""
        how = self._how()
        view = self._sheet.across(how)
        if view is None:
            return
        if self.cursor is None or not view.x0 <= self.cursor <= view.x1:
            self._move(self._sheet.at(1.0, how))
            return
        x = self._sheet.beside(self.cursor, direction, self._place[1], how)
        if x is not None:
            if not view.x0 <= x <= view.x1:
                self.action_pan(direction * 0.25)
            self._move(x)

    def _move(self, x: float | None) -> None:
        if x != self.cursor:
            self.cursor = x
            self.post_message(self.Moved(self, x))

    # the same by mouse

    def _share(self, event: events.MouseEvent) -> float:
        """Where the mouse is between the axes."""
        left, width = self._place
        return (event.x - (self.gutter.left) - left + 0.5) / max(1, width)

    def _wheel(self, event: events.MouseEvent, factor: float) -> None:
        view = self._sheet.across(self._how())
        if view is not None:
            event.stop()
            self._zoom(factor, view.x_at(min(1.0, max(0.0, self._share(event)))))

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Closer, around the mouse."""
        self._wheel(event, 0.8)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Further away."""
        self._wheel(event, 1.25)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """A click or the beginning of a drag."""
        if event.button == 1:
            self._held = event.x, False
            self.capture_mouse()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """The picture goes with the mouse."""
        if self._held and event.x != self._held[0]:
            self.action_pan((self._held[0] - event.x) / max(1, self._place[1]))
            self._held = event.x, True

    def on_mouse_up(self, event: events.MouseUp) -> None:
        """A click without a drag sets the crosshair."""
        if self._held is None:
            return
        dragged = self._held[1]
        self._held = None
        self.release_mouse()
        if not dragged:
            self._move(self._sheet.at(self._share(event), self._how()))
