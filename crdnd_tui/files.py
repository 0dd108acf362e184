"""Small files of a run folder, read without trust: regular files only, no links, no more than a cap."""

import errno
import os
import stat
from pathlib import Path

CONFIG_CAP = 1 << 20  # bytes of a config, status or machine file
RESULT_CAP = 64 << 20  # bytes of a result, which may hold the outcomes of every image
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def open_regular(path: Path | str) -> int | None:
    """A descriptor to read from; None when there is no such file, or it is a link, a pipe or a device."""
    try:
        descriptor = os.open(path, _FLAGS)
    except OSError:
        return None
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    return None


def is_file(path: Path) -> bool:
    """Whether a file lies there; False in a folder that may not be read, where Path raises on Python 3.11."""
    return os.path.isfile(path)  # noqa: PTH113


def is_folder(path: Path) -> bool:
    """The same for a folder that is no link."""
    return os.path.isdir(path) and not os.path.islink(path)  # noqa: PTH112, PTH114


def open_log(path: Path, *, anew: bool = False) -> int:
    """A descriptor to append to, or to begin anew with; OSError unless it is, or becomes, a regular file."""
    kept = os.O_TRUNC if anew else os.O_APPEND
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags | kept, 0o644)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    os.set_blocking(descriptor, True)
    return descriptor


def read(path: Path | str, cap: int = CONFIG_CAP) -> bytes | None:
    """The whole file; None when it cannot be read or is larger than `cap`."""
    descriptor = open_regular(path)
    if descriptor is None:
        return None
    try:
        content, piece = b"", min(os.fstat(descriptor).st_size, cap) + 1  # a larger buffer costs, even when unused
        while len(content) <= cap:
            chunk = os.read(descriptor, piece)
            content += chunk
            if len(chunk) < piece:
                return content if len(content) <= cap else None  # the end: nothing is asked for twice
            piece = cap + 1 - len(content)
        return None
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


def ends(path: Path, head: int, tail: int) -> list[bytes]:
    """The first and the last bytes of a file, or all of it in one piece; nothing when it cannot be read."""
    descriptor = open_regular(path)
    if descriptor is None:
        return []
    try:
        length = os.fstat(descriptor).st_size
        if length <= head + tail:
            return [os.pread(descriptor, length, 0)]
        return [os.pread(descriptor, head, 0), os.pread(descriptor, tail, length - tail)]
    except OSError:
        return []
    finally:
        os.close(descriptor)
