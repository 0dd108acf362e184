"""One run, looked at again and again: its events, how it is, its teacher's run, the end of its log.

Read in a thread; a look is a value that may be drawn at leisure. Nothing in the run folder can raise.
"""

import threading
from dataclasses import dataclass, field
from pathlib import Path

from crdnd_tui.core import engine_process, run_status
from crdnd_tui.core.run_facts import RunFacts, read_facts
from crdnd_tui.core.run_reader import RunReader
from crdnd_tui.core.run_status import Summary
from crdnd_tui.core.state import RunState
from crdnd_tui.core.text import display
from crdnd_tui.tui.monitor.log_lines import LogLine, told
from engine.spec import files
from engine.spec.rundir import RunDir

LOOK_EVERY = 1.0  # seconds between two looks at status, lock and log
_LOG_CAP = 1 << 17  # bytes of the log's end


@dataclass(frozen=True, kw_only=True)
class Look:
    """A run at one moment."""

    id: str
    path: Path
    summary: Summary | None = None
    facts: RunFacts = field(default_factory=RunFacts)
    state: RunState = field(default_factory=RunState)
    teacher: RunState | None = None  # of the run that comes first, while it is worked on
    log: tuple[LogLine, ...] = ()

    @property
    def living(self) -> bool:
        """Whether an engine is at work."""
        return self.summary is not None and self.summary.state in run_status.LIVING


class Tracker:
    """Looks at one run folder. `poll` gives the next look, or None when nothing has changed since."""

    def __init__(self, run: RunDir) -> None:
        self.run = run
        self._source = RunReader(run)
        self._look = Look(id=display(run.id), path=run.path)
        self._looked = -1e18
        self._log_stamp: tuple[int, int] = (-1, -1)
        self._reading = threading.Lock()

    def poll(self, now: float, *, force: bool = False) -> Look | None:
        """Read what is new. `now` in unix seconds, by which states are judged. One thread at a time."""
        with self._reading:
            return self._poll(now, force)

    def _poll(self, now: float, force: bool) -> Look | None:
        before = self._source.state
        self._source.read()
        changed = self._source.state is not before
        teacher = self._source.teacher()
        if teacher is not None:
            teacher.read()
        summary, facts, log = self._look.summary, self._look.facts, self._look.log
        if force or abs(now - self._looked) >= LOOK_EVERY or changed:
            self._looked = now
            summary = run_status.summary(self.run, now=now)
            if not facts.method:
                facts = read_facts(self.run, summary.status if summary else None)
            log = self._read_log(log)
        state = self._source.state if self._living(summary) else self._source.final()
        look = Look(
            id=self._look.id,
            path=self.run.path,
            summary=summary,
            facts=facts,
            state=state,
            teacher=teacher.state if teacher else None,
            log=log,
        )
        if not force and not changed and _same(look, self._look):
            return None
        self._look = look
        return look

    @staticmethod
    def _living(summary: Summary | None) -> bool:
        return summary is not None and summary.state in run_status.LIVING

    def _read_log(self, before: tuple[LogLine, ...]) -> tuple[LogLine, ...]:
        try:
            found = self.run.log.stat(follow_symlinks=False)
        except OSError:
            return ()
        stamp = (found.st_size, found.st_mtime_ns)
        if stamp == self._log_stamp:
            return before
        self._log_stamp = stamp
        return told(files.tail(self.run.log, _LOG_CAP), whole=found.st_size <= _LOG_CAP, state=self._source.state)


def _same(look: Look, before: Look) -> bool:
    one, two = look.summary, before.summary
    states = (one.state, one.why) == (two.state, two.why) if one and two else one is two
    return states and look.log is before.log and look.teacher is before.teacher and look.state is before.state


def newest(runs: Path, now: float) -> RunDir | None:
    """The newest living run, else the newest; None when there is no run at all."""
    rows = run_status.runs(runs, now=now)
    row = next((row for row in rows if row.state in run_status.LIVING), rows[0] if rows else None)
    return RunDir(row.path) if row else None


def is_alive(run: RunDir) -> bool:
    """Whether an engine holds the lock."""
    return engine_process.alive(run)
