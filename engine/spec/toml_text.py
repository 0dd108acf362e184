"""The text of TOML files: its encoding, its table within limits, and the line of each key."""

import json
import re
from collections.abc import Iterator
from typing import Any

import tomli

MAX_DOTS = 500  # in a line: a key of 20,000 parts keeps a parser busy for seconds
MAX_DEPTH = 16  # of tables and arrays; no preset has more levels, and deep nesting is how a file attacks its reader
MAX_KEYS = 2000  # of all tables together; a resolved config has a hundred
MARK = "\ufeff"  # of byte order, which Windows tools write before the text
KeyPath = tuple[str | int, ...]  # of a key; items of arrays are numbered from 0

_LOOK = 64  # bytes, whole letters in each encoding
_KEY = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')"""
_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?(?:"{3,5}|\Z)|' + r"'''.*?(?:'{3,5}|\Z)|#[^\n]*|"
    rf"(?P<key>{_KEY}(?:[ \t]*\.[ \t]*{_KEY})*)(?P<equals>[ \t]*=)?|"
    r"""["'][^\n]*|(?P<mark>[\[\]{},\n])""",
    re.DOTALL,
)  # each alternative passes over all that it looks at, so that no text takes quadratic time


def decode_utf8(content: bytes) -> str:
    """Decode UTF-8 without a mark of byte order; ValueError, which says what to do, for other encodings."""
    other = json.detect_encoding(content).replace("-le", "LE").replace("-be", "BE").upper()
    letters = content[:_LOOK].decode(other, "replace")
    plain = sum(letter.isascii() and (letter.isprintable() or letter.isspace()) for letter in letters)
    is_marked = other in ("UTF-16", "UTF-32")  # by its byte-order mark; others are guessed from zero bytes
    if is_marked or (not other.startswith("UTF-8") and 2 * plain > len(letters)):
        raise ValueError(f"it is {other}, as Windows tools write it; save it as UTF-8 (iconv -f {other} -t UTF-8)")
    try:
        return content.decode("utf-8").removeprefix(MARK)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = f"byte 0x{content[error.start]:02x} of line {line}"
        raise ValueError(f"{byte} is not UTF-8; save it as UTF-8 (it may be Windows-1252 or Latin-1)") from None


def parse(text: str) -> dict[str, Any]:
    """tomli.TOMLDecodeError for what is not TOML, ValueError for what is beyond the limits above or 64 bits."""
    if any(line.count(".") > MAX_DOTS for line in text.split("\n")):  # TOML knows no other ends of lines
        raise ValueError(f"a line of more than {MAX_DOTS} dots")
    try:
        table = tomli.loads(text.removeprefix(MARK))
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if sum(1 for _ in _keys(table, MAX_DEPTH)) > MAX_KEYS:
        raise ValueError(f"more than {MAX_KEYS} keys")
    return table


def _keys(value: object, depth: int) -> Iterator[str]:
    """Yield the keys of all tables inside; ValueError for nesting below `depth` and numbers that TOML has not."""
    if isinstance(value, int) and not -(2**63) <= value < 2**63:  # in hexadecimal any length is read
        raise ValueError("a whole number of more than 64 bits")
    if isinstance(value, dict | list):
        if not depth:
            raise ValueError("nested too deeply")
        if isinstance(value, dict):
            yield from value
        for item in value.values() if isinstance(value, dict) else value:
            yield from _keys(item, depth - 1)


def lines_of(text: str) -> dict[KeyPath, int]:
    """Return the line (from 1) of each table header and key of a text that is known to parse."""
    found: dict[KeyPath, int] = {}
    counts: dict[KeyPath, int] = {}  # items so far of each array of tables
    table: KeyPath = ()  # of the last header
    key: KeyPath = ()  # of the last `key =`
    frames: list[tuple[str, KeyPath]] = []  # open brackets; what stands in them lies at this path
    in_value, line, counted = False, 1, 0
    for token in _TOKEN.finditer(text.removeprefix(MARK)):
        if len(frames) > MAX_DEPTH:
            break
        line, counted = line + token.string.count("\n", counted, token.start()), token.start()
        kind, at = frames[-1] if frames else ("", table)
        match token["mark"]:
            case "\n":
                in_value = in_value and bool(frames)
            case "[" | "{" as mark:
                inside = at if kind == "[" else key
                frames.append((mark, (*inside, 0) if mark == "[" else inside) if in_value else ("header", ()))
            case "]" | "}":
                del frames[-1:]
            case "," if kind == "[":
                frames[-1] = (kind, (*at[:-1], int(at[-1]) + 1))
        parts = tuple(part.strip("\"'") for part in re.findall(_KEY, token["key"] or ""))
        if parts and kind == "header":
            table = _within(parts, counts)
            if len(frames) > 1:
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
            found.setdefault(table, line)
        elif token["equals"]:
            key, in_value = (*at, *parts), True
            for end in range(len(at) + 1, len(key) + 1):
                found.setdefault(key[:end], line)
    return found


def _within(path: KeyPath, counts: dict[KeyPath, int]) -> KeyPath:
    """Return the path of a header, with the current item of each array of tables that it lies in."""
    full: KeyPath = ()
    for position, part in enumerate(path):
        full = (*full, part)
        if full in counts and position < len(path) - 1:
            full = (*full, counts[full])
    return full
