"""One engine per run folder: a kernel lock, which any death of the process frees."""

import fcntl
import json
import os
import time
from pathlib import Path

from engine.spec.errors import RunFolderError

PATIENCE = 1.0  # seconds; a viewer that probes the lock holds it shared for an instant


class Lock:
    """flock on engine.lock, held until the process ends. Not inherited by children."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1

    def take(self) -> None:
        """Hold the lock; RunFolderError when another engine does, or the folder cannot be locked."""
        try:
            self._file = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
            end = time.monotonic() + PATIENCE
            while not self._try():
                if time.monotonic() > end:
                    holder = os.pread(self._file, 200, 0).decode("utf-8", "replace").strip()
                    raise RunFolderError(f"another engine is at work here: {holder}", where=str(self._path.parent))
                time.sleep(0.05)
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, json.dumps({"pid": os.getpid()}).encode() + b"\n", 0)
        except OSError as error:
            raise RunFolderError(f"cannot be locked: {error.strerror}", where=str(self._path.parent)) from error

    def _try(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def is_held(path: Path) -> bool:
    """Whether an engine holds this lock."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False
