"""What a model costs per image, by arithmetic over its layers: torch is not needed to know what a run will take.

Parameters and multiply-accumulates are those that torch's own counters find (a test holds them together). Activations
are an upper estimate of what a training step keeps for its backward pass: the outputs of all convolutions, batch norms
and activations, as if none were recomputed or fused.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import prod

from engine.spec.models import MobileNetV2, ModelSpec, PreActResNet18, ResNet18, SmallCNN, SmallResNet, WideResNet

Shape = tuple[int, int, int]  # C H W


@dataclass(frozen=True, kw_only=True)
class ModelCost:
    """Of one model on images of one shape."""

    parameters: int
    macs: int  # multiply-accumulates of the convolutions and linear layers in one forward, per image
    activation_floats: int  # kept for the backward pass in training, per image


def model_cost(spec: ModelSpec, classes: int, image: Shape) -> ModelCost:
    """The cost of `spec` with `classes` logits on images of `image` = (C, H, W)."""
    tally = _Tally(image)
    match spec:
        case ResNet18() | SmallResNet():
            tally.conv(spec.widths[0], then="norm act")
            _stages(tally, spec.widths, spec.blocks, _basic_block)
        case MobileNetV2():
            _mobilenet(tally, spec)
        case PreActResNet18():
            tally.conv(spec.widths[0])
            block = partial(_preact_block, kernel=3 if spec.variant == "deepmind" else 1)
            _stages(tally, spec.widths, spec.blocks, block)
            if spec.variant != "kuangliu":
                tally.keep("norm act")
        case SmallCNN():
            tally.conv(spec.width, then="norm act")
            tally.conv(2 * spec.width, stride=2, then="norm act")
            tally.shape = (prod(tally.shape), 1, 1)
        case _:
            tally.conv(spec.STEM)
            if isinstance(spec, WideResNet) and spec.sub_block:  # parameters that no image passes
                unused = _Tally((spec.STEM, 1, 1))
                _stages(unused, spec.widths[:1], spec.blocks, _preact_block)
                tally.parameters += unused.parameters
            _stages(tally, spec.widths, spec.blocks, _preact_block)
            tally.keep("norm act")
    features = tally.shape[0]
    return ModelCost(
        parameters=tally.parameters + (features + 1) * classes,
        macs=tally.macs + features * classes,
        activation_floats=tally.floats,
    )


class _Tally:
    """Sums over the layers that an image of this shape passes, which each layer changes."""

    def __init__(self, image: Shape) -> None:
        self.shape = image
        self.parameters = self.macs = self.floats = 0

    def conv(self, width: int, kernel: int = 3, stride: int = 1, groups: int = 1, then: str = "") -> None:
        """A convolution padded so that sizes are divided by the stride, rounded up; `then` as in `keep`."""
        channels, rows, columns = self.shape
        self.shape = (width, -(-rows // stride), -(-columns // stride))
        weights = width * (channels // groups) * kernel**2
        self.parameters += weights
        self.macs += weights * self.shape[1] * self.shape[2]
        self.keep(f"conv {then}")

    def keep(self, layers: str) -> None:
        """The outputs of these layers, which change no shape: "norm", "act"."""
        self.floats += prod(self.shape) * len(layers.split())
        self.parameters += 2 * self.shape[0] * ("norm" in layers)


def _stages(tally: _Tally, widths: tuple[int, ...], blocks: int, block: Callable[[_Tally, int, int], None]) -> None:
    """Blocks of each width; all stages but the first halve the image."""
    for stage, width in enumerate(widths):
        for number in range(blocks):
            block(tally, width, 2 if stage > 0 and number == 0 else 1)


def _basic_block(tally: _Tally, width: int, stride: int) -> None:
    before = tally.shape
    if stride != 1 or before[0] != width:
        tally.conv(width, 1, stride, then="norm")
        tally.shape = before
    tally.conv(width, 3, stride, then="norm act")
    tally.conv(width, then="norm act")


def _preact_block(tally: _Tally, width: int, stride: int, kernel: int = 1) -> None:
    """`kernel` is that of the shortcut's convolution."""
    tally.keep("norm act")
    before = tally.shape
    if before[0] != width:
        tally.conv(width, kernel, stride)
        tally.shape = before
    tally.conv(width, 3, stride, then="norm act")
    tally.conv(width)


def _mobilenet(tally: _Tally, spec: MobileNetV2) -> None:
    tally.conv(spec.STEM, then="norm act")
    for expansion, width, blocks, first_stride in spec.STAGES:
        for block in range(blocks):
            stride, before = first_stride if block == 0 else 1, tally.shape
            if stride == 1 and before[0] != width:
                tally.conv(width, 1, then="norm")
                tally.shape = before
            hidden = expansion * before[0]
            tally.conv(hidden, 1, then="norm act")
            tally.conv(hidden, 3, stride, groups=hidden, then="norm act")
            tally.conv(width, 1, then="norm")
    tally.conv(spec.HEAD, 1, then="norm act")
