"""Small files of a run folder, read without trust: regular files only, no links, no more than a cap."""

import os
import stat
from pathlib import Path

CONFIG_CAP = 1 << 20  # bytes of a config, status or machine file
RESULT_CAP = 64 << 20  # bytes of a result, which may hold the outcomes of every image
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def open_regular(path: Path) -> int | None:
    """A descriptor to read from; None when there is no such file, or it is a link, a pipe or a device."""
    try:
        descriptor = os.open(path, _FLAGS)
    except OSError:
        return None
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    return None


def read(path: Path, cap: int = CONFIG_CAP) -> bytes | None:
    """The whole file; None when it cannot be read or is larger than `cap`."""
    descriptor = open_regular(path)
    if descriptor is None:
        return None
    try:
        content = bytearray()
        while chunk := os.read(descriptor, min(1 << 20, cap + 1 - len(content))):
            content += chunk
            if len(content) > cap:
                return None
        return bytes(content)
    except OSError:
        return None
    finally:
        os.close(descriptor)


def tail(path: Path, cap: int = 1 << 14) -> bytes:
    """The last bytes of a file; empty when it cannot be read."""
    descriptor = open_regular(path)
    if descriptor is None:
        return b""
    try:
        length = os.fstat(descriptor).st_size
        return os.pread(descriptor, cap, max(0, length - cap))
    except OSError:
        return b""
    finally:
        os.close(descriptor)
