"""What a file seems to be, by its first bytes: downloads and "checkpoints" are often something else entirely.

A name says nothing: a page that asks for patience is saved as `weights.pt` more often than any other mistake.
"""

HEAD = 512  # bytes that `seems` wants to see
PAGES = frozenset({"an HTML page", "an XML text", "a JSON text", "a Git LFS pointer", "a plain text"})

_MAGIC = (
    (b"PK\x03\x04", "a zip archive"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\x00", "an xz archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!", "a rar archive"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x89PNG", "a PNG image"),
    (b"%PDF", "a PDF document"),
    (b"version https://git-lfs", "a Git LFS pointer"),
)


def seems(head: bytes) -> str:
    """In words, what a file is that begins so; archives of checkpoints are `a zip archive` or `a pickle`."""
    if not head:
        return "an empty file"
    if len(head) > 9 and head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= 100_000_000:
        return "a safetensors file"
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "a pickle"
    if head[257:262] == b"ustar":
        return "a tar archive"
    return _text(head)


def _text(head: bytes) -> str:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "an HTML page"
    if start.startswith((b"<?xml", b"<!doctype")):
        return "an XML text"
    printable = all(byte >= 32 or byte in b"\t\r\n\f" for byte in head)
    if printable and start.startswith((b"{", b"[")):
        return "a JSON text"
    return "a plain text" if printable else "no format that is known here"
