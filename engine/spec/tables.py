"""Teacher tables on disk: where they lie, what identifies one, how large it is, whether an engine uses it.

A table is a folder named by the hash of its key. Whoever makes, sets aside or removes one holds the shelf's lock;
an engine that reads or writes one holds the table's own lock, shared, so that nobody removes it meanwhile.
"""

import fcntl
import hashlib
import mmap
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from engine.spec.errors import CrdndError

FORMAT = 1
META, RECORDS, LOCK = "meta.json", "logits.f32", "lock"
SHELF_LOCK, FRESH, GONE = ".lock", ".new-", ".gone-"
NAME = re.compile(r"[0-9a-f]{16}(\.damaged(-\d+)?)?")  # of a table's folder
PATIENCE = 10.0  # seconds to wait for a lock that is held for moments only
BLOCK = 1 << 20  # records that are counted at once
MAX_META = 1 << 16  # bytes
Kind = Literal["space", "unwritable", "damaged", "another key", "busy", "unknown"]


class TableError(CrdndError):
    """A teacher table cannot be used; `kind` says which trouble it is. A run does without it."""

    def __init__(self, what: str, *, kind: Kind, where: str = "", hint: str = "") -> None:
        super().__init__(what, where=where, hint=hint)
        self.kind = kind


@dataclass(frozen=True, kw_only=True)
class Key:
    """All that a teacher's logits depend on. Equal keys share one table."""

    teacher_sha256: str
    model: str  # the architecture's spec as JSON, normalization included
    data_sha256: str  # of the training split
    images: int  # of the official training split
    classes: int
    padding: int
    flip: bool
    image: tuple[int, int, int]  # C H W
    precision: Literal["float32", "bfloat16"]  # of the teacher's arithmetic; records are float32 always
    folded: bool
    layout: str
    device: str  # name of the GPU, or of the CPU
    torch: str

    @property
    def views(self) -> int:
        """Of one image: every crop, mirrored or not. 162 for a padding of 4 with flips."""
        return (2 * self.padding + 1) ** 2 * (1 + self.flip)

    @property
    def record_bytes(self) -> int:
        """Of one view: its logits and their checksum."""
        return 4 * (self.classes + 1)

    @property
    def table_bytes(self) -> int:
        """Of all records. CIFAR-10: 50,000 x 162 x 11 x 4 = 356 MB."""
        return self.images * self.views * self.record_bytes

    @property
    def digest(self) -> bytes:
        """SHA-256 of all fields."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).digest()

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
    filled: float | None  # share of the records that were written
    bytes: int  # when it is full
    bytes_on_disk: int
    last_used: float | None  # seconds since 1970
    in_use: bool


def tables_folder(data: Path) -> Path:
    """Where the tables of a data folder lie."""
    return data / "teachers" / "tables"


def names(folder: Path) -> list[str]:
    """Folders of tables, also of those set aside; links are none."""
    try:
        entries = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(e.name for e in entries if NAME.fullmatch(e.name) and e.is_dir(follow_symlinks=False))


def listed(folder: Path) -> list[Listed]:
    """All tables, the one used last first."""
    found = [_look(folder / name) for name in names(folder)]
    return sorted(found, key=lambda table: (-(table.last_used or 0.0), table.id))


def read_meta(path: Path) -> Meta:
    """Of the table in this folder; TableError when it is damaged or of another version."""
    try:
        file = os.open(path / META, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(file, "rb") as opened:
            meta = msgspec.json.decode(opened.read(MAX_META), type=Meta)
    except (OSError, ValueError) as error:
        raise TableError(f"its {META} cannot be read: {error}", kind="damaged", where=str(path)) from None
    if meta.format != FORMAT:
        raise TableError(
            f"it is of format {meta.format}, not {FORMAT}: another version of crdnd made it", kind="another key",
            where=str(path), hint=f"`crdnd tables --remove {path.name}` makes room for a new one.",
        )  # fmt: skip
    return meta


def check_records(found: os.stat_result, key: Key, path: Path) -> None:
    """TableError unless this is a plain file of the right size."""
    if not stat.S_ISREG(found.st_mode) or found.st_size != key.table_bytes:
        what = f"its {RECORDS} has {found.st_size} bytes instead of {key.table_bytes}"
        raise TableError(what, kind="damaged", where=str(path))


def written(path: Path, key: Key) -> float:
    """Share of the records whose checksum was written: the last word of a record, never 0. Reads every record once."""
    records, size = key.images * key.views, key.record_bytes
    absent = 0
    with (path / RECORDS).open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for first in range(0, records, BLOCK):
            end = min(records, first + BLOCK) * size
            parts = [content[first * size + 4 * key.classes + byte : end : size] for byte in range(4)]
            word = int.from_bytes(parts[0]) | int.from_bytes(parts[1]) | int.from_bytes(parts[2])
            absent += (word | int.from_bytes(parts[3])).to_bytes(len(parts[0])).count(0)
    return (records - absent) / records


def remove(folder: Path, name: str) -> tuple[str, int]:
    """The name and the bytes on disk of the table that was removed; `name` may be its beginning.

    TableError when there is none, several, or an engine uses it.
    """
    matching = [found for found in names(folder) if name and found.startswith(name)]
    chosen = [name] if name in matching else matching
    if len(chosen) != 1:
        what = f"several tables begin with `{name}`: {', '.join(chosen)}" if chosen else f"there is no table `{name}`"
        raise TableError(what, kind="unknown", where=str(folder), hint="`crdnd tables` lists them.")
    path = folder / chosen[0]
    with shelf_lock(folder):
        if in_use(path):
            hint = "Stop the runs that train with this teacher first; `crdnd runs` lists them."
            raise TableError("an engine uses this table", kind="busy", where=str(path), hint=hint)
        freed = sum(file.stat(follow_symlinks=False).st_blocks * 512 for file in os.scandir(path))
        gone = folder / f"{GONE}{secrets.token_hex(8)}"
        path.rename(gone)
        shutil.rmtree(gone)
    return chosen[0], freed


def set_aside(path: Path) -> Path:
    """Out of the way of a new table, kept for whoever wants to look. The shelf's lock must be held."""
    number = 1
    while os.path.lexists(aside := path.with_name(f"{path.name}.damaged" + f"-{number}" * (number > 1))):
        number += 1
    return path.rename(aside)


