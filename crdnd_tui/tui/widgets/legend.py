"""What a chart writes into its border, and what is left of it where there is no room for axes."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.content import Content
from textual.strip import Strip

from crdnd_tui.chart.plot import AXIS, BAD, CROSS, LABEL, MUTED, Row, spark
from crdnd_tui.core.format import compact, number
from crdnd_tui.core.palette import Palette, mix
from crdnd_tui.core.text import one_line, plain

_DASHES = ("\u2501", "\u254d", "\u2505", "\u2509")  # solid, then ever shorter, for terminals without colour


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A curve in the legend."""

    name: str
    colour: str
    value: str
    mark: str = _DASHES[0]


def mark_of(place: int, *, dashes: bool, ascii_only: bool = False) -> str:
    """What stands for a curve: a line in its colour, or its dashes."""
    mark = _DASHES[place % len(_DASHES)] if dashes else _DASHES[0]
    return plain(mark) if ascii_only else mark


def spoken(value: float | None, *, percent: bool) -> str:
    """A value as the legend says it: always as wide as before, so that nothing jumps."""
    if value is None:
        return "nan"
    if percent:
        return f"{100 * value:.1f} %"
    if value == 0 or not 1e-3 <= abs(value) < 1e4:
        return compact(value)
    return number(value, fixed=True).rstrip(".")


def legend(entries: Sequence[Entry], at: str, palette: Palette, width: int) -> Content:
    """`step 5,300  \u2501 total 0.621  \u2501 kd 0.429`; where the border is short it says how many it left out."""
    quiet = palette.muted
    shown = [_entry(entry, palette) for entry in entries]
    head = [Content.styled(at, quiet)] if at else []
    tries = [(len(shown), "  "), *((kept, " ") for kept in range(len(shown), 0, -1))]
    for kept, between in tries:
        if head and between == " ":
            head = [Content.styled(at.rpartition(" ")[2], quiet)]
        more = [Content.styled(f"+{len(shown) - kept}", quiet)] if kept < len(shown) else []
        words = Content(between).join(head + shown[:kept] + more)
        if words.cell_length <= width:
            return words
    return Content("")


def _entry(entry: Entry, palette: Palette) -> Content:
    return Content.assemble(
        (f"{entry.mark} ", entry.colour),
        (one_line(entry.name, 24) + " ", palette.muted),
        (entry.value, palette.bad if entry.value == "nan" else palette.text),
    )


def title(words: str, notes: Sequence[str], palette: Palette, width: int) -> Content:
    """The panel's name, and quietly what was done to its curves."""
    more = "".join(f" \u00b7 {note}" for note in notes)
    if cell_len(words) + cell_len(more) > width:
        more = ""
    return Content.assemble(words, (more, f"not bold {palette.muted}"))


class Styles:
    """From the keys of a plot to the styles of a theme."""

    def __init__(self, palette: Palette, colours: Sequence[str], *, ascii_only: bool = False) -> None:
        self._ground, self._say = palette.background, plain if ascii_only else str
        self._known = {
            "": self._style(palette.text),
            AXIS: self._style(palette.border),
            LABEL: self._style(palette.muted),
            MUTED: self._style(palette.muted),
            CROSS: self._style(palette.muted),
            BAD: self._style(palette.bad),
        }
        for place, colour in enumerate(colours):
            self._known[f"line{place}"] = self._style(colour)
            self._known[f"band{place}"] = self._style(mix(self._ground, colour, 0.34))

    def _style(self, colour: str) -> Style:
        return Style(color=colour, bgcolor=self._ground)

    def strip(self, row: Row, width: int) -> Strip:
        """One row of a plot, as wide as the widget."""
        return (
            Strip([Segment(self._say(text), self._known[key]) for text, key in row])
            .extend_cell_length(width, self._known[""])
            .crop(0, width)
        )


def few_rows(entry: Entry, values: Sequence[float | None], place: int, size: tuple[int, int]) -> list[Row]:
    """A chart without room for axes: the last value and how it came there, side by side or one above the other."""
    width, height = size
    words = one_line(f"{entry.name} {entry.value}", width)
    room, key = width - cell_len(words) - 1, f"line{place}"
    if height > 1:
        return [[(words, "")], [(spark(values, width), key)]]
    return [[(words, ""), (" ", ""), (spark(values, room), key)]] if room >= 4 else [[(words, "")]]
