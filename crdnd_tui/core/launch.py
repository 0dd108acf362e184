"""Run folder -> detached engine; ask it to stop, or kill it.

The engine gets a session of its own: the death of a viewer or of the terminal does not reach it.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from weakref import WeakSet

from crdnd_tui.core import advice, engine_process
from crdnd_tui.core.state import RunState
from engine.spec import deaths, files, rundir
from engine.spec.errors import RunFolderError
from engine.spec.process import signals_blocked
from engine.spec.rundir import RUN_ID, RunDir

ROOT = Path(rundir.__file__).resolve().parents[2]  # where the package `engine` lies
STARTING_SECONDS = 60.0  # within which an engine speaks
_noted: WeakSet[subprocess.Popen[bytes]] = WeakSet()  # processes whose end was looked at
_noting = threading.Lock()


def engine_command(run: RunDir) -> list[str]:
    """How the engine of a run is started; -P, so that no `engine` of the working folder is mistaken for ours."""
    return [sys.executable, "-P", "-m", "engine", str(run.path)]


def start(run: RunDir) -> subprocess.Popen[bytes]:
    """The engine of this run, detached; what it prints is appended to engine.log."""
    refuse_a_second(run)
    run.stop.unlink(missing_ok=True)
    with signals_blocked():
        engine = detached(engine_command(run), run.log)
    threading.Thread(target=ended, args=(run, engine), daemon=True).start()
    return engine


def ended(run: RunDir, engine: subprocess.Popen[bytes]) -> int:
    """Wait for the engine, and write once into its log if a signal ended it; its exit code."""
    code = engine.wait()
    with _noting:
        if engine not in _noted:
            _noted.add(engine)
            deaths.log_death(run, engine.pid, code)
    return code


def refuse_a_second(run: RunDir) -> None:
    """RunFolderError when an engine is at work on it."""
    if engine_process.alive(run):
        raise RunFolderError(f"an engine is at work in {run.id} already", hint=f"{advice.on('watch', run)} shows it.")


def environment() -> dict[str, str]:
    """Of an engine: ours, and where its package lies."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": path}


def detached(command: Sequence[str], log: Path, *, anew: bool = False) -> subprocess.Popen[bytes]:
    """A process in a session of its own, which prints into `log`; RunFolderError when that cannot be written."""
    try:
        descriptor = files.open_log(log, anew=anew)
    except OSError as error:
        raise RunFolderError(f"{log.name} cannot be written: {error.strerror}", where=str(log.parent)) from None
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            start_new_session=True,
            env={**environment(), "PYTHONUNBUFFERED": "1"},
        )
    finally:
        os.close(descriptor)


def ask_to_stop(run: RunDir) -> None:
    """The engine finishes its step, saves and leaves."""
    if not os.path.lexists(run.stop):  # another user's may be there already
        files.touch(run.stop)


def kill(run: RunDir, *, patience: float = 10.0) -> bool:
    """SIGTERM, and SIGKILL to all its processes after `patience` seconds; False when no engine was there."""
    process = engine_process.holder(run)
    if process is None:
        return False
    everyone = engine_process.engines(run, process.pid) or [process]
    if patience > 0:
        _signal(everyone[0], signal.SIGTERM)  # of several ranks, the process that was started for them
        if engine_process.wait_gone(process, patience):
            return True
    for each in everyone:  # torchrun's agent before its ranks: it has no time to tell of their deaths
        _signal(each, signal.SIGKILL)
    end = time.monotonic() + 10.0
    return all(engine_process.wait_gone(each, max(0.0, end - time.monotonic())) for each in everyone)


def kill_teacher(run: RunDir, state: RunState) -> bool:
    """The engine that works on this run's teacher, unless it is another student's, too."""
    if not RUN_ID.fullmatch(state.teacher_run) or state.teacher_waiting:
        return False
    return kill(RunDir(run.path.parent / state.teacher_run), patience=0.0)


def _signal(process: engine_process.Holder, number: signal.Signals) -> None:
    """To the engine's group when it leads one, as ours do; to it alone otherwise. Never to another process."""
    if not engine_process.same(process):
        return
    try:
        if number == signal.SIGKILL and os.getpgid(process.pid) == process.pid:
            os.killpg(process.pid, number)
        else:
            os.kill(process.pid, number)
    except ProcessLookupError:
        return


def wait_started(run: RunDir, process: subprocess.Popen[bytes]) -> int | None:
    """Until the engine has spoken; its exit code when it died first, None while it lives."""
    end = time.monotonic() + STARTING_SECONDS
    before = _size(run)
    while time.monotonic() < end:
        code = process.poll()
        if code is not None:
            return code
        if _size(run) != before:
            return None
        time.sleep(0.05)
    return process.poll()


def _size(run: RunDir) -> int:
    try:
        return run.events.stat().st_size
    except OSError:
        return 0
