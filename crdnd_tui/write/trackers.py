"""What TensorBoard and MLflow are told of a run: its config as parameters, its numbers, its results with their marks.

Names are those that both take: words, `/` between them, and per class `teacher_clean/03 cat`.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NamedTuple

from crdnd_tui.compare.config import leaves
from crdnd_tui.core import marks, run_reader, run_status
from crdnd_tui.core.state import RunState
from crdnd_tui.core.text import display
from engine.spec import files, toml
from engine.spec.config import JudgeConfig, RunConfig
from engine.spec.errors import CrdndError, RunFolderError
from engine.spec.events import Evaluated
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


class TrackedResult(NamedTuple):
    """An accuracy on the test split, with the sign and the sentences of its marks: `!! not believed: ...`."""

    name: str  # test_best/autoattack
    cell: Evaluated
    is_struck: bool
    sign: str
    marks: str


def results(state: RunState) -> list[TrackedResult]:
    """The robustness table, row by row."""
    rows = (state.table.get(checkpoint, {}) for checkpoint in state.checkpoints)
    made = []
    for cell in (row[attack] for row in rows for attack in state.attacks if attack in row):
        severity = state.severity(cell.checkpoint, cell.attack)
        name, said = f"test_{part(cell.checkpoint)}/{part(cell.attack)}", _marked(state, cell.checkpoint, cell.attack)
        made.append(TrackedResult(name, cell, severity == "red", marks.SIGNS[severity], said))
    return made


def _marked(state: RunState, checkpoint: str, attack: str) -> str:
    found = state.marks(checkpoint, attack)
    severity = marks.worst(w.code for w in found)
    words = " ".join(dict.fromkeys(" ".join(marks.sentence(w).split()) for w in found))
    return f"{marks.SIGNS[severity]} {'not believed: ' if severity == 'red' else ''}{words}" if found else ""


def scalars(state: RunState) -> Iterator[Scalar]:
    """All of them, series by series; the results on the test split stand at the last step.

    Beside a result that is not believed stands a 0 of the same name under `test_best_believed`.
    """
    classes = class_names(state.training.classes if state.training else ())

    def told(event: Any, *groups: tuple[str, Mapping[str, float | None]]) -> Iterator[Scalar]:  # noqa: ANN401
        for group, values in groups:
            for name, value in values.items():
                yield Scalar(f"{group}/{name}", event.step, math.nan if value is None else value, event.time)

    def per_class(values: Sequence[float]) -> Mapping[str, float]:
        """By numbers alone where a log tells of another count of classes."""
        names = classes if len(classes) == len(values) else map(str, range(len(values)))
        return dict(zip(names, values, strict=True))

    for step in state.steps:
        pace = {"learning_rate": step.learning_rate, "images_per_second": step.images_per_second}
        terms = {part(term): value for term, value in step.terms.items()}
        yield from told(step, ("train", {"loss": step.loss}), ("train_terms", terms), ("train", pace))
    for epoch in state.epochs:
        memory = {} if epoch.peak_memory is None else {"peak_memory_bytes": epoch.peak_memory}
        yield from told(
            epoch, ("epoch", {"loss": epoch.loss, "seconds": epoch.seconds, "number": epoch.epoch, **memory})
        )
        for group in ("teacher_clean", "teacher_robust", "student_clean", "student_robust"):
            yield from told(epoch, (group, per_class(getattr(epoch, group))))
    for validation in state.validations:
        for attack, value in validation.accuracy.items():
            said = _marked(state, "", part(attack))
            yield Scalar(f"validation/{part(attack)}", validation.step, value, validation.time, said)
        for attack, values in validation.per_class.items():
            yield from told(validation, (f"validation_{part(attack)}", per_class(values)))
    for result in results(state):
        when = min(result.cell.time, state.last)  # a file tells no time
        yield Scalar(result.name, state.step, result.cell.accuracy, when, result.marks)
        if result.is_struck:
            yield Scalar(result.name.replace("/", "_believed/"), state.step, 0.0, when)


def part(word: str) -> str:
    """A word as a part of a name: no other characters than both take, and never `.` or `..`."""
    clean = _FOREIGN.sub("_", word).strip(" .")
    return clean[: MAX_NAME // 2] or "_"


def class_names(classes: Sequence[str]) -> list[str]:
    """Each with its number before it, so that they sort and none is lost: `03 cat`; digits are their own numbers."""
    width = len(str(max(0, len(classes) - 1)))
    return [f"{k:0{width}}" + ("" if name == str(k) else f" {part(name)}") for k, name in enumerate(classes)]


def flattened(table: Mapping[str, Any]) -> dict[str, bool | int | float | str]:
    """A config as `training.epochs` -> 40; a list of tables by its places, other lists as JSON."""
    found = leaves(table, part, lambda items: [str(place) for place, _ in enumerate(items)])
    return {
        name[:MAX_NAME]: value if isinstance(value, bool | int | float | str) else json.dumps(value, default=str)
        for name, value in found
        if value != {}
    }
