"""From a run folder to an exit code: lock, begin or resume, and say in one sentence why it ended.

As one of several ranks, the leading one locks, writes and speaks; of a failure, each leaves word to who started them.

torch is imported late, after the lock and the first event, so that a viewer hears of the run at once.
"""

import errno
import logging
import os
import sys
import time
from pathlib import Path

from msgspec.structs import replace

from engine.run import teacher_run
from engine.runtime import torch_errors, torchrun
from engine.runtime.interrupt import Interrupt, Stopped
from engine.runtime.torchrun import RankExit
from engine.spec import files, locks, rundir, toml
from engine.spec.config import JudgeConfig, RunConfig
from engine.spec.errors import ConfigError, CrdndError, RunFolderError
from engine.spec.events import RunFailed, RunFinished, RunStarted, RunStopped, Warned
from engine.spec.folders import is_done, machine_of, status_of
from engine.spec.machine import Machine
from engine.spec.rundir import RunDir
from engine.train.reporter import FollowerReporter, Reporter, first_status

FINISHED, FAILED, REFUSED, STOPPED = 0, 1, 2, 3
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
log = logging.getLogger("crdnd")


def open_run(path: Path) -> tuple[RunDir, Machine]:
    """The run folder and its machine; CrdndError when it is no sound run folder."""
    run = RunDir(path)
    if not files.is_file(run.config):
        raise RunFolderError("is no run folder: config.toml is missing", where=str(path))
    rundir.check(run)
    return run, machine_of(run)


def work(run: RunDir, machine: Machine, interrupt: Interrupt) -> int:
    """Do what the folder asks for; returns the exit code. CrdndError when another engine holds it.

    A rank that does not lead computes, logs, and leaves quietly when all stop.
    """
    place = torchrun.place()
    leads = place is None or place.rank == 0
    config, began = toml.read(run.config), time.monotonic()
    if leads:
        locks.hold(run.lock)
        if is_done(run, config):
            return FINISHED
    reporter = _open_log_and_reporter(run, config, place)
    try:
        try:
            begun = _begin(run, config, machine, interrupt, reporter)
            from engine.run.context import RunContext  # noqa: PLC0415  torch takes seconds to import
            from engine.run.run import evaluate_only, train_and_evaluate  # noqa: PLC0415

            if place is None:
                interrupt.pause()
            context = RunContext(run=run, machine=machine, reporter=reporter, interrupt=interrupt)
            with context.ranks:
                if isinstance(config, JudgeConfig):
                    evaluate_only(config, context)
                else:
                    train_and_evaluate(config, context, begun=begun)
            reporter.say(RunFinished(seconds=time.monotonic() - began))
            reporter.update(phase="done", reason="", attack="")
            code = FINISHED
        except Stopped as stop:
            reporter.say(RunStopped(reason=stop.reason, step=reporter.status.step))
            reporter.update(phase="stopped", reason=stop.reason)
            code = STOPPED
    except CrdndError as error:
        log.error("%s", error)
        code = _tell(run, reporter, failure_of(error, run, config))
    except Exception as error:
        log.exception("the run failed")
        code = _tell(run, reporter, failure_of(error, run, config))
    return _leave(run, reporter, place, code) if leads else FINISHED if code == STOPPED else code


def _begin(
    run: RunDir, config: RunConfig | JudgeConfig, machine: Machine, interrupt: Interrupt, reporter: Reporter
) -> bool:
    """Say that the run starts, unless it has checkpoints, whole or damaged; and see to its teacher's own run.

    Returns whether it has. Stopped when asked to.
    """
    begun = isinstance(config, RunConfig) and any(run.checkpoints.glob("[0-9]*-*"))
    if not begun:
        reporter.cut_back(0, 0)
        say_started(reporter)
        if not isinstance(reporter, FollowerReporter) and not locks.supported(run.lock):
            reporter.say(Warned(code="no_locks", message=locks.NO_LOCKS))
    reporter.beat()
    if torchrun.place() is None:  # ranks stop together, after a step
        interrupt.pause()
    teacher_run.ensure_teacher(config, machine, reporter, interrupt)
    return begun


def open_reporter(run: RunDir, config: RunConfig | JudgeConfig) -> Reporter:
    """The writer of the run's events and status; only for who holds the lock."""
    status = status_of(run)
    return Reporter(run, first_status(run, config, status.created if status else time.time()))


