"""What a person does with the queue: add, retry, cancel, hold and release runs, one by one or all of a study."""

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from crdnd_tui.core import advice, engine_process, run_actions
from crdnd_tui.core.text import display
from crdnd_tui.queue import devices, worker
from crdnd_tui.queue.tickets import Queue, Ticket, TicketState
from engine.spec.errors import RunFolderError
from engine.spec.rundir import RunDir


def enqueue(run: RunDir) -> None:
    """A run folder that was made and not started waits for its device; a worker is there when this returns."""
    if engine_process.alive(run):
        raise RunFolderError(f"an engine is at work in {run.id} already", hint=f"{advice.on('watch', run)} shows it.")
    asked = devices.requested(run)
    Queue(run.path.parent).add(run.id, asked.device, time.time(), asked.devices)
    worker.ensure(run.path.parent)


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
        if not _was_started(folder) and folder.path.is_dir():
            run_actions.trash(folder.path)

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
    worker.ensure(runs)


def hold_study(runs: Path, study: str) -> int:
    """No waiting run of the study is started; how many they are."""
    return _each(runs, study, ("waiting",), Queue(runs).hold)


def release_study(runs: Path, study: str) -> int:
    """Its held runs may start; a worker is there when this returns."""
    many = _each(runs, study, ("held",), Queue(runs).release)
    worker.ensure(runs)
    return many


def cancel_study(runs: Path, study: str) -> int:
    """Its waiting and held runs leave the queue; folders that were never started go to the trash."""
    return _each(runs, study, ("waiting", "held"), lambda run: cancel(runs, run))


def _each(runs: Path, study: str, states: Iterable[TicketState], act: Callable[[str], object]) -> int:
    """RunFolderError when the study has no run in these states."""
    wanted = tuple(states)
    found = [ticket.run for ticket in Queue(runs).tickets() if ticket.study == study and ticket.state in wanted]
    if not found:
        raise RunFolderError(
            f"no run of the study `{display(study, 60)}` is {' or '.join(wanted)}",
            hint="`crdnd queue list` shows what is.",
        )
    many = 0
    for run in found:
        try:
            act(run)
            many += 1
        except RunFolderError:  # the worker was faster and started it
            ticket = Queue(runs).ticket(run)
            if ticket is not None and ticket.state in wanted:
                raise
    return many


def _was_started(run: RunDir) -> bool:
    """Whether an engine ever worked on it."""
    return any(os.path.lexists(path) for path in (run.events, run.status, run.log))