@contextmanager
def shelf_lock(folder: Path) -> Iterator[None]:
    """Held while tables are made, set aside or removed, which takes moments. OSError when it cannot be written."""
    file = os.open(folder / SHELF_LOCK, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        take(file, fcntl.LOCK_EX, folder)
        yield
    finally:
        os.close(file)


def take(file: int, how: int, path: Path) -> None:
    """flock, within the patience; TableError when another process keeps it."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return fcntl.flock(file, how | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise TableError("another process keeps this locked", kind="busy", where=str(path)) from None
        time.sleep(0.02)


def in_use(path: Path) -> bool:
    """Whether an engine holds this table's lock."""
    try:
        file = os.open(path / LOCK, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False  # a table without its lock is damaged, and nobody can have it open
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def _look(path: Path) -> Listed:
    meta, trouble, filled, used, whole, last = None, "", None, 0, 0, None
    try:
        last = (path / LOCK).stat(follow_symlinks=False).st_mtime
        found = (path / RECORDS).stat(follow_symlinks=False)
        used, whole = found.st_blocks * 512, found.st_size
        last = max(last, found.st_mtime)
        meta = read_meta(path)
        if meta.key.id != path.name[:16]:
            raise TableError("it holds the logits of another key than its name says", kind="another key")
        check_records(found, meta.key, path)
        filled = written(path, meta.key)
    except TableError as error:
        trouble = error.what
    except OSError as error:
        trouble = f"{Path(error.filename or path).name} cannot be read: {error.strerror}"
    if "." in path.name:
        trouble = trouble or "an engine computed other logits than it holds, and set it aside"
    return Listed(
        id=path.name, path=path, meta=meta, trouble=trouble, filled=filled, bytes=whole, bytes_on_disk=used,
        last_used=last, in_use=in_use(path),
    )  # fmt: skip
