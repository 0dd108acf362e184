"""The first line of every screen: where one is, and on the right what the machine and the runs are doing."""

from rich.cells import cell_len
from rich.text import Text
from textual.reactive import reactive
from textual.widget import Widget

from crdnd_tui.core.palette import named

PLACES = tuple(
    (str(key), name) for key, name in enumerate(("Runs", "New", "Live", "Compare", "Examples", "Queue", "Studies"), 1)
)
BRAND = " crdnd "

GAP = "   "  # between the parts of a note


class Head(Widget):
    """`1 Runs  2 New  ...` with the place in front lit, and a note at the right edge."""

    ALLOW_SELECT = False
    DEFAULT_CSS = "Head { height: 1; dock: top; background: $surface; }"
    note: reactive[str] = reactive("")  # right: GPU strip, runs at work

    def __init__(self, place: str) -> None:
        super().__init__()
        self._place = place

    def on_mount(self) -> None:
        """Redraw with another theme, and with what the app learns of the machine."""
        self.watch(self.app, "theme", self._redraw, init=False)
        if hasattr(self.app, "machine_note"):
            self.watch(self.app, "machine_note", self._noted)

    def _redraw(self, _theme: str) -> None:
        self.refresh()

    def _noted(self, note: str) -> None:
        self.note = note

    def render(self) -> Text:
        """As many names as the width carries; digits alone in a narrow terminal. The last words of the note come
        before our own name."""
        palette, width = named(self.app.theme), self.size.width
        parts = self.note.split(GAP)
        least = cell_len(parts[-1]) + 2 if parts[-1] else 0
        line = Text(no_wrap=True)
        brand, places = self._front(width, least)
        line.append(brand, f"bold {palette.accent}")
        line.append_text(places)
        room = width - cell_len(line.plain) - 1
        while parts and cell_len(GAP.join(parts)) >= room:
            parts.pop(0)  # what is last is what must be known
        note = GAP.join(parts)
        if note:
            line.append(" " * (room - cell_len(note)) + note, palette.muted)
        line.truncate(width)
        return line

    def _front(self, width: int, least: int) -> tuple[str, Text]:
        """Our name and the places, as far as they fit; with `least` cells for a note if that is possible."""
        for names in (True, False):
            places = self._places(names)
            for room in (least, 0):
                for brand in (BRAND, ""):
                    if cell_len(brand) + cell_len(places.plain) + room <= width:
                        return brand, places
        return BRAND, self._places(False)

    def _places(self, names: bool) -> Text:
        palette, text = named(self.app.theme), Text()
        known = any(name == self._place for _, name in PLACES)
        for key, name in PLACES:
            here = name == self._place
            text.append(f" {key}", f"bold {palette.accent}" if here else palette.faint)
            if names or here:
                text.append(f" {name} ", f"bold {palette.text}" if here else palette.muted)
        if not known:
            text.append(f"  {self._place}", f"bold {palette.text}")
        return text
