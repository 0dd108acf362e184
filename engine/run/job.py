"""From a run folder to an exit code: lock, resume or begin, and say in one sentence why it ended.

As one of several ranks: the leading one locks, writes and speaks; of a failure, all leave word to who started them.

torch is imported late, after the lock and the first event, so that a viewer hears of the run at once.
"""

import errno
import logging
import os
import sys
import time

from msgspec.structs import replace

from engine.run import prerequisite
from engine.runtime import torch_errors, torchrun
from engine.runtime.interrupt import Interrupt, Stopped
from engine.runtime.lock import Lock
from engine.runtime.torchrun import Ending
from engine.spec import files, locks, rundir, toml
from engine.spec.config import JudgeConfig, RunConfig
from engine.spec.errors import ConfigError, CrdndError, RunFolderError
from engine.spec.events import RunFailed, RunFinished, RunResumed, RunStarted, RunStopped, Warned
from engine.spec.folders import is_done, machine_of, status_of
from engine.spec.machine import Machine
from engine.spec.rundir import RunDir
from engine.spec.status import Status
from engine.train.reporter import LOG_DAMAGED, Reporter, Silent, host

FINISHED, FAILED, REFUSED, STOPPED = 0, 1, 2, 3
LOGGED = "%(asctime)s %(levelname)s %(message)s"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
log = logging.getLogger("crdnd")


def work(run: RunDir, began: float) -> int:
    """Do what the folder asks for. CrdndError when it is no run, or another engine holds it."""
    if not files.is_file(run.config):
        raise RunFolderError("is no run folder: config.toml is missing", where=str(run.path))
    rundir.check(run)
    place = torchrun.place()
    if place is not None and place.rank > 0:
        return _follow(run, place, began)
    config, machine = toml.read(run.config), machine_of(run)
    lock = Lock(run.lock)
    lock.take()
    interrupt = Interrupt(run.stop)
    if place is None:
        interrupt.listen()
    if is_done(run, config):
        return FINISHED
    logging.raiseExceptions = False  # a log that cannot be written must not fill the screen
    try:
        files.sweep(run.path)
        _keep_log(run, LOGGED)
        reporter = open_reporter(run, config)
    except OSError as error:
        raise RunFolderError(f"cannot be written: {error.strerror}", where=str(error.filename or run.path)) from error
    code = _guarded(run, config, machine, reporter, interrupt, began)
    if place is not None and code in {FINISHED, STOPPED}:
        torchrun.record(run, Ending(rank=place.rank, code=code))
    try:
        run.stop.unlink(missing_ok=True)  # whatever was asked, the engine is leaving
        reporter.close()
    except OSError as error:
        log.error("the last status could not be written: %s", error)
        return code or FAILED
    return code


def open_reporter(run: RunDir, config: RunConfig | JudgeConfig) -> Reporter:
    """Where the run goes on to say what it does; only for who holds the lock."""
    status = status_of(run)
    return Reporter(run, _first_status(run, config, status.created if status else time.time()))


def _follow(run: RunDir, place: torchrun.Place, began: float) -> int:
    """The work of a rank that does not lead: it computes, and logs, and leaves quietly when all stop."""
    config = toml.read(run.config)
    logging.raiseExceptions = False
    _keep_log(run, LOGGED.replace(" %(m", f" rank {place.rank}: %(m"))
    silent = Silent(run, _first_status(run, config, time.time()))
    code = _guarded(run, config, machine_of(run), silent, Interrupt(run.stop), began)
    return FINISHED if code == STOPPED else code


def _keep_log(run: RunDir, form: str) -> None:
    """Whatever is logged goes to engine.log. OSError when that is no regular file, or cannot be written."""
    stream = os.fdopen(files.open_log(run.log), "a", encoding="utf-8", errors="backslashreplace")
    logging.basicConfig(stream=stream, level=logging.INFO, format=form)


