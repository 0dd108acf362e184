"""The natural-teacher table: a frozen teacher's logits on every crop-and-flip view of the training images.

A view is (image, crop, flip): 162 of each image for a padding of 4 with flips, so 325 MB for CIFAR-10
(50,000 x 162 records of 10 float32) and 3.2 GB for CIFAR-100, in a file that all runs with the same teacher, data and
padding share. Views are numbered image by image, and `key.rows` consecutive ones are a chunk: computed as one batch,
kept or missing as a whole, with one checksum that knows its place. What a killed engine leaves half written is missing.
Nothing is written through the map: on a full disk that would kill the engine, where `pwrite` tells it.
"""

import mmap
import os
import secrets
import shutil
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import torch
from jaxtyping import Bool, Int
from numpy.typing import NDArray
from torch import Tensor

from engine.spec import locks, tables
from engine.spec.files import free_bytes, nicety, set_aside, sync, sync_folder
from engine.spec.tables import FORMAT, FRESH, GONE, LOCK, META, RECORDS, Key, Meta, TableError
from engine.spec.units import bytes_text
from engine.types import Logits

SPARE = 64 << 20  # bytes that a table leaves free on its disk, for checkpoints
Places = NDArray[np.int64]


class Views(NamedTuple):
    """Which views of which images; on the CPU."""

    image: Int[Tensor, " B"]  # place in the official training split
    dy: Int[Tensor, " B"]  # 0 ... 2 p
    dx: Int[Tensor, " B"]
    flip: Bool[Tensor, " B"]


class Table:
    """One open table. Engines may fill it at the same time, and one writes at a time; the first answer stays."""

    def __init__(self, path: Path, key: Key, lock: int, records: int) -> None:
        """`lock` and `records` are descriptors, closed by `close`; the lock is held, so that nobody removes it."""
        self.path, self.key, self._lock, self._records = path, key, lock, records
        self._salt = int.from_bytes(key.digest[:4])
        self._content = mmap.mmap(records, 0, prot=mmap.PROT_READ)
        self._sums = np.frombuffer(self._content, np.uint32, offset=key.chunks * key.chunk_bytes)
        self._logits = np.frombuffer(self._content, np.float32, count=key.chunks * key.rows * key.classes)
        self._logits = self._logits.reshape(-1, key.classes)

    def __enter__(self) -> "Table":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the table back; it may be removed afterwards. A second time does nothing."""
        if self._content.closed:
            return
        del self._logits, self._sums
        self._content.close()
        os.close(self._records)
        os.close(self._lock)

    def whole(self, chunk: int) -> bool:
        """Whether this chunk is there, and as it was written."""
        at, found = chunk * self.key.chunk_bytes, int(self._sums[chunk])
        return found != 0 and found == self._sum(self._content[at : at + self.key.chunk_bytes], chunk)

    def absent(self, chunks: Places) -> Places:
        """Those of these chunks that are not whole."""
        return np.array([chunk for chunk in chunks.tolist() if not self.whole(chunk)], dtype=np.int64)

    def read(self, views: Views) -> Logits:
        """float32 logits, B K, on the CPU; KeyError when a chunk is missing that holds one of them."""
        places = self._places(views)
        if not self._sums[places // self.key.rows].all():
            raise KeyError("not all of these views are in the teacher's table")
        return torch.from_numpy(self._logits[places])

    def write(self, chunk: int, logits: Tensor) -> None:
        """Keep the logits of a chunk (rows K) for good, as float32, unless it is whole already.

        TableError when the disk is full or fails.
        """
        wanted = (self.key.rows, self.key.classes)
        if logits.shape != wanted:
            raise ValueError(f"logits of shape {tuple(logits.shape)} for a chunk of shape {wanted}")
        content = logits.detach().to(device="cpu", dtype=torch.float32).contiguous().numpy().tobytes()
        end = self.key.chunks * self.key.chunk_bytes
        with unwritable(self.path):
            tables.take(self._records, self.path)
            try:
                if not self.whole(chunk):
                    self._put(content, chunk * self.key.chunk_bytes)
                    self._put(self._sum(content, chunk).to_bytes(4, "little"), end + 4 * chunk)
            finally:
                locks.give_back(self._records)

    def views_of(self, chunk: int) -> Views:
        """A chunk's views: image by image, crop by crop, the mirrored one last; the very last fills up the last one."""
        key, across = self.key, 2 * self.key.padding + 1
        places = np.arange(chunk * key.rows, (chunk + 1) * key.rows).clip(max=key.images * key.views - 1)
        image, view = np.divmod(places, key.views)
        at, flip = np.divmod(view, 1 + key.flip)
        dy, dx = np.divmod(at, across)
        return Views(*(torch.from_numpy(part) for part in (image, dy, dx, flip.astype(bool))))

    def set_aside(self) -> None:
        """Out of everybody's way, unless another engine was first; those who have it open keep it."""
        with unwritable(self.path), tables.shelf_lock(self.path.parent):
            lock = self.path / LOCK
            if lock.exists() and os.path.samestat(lock.stat(follow_symlinks=False), os.fstat(self._lock)):
                set_aside(self.path)

    def _places(self, views: Views) -> Places:
        """Where the views are in the order of all; ValueError for one that this table cannot hold."""
        image, dy, dx, flip = (part.numpy().astype(np.int64) for part in views)
        across = 2 * self.key.padding + 1
        sides = ((image, self.key.images), (dy, across), (dx, across), (flip, 1 + self.key.flip))
        if any(((part < 0) | (part >= end)).any() for part, end in sides):
            raise ValueError(f"a view lies outside of the table's {self.key.images} images x {self.key.views} views")
        places: Places = image * self.key.views + (dy * across + dx) * (1 + self.key.flip) + flip
        return places

    def _put(self, content: bytes, offset: int) -> None:
        while content:
            done = os.pwrite(self._records, content, offset)
            content, offset = content[done:], offset + done

    def _sum(self, content: bytes, chunk: int) -> int:
        """Of a chunk of this table at this place; never 0, which says that nothing was written."""
        return zlib.crc32(content, self._salt ^ chunk) or 1


