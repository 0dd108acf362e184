"""Rows of one line or more with a cursor that stays on its row when others come and go."""

from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from crdnd_tui.core.palette import named
from crdnd_tui.tui.widgets.selectable import SelectableLines

Rows = Sequence[tuple[str, Sequence[Text]]]


class QueueList(SelectableLines, ScrollView, can_focus=True):
    """Rows are (key, lines); one without a key is never under the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "step(-1)", "Up", show=False),
        Binding("down,j", "step(1)", "Down", show=False),
        Binding("home,g", "step(-100000)", "First", show=False),
        Binding("end,G", "step(100000)", "Last", show=False),
    ]

    class Edge(Message):
        """The cursor would leave the list, up (-1) or down (1)."""

        def __init__(self, direction: int) -> None:
            super().__init__()
            self.direction = direction

    def __init__(self, *, id: str, classes: str = "panel") -> None:
        super().__init__(id=id, classes=classes)
        self._rows: Rows = ()
        self._lines: list[tuple[str, Text]] = []
        self._fill: Callable[[int], Rows] = lambda _: ()
        self.cursor = ""  # key of the row under it
        self._words: tuple[str, str] = ("", "")

    @property
    def keys(self) -> list[str]:
        """Of all rows that can be under the cursor."""
        return [key for key, _ in self._rows if key]

    def show(self, fill: Callable[[int], Rows]) -> None:
        """The rows that `fill` makes for a width; a cursor whose row is gone goes to the one in its place."""
        self._fill = fill
        self._build()

    def on_resize(self) -> None:
        """Columns are fitted to the width."""
        self._build()

    def _build(self) -> None:
        """Only lines that changed are drawn again: a look at the queue every other second costs a terminal nothing."""
        keys, lines, cursor = self.keys, self._lines, self.cursor
        self._rows = self._fill(max(10, self.scrollable_content_region.width))
        self._lines = [(key, line) for key, of in self._rows for line in of]
        if self.cursor not in self.keys:
            place = keys.index(self.cursor) if self.cursor in keys else 0
            self.cursor = self.keys[min(place, len(self.keys) - 1)] if self.keys else ""
        if len(lines) != len(self._lines) or cursor != self.cursor:
            self.virtual_size = Size(1, len(self._lines))
            self.refresh()
            return
        for y, (old, new) in enumerate(zip(lines, self._lines, strict=True)):
            if old != new or old[1].style != new[1].style:
                self.refresh_lines(y)

    def entitle(self, title: str, more: str) -> None:
        """Words in the border; drawn again only when they are others."""
        if (title, more) != self._words:
            self._words = title, more
            self.border_title, self.border_subtitle = Content(title), Content(more)

    def on_mount(self) -> None:
        """Redraw in another theme's colours."""
        self.watch(self.app, "theme", self._redraw, init=False)

    def _redraw(self, _theme: str) -> None:
        self.refresh()

    def put(self, key: str) -> None:
        """The cursor on this row, which is scrolled into view."""
        if key in self.keys:
            self.cursor = key
            lines = [y for y, (of, _) in enumerate(self._lines) if of == key]
            self.scroll_to_region(Region(0, lines[0], 1, len(lines)), animate=False)
            self.refresh()

    def action_step(self, by: int) -> None:
        """So many rows further, or out of the list."""
        keys = self.keys
        place = keys.index(self.cursor) + by if self.cursor in keys else -1
        if abs(by) == 1 and not 0 <= place < len(keys):
            self.post_message(self.Edge(by))
        elif keys:
            self.put(keys[min(max(place, 0), len(keys) - 1)])

    def on_click(self, event: events.Click) -> None:
        """The row under the pointer."""
        y = event.y + self.scroll_offset.y
        if 0 <= y - self.gutter.top < len(self._lines):
            self.put(self._lines[y - self.gutter.top][0])

    def line_at(self, y: int) -> Strip:
        """One line; the cursor's row has the colour of a selection while the list has the focus."""
        palette, width = named(self.app.theme), self.scrollable_content_region.width
        place = y + self.scroll_offset.y
        ground = Style(bgcolor=palette.background, color=palette.text)
        if place >= len(self._lines):
            return Strip([Segment(" " * width, ground)], width)
        key, text = self._lines[place]
        under = bool(key) and key == self.cursor and self.has_focus
        base = Style(bgcolor=palette.selection if under else palette.background, color=palette.text, bold=under or None)
        parts = text.render(self.app.console, end="")
        segments = [Segment(part.text, base + (part.style or Style.null())) for part in parts]
        return Strip(segments).adjust_cell_length(width, base)
