"""How far a study is: which run belongs to each of its cells, how that run is, and what the rest will take. Reads only.

A run belongs to a cell when their configs are equal. The hash in a run's status is a hint that spares a look at most
configs; those that remain are read once, for a config never changes.
"""

import heapq
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from crdnd_tui.core import run_status, runtime_estimate
from crdnd_tui.core.format import duration, flops
from crdnd_tui.core.run_status import Summary
from crdnd_tui.core.runtime_estimate import PastRun
from crdnd_tui.core.scan import shared
from crdnd_tui.queue import worker
from crdnd_tui.queue.tickets import ENDED, Queue, Ticket
from crdnd_tui.study.study import Study, StudyCell
from engine.spec import files, toml
from engine.spec.config import RunConfig
from engine.spec.errors import ConfigError
from engine.spec.estimate import estimate

State = Literal["done", "running", "waiting", "held", "stopped", "killed", "lost", "failed", "absent"]
STATES: tuple[State, ...] = State.__args__  # type: ignore[attr-defined]  # the first is preferred among a cell's runs
RESUMABLE: frozenset[State] = frozenset({"stopped", "killed"})  # lost is not: its engine may live on another machine
UNSEEN = 30.0  # seconds in which an engine that was started may take its lock
_STATES: Mapping[str, State] = {
    "done": "done", "queued": "stopped", "stopped": "stopped", "preempted": "stopped", "killed": "killed",
    "lost": "lost", "failed": "failed", "damaged": "failed",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class CellStatus:
    """A cell and its run, if it has one."""

    cell: StudyCell
    state: State
    run: str = ""  # id of its folder; empty when absent
    summary: Summary | None = None
    ticket: Ticket | None = None
    why: str = ""  # of the state, safe to show

    @property
    def work(self) -> float:
        """The part of it that is done, 0 to 1; what is left at .9 is its evaluation."""
        status = self.summary.status if self.summary else None
        if self.state != "running" or status is None or not status.total_steps:
            return float(self.state == "done")
        return min(0.9, 0.9 * status.step / status.total_steps)

    def worked(self, now: float) -> float:
        """Seconds for which the run has been at work."""
        status = self.summary.status if self.summary else None
        began = self.ticket.started if self.ticket else status.created if status else now
        return max(0.0, now - began) if began and self.state == "running" else 0.0


@dataclass(frozen=True, kw_only=True)
class StudyTeacher:
    """A teacher that cells learn from and that is trained by a preset of its own."""

    config: RunConfig
    config_hash: str
    state: State
    run: str = ""
    cells: int = 0  # that are not done and need it


@dataclass(frozen=True, kw_only=True)
class StudyProgress:
    """One look at a study."""

    study: Study
    statuses: tuple[CellStatus, ...]  # one for each cell, in their order
    teachers: tuple[StudyTeacher, ...] = ()  # of cells that are not done, each once
    at_once: int = 1
    worker: bool = False
    stops: bool = False  # the rest is held when a run fails

    @property
    def counts(self) -> dict[State, int]:
        """How many cells are in each state; states without any are there, too."""
        found = Counter(cell_status.state for cell_status in self.statuses)
        return {state: found[state] for state in STATES}

    @property
    def missing(self) -> tuple[StudyTeacher, ...]:
        return tuple(teacher for teacher in self.teachers if teacher.state != "done")

    @property
    def share(self) -> float:
        """Of all runs; one at work counts by the part of it that is done."""
        return sum(cell_status.work for cell_status in self.statuses) / max(1, len(self.statuses))

    @property
    def busy(self) -> bool:
        return any(cell_status.state in ("running", "waiting") for cell_status in self.statuses)


class ProgressReader:
    """Looks at a folder of runs again and again. One look at a time; others wait, so not for the event loop."""

    def __init__(self, runs: Path) -> None:
        self.runs, self._queue = runs, Queue(runs)
        self._hashes: dict[str, str] = {}  # run -> hash of its config; empty when it has none that could be read
        self._alone = threading.Lock()

    def read(self, study: Study, now: float | None = None) -> StudyProgress:
        """How the study is now; unix seconds."""
        with self._alone:
            return self._read(study, time.time() if now is None else now)

    def _read(self, study: Study, now: float) -> StudyProgress:
        teachers = {name: config for cell in study.cells for name, config in cell.teachers}
        wanted = {cell.config_hash for cell in study.cells} | set(teachers)
        tickets = {ticket.run: ticket for ticket in self._queue.tickets()}
        working = worker.alive(self.runs)
        found: dict[str, tuple[State, Summary]] = {}
        rows = [row.summary for scan in list(shared(self.runs).look(now))[-1:] for row in scan.rows]
        for row in rows:
            name = self._hash(row, wanted)
            if name in wanted:
                state = state_of(row, tickets.get(row.id), working, now)
                if name not in found or STATES.index(state) < STATES.index(found[name][0]):
                    found[name] = state, row
        statuses = tuple(_cell_status(cell, found.get(cell.config_hash), tickets) for cell in study.cells)
        needs = Counter(name for s in statuses if s.state != "done" for name, _ in s.cell.teachers)
        held = [ticket for ticket in tickets.values() if ticket.study == study.name]
        held = [ticket for ticket in held if ticket.state not in ENDED] or held
        return StudyProgress(
            study=study, statuses=statuses, at_once=self._queue.at_once, worker=working,
            teachers=tuple(
                StudyTeacher(
                    config=teachers[name], config_hash=name, cells=many,
                    state=found[name][0] if name in found else "absent", run=found[name][1].id if name in found else "",
                )
                for name, many in needs.items()
            ),
            stops=bool(held) and max(held, key=lambda ticket: ticket.added).stop_on_failure,  # the latest launch's wish
        )  # fmt: skip

    def _hash(self, row: Summary, wanted: set[str]) -> str:
        """Of the config of this run; empty when it is none of these, damaged, of a newer engine, or an evaluation."""
        hint = row.status.config_hash if row.status else ""
        if hint and hint not in wanted:
            return ""
        if row.id not in self._hashes:
            path = row.path / "config.toml"
            try:
                config = toml.read(path) if files.read(path) is not None else None  # None: gone, huge, a pipe
            except (ConfigError, OSError):
                config = None
            self._hashes[row.id] = config.config_hash if isinstance(config, RunConfig) else ""
        return self._hashes[row.id]


def read_progress(study: Study, runs: Path, now: float | None = None) -> StudyProgress:
    """One look; who looks again keeps a ProgressReader."""
    return ProgressReader(runs).read(study, now)


def state_of(row: Summary, ticket: Ticket | None, working: bool, now: float) -> State:
    """How a run is, by its folder and its ticket; `working` is whether a worker is there to follow the ticket."""
    if row.state == "done":
        return "done"
    if row.state in run_status.LIVING:
        return "running"
    if ticket is not None and ticket.state in ("waiting", "held"):
        return "waiting" if ticket.state == "waiting" else "held"
    if ticket is not None and ticket.state == "running":
        began = not ticket.pid and now - ticket.started < UNSEEN
        if working or began or ticket.engine_lives:
            return "running"
    if ticket is not None and ticket.state == "failed" and row.state == "queued":  # its engine never came to be
        return "failed"
    return _STATES[row.state]


def _cell_status(cell: StudyCell, found: tuple[State, Summary] | None, tickets: Mapping[str, Ticket]) -> CellStatus:
    if found is None:
        return CellStatus(cell=cell, state="absent")
    state, row = found
    ticket, why = tickets.get(row.id), ""
    if state in ("held", "failed") and ticket is not None and ticket.state == state and ticket.note:
        why = ticket.note
    elif state in ("held", "stopped", "killed", "lost", "failed"):
        why = "made, but not queued" if row.state == "queued" else "" if state == "held" else row.why
    return CellStatus(cell=cell, state=state, run=row.id, summary=row, ticket=ticket, why=why)


@dataclass(frozen=True, kw_only=True)
class CostSummary:
    """Of all runs that are not done, and of the teachers that must be trained first."""

    runs: int = 0  # that are not done
    teachers: int = 0  # that must still be trained
    seconds: float = 0.0  # of work, of those runs whose duration is known
    wall: float = 0.0  # the same, as many at once as the queue allows
    unknown: int = 0  # runs and teachers that are like no past run
    left: Mapping[str, float] = field(default_factory=dict)  # config hash -> seconds
    past_runs: int = 0  # finished runs that were looked at
    at_once: int = 1
    flops: int = 0  # of those whose FLOPs are known
    flops_unknown: int = 0

    @property
    def lines(self) -> list[str]:
        """In words, with the source of each figure."""
        if not self.runs:
            return ["nothing is left to do"]
        many = _many(self.runs, "run") + (f" and {_many(self.teachers, 'teacher')}" if self.teachers else "")
        told = [f"left    {many}"]
        if self.runs + self.teachers > self.unknown:
            least = "at least " if self.unknown else "\u2248 "
            at_once = f" with {self.at_once} at once" if self.at_once > 1 else ""
            source = f"from {_many(self.past_runs, 'past run')} on this machine"
            told.append(f"time    {least}{duration(self.wall)}{at_once}, {duration(self.seconds)} of work; {source}")
            if self.unknown:
                told.append(f"        {self.unknown} of them are like no past run here: their time is unknown")
        else:
            told.append("time    unknown: no past run on this machine is like these")
        unknown = f"; {self.flops_unknown} unknown" if self.flops_unknown else ""
        return [*told, f"work    {flops(self.flops)}, by the configs{unknown}"]


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


class CostEstimator:
    """Estimates again and again; past runs and costs are read once. Nothing is guessed: a run like no past one has no
    duration, and how many those are is said.
    """

    def __init__(self, runs: Path, device: str = "auto") -> None:
        self._runs, self._device = runs, device
        self._pasts: dict[str, PastRun | None] = {}
        self._done: frozenset[str] | None = None  # ids of the runs that were done when the past was last read
        self._groups: dict[str, str] = {}  # config hash -> group hash
        self._takes: dict[str, float | None] = {}  # group hash -> seconds
        self._flops: dict[str, int | None] = {}  # group hash -> FLOPs
        self._alone = threading.Lock()

    def estimate(self, progress: StudyProgress, now: float) -> CostSummary:
        """As of now; unix seconds."""
        with self._alone:
            return self._estimate(progress, now)

    def _estimate(self, progress: StudyProgress, now: float) -> CostSummary:
        done = frozenset(one.run for one in progress.statuses if one.state == "done")
        if done != self._done:
            known = {name: past for name, past in self._pasts.items() if past is not None}
            self._pasts, self._done = runtime_estimate.past_runs(self._runs, known), done
            self._takes.clear()
        pasts = [past for past in self._pasts.values() if past is not None]
        open_ = [one for one in progress.statuses if one.state != "done"]
        ahead = [(t.config, t.config_hash, 0.0) for t in progress.missing]
        ahead += [(one.cell.config, one.cell.config_hash, one.worked(now)) for one in open_]
        left: dict[str, float] = {}
        costs: list[int | None] = []
        for config, name, worked in ahead:
            if name not in self._groups:
                self._groups[name] = config.group_hash
            group = self._groups[name]
            if group not in self._takes:
                found = runtime_estimate.estimate_runtime(config, pasts, self._device)
                self._takes[group] = found.seconds if found else None
            if group not in self._flops:
                self._flops[group] = estimate(config).flops
            if (takes := self._takes[group]) is not None:
                left[name] = max(0.0, takes - worked)
            costs.append(self._flops[group])
        return CostSummary(
            runs=len(open_), teachers=len(progress.missing), seconds=sum(left.values()),
            wall=_wall(left.values(), progress.at_once), unknown=len(ahead) - len(left), left=left,
            past_runs=len(pasts), at_once=progress.at_once, flops=sum(cost or 0 for cost in costs),
            flops_unknown=costs.count(None),
        )  # fmt: skip


def _wall(seconds: Iterable[float], at_once: int) -> float:
    """When the last ends, if each begins on the first place that is free, in this order."""
    places = [0.0] * max(1, at_once)
    for each in seconds:
        heapq.heapreplace(places, places[0] + each)
    return max(places)
