"""One run, read as it grows: its log folded into a state, and held against the result files beside it.

A result file beats the log's event, which beats status.json. A figure that its result file, its count or its interval
contradicts is not in the table, and `RunState.disputed` says why. Nothing in a folder can raise.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from crdnd_tui.core import agreement, result_files
from crdnd_tui.core.result_files import BOTH, Images, Place, Record, Stamp
from crdnd_tui.core.state import RunState, fold
from crdnd_tui.core.text import display, safe_json
from engine.spec import files
from engine.spec.attacks import KINDS, RESERVED
from engine.spec.events import MAX_LINE, Evaluated, Event, Probed, RunResumed, Warned, decode
from engine.spec.files import open_regular
from engine.spec.marks import MARKS, decode_checks, severity
from engine.spec.rundir import RunDir

_ORDER = {name: place for place, name in enumerate(KINDS)}  # of the suite, where no log tells it
_MOST = 100  # result files of one checkpoint that are read
CHUNK = 8 << 20  # bytes of one read, so that a huge log cannot fill the memory at once
_ANCHOR = 96  # bytes before our place that must not change


class Batch(NamedTuple):
    """What one read found."""

    events: list[Event]
    reset: bool  # the log was cut or replaced: forget what you know, these events start from the beginning
    unknown: int
    damaged: int
    more: bool  # the log holds more already


class Follower:
    """Reads what is new in a growing event log. One instance may outlive many reads, engines and resumes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._forget()

    def _forget(self) -> None:
        self._offset = 0  # of the first byte that no line was made of yet
        self._inode = 0
        self._anchor = b""
        self._skipping = False  # inside a line that is too long to be an event

    def read(self) -> Batch:
        """Events since the last read. Nothing in the file can raise; strings in the events are safe to show."""
        descriptor = open_regular(self._path)
        if descriptor is None:
            return Batch([], False, 0, 0, False)
        try:
            reset = self._was_cut(descriptor)
            if reset:
                self._forget()
            self._inode = os.fstat(descriptor).st_ino
            chunk = os.pread(descriptor, CHUNK, self._offset)
        except OSError:
            return Batch([], False, 0, 0, False)
        finally:
            os.close(descriptor)
        events, unknown, damaged = self._take(chunk)
        return Batch(events, reset, unknown, damaged, more=len(chunk) == CHUNK)

    def _was_cut(self, descriptor: int) -> bool:
        if not self._offset:
            return False
        facts = os.fstat(descriptor)
        if facts.st_ino != self._inode or facts.st_size < self._offset:
            return True
        return os.pread(descriptor, len(self._anchor), self._offset - len(self._anchor)) != self._anchor

    def _take(self, chunk: bytes) -> tuple[list[Event], int, int]:
        """Complete lines become events; the rest stays in the file for the next read."""
        complete, newline, rest = chunk.rpartition(b"\n")
        taken = complete + newline
        lost = 0
        if len(rest) > MAX_LINE:  # no event is so long: pass over it without keeping it
            taken, lost = chunk, int(not (self._skipping and not newline))
        lines = (complete if newline else b"").split(b"\n") if taken else []
        if self._skipping and newline:
            lines = lines[1:]
        self._skipping = len(rest) > MAX_LINE or (self._skipping and not newline)
        self._offset += len(taken)
        self._anchor = (self._anchor + taken)[-_ANCHOR:]
        decoded = decode(map(_shown, lines))
        return decoded.events, decoded.unknown, decoded.damaged + lost


def _shown(line: bytes) -> bytes:
    if len(line) > MAX_LINE:
        return line
    try:
        return safe_json(line, MAX_LINE)
    except (ValueError, RecursionError):
        return line  # damaged: it will be counted


