"""The teacher's own run: found by its config, gone on with, or begun, before the student's engine loads anything.

It is worked on by an engine of its own, in its own run folder, and is reused ever after.
"""

import subprocess
import time

from engine.runtime import torchrun
from engine.runtime.interrupt import Interrupt, Stopped
from engine.spec import crashes, files, locks, rundir, toml
from engine.spec.config import JudgeConfig, PresetTeacher, RunConfig
from engine.spec.errors import RunFolderError, TeacherError
from engine.spec.events import StageStarted, TeacherRunStarted, Warned
from engine.spec.folders import create, equal_runs, finished_run, status_of
from engine.spec.machine import Machine
from engine.spec.process import signals_blocked
from engine.spec.rundir import RunDir
from engine.train.reporter import FollowerReporter, Reporter

POLL_SECONDS, WAITING_SECONDS = 0.1, 1.0
LOG_BYTES = 1 << 17  # of engine.log, in which deaths are looked for
ATTEMPTS = 2  # engines that one student starts for a teacher whose engine is killed
Engine = subprocess.Popen[bytes]


def ensure_teacher(config: RunConfig | JudgeConfig, machine: Machine, reporter: Reporter, interrupt: Interrupt) -> None:
    """Return when the teacher's preset has a finished run. TeacherError when that run fails, Stopped when asked to.

    Ranks that do not lead wait; if the leading one leaves, torchrun ends them, too.
    """
    if isinstance(config, JudgeConfig) or not isinstance(config.teacher, PresetTeacher) or not config.teacher.config:
        return
    wanted, runs = config.teacher.config, machine.runs_folder
    if isinstance(reporter, FollowerReporter):
        while not finished_run(runs, wanted):
            time.sleep(WAITING_SECONDS)
    if finished_run(runs, wanted):
        return
    reporter.say(StageStarted(stage="teacher"))
    attempts = 0
    while not finished_run(runs, wanted):
        run, child = _begin(wanted, machine)
        reporter.say(TeacherRunStarted(run=run.id, waiting=child is None))
        _wait(run, child, reporter, interrupt)
        attempts += child is not None
        if child is not None and child.returncode < 0 and finished_run(runs, wanted) is not None:
            what = f"the teacher's engine died of {crashes.cause_of(child.returncode)} when all was done"
            message = f"{what}: its numbers, and this student's, are suspect"
            reporter.say(Warned(code="teacher_crashed", message=message))
        _check(run, child, attempts)


def _begin(wanted: RunConfig, machine: Machine) -> tuple[RunDir, Engine | None]:
    """The unfinished or new run of the teacher, and its engine unless another process has started one."""
    runs = machine.runs_folder
    runs.mkdir(parents=True, exist_ok=True)
    with locks.exclusive(runs / ".teachers.lock"):  # two students do not both begin their teacher
        equal = equal_runs(runs, wanted)
        unfinished = [run for run, status in equal if (status is None or status.phase != "done") and _is_sound(run)]
        run = finished_run(runs, wanted)  # by now; its engine leaves at once
        run = run or next(iter(unfinished), None) or create(wanted, toml.dump(wanted), machine)
        if locks.is_held(run.lock):
            return run, None
        run.stop.unlink(missing_ok=True)
        with signals_blocked():
            child = torchrun.start(run, "engine")
        while child.poll() is None and not locks.is_held(run.lock):
            time.sleep(POLL_SECONDS)
        return run, child


def _is_sound(run: RunDir) -> bool:
    """Whether an engine would work on it."""
    try:
        rundir.check(run)
    except RunFolderError:
        return False
    return True


def _wait(run: RunDir, child: Engine | None, reporter: Reporter, interrupt: Interrupt) -> None:
    """Until the teacher's engine has left. Stopped when asked to; what this student started stops with it."""
    asked = ""
    while (child.poll() is None) if child else locks.is_held(run.lock):
        reporter.beat()
        if not asked and (asked := interrupt.reason):
            if child is None:  # the teacher is another student's, too
                raise Stopped(asked)
            files.touch(run.stop)
        time.sleep(POLL_SECONDS)
    if child is not None:
        crashes.log_death(run, child.pid, child.returncode)
    if asked:
        raise Stopped(asked)


def _check(run: RunDir, child: Engine | None, attempts: int) -> None:
    """TeacherError unless the teacher's run is done, or its engine was stopped or killed and may be started again."""
    status = status_of(run)
    phase, reason = (status.phase, status.reason) if status else ("", "")
    code = child.returncode if child is not None else 0
    if phase == "done" or (child is None and phase != "failed"):  # stopped with, or killed beside, another student
        return
    reason = f": {reason}" if reason else ""
    if phase in {"failed", "stopped"}:
        how = f"failed{reason}" if phase == "failed" else f"was stopped by somebody else{reason}"
    elif code < 0 and attempts < ATTEMPTS:
        return
    else:
        how = f"died of {crashes.cause_of(code)}" if code < 0 else f"died with exit code {code}"
    again, death = "Resuming this run tries again.", None
    if code < 0:
        death = crashes.last_death(files.tail(run.log, LOG_BYTES))
    if death is not None and death.native and death.repeated:
        again = f"{death.advice(run.id, files.read(run.machine))} Then resume this run."
    hint = f"`crdnd show {run.id}` tells more; its log is {run.log}. {again}"
    raise TeacherError(f"the teacher's run {run.id} {how}", hint=hint)
