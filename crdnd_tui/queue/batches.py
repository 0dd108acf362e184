"""The studies whose runs were queued here: one small file for each, so that the queue can say how far they are.

A ticket names its study; which runs belong to it, whether they have tickets or not, the hashes of their configs tell.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from crdnd_tui.core.library import Summary
from crdnd_tui.core.text import display, one_line
from crdnd_tui.queue import worker
from crdnd_tui.queue.tickets import Queue, Ticket, TicketState
from engine.spec import files
from engine.spec.errors import RunFolderError
from engine.spec.files import write_inside

CAP = 1 << 20  # bytes of a note


class Batch(Struct, frozen=True, kw_only=True):
    """What the queue knows of a study."""

    study: str  # its name
    title: str = ""
    path: str = ""  # of its file
    hashes: tuple[str, ...] = ()  # of the configs of all its runs


_decoder = msgspec.json.Decoder(Batch)


class Progress(Struct, frozen=True, kw_only=True):
    """How far a study is, as far as a look at the queue and the runs tells; safe to show."""

    study: str
    done: int
    of: int
    running: int = 0
    waiting: int = 0
    held: int = 0
    failed: int = 0

    @property
    def words(self) -> str:
        """`digits 14/27`."""
        return f"{one_line(self.study, 24)} {self.done}/{self.of}"


def note(runs: Path, batch: Batch) -> None:
    """Written when a study's runs are queued; in place of an earlier note of that name."""
    write_inside(_folder(runs) / f"{batch.study}.json", msgspec.json.encode(batch) + b"\n")


def noted(runs: Path) -> list[Batch]:
    """Of all studies that were queued here, by name; what is damaged is passed over."""
    try:
        paths = sorted(_folder(runs).glob("*.json"))
    except OSError:
        return []
    found = []
    for path in paths:
        batch = files.decoded(path, _decoder.decode, CAP)
        if batch is not None and path.name == f"{batch.study}.json":
            found.append(msgspec.structs.replace(batch, title=one_line(batch.title, 120)))
    return found


def progress(batches: Iterable[Batch], tickets: Iterable[Ticket], rows: Iterable[Summary]) -> tuple[Progress, ...]:
    """Of the studies that have a ticket: runs that are done by their configs, the rest by their tickets."""
    by_study: dict[str, list[TicketState]] = {}
    for ticket in tickets:
        if ticket.study:
            by_study.setdefault(ticket.study, []).append(ticket.state)
    if not by_study:
        return ()
    done = {row.status.config_hash for row in rows if row.state == "done" and row.status}
    hashes: Mapping[str, set[str]] = {batch.study: set(batch.hashes) for batch in batches}
    found = []
    for study, states in sorted(by_study.items()):
        wanted = hashes.get(study, set())
        found.append(
            Progress(
                study=study,
                done=len(wanted & done) if wanted else states.count("done"),
                of=len(wanted) or len(states),
                running=states.count("running"),
                waiting=states.count("waiting"),
                held=states.count("held"),
                failed=states.count("failed"),
            )
        )
    return tuple(found)


def hold(runs: Path, study: str) -> int:
    """No waiting run of the study is started; how many they are."""
    return _each(runs, study, ("waiting",), Queue(runs).hold)


def release(runs: Path, study: str) -> int:
    """Its held runs may start; a worker is there when this returns."""
    many = _each(runs, study, ("held",), Queue(runs).release)
    worker.ensure(runs)
    return many


def cancel(runs: Path, study: str) -> int:
    """Its waiting and held runs leave the queue; folders that were never started go to the trash."""
    return _each(runs, study, ("waiting", "held"), lambda run: worker.cancel(runs, run))


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


def _folder(runs: Path) -> Path:
    return runs / ".queue" / "studies"
