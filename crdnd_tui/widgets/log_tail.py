"""The end of the engine's log. It stays at the end while more comes, until it is scrolled back."""

from collections.abc import Sequence
from typing import ClassVar, NamedTuple, Protocol

from crdnd_tui.widgets.cells import Cells, Part, Row


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
            row: list[Part] = [(f"{line.time} ", palette.muted)] if line.time and width > 30 else []
            words = line.words.expandtabs(4).replace("\n", " ")
            if line.weight == "warning":
                words = words.removeprefix("warning: ")
            rows.append(
                [*row, (look.sign if line.time or line.weight == "warning" else "", look.colour), (words, look.colour)]
            )
        return rows
