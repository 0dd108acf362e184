"""ResNet-18 for small images: a 3 x 3 stem, no max-pool. He et al. 2016, arXiv:1512.03385.

State-dict keys are those of the public CIFAR code, so that RSLAD's and IAD's students load strictly.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from engine.normalize import Normalize
from engine.spec.models import ResNet18
from engine.types import Images, Logits


class BasicBlock(nn.Module):
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


class ResNet(nn.Module):
    """Four stages of two blocks, 64 to 512 channels; global average pooling."""

    def __init__(self, spec: ResNet18, classes: int, channels: int) -> None:
        super().__init__()
        self.normalize = Normalize(spec.normalization, channels)
        self.conv1 = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = _stage(64, 64, stride=1)
        self.layer2 = _stage(64, 128, stride=2)
        self.layer3 = _stage(128, 256, stride=2)
        self.layer4 = _stage(256, 512, stride=2)
        self.linear = nn.Linear(512, classes)

    def forward(self, x: Images) -> Logits:
        """Images in [0, 1] to logits."""
        out = F.relu(self.bn1(self.conv1(self.normalize(x))))
        out = self.layer4(self.layer3(self.layer2(self.layer1(out))))
        logits: Tensor = self.linear(out.mean(dim=(2, 3)))
        return logits


def build(spec: ResNet18, classes: int, image: tuple[int, int, int]) -> nn.Module:
    """The model for `image` = (C, H, W), with PyTorch's own initialisation."""
    return ResNet(spec, classes, image[0])


def _stage(inputs: int, width: int, stride: int) -> nn.Sequential:
    return nn.Sequential(BasicBlock(inputs, width, stride), BasicBlock(width, width, stride=1))
