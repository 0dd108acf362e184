"""What the log says of a run and its training, held against the config, the other files and the data.

Training is not repeated: what an event, the status, provenance.json, machine.json, a checkpoint and the weights say of
the same thing must be the same.
"""

from collections.abc import Iterator
from functools import reduce
from itertools import pairwise

import torch

from engine.data.splits import split_training
from engine.evaluate.outcomes import FAILS, HOLDS, UNKNOWN, CheckResult
from engine.runtime.device import FORMATS
from engine.spec import events, files, toml
from engine.spec.config import JudgeConfig, RunConfig
from engine.spec.errors import CheckpointError, brief
from engine.spec.machine import Machine, decode
from engine.spec.status import Status
from engine.spec.toml_text import decode_utf8
from engine.teachers import saved_run, weights
from engine.train import checkpoint
from engine.train.reporter import first_status, status_after
from engine.train.selection import due_epochs
from engine.types import Dataset
from engine.verify.recorded import Pairs, StoredRun, differing, fields

FLOAT32 = 1e-6  # accuracies per class were computed in it
GIVEN_UP = (("complete", "off"), ("lazy", "off"))  # tables that an earlier engine asked for and could not keep
ENDS = {"done": events.RunFinished, "stopped": events.RunStopped, "failed": events.RunFailed}
NAMES = ("data", "epsilon", "name", "method", "student", "seed", "teacher", "group_hash", "epochs")  # of a status


def check(stored: StoredRun) -> Iterator[CheckResult]:
    """All of it that needs no data."""
    first = first_status(stored.run, stored.config, 0.0)
    yield _names(stored, first)
    if stored.status is not None and stored.status.phase in ENDS:
        yield CheckResult.of("status", differing(_status(stored, stored.status, first)), "follows from the log")
    yield from _preset(stored)
    if said := _announced(stored):
        yield CheckResult.of("announced", differing(said), "the log announces what config.toml asks for")
    if isinstance(stored.config, RunConfig):
        yield from _switches(stored)
        yield from _teacher(stored)
        yield from _selected(stored, stored.config)
        yield from _checkpoints(stored, stored.config)


def _names(stored: StoredRun, first: Status) -> CheckResult:
    """What a list of runs and a table say of a run beside its figures: they are its config's."""
    status, empty = stored.status, Status(run="", phase="starting")
    known = [key for key in NAMES if getattr(status, key, None) not in (None, getattr(empty, key))]
    said = fields("status.json:", status, first, known) if status else []
    said += [("the log's first event: name", e.name, first.name) for e in stored.all(events.RunStarted)[-1:]]
    if isinstance(stored.config, RunConfig):
        facts = [key for key in ("seed", "group_hash") if key in stored.facts]
        said += fields("provenance.json:", stored.facts, first, facts)
    return CheckResult.of("names", differing(said), f"{len(said)} places say what config.toml says")


def _status(stored: StoredRun, status: Status, first: Status) -> Pairs:
    """The last status of an engine that said its last word, and what follows from the log."""
    follows = reduce(status_after, stored.log.events, first)
    ends = [phase for phase, kind in ENDS.items() if any(isinstance(event, kind) for event in stored.log.events[-1:])]
    keys = ["warnings", "best_epoch", *(["step", "loss"] if stored.last(events.StepDone) else [])]
    keys += ["epoch", "validation"] if stored.last(events.Validated) else []
    keys += ["total_steps"] if stored.last(events.TrainingStarted) else []
    keys += ["marks", "probed"] if follows.probed or status.marks or status.probed else []  # earlier engines kept none
    keys += ["results_n"] if follows.results_n and status.results else []
    return [*fields("", status, follows, keys), *(("phase", status.phase, phase) for phase in ends)]


