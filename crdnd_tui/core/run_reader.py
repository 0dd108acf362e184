"""One run, read as it grows: its log folded into a state, and held against the result files beside it.

A result file beats the log's event, which beats status.json. A figure that its result file, its count or its interval
contradicts is not in the table, and `RunState.disputed` says why. Nothing in a folder can raise.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from msgspec import structs

from crdnd_tui.core import consistency, result_files
from crdnd_tui.core.result_files import BOTH, Images, Place, ResultRecord, Stamp
from crdnd_tui.core.state import RunState, fold
from crdnd_tui.core.text import display, safe_json
from engine.spec import files
from engine.spec.events import MAX_LINE, Evaluated, Event, Probed, RunResumed, Warned, decode
from engine.spec.marks import MARKS, decode_checks, severity
from engine.spec.rundir import RUN_ID, RunDir

_MOST = 100  # result files of one checkpoint that are read
CHUNK = 8 << 20  # bytes of one read, so that a huge log cannot fill the memory at once
_ANCHOR = 96  # bytes before our place that must not change


class LogBatch(NamedTuple):
    """What one read found."""

    events: list[Event]
    reset: bool = False  # the log was cut or replaced: forget what you know, these events start from the beginning
    unknown: int = 0
    damaged: int = 0
    more: bool = False  # the log holds more already


class LogReader:
    """Reads what is new in a growing event log. One instance may outlive many reads, engines and resumes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._forget()

    def _forget(self) -> None:
        self._offset = 0  # of the first byte that no line was made of yet
        self._inode = 0
        self._anchor = b""
        self._skipping = False  # inside a line that is too long to be an event

    def read(self) -> LogBatch:
        """Events since the last read. Nothing in the file can raise; strings in the events are safe to show."""
        descriptor = files.open_regular(self._path)
        if descriptor is None:
            return LogBatch([])
        try:
            reset = self._was_cut(descriptor)
            if reset:
                self._forget()
            self._inode = os.fstat(descriptor).st_ino
            chunk = os.pread(descriptor, CHUNK, self._offset)
        except OSError:
            return LogBatch([])
        finally:
            os.close(descriptor)
        complete, newline, rest = chunk.rpartition(b"\n")  # the rest stays in the file for the next read
        lines = complete.split(b"\n")[int(self._skipping) :] if newline else []
        inside = self._skipping and not newline
        too_long = len(rest) > MAX_LINE  # no event is so long: passed over without keeping it
        taken = chunk if too_long else complete + newline
        self._skipping = too_long or inside
        self._offset += len(taken)
        self._anchor = (self._anchor + taken)[-_ANCHOR:]
        found = decode(map(_shown, lines))
        damaged = found.damaged + (too_long and not inside)
        return LogBatch(found.events, reset, found.unknown, damaged, more=len(chunk) == CHUNK)

    def _was_cut(self, descriptor: int) -> bool:
        if not self._offset:
            return False
        facts = os.fstat(descriptor)
        if facts.st_ino != self._inode or facts.st_size < self._offset:
            return True
        return os.pread(descriptor, len(self._anchor), self._offset - len(self._anchor)) != self._anchor


def _shown(line: bytes) -> bytes:
    try:
        return line if len(line) > MAX_LINE else safe_json(line, MAX_LINE)
    except (ValueError, RecursionError):
        return line  # damaged: it will be counted


