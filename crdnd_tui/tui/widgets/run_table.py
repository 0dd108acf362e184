"""A table of many rows that draws only those in sight. It is handed keys, and asks for a row's cells when it draws it.

The cursor stays on its key when rows move, and where it is on the screen as far as it can.
"""

import re
from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from crdnd_tui.core.palette import Palette, named
from crdnd_tui.tui.runs.columns import MARKS, Cell, Column, Line, fit, middle
from crdnd_tui.tui.widgets.selectable import SelectableLines


class RunTable(SelectableLines, ScrollView, can_focus=True):
    """Keys, columns and a function that gives the line of a key."""

    DEFAULT_CSS = "RunTable { height: 1fr; overflow-x: hidden; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Row up", show=False),
        Binding("down,j", "move(1)", "Row down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home", "end(0)", "First row", show=False),
        Binding("end", "end(1)", "Last row", show=False),
        Binding("left,h", "fold(False)", "Close group", show=False),
        Binding("right,l", "fold(True)", "Open group", show=False),
        Binding("enter", "open", "Open", tooltip="the run on Live; a group's rows on and off"),
    ]

    class Moved(Message):
        """The cursor is on another key."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    class Opened(Message):
        """Enter or a double click."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    class Folded(Message):
        """A group is to be closed or opened."""

        def __init__(self, key: str, is_open: bool) -> None:
            super().__init__()
            self.key, self.is_open = key, is_open

    class TitlePressed(Message):
        """Of a column."""

        def __init__(self, column: str) -> None:
            super().__init__()
            self.column = column

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._keys: Sequence[str] = ()
        self._columns: Sequence[Column] = ()
        self._line: Callable[[str], Line] = lambda _key: Line()
        self._sorted: tuple[str, bool] = ("", True)
        self._place = 0
        self._strips: dict[tuple[int, int], Strip] = {}
        self._fitted: tuple[list[tuple[Column, int]], int] | None = None
        self._fitted_to = -1

    @property
    def key(self) -> str:
        """Under the cursor; empty when there are no rows."""
        return self._keys[self._place] if self._keys else ""

    @property
    def shown_columns(self) -> list[str]:
        """Keys of the columns that the width carries now."""
        return [column.key for column, _ in self._layout()[0]]

    def on_mount(self) -> None:
        """Other colours, other strips."""
        self.watch(self.app, "theme", self._themed, init=False)

    def show(
        self, keys: Sequence[str], columns: Sequence[Column], line: Callable[[str], Line], sorted_by: tuple[str, bool]
    ) -> None:
        """New rows; `sorted_by` is a column and whether its values fall."""
        before, place, top = self.key, self._place, self.scroll_offset.y
        self._keys, self._line, self._sorted = keys, line, sorted_by
        if columns != self._columns:
            self._columns, self._fitted = columns, None
        if before and (place >= len(keys) or keys[place] != before):
            try:
                self._place = keys.index(before)
            except ValueError:
                self._place = place
        self._place = max(0, min(self._place, len(keys) - 1))
        self._strips.clear()
        self.virtual_size = Size(self.scrollable_size.width, len(keys) + 1)
        if top and self._place != place:
            self.scroll_to(y=max(0, top + self._place - place), animate=False, immediate=True)
        self._into_sight()
        self.refresh()
        if self.key != before:
            self.post_message(self.Moved(self.key))

    def go(self, key: str) -> None:
        """Put the cursor on this key, when it is there."""
        if key in self._keys:
            self._go(self._keys.index(key))

    def redraw(self) -> None:
        """Lines have changed, keys have not."""
        self._strips.clear()
        self.refresh()

    def _themed(self, _theme: str) -> None:
        self.redraw()

    def _go(self, place: int) -> None:
        before = self.key
        self._place = max(0, min(place, len(self._keys) - 1))
        self._into_sight()
        self.refresh()
        if self.key != before:
            self.post_message(self.Moved(self.key))

    def _into_sight(self) -> None:
        rows, top = max(1, self.size.height - 1), self.scroll_offset.y
        wanted = min(max(top, self._place - rows + 1), self._place)
        if wanted != top:
            self.scroll_to(y=wanted, animate=False, immediate=True)

    def action_move(self, by: int) -> None:
        """Rows up or down."""
        self._go(self._place + by)

    def action_page(self, by: int) -> None:
        """Screens up or down."""
        self._go(self._place + by * max(1, self.size.height - 2))

    def action_end(self, last: int) -> None:
        """The first row or the last."""
        self._go(len(self._keys) - 1 if last else 0)

    def action_open(self) -> None:
        """The row under the cursor."""
        if self._keys:
            self.post_message(self.Opened(self.key))

    def action_fold(self, is_open: bool) -> None:
        """The group under the cursor."""
        if self._keys:
            self.post_message(self.Folded(self.key, is_open))

    def on_resize(self) -> None:
        """The cursor stays in sight."""
        self._strips.clear()
        self.virtual_size = Size(self.scrollable_size.width, len(self._keys) + 1)
        self._into_sight()

    def on_click(self, event: events.Click) -> None:
        """A row is gone to, twice opened; a title sorts."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        if offset.y == 0:
            column = self._column_at(offset.x)
            if column:
                self.post_message(self.TitlePressed(column))
            return
        place = self.scroll_offset.y + offset.y - 1
        if place < len(self._keys):
            self._go(place)
            if event.chain == 2:
                self.action_open()

    def _column_at(self, x: int) -> str:
        columns, gap = self._layout()
        left = MARKS
        for column, width in columns:
            if x < left + width + gap:
                return column.key
            left += width + gap
        return ""

    def _layout(self) -> tuple[list[tuple[Column, int]], int]:
        width = self.scrollable_size.width
        if self._fitted is None or self._fitted_to != width:
            self._fitted, self._fitted_to = fit(self._columns, width - 1), width  # one cell to the border
            self._strips.clear()
        return self._fitted

    def line_at(self, y: int) -> Strip:
        """Titles first, then the rows in sight."""
        palette, width = named(self.app.theme), self.scrollable_size.width
        if y == 0:
            return self._titles(palette, width)
        place = self.scroll_offset.y + y - 1
        if place >= len(self._keys):
            return Strip([Segment(" " * width, Style(bgcolor=palette.background))], width)
        self._layout()
        under = 0 if place != self._place else 2 if self.has_focus else 1
        strip = self._strips.get((place, under))
        if strip is None:
            if len(self._strips) > 2000:
                self._strips.clear()
            strip = self._strips[place, under] = self._row(self._line(self._keys[place]), palette, width, under)
        return strip

    def _titles(self, palette: Palette, width: int) -> Strip:
        columns, gap = self._layout()
        quiet = Style(color=palette.muted, bgcolor=palette.background)
        lit = Style(color=palette.accent, bgcolor=palette.background, bold=True)
        segments = [Segment(" " * MARKS, quiet)]
        for place, (column, room) in enumerate(columns):
            name, falling = self._sorted
            here = name == column.key
            title = column.title
            if here:
                title = (title.rstrip() + ("\u25bc" if falling else "\u25b2")).ljust(len(title))
            text = set_cell_size(title.rjust(room) if column.right else title, room)
            segments += [Segment(" " * (gap if place else 0), quiet), Segment(text, lit if here else quiet)]
        return Strip(segments).adjust_cell_length(width, quiet)

    def _row(self, line: Line, palette: Palette, width: int, under: int) -> Strip:
        columns, gap = self._layout()
        ground = palette.selection if under else palette.panel if line.head else palette.background
        plain = Style(color=palette.text, bgcolor=ground)
        segments = [
            Segment("\u258c" if line.selected else " ", plain + Style(color=palette.accent)),
            Segment(
                f"{chr(0x2605) if line.pinned else line.guide or ' '} ",
                plain + Style(color=palette.warn if line.pinned else palette.muted),
            ),
        ]
        used = MARKS
        for place, (column, room) in enumerate(columns):
            space = gap if place else 0
            if line.says is not None and column.key in line.says_from:
                rest = max(0, width - 1 - used - space)
                cell = line.says
                over = cell_len(cell.text) > rest
                text = set_cell_size(cell.text, rest - 1).rstrip() + "\u2026" if over else cell.text
            else:
                cell = line.cells.get(column.key, Cell())
                text = middle(cell.text, room, cell.keep)
                text = " " * (room - cell_len(text)) + text if column.right else set_cell_size(text, room)
            colour = getattr(palette, cell.role)
            segments.append(Segment(" " * space, plain))
            segments += _struck(text, plain, colour) if cell.struck else [
                Segment(text, plain + Style(color=colour, bold=cell.strong))
            ]  # fmt: skip
            used += space + room
            if line.says is not None and column.key in line.says_from:
                break
        return Strip(segments).adjust_cell_length(width, plain)


def _struck(text: str, plain: Style, colour: str) -> list[Segment]:
    """A number with a line through it, and the spaces and signs around it without one."""
    before, number, after = re.match(r"(\s*)([\d.]*)(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]
    look = plain + Style(color=colour)
    return [Segment(before, look), Segment(number, look + Style(strike=True)), Segment(after, look)]
