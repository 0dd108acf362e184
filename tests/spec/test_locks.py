"""Locks and files on file systems that lack what a local disk has, and between people who share a folder."""

import errno
import fcntl
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from crdnd_tui.core import engine_process
from engine.spec import files, locks
from engine.spec.errors import RunFolderError
from engine.spec.locks import hold, is_held
from engine.spec.rundir import RunDir

REFUSALS = (errno.EPERM, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def refuse(monkeypatch: pytest.MonkeyPatch, owner: object, names: str, code: int) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    for name in names.split():
        monkeypatch.setattr(owner, name, refused)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("code", REFUSALS)
def test_a_file_is_written_where_niceties_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    refuse(monkeypatch, os, "chmod fchmod fsync utime", code)
    files.write_atomically(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_an_error_of_the_disk_is_still_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    refuse(monkeypatch, os, "fsync", code)
    with pytest.raises(OSError, match=os.strerror(code)):
        files.write_atomically(tmp_path / "a", b"new")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("mask", "expected"), [(0o002, 0o664), (0o022, 0o644), (0o077, 0o600)])
def test_files_have_the_mode_that_the_umask_gives(tmp_path: Path, mask: int, expected: int) -> None:
    with umask(mask):
        files.write_atomically(tmp_path / "status.json", b"{}")
        hold(tmp_path / "engine.lock")
        os.close(locks.open_lock(tmp_path / "lock"))
    assert {path.name: mode(path) for path in tmp_path.iterdir()} == {
        "status.json": expected, "engine.lock": expected, "lock": expected,
    }  # fmt: skip


def test_a_disk_that_does_not_tell_its_room_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, os, "statvfs", errno.ENOSYS)
    assert files.free_bytes(tmp_path) is None


@pytest.mark.parametrize("code", NO_LOCKS)
def test_without_locks_an_engine_works_and_a_second_one_of_this_machine_is_kept_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    refuse(monkeypatch, fcntl, "flock", code)
    run = RunDir(tmp_path)
    hold(run.lock)
    assert not locks.supported(run.lock)
    sleeper = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        run.lock.write_text(json.dumps({"pid": sleeper.pid}))
        assert is_held(run.lock) and engine_process.alive(run)
        monkeypatch.setattr("engine.spec.locks.PATIENCE", 0.0)
        with pytest.raises(RunFolderError, match="another engine is at work here"):
            hold(run.lock)
    finally:
        sleeper.communicate()
    assert not is_held(run.lock) and not engine_process.alive(run)


def test_a_process_that_is_younger_than_the_signature_did_not_sign(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, fcntl, "flock", errno.ENOSYS)
    lock = tmp_path / "engine.lock"
    lock.write_text(json.dumps({"pid": os.getppid()}))
    os.utime(lock, (1.0, 1.0))
    assert not is_held(lock)


def test_a_lock_of_another_user_is_taken_read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, opened = tmp_path / "lock", os.open
    path.write_text("theirs")

    def shut(file: Path, flags: int, *rest: int) -> int:
        if flags & os.O_ACCMODE != os.O_RDONLY:
            raise PermissionError(errno.EACCES, "Permission denied", str(file))
        return opened(file, flags, *rest)

    monkeypatch.setattr(os, "open", shut)
    lock = locks.open_lock(path)
    assert locks.acquire(lock)
    locks.write_owner(lock, b"ours")
    assert path.read_text() == "theirs"
    assert not locks.acquire(locks.open_lock(path))
    with pytest.raises(PermissionError):
        locks.open_lock(tmp_path / "absent")


def test_a_lock_is_no_link_and_no_pipe(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe"):
        with pytest.raises(OSError, match=r"a link|no regular file"):
            locks.open_lock(tmp_path / name)
    assert not (tmp_path / "elsewhere").exists()