class RunReader:
    """A run's log and result files, read again and again; `state` is what they come to."""

    def __init__(self, run: RunDir) -> None:
        self.run = run
        self.state = RunState()
        self._follower = Follower(run.events)
        self._told = RunState()  # as the log tells it
        self._records: dict[Place, Record] = {}
        self._seen: dict[Place, Stamp] = {}  # of the files that `_records` were read from
        self._untold: dict[Place, Record] = {}  # records that no event tells of
        self._final: tuple[RunState, Mapping[Place, Stamp | None], RunState] | None = None

    def read(self) -> list[Event]:
        """Read everything there is by now; the events that are new. Of a log that was cut back, those since the cut."""
        news: list[Event] = []
        while True:
            batch = self._follower.read()
            if batch.reset or batch.events or batch.unknown or batch.damaged:
                self._take(batch)
            news = _since_resume(batch.events) if batch.reset else news + batch.events
            if not batch.more:
                changed = [place for place in _places(self._told) if self._read(place)]  # damaged or mended since
                if changed:
                    self.state = _settled(self._told, self._records)
                return news

    def final(self) -> RunState:
        """With the figures that only their result files know of: for a run at which nobody works any more."""
        untold = [
            (name, attack)
            for name in BOTH
            for attack in names(self.run.evaluation / name)
            if attack not in self._told.table.get(name, {}) and not self.run.leads_out(self.run.result(name, attack))
        ]
        seen = {at: result_files.stamp(self.run, at) for at in (*untold, *((name, "suspect") for name in BOTH))}
        if self._final is None or self._final[0] is not self.state or self._final[1] != seen:
            suite = {*KINDS, "clean", "worst", *(self._told.evaluation.attacks if self._told.evaluation else ())}
            found = {at: record for at in untold if (record := result_files.record(self.run, at)) is not None}
            self._untold = {at: record for at, record in found.items() if record.cell or at[1] in suite}
            whole = _settled(self._told, {**self._records, **self._untold}) if self._untold else self.state
            self._final = self.state, seen, _suspected(self.run, whole)
        return self._final[2]

    def images(self, state: RunState) -> dict[Place, Images]:
        """What the result file of each figure of this state says of its images."""
        known = {**self._untold, **self._records}
        return {at: found for at in _places(state) if at in known and (found := known[at].images) is not None}

    def _take(self, batch: Batch) -> None:
        if batch.reset:
            self._told, self._records, self._seen = RunState(), {}, {}
        self._told = fold(batch.events, self._told, unknown=batch.unknown, damaged=batch.damaged)
        for place in {(event.checkpoint, event.attack) for event in batch.events if isinstance(event, Evaluated)}:
            self._seen.pop(place, None)  # its record was written before it was told
            self._read(place)
        self.state = _settled(self._told, self._records)

    def _read(self, place: Place) -> bool:
        """Read a record whose file is another than the one that was read; whether it says anything else."""
        seen, before = result_files.stamp(self.run, place), self._records.get(place)
        if seen == self._seen.get(place):
            return False
        self._records.pop(place, None)
        self._seen.pop(place, None)
        if seen is not None:
            self._seen[place] = seen
            if (record := result_files.record(self.run, place)) is not None:
                self._records[place] = record
        return self._records.get(place) != before


def load(run: RunDir) -> RunState:
    """A run as it lies there: its log, and its result files, also those that no log tells of."""
    reader = RunReader(run)
    reader.read()
    return reader.final()


def _places(state: RunState) -> list[Place]:
    return [(name, attack) for name, row in state.table.items() for attack in row]


def names(folder: Path) -> list[str]:
    """Attacks with a file in `evaluation/<checkpoint>`, in the order of the suite; none in a folder that is a link."""
    try:
        there = files.is_folder(folder) and files.is_folder(folder.parent)
        found = [path.stem for path in sorted(folder.glob("*.json"))] if there else []
    except OSError:
        return []
    known = [name for name in found if name not in RESERVED][:_MOST]
    return sorted(known, key=lambda name: (_ORDER.get(name, len(_ORDER)), name))


def _since_resume(events: Sequence[Event]) -> list[Event]:
    """Of a log that was cut back, what came after the cut."""
    cuts = [index for index, event in enumerate(events) if isinstance(event, RunResumed)]
    return list(events[cuts[-1] :]) if cuts else []


