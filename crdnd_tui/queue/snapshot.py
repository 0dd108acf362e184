"""The queue as it is shown: what is at work on each device, what waits, what became of the rest, how far studies are.

A ticket names its study; which runs belong to a study, with tickets or without, a note in `.queue/studies` tells.
"""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
from msgspec import Struct

from crdnd_tui.core import engine_process, gpu, run_status
from crdnd_tui.core.run_facts import RunFacts, read_facts
from crdnd_tui.core.run_status import Summary
from crdnd_tui.core.scan import shared
from crdnd_tui.core.text import display, one_line
from crdnd_tui.queue import devices, worker
from crdnd_tui.queue.tickets import ENDED, OPEN, Queue, Ticket, TicketState
from engine.spec import files
from engine.spec.files import write_inside
from engine.spec.rundir import RunDir

NOTE_CAP = 1 << 20  # bytes of a study's note


class StudyNote(Struct, frozen=True, kw_only=True):
    """What the queue knows of a study whose runs were queued here."""

    study: str  # its name
    title: str = ""
    path: str = ""  # of its file
    hashes: tuple[str, ...] = ()  # of the configs of all its runs


class StudyCounts(Struct, frozen=True, kw_only=True):
    """How far a study is: runs that are done by their configs, the rest by their tickets; safe to show."""

    study: str
    done: int
    of: int
    running: int = 0
    waiting: int = 0
    held: int = 0
    failed: int = 0

    @property
    def text(self) -> str:
        """`digits 14/27`."""
        return f"{one_line(self.study, 24)} {self.done}/{self.of}"


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueEntry:
    """A run in the queue, or at work beside it."""

    run: str  # its id
    about: RunFacts
    device: str  # the first that it takes
    devices: int = 1
    ticket: Ticket | None = None  # None when it was started by hand
    row: Summary | None = None

    @property
    def places(self) -> tuple[str, ...]:
        """All devices that it takes."""
        return devices.places(self.device, self.devices)

    @property
    def left(self) -> float | None:
        """Seconds that its training will still take, as its engine says; None when it does not train."""
        status = self.row.status if self.row else None
        return status.eta_seconds if status is not None and status.phase == "training" else None


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueDevice:
    """A GPU or the CPU, and its engines."""

    name: str
    title: str
    jobs: list[QueueEntry] = field(default_factory=list)
    ranks: list[QueueEntry] = field(default_factory=list)  # further ranks of the jobs of another device


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueSnapshot:
    """One look at the queue."""

    devices: tuple[QueueDevice, ...] = ()
    queued: tuple[QueueEntry, ...] = ()  # waiting and held, in order
    ended: tuple[QueueEntry, ...] = ()  # the latest first
    at_once: int = 1
    worker: bool = False
    damaged: tuple[str, ...] = ()
    studies: tuple[StudyCounts, ...] = ()  # whose runs are in the queue

    @property
    def jobs(self) -> list[QueueEntry]:
        """All that is at work, device by device."""
        return [job for device in self.devices for job in device.jobs]


