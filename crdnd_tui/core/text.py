"""Words and numbers as a terminal may show them. Whatever comes from a file passes `display` before it is shown."""

import bisect
import io
import re
import unicodedata
from collections.abc import Container, Sequence
from typing import Any

from rich.cells import cell_len, chop_cells, set_cell_size
from rich.console import Console
from rich.table import Table
from rich.text import Text

MARK = "\ufffd"  # stands for a character that could steer a terminal or hide in a line
MAX_TEXT = 4096  # characters of any one string that a file may show
_GLUE = "\u00a0"  # a space at which no line is broken
_ENDLESS = 100_000  # cells of a line that is never broken
MAX_COMBINING = 4  # marks stacked on one character

_STEERING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 but tab and newline, DEL, C1
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0"  # soft hyphen and invisible letters
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # zero width, separators, bidirectional
    "\ud800-\udfff\U000e0000-\U000e0fff]"  # lone surrogates, tags
)


def display(text: str, limit: int = MAX_TEXT) -> str:
    """The text with every character that could steer a terminal replaced by a visible mark, and not too long.

    Tab and newline stay; `one_line` takes them, too.
    """
    if len(text) > limit:
        text = text[: limit - 1] + "\u2026"
    text = _STEERING.sub(MARK, text)
    return text if text.isascii() else _unstacked(text)


def _unstacked(text: str) -> str:
    """At most a few combining marks on each character."""
    kept: list[str] = []
    stacked = 0
    for character in text:
        stacked = stacked + 1 if unicodedata.category(character) in ("Mn", "Me") else 0
        if stacked <= MAX_COMBINING:
            kept.append(character)
    return "".join(kept)


def safe(value: Any) -> Any:  # noqa: ANN401  any JSON
    """The same with all its words safe to show."""
    match value:
        case str():
            return display(value)
        case list():
            return [safe(item) for item in value]
        case dict():
            return {display(key): safe(item) for key, item in value.items()}
        case _:
            return value


def safe_json(content: bytes, longest: int) -> bytes:
    """JSON with all its words safe to show; ASCII without escapes and of at most `longest` bytes is already.

    ValueError or RecursionError when it is none.
    """
    if len(content) <= longest and content.isascii() and b"\\" not in content and b"\x7f" not in content:
        return content
    import msgspec  # noqa: PLC0415  the help does without it

    return msgspec.json.encode(safe(msgspec.json.decode(content)))


def one_line(text: str, width: int = 200) -> str:
    """The text on one line of at most `width` cells, shortened in its middle, where names differ least."""
    flat = " ".join(display(text).split())
    if cell_len(flat) <= width:
        return flat
    if width < 8:
        return set_cell_size(flat, max(0, width))
    head = (width - 1) // 2
    return set_cell_size(flat, head).rstrip() + "\u2026" + last_cells(flat, width - 1 - head).lstrip()


def last_cells(text: str, width: int) -> str:
    """The end of the text that fills at most `width` cells; measured a dozen times, not once for each character."""
    start = bisect.bisect_left(range(len(text)), True, key=lambda at: cell_len(text[at:]) <= width)
    return text[start:]


def first_line(text: str, width: int) -> str:
    """The beginning of the text that fills at most `width` cells, and at least one character.

    Only as much of the text is measured as can matter: `display` leaves a few combining marks on a character.
    """
    width = max(1, width)
    near = text[: (MAX_COMBINING + 2) * width]
    return (chop_cells(near, width) or [near])[0] or text[:1]


def pad(text: str, width: int) -> str:
    """The text filled with spaces to `width` cells, or cut to them."""
    return set_cell_size(text, width)


def rendered(table: Table, width: int = _ENDLESS) -> list[Text]:
    """Lines of a table of Rich, of at most `width` cells."""
    console = Console(file=io.StringIO(), width=width, legacy_windows=False)
    lines = [Text.assemble(*((part.text, part.style or "") for part in line))
             for line in console.render_lines(table, pad=False)]  # fmt: skip
    for line in lines:
        line.rstrip()
    return lines


def grid_lines(rows: Sequence[Sequence[str | Text]], right: Container[int] = ()) -> list[Text]:
    """Rows in columns as wide as they need, those in `right` flush right; no line is cut or broken."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    for place in range(max(map(len, rows), default=0)):
        grid.add_column(justify="right" if place in right else "left", no_wrap=True, overflow="ignore")
    for row in rows:
        grid.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in row))
    return rendered(grid) if rows else []


def wrapped(text: str, width: int, style: str = "", indent: str = "  ", hang: str = "    ") -> list[Text]:
    """The text in lines of at most `width` cells."""
    lines: list[Text] = []
    line = indent
    room = max(1, width - cell_len(hang))
    whole = text.replace("\n", " ").replace("\t", " ").split(" ")
    for word in (part for one in whole for part in chop_cells(one, room) or [""]):
        if cell_len(line) + cell_len(word) + 1 > width and line.strip():
            lines.append(Text(line, style))
            line = hang
        line += (" " if line.strip() else "") + word.replace(_GLUE, " ")
    return [*lines, Text(line, style)]


DISPUTED = "\u2260"  # stands, red, for a figure that the run's own files contradict


def bar(fraction: float | None, width: int, *, ascii_only: bool = False) -> str:
    """A horizontal bar, in eighths of a cell where the terminal has them."""
    share = min(1.0, max(0.0, fraction or 0.0))
    if ascii_only:
        return ("#" * round(share * width)).ljust(width)
    eighths = round(share * width * 8)
    whole, rest = divmod(eighths, 8)
    return ("\u2588" * whole + (" ", "\u258f", "\u258e", "\u258d", "\u258c", "\u258b", "\u258a", "\u2589")[rest])[
        :width
    ].ljust(width)


_ASCII = {
    "\u2013": "-", "\u2014": "-", "\u2212": "-", "\u2500": "-", "\u2501": "=", "\u2026": "...", "\u00b1": "+-",
    "\u00b7": "|", "\u2190": "<-", "\u2192": "->", "\u25cf": "*", "\u25cb": "o", "\u2713": "+", "\u2717": "x",
    "\u25d0": "~", "\u25cc": ".", "\u00d7": "x", "\u2588": "#", "\u03b5": "eps", "\u26a0": "!", "\u221e": "inf",
    "\ufffd": "?", "\u2502": "|", "\u2260": "!=", "\u2020": "+", "\u2264": "<=", "\u2265": ">=",
    "\u2524": "+", "\u2514": "+", "\u250a": ":", "\u254d": "~", "\u2505": "-", "\u2509": ".",
    "\u2581": "_", "\u2582": "_", "\u2583": "-", "\u2584": "-", "\u2585": "=", "\u2586": "=", "\u2587": "#",
    **{chr(braille): "*" for braille in range(0x2801, 0x2900)},
}  # fmt: skip


def plain(text: str) -> str:
    """The same in ASCII, for terminals that have nothing else."""
    return "".join(_ASCII.get(c, c if c.isascii() else "?") for c in text)


def encodes_unicode(encoding: str | None) -> bool:
    """Whether a stream of this encoding can carry bars and rules."""
    return (encoding or "ascii").lower().replace("_", "-").startswith(("utf-8", "utf8"))
