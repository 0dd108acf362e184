"""Models, as data: architectures of `engine/models`, their widths and depths. The union `ModelSpec` is the registry."""

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from engine.spec.base import Spec

Normalization = Literal["none", "cifar10", "cifar100"]


def _has_three_stages(depth: int) -> int:
    if (depth - 4) % 6:
        raise ValueError(f"a wide ResNet has 6 n + 4 layers: depth may be 10, 16, 22, 28, 34, ..., not {depth}")
    return depth


Depth = Annotated[int, Field(ge=10, le=200), AfterValidator(_has_three_stages)]
Width = Annotated[int, Field(ge=1, le=64)]
Channels = Annotated[int, Field(ge=4, le=256)]
Layout = Literal["channels_last", "contiguous"]


class _Model(Spec):
    module: ClassVar[str]
    title_format: ClassVar[str]
    cpu_layout: ClassVar[Layout] = "contiguous"  # of images and weights, whichever measured no slower on a CPU
    cpu_half: ClassVar[bool] = True  # whether bfloat16 is faster where a CPU has it; depthwise convolutions are not
    cpu_paired: ClassVar[bool] = True  # whether one batch of x_adv and x is no slower than two on a CPU
    normalization: Normalization = "none"
    """Mean and standard deviation taken off the pixels by the model's own first layer; students have none."""

    @property
    def title(self) -> str:
        return self.title_format.format(m=self)

    @property
    def widths(self) -> tuple[int, ...]:
        """Output channels of each stage; the first is the fewest input channels of its strided 1 x 1 convolutions."""
        return (64, 128, 256, 512)


class ResNet18(_Model):
    """ResNet-18 for 32 x 32 images: no max-pool. He et al. 2016, arXiv:1512.03385."""

    module: ClassVar[str] = "resnet"
    title_format: ClassVar[str] = "ResNet-18"
    blocks: ClassVar[int] = 2  # of each stage
    name: Literal["resnet18"] = "resnet18"


class MobileNetV2(_Model):
    """MobileNetV2 for 32 x 32 images: ReLU, early strides 1. Sandler et al. 2018, arXiv:1801.04381."""

    module: ClassVar[str] = "mobilenet_v2"
    title_format: ClassVar[str] = "MobileNetV2"
    cpu_layout: ClassVar[Layout] = "channels_last"
    cpu_half: ClassVar[bool] = False
    cpu_paired: ClassVar[bool] = False
    STEM: ClassVar[int] = 32  # channels before the first block
    HEAD: ClassVar[int] = 1280  # and behind the last
    STAGES: ClassVar[tuple[tuple[int, int, int, int], ...]] = (  # expansion, width, blocks, stride of the first block
        (1, 16, 1, 1),
        (6, 24, 2, 1),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    )
    name: Literal["mobilenet_v2"] = "mobilenet_v2"


class PreActResNet18(_Model):
    """Pre-activation ResNet-18, in the three forms that public checkpoints have. He et al. 2016, arXiv:1603.05027."""

    module: ClassVar[str] = "preact_resnet"
    title_format: ClassVar[str] = "PreActResNet-18"
    blocks: ClassVar[int] = 2
    name: Literal["preact_resnet18"] = "preact_resnet18"
    variant: Literal["kuangliu", "rice", "deepmind"] = "kuangliu"
    """kuangliu: no final batch norm; rice: final batch norm and ReLU; deepmind: Swish, 3 x 3 shortcuts."""


class _WideModel(_Model):
    module: ClassVar[str] = "wide_resnet"
    STEM: ClassVar[int] = 16  # channels before the first stage
    depth: Depth = 34
    width: Width = 10

    @property
    def widths(self) -> tuple[int, ...]:
        return tuple(self.width * channels for channels in (16, 32, 64))

    @property
    def blocks(self) -> int:
        """Of each stage: three stages of n blocks have 6 n + 4 layers."""
        return (self.depth - 4) // 6


class WideResNet(_WideModel):
    """Wide ResNet as TRADES publishes it. Zagoruyko and Komodakis 2016, arXiv:1605.07146."""

    title_format: ClassVar[str] = "WRN-{m.depth}-{m.width}"
    name: Literal["wide_resnet"] = "wide_resnet"
    sub_block: bool = False
    """Keep the unused copy of block1 that TRADES' checkpoints carry."""


class WideResNetSiLU(_WideModel):
    """DeepMind's Wide ResNet: SiLU, right-bottom padding at strides. Gowal et al. 2020, arXiv:2010.03593."""

    title_format: ClassVar[str] = "WRN-{m.depth}-{m.width} SiLU"
    name: Literal["wide_resnet_silu"] = "wide_resnet_silu"
    depth: Depth = 28
    normalization: Normalization = "cifar10"


class SmallResNet(_Model):
    """A basic-block ResNet of three stages for CPU work and small images."""

    module: ClassVar[str] = "resnet"
    title_format: ClassVar[str] = "SmallResNet-{m.depth}x{m.width}"
    cpu_layout: ClassVar[Layout] = "channels_last"
    name: Literal["small_resnet"] = "small_resnet"
    width: Channels = 16
    blocks: Annotated[int, Field(ge=1, le=9)] = 1
    """Residual blocks in each of the three stages."""

    @property
    def depth(self) -> int:
        return 6 * self.blocks + 2

    @property
    def widths(self) -> tuple[int, ...]:
        return self.width, 2 * self.width, 4 * self.width


class SmallCNN(_Model):
    """Two convolutions and a linear layer: the smallest student."""

    module: ClassVar[str] = "small_cnn"
    title_format: ClassVar[str] = "SmallCNN-{m.width}"
    cpu_layout: ClassVar[Layout] = "channels_last"
    name: Literal["small_cnn"] = "small_cnn"
    width: Channels = 16


ModelSpec = Annotated[
    ResNet18 | MobileNetV2 | PreActResNet18 | WideResNet | WideResNetSiLU | SmallResNet | SmallCNN,
    Field(discriminator="name"),
]
