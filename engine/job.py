"""From a run folder to an exit code: lock, resume or begin, and say in one sentence why it ended.

torch is imported late, after the lock and the first event, so that a viewer hears of the run at once.
"""

import errno
import json
import logging
import os
import sys
import time

from msgspec.structs import replace

from engine import prerequisite
from engine.interrupt import Interrupt, Stopped
from engine.lock import Lock
from engine.reporter import Reporter, host
from engine.spec import files, toml
from engine.spec.config import JudgeConfig, RunConfig
from engine.spec.errors import ConfigError, CrdndError, RunFolderError
from engine.spec.events import RunFailed, RunFinished, RunResumed, RunStarted, RunStopped, Warned
from engine.spec.folders import status_of
from engine.spec.machine import Machine
from engine.spec.rundir import RunDir
from engine.spec.status import Status

FINISHED, FAILED, REFUSED, STOPPED = 0, 1, 2, 3
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
log = logging.getLogger("crdnd")


def work(run: RunDir, began: float) -> int:
    """Do what the folder asks for. CrdndError when it is no run, or another engine holds it."""
    if not run.config.is_file():
        raise RunFolderError("is no run folder: config.toml is missing", where=str(run.path))
    config, machine = toml.read(run.config), _machine(run)
    lock = Lock(run.lock)
    lock.take()
    interrupt = Interrupt(run.stop)
    interrupt.listen()
    status = status_of(run)
    if status is not None and status.phase == "done":
        return FINISHED
    logging.raiseExceptions = False  # a log that cannot be written must not fill the screen
    try:
        files.sweep(run.path)
        logging.basicConfig(filename=run.log, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
        reporter = Reporter(run, _first_status(run, config, status.created if status else time.time()))
    except OSError as error:
        raise RunFolderError(f"cannot be written: {error.strerror}", where=str(run.path)) from error
    code = _guarded(run, config, machine, reporter, interrupt, began)
    try:
        run.stop.unlink(missing_ok=True)  # whatever was asked, the engine is leaving
        reporter.close()
    except OSError as error:
        log.error("the last status could not be written: %s", error)
        return code or FAILED
    return code


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
        return _fail(reporter, type(error).__name__.removesuffix("Error"), what, error.hint, code)
    except OSError as error:
        log.exception("the run failed")
        if error.errno in FULL:
            hint = "Free some space; `crdnd resume` goes on from the last checkpoint."
            return _fail(reporter, "DiskFull", f"the disk is full: {error.strerror} in {run.path}", hint)
        return _fail(reporter, "Unreadable", f"{error.strerror or error}: {error.filename or ''}", "")
    except Exception as error:
        log.exception("the run failed")
        if _is_out_of_memory(error):
            return _fail(reporter, "OutOfMemory", _first_line(error), _less_memory(config))
        hint = f"This is a defect of crdnd, or of its machine; the traceback is in {run.log.name}."
        return _fail(reporter, type(error).__name__, _first_line(error), hint)


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
    reporter.beat()
    if isinstance(config, RunConfig):
        prerequisite.ensure_teacher(config, machine, reporter.say, reporter.beat, interrupt)

    from engine import checkpoint  # noqa: PLC0415  torch takes seconds to import
    from engine.run import KEYS, judge_only, say_saved, train_and_evaluate  # noqa: PLC0415
    from engine.stage import Stage  # noqa: PLC0415

    stage = Stage(run=run, machine=machine, reporter=reporter, interrupt=interrupt)
    if isinstance(config, JudgeConfig):
        judge_only(config, stage)
        return
    loaded = checkpoint.load(run.checkpoints, KEYS, config.config_hash) if begun else None
    if loaded is not None:
        size, seq = loaded.state["events"]
        discarded = reporter.cut_back(size, seq)
        lost = size - reporter.position[0]
        say_saved(stage, loaded.file, loaded.state)
        reporter.say(
            RunResumed(
                step=loaded.state["step"], discarded=discarded, checkpoint=loaded.file, pid=os.getpid(), host=host()
            )
        )
        if lost:
            reporter.say(Warned(code="events_lost", message=f"{lost} bytes of the log of events are gone"))
        for name in loaded.damaged:
            reporter.say(
                Warned(
                    code="checkpoint_damaged", message=f"{name} is damaged; the one before it, {loaded.file}, is used"
                )
            )
    train_and_evaluate(config, stage, loaded)


def _fail(reporter: Reporter, kind: str, message: str, hint: str, code: int = FAILED) -> int:
    """Say why the run cannot go on: in events and status, or where those cannot be written, on stderr."""
    reporter.status = replace(reporter.status, phase="failed", reason=message)
    try:
        if kind == "DiskFull":
            reporter.give_up_reserve()
        reporter.say(RunFailed(kind=kind, message=message, hint=hint))
    except OSError as error:
        log.error("this could not be said: %s: %s", message, error)
        sys.stderr.write(f"{message}\n  {hint}\n")
    return code


def _is_out_of_memory(error: Exception) -> bool:
    """torch says it in a class of its own on CUDA, and in words on the CPU."""
    named = type(error).__name__ == "OutOfMemoryError" or isinstance(error, MemoryError)
    return named or (isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error))


def _machine(run: RunDir) -> Machine:
    """Where to compute; the defaults for what the folder does not say, or an earlier version called otherwise."""
    try:
        said = json.loads(run.machine.read_bytes())
        return Machine.model_validate({key: said[key] for key in Machine.model_fields if key in said})
    except FileNotFoundError:
        return Machine(runs=str(run.path.parent))
    except (OSError, ValueError, TypeError) as error:  # pydantic's and JSON's errors are ValueErrors
        raise ConfigError([f"{run.machine}: {' '.join(str(error).split())[:200]}"]) from error


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


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