def say_started(reporter: Reporter) -> None:
    own = reporter.status
    reporter.say(RunStarted(run=own.run, name=own.name, config_hash=own.config_hash, pid=own.pid, host=own.host))


def tell_failure(reporter: Reporter, failure: RankExit) -> int:
    """Say why the run cannot go on, in events and status, or where those cannot be written, on stderr."""
    reporter.status = replace(reporter.status, phase="failed", reason=failure.message)
    try:
        if failure.kind == "DiskFull":
            reporter.give_up_reserve()
        reporter.say(RunFailed(kind=failure.kind, message=failure.message, hint=failure.hint))
    except OSError as error:
        log.error("this could not be said: %s: %s", failure.message, error)
        sys.stderr.write(f"{failure.message}\n  {failure.hint}\n")
    return failure.code


def failure_of(error: Exception, run: RunDir, config: RunConfig | JudgeConfig) -> RankExit:
    """How this process ends by this error: exit code, and what the error means, in a sentence with advice."""
    place = torchrun.place()
    rank, who = (0, "") if place is None else (place.rank, f"rank {place.rank} of {place.world_size}: ")
    if isinstance(error, CrdndError):
        code = REFUSED if isinstance(error, ConfigError) else FAILED
        kind, message = type(error).__name__.removesuffix("Error"), ": ".join(filter(None, (error.where, error.what)))
        return RankExit(rank=rank, code=code, kind=kind, message=message, hint=error.hint)
    kind, message, hint = torch_errors.cause_of(error)
    if place is not None and kind == "Lost":
        return RankExit(rank=rank, code=FAILED, message=message, lost=True)
    if kind == "OutOfMemory":
        hint = f"Lower evaluation.batch_size, now {config.evaluation.batch_size}."
        if isinstance(config, RunConfig):
            hint = (
                f"Nothing is changed behind your back: training.batch_size is {config.training.batch_size}, "
                f"evaluation.batch_size {config.evaluation.batch_size}. Free the device, or lower the one that was in "
                "use; the last checkpoint is kept."
            )
    elif isinstance(error, OSError) and error.errno in FULL:
        kind, who, message = "DiskFull", "", f"the disk is full: {error.strerror} in {run.path}"
        hint = "Free some space; `crdnd resume` goes on from the last checkpoint."
    elif isinstance(error, OSError):
        kind, message, hint = "Unreadable", f"{error.strerror or error}: {error.filename or ''}", ""
    else:
        hint = hint or f"This is a defect of crdnd, or of its machine; the traceback is in {run.log.name}."
    return RankExit(rank=rank, code=FAILED, kind=kind or type(error).__name__, message=who + message, hint=hint)


def _open_log_and_reporter(run: RunDir, config: RunConfig | JudgeConfig, place: torchrun.RankPlace | None) -> Reporter:
    """Logging goes to engine.log, events to the folder, of a rank that does not lead to nobody. RunFolderError."""
    follows = place is not None and place.rank > 0
    who = f" rank {place.rank}:" if place is not None and follows else ""
    logging.raiseExceptions = False  # a log that cannot be written must not fill the screen
    try:
        if not follows:
            files.sweep(run.path)
        stream = os.fdopen(files.open_log(run.log), "a", encoding="utf-8", errors="backslashreplace")
        form = f"%(asctime)s %(levelname)s{who} %(message)s"
        logging.basicConfig(stream=stream, level=logging.INFO, format=form)
        return FollowerReporter(run, first_status(run, config, time.time())) if follows else open_reporter(run, config)
    except OSError as error:
        raise RunFolderError(f"cannot be written: {error.strerror}", where=str(error.filename or run.path)) from error


def _tell(run: RunDir, reporter: Reporter, failure: RankExit) -> int:
    """Say why the run cannot go on; a rank leaves it to who started it, since others may know better."""
    if torchrun.place() is None:
        return tell_failure(reporter, failure)
    if failure.kind == "DiskFull":
        reporter.give_up_reserve()
    torchrun.record(run, failure)
    return failure.code


def _leave(run: RunDir, reporter: Reporter, place: torchrun.RankPlace | None, code: int) -> int:
    """Write the last status; returns the exit code, of which the leading rank leaves word."""
    try:
        if place is not None and code in {FINISHED, STOPPED}:
            torchrun.record(run, RankExit(rank=place.rank, code=code))
        run.stop.unlink(missing_ok=True)  # whatever was asked, the engine is leaving
        reporter.close()
    except OSError as error:
        log.error("the last status could not be written: %s", error)
        return code or FAILED
    return code
