"""A widget that draws all its lines at once and keeps them until something changes."""

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.app import App
from textual.geometry import Size
from textual.strip import Strip

from crdnd_tui.core.palette import Palette, named
from crdnd_tui.tui.widgets.picture import Look
from crdnd_tui.tui.widgets.selectable import SelectableLines

Line = list[Segment]


def in_colour(app: App[object]) -> bool:
    """Whether pictures may use true colours: not without colour, or in ASCII."""
    return not (app.no_color or getattr(getattr(app, "session", None), "ascii_only", False))


class Easel(SelectableLines):
    """Subclasses make their lines in `draw`; what is narrower than the widget is filled with its ground."""

    def __init__(self, *, id: str, classes: str = "panel") -> None:
        super().__init__(id=id, classes=classes)
        self._drawn: list[Line] | None = None
        self._drawn_for = Size(0, 0)

    def on_mount(self) -> None:
        """A new theme is a new picture."""
        self.watch(self.app, "theme", self.redraw, init=False)

    def redraw(self) -> None:
        """What is shown has changed."""
        self._drawn = None
        self.refresh()

    @property
    def palette(self) -> Palette:
        """Of the theme that is on."""
        return named(self.app.theme)

    @property
    def ground(self) -> Style:
        """Beneath everything."""
        return Style(color=self.palette.text, bgcolor=self.palette.background)

    @property
    def look(self) -> Look:
        """How pictures can be shown here."""
        return "colour" if in_colour(self.app) else "ramp"

    def draw(self, width: int, height: int) -> list[Line]:
        """At most `height` lines."""
        return []

    def line_at(self, y: int) -> Strip:
        """One of them."""
        if self._drawn is None or self._drawn_for != self.size:
            self._drawn, self._drawn_for = self.draw(*self.size), self.size
        segments = self._drawn[y] if y < len(self._drawn) else []
        ground = self.ground
        lined = [Segment(s.text, ground + s.style if s.style else ground) for s in segments]
        return Strip(lined).adjust_cell_length(self.size.width, ground)

    def text(self, text: Text, width: int = 0, align: str = "left") -> Line:
        """A line of words, cut or filled to `width` cells when one is given."""
        text = Text().append_text(text)  # a style of the whole text is drawn only where it is a span
        if width:
            text.truncate(width, overflow="ellipsis")
            text.align("center" if align == "center" else "left", width)
        return list(text.render(self.app.console, end=""))

    def space(self, width: int) -> Line:
        """Empty cells."""
        return [Segment(" " * width, self.ground)] if width > 0 else []


def beside(columns: list[list[Line]], widths: list[int], gap: int, ground: Style) -> list[Line]:
    """Blocks of lines next to each other, each filled to its width."""
    lines: list[Line] = []
    for y in range(max((len(column) for column in columns), default=0)):
        line: Line = []
        for place, (column, width) in enumerate(zip(columns, widths, strict=True)):
            if place and gap:
                line.append(Segment(" " * gap, ground))
            line += Segment.adjust_line_length(column[y] if y < len(column) else [], width, style=ground)
        lines.append(line)
    return lines


def centred(lines: list[Line], width: int, ground: Style) -> list[Line]:
    """Lines of equal width in the middle of a wider space."""
    sides = [max(0, width - Segment.get_line_length(line)) // 2 for line in lines]
    return [[Segment(" " * side, ground), *line] if side else line for side, line in zip(sides, lines, strict=True)]
