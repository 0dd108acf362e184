"""Breaking words into lines of so many cells, without losing any of them."""

import re

from rich.cells import cell_len

from crdnd_tui.core.text import first_line

_GLUE = ("\u00a0", "\u2009", "\u202f")  # spaces at which no line is broken
_BREAKS = re.compile(r"(?<=[-/_.:,=])(?=\w)|(?<=[a-z])(?=[A-Z])")


def wrap(text: str, width: int) -> list[str]:
    """Lines of at most `width` cells, at spaces; a longer word after a hyphen, a slash or the like, else anywhere."""
    lines: list[str] = []
    line = ""
    for word in text.split(" "):
        longer = f"{line} {word}" if line else word
        if cell_len(longer) <= width:
            line = longer
            continue
        if line:
            lines.append(line)
        *whole, line = _pieces(word, max(1, width))
        lines += whole
    for glue in _GLUE:
        lines, line = [made.replace(glue, " ") for made in lines], line.replace(glue, " ")
    return [*lines, line] if line or not lines else lines


def longest(text: str) -> int:
    """Cells of the longest part that `wrap` would rather not break."""
    return max((cell_len(part) for word in text.split(" ") for part in _BREAKS.split(word)), default=0)


def parts(word: str, most: int = 12) -> list[str]:
    """A word in the parts between which it is best broken, none of them longer than `most`; a short one is whole."""
    if len(word) <= most:
        return [word]
    return [part[at : at + most] for part in _BREAKS.split(word) for at in range(0, len(part), most)]


def fill(text: str, width: int, *, right: bool = False) -> str:
    """The text filled with spaces to `width` cells."""
    spaces = " " * max(0, width - cell_len(text))
    return spaces + text if right else text + spaces


def _pieces(word: str, width: int) -> list[str]:
    """A word in pieces of at most `width` cells."""
    pieces: list[str] = []
    piece = ""
    for part in _BREAKS.split(word):
        if cell_len(piece + part) <= width:
            piece += part
            continue
        if piece:
            pieces.append(piece)
        rest = part
        while len(head := first_line(rest, width)) < len(rest):
            pieces.append(head)
            rest = rest[len(head) :]
        piece = rest
    return [*pieces, piece] if piece or not pieces else pieces
