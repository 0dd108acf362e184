"""Teacher tables on disk: where they lie, what identifies one, how large it is, whether an engine uses it.

A table is a folder named by the hash of its key. Whoever makes, sets aside or removes one holds the shelf's lock;
an engine that reads or writes one holds the table's own lock, shared, so that nobody removes it meanwhile.
"""

import hashlib
import os
import re
import secrets
import shutil
import stat
import time
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from engine.spec import files, locks
from engine.spec.errors import CrdndError

FORMAT = 2
META, RECORDS, LOCK = "meta.json", "logits.f32", "lock"
SHELF_LOCK, FRESH, GONE = ".lock", ".new-", ".gone-"
NAME = re.compile(r"[0-9a-f]{16}(\.damaged(-\d+)?)?")  # of a table's folder
PATIENCE = 10.0  # seconds to wait for a lock that is held for moments only
MAX_META = 1 << 16  # bytes


_Side = Annotated[int, msgspec.Meta(ge=1, le=1 << 20)]


class TableError(CrdndError):
    """A teacher table cannot be used. A run does without it."""


@dataclass(frozen=True, kw_only=True)
class Key:
    """All that the bits of a teacher's logits depend on. Equal keys share one table."""

    teacher_sha256: str
    model: str  # the architecture's spec as JSON, normalization included
    data_sha256: str  # of the training split
    images: Annotated[int, msgspec.Meta(ge=1, le=1 << 40)]  # of the official training split
    classes: Annotated[int, msgspec.Meta(ge=1, le=1 << 24)]
    padding: Annotated[int, msgspec.Meta(ge=0, le=1 << 10)]
    flip: bool
    image: tuple[_Side, _Side, _Side]  # C H W
    precision: Literal["float32", "bfloat16"]  # of the teacher's arithmetic; records are float32 always
    folded: bool
    layout: str
    device: str  # the GPU, or the CPU and the instructions that it may use
    torch: str
    rows: Annotated[int, msgspec.Meta(ge=1, le=1 << 24)]  # views that are computed as one batch: a chunk

    @property
    def views(self) -> int:
        """Of one image: every crop, mirrored or not. 162 for a padding of 4 with flips."""
        return (2 * self.padding + 1) ** 2 * (1 + self.flip)

    @property
    def chunks(self) -> int:
        """Of all views; the last one may hold some twice."""
        return -(-self.images * self.views // self.rows)

    @property
    def chunk_bytes(self) -> int:
        """Of the logits of a chunk."""
        return 4 * self.rows * self.classes

    @property
    def table_bytes(self) -> int:
        """All logits, then all checksums. CIFAR-10, chunks of 32: 253,125 x (1,280 + 4) = 325 MB."""
        return self.chunks * (self.chunk_bytes + 4)

    @property
    def digest(self) -> bytes:
        """SHA-256 of the format and all fields."""
        return hashlib.sha256(msgspec.json.encode((FORMAT, self), order="deterministic")).digest()

    @property
    def id(self) -> str:
        """Name of the table's folder."""
        return self.digest.hex()[:16]


@dataclass(frozen=True, kw_only=True)
class Meta:
    """What a table's folder says of itself."""

    format: int
    key: Key
    created: float  # seconds since 1970
    teacher: str = ""  # for people; no part of the key
    data: str = ""


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A table as a list shows it."""

    id: str
    path: Path
    meta: Meta | None  # None when it cannot be read
    trouble: str  # empty when nothing is wrong with it
    filled: float | None  # share of the chunks that were written
    bytes: int  # when it is full
    bytes_on_disk: int
    last_used: float | None  # seconds since 1970
    in_use: bool


class _Version(msgspec.Struct):
    """Of any format."""

    format: int


def tables_folder(data: Path) -> Path:
    """Where the tables of a data folder lie."""
    return data / "teachers" / "tables"


def names(folder: Path) -> list[str]:
    """Folders of tables, also of those set aside; links are none."""
    try:
        entries = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise TableError(f"the teachers' tables cannot be listed: {error.strerror}", where=str(folder)) from None
    return sorted(e.name for e in entries if NAME.fullmatch(e.name) and e.is_dir(follow_symlinks=False))


def listed(folder: Path) -> list[Listed]:
    """All tables, the one used last first."""
    found = [_look(folder / name) for name in names(folder)]
    return sorted(found, key=lambda table: (-(table.last_used or 0.0), table.id))


def read_meta(path: Path) -> Meta:
    """Of the table in this folder; TableError when it is damaged or of another version."""
    try:
        return files.parsed(files.content_of(path / META, MAX_META), _meta)
    except OSError as error:
        raise TableError(f"its {META} cannot be read: {error.strerror}") from None
    except files.MalformedError as error:
        raise TableError(f"its {META} cannot be read: {error}") from None


def _meta(content: bytes) -> Meta:
    version = msgspec.json.decode(content, type=_Version).format
    if version != FORMAT:
        raise TableError(f"it is of format {version}, not {FORMAT}: another version of crdnd made it")
    return msgspec.json.decode(content, type=Meta)


def trouble(path: Path, key: Key | None = None) -> str:
    """Why no engine uses the table in this folder, or nothing; `key` is what it should hold, else its name tells."""
    try:
        found = read_meta(path).key
        if found.id != path.name[:16] or found != (key or found):
            return "it holds the logits of another key than its name says"
        for name, wanted in ((LOCK, None), (RECORDS, found.table_bytes)):
            facts = (path / name).stat(follow_symlinks=False)
            if not stat.S_ISREG(facts.st_mode):
                return f"its {name} is no plain file"
            if wanted is not None and facts.st_size != wanted:
                return f"its {name} has {facts.st_size:,} bytes instead of {wanted:,}"
    except TableError as error:
        return error.what
    except OSError as error:
        return f"{Path(error.filename or path).name} cannot be read: {error.strerror}"
    return ""


def written(path: Path, key: Key) -> float:
    """Share of the chunks whose checksum was written, which is never 0."""
    with (path / RECORDS).open("rb") as file:
        file.seek(key.chunks * key.chunk_bytes)
        sums = array("I", file.read(4 * key.chunks))
    return sum(map(bool, sums)) / key.chunks


def size(path: Path) -> int:
    """Bytes of the table in this folder when it is full; 0 where that cannot be seen."""
    try:
        return (path / RECORDS).stat(follow_symlinks=False).st_size
    except OSError:
        return 0


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
    with shelf_lock(folder):
        if in_use(path):
            hint = "Stop the runs that train with this teacher first; `crdnd runs` lists them."
            raise TableError("an engine uses this table", where=str(path), hint=hint)
        freed = sum(file.stat(follow_symlinks=False).st_blocks * 512 for file in os.scandir(path))
        gone = folder / f"{GONE}{secrets.token_hex(8)}"
        path.rename(gone)
        shutil.rmtree(gone)
    return chosen[0], freed


@contextmanager
def shelf_lock(folder: Path) -> Iterator[None]:
    """Held while tables are made, set aside or removed, which takes moments. OSError when it cannot be written."""
    file = locks.open_lock(folder / SHELF_LOCK)
    try:
        take(file, folder)
        yield
    finally:
        os.close(file)


def take(file: int, path: Path, *, shared: bool = False) -> None:
    """A lock, within the patience; TableError when another process keeps it."""
    end = time.monotonic() + PATIENCE
    while not locks.take(file, shared=shared):
        if time.monotonic() > end:
            raise TableError("another process keeps this locked", where=str(path))
        time.sleep(0.02)


def in_use(path: Path) -> bool:
    """Whether an engine holds this table's lock."""
    return locks.is_held(path / LOCK, shared=False)  # a table without its lock is damaged, and nobody can have it open


def _look(path: Path) -> Listed:
    meta, filled, used, whole, last = None, None, 0, 0, None
    found_wrong = trouble(path)
    wrong = found_wrong or "an engine computed other logits than it holds, and set it aside" * ("." in path.name)
    try:
        last = (path / LOCK).stat(follow_symlinks=False).st_mtime
        found = (path / RECORDS).stat(follow_symlinks=False)
        used, whole = found.st_blocks * 512, found.st_size
        last = max(last, found.st_mtime)
        meta = read_meta(path)
        filled = None if found_wrong else written(path, meta.key)
    except (TableError, OSError):
        wrong = wrong or "it is being removed"
    return Listed(
        id=path.name, path=path, meta=meta, trouble=wrong, filled=filled, bytes=whole, bytes_on_disk=used,
        last_used=last, in_use=in_use(path),
    )  # fmt: skip
