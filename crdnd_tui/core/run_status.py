"""Run folders on disk and the state of each, told by lock, heartbeat and last event. Never opens an event log whole.

A run that is damaged is a row that says so, never an error.
"""

import os
import platform
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from msgspec import structs

from crdnd_tui.core import advice, consistency, engine_process, marks, result_files
from crdnd_tui.core.format import duration
from crdnd_tui.core.result_files import ListRecord, Place
from crdnd_tui.core.text import MAX_TEXT, display, safe_json
from engine.spec import crashes, files, outcomes
from engine.spec import status as spec_status
from engine.spec.crashes import Death
from engine.spec.events import RunFailed, RunFinished, RunStopped, Warned, decode
from engine.spec.marks import MARKS, Severity, severity
from engine.spec.outcomes import Outcome, near
from engine.spec.rundir import RunDir, damage, dated
from engine.spec.status import Status

State = Literal[
    "queued", "starting", "running", "stopping", "done", "stopped", "failed", "killed", "preempted", "stalled", "lost",
    "damaged",
]  # fmt: skip
STATES: tuple[State, ...] = State.__args__  # type: ignore[attr-defined]
LIVING: frozenset[State] = frozenset({"starting", "running", "stopping", "stalled"})
ENDED_BADLY: frozenset[State] = frozenset({"failed", "killed", "lost", "damaged"})
SIGNS: Mapping[str, tuple[str, str]] = {
    "queued": ("\u25cc", "dim"), "starting": ("\u25d0", "cyan"), "running": ("\u25cf", "green"),
    "stopping": ("\u25d0", "yellow"), "done": ("\u2713", "green"), "stopped": ("\u25cb", "yellow"),
    "failed": ("\u2717", "red"), "killed": ("\u2717", "red"), "preempted": ("\u25cb", "yellow"),
    "stalled": ("!", "yellow"), "lost": ("?", "red"), "damaged": ("!", "red"),
}  # fmt: skip
"""Sign and style of each state."""

STALLED_AFTER = 90.0  # seconds without a heartbeat
LOST_AFTER = 600.0  # on another host, where no lock can be tried
STARTING_FOR = 30.0  # seconds that an engine may need before its first status
_NEAR, _HEAD, _TAIL = 1 << 14, 1 << 16, 1 << 18  # bytes of a log that are looked through for warnings
_LAST = 512  # bytes of a log that its last event hardly exceeds
_FINISHED, _OTHERWISE = b'"event":"run_finished"', (b"started", b"resumed", b"stopped", b"failed")
_WARNED = re.compile(rb'^.*"event":"warned".*$', re.MULTILINE)
_EVENT = re.compile(r' INFO \{"event":')
LOG_CAP = 1 << 17  # bytes of engine.log in which a death is looked for
FRESH = 5.0  # seconds in which a living engine may still be writing its last words

