"""Devices of this machine, and the engines at work on them by the locks of their runs, queued or started by hand."""

import os
import re
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgspec
import psutil

from crdnd_tui.core import engine_process, gpu
from crdnd_tui.queue.tickets import Devices
from engine.spec import files
from engine.spec.rundir import RUN_ID, RunDir


class DeviceRequest(msgspec.Struct, frozen=True):
    """What a machine.json asks for: a device and, for several ranks, how many from it on."""

    device: str = "auto"
    devices: Devices = 1


class EngineJob(NamedTuple):
    """An engine at work."""

    run: str  # its id
    device: str
    pid: int  # 0 when it is not known
    devices: int = 1


_decoder = msgspec.json.Decoder(DeviceRequest)


def requested(run: RunDir) -> DeviceRequest:
    """The devices that a run's machine.json asks for; the default for a file that cannot be read."""
    return files.decoded(run.machine, _decoder.decode) or DeviceRequest()


@cache
def default_device() -> str:
    """What `auto` means on this machine."""
    return "cuda:0" if gpu.visible() else "cpu"


def device_name(name: str) -> str:
    """`cuda:0` or `cpu` for what a machine.json may say."""
    return default_device() if name == "auto" else {"cuda": "cuda:0"}.get(name, name)


def places(name: str, devices: int = 1) -> tuple[str, ...]:
    """All devices of a run that asks for so many: this one and the next. On the CPU its processes share the one."""
    first = device_name(name)
    number = re.fullmatch(r"cuda:(\d{1,4})", first)
    return tuple(f"cuda:{int(number[1]) + k}" for k in range(devices)) if number else (first,)


def job_of(run: RunDir) -> EngineJob:
    """Of a run whose engine lives."""
    holder, asked = engine_process.holder(run), requested(run)
    return EngineJob(run.id, device_name(asked.device), holder.pid if holder else 0, asked.devices)


def living_jobs(runs: Path) -> list[EngineJob]:
    """All engines of a folder that hold a lock on this machine."""
    try:
        with os.scandir(runs) as entries:
            names = [e.name for e in entries if RUN_ID.fullmatch(e.name) and e.is_dir(follow_symlinks=False)]
    except OSError:
        return []
    folders = (RunDir(runs / name) for name in names)
    return [job_of(run) for run in folders if engine_process.alive(run) and engine_process.is_here(run)]


def without_teachers(jobs: Iterable[EngineJob]) -> list[EngineJob]:
    """Those whose process does not descend from another of them: a teacher is trained by a child of its student's."""
    jobs = list(jobs)
    pids = {job.pid for job in jobs if job.pid}
    return [job for job in jobs if not job.pid or pids.isdisjoint(_ancestors(job.pid))]


def has_room(wanted: Sequence[str], jobs: Iterable[EngineJob], at_once: int) -> bool:
    """Whether fewer than `at_once` runs are at work on every one of these devices; of two jobs of a run, the last."""
    there = without_teachers({job.run: job for job in jobs}.values())
    return all(sum(place in places(job.device, job.devices) for job in there) < at_once for place in wanted)


def _ancestors(pid: int) -> list[int]:
    try:
        return [each.pid for each in psutil.Process(pid).parents()]
    except engine_process.GONE:
        return []
