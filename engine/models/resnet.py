"""Basic-block ResNets for small images: a 3 x 3 stem, no max-pool. He et al. 2016, arXiv:1512.03385.

ResNet-18 has the state-dict keys of the public CIFAR code, so that RSLAD's and IAD's students load strictly. The small
one has three stages and 6 n + 2 layers (section 4.2); where the width changes, its shortcut is a 1 x 1 convolution.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from engine.layers import Normalize, conv3x3, projection, stage
from engine.spec.models import ResNet18, SmallResNet
from engine.types import Images, Logits


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut; ReLU after the sum."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(inputs, width, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, width)
        self.bn2 = nn.BatchNorm2d(width)
        self.shortcut = projection(inputs, width, stride) if stride != 1 or inputs != width else nn.Sequential()

    def forward(self, x: Images) -> Tensor:
        """B C H W to B width H/stride W/stride."""
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return F.relu(out + self.shortcut(x))


class ResNet(nn.Module):
    """Stages `layer1`, `layer2`, ... of the spec's widths behind a stem of the first; global average pooling."""

    def __init__(self, spec: ResNet18 | SmallResNet, classes: int, channels: int) -> None:
        super().__init__()
        inputs, self.depth = spec.widths[0], len(spec.widths)
        self.normalize = Normalize(spec.normalization, channels)
        self.conv1 = conv3x3(channels, inputs)
        self.bn1 = nn.BatchNorm2d(inputs)
        for number, width in enumerate(spec.widths, start=1):
            first_last = isinstance(spec, SmallResNet)  # the order in which its weights have always been drawn
            made = stage(BasicBlock, spec.blocks, inputs, width, 1 if number == 1 else 2, first_last=first_last)
            self.add_module(f"layer{number}", made)
            inputs = width
        self.linear = nn.Linear(inputs, classes)

    def forward(self, x: Images) -> Logits:
        out = F.relu(self.bn1(self.conv1(self.normalize(x))))
        for number in range(1, self.depth + 1):
            out = getattr(self, f"layer{number}")(out)
        logits: Tensor = self.linear(out.mean(dim=(2, 3)))
        return logits


def build(spec: ResNet18 | SmallResNet, classes: int, image: tuple[int, int, int]) -> nn.Module:
    return ResNet(spec, classes, image[0])
