"""Teacher tables as files: made, joined, limited in size. What is in them is `table`'s business."""

import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from engine.spec import tables
from engine.spec.files import sync_folder
from engine.spec.tables import FORMAT, FRESH, GONE, LOCK, META, RECORDS, Key, Meta, TableError
from engine.spec.units import bytes_text

SPARE = 64 << 20  # bytes that a table leaves free on its disk, for checkpoints


@dataclass(kw_only=True)
class Place:
    """A table's folder, held in use by this process until `release`."""

    path: Path
    records: int  # descriptors
    lock: int

    def release(self) -> None:
        """Others may remove the table."""
        for file in (self.records, self.lock):
            os.close(file)

    @property
    def bytes_on_disk(self) -> int:
        """Really taken: what was never written takes nothing."""
        return os.fstat(self.records).st_blocks * 512


def occupy(folder: Path, key: Key, limit_bytes: int, teacher: str, data: str) -> Place:
    """The key's table, made if there is none; `teacher` and `data` name it for people.

    A damaged one is set aside and reported by a TableError: opening again makes a new one.
    """
    path = folder / key.id
    with _unwritable(path):
        folder.mkdir(parents=True, exist_ok=True)
        with tables.shelf_lock(folder):
            _sweep(folder)
            if not os.path.lexists(path):
                _check_limit(folder, key, limit_bytes)
                _check_disk(folder, key.table_bytes)
                _make(folder, Meta(format=FORMAT, key=key, created=time.time(), teacher=teacher, data=data))
            try:
                return _join(path, key)
            except TableError as error:
                if error.kind != "damaged":
                    raise
                aside = tables.set_aside(path)
                what = f"the teacher's table is damaged: {error.what}"
                hint = f"It was set aside as {aside.name}; the next run makes a new one."
                raise TableError(what, kind="damaged", where=str(path), hint=hint) from None


def set_aside(place: Place) -> Path | None:
    """The table out of everybody's way; None when another engine did it before. Those who have it open keep it."""
    with _unwritable(place.path), tables.shelf_lock(place.path.parent):
        try:
            ours = os.path.samestat((place.path / LOCK).stat(follow_symlinks=False), os.fstat(place.lock))
        except FileNotFoundError:
            return None
        return tables.set_aside(place.path) if ours else None


@contextmanager
def _unwritable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TableError(
            f"the teacher's table cannot be kept here: {error.strerror}", kind="unwritable", where=str(path)
        ) from error


def _sweep(folder: Path) -> None:
    """What was half made or half removed when a process died; the shelf's lock is held, so nobody is at it."""
    for entry in list(os.scandir(folder)):
        if entry.name.startswith((FRESH, GONE)) and entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)


def _check_limit(folder: Path, key: Key, limit_bytes: int) -> None:
    """What all tables will take when they are full."""
    taken = sum(_size(folder / name / RECORDS) for name in tables.names(folder))
    if taken + key.table_bytes > limit_bytes:
        what = f"the teacher's table takes {bytes_text(key.table_bytes)}, and other tables {bytes_text(taken)}"
        hint = "`crdnd tables` lists them, and removes one; --machine table_gib=... allows more."
        raise TableError(f"{what}; {bytes_text(limit_bytes)} are allowed", kind="space", where=str(folder), hint=hint)


def _check_disk(folder: Path, more: int) -> None:
    free = shutil.disk_usage(folder).free
    if more and more + SPARE > free:
        what = f"the teacher's table needs {bytes_text(more)} more; {bytes_text(free)} are free on its disk"
        raise TableError(what, kind="space", where=str(folder), hint="`crdnd tables` lists all, and removes one.")


def _size(path: Path) -> int:
    try:
        return path.stat(follow_symlinks=False).st_size
    except FileNotFoundError:
        return 0


def _make(folder: Path, meta: Meta) -> None:
    """The folder appears whole or not at all; its records are a hole as long as the table."""
    fresh = folder / f"{FRESH}{secrets.token_hex(8)}"
    fresh.mkdir()
    contents = {META: msgspec.json.format(msgspec.json.encode(meta), indent=1) + b"\n", LOCK: b"", RECORDS: b""}
    for name, content in contents.items():
        with (fresh / name).open("xb") as file:
            file.write(content)
            if name == RECORDS:
                file.truncate(meta.key.table_bytes)
            file.flush()
            os.fsync(file.fileno())
    sync_folder(fresh)
    fresh.rename(folder / meta.key.id)
    sync_folder(folder)


def _join(path: Path, key: Key) -> Place:
    """Open what is there, after a look at it. Links are not followed: they may lead out of the data folder."""
    if path.is_symlink() or not path.is_dir():
        raise TableError(
            "a link or a file stands where the teacher's table belongs", kind="unwritable", where=str(path)
        )
    meta = tables.read_meta(path)
    if meta.key != key:
        what = "a table of another teacher, data set or padding lies under this name"
        hint = f"`crdnd tables --remove {path.name}` makes room for a new one."
        raise TableError(what, kind="another key", where=str(path), hint=hint)
    lock = _open(path / LOCK)
    try:
        tables.take(lock, fcntl.LOCK_SH, path)
        os.utime(lock)
        records = _open(path / RECORDS)
    except BaseException:
        os.close(lock)
        raise
    place = Place(path=path, records=records, lock=lock)
    try:
        tables.check_records(os.fstat(records), key, path)
        _check_disk(path, max(0, key.table_bytes - place.bytes_on_disk))
    except BaseException:
        place.release()
        raise
    return place


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise TableError(f"its {path.name} is missing", kind="damaged", where=str(path.parent)) from None