def _preset(stored: StoredRun) -> Iterator[CheckResult]:
    """What the user wrote, beside what the run was made of: settings of a command line and `extends` stand between."""
    path, what = stored.run.preset, "preset.toml"
    if not path.is_file():
        return
    try:
        text = decode_utf8(files.content_of(path))
    except (OSError, ValueError) as error:
        yield CheckResult(what, FAILS, f"cannot be read: {brief(error)}")
        return
    if isinstance(stored.config, JudgeConfig):
        return  # its preset is its config
    meant = toml.config_of(text, path)
    if meant is not None and meant.config_hash == stored.config.config_hash:
        yield CheckResult(what, HOLDS, "asks for this very run")
        return
    words = "cannot be understood by itself"
    if meant is not None:
        lines = set(toml.dump(stored.config).splitlines()) - set(toml.dump(meant).splitlines())
        words = f"does not say: {', '.join(sorted(lines))[:300]}"
    yield CheckResult(what, UNKNOWN, f"{words}: set where the run was started, or changed since")


def _announced(stored: StoredRun) -> Pairs:
    """What the log says that will be evaluated, and what was trained; and what config.toml asks for."""
    config, begun, training = stored.config, stored.last(events.EvaluationStarted), stored.last(events.TrainingStarted)
    said: Pairs = []
    if begun is not None:
        asked = sorted(attack.key for attack in config.evaluation.attacks)
        wanted = {"checkpoints": list(config.evaluation.checkpoints), "split": "test"}
        said += fields("evaluation_started:", begun, wanted)
        said += [("evaluation_started: attacks", sorted({*begun.attacks} - {"clean", "worst"}), asked)]
        for row in stored.records.values():
            for record in row.values():
                said += fields("evaluation_started:", begun, record, ("n", "of"))
    if training is not None and isinstance(config, RunConfig):
        steps = config.training.steps_per_epoch(training.images)
        own = {"epochs": config.training.epochs, "steps_per_epoch": steps}
        said += fields("training_started:", training, own)
        done = stored.all(events.StepDone)
        said += [("step_done: epoch", e.epoch, 1 + (e.step - 1) // max(1, steps)) for e in done]
        said += [("step_done: step", e.step, f"above {b.step}") for b, e in pairwise(done) if e.step <= b.step]
        ends = [e for e in stored.log.events if isinstance(e, events.EpochDone | events.Validated)]
        said += [("the step after an epoch", e.step, e.epoch * steps) for e in ends]
    return said


def _switches(stored: StoredRun) -> Iterator[CheckResult]:
    """The fast path's switches: those of the log, of provenance.json and of machine.json."""
    what, training, told = "switches", stored.last(events.TrainingStarted), stored.facts.get("switches")
    if training is None:
        return
    if not isinstance(told, dict):
        yield CheckResult(what, UNKNOWN, "provenance.json names none")
        return
    on = training.switches
    names = [key for key in {**told, **on} if key != "table" or (told.get(key), on.get(key)) not in GIVEN_UP]
    layout = next((note for note in training.notes if note in FORMATS), None)
    machine = {"layout": layout or stored.facts.get("layout"), "device": training.device}
    known = [key for key in machine if key in stored.facts]
    pairs = fields("provenance.json:", told, on, names) + fields("provenance.json:", stored.facts, machine, known)
    if wrong := differing(pairs):
        yield CheckResult(what, FAILS if stored.done or not stored.all(events.RunResumed) else UNKNOWN, wrong)
        return
    try:
        asked = files.parsed(files.content_of(stored.run.machine), decode)
    except FileNotFoundError:
        yield CheckResult(what, UNKNOWN, "machine.json is gone")
    except (OSError, ValueError) as error:
        yield CheckResult(what, FAILS, f"machine.json: {brief(error)}")
    else:
        fixed = _fixed(asked)
        wrong = differing(fields("", on, fixed, [key for key in fixed if key in on]) + _folded(stored, asked))
        yield CheckResult.of(what, wrong, "the log, provenance.json and machine.json agree")


def _fixed(machine: Machine) -> dict[str, str]:
    """Switches that machine.json fixes, whatever the nets and the device are."""
    parts = ("teacher", "inner", "outer")
    if machine.exact:
        return dict.fromkeys(("folded", "graphs", "table"), "off") | dict.fromkeys(parts, "float32")
    fixed = {part: "float32" for part in parts if getattr(machine, f"{part}_precision") == "float32"}
    fixed |= {key: "off" for key in ("table", "graphs") if getattr(machine, key) == "off"}
    return fixed | ({"folded": "off"} if machine.folded == "off" and machine.inner_precision == "auto" else {})


def _folded(stored: StoredRun, machine: Machine) -> Pairs:
    """Whether attacks climbed on a folded copy, by the records; engines of other machines may have made them."""
    if len(stored.engines) > 1 or any(e.code == "not_folded" for e in stored.all(events.Warned)):
        return []
    return [
        (f"{record.checkpoint} {record.attack}: folded", record.folded, record.attack != "clean" and machine.folds)
        for row in stored.records.values()
        for record in row.values()
        if record.attack != "worst"  # the worst case is as folded as its parts, which is looked at with its bits
    ]


def _teacher(stored: StoredRun) -> Iterator[CheckResult]:
    """The teacher that was measured is the one that provenance.json names, and the figures are those of n images."""
    checked, noted = stored.last(events.TeacherChecked), stored.facts.get("teacher")
    if checked is None:
        return
    said = noted if isinstance(noted, dict) else {}
    keys = [key for key in ("sha256", *(["source"] if len(stored.engines) == 1 else [])) if key in said]
    pairs = fields("teacher_checked:", checked, said, keys)
    pairs += _shares("teacher_checked:", {"clean": checked.clean, "robust": checked.robust}, checked.n)
    yield CheckResult.of("teacher checked", differing(pairs), f"on {checked.n} images, sha256 {checked.sha256[:12]}")


def _shares(name: str, accuracy: dict[str, float], n: int) -> Pairs:
    """Accuracies are whole numbers of n images, and none is above that of the clean images."""
    counts = [(f"{name} {key}", share, round(share * n) / n if n else None) for key, share in accuracy.items()]
    return [*counts, *((f"{name} {key}", share, min(share, accuracy["clean"])) for key, share in accuracy.items())]


def _selected(stored: StoredRun, config: RunConfig) -> Iterator[CheckResult]:
    """`best` is the first epoch of the highest accuracy, and the weights are of it."""
    told = stored.all(events.Validated)
    if not told:
        if stored.done:
            yield CheckResult("validation", UNKNOWN, "the log tells of none")
        return
    wrong = differing(_validations(told, config, done=stored.done))
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


def _validations(told: list[events.Validated], config: RunConfig, *, done: bool) -> Pairs:
    """Each is as the config asks, and called the best so far where its accuracy says so."""
    due, by = due_epochs(config), config.selection.by
    pairs: Pairs = [("validated epochs", [v.epoch for v in told], due if done else due[: len(told)])]
    highest, keys = -1.0, sorted({"clean", *(attack.key for attack in config.selection.attacks)})
    for v in told:
        name = f"epoch {v.epoch}:"
        pairs += [*fields(name, v, {"by": by}), (f"{name} attacks", sorted(v.accuracy), keys)]
        if sorted(v.accuracy) != keys:
            break
        pairs += [*_shares(name, v.accuracy, v.n), (f"{name} best so far", v.best, v.accuracy[by] > highest)]
        for key, shares in v.per_class.items():
            most = max(shares, default=1.0)
            pairs.append((f"{name} the best class of {key}", most, max(most, v.accuracy.get(key, 0.0))))
        highest = max(highest, v.accuracy[by])
    return pairs


def _checkpoints(stored: StoredRun, config: RunConfig) -> Iterator[CheckResult]:
    """Those that are left: whole, of this run, and as the log tells; the last one holds the last weights."""
    whole, noted, hashes = 0, stored.facts.get("teacher"), stored.facts.get("data_sha256")
    own: dict[str, object] = {"config_hash": config.config_hash}
    own |= {"data": hashes.get("train")} if isinstance(hashes, dict) else {}
    if isinstance(noted, dict) or (noted is None and stored.facts):
        own |= {"teacher": noted.get("sha256") if noted else ""}
    best = {v.epoch: v.accuracy.get(v.by) for v in stored.all(events.Validated)}
    for path in sorted(stored.run.checkpoints.glob("*.pt")):
        what = f"checkpoint {path.name[:6]}"
        try:
            state = checkpoint.read(path)
        except (CheckpointError, OSError) as error:
            yield CheckResult(what, FAILS, getattr(error, "what", str(error))[:200])
            continue
        pairs = fields("its", state, own)
        event = next((e for e in reversed(stored.all(events.CheckpointSaved)) if e.file == path.name), None)
        if event is not None:
            known = {"bytes": path.stat().st_size, "step": state.get("step"), "epoch": state.get("epoch")}
            said = {"bytes": event.bytes, "step": event.step, "epoch": event.epoch + 1}
            pairs += fields("checkpoint_saved:", said, known)
        epoch, accuracy = (state.get("best", {}).get(key) for key in ("epoch", "accuracy"))
        if type(epoch) is not int or not isinstance(accuracy, float):
            pairs.append(("its best", "neither epoch nor accuracy", "both"))
        elif epoch in best:
            pairs.append(("its best accuracy", accuracy, best[epoch]))
        wrong = differing(pairs)
        if not wrong and state.get("epoch") == config.training.epochs + 1 and "last" in stored.headers:
            last, student = weights.load(stored.run.weights_of("last"))[0], state.get("student", {})
            if student.keys() != last.keys() or any(not torch.equal(student[key], last[key]) for key in last):
                wrong = "its student is not the one of last.safetensors"
        if wrong:
            yield CheckResult(what, FAILS, wrong)
        whole += not wrong
    if whole:
        yield CheckResult("checkpoints", HOLDS, f"{whole} whole, of this config, data and teacher")


def check_data(stored: StoredRun, config: RunConfig, dataset: Dataset) -> Iterator[CheckResult]:
    """What is said of the images and of the student before the first step, and of the validation images' classes."""
    training, noted, told = (
        stored.last(events.TrainingStarted),
        stored.facts.get("images"),
        stored.all(events.Validated),
    )
    sizes = {"train": len(dataset.train.labels), "test": len(dataset.test.labels)}
    wrong = differing([("provenance.json: images", noted or sizes, sizes)])
    yield CheckResult.of("images", wrong, "as many as provenance.json says")
    trained, validation, _places = split_training(config.data, dataset)
    images = len(trained.labels)
    if training is not None:
        net = saved_run.build(config.student, len(dataset.classes), dataset.image)
        few = [f"trained on {images} images only, not on the whole split"] if config.data.train_images else []
        wanted = {"images": images, "classes": list(dataset.classes),
                  "student_parameters": sum(p.numel() for p in net.parameters())}  # fmt: skip
        warned = [e.message for e in stored.all(events.Warned) if e.code == "train_subset"]
        wrong = differing([*fields("", training, wanted), ("warning of a part of the images", warned, few)])
        words = f"{images} images of {len(dataset.classes)} classes, as the data say"
        yield CheckResult.of("training_started", wrong, words)
    if any(v.per_class for v in told) or any(v.n != len(validation.labels) for v in told):
        counts = torch.bincount(validation.labels).tolist()
        wrong = differing(pair for v in told for pair in _class_means(v, counts))
        yield CheckResult.of("validation by class", wrong, f"{len(told)} epochs, each the mean of its classes")


def _class_means(v: events.Validated, counts: list[int]) -> Pairs:
    """A validation's images, and the accuracies that those by class give with so many images of each class."""
    pairs: Pairs = [(f"epoch {v.epoch}: n", v.n, sum(counts))]
    for key, shares in v.per_class.items():
        right = sum(share * count for share, count in zip(shares, counts, strict=False))
        mean, said = right / max(1, sum(counts)), v.accuracy.get(key, -1.0)
        pairs.append((f"epoch {v.epoch}: classes under {key}", len(shares), max(len(shares), len(counts))))
        name = f"epoch {v.epoch}: the mean of the classes under {key}"
        pairs.append((name, mean, mean if abs(mean - said) <= FLOAT32 else said))
    return pairs
