"""What makes a data set's figures worthless or doubtful, looked for before the first step.

60,000 images of 32 x 32 take about a second of one core.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import torch

from engine.spec.errors import DataError, percent
from engine.spec.events import Warned
from engine.types import Dataset, Split

NEARLY_ALL, MANY, FEW = 0.9, 0.1, 3  # shares of a split; and how often a picture may occur before a share counts
SAME_PIXELS = 0.95  # of all pixels; drawings of thin lines reach 0.9
SAMPLED = 2000  # images, evenly spaced, whose pixels are counted
DARK = 64  # of 255


class _Fault(NamedTuple):
    code: str
    what: str
    fatal: bool = False  # training on it means nothing


def screen(dataset: Dataset, *, trains: bool) -> list[Warned]:
    """Warnings about the official splits; DataError for what makes a training meaningless, if `trains`."""
    train, test = _digests(dataset.train), _digests(dataset.test)
    faults = [*_labels(dataset), *_shared(dataset, train, test)]
    faults += [*_pictures("train", dataset.train, train), *_pictures("test", dataset.test, test)]
    if trains and (fatal := [fault.what for fault in faults if fault.fatal]):
        raise DataError(f"nothing can be learnt from this data: {'; '.join(fatal)}", hint="Look at the images.")
    return [Warned(code=fault.code, message=fault.what) for fault in faults]


def _digests(split: Split) -> list[bytes]:
    rows = split.images.reshape(len(split.images), -1).numpy()
    return [hashlib.blake2b(row.data, digest_size=16).digest() for row in rows]


def _labels(dataset: Dataset) -> Iterator[_Fault]:
    classes = len(dataset.classes)
    for name, split in (("train", dataset.train), ("test", dataset.test)):
        low, high = int(split.labels.min()), int(split.labels.max())
        if low < 0 or high >= classes:
            raise DataError(f"labels of the {name} split reach from {low} to {high}; there are {classes} classes")
    if len(dataset.train.labels.unique()) < 2:
        yield _Fault("one_class_train", "all training images belong to one class", fatal=True)
    tested = torch.bincount(dataset.test.labels, minlength=classes)
    if int((tested > 0).sum()) == 1 < classes:
        only = dataset.classes[int(tested.argmax())]
        yield _Fault("one_class_test", f"all {len(dataset.test.labels)} test images belong to one class, {only[:60]}")
    elif bool((tested == 0).any()):
        names = [dataset.classes[place][:60] for place in (tested == 0).nonzero().flatten().tolist()]
        more = ", ..." if len(names) > 5 else ""
        yield _Fault("untested_class", f"{len(names)} classes have no test image: {', '.join(names[:5])}{more}")


def _shared(dataset: Dataset, train: list[bytes], test: list[bytes]) -> Iterator[_Fault]:
    first = dict(zip(reversed(train), reversed(range(len(train))), strict=True))
    pairs = [(place, first[digest]) for place, digest in enumerate(test) if digest in first]
    if not pairs:
        return
    other = sum(int(dataset.test.labels[a]) != int(dataset.train.labels[b]) for a, b in pairs)
    what = (
        f"{len(pairs)} of {len(test)} test images are training images, too, pixel by pixel; the first is test image "
        f"{pairs[0][0]}, training image {pairs[0][1]} (counted from 0)"
    )
    if other:
        what += f"; {other} of them are labelled otherwise there"
    yield _Fault("shared_images", what, fatal=len(pairs) >= NEARLY_ALL * len(test))


def _pictures(name: str, split: Split, digests: list[bytes]) -> Iterator[_Fault]:
    """Of one split: the same picture over and over, images of one colour, images that are nearly black."""
    n, images = len(digests), split.images
    digest, often = Counter(digests).most_common(1)[0]
    if often >= FEW and often >= MANY * n:
        what = f"{often} of {n} images of the {name} split are one and the same, the first is image "
        yield _Fault("repeated_images", f"{what}{digests.index(digest)} (counted from 0)", often >= NEARLY_ALL * n)
    flat = images.flatten(2)  # N C HW
    plain = int((flat.amax(dim=2) == flat.amin(dim=2)).all(dim=1).sum())
    counts = torch.bincount(images[:: max(1, n // SAMPLED)].flatten(), minlength=256)
    value, share = int(counts.argmax()), float(counts.max()) / int(counts.sum())
    if plain >= FEW and plain >= MANY * n:
        yield _Fault("blank_images", f"{plain} of {n} images of the {name} split are of one colour")
    elif share >= SAME_PIXELS:
        yield _Fault("blank_images", f"{percent(share)} of all pixels of the {name} split are {value} (of 255)")
    low, high = int(images.min()), int(images.max())
    if high < DARK:
        what = f"the pixels of the {name} split are {low} to {high}, where 255 is white"
        yield _Fault("dark_images", what, high - low <= 1 < n)
