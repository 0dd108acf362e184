"""A run's adversarial examples as a screen can trust them: every offset, length and checksum has been looked at.

What does not fit raises GalleryError, whose words are shown; pixels are read when an attack is looked at first. Images
are float32 arrays (C, H, W), [0, 1] where the engine did its work.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from crdnd_tui.core.text import display, one_line
from engine.spec import files
from engine.spec import gallery as spec
from engine.spec.gallery import Example, ExampleSet, Gallery

if TYPE_CHECKING:
    from numpy import ndarray

PIXEL_CAP = 256 << 20  # bytes of one attack's pixel file
LARGEST = 1024  # pixels of a side
MOST_CLASSES = 10_000
STEPS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)  # amplifications that + and - walk through
_FLOAT = 4  # bytes

Image: TypeAlias = "ndarray[Any, Any]"  # (C, H, W); NumPy is imported when an image is shown, never at start
RGB = tuple[int, int, int]
Raster = Sequence[Sequence[RGB]]  # rows of pixels
Verdict = Literal["fooled", "stands", "wrong before"]


class GalleryError(Exception):
    """What is wrong with a gallery, in words that are safe to show."""


@dataclass(frozen=True, kw_only=True)
class Examples:
    """The index of one checkpoint's examples: attacks in the order of the suite, words safe to show."""

    folder: Path
    shape: tuple[int, int, int]  # C, H, W
    classes: tuple[str, ...]
    sets: Mapping[str, ExampleSet]  # by attack

    def name(self, label: int) -> str:
        """Of a class; -1 stands for logits that were not finite."""
        return self.classes[label] if 0 <= label < len(self.classes) else "no class"

    def examples(self, attack: str) -> Sequence[Example]:
        """Of one attack; none for an attack that is not here."""
        return self.sets[attack].examples if attack in self.sets else ()


