"""Two convolutions with batch norm and a linear layer: the smallest student.

The linear layer sees every position, so its weights fit images of one size only.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from engine.layers import Normalize, conv3x3
from engine.spec.models import SmallCNN
from engine.types import Images, Logits


class SmallConvNet(nn.Module):
    """`width` channels at full size, twice as many at half size."""

    def __init__(self, spec: SmallCNN, classes: int, image: tuple[int, int, int]) -> None:
        super().__init__()
        channels, height, width = image
        self.normalize = Normalize(spec.normalization, channels)
        self.conv1 = conv3x3(channels, spec.width)
        self.bn1 = nn.BatchNorm2d(spec.width)
        self.conv2 = conv3x3(spec.width, 2 * spec.width, 2)
        self.bn2 = nn.BatchNorm2d(2 * spec.width)
        self.linear = nn.Linear(2 * spec.width * -(-height // 2) * -(-width // 2), classes)  # halves rounded up

    def forward(self, x: Images) -> Logits:
        out = F.relu(self.bn1(self.conv1(self.normalize(x))))
        out = F.relu(self.bn2(self.conv2(out)))
        logits: Tensor = self.linear(out.flatten(start_dim=1))
        return logits


def build(spec: SmallCNN, classes: int, image: tuple[int, int, int]) -> nn.Module:
    return SmallConvNet(spec, classes, image)