class RunReader:
    """A run's log and result files, read again and again; `state` is what they come to."""

    def __init__(self, run: RunDir) -> None:
        self.run = run
        self.state = RunState()
        self._log = LogReader(run.events)
        self._told = RunState()  # as the log tells it
        self._held: Mapping[Place, ResultRecord] = {}  # records of the figures that it tells of
        self._files: dict[Place, tuple[Stamp | None, ResultRecord | None]] = {}  # all that were read
        self._teacher: RunReader | None = None
        self._final: tuple[RunState, Mapping[Place, Stamp | None], RunState] | None = None

    def read(self) -> list[Event]:
        """Read everything there is by now; the events that are new. Of a log that was cut back, those since the cut."""
        news, told, more = list[Event](), self._told, True
        while more:
            batch = self._log.read()
            told, more = RunState() if batch.reset else told, batch.more
            if batch.reset or batch.events or batch.unknown or batch.damaged:
                told = fold(batch.events, told, unknown=batch.unknown, damaged=batch.damaged)
            news = _since_resume(batch.events) if batch.reset else news + batch.events
        held = self._records(_places(told))
        if told is not self._told or held != self._held:  # a record may be damaged or mended long after its event
            self._told, self._held, self.state = told, held, _with_checked_figures(told, held)
        return news

    def final(self) -> RunState:
        """With the figures that only their result files know of: for a run at which nobody works any more."""
        from engine.spec.attacks import KINDS  # noqa: PLC0415  pydantic, which a list of runs does not wait for

        told = self._told
        untold = [
            (name, attack)
            for name in BOTH
            for attack in names(self.run.evaluation / name)
            if attack not in told.table.get(name, {}) and not self.run.leads_out(self.run.result(name, attack))
        ]
        stamps = {at: result_files.stamp(self.run, at) for at in (*untold, *((name, "suspect") for name in BOTH))}
        if self._final is None or self._final[0] is not self.state or self._final[1] != stamps:
            suite = {*KINDS, "clean", "worst", *(told.evaluation.attacks if told.evaluation else ())}
            found = {at: record for at, record in self._records(untold).items() if record.cell or at[1] in suite}
            whole = _with_checked_figures(told, {**self._held, **found}) if found else self.state
            self._final = self.state, stamps, _with_checks(self.run, whole)
        return self._final[2]

    def teacher(self) -> "RunReader | None":
        """The reader of the teacher's run that comes first, while it is worked on."""
        name = self.state.teacher_run
        if not RUN_ID.fullmatch(name):
            self._teacher = None
        elif self._teacher is None or self._teacher.run.id != name:
            self._teacher = RunReader(RunDir(self.run.path.parent / name))
        return self._teacher

    def images(self, state: RunState) -> dict[Place, Images]:
        """What the result file of each figure of this state says of its images."""
        known = {at: record for at, (_, record) in self._files.items() if record is not None}
        return {at: found for at in _places(state) if at in known and (found := known[at].images) is not None}

    def _records(self, places: Iterable[Place]) -> dict[Place, ResultRecord]:
        """Of the result files of these figures; one is read again only when it has changed."""
        found = {}
        for place in places:
            stamp, known = result_files.stamp(self.run, place), self._files.get(place)
            if known is None or known[0] != stamp:
                record = result_files.record(self.run, place) if stamp is not None else None
                self._files[place] = known = stamp, record
            if known[1] is not None:
                found[place] = known[1]
        return found


def load(run: RunDir) -> RunState:
    """A run as it lies there: its log, and its result files, also those that no log tells of."""
    reader = RunReader(run)
    reader.read()
    return reader.final()


def _places(state: RunState) -> list[Place]:
    return [(name, attack) for name, row in state.table.items() for attack in row]


def names(folder: Path) -> list[str]:
    """Attacks with a file in `evaluation/<checkpoint>`, in the order of the suite; none in a folder that is a link."""
    from engine.spec.attacks import KINDS, RESERVED  # noqa: PLC0415  as above

    try:
        there = files.is_folder(folder) and files.is_folder(folder.parent)
        found = sorted(path.stem for path in folder.glob("*.json")) if there else []
    except OSError:
        return []
    order = list(KINDS)
    known = [name for name in found if name not in RESERVED][:_MOST]
    return sorted(known, key=lambda name: order.index(name) if name in KINDS else len(order))


def _since_resume(events: list[Event]) -> list[Event]:
    """Of a log that was cut back, what came after the cut."""
    cuts = [index for index, event in enumerate(events) if isinstance(event, RunResumed)]
    return events[cuts[-1] :] if cuts else []


