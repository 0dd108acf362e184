"""What the log says of training and validation, held against the config, the other files and the data.

Nothing is computed again here: what an event, the status, provenance.json, a checkpoint and the weights say of the same
thing must be the same.
"""

from collections.abc import Iterator
from functools import reduce
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from engine.evaluate.outcomes import FAILS, HOLDS, UNKNOWN, CheckResult
from engine.runtime.device import FORMATS
from engine.spec import files, toml
from engine.spec.config import JudgeConfig, RunConfig
from engine.spec.errors import CheckpointError, brief
from engine.spec.events import (
    CheckpointSaved,
    EpochDone,
    EvaluationStarted,
    RunFailed,
    RunFinished,
    RunResumed,
    RunStarted,
    RunStopped,
    StepDone,
    TeacherChecked,
    TrainingStarted,
    Validated,
    Warned,
)
from engine.spec.machine import Machine, decode
from engine.spec.outcomes import is_count
from engine.spec.status import Status
from engine.spec.toml_text import decoded
from engine.spec.training import Selection
from engine.teachers import weights
from engine.train import checkpoint
from engine.train.reporter import first_status, status_after
from engine.types import Dataset
from engine.verify.verify_files import StoredRun, differing

FLOAT32 = 1e-6  # accuracies per class were computed in it
GIVEN_UP = (("complete", "off"), ("lazy", "off"))  # tables that an earlier engine asked for and could not keep
ENDS = {"done": RunFinished, "stopped": RunStopped, "failed": RunFailed}

NAMES = ("data", "epsilon", "name", "method", "student", "seed", "teacher", "group_hash", "epochs")  # of a status
Pairs = list[tuple[str, object, object]]  # name, what is said, what it is


def check(stored: StoredRun) -> Iterator[CheckResult]:
    """All of it that needs no data."""
    yield _names(stored)
    if stored.status is not None and stored.status.phase in ENDS:
        yield CheckResult.of("status", differing(_status(stored, stored.status)), "follows from the log")
    yield from _preset(stored)
    if said := _announced(stored):
        yield CheckResult.of("announced", differing(said), "the log announces what config.toml asks for")
    if isinstance(stored.config, RunConfig):
        yield from _switches(stored)
        yield from _teacher(stored)
        yield from _selected(stored, stored.config)
        yield from _checkpoints(stored, stored.config)


def _names(stored: StoredRun) -> CheckResult:
    """What a list of runs and a table say of a run beside its figures: they are its config's."""
    status, facts = stored.status, stored.facts
    wanted, empty = first_status(stored.run, stored.config, 0.0), Status(run="", phase="starting")
    said: Pairs = [(f"status.json: {key}", getattr(status, key), getattr(wanted, key)) for key in NAMES
                   if status and getattr(status, key) != getattr(empty, key)]  # fmt: skip
    said += [("the log's first event: name", e.name, wanted.name) for e in stored.all(RunStarted)[-1:]]
    if isinstance(stored.config, RunConfig):
        said += [(f"provenance.json: {key}", facts[key], getattr(wanted, key)) for key in ("seed", "group_hash")
                 if key in facts]  # fmt: skip
    return CheckResult.of("names", differing(said), f"{len(said)} places say what config.toml says")


def _status(stored: StoredRun, status: Status) -> Pairs:
    """The last status of an engine that said its last word, and what follows from the log."""
    follows = reduce(status_after, stored.events, Status(run="", phase="starting"))
    ends = [phase for phase, kind in ENDS.items() if any(isinstance(event, kind) for event in stored.events[-1:])]
    keys = ["step", "loss"] if stored.last(StepDone) else []
    keys += ["epoch", "validation"] if stored.last(Validated) else []
    keys += ["total_steps"] if stored.last(TrainingStarted) else []
    if follows.probed or status.marks or status.probed:  # earlier engines kept none
        keys += ["marks", "probed"]
    keys += ["results_n"] if follows.results_n and status.results else []
    return [
        ("warnings", status.warnings, follows.warnings),
        ("best_epoch", status.best_epoch, follows.best_epoch),
        *(("phase", status.phase, phase) for phase in ends),
        *((key, getattr(status, key), getattr(follows, key)) for key in keys),
    ]


