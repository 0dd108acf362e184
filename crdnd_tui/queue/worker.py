"""The process that starts waiting runs. It outlives the terminal, and its own death hurts no run.

`python -P -m crdnd_tui.queue.worker RUNS`: at most one for a folder; it leaves when nothing waits and nothing runs.
Nothing is remembered that is not on disk: the next worker reads the same from tickets, locks and statuses.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec

from crdnd_tui.core import engine_process, run_status
from crdnd_tui.core.text import display, one_line
from crdnd_tui.queue import devices
from crdnd_tui.queue.devices import EngineJob
from crdnd_tui.queue.tickets import OPEN, Queue, Ticket, TicketState
from engine.spec import crashes, files, locks
from engine.spec.errors import CrdndError, RunFolderError
from engine.spec.process import replace_closed_streams
from engine.spec.rundir import RunDir

POLL, IDLE = 1.0, 10.0  # seconds between two looks; without work before it leaves
LOG_CAP = 1 << 20  # bytes of worker.log, which then begins anew
STARTS_IN = 5.0  # seconds in which a worker takes its lock
HELD_FOR = "because this run failed: "  # how the note of a ticket begins that a failure holds
TICK = 0.1  # seconds by which the times of files may lag the clock
UNSEEN = 30.0  # seconds in which an engine whose process is not known may take its lock

Say = Callable[[str], None]
_workers: dict[Path, tuple[subprocess.Popen[bytes], float]] = {}  # the last that this process started, and when


def worker_command(runs: Path) -> list[str]:
    """How the worker of a folder is started."""
    return [sys.executable, "-P", "-m", "crdnd_tui.queue.worker", str(runs)]


def alive(runs: Path) -> bool:
    """Whether a worker of this folder is at work."""
    return locks.is_held(runs / ".queue" / "worker.lock")


def wake(runs: Path) -> bool:
    """A worker when something waits and none is there; whether one was started. For the start of a terminal."""
    return _busy(Queue(runs).tickets()) and ensure(runs)


def ensure(runs: Path) -> bool:
    """A worker unless there is one; whether one was started. Two at once do no harm: the second leaves."""
    if alive(runs) or _starting(runs):
        return False
    log = runs / ".queue" / "worker.log"
    large = os.path.lexists(log) and log.lstat().st_size >= LOG_CAP
    process = engine_process.detached(worker_command(runs), log, anew=large)
    _workers[runs] = process, time.monotonic()
    return True


def _starting(runs: Path) -> bool:
    """Whether one that this process started has not come to its lock yet."""
    process, since = _workers.get(runs, (None, 0.0))
    if process is None or process.poll() is not None or time.monotonic() - since > STARTS_IN:
        return False
    return (files.read(runs / ".queue" / "worker.lock", 100) or b"").strip() != b"%d" % process.pid


class Scheduler:
    """Starts waiting runs and follows those at work; never stops one."""

    def __init__(self, queue: Queue, say: Say) -> None:
        self._queue, self._say = queue, say
        self._engines: dict[str, subprocess.Popen[bytes]] = {}
        self._jobs: list[EngineJob] = []  # that were seen at work, with a ticket or without
        self._asked = False
        self._trouble = ""

    def run(self, poll: float, idle: float, leave: Callable[[], None]) -> None:
        """Look, act, sleep; until nothing waited and nothing ran for `idle` seconds, or it was asked to leave.

        `leave` is called while nobody can add a ticket: who adds one later sees that no worker is there.
        """
        last = time.monotonic()
        while not self._asked and files.is_folder(self._queue.folder):
            try:
                if _busy(self._look()):
                    last = time.monotonic()
                elif time.monotonic() - last >= idle:
                    with self._queue.locked():
                        if not _busy(self._queue.tickets()):
                            leave()
                            return
            except (CrdndError, OSError) as error:  # a full disk, a held lock: the next look may do better
                if str(error) != self._trouble:
                    self._say(str(error))
                self._trouble = str(error)
            time.sleep(poll)

    def ask_to_leave(self, *_: object) -> None:
        """After this look; a signal handler."""
        self._asked = True

    def _look(self) -> list[Ticket]:
        """One round; the tickets that it left to be waited for, and all others."""
        for name, engine in self._engines.items():
            if engine.poll() is not None:  # reaped
                engine_process.ended(RunDir(self._queue.runs / name), engine)
        for ticket in self._queue.tickets():
            if ticket.state == "running":
                self._follow(ticket)
            elif ticket.state in OPEN:
                self._check(ticket)
        tickets, full = self._queue.tickets(), set[str]()
        for ticket in tickets:  # nothing overtakes one that waits for the same device
            places = devices.places(ticket.device, ticket.devices)
            if ticket.state == "waiting" and full.isdisjoint(places) and self._has_room(places):
                self._start(ticket)
            elif ticket.state == "waiting":
                full.update(places)
        return tickets

    def _has_room(self, places: Sequence[str]) -> bool:
        """All locks of the folder are tried only when it seems that there may be room."""
        at_once = self._queue.at_once
        running = [t for t in self._queue.tickets() if t.state == "running"]
        started = [EngineJob(t.run, devices.device_name(t.device), t.pid, t.devices) for t in running]
        self._jobs = [job for job in self._jobs if engine_process.alive(RunDir(self._queue.runs / job.run))]
        if not devices.has_room(places, [*started, *self._jobs], at_once):
            return False
        self._jobs = devices.living_jobs(self._queue.runs)
        return devices.has_room(places, [*started, *self._jobs], at_once)

    def _follow(self, ticket: Ticket) -> None:
        """A run at work: still so, or how it ended."""
        run, now = RunDir(self._queue.runs / ticket.run), time.time()
        if engine_process.alive(run):
            holder = None if ticket.pid else engine_process.holder(run)
            if holder is not None:
                self._set(ticket, pid=holder.pid, born=holder.started)
            return
        if ticket.engine_lives:
            return
        if not ticket.pid and _modified(run.log) and now - ticket.started < UNSEEN:
            return
        if not ticket.pid and max(_modified(run.log), _modified(run.status)) <= ticket.started - TICK:
            self._set(ticket, state="waiting", started=0.0)  # the last worker died before it could start the engine
            return
        self._engines.pop(ticket.run, None)
        state, note = outcome(run, ticket)
        if state == "failed":
            self._hold_rest(ticket)  # before it counts as failed: who dies in between does this once more
        self._set(ticket, state=state, note=note, ended=now, pid=0, born=0.0)
        self._say(f"{ticket.run}: {state} {note}".rstrip())

    def _check(self, ticket: Ticket) -> None:
        """A waiting run may have been started or thrown away by hand."""
        run = RunDir(self._queue.runs / ticket.run)
        if engine_process.alive(run):
            asked = devices.requested(run)  # whoever started it may have changed it
            since = min(time.time(), _modified(run.lock) or time.time())
            self._set(ticket, state="running", started=since, device=asked.device, devices=asked.devices)
        elif not _modified(run.config):
            note = "its config cannot be read" if os.path.lexists(run.path) else "its folder is gone"
            self._set(ticket, state="cancelled", ended=time.time(), note=note)

    def _start(self, ticket: Ticket) -> None:
        """Marked first, then started: who dies in between leaves a mark that the next worker understands."""
        run = RunDir(self._queue.runs / ticket.run)
        row = run_status.summary(run)
        if row is not None and row.state == "done":  # by hand, while it waited
            self._set(ticket, state="done", ended=time.time())
            return
        marked = self._set(ticket, state="running", started=time.time(), ended=0.0, note="", pid=0, born=0.0)
        if marked is None:
            return
        try:
            engine = engine_process.start(run)
        except (RunFolderError, OSError) as error:
            self._hold_rest(marked)
            self._set(marked, state="failed", ended=time.time(), note=one_line(str(error), 300))
            self._say(f"{ticket.run}: {error}")
            return
        self._engines[ticket.run] = engine
        self._set(marked, pid=engine.pid, born=engine_process.began(engine.pid))
        self._say(f"{ticket.run}: started on {', '.join(devices.places(ticket.device, ticket.devices))}")

    def _hold_rest(self, failed: Ticket) -> None:
        """What still waits of a study that wants to stop at its first failure."""
        for ticket in self._queue.tickets() if failed.study and failed.stop_on_failure else []:
            if ticket.study == failed.study and ticket.state == "waiting":
                self._set(ticket, state="held", note=HELD_FOR + failed.run)

    def _set(self, ticket: Ticket, **changes: object) -> Ticket | None:
        """The ticket with these changes; None when someone else changed it since it was read."""
        try:
            return self._queue.change(ticket.run, (ticket.state,), lambda now: msgspec.structs.replace(now, **changes))
        except RunFolderError:
            return None


def _busy(tickets: Iterable[Ticket]) -> bool:
    return any(ticket.state in ("waiting", "running") for ticket in tickets)


def outcome(run: RunDir, ticket: Ticket) -> tuple[TicketState, str]:
    """State and note of a ticket whose engine left. The last words of an earlier engine are not this one's."""
    row = run_status.summary(run)
    if row is None:
        return "cancelled", "its folder is gone"
    silent = row.status is not None and row.status.heartbeat < ticket.started and row.state != "done"
    if silent or row.state in ("queued", "killed", *run_status.LIVING):
        lines = run_status.log_tail(run) if _modified(run.log) > ticket.started - TICK else []
        if lines and not crashes.end_in_death(lines):
            return "failed", one_line(lines[-1], 300)
        death = run_status.death_of(run)
        return "failed", one_line(f"{death.text}; {run_status.todo(run, death)}", 300)
    if row.state in ("done", "stopped", "preempted"):
        return "done" if row.state == "done" else "stopped", one_line(row.why, 300)
    return "failed", one_line(row.why or row.state, 300)


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def work(runs: Path, say: Say, *, poll: float = POLL, idle: float = IDLE) -> bool:
    """Until nothing waits and nothing runs, or SIGTERM; False when another worker is there. Engines are left alone."""
    queue = Queue(runs)
    with queue.locked():
        lock = locks.open_lock(queue.folder / "worker.lock")
    try:
        if not locks.acquire(lock, patience=1.0):  # who asks whether a worker is there holds the lock for an instant
            return False
        locks.write_owner(lock, b"%d\n" % os.getpid())
        scheduler = Scheduler(queue, say)
        signal.signal(signal.SIGTERM, scheduler.ask_to_leave)
        scheduler.run(poll, idle, leave=lambda: locks.release(lock))
        return True
    finally:
        os.close(lock)


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
