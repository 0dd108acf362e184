"""A run's adversarial examples as a screen can trust them: every offset, length and checksum has been looked at.

What does not fit raises GalleryError, whose words are shown; pixels are read when an attack is looked at first.
"""

import hashlib
import math
import sys
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from crdnd_tui.core.text import display, one_line
from engine.spec import files
from engine.spec import gallery as spec
from engine.spec.gallery import Example, ExampleSet, Gallery

PIXEL_CAP = 256 << 20  # bytes of one attack's pixel file
LARGEST = 1024  # pixels of a side
MOST_CLASSES = 10_000
_FLOAT = 4  # bytes

Verdict = Literal["fooled", "stands", "wrong before"]


class GalleryError(Exception):
    """What is wrong with a gallery, in words that are safe to show."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One image: C x H x W numbers, channel by channel, [0, 1] where the engine did its work."""

    channels: int
    height: int
    width: int
    values: Sequence[float]

    @property
    def planes(self) -> list[Sequence[float]]:
        """Each channel's numbers, row by row."""
        size = self.height * self.width
        return [self.values[channel * size : (channel + 1) * size] for channel in range(self.channels)]


@dataclass(frozen=True, kw_only=True)
class Hall:
    """The index of one checkpoint's examples: attacks in the order of the suite, words safe to show."""

    folder: Path
    shape: tuple[int, int, int]  # C, H, W
    classes: tuple[str, ...]
    shelves: Mapping[str, ExampleSet]

    def name(self, label: int) -> str:
        """Of a class; -1 stands for logits that were not finite."""
        return self.classes[label] if 0 <= label < len(self.classes) else "no class"

    def examples(self, attack: str) -> Sequence[Example]:
        """Of one attack; none for an attack that is not here."""
        shelf = self.shelves.get(attack)
        return shelf.examples if shelf else ()


@dataclass(frozen=True, kw_only=True)
class Pixels:
    """One attack's pixel file, whole and checked."""

    shape: tuple[int, int, int]
    values: Sequence[float]

    def picture(self, offset: int) -> Picture:
        """The image that begins at this byte; offsets were checked when the file was read."""
        channels, height, width = self.shape
        first = offset // _FLOAT
        return Picture(
            channels=channels, height=height, width=width, values=self.values[first : first + channels * height * width]
        )

    def pair(self, example: Example) -> tuple[Picture, Picture]:
        """x and x'."""
        return self.picture(example.clean_offset), self.picture(example.adversarial_offset)


def load(folder: Path) -> Hall:
    """The index in `evaluation/<checkpoint>`, checked; GalleryError says what is wrong with it."""
    there = files.is_folder(folder) and files.is_folder(folder.parent)
    content = files.read(folder / "gallery.json", files.RESULT_CAP) if there else None
    if content is None:
        raise GalleryError("gallery.json is no regular file that can be read")
    try:
        found = files.parsed(content, spec.decode)
    except files.MalformedError as error:
        raise GalleryError(f"gallery.json is damaged: {one_line(str(error), 120)}") from None
    _check(found)
    return Hall(
        folder=folder,
        shape=found.shape,
        classes=tuple(one_line(name, 24) for name in found.classes),
        shelves={display(attack, 40): shelf for attack, shelf in found.attacks.items() if shelf.examples},
    )


def _check(found: Gallery) -> None:
    channels, height, width = found.shape
    if channels not in (1, 3) or not 1 <= height <= LARGEST or not 1 <= width <= LARGEST:
        raise GalleryError(f"gallery.json speaks of images of {channels} x {height} x {width}, which cannot be shown")
    classes = len(found.classes)
    if not 1 <= classes <= MOST_CLASSES:
        raise GalleryError(f"gallery.json speaks of {classes} classes")
    for attack, shelf in found.attacks.items():
        if shelf.file.startswith("."):
            raise GalleryError(f"gallery.json sends {one_line(attack, 40)} to a file elsewhere")
        if not all(_fits(example, classes) for example in shelf.examples):
            raise GalleryError(f"gallery.json has examples of {one_line(attack, 40)} with classes that do not exist")
        if len({example.index for example in shelf.examples}) != len(shelf.examples):
            raise GalleryError(f"gallery.json holds an image twice for {one_line(attack, 40)}")


def _fits(example: Example, classes: int) -> bool:
    rows = (example.student_clean, example.student_adversarial, example.teacher_clean, example.teacher_adversarial)
    return (
        0 <= example.label < classes
        and -1 <= example.predicted_clean < classes
        and -1 <= example.predicted_adversarial < classes
        and all(len(row) in (0, classes) for row in rows)
        and all(value is None or -1e-6 <= value <= 1 + 1e-6 for row in rows for value in row)
    )


def pixels(hall: Hall, attack: str) -> Pixels:
    """The attack's images, once their checksum is right; GalleryError when it is not."""
    shelf = hall.shelves[attack]
    name = one_line(shelf.file, 60)
    content = files.read(hall.folder / shelf.file, PIXEL_CAP)
    if content is None:
        raise GalleryError(f"{name} is no regular file that can be read")
    if hashlib.sha256(content).hexdigest() != shelf.sha256:
        raise GalleryError(f"{name} is damaged: its bytes are not those that the engine wrote")
    size = _FLOAT * math.prod(hall.shape)
    for example in shelf.examples:
        for offset in (example.clean_offset, example.adversarial_offset):
            if offset < 0 or offset % _FLOAT or offset + size > len(content):
                raise GalleryError(f"{name} is shorter than its index says")
    values = array("f")
    values.frombytes(content[: len(content) - len(content) % _FLOAT])
    if sys.byteorder == "big":
        values.byteswap()
    return Pixels(shape=hall.shape, values=values)


def verdict(example: Example) -> Verdict:
    """What the attack made of the image; one that was wrong before it cannot be fooled any more."""
    if example.predicted_clean != example.label:
        return "wrong before"
    return "fooled" if example.fooled else "stands"


def linf(x: Picture, x_adv: Picture) -> float:
    """max |x' - x|, in pixel units of [0, 1]."""
    return max(_distances(x, x_adv), default=0.0)


def l2(x: Picture, x_adv: Picture) -> float:
    """||x' - x|| over all channels."""
    return math.hypot(*_distances(x, x_adv))


def _distances(x: Picture, x_adv: Picture) -> list[float]:
    """|x' - x| of each number; where one is not finite, nothing can be said, and 0 stands."""
    return [d if math.isfinite(d := abs(b - a)) else 0.0 for a, b in zip(x.values, x_adv.values, strict=True)]


def divergence(p: Sequence[float | None], q: Sequence[float | None]) -> float | None:
    """KL(p || q) in nats; None when either is missing or not finite, infinite where q rules out what p allows."""
    if not p or len(p) != len(q) or None in p or None in q:
        return None
    total = 0.0
    for one, two in zip(p, q, strict=True):
        if one is not None and two is not None and one > 0:
            if two <= 0:
                return math.inf
            total += one * math.log(one / two)
    return max(0.0, total)
