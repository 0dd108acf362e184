"""The gallery: a few test images under every attack, and the probabilities that student and teacher give them.

The pixel file is written before the index that names it, so the index never points at what is not there.
"""

import hashlib
import math
from pathlib import Path

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
    student, student_adv = (_probabilities(context.net, images) for images in (x, x_adv))
    teacher, teacher_adv = (_probabilities(subject.teacher, images) for images in (x, x_adv))
    examples = []
    for i, place in enumerate(context.gallery.tolist()):
        before = most_probable(student[i])
        fooled = before == int(y[i]) and not bool(result.robust[place])
        # the record of an attack that failed holds the clean class, whatever the net makes of the image tried last
        after = int(result.predicted[place]) if fooled else most_probable(student_adv[i])
        examples.append(
            Example(
                index=int(subject.indices[place]),
                label=int(y[i]),
                clean_offset=2 * i * size,
                adversarial_offset=(2 * i + 1) * size,
                predicted_clean=before,
                predicted_adversarial=after,
                fooled=fooled,
                student_clean=student[i],
                student_adversarial=student_adv[i],
                teacher_clean=teacher[i],
                teacher_adversarial=teacher_adv[i],
            )
        )
    write_inside(index.with_name(f"{attack}.f32"), content)
    shelf = ExampleSet(file=f"{attack}.f32", sha256=hashlib.sha256(content).hexdigest(), examples=examples)
    stored = _read(index, context, subject)
    write_inside(index, gallery.encode(msgspec.structs.replace(stored, attacks={**stored.attacks, attack: shelf})))


def is_whole(index: Path, attack: str, context: EvaluationContext, subject: EvaluationSubject) -> bool:
    """Whether the attack's examples are there: as many as there should be, and with the pixels that they name."""
    if len(context.gallery) == 0:
        return True
    shelf = _read(index, context, subject).attacks.get(attack)
    if shelf is None or shelf.file != f"{attack}.f32" or len(shelf.examples) != len(context.gallery):
        return False
    content = read(index.with_name(shelf.file), PIXEL_CAP)
    return content is not None and hashlib.sha256(content).hexdigest() == shelf.sha256


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
def _probabilities(net: nn.Module | None, x: Images) -> list[Probabilities]:
    """softmax(z) of every image; empty lists without a net."""
    if net is None:
        return [[] for _ in range(len(x))]
    return [[value if math.isfinite(value) else None for value in row] for row in net(x).softmax(dim=1).tolist()]


def most_probable(probabilities: Probabilities) -> int:
    """A class; -1 when a probability is not finite, or there are none."""
    finite = [value for value in probabilities if value is not None]
    return finite.index(max(finite)) if finite and len(finite) == len(probabilities) else -1
