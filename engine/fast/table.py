"""The natural-teacher table: a frozen teacher's logits on every crop-and-flip view of the training images.

A view is (image, crop, flip): 162 of each image for a padding of 4 with flips, so 356 MB for CIFAR-10
(50,000 x 162 records of 10 float32 and a checksum) and 3.3 GB for CIFAR-100, in a sparse file that all runs with the
same teacher, data and padding share. A record counts as present only if its checksum fits its logits and its place:
what a killed engine, or two engines at once, leave half written is simply missing and computed again.
Nothing is written through the map: on a full disk that would kill the engine, where `pwrite` tells it.
"""

import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int
from numpy.typing import NDArray
from torch import Tensor

from engine.fast import shelf
from engine.spec.tables import Key, TableError
from engine.types import Logits

BLOCK = 1 << 16  # records looked at in one go
NEEDED = {"cpu": 0.8, "cuda": 0.5}  # share of the views that a run needs itself, above which all are computed first
Mode = Literal["lazy", "complete"]
Words = NDArray[np.uint32]
Places = NDArray[np.int64]


class Views(NamedTuple):
    """Which views of which images; on the CPU."""

    image: Int[Tensor, " B"]  # place in the official training split
    dy: Int[Tensor, " B"]  # 0 ... 2 p
    dx: Int[Tensor, " B"]
    flip: Bool[Tensor, " B"]


class MissingViewError(KeyError):
    """The table does not hold one of these views yet."""


