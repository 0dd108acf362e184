"""DeepMind's Wide ResNet with SiLU. Gowal et al. 2020, arXiv:2010.03593.

Strided convolutions pad on the right and the bottom only, and the normalisation is inside, but in no checkpoint.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from engine.normalize import Normalize
from engine.padding import SameConv2d
from engine.spec.cost import blocks_per_stage
from engine.spec.models import WideResNetSiLU
from engine.types import Images, Logits


class Block(nn.Module):
    """Batch norm and SiLU before each 3 x 3 convolution; a 1 x 1 shortcut only where the width changes."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.batchnorm_0 = nn.BatchNorm2d(inputs)
        self.conv_0 = SameConv2d(inputs, width, stride)
        self.batchnorm_1 = nn.BatchNorm2d(width)
        self.conv_1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.shortcut = nn.Conv2d(inputs, width, 1, stride, bias=False) if inputs != width else None

    def forward(self, x: Images) -> Tensor:
        """B C H W to B width H/stride W/stride."""
        out = F.silu(self.batchnorm_0(x))
        residual = x if self.shortcut is None else self.shortcut(out)
        out = self.conv_1(F.silu(self.batchnorm_1(self.conv_0(out))))
        result: Tensor = residual + out
        return result


class Stage(nn.Module):
    """Blocks of one width; the first of them changes the size."""

    def __init__(self, blocks: int, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        others = [Block(width, width, stride=1) for _ in range(blocks - 1)]
        self.block = nn.Sequential(Block(inputs, width, stride), *others)

    def forward(self, x: Images) -> Tensor:
        """B C H W to B width H/stride W/stride."""
        out: Tensor = self.block(x)
        return out


class WideNet(nn.Module):
    """Three stages of 16, 32 and 64 times `width` channels; global average pooling."""

    def __init__(self, spec: WideResNetSiLU, classes: int, channels: int) -> None:
        super().__init__()
        blocks, width = blocks_per_stage(spec.depth), 16 * spec.width
        self.normalize = Normalize(spec.normalization, channels)
        self.init_conv = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        self.layer = nn.Sequential(
            Stage(blocks, 16, width, stride=1),
            Stage(blocks, width, 2 * width, stride=2),
            Stage(blocks, 2 * width, 4 * width, stride=2),
        )
        self.batchnorm = nn.BatchNorm2d(4 * width)
        self.logits = nn.Linear(4 * width, classes)

    def forward(self, x: Images) -> Logits:
        """Images in [0, 1] to logits."""
        out = self.layer(self.init_conv(self.normalize(x)))
        out = F.silu(self.batchnorm(out))
        logits: Tensor = self.logits(out.mean(dim=(2, 3)))
        return logits


def build(spec: WideResNetSiLU, classes: int, image: tuple[int, int, int]) -> nn.Module:
    """The model for `image` = (C, H, W). ConfigError when the depth is not 6 n + 4."""
    return WideNet(spec, classes, image[0])
