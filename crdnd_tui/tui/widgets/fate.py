"""Why a run does not go on: the reason, what to do, the end of its log. And the card of a screen without a run."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from crdnd_tui.core.text import one_line, wrapped
from crdnd_tui.tui.widgets.cells import Cells, Row
from crdnd_tui.tui.widgets.log_tail import folded
from crdnd_tui.tui.widgets.status_line import colour_of

_LEAST_OF_LOG = 15  # rows


@dataclass(frozen=True, kw_only=True)
class Reason:
    """In words; `next` are pairs of key and what it does."""

    role: str = ""  # good, warn, bad or accent
    title: str = ""
    why: str = ""
    hint: str = ""
    command: str = ""
    next: Sequence[tuple[str, str]] = ()
    log: Sequence[str] = ()
    log_title: str = "the end of engine.log"


class Fate(Cells):
    """The most telling first, so that a small terminal has it, too."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._reason = Reason()

    def show(self, reason: Reason) -> None:
        """Of this run."""
        if reason != self._reason:
            self._reason, self.top = reason, 0
            self.redraw()

    def draw(self, width: int, height: int) -> list[Row]:
        palette, reason = self.palette, self._reason
        self.name_it(reason.title)
        look = colour_of(reason.role, palette)
        rows: list[Row] = [[(line, f"bold {look}")] for line in _lines(reason.why, width)]
        if reason.hint:
            rows += [[(line, palette.text)] for line in _lines(reason.hint, width)]
        if reason.command:
            rows += [[], [("$ ", palette.muted), (reason.command, f"bold {palette.text}")]]
        if reason.next:
            line = [
                part
                for key, word in reason.next
                for part in ((f"{key} ", palette.accent), (f"{word}   ", palette.muted))
            ]
            rows += [[], line]
        if reason.log:
            rows += [[], [(reason.log_title, palette.muted)]]
            room = max(_LEAST_OF_LOG, height - len(rows))  # its end is what counts
            rows += [[(piece, palette.text)] for piece in _pieces(reason.log, width)[-room:]]
        return rows


def _pieces(log: Sequence[str], width: int) -> list[str]:
    """Its lines, folded."""
    made: list[str] = []
    for words in log:
        first, *rest = folded(words.expandtabs(4), max(8, width - 2)) or [""]
        made += [first, *(f"  {piece}" for piece in rest)]
    return made


def _lines(words: str, width: int) -> list[str]:
    made: list[Text] = wrapped(one_line(words, 2000), width, indent="", hang="") if words else []
    return [line.plain for line in made]