def _guarded(
    run: RunDir,
    config: RunConfig | JudgeConfig,
    machine: Machine,
    reporter: Reporter,
    interrupt: Interrupt,
    began: float,
) -> int:
    """The run, and its end in words."""
    try:
        return _go_until_stopped(run, config, machine, reporter, interrupt, began)
    except CrdndError as error:
        log.error("%s", error)
        what = f"{error.where}: {error.what}" if error.where else error.what
        code = REFUSED if isinstance(error, ConfigError) else FAILED
        return _fail(run, reporter, type(error).__name__.removesuffix("Error"), what, error.hint, code)
    except Exception as error:
        log.exception("the run failed")
        return _fail_of(run, config, reporter, error)


def _fail_of(run: RunDir, config: RunConfig | JudgeConfig, reporter: Reporter, error: Exception) -> int:
    """Say what an error means that nobody expected."""
    cause, place = torch_errors.of(error), torchrun.place()
    if place is not None and cause.kind == "Lost":
        torchrun.record(run, Ending(rank=place.rank, code=FAILED, message=cause.message, lost=True))
        return FAILED
    if cause.kind == "OutOfMemory":
        return _fail(run, reporter, cause.kind, _who() + cause.message, _less_memory(config))
    if isinstance(error, OSError):
        if error.errno in FULL:
            hint = "Free some space; `crdnd resume` goes on from the last checkpoint."
            return _fail(run, reporter, "DiskFull", f"the disk is full: {error.strerror} in {run.path}", hint)
        return _fail(run, reporter, "Unreadable", f"{_who()}{error.strerror or error}: {error.filename or ''}", "")
    hint = cause.hint or f"This is a defect of crdnd, or of its machine; the traceback is in {run.log.name}."
    return _fail(run, reporter, cause.kind or type(error).__name__, _who() + cause.message, hint)


def _go_until_stopped(
    run: RunDir,
    config: RunConfig | JudgeConfig,
    machine: Machine,
    reporter: Reporter,
    interrupt: Interrupt,
    began: float,
) -> int:
    """The run, to its end or until somebody asks; either is said."""
    try:
        _go(run, config, machine, reporter, interrupt)
    except Stopped as stop:
        reporter.say(RunStopped(reason=stop.reason, step=reporter.status.step))
        reporter.update(phase="stopped", reason=stop.reason)
        return STOPPED
    reporter.say(RunFinished(seconds=time.monotonic() - began))
    reporter.update(phase="done", reason="", attack="")
    return FINISHED


def _go(
    run: RunDir, config: RunConfig | JudgeConfig, machine: Machine, reporter: Reporter, interrupt: Interrupt
) -> None:
    begun = isinstance(config, RunConfig) and any(run.checkpoints.glob("[0-9]*-*"))  # whole or damaged
    if not begun:
        reporter.cut_back(0, 0)
        reporter.say(
            RunStarted(
                run=run.id, name=reporter.status.name, config_hash=config.config_hash, pid=os.getpid(), host=host()
            )
        )
        if not isinstance(reporter, Silent) and not locks.exist(run.lock):
            reporter.say(Warned(code="no_locks", message=locks.NO_LOCKS))
    reporter.beat()
    alone = torchrun.place() is None  # ranks stop together, after a step
    if alone:
        interrupt.pause()  # asked while it started
    if isinstance(config, RunConfig) and isinstance(reporter, Silent):
        prerequisite.await_teacher(config, machine)
    elif isinstance(config, RunConfig):
        prerequisite.ensure_teacher(config, machine, reporter.say, reporter.beat, interrupt)

    from engine.run.context import RunContext  # noqa: PLC0415
    from engine.run.run import KEYS, judge_only, say_saved, train_and_evaluate  # noqa: PLC0415
    from engine.train import checkpoint  # noqa: PLC0415  torch takes seconds to import

    if alone:
        interrupt.pause()
    context = RunContext(run=run, machine=machine, reporter=reporter, interrupt=interrupt)
    with context.ranks:
        if isinstance(config, JudgeConfig):
            judge_only(config, context)
            return
        loaded = checkpoint.load(run.checkpoints, KEYS, config.config_hash) if begun else None
        context.ranks.barrier()  # nobody saves, and so removes, while another still reads
        if loaded is not None:
            checkpoint.check_counts(loaded)
            size, seq = loaded.state["events"]
            discarded = reporter.cut_back(size, seq)
            lost = size - reporter.position[0]
            say_saved(context, loaded.file, loaded.state)
            reporter.say(
                RunResumed(
                    step=loaded.state["step"], discarded=discarded, checkpoint=loaded.file, pid=os.getpid(), host=host()
                )
            )
            if lost:
                reporter.say(Warned(code="events_lost", message=f"{lost} bytes of the log of events are gone"))
            if reporter.damage:
                reporter.say(Warned(code=LOG_DAMAGED, message=reporter.damage))
            for name in loaded.damaged:
                reporter.say(
                    Warned(
                        code="checkpoint_damaged",
                        message=f"{name} is damaged; the one before it, {loaded.file}, is used",
                    )
                )
        train_and_evaluate(config, context, loaded)


