"""Who is at work on which device of this machine, by the locks of the runs: started by the queue or by hand."""

import os
import platform
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec
import psutil

from crdnd_tui import files, gpu, vitals
from crdnd_tui.queueing.queue import Ticket
from engine.spec.rundir import RUN_ID, RunDir


class _Machine(msgspec.Struct):
    device: str = "auto"


class _Status(msgspec.Struct):
    host: str = ""


class Job(NamedTuple):
    """An engine at work."""

    run: str  # its id
    device: str
    pid: int  # 0 when it is not known


_auto: list[str] = []


def wanted(run: RunDir) -> str:
    """The device that a run's machine.json asks for."""
    try:
        return msgspec.json.decode(files.read(run.machine) or b"", type=_Machine).device
    except (ValueError, RecursionError):
        return "auto"


def device(name: str) -> str:
    """`cuda:0` or `cpu` for what a machine.json may say."""
    if not _auto:
        _auto.append("cuda:0" if gpu.cards() else "cpu")
    return {"auto": _auto[0], "cuda": "cuda:0"}.get(name, name)


class Scan:
    """Finds out whether a device has room. All locks of the folder are tried only when it seems to have some."""

    def __init__(self, runs: Path) -> None:
        self._runs = runs
        self._known: list[Job] = []

    def is_full(self, on: str, running: Iterable[Ticket], room: int) -> bool:
        """Whether so many engines are at work on this device; one that trains another's teacher is part of that one."""
        started = [Job(ticket.run, device(ticket.device), ticket.pid) for ticket in running]
        self._known = [job for job in self._known if vitals.alive(RunDir(self._runs / job.run))]
        if len(_on(on, [*started, *self._known])) < room:
            self._known = living(self._runs)
        return len(_on(on, [*started, *self._known])) >= room


def _on(name: str, jobs: Iterable[Job]) -> list[Job]:
    by_run = {job.run: job for job in jobs}
    return [job for job in without_teachers(by_run.values()) if job.device == name]


def living(runs: Path) -> list[Job]:
    """All engines of a folder that hold a lock."""
    try:
        with os.scandir(runs) as entries:
            names = [e.name for e in entries if RUN_ID.fullmatch(e.name) and e.is_dir(follow_symlinks=False)]
    except OSError:
        return []
    folders = (RunDir(runs / name) for name in names)
    return [job(run) for run in folders if vitals.alive(run) and is_here(run)]


def is_here(run: RunDir) -> bool:
    """Whether its engine, if it has one, is on this machine: folders and locks may be shared over a network."""
    try:
        host = msgspec.json.decode(files.read(run.status) or b"", type=_Status).host
    except (ValueError, RecursionError):
        return True
    return host in ("", platform.node())


def job(run: RunDir) -> Job:
    """Of a run whose engine lives."""
    holder = vitals.holder(run)
    return Job(run.id, device(wanted(run)), holder.pid if holder else 0)


def without_teachers(jobs: Iterable[Job]) -> list[Job]:
    """Those whose process was not started by another of them."""
    jobs = list(jobs)
    pids = {job.pid for job in jobs if job.pid}
    return [job for job in jobs if not job.pid or _parent(job.pid) not in pids]


def born(pid: int) -> float:
    """When this process began, unix seconds; now when it is gone."""
    try:
        return psutil.Process(pid).create_time()
    except (psutil.Error, ValueError, OverflowError):  # no process has such a number
        return time.time()


def _parent(pid: int) -> int:
    try:
        return int(psutil.Process(pid).ppid())
    except (psutil.Error, ValueError, OverflowError):  # no process has such a number
        return 0
