"""Who is at work on which device of this machine, by the locks of the runs: started by the queue or by hand."""

import os
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
import psutil

from crdnd_tui.core import engine_process, gpu
from engine.spec import files
from engine.spec.rundir import RUN_ID, RunDir


class Wanted(msgspec.Struct, frozen=True):
    """What a machine.json asks for."""

    device: str = "auto"
    devices: Annotated[int, msgspec.Meta(ge=1, le=1024)] = 1


class Job(NamedTuple):
    """An engine at work."""

    run: str  # its id
    device: str
    pid: int  # 0 when it is not known
    devices: int = 1  # how many it takes, from the first on

    @property
    def places(self) -> tuple[str, ...]:
        """All devices that it takes."""
        return places(self.device, self.devices)


_decoder = msgspec.json.Decoder(Wanted)
_auto: list[str] = []


def wanted(run: RunDir) -> Wanted:
    """The devices that a run's machine.json asks for."""
    return files.decoded(run.machine, _decoder.decode) or Wanted()


def device(name: str) -> str:
    """`cuda:0` or `cpu` for what a machine.json may say."""
    if not _auto:
        _auto.append("cuda:0" if gpu.visible() else "cpu")
    return {"auto": _auto[0], "cuda": "cuda:0"}.get(name, name)


def places(named: str, devices: int = 1) -> tuple[str, ...]:
    """All devices of a run that asks for so many: this one and the next. On the CPU its processes share the one."""
    first = device(named)
    number = re.fullmatch(r"cuda:(\d{1,4})", first)
    return tuple(f"cuda:{int(number[1]) + k}" for k in range(devices)) if number else (first,)


def on(name: str, jobs: Iterable[Job]) -> list[Job]:
    """Those on this device; one that trains another's teacher is part of that one."""
    by_run = {job.run: job for job in jobs}
    return [job for job in without_teachers(by_run.values()) if name in job.places]


def living(runs: Path) -> list[Job]:
    """All engines of a folder that hold a lock."""
    try:
        with os.scandir(runs) as entries:
            names = [e.name for e in entries if RUN_ID.fullmatch(e.name) and e.is_dir(follow_symlinks=False)]
    except OSError:
        return []
    folders = (RunDir(runs / name) for name in names)
    return [job(run) for run in folders if engine_process.alive(run) and engine_process.is_here(run)]


def job(run: RunDir) -> Job:
    """Of a run whose engine lives."""
    holder, asked = engine_process.holder(run), wanted(run)
    return Job(run.id, device(asked.device), holder.pid if holder else 0, asked.devices)


def without_teachers(jobs: Iterable[Job]) -> list[Job]:
    """Those whose process does not descend from another of them; between an engine and its ranks there are others."""
    jobs = list(jobs)
    pids = {job.pid for job in jobs if job.pid}
    return [job for job in jobs if not job.pid or pids.isdisjoint(_ancestors(job.pid))]


def born(pid: int) -> float:
    """When this process began, unix seconds; now when it is gone."""
    try:
        return psutil.Process(pid).create_time()
    except (psutil.Error, ValueError, OverflowError):  # no process has such a number
        return time.time()


def _ancestors(pid: int) -> list[int]:
    try:
        return [each.pid for each in psutil.Process(pid).parents()]
    except (psutil.Error, ValueError, OverflowError):  # no process has such a number
        return []
