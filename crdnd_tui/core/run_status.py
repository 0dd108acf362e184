"""Run folders on disk and the state of each, told by lock, heartbeat and last event. Never opens an event log whole.

A run that is damaged is a row that says so, never an error.
"""

import os
import platform
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from msgspec import structs

from crdnd_tui.core import advice, agreement, engine_process, marks, result_files
from crdnd_tui.core.format import duration
from crdnd_tui.core.result_files import ListRecord, Place
from crdnd_tui.core.text import MAX_TEXT, display, safe_json
from engine.spec import deaths, files, outcomes
from engine.spec import status as spec_status
from engine.spec.deaths import Death
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
    twin: str = ""  # an earlier run of the list with equal weights, which is the same network
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
    def judged(self) -> Mapping[str, float]:
        """Attack -> accuracy on the test split, a fraction: of `best`, else of `last`; empty before it was judged."""
        return (self.status.results if self.status else {}).get(self.shown, {})

    @property
    def shown(self) -> str:
        """The checkpoint whose figures are shown: `best`, else `last`."""
        best = (self.status and self.status.results.get("best")) or any(name == "best" for name, _ in self.disputed)
        return "best" if best else "last"

    def disputes(self, column: str) -> bool:
        """Whether a figure of this column, or of this attack, contradicts something, so that it is not shown."""
        at_fault = self._known(ACCURACIES.get(column, (column,))) if self.disputed else ""
        return (self.shown, at_fault) in self.disputed

    def _known(self, attacks: Sequence[str]) -> str:
        """The first of these that was judged, though its figure may be disputed; else empty."""
        judged, at = self.judged, self.shown
        return next((attack for attack in attacks if attack in judged or (at, attack) in self.disputed), "")

    def disputing(self, disputed: Mapping[Place, str]) -> "Summary":
        """The same without these figures."""
        if not disputed or self.status is None:
            return self
        status = _without(self.status, disputed)
        return replace(self, status=status, disputed={**self.disputed, **disputed})

    def severity(self, attack: str, checkpoint: str | None = None) -> Severity | None:
        """Of the figure under this attack; red is not believed. An empty checkpoint is that of validation."""
        at = self.shown if checkpoint is None else checkpoint
        found = [
            code
            for code, where, of in self.marks
            if where in ("", at) and (of == attack or (not of and marks.concerns(code, attack)))
        ]
        probed = self.status.probed.get(at) if self.status else None
        return marks.worst([*found, *([marks.NOT_PROBED] if probed is not None and not probed[0] else [])])

    def sign(self, attack: str, checkpoint: str | None = None) -> str:
        """`!` beside a figure that may mislead, `!!` beside one that is not believed."""
        return marks.SIGNS[self.severity(attack, checkpoint)]

    def attack_of(self, column: str) -> str:
        """The attack that one of ACCURACIES shows; empty while it was not judged."""
        return next((attack for attack in ACCURACIES[column] if attack in self.judged), "")

    @property
    def checks(self) -> str:
        """How many checks its figures were put to."""
        found = self.status.probed.get(self.shown) if self.status else None
        if found is None:
            return "not known"
        return f"{found[0]} of {found[1]} checks" if found[0] else "not probed"

    def accuracy(self, column: str) -> float | None:
        """The fraction that one of ACCURACIES shows; None while it was not judged, and where it is disputed."""
        return self.judged.get(self._known(ACCURACIES[column]))

    def to_json(self) -> dict[str, Any]:
        """What scripts read; at least id, state, name."""
        s = self.status or Status(run=self.id, phase="starting", heartbeat=0.0)
        return {
            "id": self.id, "state": self.state, "name": s.name, "reason": self.why, "path": str(self.path),
            "method": s.method, "student": s.student, "teacher": s.teacher, "data": s.data, "seed": s.seed,
            "epsilon": s.epsilon, "epoch": s.epoch, "epochs": s.epochs, "step": s.step, "total_steps": s.total_steps,
            "eta_seconds": s.eta_seconds, "validation": s.validation, "results": s.results, "n": s.results_n,
            "warnings": s.warnings, "attack": s.attack, "created": self.created, "heartbeat": s.heartbeat,
            "does_not_agree": [
                {"checkpoint": checkpoint, "attack": attack, "why": why}
                for (checkpoint, attack), why in self.disputed.items()
            ],
            "config_hash": s.config_hash, "group_hash": s.group_hash, "host": s.host, "pid": s.pid,
            "marks": [
                {"code": code, "checkpoint": checkpoint, "attack": attack, "severity": severity(code),
                 "message": MARKS.get(code, code)}
                for code, checkpoint, attack in self.marks
            ],
            "severity": {c: {a: self.severity(a, c) for a in row} for c, row in s.results.items()},
            "checks": self.checks,
        }  # fmt: skip


