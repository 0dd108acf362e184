"""The arithmetic of layers agrees with what PyTorch builds, computes and keeps."""

from importlib import import_module

import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from engine.spec.cost import ModelCost, model_cost
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

CIFAR = (3, 32, 32)
MODELS: list[ModelSpec] = [
    ResNet18(),
    MobileNetV2(),
    *(PreActResNet18(variant=variant) for variant in ("kuangliu", "rice", "deepmind")),
    WideResNet(sub_block=True),
    WideResNet(width=20),
    WideResNet(depth=10, width=1, sub_block=True),
    WideResNetSiLU(normalization="none"),
    WideResNetSiLU(depth=70, width=16, normalization="none"),
    WideResNetSiLU(depth=16, width=1, normalization="none"),
    SmallResNet(width=8, blocks=3),
    SmallCNN(),
]


def build(spec: ModelSpec, classes: int, image: tuple[int, int, int], device: str) -> nn.Module:
    with torch.device(device):
        model: nn.Module = import_module(f"engine.models.{spec.module}").build(spec, classes, image)
    return model


@pytest.mark.parametrize(("classes", "image"), [(100, CIFAR), (7, (1, 7, 9))], ids=str)
@pytest.mark.parametrize("spec", MODELS, ids=lambda spec: f"{spec.title}-{getattr(spec, 'variant', '')}")
def test_parameters_and_multiply_accumulates_are_exact(spec, classes, image) -> None:
    model = build(spec, classes, image, "meta")
    with FlopCounterMode(display=False) as counter:
        model(torch.empty(2, *image, device="meta"))
    cost = model_cost(spec, classes, image)
    assert cost.parameters == sum(p.numel() for p in model.parameters())
    assert cost.macs == counter.get_total_flops() / 2 / 2  # 2 FLOPs per multiply-accumulate, 2 images


@pytest.mark.parametrize(
    ("spec", "gigamacs"),
    [
        (ResNet18(), "0.555"),
        (MobileNetV2(), "0.091"),
        (WideResNetSiLU(), "5.243"),
        (WideResNet(), "6.659"),
        (WideResNet(width=20), "26.582"),
        (WideResNetSiLU(depth=70, width=16), "38.764"),
    ],
    ids=str,
)
def test_multiply_accumulates_are_the_known_ones(spec, gigamacs) -> None:
    assert f"{model_cost(spec, 10, CIFAR).macs / 1e9:.3f}" == gigamacs


def test_the_smallest_student_by_hand() -> None:
    assert model_cost(SmallCNN(width=4), 10, (1, 8, 8)) == ModelCost(
        parameters=(9 * 4 + 8) + (9 * 4 * 8 + 16) + (8 * 4 * 4 * 10 + 10),
        macs=9 * 4 * 64 + 9 * 4 * 8 * 16 + 8 * 4 * 4 * 10,
        activation_floats=3 * 4 * 64 + 3 * 8 * 16,  # convolution, batch norm, ReLU at 8 x 8, then at 4 x 4
    )


@pytest.mark.parametrize(
    "spec", [SmallResNet(), ResNet18(), MobileNetV2(), PreActResNet18(), WideResNet(depth=10, width=2)]
)
def test_autograd_keeps_no_more_than_the_estimate_and_not_much_less(spec) -> None:
    model, x = build(spec, 10, CIFAR, "cpu"), torch.rand(2, *CIFAR)
    mine = {p.untyped_storage().data_ptr() for p in (*model.parameters(), *model.buffers(), x)}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.dim() == 4 and tensor.untyped_storage().data_ptr() not in mine:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        logits = model(x)
    measured = sum(tensor.numel() for tensor in kept.values()) / 2
    assert logits.requires_grad
    estimated = model_cost(spec, 10, CIFAR).activation_floats
    assert 0.5 * estimated <= measured <= estimated


@pytest.mark.parametrize("family", [WideResNet, WideResNetSiLU])
def test_a_wide_resnet_of_6n_plus_4_layers_has_n_blocks_per_stage(family) -> None:
    assert [family(depth=depth).blocks for depth in (10, 28, 34, 70)] == [1, 4, 5, 11]
    for depth in (12, 32, 69):
        with pytest.raises(ValidationError, match=rf"6 n \+ 4 layers: .* 28, 34, \.\.\., not {depth}"):
            family(depth=depth)
