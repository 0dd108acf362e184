"""Where the time of a training goes, as one line: a stacked bar, its parts with their shares, and what is switched on.

What does not fit is shortened from the right: long names first, then switches, then the bar. The shares stay longest.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.text import Text

from crdnd_tui.core import fast_path
from crdnd_tui.core.fast_path import TrainingProfile
from crdnd_tui.core.format import whole_percent
from crdnd_tui.core.palette import Palette

_LONGEST, _GOOD, _LEAST = 48, 16, 8  # cells of the bar
PLACES = {"teacher": 1, "inner": 0, "outer": 2, "data": 3, "other": 7}
"""In the palette's series: each part has one colour wherever it is shown."""
_LABEL = "time "


class Marks(NamedTuple):
    """What the bar is drawn with; where colours cannot tell the parts apart, each has a mark of its own."""

    of: dict[str, str]
    named: bool  # whether a part's mark stands before its name, too


COLOURED = Marks(dict.fromkeys(fast_path.TITLES, "\u2501"), named=False)
COLOURLESS = Marks(dict(zip(fast_path.TITLES, "\u2588\u2593\u2592\u2591\u2591", strict=True)), named=True)
ASCII = Marks(dict(zip(fast_path.TITLES, "#=+-.", strict=True)), named=True)


def time_line(spent: TrainingProfile, marks: Marks, palette: Palette, width: int) -> Text:
    """One line of at most `width` cells."""
    for parts, said, least in _ways(spent, marks, palette):
        rest = width - cell_len(parts.plain) - cell_len(said.plain) - 3 * bool(parts and said)
        room = min(_LONGEST, rest - len(_LABEL) - 2)
        if rest >= 0 and (room >= least or not (least and parts)):
            line = Text(no_wrap=True)
            if parts and room >= _LEAST:
                line = Text.assemble((_LABEL, palette.muted), _bar(spent, marks, palette, room), "  ")
            line.append_text(parts)
            line.append(" " * (width - cell_len(line.plain) - cell_len(said.plain)) if parts and said else "")
            return line.append_text(said)
    line = _parts(spent, marks, palette, short=True, tight=True) or _switches(spent.short, 0, palette)
    line.truncate(width, overflow="ellipsis")
    return line


def _ways(spent: TrainingProfile, marks: Marks, palette: Palette) -> Iterator[tuple[Text, Text, int]]:
    """Parts, switches, and the shortest bar they may stand with, if any; first what needs most room."""
    for short in (False, True):
        yield _parts(spent, marks, palette, short=short), _switches(spent.words, 0, palette), _GOOD
    for left in range(len(spent.short)):
        words = _switches(spent.short[: len(spent.short) - left], left, palette)
        yield _parts(spent, marks, palette, short=True, tight=bool(left)), words, _LEAST
    if spent.shares:
        yield _parts(spent, marks, palette, short=True, tight=True), Text(), 0


def _parts(spent: TrainingProfile, marks: Marks, palette: Palette, *, short: bool, tight: bool = False) -> Text:
    """`teacher 27 %  inner maximisation 54 %`; tight, the unit stands once, at the end."""
    line = Text(no_wrap=True)
    names = {part: part if short else fast_path.TITLES[part] for part in spent.shares}
    for part, share in spent.shares.items():
        line.append("  " if line.plain and not tight else " " if line.plain else "")
        mark = f"{marks.of[part]} " if marks.named else ""
        line.append(f"{mark}{names[part]} ", _colour(part, palette))
        line.append(whole_percent(share), palette.text)
        line.append(" %" if not tight else "", palette.muted)
    line.append(" %" if tight and line.plain else "", palette.muted)
    return line


def _switches(words: Sequence[str], left: int, palette: Palette) -> Text:
    """Beside each other, and how many more there are."""
    line = Text(" \u00b7 ".join(words), palette.text, no_wrap=True)
    line.append(f" +{left}" if left else "", palette.muted)
    return line


def _bar(spent: TrainingProfile, marks: Marks, palette: Palette, room: int) -> Text:
    line = Text(no_wrap=True)
    for part, length in fast_path.cells(spent.shares, room).items():
        line.append(marks.of[part] * length, _colour(part, palette))
    line.append((" " if marks.named else "\u2500") * (room - cell_len(line.plain)), palette.faint)
    return line


def _colour(part: str, palette: Palette) -> str:
    return palette.series[PLACES[part]]
