"""Kernel locks on files. On a file system without locks, the process that is named in the file stands for one.

`flock` needs no right to write, so that a lock file of another user can be taken, too.
"""

import errno
import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.spec.errors import RunFolderError
from engine.spec.files import LACKING, made, opened, tolerate_unsupported

NO_LOCKS = (
    "the file system of the runs has no locks: a second engine on another machine would not be noticed, so work on a "
    "run from one machine only"
)
PATIENCE = 1.0  # seconds; a viewer that probes an engine's lock holds it shared for an instant


def open_lock(path: Path) -> int:
    """Open a lock file, which is made where there is none; read-only where it is another user's.

    OSError when it cannot be made or opened, or is a link or no regular file.
    """
    try:
        return made(path, os.O_RDWR)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS) or not os.path.lexists(path):
            raise
        return opened(path, sparse=True)


def try_lock(file: int, *, shared: bool = False) -> bool | None:
    """Try to lock at once and return whether that worked; None on a file system without locks."""
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in LACKING:
            return None
        raise
    return True


def acquire(file: int, *, shared: bool = False, patience: float = 0.0) -> bool:
    """Lock within `patience` seconds, and return whether that worked; without locks: whether no owner lives."""
    end = time.monotonic() + patience
    while True:
        taken = try_lock(file, shared=shared)
        if taken is None:
            taken = not owner_lives(file)
        if taken or time.monotonic() >= end:
            return taken
        time.sleep(0.02)


def is_held(path: Path | str, *, shared: bool = True) -> bool:
    """Return whether a process holds this lock (not `shared`: or shares it); False where it cannot be opened."""
    try:
        with os.fdopen(opened(path, sparse=True), "rb") as file:
            return not acquire(file.fileno(), shared=shared)
    except (OSError, ValueError):
        return False


def supported(path: Path) -> bool:
    """Return whether the file system of this lock, which may be held, has locks."""
    with os.fdopen(opened(path, sparse=True), "rb") as file:
        return try_lock(file.fileno(), shared=True) is not None


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold this lock in a `with` block, however long it takes to get; without locks, hold nothing.

    OSError when its file cannot be opened.
    """
    file = open_lock(path)
    try:
        with tolerate_unsupported():
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def hold(path: Path) -> None:
    """Hold the lock of a run's engine until this process ends, however it does; children do not inherit it.

    RunFolderError when another engine holds it, or the folder cannot be written.
    """
    try:
        file = open_lock(path)
        if not acquire(file, patience=PATIENCE):
            holder = os.pread(file, 200, 0).decode("utf-8", "replace").strip()
            os.close(file)
            raise RunFolderError(f"another engine is at work here: {holder}", where=str(path.parent))
        write_owner(file, json.dumps({"pid": os.getpid()}).encode() + b"\n")
    except OSError as error:
        raise RunFolderError(f"cannot be locked: {error.strerror}", where=str(path.parent)) from error


def release(file: int) -> None:
    with tolerate_unsupported():
        fcntl.flock(file, fcntl.LOCK_UN)


def write_owner(file: int, content: bytes) -> None:
    """Write into a lock who owns it, unless it is another user's and may only be read; OSError for a hard link."""
    if os.fstat(file).st_nlink > 1:
        raise OSError(errno.EMLINK, "its lock has another name elsewhere (a hard link); remove the one here")
    if fcntl.fcntl(file, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY:
        os.ftruncate(file, 0)
        os.pwrite(file, content, 0)


def owner_pid(content: bytes) -> int:
    """Read the owner's process id from a lock: a number, or JSON with a `pid`; 0 for anything else."""
    text = content.decode("ascii", "replace").strip()
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = text.partition(" ")[0]
    pid = str(value.get("pid") if isinstance(value, dict) else value)
    return int(pid) if pid.isdecimal() and len(pid) < 10 else 0


def owner_lives(file: int) -> bool:
    """Return whether the owner lives: another process than this, older than its signature."""
    import psutil  # noqa: PLC0415  needed on few file systems

    pid = owner_pid(os.pread(file, 4096, 0))
    if pid <= 1 or pid == os.getpid():
        return False
    try:
        process = psutil.Process(pid)
        living = process.status() != psutil.STATUS_ZOMBIE
        return living and process.create_time() <= os.fstat(file).st_mtime + 2.0
    except psutil.Error:
        return False
