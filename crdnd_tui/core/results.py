"""What a run says, read as it grows: its log, held against the records beside it; and its table as plain values.

Whoever shows a figure of a run has it from here: a figure that its record, its count or its interval contradicts is
not in the table, and `RunState.disputed` says why.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from crdnd_tui.core import agreement, records
from crdnd_tui.core.agreement import Place, Record
from crdnd_tui.core.follow import Batch, Follower, safe
from crdnd_tui.core.records import Stamp
from crdnd_tui.core.state import RunState, fold
from crdnd_tui.core.text import display
from engine.spec import files, outcomes
from engine.spec.attacks import KINDS, RESERVED
from engine.spec.events import Evaluated, Event, Probed, Warned
from engine.spec.marks import MARKS, decode_checks, severity
from engine.spec.outcomes import Outcome
from engine.spec.rundir import RunDir

_ORDER = {name: place for place, name in enumerate(KINDS)}  # of the suite, where no log tells it
BOTH = ("best", "last")
_MOST = 100  # records of one checkpoint that are read


class Reading:
    """A run's log and records, read again and again; `state` is what they come to. Nothing in the folder can raise."""

    def __init__(self, run: RunDir) -> None:
        self.run = run
        self.state = RunState()
        self._follower = Follower(run.events)
        self._told = RunState()  # as the log tells it
        self._records: dict[Place, Record] = {}
        self._seen: dict[Place, Stamp] = {}  # of the files that `_records` were read from
        self._whole: tuple[RunState, Mapping[Place, Stamp | None], RunState] | None = None

    def read(self) -> Iterator[Batch]:
        """Everything there is by now, batch by batch; after each, `state` has it in it."""
        while True:
            batch = self._follower.read()
            if batch.reset or batch.events or batch.unknown or batch.damaged:
                self._take(batch)
            if not batch.more:
                self._renew()
            yield batch
            if not batch.more:
                return

    def follow(self) -> bool:
        """Read everything there is by now; whether there was anything."""
        before = self.state
        for _ in self.read():
            pass
        return self.state is not before

    def whole(self) -> RunState:
        """With the figures that only their records know of: for a run at which nobody works any more."""
        untold = _untold(self.run, self._told)
        seen = {place: records.stamp(self.run, place) for place in (*untold, *((name, "suspect") for name in BOTH))}
        if self._whole is None or self._whole[0] is not self.state or self._whole[1] != seen:
            suite = {*KINDS, "clean", "worst", *(self._told.evaluation.attacks if self._told.evaluation else ())}
            known = {
                place: record
                for place in untold
                if (record := _record(self.run, place)) is not None and (record.cell or place[1] in suite)
            }
            whole = _settled(self._told, {**self._records, **known}) if known else self.state
            self._whole = self.state, seen, _suspected(self.run, whole)
        return self._whole[2]

    def _take(self, batch: Batch) -> None:
        if batch.reset:
            self._told, self._records, self._seen = RunState(), {}, {}
        self._told = fold(batch.events, self._told, unknown=batch.unknown, damaged=batch.damaged)
        said = {(event.checkpoint, event.attack) for event in batch.events if isinstance(event, Evaluated)}
        for place in said:  # its record was written before it was said
            self._seen.pop(place, None)
            self._read(place)
        self.state = _settled(self._told, self._records)

    def _renew(self) -> None:
        """Read the records anew that were damaged, mended or seen late since they were read."""
        news = [self._read((name, attack)) for name, row in self._told.table.items() for attack in row]
        if any(news):
            self.state = _settled(self._told, self._records)

    def _read(self, place: Place) -> bool:
        """Read a record whose file is another than the one that was read; whether it says anything else."""
        seen, before = records.stamp(self.run, place), self._records.get(place)
        if seen == self._seen.get(place):
            return False
        self._records.pop(place, None)
        self._seen.pop(place, None)
        if seen is not None:
            self._seen[place] = seen
            if (record := _record(self.run, place)) is not None:
                self._records[place] = record
        return self._records.get(place) != before