def _suspected(run: RunDir, state: RunState) -> RunState:
    """With what only `suspect.json` tells of checks and their findings; or the config of an older engine's run."""
    probed, found = dict(state.probed), list[Warned]()
    for name in (name for name in state.table if name in BOTH and name not in state.probed):
        path = run.result(name, "suspect")
        told = None if run.leads_out(path) else files.decoded(path, decode_checks)
        if told is not None:
            left_out = {display(check, 80): display(why, 200) for check, why in told.left_out.items()}
            probed[name] = Probed(checkpoint=name, done=told.done, of=told.of, left_out=left_out)
            found += [_mark(finding.code, name, finding.attack) for finding in told.findings]
        elif _is_unwanted(run):
            probed[name] = Probed(checkpoint=name, done=0, of=0, left_out={"every check": "suspect = false"})
    known = {(w.code, w.checkpoint, w.attack) for w in state.warnings}
    more = [w for w in found if (w.code, w.checkpoint, w.attack) not in known]
    return replace(state, probed=probed, warnings=(*state.warnings, *more)) if probed != state.probed else state


def _is_unwanted(run: RunDir) -> bool:
    """Whether the config asks for no check."""
    evaluation = (files.decoded(run.config, files.toml_table) or {}).get("evaluation")
    return isinstance(evaluation, dict) and evaluation.get("suspect") is False


def _settled(told: RunState, records: Mapping[Place, Record]) -> RunState:
    """The state without the figures that something contradicts, and a mark for each of those; and what records mark."""
    if not told.table and not records:
        return told
    found = agreement.settle(told.table, records, len(told.training.classes) if told.training else 0)
    kept = [w for w in told.warnings if w.code != agreement.CODE]
    known = {(w.code, checkpoint, w.attack) for w in kept for checkpoint in ([w.checkpoint] if w.checkpoint else BOTH)}
    marks = [
        _mark(code, *place)
        for place, record in records.items()
        for code in dict.fromkeys(record.marks)
        if not known & {(code, *place), (code, place[0], "")}
    ]
    counts = {place[0]: r.images.counts for place, r in records.items() if r.images}
    return replace(
        told,
        table=found.table,
        disputed=found.disputed,
        counts={**told.counts, **counts},
        warnings=(*kept, *marks, *(_mark(agreement.CODE, *place, why) for place, why in found.disputed.items())),
    )


def believed_events(events: Iterable[Event], state: RunState) -> list[Event]:
    """The same events, with none of a figure that something contradicts: in its place its record's, or only a mark."""
    shown: list[Event] = []
    for event in events:
        if not isinstance(event, Evaluated):
            shown.append(event)
            continue
        place = event.checkpoint, event.attack
        why = state.disputed.get(place) or agreement.contradiction(event)
        cell = state.table.get(event.checkpoint, {}).get(event.attack) if why else event
        shown += [msgspec.structs.replace(cell, seq=event.seq, time=event.time)] if cell is not None else []
        if why:
            shown.append(msgspec.structs.replace(_mark(agreement.CODE, *place, why), seq=event.seq, time=event.time))
    return shown


def _mark(code: str, checkpoint: str, attack: str, figures: str = "") -> Warned:
    sentence = MARKS.get(code, display(code, 80))
    message = f"{display(f'{checkpoint} {attack}: {figures}', 300)}. {sentence}" if figures else sentence
    return Warned(code=display(code, 80), message=message, checkpoint=display(checkpoint), attack=display(attack))


def result_rows(state: RunState) -> list[dict[str, Any]]:
    """One value for each cell: what `--json` calls `results`; a figure that something contradicts is null."""
    return [
        _result(state, checkpoint, attack)
        for checkpoint in state.checkpoints
        for attack in state.attacks
        if attack in state.table.get(checkpoint, {}) or (checkpoint, attack) in state.disputed
    ]


def _result(state: RunState, checkpoint: str, attack: str) -> dict[str, Any]:
    cell = state.table.get(checkpoint, {}).get(attack)
    figures = ("accuracy", "n", "of", "low", "high", "seconds", "split", "per_class", "details", "spec")
    told = {key: getattr(cell, key, None) for key in figures}
    found, worst = state.marks(checkpoint, attack), state.severity(checkpoint, attack)
    return {
        "checkpoint": checkpoint, "attack": attack, **told,
        "marks": [{"code": w.code, "message": w.message, "severity": severity(w.code)} for w in found],
        "severity": worst, "believed": worst != "red", "checks": state.checks(checkpoint),
    }  # fmt: skip
