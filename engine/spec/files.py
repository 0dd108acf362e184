"""Read and write the small files of run and data folders: read without trust, written whole or not at all.

Read: regular files only, no links, no holes without end, no more than a cap; and whatever a parser raises at hostile
content is one kind of error. Written: beside the target, synced, then renamed over it, never through a link.
"""

import contextlib
import errno
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from engine.spec.errors import ConfigError, brief

CONFIG_CAP = 1 << 20  # bytes of a config, status or machine file
RESULT_CAP = 64 << 20  # bytes of a result, which may hold the outcomes of every image
PIXEL_CAP = 1 << 34  # bytes of the examples of an attack
LOG_CAP = 1 << 33  # bytes of events or of a log; a run of a month says less
TEMPORARY = ".crdnd-tmp-"  # prefix of files that a killed writer may leave; swept when the lock is held
LACKING = {errno.EPERM, errno.EACCES, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK, errno.EBADF}
_SAFELY = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_SPARSE = 64  # a file of so many times more bytes than its data, _DENSE or more, is a hole
_DENSE = 1 << 20  # bytes; a smaller file costs nothing, whatever it is made of
_HOSTILE = (  # what parsers raise: no UTF-8, endless digits, brackets without end, wrong types at any level
    ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RecursionError, MemoryError,
)  # fmt: skip
T = TypeVar("T")


class MalformedError(ValueError):
    """The content of a file is not what it should be; the message is one line."""


def opened(path: Path | str, *, sparse: bool = False) -> int:
    """Open a file to read; OSError, with words that a user understands, when it is no regular file, or `sparse`."""
    descriptor = _open(path, os.O_RDONLY)
    if not sparse and _is_sparse(descriptor):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is sparse: hardly anything of it was ever written", str(path))
    return descriptor


def made(path: Path, flags: int) -> int:
    """Open a regular file to write, which is made where there is none; OSError for a link and all else."""
    descriptor = _open(path, flags | os.O_CREAT)
    os.set_blocking(descriptor, True)
    return descriptor


def _open(path: Path | str, flags: int) -> int:
    try:
        descriptor = os.open(path, flags | _SAFELY, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "it is a link, and links are not followed", str(path)) from None
        if error.errno == errno.ENXIO:  # a pipe without a reader, a socket
            raise OSError(errno.EINVAL, "it is no regular file", str(path)) from None
        raise
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        folder = stat.S_ISDIR(mode)
        code, what = (errno.EISDIR, "it is a folder") if folder else (errno.EINVAL, "it is no regular file")
        raise OSError(code, what, str(path))
    return descriptor


