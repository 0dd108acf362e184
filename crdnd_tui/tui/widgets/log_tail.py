"""The end of the engine's log. It stays at the end while more comes, until it is scrolled back.

Where there is room lines are folded; else they end in an ellipsis, so that the newest ones are all in sight.
"""

from collections.abc import Sequence
from typing import ClassVar, NamedTuple, Protocol

from rich.cells import cell_len

from crdnd_tui.core.text import first_line
from crdnd_tui.tui.widgets.cells import Cells, Row

_FOLDED_FROM = 12  # rows


class Line(Protocol):
    """A line of the log, safe to show."""

    @property
    def time(self) -> str:
        """Of the day; empty where there is none."""

    @property
    def words(self) -> str:
        """What is said."""

    @property
    def weight(self) -> str:
        """event, plain, warning or error."""


class _Look(NamedTuple):
    sign: str
    colour: str


class LogTail(Cells):
    """Times in grey, warnings and errors with a sign."""

    FOLLOWS: ClassVar[bool] = True

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id, title="Log")
        self._lines: Sequence[Line] = ()

    def show(self, lines: Sequence[Line]) -> None:
        """All lines that are kept."""
        if lines is not self._lines:
            self._lines = lines
            self.redraw()

    def draw(self, width: int, height: int) -> list[Row]:
        palette = self.palette
        warnings = sum(line.weight == "warning" for line in self._lines)
        errors = sum(line.weight == "error" and bool(line.time) for line in self._lines)
        many = [f"{n} {word}{'s' if n > 1 else ''}" for n, word in ((errors, "error"), (warnings, "warning")) if n]
        self.name_it("Log", "  ".join(many))
        if not self._lines:
            return [[("the engine has written nothing yet", palette.muted)]]
        looks = {
            "warning": _Look("! ", palette.warn),
            "error": _Look("\u2717 ", palette.bad),
            "event": _Look("", palette.text),
            "plain": _Look("", palette.muted),
        }
        rows: list[Row] = []
        for line in self._lines:
            look = looks.get(line.weight, looks["plain"])
            time = f"{line.time} " if line.time and width > 30 else ""
            sign = look.sign if line.time or line.weight == "warning" else ""
            words = line.words.expandtabs(4).replace("\n", " ")
            if line.weight == "warning":
                words = words.removeprefix("warning: ")
            first, *rest = self._pieces(words, width - len(time) - len(sign), height)
            rows.append([(time, palette.muted), (sign + first, look.colour)])
            rows += [[(" " * len(time + sign) + piece, look.colour)] for piece in rest]
        return rows

    @staticmethod
    def _pieces(words: str, room: int, height: int) -> list[str]:
        """The whole line in pieces, or as much of it as fits."""
        if cell_len(words) <= room or room < 8:
            return [words]
        if height >= _FOLDED_FROM:
            return folded(words, room)
        close = words.replace("  ", " ") if words[0] != " " else words
        return [close if cell_len(close) <= room else folded(words, room - 2)[0] + " \u2026"]


def folded(words: str, room: int) -> list[str]:
    """Pieces of at most `room` cells, broken between fields or words if possible; the first keeps its indent."""
    pieces: list[str] = []
    while len(fits := first_line(words, room)) < len(words):
        end = _break(fits, words[len(fits)])
        pieces.append(words[:end].rstrip())
        words = words[end:].lstrip()
    return [*pieces, words] if words else pieces


def _break(fits: str, following: str) -> int:
    """Where to end a line of which this much fits."""
    field = len(fits.rstrip()) if fits.endswith(" ") and following == " " else fits.rfind("  ")
    if field > len(fits) // 2:
        return field
    space = len(fits) if following == " " else fits.rfind(" ")
    return space if fits[: max(0, space)].strip() else len(fits)