def _fail(run: RunDir, reporter: Reporter, kind: str, message: str, hint: str, code: int = FAILED) -> int:
    """Say why the run cannot go on; a rank leaves it to who started it, since others may know better."""
    place = torchrun.place()
    if place is None:
        return tell_failure(reporter, kind, message, hint, code)
    if kind == "DiskFull":
        reporter.give_up_reserve()
    torchrun.record(run, Ending(rank=place.rank, code=code, kind=kind, message=message, hint=hint))
    return code


def tell_failure(reporter: Reporter, kind: str, message: str, hint: str, code: int = FAILED) -> int:
    """In events and status, or where those cannot be written, on stderr."""
    reporter.status = replace(reporter.status, phase="failed", reason=message)
    try:
        if kind == "DiskFull":
            reporter.give_up_reserve()
        reporter.say(RunFailed(kind=kind, message=message, hint=hint))
    except OSError as error:
        log.error("this could not be said: %s: %s", message, error)
        sys.stderr.write(f"{message}\n  {hint}\n")
    return code


def _first_status(run: RunDir, config: RunConfig | JudgeConfig, created: float) -> Status:
    """What a list of runs shows of this one before anything has happened."""
    if isinstance(config, JudgeConfig):
        return Status(
            run=run.id,
            phase="starting",
            name=config.name or "evaluation",
            method="evaluation",
            data=config.data.name,
            config_hash=config.config_hash,
            epsilon=str(config.threat_model.epsilon),
            created=created,
            pid=os.getpid(),
            host=host(),
        )
    return Status(
        run=run.id,
        phase="starting",
        name=config.title,
        method=config.method.name,
        student=config.student.name,
        teacher=config.teacher_title,
        data=config.data.name,
        seed=config.seed,
        config_hash=config.config_hash,
        group_hash=config.group_hash,
        epsilon=str(config.threat_model.epsilon),
        epochs=config.training.epochs,
        created=created,
        pid=os.getpid(),
        host=host(),
    )


def _less_memory(config: RunConfig | JudgeConfig) -> str:
    if isinstance(config, JudgeConfig):
        return f"Lower evaluation.batch_size, now {config.evaluation.batch_size}."
    return (
        f"Nothing is changed behind your back: training.batch_size is {config.training.batch_size}, "
        f"evaluation.batch_size {config.evaluation.batch_size}. Free the device, or lower the one that was in use; "
        "the last checkpoint is kept."
    )


def _who() -> str:
    """Whose defect it is, where there are several."""
    place = torchrun.place()
    return "" if place is None else f"rank {place.rank} of {place.world_size}: "
