"""Tables of teacher logits on disk: what identifies one, its layout, who uses it, listing and removing.

A table is one file in the data folder, named by the hash of its key:

    header: JSON, padded to HEADER bytes | logits of chunk 0, 1, ... | one checksum (uint32) for each chunk, 0 = absent

Whoever makes, writes, sets aside or removes a table holds the folder's lock. An engine that has a table open holds a
shared lock on the file, so that nobody removes it.
"""

import hashlib
import os
import re
import shutil
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from engine.spec import files, locks
from engine.spec.errors import CrdndError

FORMAT = 3
HEADER = 1 << 16  # bytes
LOCK = ".lock"  # of the folder
NAME = re.compile(r"[0-9a-f]{16}(\.damaged(-\d+)?)?")  # of a table; formats 1 and 2 were folders of such a name
PATIENCE = 10.0  # seconds to wait for a lock that is held for moments only
_Side = Annotated[int, msgspec.Meta(ge=1, le=1 << 20)]


class TableError(CrdndError):
    """A table of teacher logits cannot be used. A run does without it."""


@dataclass(frozen=True, kw_only=True)
class TableKey:
    """All that the bits of a teacher's logits depend on. Equal keys share one table."""

    teacher_sha256: str
    model: str  # the architecture's spec as JSON, normalization included
    data_sha256: str  # of the training split
    images: Annotated[int, msgspec.Meta(ge=1, le=1 << 40)]  # of the official training split
    classes: Annotated[int, msgspec.Meta(ge=1, le=1 << 24)]
    padding: Annotated[int, msgspec.Meta(ge=0, le=1 << 10)]
    flip: bool
    image: tuple[_Side, _Side, _Side]  # C H W
    precision: Literal["float32", "bfloat16"]  # of the teacher's arithmetic; logits are stored as float32
    folded: bool
    layout: str
    device: str  # the GPU, or the CPU and the instructions that it may use
    torch: str
    rows: Annotated[int, msgspec.Meta(ge=1, le=1 << 24)]  # views that are computed as one batch: a chunk

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of all views, in the order of their rows: images, crops down, crops across, mirrored or not."""
        across = 2 * self.padding + 1
        return self.images, across, across, 1 + self.flip

    @property
    def views(self) -> int:
        """Of one image. 162 for a padding of 4 with flips."""
        return prod(self.shape[1:])

    @property
    def chunks(self) -> int:
        """Chunks of all views; the last chunk may repeat the last view."""
        return -(-self.images * self.views // self.rows)

    @property
    def chunk_bytes(self) -> int:
        return 4 * self.rows * self.classes

    @property
    def sums_at(self) -> int:
        """Where in the file the checksums begin."""
        return HEADER + self.chunks * self.chunk_bytes

    @property
    def table_bytes(self) -> int:
        """Bytes of the file. CIFAR-10 in chunks of 32: 65,536 + 253,125 x (1,280 + 4) = 325 MB."""
        return self.sums_at + 4 * self.chunks

    @property
    def id(self) -> str:
        """Name of the table's file: SHA-256 of the format and all fields, cut."""
        return hashlib.sha256(msgspec.json.encode((FORMAT, self), order="deterministic")).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class TableMeta:
    """The header of a table."""

    format: int
    key: TableKey
    created: float  # seconds since 1970
    teacher: str = ""  # for people; no part of the key
    data: str = ""


@dataclass(frozen=True, kw_only=True)
class ListedTable:
    """A table as `crdnd tables` shows it."""

    id: str
    path: Path
    meta: TableMeta | None  # None when it cannot be read
    trouble: str  # why no engine uses it; empty when nothing is wrong
    filled: float | None  # share of the chunks that were written
    bytes: int  # when it is full
    bytes_on_disk: int
    last_used: float | None  # seconds since 1970
    in_use: bool  # by an engine


def tables_folder(data: Path) -> Path:
    return data / "teachers" / "tables"