def load(run: RunDir) -> RunState:
    """A run as it lies there: its log, and its records, also those that no log tells of."""
    reading = Reading(run)
    reading.follow()
    return reading.whole()


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
    counts = {place[0]: r.counts for place, r in records.items() if r.cell and sum(r.counts) == r.cell.n}
    return replace(
        told,
        table=found.table,
        disputed=found.disputed,
        counts={**told.counts, **counts},
        warnings=(*kept, *marks, *(_mark(agreement.CODE, *place, why) for place, why in found.disputed.items())),
    )


def fair(events: Iterable[Event], state: RunState) -> list[Event]:
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


def _untold(run: RunDir, state: RunState) -> list[Place]:
    """Places whose record lies on the disk, though no event tells of it; in the order of the suite."""
    found: list[Place] = []
    for checkpoint in BOTH:
        folder = run.evaluation / checkpoint
        known = {*RESERVED, *state.table.get(checkpoint, {})}
        names = set() if run.leads_out(folder / "clean.json") else _names(folder) - known
        found += [(checkpoint, n) for n in sorted(names, key=lambda name: (_ORDER.get(name, len(_ORDER)), name))]
    return found


def _names(folder: Path) -> set[str]:
    try:
        return {path.stem for path in sorted(folder.glob("*.json"))[:_MOST]}
    except OSError:
        return set()


def _record(run: RunDir, place: Place) -> Record | None:
    """What the file of a figure says; None where there is none."""
    outcome = records.read(run, place, outcomes.decode)
    if outcome is None or isinstance(outcome, str):
        return Record(trouble=outcome) if outcome else None
    return Record(
        cell=_cell(outcome),
        counts=tuple(outcome.counts),
        judged=(outcome.indices_sha256, outcome.data_sha256, outcome.weights_sha256),
        marks=tuple(outcome.marks),
    )


def _mark(code: str, checkpoint: str, attack: str, figures: str = "") -> Warned:
    sentence = MARKS.get(code, display(code, 80))
    message = f"{display(f'{checkpoint} {attack}: {figures}', 300)}. {sentence}" if figures else sentence
    return Warned(code=display(code, 80), message=message, checkpoint=display(checkpoint), attack=display(attack))


def _cell(record: Outcome) -> Evaluated:
    return Evaluated(
        checkpoint=display(record.checkpoint), attack=display(record.attack), accuracy=record.accuracy, n=record.n,
        of=record.of, low=record.low, high=record.high, seconds=record.seconds, per_class=record.per_class,
        details={display(key): value for key, value in record.details.items()}, spec=safe(record.spec), time=0.0,
    )  # fmt: skip


def rows(state: RunState) -> list[dict[str, Any]]:
    """One value for each cell: what `--json` calls `results`; a figure that something contradicts is null."""
    return [
        _row(state, checkpoint, attack)
        for checkpoint in state.checkpoints
        for attack in state.attacks
        if attack in state.table.get(checkpoint, {}) or (checkpoint, attack) in state.disputed
    ]


def _row(state: RunState, checkpoint: str, attack: str) -> dict[str, Any]:
    cell = state.table.get(checkpoint, {}).get(attack)
    figures = ("accuracy", "n", "of", "low", "high", "seconds", "split", "per_class", "details", "spec")
    told = {key: getattr(cell, key) for key in figures} if cell else dict.fromkeys(figures)
    marks = [
        {"code": w.code, "message": w.message, "severity": severity(w.code)} for w in state.marks(checkpoint, attack)
    ]
    worst = state.severity(checkpoint, attack)
    judged = {"marks": marks, "severity": worst, "believed": worst != "red", "checks": state.checks(checkpoint)}
    return {"checkpoint": checkpoint, "attack": attack, **told, **judged}
