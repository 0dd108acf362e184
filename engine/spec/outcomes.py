"""What an attack did to every image, as a record that is kept, and the arithmetic on such records.

One bit per image and attack: every table, interval and paired test is computed from these bits.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec import Struct

from engine.spec.statistics import wilson


class Outcome(Struct, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """One attack on one checkpoint. Fractions are in [0, 1]; image i is the i-th of the judged ones, in test order."""

    v: Literal[1] = 1
    checkpoint: str  # best or last
    attack: str  # clean, an attack's key, or worst
    spec: dict[str, Any]  # the attack in full, with epsilon, norm, seed and batch_size
    accuracy: float
    n: int
    of: int  # size of the whole split
    low: float  # Wilson 95 % interval
    high: float
    per_class: list[float]  # 0.0 where no image of the class was judged
    counts: list[int]  # images per class
    confusion: list[list[int]]  # K rows of true classes, K columns of classes predicted under attack
    robust: str  # bits in hexadecimal, image 0 is the highest bit of the first digit, zeros pad the last byte
    predicted: list[int]  # class per image under attack; -1 for logits that are not finite
    indices_sha256: str  # of the images' places in the split
    data_sha256: str
    weights_sha256: str
    seconds: float
    device: str
    dtype: str = "float32"
    folded: bool = False  # whether the attack climbed on a copy with folded batch norms; the net itself judged
    versions: dict[str, str] = {}
    details: dict[str, float] = {}
    marks: list[str] = []  # codes of engine.spec.marks


def pack(bits: Sequence[bool]) -> str:
    """Write bits as hexadecimal, first bit first; the last byte is padded with zeros."""
    size = -(-len(bits) // 8)
    digits = "".join("1" if bit else "0" for bit in bits).ljust(8 * size, "0")
    return int(digits or "0", 2).to_bytes(size).hex()


def unpack(text: str, n: int) -> list[bool]:
    """Read n bits that `pack` wrote; ValueError when the text does not hold n bits."""
    content = bytes.fromhex(text)
    if len(content) != -(-n // 8):
        raise ValueError(f"{len(content)} bytes do not hold {n} bits")
    bits = [digit == "1" for byte in content for digit in f"{byte:08b}"]
    if any(bits[n:]):
        raise ValueError("the padding holds bits")
    return bits[:n]


def confusion(labels: Sequence[int], predicted: Sequence[int], classes: int) -> list[list[int]]:
    """Count (true class, predicted class), K x K; predictions of -1 have no column."""
    matrix = [[0] * classes for _ in range(classes)]
    for label, guess in zip(labels, predicted, strict=True):
        if guess >= 0:
            matrix[label][guess] += 1
    return matrix


def worst_case(outcomes: Sequence[Outcome], labels: Sequence[int]) -> Outcome:
    """Combine attacks: an image is robust if it is under all; its prediction is the first attack's that fooled.

    ValueError when the outcomes are not of the same images, data and weights.
    """
    first = outcomes[0]
    if len({(o.n, o.indices_sha256, o.data_sha256, o.weights_sha256) for o in outcomes}) > 1:
        raise ValueError("outcomes of different images or weights have no common worst case")
    rows = [unpack(outcome.robust, outcome.n) for outcome in outcomes]
    robust = [all(column) for column in zip(*rows, strict=True)]
    predicted = [
        next((o.predicted[i] for o, row in zip(outcomes, rows, strict=True) if not row[i]), first.predicted[i])
        for i in range(first.n)
    ]
    base = {key: first.spec[key] for key in ("norm", "epsilon", "seed", "batch_size") if key in first.spec}
    return msgspec.structs.replace(
        first,
        attack="worst",
        spec={"name": "worst", "attacks": [outcome.attack for outcome in outcomes], **base},
        **summarise(labels, predicted, robust, len(first.counts))._asdict(),
        robust=pack(robust),
        predicted=predicted,
        seconds=sum(outcome.seconds for outcome in outcomes),
        folded=any(outcome.folded for outcome in outcomes),
        details={},
        marks=[],
    )


class Figures(NamedTuple):
    """Figures of an Outcome that follow from labels, predictions and bits."""

    accuracy: float
    low: float
    high: float
    per_class: list[float]
    counts: list[int]
    confusion: list[list[int]]


def summarise(labels: Sequence[int], predicted: Sequence[int], robust: Sequence[bool], classes: int) -> Figures:
    counts, right = [0] * classes, [0] * classes
    for label, survives in zip(labels, robust, strict=True):
        counts[label] += 1
        right[label] += survives
    per_class = [good / count if count else 0.0 for good, count in zip(right, counts, strict=True)]
    n, good = len(labels), sum(right)
    return Figures(good / n if n else 0.0, *wilson(good, n), per_class, counts, confusion(labels, predicted, classes))


def near(one: float, other: float) -> bool:
    """Return whether two numbers are equal but for rounding in JSON and sums."""
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)


def is_count(share: float, n: int) -> bool:
    """Return whether a share is k / n for a whole k."""
    return n > 0 and 0 <= share <= 1 and near(share * n, float(round(share * n)))


def same(one: object, other: object) -> bool:
    """Return whether two JSON values are equal, their numbers but for rounding."""
    if isinstance(one, float) or isinstance(other, float):
        return isinstance(one, int | float) and isinstance(other, int | float) and near(one, other)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def encode(outcome: Outcome) -> bytes:
    return msgspec.json.encode(outcome) + b"\n"


def decode(content: bytes) -> Outcome:
    """Read a record; ValueError (msgspec's errors are) when its figures do not agree with its own bits."""
    outcome = msgspec.json.decode(content, type=Outcome)
    right, n = sum(unpack(outcome.robust, outcome.n)), outcome.n
    figures = [outcome.accuracy, outcome.low, outcome.high]
    if not (0 < n <= outcome.of and same(figures, [right / n, *wilson(right, n)]) and _classes_agree(outcome, right)):
        raise ValueError(f"the figures of {outcome.checkpoint} {outcome.attack} do not agree with its bits")
    return outcome


def _classes_agree(outcome: Outcome, right: int) -> bool:
    """Return whether counts, matrix and accuracies per class agree, with `right` images on the diagonal."""
    counts, matrix, shares = outcome.counts, outcome.confusion, outcome.per_class
    classes, guesses = range(len(counts)), Counter(outcome.predicted)
    del guesses[-1]
    return (
        sum(counts) == outcome.n == len(outcome.predicted)
        and len(shares) == len(matrix) == len(counts)
        and all(len(row) == len(counts) and min(row) >= 0 for row in matrix)
        and all(sum(row) <= count for row, count in zip(matrix, counts, strict=True))
        and sum(matrix[c][c] for c in classes) == right
        and [sum(column) for column in zip(*matrix, strict=True)] == [guesses.pop(c, 0) for c in classes]
        and not guesses
        and all(
            math.isclose(share, matrix[c][c] / count if count else 0.0, abs_tol=1e-6)
            for c, (share, count) in enumerate(zip(shares, counts, strict=True))
        )
    )