@dataclass(frozen=True, kw_only=True)
class PixelFile:
    """One attack's pixel file, whole and checked."""

    shape: tuple[int, int, int]
    values: Image  # float32, flat

    def pair(self, example: Example) -> tuple[Image, Image]:
        """x and x', each (C, H, W); offsets were checked when the file was read."""
        size = math.prod(self.shape)
        starts = (example.clean_offset // _FLOAT, example.adversarial_offset // _FLOAT)
        x, x_adv = (self.values[first : first + size].reshape(self.shape) for first in starts)
        return x, x_adv


def load(folder: Path) -> Examples:
    """The index in `evaluation/<checkpoint>`, checked; GalleryError says what is wrong with it."""
    there = files.is_folder(folder) and files.is_folder(folder.parent)
    content = files.read(folder / "gallery.json", files.RESULT_CAP) if there else None
    if content is None:
        raise GalleryError("gallery.json is no regular file that can be read")
    try:
        found = files.parsed(content, spec.decode)
    except files.MalformedError as error:
        raise GalleryError(f"gallery.json is damaged: {one_line(str(error), 120)}") from None
    if trouble := _trouble(found):
        raise GalleryError(f"gallery.json {trouble}")
    sets = {display(attack, 40): one for attack, one in found.attacks.items() if one.examples}
    return Examples(folder=folder, shape=found.shape, classes=tuple(one_line(n, 24) for n in found.classes), sets=sets)


def _trouble(found: Gallery) -> str:
    """What is wrong with an index; empty when nothing is."""
    channels, height, width = found.shape
    if channels not in (1, 3) or not 1 <= height <= LARGEST or not 1 <= width <= LARGEST:
        return f"speaks of images of {channels} x {height} x {width}, which cannot be shown"
    classes = len(found.classes)
    if not 1 <= classes <= MOST_CLASSES:
        return f"speaks of {classes} classes"
    for attack, one in found.attacks.items():
        if one.file.startswith("."):
            return f"sends {one_line(attack, 40)} to a file elsewhere"
        if not all(_fits(example, classes) for example in one.examples):
            return f"has examples of {one_line(attack, 40)} with classes that do not exist"
        if len({example.index for example in one.examples}) != len(one.examples):
            return f"holds an image twice for {one_line(attack, 40)}"
    return ""


def _fits(example: Example, classes: int) -> bool:
    rows = (example.student_clean, example.student_adversarial, example.teacher_clean, example.teacher_adversarial)
    predicted = (example.predicted_clean, example.predicted_adversarial)
    return (
        0 <= example.label < classes
        and all(-1 <= label < classes for label in predicted)
        and all(len(row) in (0, classes) for row in rows)
        and all(value is None or -1e-6 <= value <= 1 + 1e-6 for row in rows for value in row)
    )


def pixels(examples: Examples, attack: str) -> PixelFile:
    """The attack's images, once their checksum is right; GalleryError when it is not."""
    import numpy as np  # noqa: PLC0415  nothing is shown at start

    kept = examples.sets[attack]
    name = one_line(kept.file, 60)
    content = files.read(examples.folder / kept.file, PIXEL_CAP)
    if content is None:
        raise GalleryError(f"{name} is no regular file that can be read")
    if hashlib.sha256(content).hexdigest() != kept.sha256:
        raise GalleryError(f"{name} is damaged: its bytes are not those that the engine wrote")
    last = len(content) - _FLOAT * math.prod(examples.shape)
    offsets = [offset for e in kept.examples for offset in (e.clean_offset, e.adversarial_offset)]
    if not all(0 <= offset <= last and offset % _FLOAT == 0 for offset in offsets):
        raise GalleryError(f"{name} is shorter than its index says")
    return PixelFile(shape=examples.shape, values=np.frombuffer(content, "<f4", len(content) // _FLOAT))


def verdict(example: Example) -> Verdict:
    """What the attack made of the image; one that was wrong before it cannot be fooled any more."""
    if example.predicted_clean != example.label:
        return "wrong before"
    return "fooled" if example.fooled else "stands"


def linf(x: Image, x_adv: Image) -> float:
    """max |x' - x|, in pixel units of [0, 1]; where one is not finite, nothing can be said, and 0 stands."""
    return float(_difference(x, x_adv).max())


def l2(x: Image, x_adv: Image) -> float:
    """||x' - x|| over all channels."""
    return float((_difference(x, x_adv) ** 2).sum() ** 0.5)


def _difference(x: Image, x_adv: Image) -> Image:
    import numpy as np  # noqa: PLC0415  nothing is shown at start

    with np.errstate(invalid="ignore"):  # of two infinities
        difference = np.abs(x_adv.astype(float) - x.astype(float))
    return np.where(np.isfinite(difference), difference, 0.0)


def raster(image: Image) -> list[list[RGB]]:
    """Rows of pixels as bytes; what lies beyond [0, 1] is cut off, and what is no number is black."""
    import numpy as np  # noqa: PLC0415  nothing is shown at start

    levels = np.rint(255 * np.clip(np.nan_to_num(image.astype(float), nan=0.0), 0.0, 1.0)).astype(int)
    rows = np.broadcast_to(levels, (3, *image.shape[1:])).transpose(1, 2, 0).tolist()  # one channel stands for three
    return [[(red, green, blue) for red, green, blue in row] for row in rows]


def amplified(x: Image, x_adv: Image, k: float) -> list[list[RGB]]:
    """1/2 + k (x' - x): grey where nothing changed, brighter where the attack added, darker where it took away."""
    return raster(0.5 + k * (x_adv.astype(float) - x.astype(float)))


def fitting(largest: float) -> int:
    """The amplification at which the largest |x' - x| just fills the range, in 1..64."""
    return STEPS[-1] if largest <= 0 else min(STEPS[-1], max(1, math.floor(0.5 / largest + 1e-4)))


def divergence(p: Sequence[float | None], q: Sequence[float | None]) -> float | None:
    """KL(p || q) in nats; None when either is missing or not finite, infinite where q rules out what p allows."""
    pairs = [(one, two) for one, two in zip(p, q, strict=False) if one is not None and two is not None]
    if not pairs or len(pairs) != max(len(p), len(q)):
        return None
    return max(0.0, sum(one * math.log(one / two) if two > 0 else math.inf for one, two in pairs if one > 0))
