"""Wide ResNets. Zagoruyko and Komodakis 2016, arXiv:1605.07146: three stages, global average pooling.

Two families of public checkpoints, which differ in activation, padding, initialisation and every name:
TRADES', whose file holds `sub_block1`, an unused copy of the first stage, kept on request, so that it loads strictly;
DeepMind's (Gowal et al. 2020, arXiv:2010.03593), with SiLU, strided convolutions that pad on the right and the bottom
only, and a normalisation inside that no checkpoint holds.
"""

from collections import OrderedDict

from torch import Tensor, nn
from torch.nn import functional as F

from engine.layers import Block, Normalize, Parts, PreActivationBlock, SameConv2d, conv1x1, conv3x3, stage
from engine.spec.models import WideResNet, WideResNetSiLU
from engine.types import Images, Logits


class WideBlock(PreActivationBlock):
    """Batch norm and ReLU before each 3 x 3 convolution; a 1 x 1 shortcut where the width changes."""

    activation = staticmethod(F.relu)

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = conv3x3(inputs, width, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, width)
        self.convShortcut = conv1x1(inputs, width, stride) if inputs != width else None  # spelt as in the checkpoints

    def parts(self) -> Parts:
        return self.bn1, self.conv1, self.bn2, self.conv2, self.convShortcut


class WideNet(nn.Module):
    """Three stages of 16, 32 and 64 times `width` channels."""

    def __init__(self, spec: WideResNet, classes: int, channels: int) -> None:
        super().__init__()
        first, second, third = spec.widths
        self.normalize = Normalize(spec.normalization, channels)
        self.conv1 = conv3x3(channels, spec.STEM)
        self.block1 = _stage("layer", WideBlock, spec.blocks, spec.STEM, first, 1)
        if spec.sub_block:
            self.sub_block1 = _stage("layer", WideBlock, spec.blocks, spec.STEM, first, 1)
        self.block2 = _stage("layer", WideBlock, spec.blocks, first, second, 2)
        self.block3 = _stage("layer", WideBlock, spec.blocks, second, third, 2)
        self.bn1 = nn.BatchNorm2d(third)
        self.fc = nn.Linear(third, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.fc.bias)

    def forward(self, x: Images) -> Logits:
        out = self.conv1(self.normalize(x))
        out = self.block3(self.block2(self.block1(out)))
        out = F.relu(self.bn1(out))
        logits: Tensor = self.fc(out.mean(dim=(2, 3)))
        return logits


class WideSiLUBlock(PreActivationBlock):
    """Batch norm and SiLU before each 3 x 3 convolution; a 1 x 1 shortcut where the width changes."""

    activation = staticmethod(F.silu)

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.batchnorm_0 = nn.BatchNorm2d(inputs)
        self.conv_0 = SameConv2d(inputs, width, stride)
        self.batchnorm_1 = nn.BatchNorm2d(width)
        self.conv_1 = conv3x3(width, width)
        self.shortcut = conv1x1(inputs, width, stride) if inputs != width else None

    def parts(self) -> Parts:
        return self.batchnorm_0, self.conv_0, self.batchnorm_1, self.conv_1, self.shortcut


class WideSiLUNet(nn.Module):
    """Three stages of 16, 32 and 64 times `width` channels."""

    def __init__(self, spec: WideResNetSiLU, classes: int, channels: int) -> None:
        super().__init__()
        first, second, third = spec.widths
        self.normalize = Normalize(spec.normalization, channels)
        self.init_conv = conv3x3(channels, spec.STEM)
        self.layer = nn.Sequential(
            _stage("block", WideSiLUBlock, spec.blocks, spec.STEM, first, 1),
            _stage("block", WideSiLUBlock, spec.blocks, first, second, 2),
            _stage("block", WideSiLUBlock, spec.blocks, second, third, 2),
        )
        self.batchnorm = nn.BatchNorm2d(third)
        self.logits = nn.Linear(third, classes)

    def forward(self, x: Images) -> Logits:
        out = self.layer(self.init_conv(self.normalize(x)))
        out = F.silu(self.batchnorm(out))
        logits: Tensor = self.logits(out.mean(dim=(2, 3)))
        return logits


def build(spec: WideResNet | WideResNetSiLU, classes: int, image: tuple[int, int, int]) -> nn.Module:
    if isinstance(spec, WideResNet):
        return WideNet(spec, classes, image[0])
    return WideSiLUNet(spec, classes, image[0])


def _stage(name: str, block: Block, blocks: int, inputs: int, width: int, stride: int) -> nn.Module:
    """A stage inside a module of this name, as checkpoints have it."""
    return nn.Sequential(OrderedDict({name: stage(block, blocks, inputs, width, stride, first_last=True)}))
