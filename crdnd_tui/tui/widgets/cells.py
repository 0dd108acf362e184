"""The ground of the widgets that draw their own cells: lines are made once, and again only when something changed."""

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.strip import Strip

from crdnd_tui.core.palette import Palette, named
from crdnd_tui.core.text import display
from crdnd_tui.tui.widgets.selectable import SelectableLines

Part = tuple[str, str]  # words, and a rich style in the palette's colours
Row = Sequence[Part]


class Cells(SelectableLines, can_focus=True):
    """Subclasses give rows from `draw`; what does not fit is scrolled to, where `draw` gives more than fits."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("pageup", "move(-10)", "Page up", show=False),
        Binding("pagedown", "move(10)", "Page down", show=False),
        Binding("home", "edge(-1)", "To the beginning", show=False),
        Binding("end", "edge(1)", "To the end", show=False),
    ]
    FOLLOWS: ClassVar[bool] = False  # stays at the end while more comes

    def __init__(self, *, id: str, title: str = "") -> None:
        super().__init__(id=id, classes="panel")
        self.border_title = Content(title)
        self.top = 0  # first row that is shown
        self._strips: list[Strip] | None = None
        self._drawn_for = (0, 0)
        self._at_end = True
        self._named = ("", "")
        self.rows = 0

    @property
    def palette(self) -> Palette:
        """Of the theme that is on."""
        return named(self.app.theme)

    @property
    def ascii_only(self) -> bool:
        """Whether the terminal has letters only."""
        return bool(getattr(getattr(self.app, "session", None), "ascii_only", False))

    def on_mount(self) -> None:
        """Redraw with another theme."""
        self.watch(self.app, "theme", self._themed, init=False)

    def _themed(self, _theme: str) -> None:
        self.redraw()

    def draw(self, width: int, height: int) -> Sequence[Row]:
        """All rows, which may be more than `height`."""
        raise NotImplementedError

    def redraw(self) -> None:
        """What is shown has changed."""
        self._strips = None
        self.refresh()

    def name_it(self, title: str, subtitle: str = "") -> None:
        """Words on the border, after this drawing; what a file says stays words."""
        one, two = display(title, 120), display(subtitle, 160)
        if (one, two) != self._named:
            self._named = (one, two)
            self.call_later(self._put_names)

    def _put_names(self) -> None:
        self.border_title, self.border_subtitle = map(Content, self._named)

    def on_resize(self) -> None:
        """Lines are made for a width."""
        self._strips = None

    def line_at(self, y: int) -> Strip:
        """One line, which always fills the width."""
        width, height = self.size
        if self._strips is None or self._drawn_for != (width, height):
            self._drawn_for = (width, height)
            self._strips = [_strip(row, width, self._ground()) for row in self.draw(width, height)]
            self.rows = len(self._strips)
            self._stay_inside(height)
        place = y + self.top
        return (
            self._strips[place] if place < len(self._strips) else Strip([Segment(" " * width, self._ground())], width)
        )

    def _ground(self) -> Style:
        return style(f"on {self.palette.background}")

    def _stay_inside(self, height: int) -> None:
        most = max(0, self.rows - height)
        self.top = most if self.FOLLOWS and self._at_end else min(self.top, most)

    def action_move(self, rows: int) -> None:
        """Scroll."""
        most = max(0, self.rows - self.size.height)
        self.top = min(most, max(0, self.top + rows))
        self._at_end = self.top == most
        self.refresh()

    def action_edge(self, direction: int) -> None:
        """To the first or last row."""
        self.action_move(direction * 1_000_000)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """The wheel scrolls this panel alone."""
        event.stop()
        self.action_move(2)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """The wheel scrolls this panel alone."""
        event.stop()
        self.action_move(-2)


_styles: dict[str, Style] = {}


def style(words: str) -> Style:
    """A style, parsed once."""
    known = _styles.get(words)
    if known is None:
        if len(_styles) > 4096:
            _styles.clear()
        known = _styles[words] = Style.parse(words or "default")
    return known


def _strip(row: Row, width: int, ground: Style) -> Strip:
    segments = [Segment(words, ground + style(look)) for words, look in row if words]
    return Strip(segments).adjust_cell_length(width, ground).simplify()


_COLOURS = {"dim": "muted", "yellow": "warn", "bright_blue": "accent", "red": "bad", "green": "good", "cyan": "accent"}


def parts(line: Text, palette: Palette, start: int = 0) -> list[Part]:
    """A line of the report in the palette's colours, from a cell on."""
    base = str(line.style)
    edges = sorted({0, len(line.plain), *(edge for span in line.spans for edge in (span.start, span.end))})
    made: list[Part] = []
    for low, high in pairwise(edges):
        look = next((str(span.style) for span in line.spans if span.start <= low < span.end), base)
        words = " ".join(getattr(palette, _COLOURS[word]) if word in _COLOURS else word for word in look.split())
        made.append((line.plain[max(low, start) : high], words if look != "bold" else f"bold {palette.text}"))
    return [(words, look or palette.text) for words, look in made if words]


def fit(row: Sequence[Part], width: int) -> bool:
    """Whether a row fits."""
    return sum(cell_len(words) for words, _ in row) <= width
