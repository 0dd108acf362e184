"""A basic-block ResNet of three stages, 6 n + 2 layers deep, for CPU work and small images.

He et al. 2016, arXiv:1512.03385, section 4.2; where the width changes, the shortcut is a 1 x 1 convolution.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from engine.normalize import Normalize
from engine.spec.models import SmallResNet
from engine.types import Images, Logits


class Block(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut; ReLU after the sum."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != width:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Images) -> Tensor:
        """B C H W to B width H/stride W/stride."""
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return F.relu(out + self.shortcut(x))


class SmallNet(nn.Module):
    """Stages of `width`, twice and four times as many channels; global average pooling."""

    def __init__(self, spec: SmallResNet, classes: int, channels: int) -> None:
        super().__init__()
        width, blocks = spec.width, spec.blocks
        self.normalize = Normalize(spec.normalization, channels)
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = _stage(blocks, width, width, stride=1)
        self.layer2 = _stage(blocks, width, 2 * width, stride=2)
        self.layer3 = _stage(blocks, 2 * width, 4 * width, stride=2)
        self.linear = nn.Linear(4 * width, classes)

    def forward(self, x: Images) -> Logits:
        """Images in [0, 1] to logits."""
        out = F.relu(self.bn1(self.conv1(self.normalize(x))))
        out = self.layer3(self.layer2(self.layer1(out)))
        logits: Tensor = self.linear(out.mean(dim=(2, 3)))
        return logits


def build(spec: SmallResNet, classes: int, image: tuple[int, int, int]) -> nn.Module:
    """The model for `image` = (C, H, W), with PyTorch's own initialisation."""
    return SmallNet(spec, classes, image[0])


def _stage(blocks: int, inputs: int, width: int, stride: int) -> nn.Sequential:
    others = [Block(width, width, stride=1) for _ in range(blocks - 1)]
    return nn.Sequential(Block(inputs, width, stride), *others)
