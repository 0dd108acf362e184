"""Files that are whole or not there: written beside the target, synced, then renamed over it."""

import os
import tempfile
from pathlib import Path

TEMPORARY = ".crdnd-tmp-"  # prefix of files that a killed writer may leave; swept when the lock is held


def write_atomically(path: Path, content: bytes) -> None:
    """Replace `path` by `content`; after a crash at any moment it holds the old bytes or the new. OSError when full."""
    handle, name = tempfile.mkstemp(prefix=TEMPORARY, dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames in this folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sweep(folder: Path) -> int:
    """Remove what killed writers left in this folder and below; returns how many files that were."""
    left = [path for path in folder.rglob(f"{TEMPORARY}*") if path.is_file() and not path.is_symlink()]
    for path in left:
        path.unlink(missing_ok=True)
    return len(left)
