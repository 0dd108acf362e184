"""What a run measured, one number at a time, for whoever replays it elsewhere: TensorBoard, MLflow. Pure.

Names are those that both take: words, `/` between them, and per class `teacher_clean/03 cat`.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from crdnd_tui.core import marks
from crdnd_tui.core.state import RunState
from engine.spec.config import JudgeConfig, RunConfig
from engine.spec.events import EpochDone, Evaluated, StepDone, Validated
from engine.spec.status import Status

MAX_NAME = 250  # characters of a name, which MLflow allows
_FOREIGN = re.compile(r"[^\w .-]")  # in a part of a name, for MLflow


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A run as it is replayed."""

    id: str
    state: str  # as the list of runs calls it
    config: RunConfig | JudgeConfig
    log: RunState
    status: Status | None = None
    preset: str = ""  # as the user wrote it
    provenance: Mapping[str, Any] | None = None  # provenance.json


class Measured(NamedTuple):
    """One number: fractions for accuracies, NaN for what was not finite; `time` is unix seconds.

    `marks` are sentences on why it may mislead.
    """

    name: str
    step: int
    value: float
    time: float
    marks: str = ""


def measured(state: RunState) -> Iterator[Measured]:
    """All of them, series by series; the results on the test split stand at the last step.

    Beside a result that is not believed stands a 0 of the same name under `test_best_believed`.
    """
    classes = class_names(state.training.classes if state.training else ())
    for step in state.steps:
        yield from _of_step(step)
    for epoch in state.epochs:
        yield from _of_epoch(epoch, classes)
    for validation in state.validations:
        for one in _of_validation(validation, classes):
            attack = one.name.partition("/")[2]
            yield one._replace(marks=marked(state, "", attack)) if one.name.startswith("validation/") else one
    for cell in cells(state):
        name, when = result_name(cell.checkpoint, cell.attack), said(state, cell)
        yield Measured(name, state.step, cell.accuracy, when, marked(state, cell.checkpoint, cell.attack))
        if state.severity(cell.checkpoint, cell.attack) == "red":
            folder, _, attack = name.partition("/")
            yield Measured(f"{folder}_believed/{attack}", state.step, 0.0, when)


def marked(state: RunState, checkpoint: str, attack: str) -> str:
    """`!! not believed: ...`, `! ...`: sign and sentences of a figure's marks; empty without any."""
    found = state.marks(checkpoint, attack)
    severity = marks.worst(w.code for w in found)
    words = " ".join(dict.fromkeys(" ".join(marks.sentence(w).split()) for w in found))
    return f"{marks.SIGNS[severity]} {'not believed: ' if severity == 'red' else ''}{words}" if found else ""


def cells(state: RunState) -> list[Evaluated]:
    """The robustness table, row by row."""
    return [
        state.table[checkpoint][attack]
        for checkpoint in state.checkpoints
        for attack in state.attacks
        if attack in state.table.get(checkpoint, {})
    ]


def said(state: RunState, cell: Evaluated) -> float:
    """When this result came, unix seconds: one that only its file knows of has the time of the last event."""
    return min(cell.time, state.last)


def result_name(checkpoint: str, attack: str) -> str:
    """Of an accuracy on the test split."""
    return f"test_{part(checkpoint)}/{part(attack)}"


def part(word: str) -> str:
    """A word as a part of a name: no other characters than both take, and never `.` or `..`."""
    clean = _FOREIGN.sub("_", word).strip(" .")
    return clean[: MAX_NAME // 2] or "_"


def class_names(classes: Sequence[str]) -> list[str]:
    """Each with its number before it, so that they sort and none is lost: `03 cat`; digits are their own numbers."""
    width = len(str(max(0, len(classes) - 1)))
    numbers = [f"{place:0{width}}" for place in range(len(classes))]
    return [
        number if name == str(place) else f"{number} {part(name)}"
        for place, (number, name) in enumerate(zip(numbers, classes, strict=True))
    ]


def flattened(table: Mapping[str, Any]) -> dict[str, bool | int | float | str]:
    """A config as `training.epochs` -> 40; a list of tables by its places, other lists as JSON."""
    flat: dict[str, bool | int | float | str] = {}

    def take(name: str, value: Any) -> None:  # noqa: ANN401  any TOML value
        if isinstance(value, Mapping):
            for key, inner in value.items():
                take(f"{name}.{part(str(key))}" if name else part(str(key)), inner)
        elif isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
            for place, inner in enumerate(value):
                take(f"{name}.{place}", inner)
        elif isinstance(value, (bool, int, float, str)):
            flat[name[:MAX_NAME]] = value
        else:
            flat[name[:MAX_NAME]] = json.dumps(value, default=str)

    take("", table)
    return flat


def _number(value: float | None) -> float:
    """What was not finite came to us as None."""
    return math.nan if value is None else value


def _of_step(event: StepDone) -> Iterator[Measured]:
    yield Measured("train/loss", event.step, _number(event.loss), event.time)
    for term, value in event.terms.items():
        yield Measured(f"train_terms/{part(term)}", event.step, _number(value), event.time)
    yield Measured("train/learning_rate", event.step, event.learning_rate, event.time)
    yield Measured("train/images_per_second", event.step, event.images_per_second, event.time)


def _of_epoch(event: EpochDone, classes: Sequence[str]) -> Iterator[Measured]:
    yield Measured("epoch/loss", event.step, _number(event.loss), event.time)
    yield Measured("epoch/seconds", event.step, event.seconds, event.time)
    yield Measured("epoch/number", event.step, event.epoch, event.time)
    if event.peak_memory is not None:
        yield Measured("epoch/peak_memory_bytes", event.step, event.peak_memory, event.time)
    groups = {
        "teacher_clean": event.teacher_clean, "teacher_robust": event.teacher_robust,
        "student_clean": event.student_clean, "student_robust": event.student_robust,
    }  # fmt: skip
    for group, values in groups.items():
        for name, value in zip(_names(classes, values), values, strict=True):
            yield Measured(f"{group}/{name}", event.step, value, event.time)


def _of_validation(event: Validated, classes: Sequence[str]) -> Iterator[Measured]:
    for attack, value in event.accuracy.items():
        yield Measured(f"validation/{part(attack)}", event.step, value, event.time)
    for attack, values in event.per_class.items():
        for name, value in zip(_names(classes, values), values, strict=True):
            yield Measured(f"validation_{part(attack)}/{name}", event.step, value, event.time)


def _names(classes: Sequence[str], values: Sequence[float]) -> Sequence[str]:
    """Those of the classes; numbers alone when a log tells of another count of them."""
    return classes if len(classes) == len(values) else [str(place) for place in range(len(values))]