class SnapshotReader:
    """Reads the queue again and again; configs, which never change, are read once."""

    def __init__(self, runs: Path) -> None:
        self._runs, self._queue, self._scanner = runs, Queue(runs), shared(runs)
        self._about: dict[str, RunFacts] = {}
        self._reading = threading.Lock()  # whoever asked before may have left without waiting for its thread

    def read(self, now: float) -> QueueSnapshot:
        """The queue as of now; unix seconds."""
        with self._reading:
            return self._read(now)

    def _read(self, now: float) -> QueueSnapshot:
        tickets = self._queue.tickets()
        rows: dict[str, Summary] = {}
        for scan in self._scanner.look(now):
            rows = {row.id: row.summary for row in scan.rows}
        entries = [self._entry(ticket.run, ticket, rows) for ticket in tickets]
        states = {ticket.run: ticket.state for ticket in tickets}
        living = [RunDir(self._runs / name) for name, row in rows.items() if row.state in run_status.LIVING]
        jobs = devices.without_teachers(devices.job_of(run) for run in living if engine_process.is_here(run))
        by_hand = sorted(job.run for job in jobs if states.get(job.run) != "running")
        working = [entry for entry in entries if states[entry.run] == "running"]
        working += [self._entry(name, None, rows) for name in by_hand]
        queued = [entry for entry in entries if states[entry.run] in OPEN]
        notes = study_notes(self._runs) if any(ticket.study for ticket in tickets) else []
        return QueueSnapshot(
            devices=_by_device(working, queued), queued=tuple(queued),
            ended=tuple(e for e in entries if e.ticket and e.ticket.ended and states[e.run] in ENDED),
            at_once=self._queue.at_once, worker=worker.alive(self._runs), damaged=tuple(self._queue.damaged),
            studies=study_counts(notes, tickets, rows.values()),
        )  # fmt: skip

    def _entry(self, run: str, ticket: Ticket | None, rows: Mapping[str, Summary]) -> QueueEntry:
        if run not in self._about:
            facts = read_facts(RunDir(self._runs / run))
            self._about[run] = replace(facts, seed=None) if facts.is_evaluation else facts  # it has none of its own
        asked = ticket or devices.requested(RunDir(self._runs / run))
        return QueueEntry(
            run=run, about=self._about[run], device=devices.device_name(asked.device), devices=asked.devices,
            ticket=ticket, row=rows.get(run),
        )  # fmt: skip


def _by_device(working: Iterable[QueueEntry], queued: Iterable[QueueEntry]) -> tuple[QueueDevice, ...]:
    """The GPUs, or the CPU where there is none, and whatever else has or awaits an engine."""
    found: dict[str, QueueDevice] = {}

    def device(name: str, title: str = "") -> QueueDevice:
        return found.setdefault(name, QueueDevice(name=display(name, 20), title=display(title, 40)))

    for k, card in enumerate(gpu.visible()):
        device(f"cuda:{k}", card.name if card else "")
    if not found:
        device("cpu")
    for entry in working:
        device(entry.device).jobs.append(entry)
        for place in entry.places[1:]:
            device(place).ranks.append(entry)
    for entry in queued:
        device(entry.device)
    return tuple(found.values())


def _notes_folder(runs: Path) -> Path:
    return runs / ".queue" / "studies"


def note_study(runs: Path, note: StudyNote) -> None:
    """Written when a study's runs are queued; in place of an earlier note of that name."""
    write_inside(_notes_folder(runs) / f"{note.study}.json", msgspec.json.encode(note) + b"\n")


def study_notes(runs: Path) -> list[StudyNote]:
    """Of all studies that were queued here, by name; what is damaged is passed over."""
    decode = msgspec.json.Decoder(StudyNote).decode
    try:
        paths = sorted(_notes_folder(runs).glob("*.json"))
    except OSError:
        return []
    found = ((path, files.decoded(path, decode, NOTE_CAP)) for path in paths)
    named = (note for path, note in found if note is not None and path.name == f"{note.study}.json")
    return [msgspec.structs.replace(note, title=one_line(note.title, 120)) for note in named]


def study_counts(
    notes: Iterable[StudyNote], tickets: Iterable[Ticket], rows: Iterable[Summary]
) -> tuple[StudyCounts, ...]:
    """Of the studies that have a ticket, by name."""
    by_study: dict[str, list[TicketState]] = {}
    for ticket in tickets:
        if ticket.study:
            by_study.setdefault(ticket.study, []).append(ticket.state)
    done = {row.status.config_hash for row in rows if row.state == "done" and row.status} if by_study else set()
    hashes = {note.study: set(note.hashes) for note in notes}
    found = []
    for study, states in sorted(by_study.items()):
        wanted = hashes.get(study, set())
        found.append(StudyCounts(
            study=study, done=len(wanted & done) if wanted else states.count("done"), of=len(wanted) or len(states),
            running=states.count("running"), waiting=states.count("waiting"), held=states.count("held"),
            failed=states.count("failed"),
        ))  # fmt: skip
    return tuple(found)
