"""The process that starts waiting runs. It outlives the terminal, and its own death hurts no run.

`python -P -m crdnd_tui.queue.worker RUNS`: at most one for a folder; it leaves when nothing waits and nothing runs.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from crdnd_tui.core import advice, engine_process, launch
from crdnd_tui.core.text import display
from crdnd_tui.queue import occupancy
from crdnd_tui.queue.dispatch import Dispatcher, Say
from crdnd_tui.queue.tickets import Queue, Ticket
from engine.spec import files, locks
from engine.spec.errors import RunFolderError
from engine.spec.process import replace_closed_streams
from engine.spec.rundir import RunDir

POLL, IDLE = 1.0, 10.0  # seconds between two looks; without work before it leaves
LOG_CAP = 1 << 20  # bytes of worker.log, which then begins anew

STARTS_IN = 5.0  # seconds in which a worker takes its lock
_workers: dict[Path, tuple[subprocess.Popen[bytes], float]] = {}  # the last that this process started, and when


def worker_command(runs: Path) -> list[str]:
    """How the worker of a folder is started."""
    return [sys.executable, "-P", "-m", "crdnd_tui.queue.worker", str(runs)]


def enqueue(run: RunDir) -> None:
    """A run folder that was made and not started waits for its device; a worker is there when this returns."""
    if engine_process.alive(run):
        raise RunFolderError(f"an engine is at work in {run.id} already", hint=f"{advice.on('watch', run)} shows it.")
    asked = occupancy.wanted(run)
    Queue(run.path.parent).add(run.id, asked.device, time.time(), asked.devices)
    ensure(run.path.parent)


def retry(runs: Path, name: str) -> None:
    """A run that stopped or failed waits again and will go on from its last checkpoint; RunFolderError for others."""
    ticket = Queue(runs).ticket(name)
    if ticket is None or ticket.state not in ("stopped", "failed"):
        how = f"is {ticket.state}" if ticket else "is not in the queue"
        raise RunFolderError(f"{display(name)} {how}; what stopped or failed can be retried")
    enqueue(RunDir(runs / name))


def cancel(runs: Path, name: str) -> str:
    """A waiting run leaves the queue; its folder, when it was never started, goes to the trash. Says what was done."""
    folder = RunDir(runs / name)

    def leave(_: Ticket) -> None:
        if engine_process.alive(folder):
            raise RunFolderError(f"{display(name)} is at work", hint=f"{advice.on('stop', folder)} stops it.")
        if not started(folder) and folder.path.is_dir():
            _to_trash(folder.path)

    queue = Queue(runs)
    ticket = queue.ticket(name)
    if ticket is not None and ticket.state == "running":
        raise RunFolderError(f"{display(name)} is at work", hint=f"{advice.on('stop', folder)} stops it.")
    queue.change(name, ("waiting", "held"), leave)
    kept = (
        f"its folder stays: {advice.on('resume', folder)} goes on"
        if folder.path.exists()
        else "its folder is in .trash"
    )
    return f"{display(name)} left the queue; {kept}"


def release(runs: Path, name: str) -> None:
    """A held run may start again; a worker is there when this returns."""
    Queue(runs).release(name)
    ensure(runs)


def started(run: RunDir) -> bool:
    """Whether an engine ever worked on it."""
    return any(os.path.lexists(path) for path in (run.events, run.status, run.log))


def alive(runs: Path) -> bool:
    """Whether a worker of this folder is at work."""
    return locks.is_held(runs / ".queue" / "worker.lock")


def wake(runs: Path) -> bool:
    """A worker when something waits and none is there; whether one was started. For the start of a terminal."""
    if any(ticket.state in ("waiting", "running") for ticket in Queue(runs).tickets()):
        return ensure(runs)
    return False


def ensure(runs: Path) -> bool:
    """A worker unless there is one; whether one was started. Two at once do no harm: the second leaves."""
    if alive(runs) or _starting(runs):
        return False
    log = runs / ".queue" / "worker.log"
    large = os.path.lexists(log) and log.lstat().st_size >= LOG_CAP
    process = launch.detached(worker_command(runs), log, anew=large)
    _workers[runs] = process, time.monotonic()
    return True


def _starting(runs: Path) -> bool:
    """Whether one that this process started has not come to its lock yet."""
    process, since = _workers.get(runs, (None, 0.0))
    if process is None or process.poll() is not None or time.monotonic() - since > STARTS_IN:
        return False
    return (files.read(runs / ".queue" / "worker.lock", 100) or b"").strip() != b"%d" % process.pid


def work(runs: Path, say: Say, *, poll: float = POLL, idle: float = IDLE) -> bool:
    """Until nothing waits and nothing runs, or SIGTERM; False when another worker is there. Engines are left alone."""
    queue = Queue(runs)
    with queue.locked():
        lock = locks.open_lock(queue.folder / "worker.lock")
    try:
        end = time.monotonic() + 1.0  # who asks whether a worker is there holds the lock for an instant
        while not locks.take(lock):
            if time.monotonic() > end:
                return False
            time.sleep(0.05)
        locks.sign(lock, b"%d\n" % os.getpid())
        dispatcher = Dispatcher(queue, say)
        signal.signal(signal.SIGTERM, dispatcher.ask_to_leave)
        dispatcher.go(poll, idle, leave=lambda: locks.give_back(lock))
        return True
    finally:
        os.close(lock)


def _to_trash(path: Path) -> None:
    """Where it can be found again."""
    trash = path.parent / ".trash"
    files.make_folder(trash)
    target, k = trash / path.name, 1
    while os.path.lexists(target):
        target, k = trash / f"{path.name}-{k}", k + 1
    path.rename(target)


def main() -> None:
    """The entry point of the process."""
    replace_closed_streams()

    def say(words: str) -> None:
        with contextlib.suppress(OSError):  # a full disk must not end the queue
            sys.stdout.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {display(words)}\n")

    if not work(Path(sys.argv[1]), say):
        say("another worker is there")


if __name__ == "__main__":
    main()
