"""One run, looked at again and again: its events, how it is, its teacher's run, the end of its log.

Read in a thread; a look is a value that may be drawn at leisure. Nothing in the run folder can raise.
"""

import threading
from dataclasses import dataclass, field, replace
from pathlib import Path

from crdnd_tui.core import engine_process, run_status
from crdnd_tui.core.run_reader import RunReader
from crdnd_tui.core.run_status import Summary
from crdnd_tui.core.state import RunState
from crdnd_tui.core.text import display, one_line
from crdnd_tui.tui.monitor.log_lines import LogLine, told
from engine.spec import files
from engine.spec.rundir import RUN_ID, RunDir

LOOK_EVERY = 1.0  # seconds between two looks at status, lock and log
_LOG_CAP = 1 << 17  # bytes of the log's end


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a run is, by its config; or by its status, where the config cannot be read."""

    method: str = ""
    student: str = ""
    teacher: str = ""
    data: str = ""
    epsilon: str = ""
    seed: str = ""
    name: str = ""
    judges_only: bool = False
    suite: tuple[str, ...] = ()  # attacks that the run will be judged by


@dataclass(frozen=True, kw_only=True)
class Look:
    """A run at one moment."""

    id: str
    path: Path
    summary: Summary | None = None
    facts: Facts = field(default_factory=Facts)
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
        self._teacher: RunReader | None = None
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
        teacher = self._read_teacher()
        summary, facts, log = self._look.summary, self._look.facts, self._look.log
        if force or abs(now - self._looked) >= LOOK_EVERY or changed:
            self._looked = now
            summary = run_status.summary(self.run, now=now)
            if not facts.method and not facts.judges_only:
                facts = read_facts(self.run, summary)
            log = self._read_log(log)
        state = self._source.state if self._living(summary) else self._source.final()
        look = Look(
            id=self._look.id, path=self.run.path, summary=summary, facts=facts, state=state, teacher=teacher, log=log
        )
        if not force and not changed and _same(look, self._look):
            return None
        self._look = look
        return look

    @staticmethod
    def _living(summary: Summary | None) -> bool:
        return summary is not None and summary.state in run_status.LIVING

    def _read_teacher(self) -> RunState | None:
        name = self._source.state.teacher_run
        if not RUN_ID.fullmatch(name):
            self._teacher = None
            return None
        if self._teacher is None or self._teacher.run.id != name:
            self._teacher = RunReader(RunDir(self.run.path.parent / name))
        self._teacher.read()
        return self._teacher.state

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


def read_facts(run: RunDir, summary: Summary | None) -> Facts:
    """From config.toml, which is there before the engine starts."""
    from engine.spec import toml  # noqa: PLC0415  pydantic; only this screen's thread waits for it
    from engine.spec.config import JudgeConfig  # noqa: PLC0415
    from engine.spec.errors import ConfigError  # noqa: PLC0415

    if files.read(run.config) is None:
        return _facts_of_status(summary)
    try:
        config = toml.read(run.config)
    except ConfigError:
        return _facts_of_status(summary)
    suite = ("clean", *(attack.label or attack.name for attack in config.evaluation.attacks), "worst")
    facts = Facts(
        data=config.data.title, epsilon=str(config.threat_model.epsilon), name=one_line(config.name, 80), suite=suite
    )
    if isinstance(config, JudgeConfig):
        return replace(facts, judges_only=True, seed=str(config.evaluation.seed))
    return replace(
        facts, method=config.method.title, student=config.student.title, seed=str(config.seed),
        teacher=one_line(config.teacher_title, 60) if config.teacher else "",
    )  # fmt: skip


def _facts_of_status(summary: Summary | None) -> Facts:
    status = summary.status if summary else None
    if status is None:
        return Facts()
    return Facts(
        method=one_line(status.method, 30), student=one_line(status.student, 40), data=one_line(status.data, 30),
        teacher="" if status.teacher == "-" else one_line(status.teacher, 60), epsilon=one_line(status.epsilon, 20),
        seed=str(status.seed), name=one_line(status.name, 80),
    )  # fmt: skip


def is_alive(run: RunDir) -> bool:
    """Whether an engine holds the lock."""
    return engine_process.alive(run)
