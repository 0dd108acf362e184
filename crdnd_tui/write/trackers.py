"""What trackers of experiments, TensorBoard and MLflow, are told of a run: its config, its numbers one at a time.

Names are those that both take: words, `/` between them, and per class `teacher_clean/03 cat`.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NamedTuple

from crdnd_tui.core import marks, run_reader, run_status
from crdnd_tui.core.state import RunState
from crdnd_tui.core.text import display
from engine.spec import files, toml
from engine.spec.config import JudgeConfig, RunConfig
from engine.spec.errors import CrdndError, RunFolderError
from engine.spec.events import EpochDone, Evaluated, StepDone, Validated
from engine.spec.rundir import RunDir

MAX_NAME = 250  # characters of a name, which MLflow allows
_FOREIGN = re.compile(r"[^\w .-]")  # in a part of a name, for MLflow


def load(module: str, extra: str) -> Any:  # noqa: ANN401  a module without types
    """A module that only one tracker needs; CrdndError with what installs it when it is not there."""
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise CrdndError(
            f"the package {package} cannot be loaded: {error}", hint=f"pip install 'crdnd-tui[{extra}]' brings it."
        ) from None


@dataclass(frozen=True, kw_only=True)
class TrackedRun:
    """A run as it is replayed."""

    id: str
    state: str  # as the list of runs calls it
    config: RunConfig | JudgeConfig
    log: RunState
    preset: str = ""  # as the user wrote it
    provenance: Mapping[str, Any] | None = None  # provenance.json


def tracked_run(run: RunDir) -> TrackedRun:
    """The run, whole or not; ConfigError or RunFolderError when its config cannot be read."""
    summary = run_status.summary(run)
    if summary is None:
        raise RunFolderError(f"{run.path} holds no run", hint="`crdnd runs` lists them.")
    return TrackedRun(
        id=run.id, state=summary.state, config=toml.read(run.config), log=run_reader.load(run),
        preset=display((files.read(run.preset) or b"").decode("utf-8", "replace"), files.CONFIG_CAP),
        provenance=files.decoded(run.provenance, files.json_table),
    )  # fmt: skip


class Scalar(NamedTuple):
    """One number: fractions for accuracies, NaN for what was not finite; `time` is unix seconds.

    `marks` are sentences on why it may mislead.
    """

    name: str
    step: int
    value: float
    time: float
    marks: str = ""


def scalars(state: RunState) -> Iterator[Scalar]:
    """All of them, series by series; the results on the test split stand at the last step.

    Beside a result that is not believed stands a 0 of the same name under `test_best_believed`.
    """
    classes = class_names(state.training.classes if state.training else ())
    for step in state.steps:
        yield from _of_event(step, _step_values(step))
    for epoch in state.epochs:
        yield from _of_event(epoch, _epoch_values(epoch, classes))
    for validation in state.validations:
        for attack, value in validation.accuracy.items():
            name = f"validation/{part(attack)}"
            yield Scalar(name, validation.step, value, validation.time, marked(state, "", part(attack)))
        for attack, values in validation.per_class.items():
            yield from _of_event(validation, _per_class(f"validation_{part(attack)}", values, classes))
    for cell in cells(state):
        name, when = result_name(cell.checkpoint, cell.attack), min(cell.time, state.last)  # a file tells no time
        yield Scalar(name, state.step, cell.accuracy, when, marked(state, cell.checkpoint, cell.attack))
        if state.severity(cell.checkpoint, cell.attack) == "red":
            folder, _, attack = name.partition("/")
            yield Scalar(f"{folder}_believed/{attack}", state.step, 0.0, when)


def marked(state: RunState, checkpoint: str, attack: str) -> str:
    """`!! not believed: ...`, `! ...`: sign and sentences of a figure's marks; empty without any."""
    found = state.marks(checkpoint, attack)
    severity = marks.worst(w.code for w in found)
    words = " ".join(dict.fromkeys(" ".join(marks.sentence(w).split()) for w in found))
    return f"{marks.SIGNS[severity]} {'not believed: ' if severity == 'red' else ''}{words}" if found else ""


def cells(state: RunState) -> list[Evaluated]:
    """The robustness table, row by row."""
    rows = (state.table.get(checkpoint, {}) for checkpoint in state.checkpoints)
    return [row[attack] for row in rows for attack in state.attacks if attack in row]


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
        else:
            is_plain = isinstance(value, (bool, int, float, str))
            flat[name[:MAX_NAME]] = value if is_plain else json.dumps(value, default=str)

    take("", table)
    return flat


_Values = Mapping[str, float | None]


def _of_event(event: StepDone | EpochDone | Validated, values: _Values) -> Iterator[Scalar]:
    """What was not finite came to us as None."""
    for name, value in values.items():
        yield Scalar(name, event.step, math.nan if value is None else value, event.time)


def _step_values(event: StepDone) -> _Values:
    terms = {f"train_terms/{part(term)}": value for term, value in event.terms.items()}
    pace = {"train/learning_rate": event.learning_rate, "train/images_per_second": event.images_per_second}
    return {"train/loss": event.loss, **terms, **pace}


def _epoch_values(event: EpochDone, classes: Sequence[str]) -> _Values:
    values = {"epoch/loss": event.loss, "epoch/seconds": event.seconds, "epoch/number": event.epoch}
    if event.peak_memory is not None:
        values["epoch/peak_memory_bytes"] = event.peak_memory
    for group in ("teacher_clean", "teacher_robust", "student_clean", "student_robust"):
        values |= _per_class(group, getattr(event, group), classes)
    return values


def _per_class(group: str, values: Sequence[float], classes: Sequence[str]) -> _Values:
    """Numbers alone where a log tells of another count of classes."""
    names = classes if len(classes) == len(values) else [str(place) for place in range(len(values))]
    return {f"{group}/{name}": value for name, value in zip(names, values, strict=True)}
