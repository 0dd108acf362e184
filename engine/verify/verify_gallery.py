"""The gallery of a saved run: whole, of these weights and images, within the ball, and answered as it is stored."""

import hashlib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engine.evaluate.context import EvaluationSubject
from engine.evaluate.gallery import most_probable
from engine.evaluate.outcomes import FAILS, UNKNOWN, CheckResult
from engine.spec import files, gallery
from engine.spec.errors import brief
from engine.spec.outcomes import Outcome, unpack
from engine.spec.rundir import RunDir
from engine.types import Dataset
from engine.verify.verify_files import StoredRun, content_of

SLACK = 1e-6  # of a pixel: what float32 arithmetic leaves
ROUNDING = 1e-3  # of a probability: what another machine or another batch leaves


def check(stored: StoredRun, dataset: Dataset | None) -> Iterator[CheckResult]:
    """Galleries: whole, of these weights, within the ball, and of the images that they name."""
    config = stored.config
    radii = {spec.key: float(config.threat_model.epsilon) for spec in config.evaluation.attacks if spec.bounded}
    for checkpoint in config.evaluation.checkpoints:
        path, what = stored.run.gallery(checkpoint), f"gallery {checkpoint}"
        if not path.is_file():
            continue
        try:
            index = files.parsed(content_of(path), gallery.decode)
            found = [
                _wrong(path.with_name(shelf.file), index.shape, shelf, radii.get(attack), dataset)
                for attack, shelf in index.attacks.items()
            ]
        except (OSError, ValueError, RuntimeError) as error:
            yield CheckResult(what, FAILS, f"is damaged: {brief(error)}")
            continue
        if index.v != 1:
            yield CheckResult(what, UNKNOWN, f"is of format {index.v}, which this engine does not know")
            continue
        digest = stored.headers.get(checkpoint, {}).get("digest", index.weights_sha256)
        wrong = "; ".join(filter(None, found)) if index.weights_sha256 == digest else "is of other weights"
        count = sum(len(shelf.examples) for shelf in index.attacks.values())
        words = f"{count} examples of {len(index.attacks)} attacks, whole and within the ball"
        yield CheckResult.of(what, wrong, words)


def _wrong(
    path: Path, shape: tuple[int, int, int], shelf: gallery.ExampleSet, radius: float | None, dataset: Dataset | None
) -> str:
    """What is wrong with an attack's pixels; empty when nothing is."""
    content, examples = content_of(path), shelf.examples
    if hashlib.sha256(content).hexdigest() != shelf.sha256:
        return f"the hash of {path.name} is not the one in the index"
    if len(content) != 2 * len(examples) * math.prod(shape) * 4:
        return f"{path.name} has not the size of its examples"
    size = len(content) // (2 * max(1, len(examples)))
    offsets = [(example.clean_offset, example.adversarial_offset) for example in examples]
    if offsets != [(2 * i * size, (2 * i + 1) * size) for i in range(len(examples))]:
        return f"{path.name} does not lie as the index says"
    x, x_adv = _pixels(content, shape)
    if not bool((x_adv >= 0).all() and (x_adv <= 1).all()):
        return f"{path.name} leaves [0, 1]"
    if radius is not None and float((x_adv - x).abs().max()) > radius + SLACK:
        return f"{path.name} leaves the ball"
    if dataset is not None:
        test, chosen = dataset.test, torch.tensor([example.index for example in examples])
        if not bool(((chosen >= 0) & (chosen < len(test.labels))).all()):
            return f"{path.name} shows images that the test split does not have"
        labels = [example.label for example in examples]
        if not torch.equal(test.images[chosen].float() / 255, x) or test.labels[chosen].tolist() != labels:
            return f"{path.name} shows other images than the test split"
    return ""


def _pixels(content: bytes, shape: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
    """Clean and adversarial images of a pixel file, each N C H W."""
    x, x_adv = torch.from_numpy(np.frombuffer(content, "<f4").copy()).view(-1, 2, *shape).unbind(1)
    return x, x_adv


def check_answers(
    run: RunDir, row: Mapping[str, Outcome], subject: EvaluationSubject, dataset: Dataset
) -> Iterator[CheckResult]:
    """What student and teacher say to the images in the gallery, asked again; and what the records say of them."""
    path, what = run.gallery(subject.checkpoint), f"examples {subject.checkpoint}"
    try:
        index = files.parsed(content_of(path), gallery.decode)
        pixels = {attack: _pixels(content_of(path.with_name(shelf.file)), index.shape)
                  for attack, shelf in index.attacks.items()}  # fmt: skip
    except (OSError, ValueError, RuntimeError):  # there is none, or its damage was told
        return
    found = (tuple(index.classes), index.indices_sha256, tuple(index.shape))
    if found != (dataset.classes, subject.identity.indices_sha256, tuple(dataset.test.images.shape[1:])):
        yield CheckResult(what, FAILS, "the index names other classes, other images or another shape")
        return
    position = {place: i for i, place in enumerate(subject.indices.tolist())}
    wrong, count = [], 0
    for attack, shelf in index.attacks.items():
        answers = _answers(subject, *pixels[attack])
        whys = [_answered(example, {key: rows[i] for key, rows in answers.items()})
                for i, example in enumerate(shelf.examples)]  # fmt: skip
        whys += [_recorded(example, row[attack], row, position) for example in shelf.examples if attack in row]
        wrong += [f"{attack}: {why}" for why in whys if why][:1]
        count += len(shelf.examples)
    words = f"{count} answered as they are stored, and as the records say"
    yield CheckResult.of(what, "; ".join(wrong)[:300], words)


@torch.no_grad()
def _answers(subject: EvaluationSubject, x: Tensor, x_adv: Tensor) -> dict[str, Tensor]:
    """softmax(z), N K, by the names of an example's fields; the teacher's only where it is here."""
    answers, nets = dict[str, Tensor](), {"student": subject.net.eval(), "teacher": subject.teacher}
    for side, images in (("clean", x.to(subject.device)), ("adversarial", x_adv.to(subject.device))):
        answers |= {f"{who}_{side}": net(images).softmax(dim=1).cpu() for who, net in nets.items() if net is not None}
    return answers


def _answered(example: gallery.Example, answers: Mapping[str, Tensor]) -> str:
    """Which stored probabilities are others than these."""
    for name, found in answers.items():
        stored = getattr(example, name)
        if not stored and name.startswith("teacher"):
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
    if clean is None:
        return ""
    fooled = unpack(clean.robust, clean.n)[place] and not unpack(record.robust, record.n)[place]
    after = record.predicted[place] if fooled else most_probable(example.student_adversarial)
    said = (example.fooled, example.predicted_clean, example.predicted_adversarial)
    return "" if said == (fooled, clean.predicted[place], after) else f"image {example.index} is not as its record says"
