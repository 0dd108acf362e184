"""The queue as it is shown: what is at work on each device, what waits and when it may start, what became of the rest.

A duration is the median of past runs that differ by their seed alone; without one nothing is foretold.
"""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median

from crdnd_tui.core import engine_process, gpu, library
from crdnd_tui.core.library import Summary
from crdnd_tui.core.scan import shared
from crdnd_tui.core.text import display, one_line
from crdnd_tui.queue import batches, occupancy, worker
from crdnd_tui.queue.entry import About, Entry
from crdnd_tui.queue.foretold import plan
from crdnd_tui.queue.room import Surveyor
from crdnd_tui.queue.sharing import Rules, Sharing
from crdnd_tui.queue.tickets import OPEN, Queue, Ticket
from engine.spec import files
from engine.spec.errors import ConfigError
from engine.spec.events import RunFinished, decode
from engine.spec.rundir import RunDir

PAUSE, PAUSES = 10.0, 0.05  # seconds, share of its time: a run that stood still for longer was interrupted


@dataclass(frozen=True, kw_only=True, slots=True)
class Device:
    """A GPU or the CPU, and its engines."""

    name: str
    title: str
    jobs: tuple[Entry, ...] = ()
    ranks: tuple[Entry, ...] = ()  # further ranks of runs that are among the jobs of another device


@dataclass(frozen=True, kw_only=True, slots=True)
class Agenda:
    """One look at the queue."""

    devices: tuple[Device, ...] = ()
    queued: tuple[Entry, ...] = ()  # waiting and held, in order
    ended: tuple[Entry, ...] = ()  # the latest first
    sharing: Sharing = field(default_factory=Sharing)
    worker: bool = False
    all_done: float | None = None  # when the last waiting run will have ended
    damaged: tuple[str, ...] = ()
    studies: tuple[batches.Progress, ...] = ()  # whose runs are in the queue


class Reader:
    """Reads the agenda again and again; what cannot have changed is read once."""

    def __init__(self, runs: Path) -> None:
        self._runs, self._queue, self._scanner, self._surveyor = runs, Queue(runs), shared(runs), Surveyor(runs)
        self._about: dict[str, About] = {}
        self._worked: dict[tuple[str, float], float | None] = {}  # id and last heartbeat -> seconds
        self._alone = threading.Lock()

    def read(self, now: float) -> Agenda:
        """The agenda as of now."""
        with self._alone:  # whoever asked before may have left without waiting for its thread
            return self._read(now)

    def _read(self, now: float) -> Agenda:
        tickets = self._queue.tickets()
        rows = self._rows(now)
        takes = self._durations(rows.values(), {self.about(ticket.run).group for ticket in tickets})
        entries = [self._entry(ticket.run, ticket, rows, takes, now) for ticket in tickets]
        by_hand = self._by_hand(rows, {ticket.run for ticket in tickets if ticket.state == "running"})
        atwork = [e for e in entries if e.ticket and e.ticket.state == "running"]
        atwork += [self._entry(name, None, rows, takes, now) for name in by_hand]
        waiting = [e for e in entries if e.ticket and e.ticket.state in OPEN]
        atwork, waiting = self._with_needs(atwork), self._with_needs(waiting)
        queued, all_done = plan(waiting, atwork, self._rules(atwork), now)
        return Agenda(
            devices=devices(atwork, queued),
            queued=tuple(queued),
            ended=tuple(e for e in entries if e.ticket and e.ticket.ended and e.ticket.state not in (*OPEN, "running")),
            sharing=self._queue.sharing,
            worker=worker.alive(self._runs),
            all_done=all_done,
            damaged=tuple(self._queue.damaged),
            studies=self._studies(tickets, rows.values()),
        )

    def _with_needs(self, entries: list[Entry]) -> list[Entry]:
        """Nothing is read unless runs share by memory."""
        sharing = self._queue.sharing
        if sharing.by == "slots":
            return entries
        return [replace(entry, need=self._surveyor.need(entry.run, sharing)) for entry in entries]

    def _rules(self, atwork: list[Entry]) -> Rules:
        jobs = [occupancy.Job(e.run, e.device, e.ticket.pid if e.ticket else 0, e.devices) for e in atwork]
        return self._surveyor.rules(jobs, self._queue.sharing)

    def _studies(self, tickets: list[Ticket], rows: Iterable[Summary]) -> tuple[batches.Progress, ...]:
        """Nothing is read of them while no ticket names one."""
        if not any(ticket.study for ticket in tickets):
            return ()
        return batches.progress(batches.noted(self._runs), tickets, rows)

    def _rows(self, now: float) -> dict[str, Summary]:
        rows: dict[str, Summary] = {}
        for scan in self._scanner.look(now):
            rows = {row.id: row.summary for row in scan.rows}
        return rows

    def _by_hand(self, rows: Mapping[str, Summary], known: set[str]) -> list[str]:
        """Living runs without a ticket; not those that only train a teacher for another."""
        living = [RunDir(self._runs / name) for name, row in rows.items() if row.state in library.LIVING]
        jobs = [occupancy.job(run) for run in living if engine_process.is_here(run)]
        return sorted(job.run for job in occupancy.without_teachers(jobs) if job.run not in known)

    def _entry(
        self, run: str, ticket: Ticket | None, rows: Mapping[str, Summary], takes: Mapping[str, float], now: float
    ) -> Entry:
        row, about = rows.get(run), self.about(run)
        asked = ticket or occupancy.wanted(RunDir(self._runs / run))
        whole = takes.get(about.group)
        began = ticket.started if ticket else row.status.created if row and row.status else 0.0
        living = ticket is None or ticket.state == "running"
        left = max(0.0, whole - (now - began)) if whole is not None and began and living else None
        return Entry(
            run=run, about=about, device=occupancy.device(asked.device), devices=asked.devices, ticket=ticket, row=row,
            takes=whole, left=left,
        )  # fmt: skip

    def _durations(self, rows: Iterable[Summary], groups: set[str]) -> dict[str, float]:
        """Group -> median seconds of its finished runs; of these groups only, for each costs a look at its events."""
        known: dict[str, list[float]] = {}
        for row in rows:
            group = row.status.group_hash if row.status else ""
            if row.state != "done" or not group or group not in groups or row.status is None:
                continue
            key = row.id, row.status.heartbeat
            if key not in self._worked:
                self._worked[key] = worked(row)
            seconds = self._worked[key]
            if seconds is not None:
                known.setdefault(group, []).append(seconds)
        return {group: median(seconds) for group, seconds in known.items()}

    def about(self, run: str) -> About:
        """By its config, which never changes; its id alone when that cannot be read."""
        if run not in self._about:
            self._about[run] = _about(RunDir(self._runs / run))
        return self._about[run]