class Table:
    """One open table. Another engine may fill it at the same time; the first answer to a view stays."""

    def __init__(self, place: shelf.Place, key: Key) -> None:
        self.key, self._place, self._salt = key, place, int.from_bytes(key.digest[:4])
        self._content = mmap.mmap(place.records, 0, prot=mmap.PROT_READ)
        self._records = np.frombuffer(self._content, dtype=np.uint32).reshape(-1, key.classes + 1)

    def __len__(self) -> int:
        """Records, present or not."""
        return self.key.images * self.key.views

    def __enter__(self) -> "Table":
        return self

    def __exit__(self, _type: type[BaseException] | None, _e: BaseException | None, _at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give the table back; it may be removed afterwards. A second time does nothing."""
        if self._content.closed:
            return
        del self._records
        self._content.close()
        self._place.release()

    @property
    def path(self) -> Path:
        """Its folder."""
        return self._place.path

    @property
    def filled(self) -> float:
        """Share of all records that are present. Looks at each of them: about a second for CIFAR-10."""
        absent = sum(len(places) for places, _ in self.absent(np.arange(self.key.images)))
        return (len(self) - absent) / len(self)

    def find(self, views: Views) -> tuple[Logits, Bool[Tensor, " B"]]:
        """float32 logits (B K) on the CPU, and which of them are present; the others hold no meaning."""
        words, present = self._look(self._places(views))
        return torch.from_numpy(words[:, :-1].copy().view(np.float32)), torch.from_numpy(present)

    def missing(self, views: Views) -> Bool[Tensor, " B"]:
        """Which of these views have no logits yet."""
        return ~self.find(views)[1]

    def read(self, views: Views) -> Logits:
        """float32 logits, B K, on the CPU; MissingViewError when one of them is not there."""
        logits, present = self.find(views)
        if not bool(present.all()):
            raise MissingViewError(f"{int((~present).sum())} of {len(present)} views are not in the teacher's table")
        return logits

    def write(self, views: Views, logits: Tensor) -> None:
        """Keep these logits (B K) for good, as float32; views that are present already stay as they are.

        TableError when the disk is full or fails.
        """
        values = logits.detach().to(device="cpu", dtype=torch.float32).contiguous().numpy()
        if values.shape != (len(views.image), self.key.classes):
            raise ValueError(
                f"logits of shape {values.shape} for {len(views.image)} views of {self.key.classes} classes"
            )
        places, chosen = np.unique(self._places(views), return_index=True)
        new = ~self._look(places)[1]
        places, words = places[new], values[chosen[new]].view(np.uint32)
        records = np.concatenate([words, self._checksums(words, places)[:, None]], axis=1)
        for run in np.split(np.arange(len(places)), np.flatnonzero(np.diff(places) != 1) + 1):
            if len(run):
                self._put(records[run].tobytes(), int(places[run[0]]) * self.key.record_bytes)

    def present(self, places: Places) -> NDArray[np.bool_]:
        """Which of these records are there, and whole."""
        return self._look(places)[1]

    def absent(self, images: Places) -> Iterator[tuple[Places, int]]:
        """Places of missing records, a block of images at a time and in their order, and how many images that were."""
        step = max(1, BLOCK // self.key.views)
        for first in range(0, len(images), step):
            block = images[first : first + step]
            places = (block[:, None] * self.key.views + np.arange(self.key.views)).reshape(-1)
            yield places[~self.present(places)], len(block)

    def views_at(self, places: Places) -> Views:
        """The views whose records lie there: image by image, crop by crop, the mirrored one last."""
        flips, across = 1 + self.key.flip, 2 * self.key.padding + 1
        image, view = np.divmod(places, self.key.views)
        at, flip = np.divmod(view, flips)
        dy, dx = np.divmod(at, across)
        return Views(*(torch.from_numpy(part) for part in (image, dy, dx, flip.astype(bool))))

    def set_aside(self) -> Path | None:
        """Close it and put it out of everybody's way; where it lies now, None when another engine was first."""
        try:
            return shelf.set_aside(self._place)
        finally:
            self.close()

    def _places(self, views: Views) -> Places:
        """Of their records; ValueError for a view that this table cannot hold."""
        image, dy, dx, flip = (part.numpy().astype(np.int64) for part in views)
        across = 2 * self.key.padding + 1
        sides = ((image, self.key.images), (dy, across), (dx, across), (flip, 1 + self.key.flip))
        if any(((part < 0) | (part >= end)).any() for part, end in sides):
            raise ValueError(f"a view lies outside of the table's {self.key.images} images x {self.key.views} views")
        places: Places = image * self.key.views + (dy * across + dx) * (1 + self.key.flip) + flip
        return places

    def _look(self, places: Places) -> tuple[Words, NDArray[np.bool_]]:
        """Copies of the records, and whether each is whole: one that is written meanwhile is not, or is."""
        words = self._records[places]  # B K+1
        present = words[:, -1] != 0
        some = np.flatnonzero(present)
        present[some] = self._checksums(words[some, :-1], places[some]) == words[some, -1]
        return words, present

    def _put(self, content: bytes, offset: int) -> None:
        try:
            while content:
                done = os.pwrite(self._place.records, content, offset)
                content, offset = content[done:], offset + done
        except OSError as error:
            what = f"the teacher's table cannot be written: {error.strerror}"
            raise TableError(what, kind="unwritable", where=str(self.path)) from error

    def _checksums(self, words: Words, places: Places) -> Words:
        """One word for each record, never 0: every word through a bijection of its column, summed, mixed with place.

        A single changed word always changes the sum; anything else slips through once in 2^32.
        """
        columns = (np.arange(1, self.key.classes + 1, dtype=np.uint64) * 0x9E3779B9).astype(np.uint32)
        sums = _mixed(words ^ columns).sum(axis=1, dtype=np.uint32)
        mixed = _mixed(sums ^ _mixed(places.astype(np.uint32) + np.uint32(self._salt)))
        return np.maximum(mixed, np.uint32(1))


def open_table(folder: Path, key: Key, limit_bytes: int, *, teacher: str = "", data: str = "") -> Table:
    """Make or join the key's table in this folder of tables; `teacher` and `data` name it for people.

    TableError, with its `kind`, when all tables together would exceed the limit or the disk, when nothing can be
    written here, or when what lies here is damaged (set aside then: opening again makes a new one).
    """
    return Table(shelf.occupy(folder, key, limit_bytes, teacher, data), key)


def planned(epochs: int, views: int, mode: Mode | Literal["auto"], cuda: bool) -> Mode:
    """Whether all views are computed before the first step, or each when it is needed; `mode` other than auto decides.

    In E epochs an image shows V (1 - (1 - 1/V)^E) of its V views. Where more than 80 % of them are needed anyway, the
    rest is a small price for a table that every later run finds complete (300 epochs: 84 %; 200: 71 %). On CUDA half
    is enough: the few missing views of a step are a small batch, about twice as dear as the large ones of a fill.
    """
    if mode != "auto":
        return mode
    needed = expected_views(epochs, views) / views
    return "complete" if needed > NEEDED["cuda" if cuda else "cpu"] else "lazy"


def expected_views(epochs: int, views: int) -> float:
    """How many different views of an image so many random draws show, on average: V (1 - (1 - 1/V)^E)."""
    return views * (1 - (1 - 1 / views) ** epochs)


def _mixed(words: Words) -> Words:
    """A bijection of 32-bit words in which every bit matters to every other (MurmurHash3's last step)."""
    words = (words ^ (words >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    words = (words ^ (words >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return words ^ (words >> np.uint32(16))