def chunks_of(key: Key, images: Int[Tensor, " N"]) -> Places:
    """All chunks that hold a view of one of these images, in order."""
    within = np.append(np.arange(0, key.views, key.rows), key.views - 1)
    return np.unique((images.numpy()[:, None] * key.views + within) // key.rows)


def open_table(folder: Path, key: Key, limit_bytes: int, *, teacher: str = "", data: str = "") -> tuple[Table, str]:
    """Make or join the key's table in this folder of tables; `teacher` and `data` name it for people.

    Comes with what was wrong with the one that lay there, and was set aside. TableError when all tables together would
    exceed the limit or the disk, or when nothing can be written here.
    """
    path = folder / key.id
    with unwritable(path):
        folder.mkdir(parents=True, exist_ok=True)
        with tables.shelf_lock(folder):
            for entry in list(os.scandir(folder)):  # half made or half removed when a process died
                if entry.name.startswith((FRESH, GONE)) and entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path, ignore_errors=True)  # another user's stays
            trouble = ""
            if os.path.lexists(path):
                if path.is_symlink() or not path.is_dir():
                    raise TableError("a link or a file stands where the teacher's table belongs", where=str(path))
                if trouble := tables.trouble(path, key):
                    trouble = f"{trouble} (now {set_aside(path).name})"
            if not os.path.lexists(path):
                meta = Meta(format=FORMAT, key=key, created=time.time(), teacher=teacher, data=data)
                _make(folder, meta, limit_bytes)
            return _join(path, key), trouble


@contextmanager
def unwritable(path: Path) -> Iterator[None]:
    """An OSError becomes a TableError that names the table."""
    try:
        yield
    except OSError as error:
        raise TableError(f"the teacher's table cannot be kept: {error.strerror}", where=str(path)) from error


def _make(folder: Path, meta: Meta, limit_bytes: int) -> None:
    """The folder appears whole or not at all; its records are a hole as long as the table."""
    need, free = meta.key.table_bytes, free_bytes(folder)
    taken = sum(tables.size(folder / name) for name in tables.names(folder))
    hint = "`crdnd tables` lists all tables, and removes one; --machine table_gib=... allows more."
    if taken + need > limit_bytes:
        what = f"the teacher's table takes {bytes_text(need)}, and other tables {bytes_text(taken)}"
        raise TableError(f"{what}; {bytes_text(limit_bytes)} are allowed", where=str(folder), hint=hint)
    if free is not None and need + SPARE > free:
        what = f"the teacher's table needs {bytes_text(need)}; {bytes_text(free)} are free on its disk"
        raise TableError(what, where=str(folder), hint=hint)
    fresh = folder / f"{FRESH}{secrets.token_hex(8)}"
    fresh.mkdir()
    contents = {META: msgspec.json.format(msgspec.json.encode(meta), indent=1) + b"\n", LOCK: b"", RECORDS: b""}
    for name, content in contents.items():
        with (fresh / name).open("xb") as file:
            file.write(content)
            if name == RECORDS:
                file.truncate(need)
            file.flush()
            sync(file.fileno())
    sync_folder(fresh)
    fresh.rename(folder / meta.key.id)
    sync_folder(folder)


def _join(path: Path, key: Key) -> Table:
    """Open what is there, held in use; another user's, which may only be read, serves while nothing is missing.

    Links are not followed: they may lead out of the data folder.
    """
    opened: list[int] = []
    try:
        opened.append(locks.open_lock(path / LOCK))
        opened.append(locks.open_lock(path / RECORDS))
        tables.take(opened[0], path, shared=True)
        with nicety():
            os.utime(opened[0])
        return Table(path, key, *opened)
    except BaseException:
        for file in opened:
            os.close(file)
        raise
