"""The result file of one attack, read without trust: its figure and its images, or why it cannot be believed."""

import os
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import msgspec

from crdnd_tui.core.text import display, one_line, safe
from engine.spec import files, outcomes
from engine.spec.events import Evaluated
from engine.spec.outcomes import Outcome
from engine.spec.rundir import RunDir

Place = tuple[str, str]  # checkpoint, attack
Stamp = tuple[int, ...]  # of a file
BOTH = ("best", "last")
_CLASSES = 32_767  # of which a C short can tell


@dataclass(frozen=True, kw_only=True)
class Images:
    """Which images of one checkpoint an attack left right. Hashes are empty where the file holds none."""

    n: int
    right: int | None = field(default=None, repr=False)  # one bit for each image, zeros behind
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
        return _apart(self.right, other.right) if self.same(other) else None

    def only_of(self, other: "Images", k: int) -> tuple[int, int] | None:
        """The same of the images of class k: what is got right is taken for its own class."""
        return _apart(self._right_of(k), other._right_of(k)) if self.same(other) else None

    def _right_of(self, k: int) -> int | None:
        """One bit for each image, as `right`."""
        if self.right is None or not self.predicted or k >= len(self.counts):
            return None
        taken = "".join("1" if guess == k else "0" for guess in memoryview(self.predicted).cast("h"))
        return self.right & (int(taken, 2) << (-self.n % 8))


def _apart(here: int | None, there: int | None) -> tuple[int, int] | None:
    return None if here is None or there is None else ((here & ~there).bit_count(), (there & ~here).bit_count())


def images(outcome: Outcome) -> Images:
    """Of a record whose figures agree with its bits."""
    few = len(outcome.counts) <= _CLASSES
    return Images(
        n=outcome.n, right=int(outcome.robust, 16), indices=display(outcome.indices_sha256),
        data=display(outcome.data_sha256), weights=display(outcome.weights_sha256), counts=tuple(outcome.counts),
        predicted=array("h", outcome.predicted).tobytes() if few else b"",
        confusion=tuple(map(tuple, outcome.confusion)),
    )  # fmt: skip


class ResultRecord(NamedTuple):
    """What the file of a figure says of it."""

    cell: Evaluated | None = None  # None where the file is damaged
    images: Images | None = None
    marks: tuple[str, ...] = ()
    trouble: str = ""  # why it cannot be believed


class ListRecord(msgspec.Struct):
    """Of a record what a list of runs holds against the status; the rest is passed over, for it may have 10,000."""

    checkpoint: str
    attack: str
    accuracy: float
    weights_sha256: str = ""


decode_list_record = msgspec.json.Decoder(ListRecord).decode


T = TypeVar("T", bound="ListRecord | Outcome")


def read(run: RunDir, place: Place, decode: Callable[[bytes], T]) -> T | str | None:
    """The record of a figure; words where it cannot be believed, None where there is none."""
    if not _are_names(place):
        return None
    path = run.result(*place)
    content = None if run.leads_out(path) else files.read(path, files.RESULT_CAP)
    if content is None:
        return "its record is no regular file that can be read" if os.path.lexists(path) else None
    try:
        record = files.parsed(content, decode)
    except files.MalformedError as error:
        return f"its record is damaged: {one_line(str(error), 160)}"
    return record if (record.checkpoint, record.attack) == place else "its record is of another attack or checkpoint"


def record(run: RunDir, place: Place) -> ResultRecord | None:
    """All that the file of a figure says; None where there is none."""
    told = read(run, place, outcomes.decode)
    if told is None or isinstance(told, str):
        return ResultRecord(trouble=told) if told else None
    cell = Evaluated(
        checkpoint=display(told.checkpoint), attack=display(told.attack), accuracy=told.accuracy, n=told.n, of=told.of,
        low=told.low, high=told.high, seconds=told.seconds, per_class=told.per_class,
        details={display(key): value for key, value in told.details.items()}, spec=safe(told.spec), time=0.0,
    )  # fmt: skip
    return ResultRecord(cell, images(told), tuple(told.marks))


def stamp(run: RunDir, place: Place) -> Stamp | None:
    """What changes with the file of a figure; None where there is none."""
    if not _are_names(place):
        return None
    path = run.result(*place)
    try:
        facts = os.lstat(path)
    except OSError:
        return None
    return run.leads_out(path), facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns


def _are_names(place: Place) -> bool:
    """Whether neither leads anywhere else."""
    return all(word and "/" not in word and "\0" not in word and not word.startswith(".") for word in place)
