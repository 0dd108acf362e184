"""Laws of what models are made of: normalisation, padding, residual blocks."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.layers import Normalize, SameConv2d, same_padding
from engine.models.mobilenet_v2 import InvertedResidual
from engine.models.preact_resnet import DeepMindBlock, PreActBlock
from engine.models.wide_resnet import WideBlock, WideSiLUBlock
from engine.spec.errors import ConfigError


def test_without_normalization_the_very_same_tensor_comes_back() -> None:
    x = torch.rand(1, 3, 4, 4)
    assert Normalize("none", 3)(x) is x


def test_statistics_of_colours_refuse_grey_images() -> None:
    with pytest.raises(ConfigError, match="3 channels; the images have 1"):
        Normalize("cifar10", 1)


def test_a_strided_same_convolution_pads_right_and_bottom_only() -> None:
    x = torch.arange(16.0).view(1, 1, 4, 4)
    conv = SameConv2d(1, 1, stride=2)
    with torch.no_grad():
        conv.weight.copy_(torch.tensor([[1.0, 0, 0], [0, 0, 0], [0, 0, 0]]))  # the pixel itself
        assert conv(x).flatten().tolist() == [0.0, 2.0, 8.0, 10.0]
        conv.weight.copy_(torch.tensor([[0.0, 0, 0], [0, 0, 0], [0, 0, 1]]))  # two to the right, two below
        assert conv(x).flatten().tolist() == [10.0, 0.0, 0.0, 0.0]


def test_same_padding_puts_the_odd_zero_after_and_is_even_where_it_can_be() -> None:
    assert [same_padding(size, 2) for size in (1, 2, 7, 8, 32)] == [(1, 1), (0, 1), (1, 1), (0, 1), (0, 1)]
    assert same_padding(8, 1) == (1, 1)


def test_a_same_convolution_at_stride_1_is_an_ordinary_one() -> None:
    x, conv = torch.rand(1, 2, 5, 5), SameConv2d(2, 3, stride=1)
    assert torch.equal(conv(x), F.conv2d(x, conv.weight, padding=1))


def _activated(x: Tensor, activation) -> Tensor:
    return activation(x / (1 + 1e-5) ** 0.5)  # a fresh batch norm in eval mode


@pytest.mark.parametrize(
    ("block", "silenced", "expected"),
    [
        (WideBlock(4, 8, 2), "conv2", lambda b, x: b.convShortcut(_activated(x, F.relu))),
        (WideBlock(4, 4, 1), "conv2", lambda b, x: x),
        (WideSiLUBlock(4, 8, 2), "conv_1", lambda b, x: b.shortcut(_activated(x, F.silu))),
        (WideSiLUBlock(4, 4, 1), "conv_1", lambda b, x: x),
        (PreActBlock(4, 8, 2), "conv2", lambda b, x: b.shortcut(_activated(x, F.relu))),
        (DeepMindBlock(4, 8, 2), "conv_2d_2", lambda b, x: b.shortcut(x)),
        (InvertedResidual(4, 4, 6, 1), "conv3", lambda b, x: x),
        (InvertedResidual(4, 4, 6, 2), "conv3", lambda b, x: torch.zeros(2, 4, 4, 4)),
    ],
)
def test_a_block_whose_last_convolution_is_silent_is_its_shortcut(block, silenced, expected) -> None:
    nn.init.zeros_(getattr(block.eval(), silenced).weight)
    x = torch.randn(2, 4, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(block(x), expected(block, x), atol=1e-6, rtol=1e-5)
