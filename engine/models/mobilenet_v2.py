"""MobileNetV2 for small images. Sandler et al. 2018, arXiv:1801.04381.

As the public CIFAR code has it, not as the paper: ReLU for ReLU6, stride 1 in the stem and the second stage,
and a shortcut at every stride 1, through a 1 x 1 convolution where the width changes.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from engine.layers import Normalize, conv1x1, conv3x3, projection
from engine.spec.models import MobileNetV2
from engine.types import Images, Logits


class InvertedResidual(nn.Module):
    """Widen by 1 x 1, filter each channel by 3 x 3, narrow by 1 x 1 without activation."""

    def __init__(self, inputs: int, width: int, expansion: int, stride: int) -> None:
        super().__init__()
        self.has_residual = stride == 1
        hidden = expansion * inputs
        self.conv1 = conv1x1(inputs, hidden)
        self.bn1 = nn.BatchNorm2d(hidden)
        self.conv2 = nn.Conv2d(hidden, hidden, 3, stride, padding=1, groups=hidden, bias=False)
        self.bn2 = nn.BatchNorm2d(hidden)
        self.conv3 = conv1x1(hidden, width)
        self.bn3 = nn.BatchNorm2d(width)
        widens = self.has_residual and inputs != width
        self.shortcut = projection(inputs, width) if widens else nn.Sequential()

    def forward(self, x: Images) -> Tensor:
        """B C H W to B width H/stride W/stride."""
        out = F.relu(self.bn1(self.conv1(x)))
        out = F.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        result: Tensor = out + self.shortcut(x) if self.has_residual else out
        return result


class MobileNet(nn.Module):
    """Seventeen inverted residuals, a 1 x 1 convolution to 1280 channels, global average pooling."""

    def __init__(self, spec: MobileNetV2, classes: int, channels: int) -> None:
        super().__init__()
        self.normalize = Normalize(spec.normalization, channels)
        self.conv1 = conv3x3(channels, spec.STEM)
        self.bn1 = nn.BatchNorm2d(spec.STEM)
        blocks, inputs = [], spec.STEM
        for expansion, width, count, stride in spec.STAGES:
            for i in range(count):
                blocks.append(InvertedResidual(inputs, width, expansion, stride if i == 0 else 1))
                inputs = width
        self.layers = nn.Sequential(*blocks)
        self.conv2 = conv1x1(inputs, spec.HEAD)
        self.bn2 = nn.BatchNorm2d(spec.HEAD)
        self.linear = nn.Linear(spec.HEAD, classes)

    def forward(self, x: Images) -> Logits:
        out = F.relu(self.bn1(self.conv1(self.normalize(x))))
        out = F.relu(self.bn2(self.conv2(self.layers(out))))
        logits: Tensor = self.linear(out.mean(dim=(2, 3)))
        return logits


def build(spec: MobileNetV2, classes: int, image: tuple[int, int, int]) -> nn.Module:
    return MobileNet(spec, classes, image[0])