def _with_checks(run: RunDir, state: RunState) -> RunState:
    """With what only `suspect.json` tells of checks and their findings; or the config of an older engine's run."""
    probed, found = dict(state.probed), list[Warned]()
    for name in (name for name in state.table if name in BOTH and name not in state.probed):
        path = run.result(name, "suspect")
        told = None if run.leads_out(path) else files.decoded(path, decode_checks)
        if told is not None:
            left_out = {display(check, 80): display(why, 200) for check, why in told.left_out.items()}
            probed[name] = Probed(checkpoint=name, done=told.done, of=told.of, left_out=left_out)
            found += [_mark(finding.code, name, finding.attack) for finding in told.findings]
        elif _asks_for_no_checks(run):
            probed[name] = Probed(checkpoint=name, done=0, of=0, left_out={"every check": "suspect = false"})
    known = {(w.code, w.checkpoint, w.attack) for w in state.warnings}
    more = [w for w in found if (w.code, w.checkpoint, w.attack) not in known]
    return replace(state, probed=probed, warnings=(*state.warnings, *more)) if probed != state.probed else state


def _asks_for_no_checks(run: RunDir) -> bool:
    evaluation = (files.decoded(run.config, files.toml_table) or {}).get("evaluation")
    return isinstance(evaluation, dict) and evaluation.get("suspect") is False


def _with_checked_figures(told: RunState, records: Mapping[Place, ResultRecord]) -> RunState:
    """The state without the figures that something contradicts, and a mark for each of those; and what records mark."""
    if not told.table and not records:
        return told
    found = consistency.check_figures(told.table, records, len(told.training.classes) if told.training else 0)
    kept = [w for w in told.warnings if w.code != consistency.CODE]
    known = {(w.code, checkpoint, w.attack) for w in kept for checkpoint in ([w.checkpoint] if w.checkpoint else BOTH)}
    marks = [
        _mark(code, *place)
        for place, record in records.items()
        for code in dict.fromkeys(record.marks)
        if not known & {(code, *place), (code, place[0], "")}
    ]
    counts = {place[0]: r.images.counts for place, r in records.items() if r.images}
    disputes = [_mark(consistency.CODE, *place, why) for place, why in found.disputed.items()]
    return replace(
        told, table=found.table, disputed=found.disputed, counts={**told.counts, **counts},
        warnings=(*kept, *marks, *disputes),
    )  # fmt: skip


def believed_events(events: Iterable[Event], state: RunState) -> list[Event]:
    """The same events, with none of a figure that something contradicts: in its place its record's, or only a mark."""
    shown: list[Event] = []
    for event in events:
        if not isinstance(event, Evaluated):
            shown.append(event)
            continue
        place = event.checkpoint, event.attack
        why = state.disputed.get(place) or consistency.contradiction(event)
        cell = state.table.get(event.checkpoint, {}).get(event.attack) if why else event
        mark = _mark(consistency.CODE, *place, why) if why else None
        shown += [structs.replace(one, seq=event.seq, time=event.time) for one in (cell, mark) if one is not None]
    return shown


def _mark(code: str, checkpoint: str, attack: str, figures: str = "") -> Warned:
    sentence = MARKS.get(code, display(code, 80))
    message = f"{display(f'{checkpoint} {attack}: {figures}', 300)}. {sentence}" if figures else sentence
    return Warned(code=display(code, 80), message=message, checkpoint=display(checkpoint), attack=display(attack))


def result_rows(state: RunState) -> list[dict[str, Any]]:
    """One value for each cell: what `--json` calls `results`; a figure that something contradicts is null."""
    keys = ("accuracy", "n", "of", "low", "high", "seconds", "split", "per_class", "details", "spec")
    rows = []
    for checkpoint in state.checkpoints:
        for attack in state.attacks:
            cell = state.table.get(checkpoint, {}).get(attack)
            if cell is None and (checkpoint, attack) not in state.disputed:
                continue
            found, worst = state.marks(checkpoint, attack), state.severity(checkpoint, attack)
            rows.append({
                "checkpoint": checkpoint, "attack": attack, **{key: getattr(cell, key, None) for key in keys},
                "marks": [{"code": w.code, "message": w.message, "severity": severity(w.code)} for w in found],
                "severity": worst, "believed": worst != "red", "checks": state.checks(checkpoint),
            })  # fmt: skip
    return rows