def _preset(stored: StoredRun) -> Iterator[CheckResult]:
    """What the user wrote, beside what the run was made of: settings of a command line and `extends` stand between."""
    path = stored.run.preset
    if not path.is_file():
        return
    try:
        text = decoded(files.content_of(path))
    except (OSError, ValueError) as error:
        yield CheckResult("preset.toml", FAILS, f"cannot be read: {brief(error)}")
        return
    if isinstance(stored.config, JudgeConfig):
        return  # its preset is its config
    meant = toml.config_of(text, path)
    if meant is not None and meant.config_hash == stored.config.config_hash:
        yield CheckResult("preset.toml", HOLDS, "asks for this very run")
        return
    apart = sorted(_keys_apart(meant.to_table(), stored.config.to_table())) if meant else []
    words = f"differs from config.toml in {', '.join(apart)[:300]}" if apart else "cannot be understood by itself"
    yield CheckResult("preset.toml", UNKNOWN, f"{words}: set where the run was started, or changed since")


def _keys_apart(one: dict[str, Any], other: dict[str, Any], at: str = "") -> Iterator[str]:
    for key in {**one, **other}:
        here, there, where = one.get(key), other.get(key), f"{at}{key}"
        if isinstance(here, dict) and isinstance(there, dict):
            yield from _keys_apart(here, there, f"{where}.")
        elif here != there:
            yield where


