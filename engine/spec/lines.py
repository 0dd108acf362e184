"""Which line of a TOML file says what: the key paths of a text, for error messages.

The text is known to parse; this only finds where keys begin, and never decides what they mean.
"""

import re

from engine.spec.written import MARK

_KEY = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_PATH = rf"{_KEY}(?:\s*\.\s*{_KEY})*"
_HEADER = re.compile(rf"^\s*(\[\[?)\s*({_PATH})\s*\]\]?")
_PAIR = re.compile(rf"^\s*({_PATH})\s*=(.*)$")
_INLINE = re.compile(rf"[{{,]\s*({_PATH})\s*=")
_STRING = re.compile(r'''"""(?:[^\\]|\\.)*?(?:"""|\\?$)|'{3}.*?(?:'{3}|$)|"(?:[^"\\]|\\.)*"|'[^']*'|#.*''')

Path = tuple[str | int, ...]


def lines_of(text: str) -> dict[Path, int]:
    """Line (from 1) of each table header and key; items of arrays of tables are numbered from 0."""
    found: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    table: Path = ()
    key: Path = ()
    depth = 0  # open brackets of a value that spans lines
    quote = ""  # open multi-line string
    for number, line in enumerate(
        text.removeprefix(MARK).replace("\r\n", "\n").split("\n"), start=1
    ):  # no other newlines in TOML
        value = line
        if quote:
            _, closed, value = line.partition(quote)
            if not closed:
                continue
        elif depth == 0 and (header := _HEADER.match(line)):
            table = _within(_split(header[2]), counts)
            if header[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
            found.setdefault(table, number)
            continue
        elif depth == 0 and (pair := _PAIR.match(line)):
            key = (*table, *_split(pair[1]))
            for end in range(len(table) + 1, len(key) + 1):
                found.setdefault(key[:end], number)
            value = pair[2]
        if key:
            for inline in _INLINE.finditer(value):
                found.setdefault((*key, *_split(inline[1])), number)
        bare = _STRING.sub(_opened, value)
        quote = next((mark for mark in ('"""', "'''") if mark in bare), "")
        depth = max(0, depth + sum(bare.count(c) for c in "[{") - sum(bare.count(c) for c in "]}"))
    return found


def _split(path: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in re.findall(_KEY, path))


def _within(path: Path, counts: dict[Path, int]) -> Path:
    """The path of a header, with the current item of each array of tables that it lies in."""
    full: Path = ()
    for position, part in enumerate(path):
        full = (*full, part)
        if full in counts and position < len(path) - 1:
            full = (*full, counts[full])
    return full


def _opened(match: re.Match[str]) -> str:
    """Nothing of a string or comment, so that brackets in them do not count; the mark of a string left open."""
    text = match[0]
    mark = text[:3]
    return mark if mark in ('"""', "'''") and not (len(text) >= 6 and text.endswith(mark)) else ""
