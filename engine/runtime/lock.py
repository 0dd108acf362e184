"""One engine per run folder: a kernel lock, which any death of the process frees."""

import json
import os
import time
from pathlib import Path

from engine.spec import locks
from engine.spec.errors import RunFolderError

PATIENCE = 1.0  # seconds; a viewer that probes the lock holds it shared for an instant


class Lock:
    """flock on engine.lock, held until the process ends. Not inherited by children.

    On a file system without locks, an engine on this machine alone is kept out.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1

    def take(self) -> None:
        """Hold the lock; RunFolderError when another engine does, or the folder cannot be written."""
        try:
            self._file = locks.open_lock(self._path)
            end = time.monotonic() + PATIENCE
            while not locks.take(self._file):
                if time.monotonic() > end:
                    holder = os.pread(self._file, 200, 0).decode("utf-8", "replace").strip()
                    raise RunFolderError(f"another engine is at work here: {holder}", where=str(self._path.parent))
                time.sleep(0.05)
            locks.sign(self._file, json.dumps({"pid": os.getpid()}).encode() + b"\n")
        except OSError as error:
            raise RunFolderError(f"cannot be locked: {error.strerror}", where=str(self._path.parent)) from error
