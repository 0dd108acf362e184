"""Training images on the device: random crop and flip as one gather, by draws that are made for a whole epoch.

The same distribution as torchvision's RandomCrop(size, padding) and RandomHorizontalFlip on the CPU, bit for bit
for the same draws.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from torch.nn import functional as F

from engine.runtime.rng import generator_for
from engine.spec.data import DataSpec
from engine.types import Images, Labels, Split

RESIDENT_SHARE = 0.5  # of the GPU's free memory; a larger set stays in host memory


class Draws(NamedTuple):
    """One epoch: the order of the images, and each one's crop and flip."""

    order: Int[Tensor, " N"]
    dy: Int[Tensor, " N"]
    dx: Int[Tensor, " N"]
    flip: Bool[Tensor, " N"]


class Feed:
    """The training split in uint8, zero-padded once, on the device where it fits."""

    def __init__(
        self,
        split: Split,
        spec: DataSpec,
        device: torch.device,
        memory_format: torch.memory_format,
        batch_size: int,
        places: Int[Tensor, " N"] | None = None,
    ) -> None:
        """`places`: where each image stands in the official training split; None when the split is all of it."""
        self.device, self.batch_size, self._format, self._spec = device, batch_size, memory_format, spec
        padded = pad(split.images, spec.crop_padding)
        self._home = device if _fits(padded, device) else torch.device("cpu")
        self._padded = padded.to(self._home)
        self._labels = split.labels.to(self._home)
        self.places = torch.arange(len(split.labels)) if places is None else places.cpu()
        self._height, self._width = split.images.shape[2:]

    @property
    def resident(self) -> bool:
        return self._home == self.device

    def __len__(self) -> int:
        return len(self._labels)

    def draw(self, seed: int, epoch: int) -> Draws:
        """All random choices of an epoch, on the CPU."""
        generator = generator_for(seed, "augment", epoch)
        count, places = len(self), 2 * self._spec.crop_padding + 1
        order = torch.randperm(count, generator=generator)
        dy = torch.randint(places, (count,), generator=generator)
        dx = torch.randint(places, (count,), generator=generator)
        flip = torch.rand(count, generator=generator) < (0.5 if self._spec.flip else 0.0)
        return Draws(order, dy, dx, flip)

    def moved(self, draws: Draws) -> Draws:
        return Draws(*(part.to(self._home) for part in draws))

    def views(self, draws: Draws, number: int) -> Draws:
        """Which views batch `number` shows: places in the official training split, crops and flips, on the CPU."""
        order, dy, dx, flip = (part.cpu() for part in self._batch_of(draws, number))
        return Draws(self.places[order], dy, dx, flip)

    def batches(self, draws: Draws, first: int, count: int) -> Iterator[tuple[Images, Labels]]:
        """Batches `first`, `first` + 1, ... up to `count` of an epoch, as `batch` gives them."""
        moved = self.moved(draws)
        for number in range(first, count):
            yield self.batch(moved, number)

    def batch(self, draws: Draws, number: int) -> tuple[Images, Labels]:
        """One batch of an epoch: images in [0, 1], B C H W, and labels. `draws` as `moved` gives them."""
        chosen = self._batch_of(draws, number)
        views = crop(self._padded, *chosen, self._height, self._width)
        x = to_pixels(views.to(self.device, non_blocking=True), self._format)
        return x, self._labels[chosen.order].to(self.device, non_blocking=True)

    def _batch_of(self, draws: Draws, number: int) -> Draws:
        return Draws(*(part[number * self.batch_size : (number + 1) * self.batch_size] for part in draws))


def pad(images: Tensor, padding: int) -> Tensor:
    """N C H W to N C H+2p W+2p, with zeros around."""
    return F.pad(images, (padding, padding, padding, padding))


def crop(padded: Tensor, images: Tensor, dy: Tensor, dx: Tensor, flip: Tensor, height: int, width: int) -> Tensor:
    """The windows at (dy, dx) of these of the padded images, mirrored where `flip`: B C H W, as the images' type."""
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # N C 2p+1 2p+1 H W, a view
    cropped = windows[images, :, dy, dx]  # B C H W
    return torch.where(flip[:, None, None, None], cropped.flip(3), cropped)


def to_pixels(images: Tensor, memory_format: torch.memory_format = torch.contiguous_format) -> Images:
    """uint8 to float32 in [0, 1], as torchvision's ToTensor does."""
    return images.to(dtype=torch.float32, memory_format=memory_format).div_(255)


def _fits(images: Tensor, device: torch.device) -> bool:
    if device.type != "cuda":
        return True
    free, _total = torch.cuda.mem_get_info(device)
    return images.numel() < RESIDENT_SHARE * free