def worked(row: Summary) -> float | None:
    """Seconds that the engine of a finished run worked; None where it was interrupted, and a part alone is known."""
    s = row.status
    if row.state != "done" or s is None or s.created <= 0:
        return None
    events = decode(files.tail(RunDir(row.path).events).split(b"\n")).events
    seconds = next((event.seconds for event in reversed(events) if isinstance(event, RunFinished)), 0.0)
    whole = s.heartbeat - s.created
    return seconds if seconds > 0.0 and whole - seconds < max(PAUSE, PAUSES * whole) else None


def devices(atwork: Iterable[Entry], queued: Iterable[Entry]) -> tuple[Device, ...]:
    """The GPUs, or the CPU where there is none, and whatever else has or awaits an engine."""
    titles = {f"cuda:{k}": card.name if card else "" for k, card in enumerate(gpu.visible())} or {"cpu": ""}
    jobs: dict[str, list[Entry]] = {name: [] for name in titles}
    ranks: dict[str, list[Entry]] = {}
    for entry in atwork:
        jobs.setdefault(entry.device, []).append(entry)
        for place in entry.places[1:]:
            jobs.setdefault(place, [])
            ranks.setdefault(place, []).append(entry)
    for entry in queued:
        jobs.setdefault(entry.device, [])
    return tuple(
        Device(
            name=display(name, 20),
            title=display(titles.get(name, ""), 40),
            jobs=tuple(entries),
            ranks=tuple(ranks.get(name, ())),
        )
        for name, entries in jobs.items()
    )


def _about(run: RunDir) -> About:
    from engine.spec import toml  # noqa: PLC0415  0.4 s that only a queue with runs pays for
    from engine.spec.config import JudgeConfig  # noqa: PLC0415

    if files.read(run.config) is None:  # gone, huge, a pipe
        return About()
    try:
        config = toml.read(run.config)
    except (ConfigError, OSError):
        return About()
    if isinstance(config, JudgeConfig):
        return About(method="evaluation", data=one_line(config.data.title, 40), name=one_line(config.name, 80))
    return About(
        method=one_line(config.method.title, 20),
        student=one_line(config.student.title, 40),
        teacher=one_line(config.teacher_title, 40) if config.teacher else "",
        data=one_line(config.data.title, 40),
        seed=config.seed,
        name=one_line(config.name, 80),
        group=config.group_hash,
    )