def _is_sparse(descriptor: int) -> bool:
    """Whether hardly anything of a large file is data; by its holes, for some file systems count blocks late."""
    size, data, end = os.fstat(descriptor).st_size, 0, 0
    while size >= _DENSE and end < size and data * _SPARSE < size:
        try:
            start = os.lseek(descriptor, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:  # this file system cannot say
                return False
            break  # no data behind this place
        end = os.lseek(descriptor, start, os.SEEK_HOLE)
        data += end - start
    os.lseek(descriptor, 0, os.SEEK_SET)
    return size >= _DENSE and data * _SPARSE < size


def open_regular(path: Path | str) -> int | None:
    """Open a file to read; None when there is no such file, or it is a link, a pipe, a device or a hole."""
    try:
        return opened(path)
    except (OSError, ValueError):  # ValueError: a name with a zero byte
        return None


def content_of(path: Path | str, cap: int = CONFIG_CAP) -> bytes:
    """Read the file as long as it is when it is opened.

    OSError when it is absent, a link, not regular, sparse, larger than `cap`, unreadable.
    """
    with os.fdopen(opened(path), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > cap:
            raise OSError(errno.EOVERFLOW, f"it has {size} bytes, and {cap} are the most that it may have", str(path))
        return file.read(size)


def read(path: Path | str, cap: int = CONFIG_CAP) -> bytes | None:
    """Read the whole file; None when it cannot be read or is larger than `cap`."""
    try:
        return content_of(path, cap)
    except (OSError, ValueError):
        return None


def parsed(content: bytes, decode: Callable[[bytes], T]) -> T:
    """Decode a file's content; MalformedError for whatever `decode` raises at malformed content."""
    try:
        return decode(content)
    except _HOSTILE as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        deep = isinstance(error, RecursionError)
        raise MalformedError("it is nested too deeply" if deep else lines[0][:200]) from error


def decoded(path: Path | str, decode: Callable[[bytes], T], cap: int = CONFIG_CAP) -> T | None:
    """Read and decode a file; None when it cannot be read, or is malformed."""
    content = read(path, cap)
    try:
        return None if content is None else parsed(content, decode)
    except MalformedError:
        return None


def json_table(content: bytes) -> dict[str, Any]:
    """Parse a JSON object; MalformedError when it is another value, or no JSON."""
    table = parsed(content, lambda text: json.loads(text.decode("utf-8")))
    if not isinstance(table, dict):
        raise MalformedError("it holds no object")
    return table


def toml_table(content: bytes) -> dict[str, Any]:
    """Parse TOML; MalformedError when it is none."""
    from engine.spec import toml_text  # noqa: PLC0415  2 ms that shell completion does without

    return parsed(content, lambda text: toml_text.parse(toml_text.decode_utf8(text)))


def read_table(path: Path | str) -> dict[str, Any]:
    """Read the object of a JSON file; empty when it cannot be read, is malformed, or holds something else."""
    return decoded(path, json_table) or {}


def absolute(said: Path | str) -> Path:
    """Resolve a folder that a user named; ConfigError for what is no path: the home of no user, a zero byte."""
    try:
        return Path(said).expanduser().resolve()
    except (RuntimeError, ValueError) as error:
        raise ConfigError([f"{str(said)[:200]!r} is no path of a folder: {brief(error).rstrip('.')}"]) from None


def sha256(path: Path) -> str:
    """Hash a file of any size, following links; OSError when it cannot be read."""
    import hashlib  # noqa: PLC0415  2 ms that lists of runs do without

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tail(path: Path | str, cap: int = 1 << 14) -> bytes:
    """Read the last bytes of a file; empty when it cannot be read."""
    return (ends(path, 0, cap) or [b""])[-1]


def ends(path: Path | str, head: int, end: int) -> list[bytes]:
    """Read the first and the last bytes of a file, or all of it in one piece; nothing when it cannot be read."""
    try:
        with os.fdopen(opened(path), "rb") as file:
            length = os.fstat(file.fileno()).st_size
            if length <= head + end:
                return [file.read(length)]
            return [file.read(head), os.pread(file.fileno(), end, length - end)]
    except (OSError, ValueError):
        return []


def is_file(path: Path | str) -> bool:
    """Return whether a file lies there; False in an unreadable folder, and for names that no file can have."""
    return os.path.isfile(path)  # noqa: PTH113  Path raises in such a folder on Python 3.11


def is_regular(path: Path | str) -> bool:
    """Return whether a file that is no link lies there."""
    return os.path.isfile(path) and not os.path.islink(path)  # noqa: PTH113, PTH114


def is_folder(path: Path | str) -> bool:
    """Return whether a folder that is no link lies there."""
    return os.path.isdir(path) and not os.path.islink(path)  # noqa: PTH112, PTH114


def open_log(path: Path, *, anew: bool = False, read: bool = False) -> int:
    """Open a log to append to, or to begin anew; OSError unless it becomes a regular file.

    A file that has other names, by hard links as backups are made of, is first replaced by a copy of its own.
    """
    flags = os.O_APPEND * (not anew) | (os.O_RDWR if read else os.O_WRONLY)
    descriptor = made(path, flags)
    if os.fstat(descriptor).st_nlink > 1:
        os.close(descriptor)
        write_atomically(path, b"" if anew else content_of(path, LOG_CAP))
        descriptor = made(path, flags)
    if anew:
        os.ftruncate(descriptor, 0)
    return descriptor


def refuse_links(path: Path) -> None:
    """Raise OSError, which names the link, when one stands anywhere on this absolute path.

    Run and data folders are resolved before a name inside them is made: a link found then was put inside, and what
    is written, cut or deleted through it would lie elsewhere.
    """
    whole = os.path.abspath(path)  # noqa: PTH100  resolve() follows links, which are what is sought
    if os.path.realpath(whole) == whole:
        return
    for above in (*reversed(Path(whole).parents), Path(whole)):
        if above.is_symlink():
            raise OSError(errno.ELOOP, "a link stands here, and links are not followed", str(above))


def make_folder(folder: Path) -> None:
    """Make a folder and those above it; OSError when a link stands on the way, or it cannot be made."""
    refuse_links(folder)
    folder.mkdir(parents=True, exist_ok=True)


def write_inside(path: Path, content: bytes) -> None:
    """Write a file of a run or data folder, whole or not at all, through no link; its folder is made.

    A folder of this name is damage, and is set aside. OSError when the disk is full, or a link stands on the way.
    """
    make_folder(path.parent)
    if is_folder(path):
        set_aside(path)
    write_atomically(path, content)


def set_aside(path: Path) -> Path:
    """Rename what is damaged to `NAME.damaged`, `NAME.damaged-2`, ...; returns its new path."""
    number = 1
    while os.path.lexists(aside := path.with_name(f"{path.name}.damaged" + f"-{number}" * (number > 1))):
        number += 1
    return path.rename(aside)


def touch(path: Path) -> None:
    """Make an empty file, or leave the one that is there; OSError where a link or a folder stands."""
    os.close(open_log(path))


@contextlib.contextmanager
def tolerate_unsupported() -> Iterator[None]:
    """Pass over what a file system may lack without harm; errors of the disk itself, such as EIO, are raised."""
    try:
        yield
    except OSError as error:
        if error.errno not in LACKING:
            raise


def write_atomically(path: Path, content: bytes, size: int = 0) -> None:
    """Replace `path` by `content`; after a crash at any moment it holds the old bytes or the new. OSError when full.

    Where `size` is larger, a hole follows the content.

    A new file has the mode that the umask gives, so that people who share a folder can share its files.
    """
    temporary = path.with_name(f"{TEMPORARY}{os.urandom(8).hex()}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            if size > len(content):
                file.truncate(size)
            sync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync(file: int) -> None:
    """Flush a file to the disk, where the file system can promise that."""
    with tolerate_unsupported():
        os.fsync(file)


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries, and so renames in it, to the disk."""
    with tolerate_unsupported():
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def free_bytes(folder: Path) -> int | None:
    """Return the free bytes of this folder's disk; None where the file system does not tell."""
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return None
    return usage.free if usage.total else None


def sweep(folder: Path) -> int:
    """Remove what killed writers left in this folder and below, but another user's; returns how many files."""
    removed = 0
    for path in [path for path in folder.rglob(f"{TEMPORARY}*") if is_regular(path)]:
        with contextlib.suppress(OSError):
            path.unlink()
            removed += 1
    return removed
