"""The engine of a run as a process: start it detached, find it, ask it to stop, kill it.

The run's lock says whether it lives; a process number alone never does. The engine gets a session of its own: the death
of a viewer or of the terminal does not reach it.
"""

import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakSet

import psutil

from crdnd_tui.core import advice
from engine.spec import crashes, files, locks, rundir
from engine.spec.errors import RunFolderError
from engine.spec.process import signals_blocked
from engine.spec.rundir import RUN_ID, RunDir

if TYPE_CHECKING:
    from crdnd_tui.core.state import RunState

ROOT = Path(rundir.__file__).resolve().parents[2]  # where the package `engine` lies
STARTING_SECONDS = 60.0  # within which an engine speaks
_POLL = 0.05  # seconds
GONE = (psutil.Error, ValueError, OverflowError)  # no process has such a number
_noted: WeakSet[subprocess.Popen[bytes]] = WeakSet()  # processes whose end was looked at
_noting = threading.Lock()


class ProcessIdentity(NamedTuple):
    """A process, told from a later one with its number."""

    pid: int
    started: float  # unix seconds

    @property
    def lives(self) -> bool:
        """Whether that very process still lives; a zombie does not."""
        try:
            now = psutil.Process(self.pid)
            return bool(abs(now.create_time() - self.started) < 0.5 and now.status() != psutil.STATUS_ZOMBIE)
        except GONE:
            return False


def alive(run: RunDir) -> bool:
    """Whether an engine holds the lock. The kernel frees it at any death, so this cannot be stale."""
    return locks.is_held(f"{run.path}/engine.lock")  # of 10,000 runs, paths would cost more than asking


def is_here(run: RunDir) -> bool:
    """Whether its engine, if it has one, is on this machine: folders and locks may be shared over a network."""
    host = files.read_table(run.status).get("host")
    return not isinstance(host, str) or host in ("", platform.node())


def holder(run: RunDir) -> ProcessIdentity | None:
    """The living process that holds the lock; None when there is none here, or another process now has its number."""
    if not alive(run) or not is_here(run):
        return None
    pid = locks.owner_pid(files.read(run.lock, 4096) or b"")
    if pid <= 1 or pid == os.getpid():
        return None
    try:
        process = psutil.Process(pid)
        started = process.create_time()
        mine = process.uids().real == os.getuid() and started <= run.lock.stat().st_mtime + 2.0
    except (psutil.Error, OSError):
        return None
    return ProcessIdentity(pid, started) if mine else None


def began(pid: int) -> float:
    """When this process began, unix seconds; now when it is gone."""
    try:
        return psutil.Process(pid).create_time()
    except GONE:
        return time.time()


def engines(run: RunDir, pid: int) -> list[ProcessIdentity]:
    """All processes that work on a run: this one, torchrun's agent and the other ranks, the outermost first."""
    try:
        process = psutil.Process(pid)
        parent = process.parent()
        while parent is not None and _works_on(parent, run):
            process, parent = parent, parent.parent()
        below = process.children(recursive=True)
    except GONE:
        return []
    found: list[ProcessIdentity] = []
    for each in (process, *below):
        with suppress(psutil.Error):  # it left in between
            if each.pid == pid or _works_on(each, run):
                found.append(ProcessIdentity(each.pid, each.create_time()))
    return found


def _works_on(process: psutil.Process, run: RunDir) -> bool:
    """Whether it is `... -m engine RUN_DIR ...` of this very run."""
    try:
        words = process.cmdline()
    except psutil.Error:
        return False
    at = next((k for k in range(len(words) - 2) if words[k : k + 2] == ["-m", "engine"]), None)
    return at is not None and words[at + 2] == str(run.path)


def engine_command(run: RunDir) -> list[str]:
    """How the engine of a run is started; -P, so that no `engine` of the working folder is mistaken for ours."""
    return [sys.executable, "-P", "-m", "engine", str(run.path)]


