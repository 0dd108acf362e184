"""Facts of the data sets that are known before they are read.

An image folder or an npz file has none: its counts are known only when it is opened.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class DataFacts:
    """Sizes of the official splits; the validation images are still part of `train`."""

    image: tuple[int, int, int]  # C H W
    classes: int
    train: int
    test: int


FACTS: dict[str, DataFacts] = {  # by the data set's `name` in a preset
    "cifar10": DataFacts(image=(3, 32, 32), classes=10, train=50_000, test=10_000),
    "cifar100": DataFacts(image=(3, 32, 32), classes=100, train=50_000, test=10_000),
    "digits": DataFacts(image=(1, 8, 8), classes=10, train=1_200, test=597),  # our own split of 1797
}