def _announced(stored: StoredRun) -> Pairs:
    """What the log says that will be evaluated, and what was trained; and what config.toml asks for."""
    config, begun, training = stored.config, stored.last(EvaluationStarted), stored.last(TrainingStarted)
    said: Pairs = []
    if begun is not None:
        asked = {attack.key for attack in config.evaluation.attacks}
        said += [
            ("evaluation_started: checkpoints", begun.checkpoints, list(config.evaluation.checkpoints)),
            ("evaluation_started: attacks", sorted({*begun.attacks} - {"clean", "worst"}), sorted(asked)),
            ("evaluation_started: split", begun.split, "test"),
        ]
        for record in (record for row in stored.records.values() for record in row.values()):
            said += [("evaluation_started: n", begun.n, record.n), ("evaluation_started: of", begun.of, record.of)]
    if training is not None and isinstance(config, RunConfig):
        said += [("training_started: epochs", training.epochs, config.training.epochs)]
        whole, rest = divmod(training.images, config.training.batch_size)
        steps = whole + (not config.training.drop_last and rest > 1)
        said += [("training_started: steps_per_epoch", training.steps_per_epoch, steps)]
        done = stored.all(StepDone)
        said += [("step_done: epoch", e.epoch, 1 + (e.step - 1) // max(1, training.steps_per_epoch)) for e in done]
        said += [("step_done: step", e.step, f"above {b.step}") for b, e in pairwise(done) if e.step <= b.step]
        ends = [e for e in stored.events if isinstance(e, EpochDone | Validated)]
        said += [("the step after an epoch", e.step, e.epoch * training.steps_per_epoch) for e in ends]
    return said


def _switches(stored: StoredRun) -> Iterator[CheckResult]:
    """The fast path's switches: those of the log, of provenance.json and of machine.json."""
    training, told = stored.last(TrainingStarted), stored.facts.get("switches")
    if training is None:
        return
    if not isinstance(told, dict):
        yield CheckResult("switches", UNKNOWN, "provenance.json names none")
        return
    pairs: Pairs = [
        (f"provenance.json: {key}", told.get(key), training.switches.get(key)) for key in {**told, **training.switches}
        if key != "table" or (told.get(key), training.switches.get(key)) not in GIVEN_UP
    ]  # fmt: skip
    layouts = [note for note in training.notes if note in FORMATS][:1]
    pairs += [("provenance.json: layout", stored.facts["layout"], one) for one in layouts if "layout" in stored.facts]
    pairs += [("provenance.json: device", stored.facts.get("device", training.device), training.device)]
    if wrong := differing(pairs):
        yield CheckResult("switches", FAILS if stored.done or not stored.all(RunResumed) else UNKNOWN, wrong)
        return
    try:
        machine = files.parsed(files.content_of(stored.run.machine), decode)
    except FileNotFoundError:
        yield CheckResult("switches", UNKNOWN, "machine.json is gone")
        return
    except (OSError, ValueError) as error:
        yield CheckResult("switches", FAILS, f"machine.json: {brief(error)}")
        return
    wrong = differing([*_fixed(machine, training.switches), *_folded(stored, machine)])
    yield CheckResult.of("switches", wrong, "the log, provenance.json and machine.json agree")


def _fixed(machine: Machine, switches: dict[str, str]) -> Pairs:
    """What machine.json fixes, as far as no net and no device can stand against it."""
    parts = ("teacher", "inner", "outer")
    if machine.exact:
        fixed = dict.fromkeys(("folded", "graphs", "table"), "off") | dict.fromkeys(parts, "float32")
    else:
        fixed = {part: "float32" for part in parts[::-1] if getattr(machine, f"{part}_precision") == "float32"}
        fixed |= {key: "off" for key in ("table", "graphs") if getattr(machine, key) == "off"}
        fixed |= {"folded": "off"} if machine.folded == "off" and machine.inner_precision == "auto" else {}
    return [(key, switches[key], value) for key, value in fixed.items() if key in switches]


def _folded(stored: StoredRun, machine: Machine) -> Pairs:
    """Whether attacks climbed on a folded copy, by the records; engines of other machines may have made them."""
    if len(stored.engines) > 1 or any(e.code == "not_folded" for e in stored.all(Warned)):
        return []
    return [
        (f"{record.checkpoint} {record.attack}: folded", record.folded, record.attack != "clean" and machine.folds)
        for row in stored.records.values()
        for record in row.values()
        if record.attack != "worst"  # the worst case is as folded as its parts, which is looked at with its bits
    ]


def _teacher(stored: StoredRun) -> Iterator[CheckResult]:
    """The teacher that was measured is the one that provenance.json names, and the figures are those of n images."""
    checked, noted = stored.last(TeacherChecked), stored.facts.get("teacher")
    if checked is None:
        return
    said = noted if isinstance(noted, dict) else {}
    keys = ("sha256", "source") if len(stored.engines) == 1 else ("sha256",)
    told = {key: getattr(checked, key) for key in keys}
    wrong = differing([(f"teacher_checked: {key}", value, said.get(key, value)) for key, value in told.items()])
    shares = (checked.clean, checked.robust)
    if not all(is_count(share, checked.n) for share in shares):
        wrong = wrong or f"teacher_checked: {shares} are no shares of {checked.n} images"
    if checked.robust > checked.clean:
        wrong = wrong or "teacher_checked: more images are right under attack than before"
    yield CheckResult.of("teacher checked", wrong, f"on {checked.n} images, sha256 {checked.sha256[:12]}")


def _selected(stored: StoredRun, config: RunConfig) -> Iterator[CheckResult]:
    """`best` is the first epoch of the highest accuracy, and the weights are of it."""
    told = stored.all(Validated)
    if not told:
        if stored.done:
            yield CheckResult("validation", UNKNOWN, "the log tells of none")
        return
    wrong = _unlike(told, config.selection, config.training.epochs, done=stored.done)
    yield CheckResult.of("validation", wrong, f"{len(told)} epochs; their flags follow from their accuracies")
    best = max(told, key=lambda v: (v.accuracy.get(v.by, 0.0), -v.epoch))
    epochs = {"best": best.epoch, "last": config.training.epochs}
    for name, header in stored.headers.items():
        what, epoch = f"epoch of {name}", header.get("epoch")
        if epoch is None:
            yield CheckResult(what, UNKNOWN, "its weights name none")
        elif stored.done:
            wrong = differing([("its weights are of epoch", epoch, str(epochs[name]))])
            yield CheckResult.of(what, wrong, f"epoch {epoch}, as the validations say")


def _unlike(told: list[Validated], selection: Selection, epochs: int, *, done: bool) -> str:
    """What of the validations is not as the config asks, or does not follow; empty when everything does."""
    due = [epoch for epoch in range(1, epochs + 1) if not epoch % selection.every or epoch == epochs]
    if [v.epoch for v in told] != (due if done else due[: len(told)]):
        return f"epochs {[v.epoch for v in told][:20]} were validated, not {due[:20]}"
    highest, keys = -1.0, {"clean", *(attack.key for attack in selection.attacks)}
    for v in told:
        if v.by != selection.by or v.accuracy.keys() != keys:
            return f"epoch {v.epoch} was validated by {v.by} and on {', '.join(v.accuracy)}, not as config.toml asks"
        if not all(is_count(share, v.n) for share in v.accuracy.values()):
            return f"epoch {v.epoch}: its accuracies are no shares of {v.n} images"
        if any(share > v.accuracy["clean"] for share in v.accuracy.values()):
            return f"epoch {v.epoch}: more images are right under attack than before"
        if any(max(shares, default=1.0) < v.accuracy.get(key, 0.0) - 1e-9 for key, shares in v.per_class.items()):
            return f"epoch {v.epoch}: no class is right as often as all together"
        if v.best != (v.accuracy[v.by] > highest):
            return f"epoch {v.epoch} is {'' if v.best else 'not '}called the best so far, against its accuracy"
        highest = max(highest, v.accuracy[v.by])
    return ""


def _checkpoints(stored: StoredRun, config: RunConfig) -> Iterator[CheckResult]:
    """Those that are left: whole, of this run, and as the log tells; the last one holds the last weights."""
    whole = 0
    for path in sorted(stored.run.checkpoints.glob("*.pt")):
        what = f"checkpoint {path.name[:6]}"
        try:
            state = checkpoint.read(path)
        except (CheckpointError, OSError) as error:
            yield CheckResult(what, FAILS, getattr(error, "what", str(error))[:200])
            continue
        says = {key: _plain(value) for key, value in state.items()}
        event = next((e for e in reversed(stored.all(CheckpointSaved)) if e.file == path.name), None)
        pairs: Pairs = [("its config", says.get("config_hash"), config.config_hash)]
        if isinstance(hashes := stored.facts.get("data_sha256"), dict):
            pairs += [("its data", says.get("data"), hashes.get("train"))]
        noted = stored.facts.get("teacher")
        if isinstance(noted, dict) or (noted is None and stored.facts):
            pairs += [("its teacher", says.get("teacher"), noted.get("sha256") if noted else "")]
        if event is not None:
            pairs += [
                ("checkpoint_saved: bytes", event.bytes, path.stat().st_size),
                ("checkpoint_saved: step", event.step, says.get("step")),
                ("checkpoint_saved: epoch", event.epoch + 1, says.get("epoch")),
            ]
        best = state["best"] if isinstance(state.get("best"), dict) else {}
        epoch, accuracy = _plain(best.get("epoch", -1)), _plain(best.get("accuracy"))
        if (v := next((v for v in stored.all(Validated) if v.epoch == epoch), None)) or not isinstance(epoch, int):
            pairs += [("its best accuracy", accuracy, v.accuracy.get(v.by) if v else f"of an epoch {epoch}")]
        wrong = differing(pairs)
        if not wrong and says.get("epoch") == config.training.epochs + 1 and "last" in stored.headers:
            same_student = _equal(state.get("student"), weights.load(stored.run.weights_of("last"))[0])
            wrong = "" if same_student else "its student is not the one of last.safetensors"
        if wrong:
            yield CheckResult(what, FAILS, wrong)
        whole += not wrong
    if whole:
        yield CheckResult("checkpoints", HOLDS, f"{whole} whole, of this config, data and teacher")


def _plain(value: object) -> object:
    """What a checkpoint says, if it is words or a number; else what kind of thing stands there."""
    return value if value is None or isinstance(value, int | float | str) else f"a {type(value).__name__}"


def _equal(one: object, other: dict[str, Tensor]) -> bool:
    return (
        isinstance(one, dict)
        and one.keys() == other.keys()
        and all(isinstance(value, Tensor) and torch.equal(value.cpu(), other[key]) for key, value in one.items())
    )


def check_data(
    stored: StoredRun, config: RunConfig, images: int, validation: Tensor, dataset: Dataset, parameters: int
) -> Iterator[CheckResult]:
    """What is said of the images and of the student before the first step, and of the validation images' classes.

    `images` are trained with; `validation` holds the labels of the validation part.
    """
    training, classes, noted = stored.last(TrainingStarted), dataset.classes, stored.facts.get("images")
    sizes = {"train": len(dataset.train.labels), "test": len(dataset.test.labels)}
    wrong = differing([("provenance.json: images", noted or sizes, sizes)])
    yield CheckResult.of("images", wrong, "as many as provenance.json says")
    if training is not None:
        few = [f"trained on {images} images only, not on the whole split"] if config.data.train_images else []
        pairs: Pairs = [
            ("images", training.images, images),
            ("classes", training.classes, list(classes)),
            ("student_parameters", training.student_parameters, parameters),
            ("warning of a part of the images",
             [e.message for e in stored.all(Warned) if e.code == "train_subset"], few),
        ]  # fmt: skip
        words = f"{images} images of {len(classes)} classes, as the data say"
        yield CheckResult.of("training_started", differing(pairs), words)
    told = stored.all(Validated)
    if any(v.per_class for v in told) or any(v.n != len(validation) for v in told):
        wrong = next(filter(None, (_not_the_mean(v, validation) for v in told)), "")
        yield CheckResult.of("validation by class", wrong, f"{len(told)} epochs, each the mean of its classes")


def _not_the_mean(v: Validated, labels: Tensor) -> str:
    """What of a validation by class is not of images of these labels, or has another mean; empty when all is."""
    counts = torch.bincount(labels).tolist()
    if v.n != len(labels):
        return f"epoch {v.epoch}: {v.n} images, there are {len(labels)}"
    for key, shares in v.per_class.items():
        padded = counts + [0] * (len(shares) - len(counts))
        right = sum(share * count for share, count in zip(shares, padded, strict=False))
        if len(shares) < len(counts) or abs(right / v.n - v.accuracy.get(key, -1.0)) > FLOAT32:
            return f"epoch {v.epoch}: {key} is not the mean of its classes"
    return ""
