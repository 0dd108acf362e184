"""Index of the adversarial examples that a run keeps; their pixels lie beside it, raw, in `<attack>.f32`.

A pixel file holds little-endian float32, C x H x W per image, first the clean image, then the adversarial one.
"""

import msgspec
from msgspec import Struct

Probabilities = list[float | None]  # one per class; None where the model gave no finite number


class Example(Struct, frozen=True, kw_only=True):
    """One image, before and under the attack. Offsets count bytes in the attack's pixel file."""

    index: int  # place in the test split
    label: int
    clean_offset: int
    adversarial_offset: int
    predicted_clean: int  # -1 when the logits were not finite
    predicted_adversarial: int  # of the image that is kept, also where the attack failed
    fooled: bool  # False: the attack failed, and its image is none that fools
    student_clean: Probabilities
    student_adversarial: Probabilities
    teacher_clean: Probabilities = []  # empty without a teacher
    teacher_adversarial: Probabilities = []


class ExampleSet(Struct, frozen=True, kw_only=True):
    """The examples of one attack."""

    file: str  # name of the pixel file beside the index
    sha256: str
    examples: list[Example]


class Gallery(Struct, frozen=True, kw_only=True):
    """All examples of one checkpoint: the same images for every attack."""

    v: int = 1
    shape: tuple[int, int, int]  # C, H, W
    classes: list[str]
    weights_sha256: str
    indices_sha256: str
    attacks: dict[str, ExampleSet] = {}


def encode(gallery: Gallery) -> bytes:
    return msgspec.json.encode(gallery) + b"\n"


def decode(content: bytes) -> Gallery:
    """ValueError (msgspec's errors are) when the content is no gallery, or its pixels do not lie beside it."""
    gallery = msgspec.json.decode(content, type=Gallery)
    for attack, examples in gallery.attacks.items():
        if examples.file in ("", ".", "..") or "/" in examples.file or "\0" in examples.file:
            raise ValueError(f"it sends {attack[:40]} to a file elsewhere")
    return gallery
