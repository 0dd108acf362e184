"""The state of a saved run, and the cells of its table as plain values for scripts."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import msgspec
import tomli
from msgspec import Struct

from crdnd_tui import files
from crdnd_tui.follow import Follower
from crdnd_tui.state import RunState, fold
from crdnd_tui.text import display
from engine.spec.attacks import KINDS, RESERVED
from engine.spec.events import Evaluated, Probed, Warned
from engine.spec.marks import MARKS, severity
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
    counts: list[int] = []


_decoder = msgspec.json.Decoder(_Record)
_MAX_DOTS = 500  # in one line: a key of 20,000 parts keeps the parser busy for seconds
_ORDER = {name: place for place, name in enumerate(KINDS)}  # of the suite, where no log tells it


def load(run: RunDir) -> RunState:
    """The whole log folded; cells that only their result files know of are added to the table."""
    follower, state = Follower(run.events), RunState()
    while True:
        batch = follower.read()
        state = fold(batch.events, RunState() if batch.reset else state, unknown=batch.unknown, damaged=batch.damaged)
        if not batch.more:
            break
    return completed(run, state)


def completed(run: RunDir, state: RunState) -> RunState:
    """With what only files know: cells, marks, images of each class, and that no check was wanted."""
    table = {checkpoint: dict(row) for checkpoint, row in state.table.items()}
    warnings, counts = list(state.warnings), dict(state.counts)
    for checkpoint in ("best", "last"):
        folder = run.evaluation / checkpoint
        if not files.is_folder(folder):
            continue
        for path in sorted(folder.glob("*.json"), key=lambda path: (_ORDER.get(path.stem, len(_ORDER)), path.stem)):
            attack = display(path.stem, 80)
            record = None if attack in RESERVED else _record(files.read(path, files.RESULT_CAP))
            if record is None:
                continue
            table.setdefault(checkpoint, {}).setdefault(attack, _cell(checkpoint, attack, record))
            known = {w.code for w in warnings if w.attack in ("", attack) and w.checkpoint in ("", checkpoint)}
            warnings += [_mark(code, checkpoint, attack) for code in dict.fromkeys(record.marks) if code not in known]
            if record.counts and sum(record.counts) == record.n:
                counts.setdefault(checkpoint, tuple(record.counts))
    return replace(state, table=table, warnings=tuple(warnings), counts=counts, probed=_probed(run, state, table))


def _probed(run: RunDir, state: RunState, judged: Iterable[str]) -> Mapping[str, Probed]:
    """What the log tells of checks; of an older engine's run that none was wanted, if its config says so."""
    missing = [checkpoint for checkpoint in judged if checkpoint not in state.probed]
    wanted = parsed(files.read(run.config)).get("evaluation") if missing else None
    if not isinstance(wanted, dict) or wanted.get("suspect") is not False:
        return state.probed
    left_out = {"every check": "suspect = false"}
    return {**state.probed, **{c: Probed(checkpoint=c, done=0, of=0, left_out=left_out) for c in missing}}


def parsed(config: bytes | None) -> Mapping[str, Any]:
    """The table of a config; empty where it is damaged."""
    try:
        text = (config or b"").decode()
        if any(line.count(".") > _MAX_DOTS for line in text.splitlines()):
            return {}
        return tomli.loads(text)
    except (ValueError, RecursionError):
        return {}


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
        "marks": [
            {"code": w.code, "message": w.message, "severity": severity(w.code)}
            for w in state.marks(cell.checkpoint, cell.attack)
        ],
        "severity": state.severity(cell.checkpoint, cell.attack),
        "believed": state.severity(cell.checkpoint, cell.attack) != "red",
        "checks": state.checks(cell.checkpoint),
    }
