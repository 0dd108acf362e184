"""The gallery: a few test images under every attack, and the probabilities that student and teacher give them.

The pixel file is written before the index that names it, so the index never points at what is not there.
"""

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import nn

from engine.evaluate.context import AttackResult, EvaluationContext, EvaluationSubject
from engine.spec import gallery
from engine.spec.files import PIXEL_CAP, RESULT_CAP, decoded, read, write_inside
from engine.spec.gallery import Example, ExampleSet, Gallery, Probabilities
from engine.types import Images


def write(
    index: Path, attack: str, result: AttackResult, context: EvaluationContext, subject: EvaluationSubject
) -> None:
    """Write the attack's pixels beside the index, then the index with the attack in it."""
    if len(context.gallery) == 0:
        return
    x, y = context.batch(context.gallery)
    x_adv = result.adversarial.to(x)
    content = torch.stack([x, x_adv], dim=1).cpu().contiguous().numpy().astype("<f4").tobytes()  # G 2 C H W
    size = len(content) // (2 * len(x))  # bytes of one image
    answers = probabilities(context.net, subject.teacher, x, x_adv)
    examples = []
    for i, place in enumerate(context.gallery.tolist()):
        own, label = {key: rows[i] for key, rows in answers.items()}, int(y[i])
        told = answer(label, own, robust=bool(result.robust[place]), predicted=int(result.predicted[place]))
        told |= {"clean_offset": 2 * i * size, "adversarial_offset": (2 * i + 1) * size} | own
        examples.append(Example(index=int(subject.indices[place]), label=label, **told))
    write_inside(index.with_name(f"{attack}.f32"), content)
    shown = ExampleSet(file=f"{attack}.f32", sha256=hashlib.sha256(content).hexdigest(), examples=examples)
    stored = _read(index, context, subject)
    write_inside(index, gallery.encode(msgspec.structs.replace(stored, attacks={**stored.attacks, attack: shown})))


def is_whole(index: Path, attack: str, context: EvaluationContext, subject: EvaluationSubject) -> bool:
    """Whether the attack's examples are there: as many as there should be, and with the pixels that they name."""
    if len(context.gallery) == 0:
        return True
    shown = _read(index, context, subject).attacks.get(attack)
    if shown is None or shown.file != f"{attack}.f32" or len(shown.examples) != len(context.gallery):
        return False
    content = read(index.with_name(shown.file), PIXEL_CAP)
    return content is not None and hashlib.sha256(content).hexdigest() == shown.sha256


def _read(index: Path, context: EvaluationContext, subject: EvaluationSubject) -> Gallery:
    """The index of the same weights and images, or an empty one."""
    _, channels, height, width = context.images.shape
    empty = Gallery(
        shape=(channels, height, width),
        classes=list(subject.classes),
        weights_sha256=subject.weights_sha256,
        indices_sha256=subject.identity.indices_sha256,
    )
    found = decoded(index, gallery.decode, RESULT_CAP)
    return found if found is not None and msgspec.structs.replace(found, attacks={}) == empty else empty


@torch.no_grad()
def probabilities(
    student: nn.Module, teacher: nn.Module | None, x: Images, x_adv: Images
) -> dict[str, list[Probabilities]]:
    """softmax(z) of every image, by the names of an example's fields; without a teacher, none of its."""
    return {
        f"{who}_{side}": [[v if math.isfinite(v) else None for v in row] for row in net(images).softmax(dim=1).tolist()]
        for who, net in (("student", student), ("teacher", teacher))
        for side, images in (("clean", x), ("adversarial", x_adv))
        if net is not None
    }


def answer(label: int, said: Mapping[str, Probabilities], *, robust: bool, predicted: int) -> dict[str, Any]:
    """Whether an example fools the student, and its classes before and after; `robust`, `predicted`: by the record.

    The record of an attack that failed holds the clean class, whatever the net makes of the image tried last.
    """
    before = _most_probable(said["student_clean"])
    fooled = before == label and not robust
    after = predicted if fooled else _most_probable(said["student_adversarial"])
    return {"predicted_clean": before, "predicted_adversarial": after, "fooled": fooled}


def _most_probable(probabilities: Probabilities) -> int:
    """A class; -1 when a probability is not finite, or there are none."""
    finite = [value for value in probabilities if value is not None]
    return finite.index(max(finite)) if finite and len(finite) == len(probabilities) else -1