# The columns of a list of runs, each with the attacks whose accuracy it may show: the first that was judged.
ACCURACIES: Mapping[str, tuple[str, ...]] = {
    "clean": ("clean",), "pgd": ("pgd_sat", "pgd", "pgd_trades"), "aa": ("autoattack",), "worst": ("worst",),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """One row of the list of runs."""

    id: str
    path: Path
    state: State
    why: str = ""  # reason of the state, safe to show
    status: Status | None = None
    age: float = 0.0  # seconds since the last heartbeat
    marks: tuple[tuple[str, str, str], ...] = ()  # code, checkpoint and attack of what its evaluation warned of
    same_weights_as: str = ""  # an earlier run of the list with equal weights, which is the same network
    disputed: Mapping[Place, str] = field(default_factory=dict)  # figures of the status that contradict something

    @property
    def name(self) -> str:
        """What people call the run."""
        return display(self.status.name) if self.status else ""

    @property
    def created(self) -> float:
        """Unix seconds, as far as anything tells."""
        return self.status.created if self.status and self.status.created > 0 else dated(self.id)

    @property
    def checkpoint(self) -> str:
        """The one whose figures are shown: `best`, else `last`."""
        best = (self.status and self.status.results.get("best")) or any(name == "best" for name, _ in self.disputed)
        return "best" if best else "last"

    @property
    def accuracies(self) -> Mapping[str, float]:
        """Attack -> fraction of the test split that its checkpoint gets right; empty before it was judged."""
        return (self.status.results if self.status else {}).get(self.checkpoint, {})

    def attack_of(self, column: str) -> str:
        """The attack that one of ACCURACIES shows, or this attack, if it was judged, though its figure be disputed."""
        judged, at = self.accuracies, self.checkpoint
        attacks = ACCURACIES.get(column, (column,))
        return next((attack for attack in attacks if attack in judged or (at, attack) in self.disputed), "")

    def accuracy(self, column: str) -> float | None:
        """The fraction that one of ACCURACIES shows; None while it was not judged, and where it is disputed."""
        return self.accuracies.get(self.attack_of(column))

    def disputes(self, column: str) -> bool:
        """Whether a figure of this column, or of this attack, contradicts something, so that it is not shown."""
        return bool(self.disputed) and (self.checkpoint, self.attack_of(column)) in self.disputed

    def without(self, disputed: Mapping[Place, str]) -> "Summary":
        """The same without these figures: nobody shows what contradicts itself."""
        if not disputed or self.status is None:
            return self
        kept = {c: {a: v for a, v in row.items() if (c, a) not in disputed} for c, row in self.status.results.items()}
        return replace(self, status=structs.replace(self.status, results=kept), disputed={**self.disputed, **disputed})

    def severity(self, attack: str, checkpoint: str | None = None) -> Severity | None:
        """Of the figure under this attack; red is not believed. An empty checkpoint is that of validation."""
        at = self.checkpoint if checkpoint is None else checkpoint
        found = [code for code, where, of in self.marks if marks.is_of(code, where, of, at, attack)]
        probed = self.status.probed.get(at) if self.status else None
        return marks.worst([*found, *([marks.NOT_PROBED] if probed is not None and not probed[0] else [])])

    def sign(self, attack: str, checkpoint: str | None = None) -> str:
        """`!` beside a figure that may mislead, `!!` beside one that is not believed."""
        return marks.SIGNS[self.severity(attack, checkpoint)]

    @property
    def checks(self) -> str:
        """How many checks its figures were put to."""
        done, of = (self.status.probed.get(self.checkpoint) if self.status else None) or (None, 0)
        return "not known" if done is None else f"{done} of {of} checks" if done else "not probed"

    def to_json(self) -> dict[str, Any]:
        """What scripts read; at least id, state, name."""
        s = self.status or Status(run=self.id, phase="starting", heartbeat=0.0)
        return {
            "id": self.id, "state": self.state, "name": s.name, "reason": self.why, "path": str(self.path),
            "method": s.method, "student": s.student, "teacher": s.teacher, "data": s.data, "seed": s.seed,
            "epsilon": s.epsilon, "epoch": s.epoch, "epochs": s.epochs, "step": s.step, "total_steps": s.total_steps,
            "eta_seconds": s.eta_seconds, "validation": s.validation, "results": s.results, "n": s.results_n,
            "warnings": s.warnings, "attack": s.attack, "created": self.created, "heartbeat": s.heartbeat,
            "does_not_agree": [{"checkpoint": c, "attack": a, "why": why} for (c, a), why in self.disputed.items()],
            "config_hash": s.config_hash, "group_hash": s.group_hash, "host": s.host, "pid": s.pid,
            "marks": [
                {"code": code, "checkpoint": checkpoint, "attack": attack, "severity": severity(code),
                 "message": MARKS.get(code, code)}
                for code, checkpoint, attack in self.marks
            ],
            "severity": {c: {a: self.severity(a, c) for a in row} for c, row in s.results.items()},
            "checks": self.checks,
        }  # fmt: skip


def check_records(row: Summary, *, whole: bool = False) -> Summary:
    """The same without the figures that their own records contradict: of the columns of a list; or `whole`, all.

    A list takes a record at its word; `whole` holds the record against its own bits, too.
    """
    results = row.status.results if row.status else {}
    columns = [(row.checkpoint, attack) for attack in map(row.attack_of, ACCURACIES) if attack in row.accuracies]
    places = [(name, attack) for name, of in results.items() for attack in of] if whole else columns
    decode: Callable[[bytes], ListRecord | Outcome] = outcomes.decode if whole else result_files.decode_list_record
    run, disputed = RunDir(row.path), dict[Place, str]()
    for checkpoint, attack in places:
        record = result_files.read(run, (checkpoint, attack), decode)
        if isinstance(record, str):
            disputed[checkpoint, attack] = record
        elif record is not None and not near(record.accuracy, results[checkpoint][attack]):
            disputed[checkpoint, attack] = "status.json and its record differ in accuracy"
    return row.without(disputed)


def runs(folder: Path, *, now: float | None = None) -> list[Summary]:
    """All runs of a folder, newest first; an absent folder holds none."""
    try:
        found = names(folder)
    except OSError:
        return []
    rows = (summary(RunDir(folder / name), now=now) for name in found)
    return sorted((row for row in rows if row is not None), key=by_age, reverse=True)


def by_age(row: Summary) -> tuple[float, str]:
    """What the order of creation is sorted by."""
    return row.created, row.id


def names(folder: Path) -> list[str]:
    """Folders that may be runs, the latest ids first; OSError when the folder cannot be listed."""
    with os.scandir(folder) as entries:
        found = [e.name for e in entries if not e.name.startswith(".") and e.is_dir(follow_symlinks=False)]
    return sorted(found, reverse=True)


def summary(run: RunDir, *, now: float | None = None) -> Summary | None:
    """How a run is; None when the folder is no run at all."""
    now = time.time() if now is None else now
    base = str(run.path)  # words, not paths: these lines run for 10,000 runs

    def row(state: State, why: str) -> Summary:
        return Summary(id=display(run.id), path=run.path, state=state, why=why)

    content = files.read(f"{base}/status.json")
    if not (files.is_regular(f"{base}/config.toml") and os.access(f"{base}/config.toml", os.R_OK)):
        why = damage(run)
        return row("damaged", why) if why else None
    if content is None and os.path.lexists(run.status):
        return row("damaged", "status.json cannot be read as a small regular file")
    if content is None:
        return row(*_without_status(run, now))
    try:
        status = files.parsed(content, lambda said: spec_status.decode(safe_json(said, MAX_TEXT)))
    except files.MalformedError:
        return row("running" if engine_process.alive(run) else "damaged", "status.json is damaged")
    untold = status.warnings if not status.marks else 0
    end = files.tail(f"{base}/events.jsonl", _NEAR) if untold or status.phase == "done" else b""
    if status.phase == "done" and not _finished(end) and not engine_process.alive(run):
        state, why = _last_words(run) or ("killed", "")
        return row(state, "; ".join(filter(None, [why, "status.json says that it is done, and its log does not"])))
    known = tuple((display(code, 80), display(c, 20), display(a, 80)) for code, c, a in status.marks)
    found = replace(
        row(*_state(run, status, now)), status=status, age=max(0.0, now - status.heartbeat),
        marks=known or _marks_of_log(run, untold, end),
    )  # fmt: skip
    return found.without(consistency.of_status(status))


def _marks_of_log(run: RunDir, many: int, end: bytes) -> tuple[tuple[str, str, str], ...]:
    """Of an older engine's run, whose status counts its warnings only: from `end`, or else both ends, of its log.

    Where these hold fewer than there are, a mark says so.
    """
    if not many:
        return ()
    found = _warned([end])  # where most are
    if len(found) < many:
        found = _warned(files.ends(run.events, _HEAD, _TAIL))
    known = dict.fromkeys((display(w.code, 80), display(w.checkpoint, 20), display(w.attack, 80)) for w in found)
    return (*known, *([(marks.NOT_READ, "", "")] if len(found) < many else []))


def _warned(pieces: Iterable[bytes]) -> list[Warned]:
    lines = (line for piece in pieces for line in _WARNED.findall(piece))  # in C, for there are 10,000 runs
    return [event for event in decode(lines).events if isinstance(event, Warned)]


def _state(run: RunDir, status: Status, now: float) -> tuple[State, str]:
    """From the engine's last words, the lock and the clock."""
    age = now - status.heartbeat
    patience = max(STALLED_AFTER, 3 * status.seconds_per_step)
    living = engine_process.alive(run)
    if status.phase in ("done", "stopped", "failed"):
        if living and age > FRESH:
            return "starting", ""  # resumed: the last words are an earlier engine's
        state, why = _ended(status.phase, status.reason)
        return state, why or ("" if living else _crash_after(run, status.heartbeat))
    if living:
        if age > patience:
            return "stalled", f"no sign of life for {age:.0f} s"
        if os.path.lexists(run.stop):
            return "stopping", "asked to stop"
        return ("starting" if status.phase == "starting" else "running"), status.attack
    if status.host and status.host != platform.node():
        if age > LOST_AFTER:
            return "lost", f"on {status.host}, silent for {duration(age)}"
        if age < -patience:
            return "stalled", f"on {status.host}, whose clock is {duration(-age)} ahead"
        return ("stalled" if age > patience else "running"), f"on {status.host}"
    return _last_words(run) or ("killed", _told(run))


def _without_status(run: RunDir, now: float) -> tuple[State, str]:
    if engine_process.alive(run):
        return "starting", ""
    try:
        log = run.log.stat(follow_symlinks=False)
    except OSError:
        return "queued", "not started yet"
    if now - log.st_mtime < STARTING_FOR and not log.st_size:
        return "starting", ""
    return _last_words(run) or ("killed", _told(run, " while it started"))


def death_of(run: RunDir) -> Death:
    """How the engine of a run died, of which it is known that it did."""
    return crashes.last_death(files.tail(run.log, LOG_CAP)) or Death("")


def todo(run: RunDir, death: Death) -> str:
    """What to do after this death, but nothing that the run's machine.json says was tried."""
    return death.advice(advice.named(run), files.read(run.machine))


def log_tail(run: RunDir, lines: int = 8) -> list[str]:
    """What the engine's log says after the last event in it, safe to show; events are told elsewhere."""
    said = files.tail(run.log, LOG_CAP).decode("utf-8", "replace").splitlines()
    after = next((place for place in range(len(said), 0, -1) if _EVENT.search(said[place - 1])), 0)
    return [display(line, 400) for line in crashes.readable(said[after:])][-lines:]


def _told(run: RunDir, when: str = "") -> str:
    """Of what it died, and what to do."""
    death = death_of(run)
    return f"{death.text}{when}; {todo(run, death) if death.repeated else '`crdnd resume` goes on'}"


def _crash_after(run: RunDir, heartbeat: float) -> str:
    """That the engine crashed when all was said and done; the log is read only if it was written to after that."""
    try:
        written = os.lstat(f"{run.path}/engine.log").st_mtime
    except OSError:
        return ""
    death = death_of(run) if written >= heartbeat else Death("")
    return death.text if death.after_end else ""


def _ended(phase: str, reason: str) -> tuple[State, str]:
    if phase == "done":
        return "done", ""
    return ("failed" if phase == "failed" else "preempted" if "SIGUSR" in reason else "stopped"), reason


def _last_words(run: RunDir) -> tuple[State, str] | None:
    """The end that the events tell of, when the status was not written any more."""
    match decode(files.tail(run.events).split(b"\n")).events[-1:]:
        case [RunFinished()]:
            return _ended("done", "")
        case [RunStopped(reason=reason)]:
            return _ended("stopped", display(reason))
        case [RunFailed(message=message)]:
            return _ended("failed", display(message))
    return None


def _finished(end: bytes) -> bool:
    """Whether the end of a log, where there is one, does not contradict a status that says so."""
    if not end or _FINISHED in end[-_LAST:]:
        return True
    return end.rfind(_FINISHED) > max(end.rfind(b'"event":"run_%s"' % word) for word in _OTHERWISE)
