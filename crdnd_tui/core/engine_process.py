"""Is the engine of a run alive, and which process is it? The lock says so; a process number alone never does."""

import os
import platform
import time
from typing import NamedTuple

import msgspec
import psutil

from engine.spec import files, locks
from engine.spec.rundir import RunDir


class _Status(msgspec.Struct):
    host: str = ""


_decoder = msgspec.json.Decoder(_Status)


class Holder(NamedTuple):
    """The process that holds a run's lock."""

    pid: int
    started: float  # unix seconds


def alive(run: RunDir) -> bool:
    """Whether an engine holds the lock. The kernel frees it at any death, so this cannot be stale."""
    return locks.is_held(f"{run.path}/engine.lock")  # of 10,000 runs, paths would cost more than asking


def is_here(run: RunDir) -> bool:
    """Whether its engine, if it has one, is on this machine: folders and locks may be shared over a network."""
    status = files.decoded(run.status, _decoder.decode)
    return status is None or status.host in ("", platform.node())


def holder(run: RunDir) -> Holder | None:
    """The living process that holds the lock; None when there is none here, or another process now has its number."""
    if not alive(run) or not is_here(run):
        return None
    pid = locks.owner_pid(files.read(run.lock, 4096) or b"")
    if pid <= 1 or pid == os.getpid():
        return None
    try:
        process = psutil.Process(pid)
        started = process.create_time()
        written = run.lock.stat().st_mtime
        mine = process.uids().real == os.getuid()
    except (psutil.Error, OSError):
        return None
    return Holder(pid, started) if mine and started <= written + 2.0 else None


def same(process: Holder) -> bool:
    """Whether that very process still lives; a zombie does not."""
    try:
        now = psutil.Process(process.pid)
        return bool(abs(now.create_time() - process.started) < 0.5 and now.status() != psutil.STATUS_ZOMBIE)
    except (psutil.Error, ValueError, OverflowError):  # no process has such a number
        return False


def engines(run: RunDir, pid: int) -> list[Holder]:
    """All processes that work on a run: this one, torchrun's agent and the other ranks, the outermost first."""
    found = _outermost(run, pid)
    if found is None:
        return []
    members = [each for each in (found, *_below(found)) if each.pid == pid or _works_on(each, run)]
    return [known for each in members if (known := _known(each)) is not None]


def family(run: RunDir, pid: int) -> set[int]:
    """The same processes and all that they have started."""
    found = _outermost(run, pid)
    return {pid} if found is None else {pid, found.pid, *(each.pid for each in _below(found))}


def _outermost(run: RunDir, pid: int) -> psutil.Process | None:
    """The process that was started for this run; None when `pid` is gone."""
    try:
        process = psutil.Process(pid)
        parent = process.parent()
        while parent is not None and _works_on(parent, run):
            process, parent = parent, parent.parent()
    except (psutil.Error, ValueError, OverflowError):  # no process has such a number
        return None
    return process


def _below(process: psutil.Process) -> list[psutil.Process]:
    try:
        return list(process.children(recursive=True))
    except psutil.Error:
        return []


def _known(process: psutil.Process) -> Holder | None:
    try:
        return Holder(process.pid, process.create_time())
    except psutil.Error:
        return None


def _works_on(process: psutil.Process, run: RunDir) -> bool:
    """Whether it is `... -m engine RUN_DIR ...` of this very run."""
    try:
        words = process.cmdline()
    except psutil.Error:
        return False
    at = next((k for k in range(len(words) - 2) if words[k : k + 2] == ["-m", "engine"]), None)
    return at is not None and words[at + 2] == str(run.path)


def wait_gone(process: Holder, seconds: float) -> bool:
    """Whether the process left within so many seconds."""
    end = time.monotonic() + seconds
    while same(process):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True
