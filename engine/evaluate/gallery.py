"""The gallery: what a few test images look like under every attack, and what student and teacher make of them.

The pixel file is written before the index that names it, so the index never points at what is not there.
"""

import hashlib
import math
from pathlib import Path
from typing import NamedTuple

import msgspec
import torch
from torch import Tensor, nn

from engine.evaluate.bench import Assault, Bench
from engine.evaluate.outcomes import Identity
from engine.spec import gallery
from engine.spec.files import PIXEL_CAP, RESULT_CAP, decoded, read, write_inside
from engine.spec.gallery import Example, Gallery, Probabilities, Shelf
from engine.types import Images


class Visitors(NamedTuple):
    """Who looks at the gallery's images, and which images these are."""

    bench: Bench
    teacher: nn.Module | None
    classes: tuple[str, ...]
    positions: Tensor  # sorted places on the bench
    indices: Tensor  # N, each bench image's place in the split


def hang(index: Path, attack: str, assault: Assault, visitors: Visitors, identity: Identity) -> None:
    """Write the attack's pixels beside the index, then the index with the attack in it."""
    bench, positions = visitors.bench, visitors.positions
    if len(positions) == 0:
        return
    x, y = bench.batch(positions)
    x_adv = assault.kept.to(x)
    pixels = torch.stack([x, x_adv], dim=1).cpu().contiguous()  # G 2 C H W
    content = pixels.numpy().astype("<f4").tobytes()
    size = len(content) // (2 * len(positions))  # bytes of one image
    student = [_probabilities(bench.net, x), _probabilities(bench.net, x_adv)]
    teacher = [_probabilities(visitors.teacher, x), _probabilities(visitors.teacher, x_adv)]
    guesses, answers = ([_guess(row) for row in rows] for rows in student)
    fooled = [
        guesses[i] == int(y[i]) and not bool(assault.struck.robust[place]) for i, place in enumerate(positions.tolist())
    ]
    examples = [
        Example(
            index=int(visitors.indices[place]),
            label=int(y[i]),
            clean_offset=2 * i * size,
            adversarial_offset=(2 * i + 1) * size,
            predicted_clean=guesses[i],
            # the record of an attack that failed holds the clean answer, whatever the image that it tried last says
            predicted_adversarial=int(assault.struck.predicted[place]) if fooled[i] else answers[i],
            fooled=fooled[i],
            student_clean=student[0][i],
            student_adversarial=student[1][i],
            teacher_clean=teacher[0][i],
            teacher_adversarial=teacher[1][i],
        )
        for i, place in enumerate(positions.tolist())
    ]
    write_inside(index.with_name(f"{attack}.f32"), content)
    shelf = Shelf(file=f"{attack}.f32", sha256=hashlib.sha256(content).hexdigest(), examples=examples)
    before = _open(index, visitors, identity)
    write_inside(index, gallery.encode(msgspec.structs.replace(before, attacks={**before.attacks, attack: shelf})))


def hangs(index: Path, attack: str, visitors: Visitors, identity: Identity) -> bool:
    """Whether the attack's examples are there, whole: as many as there should be, and of the pixels that they name."""
    if len(visitors.positions) == 0:
        return True
    shelf = _open(index, visitors, identity).attacks.get(attack)
    if shelf is None or shelf.file != f"{attack}.f32" or len(shelf.examples) != len(visitors.positions):
        return False
    content = read(index.with_name(shelf.file), PIXEL_CAP)
    return content is not None and hashlib.sha256(content).hexdigest() == shelf.sha256


def _open(index: Path, visitors: Visitors, identity: Identity) -> Gallery:
    """The index of the same weights and images, or an empty one."""
    _, channels, height, width = visitors.bench.images.shape
    empty = Gallery(
        shape=(channels, height, width),
        classes=list(visitors.classes),
        weights_sha256=identity.weights_sha256,
        indices_sha256=identity.indices_sha256,
    )
    found = decoded(index, gallery.decode, RESULT_CAP)
    return found if found is not None and msgspec.structs.replace(found, attacks={}) == empty else empty


@torch.no_grad()
def _probabilities(net: nn.Module | None, x: Images) -> list[Probabilities]:
    """softmax(z) of every image; empty lists without a net."""
    if net is None:
        return [[] for _ in range(len(x))]
    rows = net(x).softmax(dim=1).tolist()
    return [[value if math.isfinite(value) else None for value in row] for row in rows]


def _guess(probabilities: Probabilities) -> int:
    """The most probable class; -1 when a probability is not finite."""
    finite = [value for value in probabilities if value is not None]
    return finite.index(max(finite)) if len(finite) == len(probabilities) else -1
