"""Text that a person wrote, with whatever tool: UTF-8, and a mark of byte order before it is passed over."""

import codecs

MARK = "\ufeff"
_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),  # before UTF-16, with whose mark it begins
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_UNMARKED = ("UTF-32LE", "UTF-32BE", "UTF-16LE", "UTF-16BE")
_LOOK = 64  # bytes, whole letters in each of them


def decoded(content: bytes) -> str:
    """The text without its mark; ValueError, which says what to do, when it is in another encoding."""
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
    """UTF-16 or UTF-32, by its mark, or by what its first letters are without one; else empty."""
    marked = next((name for mark, name in _MARKS if content.startswith(mark)), "")
    if marked or b"\0" not in content[:_LOOK]:
        return marked
    for name in _UNMARKED:
        letters = content[:_LOOK].decode(name, "replace")
        plain = sum(letter.isascii() and (letter.isprintable() or letter.isspace()) for letter in letters)
        if 2 * plain > len(letters):
            return name
    return ""
