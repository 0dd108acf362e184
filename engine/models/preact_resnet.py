"""Pre-activation ResNet-18 for small images, as three families of public checkpoints have it. arXiv:1603.05027.

The families differ in the end of the network, in where a shortcut begins, and in every name of the state dict.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from engine.layers import Normalize, Parts, PreActivationBlock, SameConv2d, conv1x1, conv3x3, stage
from engine.spec.models import PreActResNet18
from engine.types import Images, Logits


class PreActBlock(PreActivationBlock):
    """Batch norm and ReLU before each 3 x 3 convolution; a 1 x 1 shortcut begins behind the first ReLU."""

    activation = staticmethod(F.relu)

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = conv3x3(inputs, width, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, width)
        self.shortcut: nn.Module | None = None
        if stride != 1 or inputs != width:
            self.shortcut = nn.Sequential(conv1x1(inputs, width, stride))

    def parts(self) -> Parts:
        return self.bn1, self.conv1, self.bn2, self.conv2, self.shortcut


class PreActResNet(nn.Module):
    """kuangliu: the last sum is pooled as it is; rice: behind one more batch norm and ReLU."""

    def __init__(self, spec: PreActResNet18, classes: int, channels: int) -> None:
        super().__init__()
        first, second, third, fourth = spec.widths
        self.normalize = Normalize(spec.normalization, channels)
        self.conv1 = conv3x3(channels, first)
        self.layer1 = stage(PreActBlock, spec.blocks, first, first, 1)
        self.layer2 = stage(PreActBlock, spec.blocks, first, second, 2)
        self.layer3 = stage(PreActBlock, spec.blocks, second, third, 2)
        self.layer4 = stage(PreActBlock, spec.blocks, third, fourth, 2)
        self.bn = nn.BatchNorm2d(fourth) if spec.variant == "rice" else None
        self.linear = nn.Linear(fourth, classes)

    def forward(self, x: Images) -> Logits:
        out = self.conv1(self.normalize(x))
        out = self.layer4(self.layer3(self.layer2(self.layer1(out))))
        if self.bn is not None:
            out = F.relu(self.bn(out))
        logits: Tensor = self.linear(out.mean(dim=(2, 3)))
        return logits


class DeepMindBlock(nn.Module):
    """SiLU, SAME padding, and a 3 x 3 shortcut that begins at the raw input."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.batchnorm_0 = nn.BatchNorm2d(inputs)
        self.conv_2d_1 = SameConv2d(inputs, width, stride)
        self.batchnorm_1 = nn.BatchNorm2d(width)
        self.conv_2d_2 = conv3x3(width, width)
        self.shortcut: nn.Module | None = None
        if stride != 1 or inputs != width:
            self.shortcut = SameConv2d(inputs, width, stride)

    def forward(self, x: Images) -> Tensor:
        """B C H W to B width H/stride W/stride."""
        residual = x if self.shortcut is None else self.shortcut(x)
        out = self.conv_2d_1(F.silu(self.batchnorm_0(x)))
        out = self.conv_2d_2(F.silu(self.batchnorm_1(out)))
        result: Tensor = out + residual
        return result


class DeepMindPreActResNet(nn.Module):
    """The variant of Gowal et al. 2020, arXiv:2010.03593, and Rade and Moosavi-Dezfooli 2021."""

    def __init__(self, spec: PreActResNet18, classes: int, channels: int) -> None:
        super().__init__()
        first, second, third, fourth = spec.widths
        self.normalize = Normalize(spec.normalization, channels)
        self.conv_2d = conv3x3(channels, first)
        self.layer_0 = stage(DeepMindBlock, spec.blocks, first, first, 1)
        self.layer_1 = stage(DeepMindBlock, spec.blocks, first, second, 2)
        self.layer_2 = stage(DeepMindBlock, spec.blocks, second, third, 2)
        self.layer_3 = stage(DeepMindBlock, spec.blocks, third, fourth, 2)
        self.batchnorm = nn.BatchNorm2d(fourth)
        self.logits = nn.Linear(fourth, classes)

    def forward(self, x: Images) -> Logits:
        out = self.conv_2d(self.normalize(x))
        out = self.layer_3(self.layer_2(self.layer_1(self.layer_0(out))))
        out = F.silu(self.batchnorm(out))
        logits: Tensor = self.logits(out.mean(dim=(2, 3)))
        return logits


def build(spec: PreActResNet18, classes: int, image: tuple[int, int, int]) -> nn.Module:
    family = DeepMindPreActResNet if spec.variant == "deepmind" else PreActResNet
    return family(spec, classes, image[0])
