"""The normalisation of pixels, as the first layer of a model.

Its mean and deviation are no part of the state dict: checkpoints never carry them, whatever format they come in.
"""

import torch
from torch import Tensor, nn

from engine.spec.errors import ConfigError
from engine.spec.models import Normalization
from engine.types import Images

STATISTICS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {  # mean and deviation of R, G, B in [0, 1]
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2471, 0.2435, 0.2616)),
    "cifar100": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
}


class Normalize(nn.Module):
    """(x - mean) / std per channel; gives x itself when `normalization` is "none"."""

    mean: Tensor
    std: Tensor

    def __init__(self, normalization: Normalization, channels: int) -> None:
        """ConfigError when the statistics are of another number of channels than the images."""
        super().__init__()
        self.is_identity = normalization == "none"
        if self.is_identity:
            return
        mean, std = STATISTICS[normalization]
        if channels != len(mean):
            raise ConfigError(
                [f'normalization = "{normalization}" is of {len(mean)} channels; the images have {channels}']
            )
        # On the CPU even when a model is built on the meta device: no checkpoint could fill them in later.
        self.register_buffer("mean", torch.tensor(mean, device="cpu").view(1, channels, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std, device="cpu").view(1, channels, 1, 1), persistent=False)

    def forward(self, x: Images) -> Images:
        """Images in [0, 1] to images of mean 0 and deviation 1 over the data set."""
        return x if self.is_identity else (x - self.mean) / self.std
