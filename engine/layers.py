"""Layers that several architectures share: the normalisation of pixels, TensorFlow's padding, residual blocks."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.spec.errors import ConfigError
from engine.spec.models import Normalization
from engine.types import Images

STATISTICS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {  # mean and deviation of R, G, B in [0, 1]
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2471, 0.2435, 0.2616)),
    "cifar100": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
}
KERNEL = 3


class Normalize(nn.Module):
    """(x - mean) / std per channel, as the first layer of a model; x itself when `normalization` is "none".

    Mean and deviation are no part of the state dict: checkpoints never carry them, whatever format they come in.
    """

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


class SameConv2d(nn.Conv2d):
    """A 3 x 3 convolution without bias with TensorFlow's SAME padding, which DeepMind's models were trained with.

    State-dict keys are those of nn.Conv2d. At stride 2 and even sizes only the right and the bottom are padded;
    PyTorch's padding = 1 reads other pixels there. The output is ceil(size / stride) wide and high.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__(inputs, outputs, KERNEL, stride, padding=1 if stride == 1 else 0, bias=False)

    def forward(self, x: Images) -> Tensor:
        """B C H W to B C' ceil(H / stride) ceil(W / stride)."""
        stride = self.stride[0]
        if stride > 1:
            top, bottom = same_padding(x.shape[2], stride)
            left, right = same_padding(x.shape[3], stride)
            x = F.pad(x, (left, right, top, bottom))
        out: Tensor = super().forward(x)
        return out


def same_padding(size: int, stride: int) -> tuple[int, int]:
    """Zeros before and after a side of `size` pixels: the odd one goes after."""
    total = max((-(-size // stride) - 1) * stride + KERNEL - size, 0)
    return total // 2, total - total // 2


def conv3x3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """A 3 x 3 convolution without bias, padded by 1."""
    return nn.Conv2d(inputs, outputs, KERNEL, stride, padding=1, bias=False)


def conv1x1(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """A 1 x 1 convolution without bias."""
    return nn.Conv2d(inputs, outputs, 1, stride, bias=False)


def projection(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """The shortcut of a block that changes the width or the size: a 1 x 1 convolution and a batch norm."""
    return nn.Sequential(conv1x1(inputs, outputs, stride), nn.BatchNorm2d(outputs))


Block = Callable[[int, int, int], nn.Module]  # inputs, width, stride
Parts = tuple[nn.Module, nn.Module, nn.Module, nn.Module, nn.Module | None]  # norm, conv, norm, conv, shortcut


def stage(
    block: Block, blocks: int, inputs: int, width: int, stride: int, *, first_last: bool = False
) -> nn.Sequential:
    """`blocks` blocks of one width, the first of which changes width and size.

    Initial weights are drawn in the order of making; `first_last`: the first block is made after the others.
    """
    shapes = [(inputs, width, stride), *[(width, width, 1)] * (blocks - 1)]
    if first_last:
        made = [block(*shape) for shape in (*shapes[1:], shapes[0])]
        return nn.Sequential(made[-1], *made[:-1])
    return nn.Sequential(*(block(*shape) for shape in shapes))


class PreActivationBlock(nn.Module):
    """Batch norm and activation before each 3 x 3 convolution; a shortcut begins behind the first. arXiv:1603.05027.

    Checkpoints name its parts differently, so each kind of block says in `parts` which they are.
    """

    activation: Callable[[Tensor], Tensor]

    def parts(self) -> Parts:
        raise NotImplementedError

    def forward(self, x: Images) -> Tensor:
        """B C H W to B width H/stride W/stride."""
        norm1, conv1, norm2, conv2, shortcut = self.parts()
        out = self.activation(norm1(x))
        residual = x if shortcut is None else shortcut(out)
        result: Tensor = residual + conv2(self.activation(norm2(conv1(out))))
        return result
