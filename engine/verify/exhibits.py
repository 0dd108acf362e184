"""The gallery of a saved run, looked at again: whole, of these weights and images, within the ball, and answered so."""

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engine.evaluate.context import EvaluationSubject
from engine.evaluate.outcomes import FAILS, HOLDS, UNKNOWN, CheckResult
from engine.spec import files, gallery
from engine.spec.config import JudgeConfig, RunConfig
from engine.spec.errors import brief
from engine.spec.outcomes import Outcome, unpack
from engine.spec.rundir import RunDir
from engine.types import Dataset
from engine.verify.audit import content_of

SLACK = 1e-6  # of a pixel: what float32 arithmetic leaves
ROUNDING = 1e-3  # of a probability: what another machine or another batch leaves
Ask = Callable[[Tensor], tuple[Tensor, Tensor | None]]  # N C H W -> probabilities of student and teacher, N K


def look(
    run: RunDir, config: RunConfig | JudgeConfig, digests: Mapping[str, str], dataset: Dataset | None
) -> Iterator[CheckResult]:
    """Galleries: whole, of these weights, within the ball, and of the images that they name."""
    epsilon = float(config.threat_model.epsilon)
    radii = {spec.key: epsilon for spec in config.evaluation.attacks if spec.bounded}
    for checkpoint in config.evaluation.checkpoints:
        path, what = run.gallery(checkpoint), f"gallery {checkpoint}"
        if not path.is_file():
            continue
        try:
            index = files.parsed(content_of(path), gallery.decode)
            shown = [
                _wrong(path.with_name(shelf.file), index.shape, shelf, radii.get(attack), dataset)
                for attack, shelf in index.attacks.items()
            ]
        except (OSError, ValueError, RuntimeError) as error:
            yield CheckResult(what, FAILS, f"is damaged: {brief(error)}")
            continue
        if index.v != 1:
            yield CheckResult(what, UNKNOWN, f"is of format {index.v}, which this engine does not know")
        elif index.weights_sha256 != digests.get(checkpoint, index.weights_sha256):
            yield CheckResult(what, FAILS, "is of other weights")
        elif wrong := [words for words in shown if words]:
            yield CheckResult(what, FAILS, "; ".join(wrong))
        else:
            count = sum(len(shelf.examples) for shelf in index.attacks.values())
            yield CheckResult(
                what, HOLDS, f"{count} examples of {len(index.attacks)} attacks, whole and within the ball"
            )


def _wrong(
    path: Path, shape: tuple[int, int, int], shelf: gallery.Shelf, radius: float | None, dataset: Dataset | None
) -> str:
    """What is wrong with an attack's pixels; empty when nothing is."""
    content = content_of(path)
    if hashlib.sha256(content).hexdigest() != shelf.sha256:
        return f"the hash of {path.name} is not the one in the index"
    if len(content) != 2 * len(shelf.examples) * math.prod(shape) * 4:
        return f"{path.name} has not the size of its examples"
    size = len(content) // (2 * max(1, len(shelf.examples)))
    places = [(2 * i * size, (2 * i + 1) * size) for i in range(len(shelf.examples))]
    if places != [(example.clean_offset, example.adversarial_offset) for example in shelf.examples]:
        return f"{path.name} does not lie as the index says"
    x, x_adv = _pixels(content, shape)
    if not bool((x_adv >= 0).all() and (x_adv <= 1).all()):
        return f"{path.name} leaves [0, 1]"
    if radius is not None and float((x_adv - x).abs().max()) > radius + SLACK:
        return f"{path.name} leaves the ball"
    if dataset is not None:
        chosen, labels = torch.tensor([e.index for e in shelf.examples]), [e.label for e in shelf.examples]
        if not bool(((chosen >= 0) & (chosen < len(dataset.test.labels))).all()):
            return f"{path.name} shows images that the test split does not have"
        if (
            not torch.equal(dataset.test.images[chosen].float() / 255, x)
            or dataset.test.labels[chosen].tolist() != labels
        ):
            return f"{path.name} shows other images than the test split"
    return ""