def names(folder: Path) -> list[str]:
    """Names of the tables in this folder, also of those set aside and of former formats; links are none."""
    try:
        return sorted(e.name for e in os.scandir(folder) if NAME.fullmatch(e.name) and not e.is_symlink())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise TableError(f"the teachers' tables cannot be listed: {error.strerror}", where=str(folder)) from None


def listed(folder: Path) -> list[ListedTable]:
    """All tables, the one used last first."""
    return sorted(
        (inspect(folder / name) for name in names(folder)), key=lambda table: (-(table.last_used or 0.0), table.id)
    )


def inspect(path: Path) -> ListedTable:
    """Look at the table at this path, whatever lies there. Its name must be that of its key."""
    meta, filled, trouble, parts = None, None, "", list[os.stat_result]()
    try:
        parts = [part.stat(follow_symlinks=False) for part in (path.iterdir() if path.is_dir() else [path])]
        with os.fdopen(files.opened(path, sparse=True), "rb") as file:
            meta = files.parsed(file.read(HEADER), _decode)
            if meta.key.id != path.name[:16]:
                trouble = "it holds the logits of another key than its name says"
            elif parts[0].st_size != meta.key.table_bytes:
                trouble = f"it has {parts[0].st_size:,} bytes instead of {meta.key.table_bytes:,}"
            else:
                file.seek(meta.key.sums_at)
                filled = sum(map(bool, array("I", file.read(4 * meta.key.chunks)))) / meta.key.chunks
    except (OSError, files.MalformedError) as error:
        trouble = f"its header cannot be read: {error.strerror if isinstance(error, OSError) else error}"
        trouble += ", which another version of crdnd made" * path.is_dir()
    if not trouble and "." in path.name:
        trouble = "an engine computed other logits than it holds, and set it aside"
    return ListedTable(
        id=path.name, path=path, meta=meta, trouble=trouble, filled=filled, in_use=in_use(path),
        bytes=sum(part.st_size for part in parts), bytes_on_disk=sum(part.st_blocks * 512 for part in parts),
        last_used=max((part.st_mtime for part in parts), default=None),
    )  # fmt: skip


def _decode(content: bytes) -> TableMeta:
    if msgspec.json.decode(content)["format"] != FORMAT:
        raise ValueError(f"it is not of format {FORMAT}: another version of crdnd made it")
    return msgspec.json.decode(content, type=TableMeta)


def in_use(path: Path) -> bool:
    """Whether an engine has this table open; a table of a former format has its lock in a file of its own."""
    return locks.is_held(path / "lock" if path.is_dir() else path, shared=False)


def remove(folder: Path, name: str) -> tuple[str, int]:
    """The name and the bytes on disk of the table that was removed; `name` may be its beginning.

    TableError when there is none, several, or an engine uses it.
    """
    matching = [found for found in names(folder) if name and found.startswith(name)]
    chosen = [name] if name in matching else matching
    if len(chosen) != 1:
        what = f"several tables begin with `{name}`: {', '.join(chosen)}" if chosen else f"there is no table `{name}`"
        raise TableError(what, where=str(folder), hint="`crdnd tables` lists them.")
    path = folder / chosen[0]
    with folder_lock(folder):
        table = inspect(path)
        if table.in_use:
            hint = "Stop the runs that train with this teacher first; `crdnd runs` lists them."
            raise TableError("an engine uses this table", where=str(path), hint=hint)
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return table.id, table.bytes_on_disk


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Held for moments: while a table is made, opened, written, set aside or removed. The folder is made.

    TableError when it cannot be had, and in place of every OSError within.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = locks.open_lock(folder / LOCK)
        try:
            if not locks.acquire(file, patience=PATIENCE):
                raise TableError("another process keeps this locked", where=str(folder))
            yield
        finally:
            os.close(file)
    except OSError as error:
        raise TableError(f"the teacher's table cannot be kept: {error.strerror}", where=str(folder)) from error
