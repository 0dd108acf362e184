"""How far a study is: which run belongs to each of its cells, and how that run is. Reads; writes nothing.

A run belongs to a cell when their configs are equal. The hash in a run's status is a hint that spares a look at most
configs; those that remain are read once, for a config never changes.
"""

import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from crdnd_tui.core import engine_process, library
from crdnd_tui.core.library import Summary
from crdnd_tui.core.scan import shared
from crdnd_tui.queue import worker
from crdnd_tui.queue.tickets import ENDED, Queue, Ticket
from crdnd_tui.study.study import Cell, Study
from engine.spec import files, toml
from engine.spec.config import RunConfig
from engine.spec.errors import ConfigError

State = Literal["done", "running", "waiting", "held", "stopped", "killed", "lost", "failed", "absent"]
STATES: tuple[State, ...] = State.__args__  # type: ignore[attr-defined]  # the first is preferred among a cell's runs
RESUMABLE: frozenset[State] = frozenset({"stopped", "killed"})  # lost is not: its engine may live on another machine
UNSEEN = 30.0  # seconds in which an engine that was started may take its lock
_STATES: Mapping[str, State] = {
    "done": "done", "queued": "stopped", "stopped": "stopped", "preempted": "stopped", "killed": "killed",
    "lost": "lost", "failed": "failed", "damaged": "failed",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A cell and its run, if it has one."""

    cell: Cell
    state: State
    run: str = ""  # id of its folder; empty when absent
    summary: Summary | None = None
    ticket: Ticket | None = None
    why: str = ""  # of the state, safe to show


@dataclass(frozen=True, kw_only=True)
class Teacher:
    """A teacher that cells learn from and that is trained by a preset of its own."""

    config: RunConfig
    config_hash: str
    state: State
    run: str = ""
    cells: int = 0  # that are not done and need it


@dataclass(frozen=True, kw_only=True)
class Progress:
    """One look at a study."""

    study: Study
    standings: tuple[Standing, ...]  # one for each cell, in their order
    teachers: tuple[Teacher, ...] = ()  # of cells that are not done, each once
    at_once: int = 1
    worker: bool = False
    stops: bool = False  # the rest is held when a run fails

    @property
    def counts(self) -> dict[State, int]:
        """How many cells are in each state; states without any are there, too."""
        found = Counter(standing.state for standing in self.standings)
        return {state: found[state] for state in STATES}

    @property
    def missing(self) -> tuple[Teacher, ...]:
        """Teachers that must still be trained."""
        return tuple(teacher for teacher in self.teachers if teacher.state != "done")

    @property
    def busy(self) -> bool:
        """Whether a run is at work or waits."""
        counts = self.counts
        return bool(counts["running"] or counts["waiting"])


class Watch:
    """Looks at a folder of runs again and again. One look at a time; others wait, so not for the event loop."""

    def __init__(self, runs: Path) -> None:
        self.runs, self._queue = runs, Queue(runs)
        self._hashes: dict[str, str] = {}  # run -> hash of its config; empty when it has none that could be read
        self._alone = threading.Lock()

    def look(self, study: Study, now: float | None = None) -> Progress:
        """How the study is now; unix seconds."""
        with self._alone:
            return self._look(study, time.time() if now is None else now)

    def _look(self, study: Study, now: float) -> Progress:
        teachers = _teachers(study.cells)
        wanted = {cell.config_hash for cell in study.cells} | set(teachers)
        tickets = {ticket.run: ticket for ticket in self._queue.tickets()}
        working = worker.alive(self.runs)
        found: dict[str, tuple[State, Summary]] = {}
        for row in self._rows(now):
            name = self._hash(row, wanted)
            if name in wanted:
                state = state_of(row, tickets.get(row.id), working, now)
                if name not in found or STATES.index(state) < STATES.index(found[name][0]):
                    found[name] = state, row
        standings = tuple(_standing(cell, found.get(cell.config_hash), tickets) for cell in study.cells)
        return Progress(
            study=study,
            standings=standings,
            teachers=_needed(standings, teachers, found),
            at_once=self._queue.at_once,
            worker=working,
            stops=_stops(tickets.values(), study.name),
        )

    def _rows(self, now: float) -> list[Summary]:
        rows: list[Summary] = []
        for scan in shared(self.runs).look(now):
            rows = [row.summary for row in scan.rows]
        return rows

    def _hash(self, row: Summary, wanted: set[str]) -> str:
        """Of the config of this run; empty when it is certainly none of these."""
        hint = row.status.config_hash if row.status else ""
        if hint and hint not in wanted:
            return ""
        if row.id not in self._hashes:
            self._hashes[row.id] = _hash_of(row.path / "config.toml")
        return self._hashes[row.id]


def _stops(tickets: Iterable[Ticket], study: str) -> bool:
    """What the study's latest launch wished: its open tickets say so, else those that ended."""
    told = [ticket for ticket in tickets if ticket.study == study]
    open_ = [ticket for ticket in told if ticket.state not in ENDED] or told
    return max(open_, key=lambda ticket: ticket.added).stop_on_failure if open_ else False


def look(study: Study, runs: Path, now: float | None = None) -> Progress:
    """A single look; whoever looks again keeps a Watch."""
    return Watch(runs).look(study, now)


def state_of(row: Summary, ticket: Ticket | None, working: bool, now: float) -> State:
    """How a run is, by its folder and its ticket; `working` is whether a worker is there to follow the ticket."""
    if row.state == "done":
        return "done"
    if row.state in library.LIVING:
        return "running"
    if ticket is not None and ticket.state in ("waiting", "held"):
        return "waiting" if ticket.state == "waiting" else "held"
    if ticket is not None and ticket.state == "running":
        began = not ticket.pid and now - ticket.started < UNSEEN
        if working or began or (ticket.pid and engine_process.same(engine_process.Holder(ticket.pid, ticket.born))):
            return "running"
    if ticket is not None and ticket.state == "failed" and row.state == "queued":  # its engine never came to be
        return "failed"
    return _STATES[row.state]


def _standing(cell: Cell, found: tuple[State, Summary] | None, tickets: Mapping[str, Ticket]) -> Standing:
    if found is None:
        return Standing(cell=cell, state="absent")
    state, row = found
    ticket = tickets.get(row.id)
    return Standing(cell=cell, state=state, run=row.id, summary=row, ticket=ticket, why=_why(state, row, ticket))


def _why(state: State, row: Summary, ticket: Ticket | None) -> str:
    """Nothing for what goes its way."""
    if state not in ("held", "stopped", "killed", "lost", "failed"):
        return ""
    if state in ("held", "failed") and ticket is not None and ticket.state == state and ticket.note:
        return ticket.note
    return "made, but not queued" if row.state == "queued" else "" if state == "held" else row.why


def _teachers(cells: Iterable[Cell]) -> dict[str, RunConfig]:
    """Hash -> config of every teacher that is trained by a preset, and of their teachers."""
    found: dict[str, RunConfig] = {}
    for cell in cells:
        found |= {name: config for name, config in cell.teachers if name not in found}
    return found


def _needed(
    standings: Iterable[Standing], teachers: Mapping[str, RunConfig], found: Mapping[str, tuple[State, Summary]]
) -> tuple[Teacher, ...]:
    needs = Counter(name for s in standings if s.state != "done" for name, _ in s.cell.teachers)
    return tuple(
        Teacher(
            config=teachers[name],
            config_hash=name,
            state=found[name][0] if name in found else "absent",
            run=found[name][1].id if name in found else "",
            cells=many,
        )
        for name, many in needs.items()
    )


def _hash_of(path: Path) -> str:
    """Empty for a run that is damaged, of a newer engine, or an evaluation."""
    if files.read(path) is None:  # gone, huge, a pipe
        return ""
    try:
        config = toml.read(path)
    except (ConfigError, OSError):
        return ""
    return config.config_hash if isinstance(config, RunConfig) else ""