def _pixels(content: bytes, shape: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
    """Clean and adversarial images of a pixel file, each N C H W."""
    x, x_adv = torch.from_numpy(np.frombuffer(content, "<f4").copy()).view(-1, 2, *shape).unbind(1)
    return x, x_adv


def answers(
    run: RunDir, row: Mapping[str, Outcome], subject: EvaluationSubject, dataset: Dataset, ask: Ask, indices_sha256: str
) -> Iterator[CheckResult]:
    """What student and teacher say to the images in the gallery, asked again; and what the records say of them."""
    path, what = run.gallery(subject.checkpoint), f"examples {subject.checkpoint}"
    try:
        index = files.parsed(content_of(path), gallery.decode)
        shelves = {attack: (shelf, _pixels(content_of(path.with_name(shelf.file)), index.shape))
                   for attack, shelf in index.attacks.items()}  # fmt: skip
    except (OSError, ValueError, RuntimeError):  # there is none, or its damage was told
        return
    shape = tuple(dataset.test.images.shape[1:])
    if (tuple(index.classes), index.indices_sha256, tuple(index.shape)) != (dataset.classes, indices_sha256, shape):
        yield CheckResult(what, FAILS, "the index names other classes, other images or another shape")
        return
    position = {place: i for i, place in enumerate(subject.indices.tolist())}
    wrong = []
    for attack, (shelf, (x, x_adv)) in shelves.items():
        asked = (*ask(x), *ask(x_adv))
        why = next((why for i, e in enumerate(shelf.examples)
                    if (why := _answered(e, [None if side is None else side[i] for side in asked]))), "")  # fmt: skip
        record = row.get(attack)
        if not why and record is not None:
            why = next((why for e in shelf.examples if (why := _recorded(e, record, row, position))), "")
        wrong += [f"{attack}: {why}"] if why else []
    count = sum(len(shelf.examples) for shelf, _ in shelves.values())
    words = f"{count} answered as they are stored, and as the records say"
    yield CheckResult(what, FAILS if wrong else HOLDS, "; ".join(wrong)[:300] or words)


def _answered(example: gallery.Example, asked: Sequence[Tensor | None]) -> str:
    """Which stored probabilities are others than these: of student and teacher, clean and adversarial."""
    names = ("student_clean", "teacher_clean", "student_adversarial", "teacher_adversarial")
    for name, found in zip(names, asked, strict=True):
        stored = getattr(example, name)
        if found is None or (not stored and name.startswith("teacher")):
            continue
        values = [value if math.isfinite(value) else None for value in found.tolist()]
        if len(values) != len(stored) or not all(map(_alike, values, stored)):
            return f"image {example.index}: {name.replace('_', ', ')} gives other probabilities"
    return ""


def _alike(one: float | None, other: float | None) -> bool:
    return one is other if one is None or other is None else abs(one - other) <= ROUNDING


def _recorded(
    example: gallery.Example, record: Outcome, row: Mapping[str, Outcome], position: Mapping[int, int]
) -> str:
    """Whether an example says of itself what its record says of the image."""
    place, clean = position.get(example.index), row.get("clean")
    if place is None or place >= record.n:
        return f"image {example.index} was not judged"
    right = clean is not None and unpack(clean.robust, clean.n)[place]
    fooled = right and not unpack(record.robust, record.n)[place]
    before = clean.predicted[place] if clean is not None else example.predicted_clean
    answers_ = [value if value is not None else -math.inf for value in example.student_adversarial]
    after = record.predicted[place] if fooled else answers_.index(max(answers_)) if answers_ else -1
    if None in example.student_adversarial and not fooled:
        after = -1
    said = (example.fooled, example.predicted_clean, example.predicted_adversarial)
    return (
        "" if clean is None or said == (fooled, before, after) else f"image {example.index} is not as its record says"
    )