def environment() -> dict[str, str]:
    """Of an engine: ours, and where its package lies."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": path}


def refuse_a_second(run: RunDir) -> None:
    """RunFolderError when an engine is at work on it."""
    if alive(run):
        raise RunFolderError(f"an engine is at work in {run.id} already", hint=f"{advice.on('watch', run)} shows it.")


def start(run: RunDir) -> subprocess.Popen[bytes]:
    """The engine of this run, detached; what it prints is appended to engine.log."""
    refuse_a_second(run)
    run.stop.unlink(missing_ok=True)
    with signals_blocked():
        engine = detached(engine_command(run), run.log)
    threading.Thread(target=ended, args=(run, engine), daemon=True).start()
    return engine


def detached(command: Sequence[str], log: Path, *, anew: bool = False) -> subprocess.Popen[bytes]:
    """A process in a session of its own, which prints into `log`; RunFolderError when that cannot be written."""
    try:
        descriptor = files.open_log(log, anew=anew)
    except OSError as error:
        raise RunFolderError(f"{log.name} cannot be written: {error.strerror}", where=str(log.parent)) from None
    try:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=descriptor, stderr=descriptor, start_new_session=True,
            env={**environment(), "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
    finally:
        os.close(descriptor)


def wait_started(run: RunDir, process: subprocess.Popen[bytes]) -> int | None:
    """Until the engine has spoken; its exit code when it died first, None while it lives."""
    end, before = time.monotonic() + STARTING_SECONDS, log_stamp(run)
    while time.monotonic() < end and process.poll() is None and log_stamp(run) == before:
        time.sleep(_POLL)
    return process.poll()


def log_stamp(run: RunDir) -> tuple[int, int]:
    """Changes when an engine says something; the last words of an earlier engine are not this one's."""
    try:
        found = run.events.stat(follow_symlinks=False)
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns


def ended(run: RunDir, engine: subprocess.Popen[bytes]) -> int:
    """Wait for the engine, and write once into its log if a signal ended it; its exit code."""
    code = engine.wait()
    with _noting:
        if engine not in _noted:
            _noted.add(engine)
            crashes.log_death(run, engine.pid, code)
    return code


def ask_to_stop(run: RunDir) -> None:
    """The engine finishes its step, saves and leaves."""
    if not os.path.lexists(run.stop):  # another user's may be there already
        files.touch(run.stop)


def kill(run: RunDir, *, patience: float = 10.0) -> bool:
    """SIGTERM, and SIGKILL to all its processes after `patience` seconds; False when no engine was there."""
    process = holder(run)
    if process is None:
        return False
    everyone = engines(run, process.pid) or [process]
    if patience > 0:
        _signal(everyone[0], signal.SIGTERM)  # of several ranks, the process that was started for them
        if _wait_gone(process, patience):
            return True
    for each in everyone:  # torchrun's agent before its ranks: it has no time to tell of their deaths
        _signal(each, signal.SIGKILL)
    end = time.monotonic() + 10.0
    return all(_wait_gone(each, max(0.0, end - time.monotonic())) for each in everyone)


def kill_teacher(run: RunDir, state: "RunState") -> None:
    """The engine that works on this run's teacher, unless it is another student's, too."""
    if RUN_ID.fullmatch(state.teacher_run) and not state.teacher_waiting:
        kill(RunDir(run.path.parent / state.teacher_run), patience=0.0)


def _signal(process: ProcessIdentity, number: signal.Signals) -> None:
    """To the engine's group when it leads one, as ours do; to it alone otherwise. Never to another process."""
    with suppress(ProcessLookupError):
        if process.lives:
            leads = number == signal.SIGKILL and os.getpgid(process.pid) == process.pid
            (os.killpg if leads else os.kill)(process.pid, number)


def _wait_gone(process: ProcessIdentity, seconds: float) -> bool:
    """Whether the process left within so many seconds."""
    end = time.monotonic() + seconds
    while process.lives and time.monotonic() <= end:
        time.sleep(_POLL)
    return not process.lives
