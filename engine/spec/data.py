"""Data sets, as data: one entry for each source under `engine/data`. The union `DataSpec` is the registry."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from engine.spec.base import Count, Seed, Spec


class _Data(Spec):
    module: ClassVar[str]
    title: ClassVar[str]
    validation: Annotated[int, Field(ge=1)] = 1000
    """Images held out of the training set, stratified by class; they select `best`. Never the test split."""
    split_seed: Seed = 0
    """Which images are held out."""
    train_images: Count = 0
    """Train on this many images only, stratified by class; 0 = all."""
    crop_padding: Annotated[int, Field(ge=0, le=16)] = 4
    """Zero padding before a random crop of the original size; 0 = no crop."""
    flip: bool = True
    """Random horizontal flips."""


class CIFAR10(_Data):
    """50,000 + 10,000 images of 32 x 32, 10 classes. Krizhevsky 2009."""

    module: ClassVar[str] = "cifar"
    title: ClassVar[str] = "CIFAR-10"
    name: Literal["cifar10"] = "cifar10"


class CIFAR100(_Data):
    """50,000 + 10,000 images of 32 x 32, 100 classes. Krizhevsky 2009."""

    module: ClassVar[str] = "cifar"
    title: ClassVar[str] = "CIFAR-100"
    name: Literal["cifar100"] = "cifar100"


class Digits(_Data):
    """1,797 handwritten digits of 8 x 8 grey pixels (UCI optdigits, as scikit-learn carries them): no download."""

    module: ClassVar[str] = "digits"
    title: ClassVar[str] = "digits"
    name: Literal["digits"] = "digits"
    validation: Annotated[int, Field(ge=1)] = 150
    crop_padding: Annotated[int, Field(ge=0, le=16)] = 1
    flip: bool = False


class Folder(_Data):
    """An image folder: `path/train/<class>/*.png` and `path/test/<class>/*.png`, resized to `size` x `size`."""

    module: ClassVar[str] = "folder"
    title: ClassVar[str] = "folder"
    name: Literal["folder"] = "folder"
    path: str = Field(min_length=1)
    """Relative to the machine's data folder, or absolute."""
    size: Annotated[int, Field(ge=8, le=512)] = 32


class Npz(_Data):
    """A NumPy file with uint8 x_train, x_test (N H W C or N H W) and integer y_train, y_test; never unpickled."""

    module: ClassVar[str] = "npz"
    title: ClassVar[str] = "npz"
    name: Literal["npz"] = "npz"
    path: str = Field(min_length=1)
    """Relative to the machine's data folder, or absolute."""


DataSpec = Annotated[CIFAR10 | CIFAR100 | Digits | Folder | Npz, Field(discriminator="name")]


@dataclass(frozen=True, kw_only=True)
class DataFacts:
    """Sizes of the official splits, known before they are read; `train` still holds the validation images."""

    image: tuple[int, int, int]  # C H W
    classes: int
    train: int
    test: int


FACTS: dict[str, DataFacts] = {  # by the data set's `name` in a preset
    "cifar10": DataFacts(image=(3, 32, 32), classes=10, train=50_000, test=10_000),
    "cifar100": DataFacts(image=(3, 32, 32), classes=100, train=50_000, test=10_000),
    "digits": DataFacts(image=(1, 8, 8), classes=10, train=1_200, test=597),  # our own split of 1797
}
