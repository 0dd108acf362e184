"""What a model costs per image, by arithmetic over its layers and without building it.

Parameters and multiply-accumulates are exact. Activations are an upper estimate of what a training step keeps for
its backward pass: the outputs of all convolutions, batch norms and activations, as if none were recomputed or fused.
"""

from dataclasses import dataclass
from math import prod

from engine.spec.errors import ConfigError
from engine.spec.models import (
    MobileNetV2,
    ModelSpec,
    PreActResNet18,
    ResNet18,
    SmallCNN,
    SmallResNet,
    WideResNet,
    WideResNetSiLU,
)

Shape = tuple[int, int, int]  # C H W

MOBILE_STAGES = (  # expansion, width, blocks, stride of the first block
    (1, 16, 1, 1),
    (6, 24, 2, 1),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


@dataclass(frozen=True, kw_only=True)
class ModelCost:
    """Of one model on images of one shape."""

    parameters: int
    macs: int  # multiply-accumulates of the convolutions and linear layers in one forward, per image
    activation_floats: int  # kept for the backward pass in training, per image


def model_cost(spec: ModelSpec, classes: int, image: Shape) -> ModelCost:
    """The cost of `spec` with `classes` logits on images of `image` = (C, H, W)."""
    tally = _Tally()
    match spec:
        case ResNet18():
            features = _resnet(tally, image, 64, (64, 128, 256, 512), blocks=2)
        case SmallResNet():
            w = spec.width
            features = _resnet(tally, image, w, (w, 2 * w, 4 * w), spec.blocks)
        case MobileNetV2():
            features = _mobilenet(tally, image)
        case PreActResNet18():
            features = _preact(tally, image, spec.variant)
        case WideResNet():
            features = _wide(tally, image, spec.depth, spec.width)
            if spec.sub_block:
                tally.parameters += _sub_block(spec.depth, spec.width)
        case WideResNetSiLU():
            features = _wide(tally, image, spec.depth, spec.width)
        case SmallCNN():
            x = tally.conv_norm_relu(image, spec.width)
            x = tally.conv_norm_relu(x, 2 * spec.width, stride=2)
            features = prod(x)
    tally.linear(features, classes)
    return ModelCost(parameters=tally.parameters, macs=tally.macs, activation_floats=tally.floats)


def blocks_per_stage(depth: int) -> int:
    """Of a Wide ResNet of so many layers: three stages of n blocks have 6 n + 4. ConfigError for other depths."""
    if (depth - 4) % 6:
        raise ConfigError([f"a wide ResNet has 6 n + 4 layers: depth may be 10, 16, 22, 28, 34, ..., not {depth}"])
    return (depth - 4) // 6


class _Tally:
    """Sums over the layers an image passes; each layer takes the shape of its input and gives that of its output."""

    def __init__(self) -> None:
        self.parameters = self.macs = self.floats = 0

    def conv(self, x: Shape, width: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> Shape:
        channels, rows, columns = x
        out = (width, -(-rows // stride), -(-columns // stride))  # padded so that sizes are divided, rounded up
        weights = width * (channels // groups) * kernel**2
        self.parameters += weights
        self.macs += weights * out[1] * out[2]
        self.floats += prod(out)
        return out

    def norm(self, x: Shape) -> Shape:
        self.parameters += 2 * x[0]
        self.floats += prod(x)
        return x

    def act(self, x: Shape) -> Shape:
        self.floats += prod(x)
        return x

    def conv_norm_relu(self, x: Shape, width: int, stride: int = 1) -> Shape:
        return self.act(self.norm(self.conv(x, width, stride=stride)))

    def linear(self, inputs: int, outputs: int) -> None:
        self.parameters += (inputs + 1) * outputs
        self.macs += inputs * outputs


def _resnet(tally: _Tally, image: Shape, stem: int, widths: tuple[int, ...], blocks: int) -> int:
    x = tally.conv_norm_relu(image, stem)
    for stage, width in enumerate(widths):
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            if stride != 1 or x[0] != width:
                tally.norm(tally.conv(x, width, kernel=1, stride=stride))
            x = tally.conv_norm_relu(x, width, stride)
            x = tally.act(tally.norm(tally.conv(x, width)))
    return x[0]


def _mobilenet(tally: _Tally, image: Shape) -> int:
    x = tally.conv_norm_relu(image, 32)
    for expansion, width, blocks, first_stride in MOBILE_STAGES:
        for block in range(blocks):
            stride = first_stride if block == 0 else 1
            if stride == 1 and x[0] != width:
                tally.norm(tally.conv(x, width, kernel=1))
            hidden = expansion * x[0]
            x = tally.act(tally.norm(tally.conv(x, hidden, kernel=1)))
            x = tally.act(tally.norm(tally.conv(x, hidden, stride=stride, groups=hidden)))
            x = tally.norm(tally.conv(x, width, kernel=1))
    return tally.act(tally.norm(tally.conv(x, 1280, kernel=1)))[0]


def _preact(tally: _Tally, image: Shape, variant: str) -> int:
    x = tally.conv(image, 64)
    for stage, width in enumerate((64, 128, 256, 512)):
        for block in range(2):
            stride = 2 if stage > 0 and block == 0 else 1
            has_shortcut = stride != 1 or x[0] != width
            x = _preact_block(tally, x, width, stride, (3 if variant == "deepmind" else 1) if has_shortcut else 0)
    return x[0] if variant == "kuangliu" else tally.act(tally.norm(x))[0]


def _wide(tally: _Tally, image: Shape, depth: int, width: int) -> int:
    x = tally.conv(image, 16)
    for stage, channels in enumerate((16 * width, 32 * width, 64 * width)):
        for block in range(blocks_per_stage(depth)):
            stride = 2 if stage > 0 and block == 0 else 1
            x = _preact_block(tally, x, channels, stride, 1 if x[0] != channels else 0)
    return tally.act(tally.norm(x))[0]


def _preact_block(tally: _Tally, x: Shape, width: int, stride: int, shortcut: int) -> Shape:
    """`shortcut` is the kernel of the shortcut's convolution, 0 for none."""
    x = tally.act(tally.norm(x))
    if shortcut:
        tally.conv(x, width, kernel=shortcut, stride=stride)
    x = tally.conv_norm_relu(x, width, stride)
    return tally.conv(x, width)


def _sub_block(depth: int, width: int) -> int:
    """Parameters of the first stage once more, which no image passes."""
    unused = _Tally()
    x: Shape = (16, 1, 1)
    for _ in range(blocks_per_stage(depth)):
        x = _preact_block(unused, x, 16 * width, 1, 1 if x[0] != 16 * width else 0)
    return unused.parameters
