"""Words and numbers as a terminal may show them. Whatever comes from a file passes `display` before it is shown."""

import bisect
import codecs
import io
import re
import unicodedata
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from rich.cells import cell_len, chop_cells, set_cell_size
from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from rich.table import Table

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


def rendered(table: "Table", width: int = _ENDLESS) -> list[Text]:
    """Lines of a table of Rich, of at most `width` cells."""
    console = Console(file=io.StringIO(), width=width, legacy_windows=False)
    lines = [Text.assemble(*((part.text, part.style or "") for part in line))
             for line in console.render_lines(table, pad=False)]  # fmt: skip
    for line in lines:
        line.rstrip()
    return lines


def _grid() -> "Table":
    from rich.table import Table  # noqa: PLC0415  3 ms that lists of runs do without

    return Table.grid(padding=(0, 2, 0, 0))


def grid_lines(rows: Sequence[Sequence[str | Text]], right: Container[int] = ()) -> list[Text]:
    """Rows in columns as wide as they need, those in `right` flush right; no line is cut or broken."""
    grid = _grid()
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


def word(table: Mapping[str, Any], *path: str) -> str:
    """A value in nested tables as text; empty where there is none."""
    value: Any = table
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return "" if value is None else str(value)


def labelled_lines(rows: Iterable[tuple[str, str]], width: int = 0) -> list[Text]:
    """Words beside their labels, below themselves where they are longer than `width` cells; 0: as long as they are."""
    grid = _grid()
    grid.add_column(no_wrap=True, style="dim")
    grid.add_column(no_wrap=not width, overflow="fold" if width else "ignore")
    for label, words in rows:
        grid.add_row(Text(label), Text(words))
    return [Text("  ").append_text(line) for line in rendered(grid, width - 2 if width else _ENDLESS)]


DISPUTED = "\u2260"  # stands, red, for a figure that the run's own files contradict


def bar(fraction: float | None, width: int) -> str:
    """A horizontal bar, in eighths of a cell."""
    share = min(1.0, max(0.0, fraction or 0.0))
    whole, rest = divmod(round(share * width * 8), 8)
    return ("\u2588" * whole + " \u258f\u258e\u258d\u258c\u258b\u258a\u2589"[rest])[:width].ljust(width)


_ASCII = {
    "\u2013": "-", "\u2014": "-", "\u2212": "-", "\u2026": "~", "\u00b1": "~", "\u00b7": "|", "\u2190": "<",
    "\u2192": ">", "\u2191": "^", "\u2193": "v", "\u25cf": "*", "\u25cb": "o", "\u2713": "+", "\u2717": "x",
    "\u25d0": "%", "\u25cc": ".", "\u00d7": "x", "\u03b5": "e", "\u26a0": "!", "\u221e": "I", "\ufffd": "?",
    "\u25b2": "^", "\u25bc": "v", "\u25b6": ">", "\u25c0": "<", "\u25b8": ">", "\u25be": "v", "\u23f8": "=",
    "\u2502": "|", "\u2503": "|", "\u03b4": "d", "\u0394": "D", "\u2605": "*", "\u2606": ".", "\u00a0": " ",
    "\u03c4": "t", "\u03bb": "l", "\u00d8": "0", "\u2265": ">", "\u2264": "<", "\u2248": "~", "\u2020": "+",
    "\u2500": "-", "\u2501": "=", "\u2550": "=", "\u254d": "-", "\u2505": "~", "\u2504": "-", "\u2508": ".",
    "\u2509": ".", "\u2575": "'", "\u2260": "#", "\u2016": "=", "\u2032": "'", "\u2022": "*",
    "\u2039": "<", "\u203a": ">",
}  # fmt: skip


def plain(text: str) -> str:
    """The same in ASCII, cell for cell: rules become -, = and |, bars #, dots * and ., what is unknown ?."""
    return "".join(c if c.isascii() else _ascii_cell(c) for c in text)


def _ascii_cell(character: str) -> str:
    code, cells = ord(character), cell_len(character)
    if cells != 1:  # a wide one takes two, a mark upon another none
        return "?" * cells
    if character in _ASCII:
        return _ASCII[character]
    if 0x2500 <= code < 0x2580:  # box drawing
        return "|" if character in "\u2502\u2503\u2551\u258f" else "+"
    if 0x2581 <= code <= 0x2588 or code in (0x2580, 0x2589, 0x258A, 0x258B, 0x258C):
        return "#"
    if 0x2800 <= code < 0x2900:  # Braille
        return " " if code == 0x2800 else "*" if (code - 0x2800).bit_count() > 2 else "."
    if 0x258D <= code <= 0x259F:
        return " "
    nearest = unicodedata.normalize("NFKD", character)[0]  # the letter without its accent, the digit of a power
    return nearest if nearest.isascii() else "?"


def open_streams(*streams: TextIO) -> None:
    """Of a terminal: what its encoding lacks is drawn in ASCII."""
    codecs.register_error("plain", _drawn)
    for stream in streams:
        stream.reconfigure(errors="plain")  # type: ignore[attr-defined]


def _drawn(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return plain(error.object[error.start : error.end]), error.end


def encodes_unicode(encoding: str | None) -> bool:
    """Whether a stream of this encoding can carry bars and rules."""
    return (encoding or "ascii").lower().replace("_", "-").startswith(("utf-8", "utf8"))
