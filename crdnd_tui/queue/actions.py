"""What a person does with the queue: add, retry, cancel, hold and release runs, one by one or all of a study."""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from crdnd_tui.core import advice, engine_process, run_actions
from crdnd_tui.core.text import display
from crdnd_tui.queue import devices, worker
from crdnd_tui.queue.tickets import Queue, Ticket, TicketState
from engine.spec.errors import RunFolderError
from engine.spec.rundir import RunDir

# Of each action on a study, the states of the runs that it is done to.
_OF_STUDY: dict[str, Sequence[TicketState]] = {
    "hold": ("waiting",), "release": ("held",), "cancel": ("waiting", "held"),
}  # fmt: skip


def enqueue(run: RunDir) -> None:
    """A run folder that was made and not started waits for its device; a worker is there when this returns."""
    engine_process.refuse_a_second(run)
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
    folder, queue = RunDir(runs / name), Queue(runs)
    at_work = RunFolderError(f"{display(name)} is at work", hint=f"{advice.on('stop', folder)} stops it.")

    def leave(_: Ticket) -> None:
        if engine_process.alive(folder):
            raise at_work
        started = any(os.path.lexists(path) for path in (folder.events, folder.status, folder.log))
        if not started and folder.path.is_dir():
            run_actions.trash(folder.path)

    ticket = queue.ticket(name)
    if ticket is not None and ticket.state == "running":
        raise at_work
    queue.change(name, ("waiting", "held"), leave)
    goes_on = f"its folder stays: {advice.on('resume', folder)} goes on"
    return f"{display(name)} left the queue; {goes_on if folder.path.exists() else 'its folder is in .trash'}"


def release(runs: Path, name: str) -> None:
    """A held run may start again; a worker is there when this returns."""
    Queue(runs).release(name)
    worker.ensure(runs)


def change_study(runs: Path, study: str, action: Literal["hold", "release", "cancel"]) -> int:
    """Do this to all runs of a study that it can be done to; how many they were, RunFolderError for none."""
    queue, states = Queue(runs), _OF_STUDY[action]
    found = [ticket.run for ticket in queue.tickets() if ticket.study == study and ticket.state in states]
    if not found:
        why = f"no run of the study `{display(study, 60)}` is {' or '.join(states)}"
        raise RunFolderError(why, hint="`crdnd queue list` shows what is.")
    many = 0
    for run in found:
        try:
            if action == "cancel":
                cancel(runs, run)
            else:
                (queue.hold if action == "hold" else queue.release)(run)
            many += 1
        except RunFolderError:  # the worker was faster and started it
            ticket = queue.ticket(run)
            if ticket is not None and ticket.state in states:
                raise
    if action == "release":
        worker.ensure(runs)
    return many
