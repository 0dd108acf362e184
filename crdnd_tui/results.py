"""The state of a saved run, and the cells of its table as plain values for scripts."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec
from msgspec import Struct

from crdnd_tui import files
from crdnd_tui.follow import Follower
from crdnd_tui.state import RunState, fold
from crdnd_tui.text import display
from engine.spec.attacks import KINDS
from engine.spec.events import Evaluated, Warned
from engine.spec.marks import MARKS
from engine.spec.rundir import RunDir


class _Record(Struct, kw_only=True):
    """What is read of an attack's result file; it holds more."""

    accuracy: float
    n: int
    checkpoint: str = ""
    attack: str = ""
    of: int = 0
    low: float = 0.0
    high: float = 1.0
    seconds: float = 0.0
    per_class: list[float] = []
    details: dict[str, float] = {}
    spec: dict[str, Any] = {}
    marks: list[str] = []


_decoder = msgspec.json.Decoder(_Record)
_ORDER = {name: place for place, name in enumerate(KINDS)}  # of the suite, where no log tells it


def load(run: RunDir) -> RunState:
    """The whole log folded; cells that only their result files know of are added to the table."""
    follower, state = Follower(run.events), RunState()
    while True:
        batch = follower.read()
        state = fold(batch.events, RunState() if batch.reset else state, unknown=batch.unknown, damaged=batch.damaged)
        if not batch.more:
            break
    return _with_files(run, state)


def _with_files(run: RunDir, state: RunState) -> RunState:
    table = {checkpoint: dict(row) for checkpoint, row in state.table.items()}
    warnings = list(state.warnings)
    for checkpoint in ("best", "last"):
        folder = run.evaluation / checkpoint
        if not files.is_folder(folder):
            continue
        for path in sorted(folder.glob("*.json"), key=lambda path: (_ORDER.get(path.stem, len(_ORDER)), path.stem)):
            attack = display(path.stem, 80)
            if attack != "gallery" and attack not in table.get(checkpoint, {}):
                record = _record(files.read(path, files.RESULT_CAP))
                if record is not None:
                    table.setdefault(checkpoint, {})[attack] = _cell(checkpoint, attack, record)
                    warnings += [_mark(code, checkpoint, attack) for code in record.marks]
    return replace(state, table=table, warnings=tuple(warnings))


def _record(content: bytes | None) -> _Record | None:
    try:
        return _decoder.decode(content or b"")
    except (ValueError, RecursionError):
        return None  # no result: an index, or damage that the engine will see when it resumes


def _mark(code: str, checkpoint: str, attack: str) -> Warned:
    return Warned(
        code=display(code, 80), message=MARKS.get(code, display(code, 80)), checkpoint=checkpoint, attack=attack
    )


def _cell(checkpoint: str, attack: str, record: _Record) -> Evaluated:
    return Evaluated(
        checkpoint=checkpoint, attack=attack, accuracy=record.accuracy, n=record.n, of=record.of or record.n,
        low=record.low, high=record.high, seconds=record.seconds, per_class=record.per_class,
        details={display(key): value for key, value in record.details.items()}, spec=_shown(record.spec),
    )  # fmt: skip


def _shown(spec: dict[str, Any]) -> dict[str, Any]:
    """The attack's settings with their words safe to show."""
    return {display(key): display(value) if isinstance(value, str) else value for key, value in spec.items()}


def rows(state: RunState) -> list[dict[str, Any]]:
    """One value for each cell: what `--json` calls `results`."""
    return [
        _row(state, state.table[checkpoint][attack])
        for checkpoint in state.checkpoints
        for attack in state.attacks
        if attack in state.table.get(checkpoint, {})
    ]


def _row(state: RunState, cell: Evaluated) -> dict[str, Any]:
    details: Mapping[str, float] = cell.details
    return {
        "checkpoint": cell.checkpoint,
        "attack": cell.attack,
        "accuracy": cell.accuracy,
        "n": cell.n,
        "of": cell.of,
        "low": cell.low,
        "high": cell.high,
        "seconds": cell.seconds,
        "split": cell.split,
        "per_class": list(cell.per_class),
        "details": dict(details),
        "spec": cell.spec,
        "marks": [{"code": w.code, "message": w.message} for w in state.marks(cell.checkpoint, cell.attack)],
    }
