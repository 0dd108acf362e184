"""An image folder: path/train/<class>/* and path/test/<class>/*, every image resized to one size."""

from pathlib import Path

import torch
from PIL import Image
from torchvision.datasets import ImageFolder
from torchvision.transforms.functional import pil_to_tensor

from engine.spec.data import Folder
from engine.spec.errors import DataError
from engine.types import Dataset, Split

_TORN = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)  # what Pillow raises at damaged files


def load(spec: Folder, folder: Path) -> Dataset:
    """Both splits as RGB; the classes are the sub-folders of `train`, in alphabetical order."""
    root = folder / spec.path
    train, test = (_images(root / part, spec.size) for part in ("train", "test"))
    if train.classes != test.classes:
        differ = sorted(set(train.classes) ^ set(test.classes))
        raise DataError(f"train and test hold different classes: {', '.join(differ[:5])}", where=str(root))
    return Dataset(train=_split(train), test=_split(test), classes=tuple(train.classes))


def _images(root: Path, size: int) -> ImageFolder:
    def read(path: str) -> torch.Tensor:
        try:
            with Image.open(path) as image:
                pixels: torch.Tensor = pil_to_tensor(
                    image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
                )
                return pixels
        except _TORN as error:
            raise DataError(f"is no readable image: {error}", where=path) from error

    try:
        return ImageFolder(str(root), loader=read)
    except OSError as error:
        raise DataError(
            f"no image folder: {error}", where=str(root), hint="Expected are train/<class>/ and test/<class>/."
        ) from error


def _split(found: ImageFolder) -> Split:
    images = torch.stack([found[number][0] for number in range(len(found))])  # N 3 S S
    return Split(images, torch.tensor(found.targets))
