"""What a result file says of the images it is about: which ones, and which of them were got right. Pure."""

from dataclasses import dataclass, field

import msgspec
from msgspec import Struct

from crdnd_tui.text import display


@dataclass(frozen=True, kw_only=True)
class Images:
    """Of one checkpoint under one attack. Hashes are empty where the file holds none."""

    n: int
    right: int | None = field(default=None, repr=False)  # one bit for each image, zeros behind; None if not to be had
    indices: str = ""  # hash of the images' places in the split
    data: str = ""  # hash of the split
    weights: str = ""  # hash of the network's weights
    counts: tuple[int, ...] = ()  # images of each class

    @property
    def count(self) -> int:
        """How many were got right; 0 where that is not known."""
        return self.right.bit_count() if self.right is not None else 0

    def same(self, other: "Images") -> bool:
        """Whether both are about the same images, as far as hashes tell; what is unknown is not the same."""
        alike = (self.n, self.indices, self.data) == (other.n, other.indices, other.data)
        return alike and bool(self.indices and self.data)

    def only(self, other: "Images") -> tuple[int, int] | None:
        """Images right here alone, and there alone; None unless both are of the same images with all their bits."""
        if self.right is None or other.right is None or not self.same(other):
            return None
        return (self.right & ~other.right).bit_count(), (other.right & ~self.right).bit_count()


class _Record(Struct, kw_only=True):
    """What is read of a result file; it holds more."""

    n: int = 0
    accuracy: float = -1.0
    robust: str = ""
    indices_sha256: str = ""
    data_sha256: str = ""
    weights_sha256: str = ""
    counts: list[int] = []


_decoder = msgspec.json.Decoder(_Record)


def read(content: bytes | None) -> Images | None:
    """None for what is no record. Bits that do not fit n, or do not agree with the accuracy, are left out."""
    try:
        record = _decoder.decode(content or b"")
    except (ValueError, RecursionError):
        return None
    right = _bits(record.robust, record.n)
    if right is not None and abs(right.bit_count() - record.accuracy * record.n) > 1e-6 * record.n:
        right = None
    return Images(
        n=record.n, right=right, indices=display(record.indices_sha256), data=display(record.data_sha256),
        weights=display(record.weights_sha256), counts=tuple(record.counts) if sum(record.counts) == record.n else (),
    )  # fmt: skip


def _bits(text: str, n: int) -> int | None:
    """Packed as `engine.spec.outcomes.pack` does it; None unless these are n bits and zeros up to the next byte."""
    try:
        content = bytes.fromhex(text)
    except ValueError:
        return None
    bits, padding = int.from_bytes(content), -n % 8
    if n <= 0 or len(content) != -(-n // 8) or bits & ((1 << padding) - 1):
        return None
    return bits
