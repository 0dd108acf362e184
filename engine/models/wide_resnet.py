"""Wide ResNet as TRADES publishes it. Zagoruyko and Komodakis 2016, arXiv:1605.07146.

TRADES' checkpoint carries `sub_block1`, an unused copy of the first stage: kept on request, so that it loads strictly.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from engine.normalize import Normalize
from engine.spec.cost import blocks_per_stage
from engine.spec.models import WideResNet
from engine.types import Images, Logits


class Block(nn.Module):
    """Batch norm and ReLU before each 3 x 3 convolution. Where the width changes, the shortcut, too, is activated."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.convShortcut: nn.Module | None = None  # the spelling of the checkpoints
        if inputs != width:
            self.convShortcut = nn.Conv2d(inputs, width, 1, stride, bias=False)

    def forward(self, x: Images) -> Tensor:
        """B C H W to B width H/stride W/stride."""
        out = F.relu(self.bn1(x))
        residual = x if self.convShortcut is None else self.convShortcut(out)
        out = self.conv2(F.relu(self.bn2(self.conv1(out))))
        result: Tensor = residual + out
        return result


class Stage(nn.Module):
    """Blocks of one width; the first of them changes the size."""

    def __init__(self, blocks: int, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        others = [Block(width, width, stride=1) for _ in range(blocks - 1)]
        self.layer = nn.Sequential(Block(inputs, width, stride), *others)

    def forward(self, x: Images) -> Tensor:
        """B C H W to B width H/stride W/stride."""
        out: Tensor = self.layer(x)
        return out


class WideNet(nn.Module):
    """Three stages of 16, 32 and 64 times `width` channels; global average pooling."""

    def __init__(self, spec: WideResNet, classes: int, channels: int) -> None:
        super().__init__()
        blocks, width = blocks_per_stage(spec.depth), 16 * spec.width
        self.normalize = Normalize(spec.normalization, channels)
        self.conv1 = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        self.block1 = Stage(blocks, 16, width, stride=1)
        if spec.sub_block:
            self.sub_block1 = Stage(blocks, 16, width, stride=1)
        self.block2 = Stage(blocks, width, 2 * width, stride=2)
        self.block3 = Stage(blocks, 2 * width, 4 * width, stride=2)
        self.bn1 = nn.BatchNorm2d(4 * width)
        self.fc = nn.Linear(4 * width, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.fc.bias)

    def forward(self, x: Images) -> Logits:
        """Images in [0, 1] to logits."""
        out = self.conv1(self.normalize(x))
        out = self.block3(self.block2(self.block1(out)))
        out = F.relu(self.bn1(out))
        logits: Tensor = self.fc(out.mean(dim=(2, 3)))
        return logits


def build(spec: WideResNet, classes: int, image: tuple[int, int, int]) -> nn.Module:
    """The model for `image` = (C, H, W). ConfigError when the depth is not 6 n + 4."""
    return WideNet(spec, classes, image[0])