def held(row: Summary, *, whole: bool = False) -> Summary:
    """The same without the figures that their own records contradict: of the columns of a list; or `whole`, all.

    A list takes a record at its word; `whole` holds the record against its own bits, too.
    """
    results = row.status.results if row.status else {}
    columns = [(row.shown, attack) for attack in map(row.attack_of, ACCURACIES) if attack]
    places = [(name, attack) for name, of in results.items() for attack in of] if whole else columns
    decode: Callable[[bytes], ListRecord | Outcome] = outcomes.decode if whole else result_files.decode_list_record
    run, disputed = RunDir(row.path), dict[Place, str]()
    for checkpoint, attack in places:
        record = result_files.read(run, (checkpoint, attack), decode)
        if isinstance(record, str):
            disputed[checkpoint, attack] = record
        elif record is not None and not near(record.accuracy, results[checkpoint][attack]):
            disputed[checkpoint, attack] = "status.json and its record differ in accuracy"
    return row.disputing(disputed)


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
    name, base = display(run.id), str(run.path)  # words, not paths: these lines run for 10,000 runs
    content = files.read(f"{base}/status.json")
    has_config = files.is_regular(f"{base}/config.toml") and os.access(f"{base}/config.toml", os.R_OK)
    if not has_config:
        why = damage(run)
        return Summary(id=name, path=run.path, state="damaged", why=why) if why else None
    if content is None and os.path.lexists(run.status):
        why = "status.json cannot be read as a small regular file"
        return Summary(id=name, path=run.path, state="damaged", why=why)
    if content is None:
        state, why = _without_status(run, now)
        return Summary(id=name, path=run.path, state=state, why=why)
    try:
        status = files.parsed(content, lambda said: spec_status.decode(safe_json(said, MAX_TEXT)))
    except files.MalformedError:
        if engine_process.alive(run):
            return Summary(id=name, path=run.path, state="running", why="status.json is damaged")
        return Summary(id=name, path=run.path, state="damaged", why="status.json is damaged")
    untold = status.warnings if not status.marks else 0
    end = files.tail(f"{base}/events.jsonl", _NEAR) if untold or status.phase == "done" else b""
    if status.phase == "done" and not _finished(end) and not engine_process.alive(run):
        state, why = _last_words(run) or ("killed", "")
        why = "; ".join(filter(None, [why, "status.json says that it is done, and its log does not"]))
        return Summary(id=name, path=run.path, state=state, why=why)
    state, why = _state(run, status, now)
    known = tuple((display(code, 80), display(c, 20), display(a, 80)) for code, c, a in status.marks)
    known = known or _marks_of_log(run, untold, end)
    age = max(0.0, now - status.heartbeat)
    found = Summary(id=name, path=run.path, state=state, why=why, status=status, age=age, marks=known)
    return found.disputing(agreement.of_status(status))


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
    lines = [line for piece in pieces for line in _lines_with(b'"event":"warned"', piece)]
    return [event for event in decode(lines).events if isinstance(event, Warned)]


def _lines_with(word: bytes, content: bytes) -> Iterator[bytes]:
    """Lines that hold the word; most of a log is not looked at line by line, for there are 10,000 runs."""
    at = content.find(word)
    while at >= 0:
        end = content.find(b"\n", at)
        end = len(content) if end < 0 else end
        yield content[content.rfind(b"\n", 0, at) + 1 : end]
        at = content.find(word, end)


def _without(status: Status, disputed: Mapping[Place, str]) -> Status:
    """The same status without these figures: nobody shows what contradicts itself."""
    results = {c: {a: v for a, v in row.items() if (c, a) not in disputed} for c, row in status.results.items()}
    return structs.replace(status, results=results)


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


def death_of(run: RunDir) -> Death:
    """How the engine of a run died, of which it is known that it did."""
    return deaths.last_death(files.tail(run.log, LOG_CAP)) or Death("")


def log_tail(run: RunDir, lines: int = 8) -> list[str]:
    """What the engine's log says after the last event in it, safe to show; events are told elsewhere."""
    said = files.tail(run.log, LOG_CAP).decode("utf-8", "replace").splitlines()
    after = next((place for place in range(len(said), 0, -1) if _EVENT.search(said[place - 1])), 0)
    return [display(line, 400) for line in deaths.readable(said[after:])][-lines:]


def _told(run: RunDir, when: str = "") -> str:
    """Of what it died, and what to do."""
    death = death_of(run)
    todo = death.advice(advice.named(run), files.read(run.machine)) if death.repeated else "`crdnd resume` goes on"
    return f"{death.text}{when}; {todo}"


def _crash_after(run: RunDir, heartbeat: float) -> str:
    """That the engine crashed when all was said and done; the log is read only if it was written to after that."""
    try:
        written = os.lstat(f"{run.path}/engine.log").st_mtime
    except OSError:
        return ""
    if written < heartbeat:
        return ""
    death = deaths.last_death(files.tail(run.log, LOG_CAP))
    return death.text if death is not None and death.after_end else ""


def _ended(phase: str, reason: str) -> tuple[State, str]:
    match phase:
        case "done":
            return "done", ""
        case "failed":
            return "failed", reason
        case _:
            return ("preempted" if "SIGUSR" in reason else "stopped"), reason


def _last_words(run: RunDir) -> tuple[State, str] | None:
    """The end that the events tell of, when the status was not written any more."""
    events = decode(files.tail(run.events).split(b"\n")).events
    match events[-1] if events else None:
        case RunFinished():
            return _ended("done", "")
        case RunStopped(reason=reason):
            return _ended("stopped", display(reason))
        case RunFailed(message=message):
            return _ended("failed", display(message))
        case _:
            return None


def _finished(end: bytes) -> bool:
    """Whether the end of a log, where there is one, does not contradict a status that says so."""
    if not end or _FINISHED in end[-_LAST:]:
        return True
    return end.rfind(_FINISHED) > max(end.rfind(b'"event":"run_%s"' % word) for word in _OTHERWISE)


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
