"""The teacher's own run: found by its config, gone on with, or begun, before the student's engine loads anything.

It is worked on by an engine of its own, in its own run folder, and is reused ever after.
"""

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from engine import torchrun
from engine.interrupt import Interrupt, Stopped
from engine.lock import is_held
from engine.spec import toml
from engine.spec.config import RunConfig
from engine.spec.errors import TeacherError
from engine.spec.events import Event, StageStarted, TeacherRunStarted
from engine.spec.folders import create, equal_runs, finished_run, status_of
from engine.spec.machine import Machine
from engine.spec.rundir import RunDir
from engine.spec.teachers import PresetTeacher

POLL_SECONDS, WAITING_SECONDS = 0.1, 1.0


def ensure_teacher(
    config: RunConfig, machine: Machine, say: Callable[[Event], None], beat: Callable[[], None], interrupt: Interrupt
) -> None:
    """Return when the teacher's preset has a finished run. TeacherError when that run fails, Stopped when asked to."""
    if not isinstance(config.teacher, PresetTeacher) or config.teacher.config is None:
        return
    wanted, runs = config.teacher.config, machine.runs_folder
    if finished_run(runs, wanted):
        return
    say(StageStarted(stage="teacher"))
    while not finished_run(runs, wanted):
        run, child = _begin(wanted, machine)
        say(TeacherRunStarted(run=run.id, waiting=child is None))
        _wait(run, child, beat, interrupt)


def await_teacher(config: RunConfig, machine: Machine) -> None:
    """Return when the leading rank has made sure of the teacher; if that one leaves, torchrun ends this one, too."""
    if not isinstance(config.teacher, PresetTeacher) or config.teacher.config is None:
        return
    while not finished_run(machine.runs_folder, config.teacher.config):
        time.sleep(WAITING_SECONDS)


def _begin(wanted: RunConfig, machine: Machine) -> tuple[RunDir, subprocess.Popen[bytes] | None]:
    """The unfinished or new run of the teacher, and its engine unless another process has started one."""
    runs = machine.runs_folder
    with _only_one(runs):
        unfinished = [run for run, status in equal_runs(runs, wanted) if status is None or status.phase != "done"]
        run = unfinished[0] if unfinished else create(wanted, toml.dump(wanted), machine)
        if is_held(run.lock):
            return run, None
        run.stop.unlink(missing_ok=True)
        with run.log.open("ab") as log:
            child = subprocess.Popen(
                [sys.executable, "-P", "-m", "engine", str(run.path)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=torchrun.outside(),
            )
        while child.poll() is None and not is_held(run.lock):
            time.sleep(POLL_SECONDS)
        return run, child


class _only_one:  # noqa: N801  reads as a statement
    """A lock on the folder of runs, so that two students do not both begin their teacher."""

    def __init__(self, runs: Path) -> None:
        self._path = runs / ".teachers.lock"

    def __enter__(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        os.close(self._file)


def _wait(run: RunDir, child: subprocess.Popen[bytes] | None, beat: Callable[[], None], interrupt: Interrupt) -> None:
    asked = ""
    while (child.poll() is None) if child else is_held(run.lock):
        beat()
        if not asked and (asked := interrupt.reason):
            if child is None:  # the teacher is another student's, too
                raise Stopped(asked)
            run.stop.touch()
        time.sleep(POLL_SECONDS)
    if asked:
        raise Stopped(asked)
    status = status_of(run)
    if status is None or status.phase != "done":
        phase, reason = (status.phase, status.reason) if status else ("died", "")
        raise TeacherError(
            f"the teacher's run {run.id} {phase}{': ' if reason else ''}{reason}",
            hint=f"`crdnd show {run.id}` tells more; its log is {run.log}. Resuming this run tries again.",
        )
