"""What a result file says of the images it is about: which ones, and which of them were got right. Pure."""

from array import array
from dataclasses import dataclass, field

import msgspec
from msgspec import Struct

from crdnd_tui.core.text import display
from engine.spec import files

_CLASSES = 32_767  # of which a short can tell


@dataclass(frozen=True, kw_only=True)
class Images:
    """Of one checkpoint under one attack. Hashes are empty where the file holds none."""

    n: int
    right: int | None = field(default=None, repr=False)  # one bit for each image, zeros behind; None if not to be had
    indices: str = ""  # hash of the images' places in the split
    data: str = ""  # hash of the split
    weights: str = ""  # hash of the network's weights
    counts: tuple[int, ...] = ()  # images of each class
    predicted: bytes = field(default=b"", repr=False)  # class that each image was taken for, as C shorts; or nothing
    confusion: tuple[tuple[int, ...], ...] = field(default=(), repr=False)  # true class by class taken for; or nothing

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

    def only_of(self, other: "Images", k: int) -> tuple[int, int] | None:
        """The same of the images of class k: what is got right is taken for its own class."""
        if not self.same(other):
            return None
        here, there = self._right_of(k), other._right_of(k)
        if here is None or there is None:
            return None
        return (here & ~there).bit_count(), (there & ~here).bit_count()

    def _right_of(self, k: int) -> int | None:
        """One bit for each image, as `right`; None unless the confusions say that it is so many."""
        if self.right is None or not self.predicted or k >= len(self.confusion):
            return None
        taken = "".join("1" if guess == k else "0" for guess in memoryview(self.predicted).cast("h"))
        found = self.right & (int(taken, 2) << (-self.n % 8))
        return found if found.bit_count() == self.confusion[k][k] else None


class _Record(Struct, kw_only=True):
    """What is read of a result file; it holds more."""

    n: int = 0
    accuracy: float = -1.0
    robust: str = ""
    indices_sha256: str = ""
    data_sha256: str = ""
    weights_sha256: str = ""
    counts: list[int] = []
    predicted: list[int] = []
    confusion: list[list[int]] = []


_decoder = msgspec.json.Decoder(_Record)


def read(content: bytes | None) -> Images | None:
    """None for what is no record. Bits that do not fit n, or do not agree with the accuracy, are left out."""
    try:
        record = files.parsed(content or b"", _decoder.decode)
    except files.MalformedError:
        return None
    right = _bits(record.robust, record.n)
    if right is not None and abs(right.bit_count() - record.accuracy * record.n) > 1e-6 * record.n:
        right = None
    return Images(
        n=record.n, right=right, indices=display(record.indices_sha256), data=display(record.data_sha256),
        weights=display(record.weights_sha256), counts=tuple(record.counts) if sum(record.counts) == record.n else (),
        predicted=_predicted(record), confusion=_confusion(record),
    )  # fmt: skip


def _predicted(record: _Record) -> bytes:
    fits = len(record.predicted) == record.n and all(-1 <= guess <= _CLASSES for guess in record.predicted)
    return array("h", record.predicted).tobytes() if fits else b""


def _confusion(record: _Record) -> tuple[tuple[int, ...], ...]:
    """Nothing where it counts images that do not exist."""
    square = all(len(row) == len(record.counts) == len(record.confusion) for row in record.confusion)
    real = all(min(row) >= 0 and sum(row) <= n for row, n in zip(record.confusion, record.counts, strict=False) if row)
    return tuple(map(tuple, record.confusion)) if square and real and sum(record.counts) == record.n else ()


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
