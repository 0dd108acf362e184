"""PNG, as little of it as pictures in a page need: eight bits, RGB, no filter."""

import base64
import struct
import zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def encode(width: int, height: int, pixels: bytes) -> bytes:
    """The file's content; `pixels` are (height, width, 3) bytes row by row, ValueError when they are not as many."""
    if width < 1 or height < 1 or len(pixels) != 3 * width * height:
        raise ValueError(f"{len(pixels)} bytes are no image of {width} x {height}")
    row = 3 * width
    lines = b"".join(b"\0" + pixels[start : start + row] for start in range(0, len(pixels), row))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(lines, 9)) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def data_address(width: int, height: int, pixels: bytes) -> str:
    """The image as an address that holds it, for a page without other files."""
    return "data:image/png;base64," + base64.b64encode(encode(width, height, pixels)).decode("ascii")
