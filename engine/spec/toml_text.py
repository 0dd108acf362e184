"""The text of TOML files: its encoding, its table within limits, and the line of each key."""

import codecs
import re
from typing import Any, NamedTuple

import tomli

MAX_DOTS = 500  # in a line: a key of 20,000 parts keeps a parser busy for seconds
ENDLESS = 10**400  # stands for larger whole numbers: in hexadecimal any length is read, and some cannot be printed
MARK = "\ufeff"  # of byte order, which Windows tools write before the text
Path = tuple[str | int, ...]  # of a key; items of arrays of tables are numbered from 0

_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),  # before UTF-16, with whose mark it begins
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_LOOK = 64  # bytes, whole letters in each of these encodings
_KEY = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_PATH = rf"{_KEY}(?:\s*\.\s*{_KEY})*"
_HEADER = re.compile(rf"^\s*(\[\[?)\s*({_PATH})\s*\]\]?")
_PAIR = re.compile(rf"^\s*({_PATH})\s*=(.*)$")
_INLINE = re.compile(rf"[{{,]\s*({_PATH})\s*=")
_STRING = re.compile(r'''"""(?:[^\\]|\\.)*?(?:"""|\\?$)|'{3}.*?(?:'{3}|$)|"(?:[^"\\]|\\.)*"|'[^']*'|#.*''')


def decoded(content: bytes) -> str:
    """Decode UTF-8 without a mark of byte order; ValueError, which says what to do, for other encodings."""
    other = _encoding(content)
    if other:
        raise ValueError(f"it is {other}, as Windows tools write it; save it as UTF-8 (iconv -f {other} -t UTF-8)")
    try:
        return content.decode("utf-8").removeprefix(MARK)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = f"byte 0x{content[error.start]:02x} of line {line}"
        raise ValueError(f"{byte} is not UTF-8; save it as UTF-8 (it may be Windows-1252 or Latin-1)") from None


def _encoding(content: bytes) -> str:
    """Recognise UTF-16 and UTF-32 by their marks, or by the first letters without one; else empty."""
    marked = next((name for mark, name in _MARKS if content.startswith(mark)), "")
    if marked or b"\0" not in content[:_LOOK]:
        return marked
    for name in ("UTF-32LE", "UTF-32BE", "UTF-16LE", "UTF-16BE"):
        letters = content[:_LOOK].decode(name, "replace")
        plain = sum(letter.isascii() and (letter.isprintable() or letter.isspace()) for letter in letters)
        if 2 * plain > len(letters):
            return name
    return ""


class TooDottedError(ValueError):
    """A line may hold a key of more parts than a parser can take."""


class Parsed(NamedTuple):
    """A text as a table. Whole numbers beyond ENDLESS stand as ENDLESS."""

    table: dict[str, Any]
    depth: int  # levels of tables and arrays
    keys: int  # of all tables
    bits: int  # of the longest whole number, without its sign; TOML has 63


def parse(text: str) -> Parsed:
    """tomli.TOMLDecodeError for what is not TOML; other ValueErrors and RecursionError for what attacks its reader."""
    if any(line.count(".") > MAX_DOTS for line in text.split("\n")):  # TOML knows no other ends of lines
        raise TooDottedError(f"a line of more than {MAX_DOTS} dots")
    table = tomli.loads(text.removeprefix(MARK))
    depth, keys, bits, level = 0, 0, 0, list[Any]([table])
    while level:  # level by level, for a file may nest deeper than functions can
        depth += 1
        keys += sum(len(item) for item in level if isinstance(item, dict))
        inside = list[Any]()
        for item in level:
            for place, value in list(item.items() if isinstance(item, dict) else enumerate(item)):
                if isinstance(value, dict | list):
                    inside.append(value)
                elif isinstance(value, int):
                    bits = max(bits, (value if value >= 0 else ~value).bit_length())
                    if value.bit_length() > ENDLESS.bit_length():
                        item[place] = ENDLESS if value > 0 else -ENDLESS
        level = inside
    return Parsed(table, depth, keys, bits)


def lines_of(text: str) -> dict[Path, int]:
    """Return the line (from 1) of each table header and key of a text that is known to parse."""
    found: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    table: Path = ()
    key: Path = ()
    depth = 0  # open brackets of a value that spans lines
    quote = ""  # open multi-line string
    for number, line in enumerate(text.removeprefix(MARK).replace("\r\n", "\n").split("\n"), start=1):
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
    """Return the path of a header, with the current item of each array of tables that it lies in."""
    full: Path = ()
    for position, part in enumerate(path):
        full = (*full, part)
        if full in counts and position < len(path) - 1:
            full = (*full, counts[full])
    return full


def _opened(match: re.Match[str]) -> str:
    """Blank a string or comment, so that brackets in it do not count; keep the quotes of a string left open."""
    text = match[0]
    mark = text[:3]
    return mark if mark in ('"""', "'''") and not (len(text) >= 6 and text.endswith(mark)) else ""
