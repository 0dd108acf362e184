"""Laws of all models: public sizes and names, logits for images of any shape, normalisation first."""

from importlib import import_module
from typing import get_args

import pytest
import torch
from pydantic import BaseModel
from torch import nn
from torch.nn import functional as F

from engine.layers import STATISTICS
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
SMALL = [  # one of each family, as small as it gets
    ResNet18(),
    MobileNetV2(),
    *(PreActResNet18(variant=variant) for variant in ("kuangliu", "rice", "deepmind")),
    WideResNet(depth=10, width=1, sub_block=True),
    WideResNetSiLU(depth=10, width=2, normalization="none"),
    SmallResNet(width=8),
    SmallCNN(width=8),
]
COUNTS = [  # spec, classes, parameters
    (ResNet18(), 10, 11_173_962),
    (ResNet18(), 100, 11_220_132),
    (MobileNetV2(), 10, 2_296_922),
    (MobileNetV2(), 100, 2_412_212),
    (PreActResNet18(variant="rice"), 10, 11_172_170),
    (PreActResNet18(variant="kuangliu"), 10, 11_172_170 - 2 * 512),  # no final batch norm
    # 3 x 3 for 1 x 1 shortcuts: eight weights more for each of 64 x 128 + 128 x 256 + 256 x 512 pairs
    (PreActResNet18(variant="deepmind"), 10, 11_172_170 + 8 * (64 * 128 + 128 * 256 + 256 * 512)),
    (WideResNet(), 10, 46_160_474),
    (WideResNet(sub_block=True), 10, 46_160_474 + 2_102_112),
    (WideResNet(width=20), 10, 184_531_674),
    (WideResNetSiLU(depth=70, width=16), 10, 266_796_506),
    (WideResNetSiLU(depth=70, width=16, normalization="cifar100"), 100, 266_888_756),
    (WideResNetSiLU(normalization="cifar100"), 100, 36_536_884),
    # 4 x 9 + 8 | 4 x 8 x 9 + 16 | 8 x 4 x 4 features x 10 + 10
    (SmallCNN(width=4), 10, 108 + 8 + 288 + 16 + 8 * 16 * 16 * 10 + 10),
]


def build(spec: ModelSpec, classes: int = 10, image: tuple[int, int, int] = CIFAR, device: str = "cpu") -> nn.Module:
    """As engine.run.run does it."""
    torch.manual_seed(0)
    with torch.device(device):
        model: nn.Module = import_module(f"engine.models.{spec.module}").build(spec, classes, image)
    return model


def title(value: object) -> str:
    """A name for a case that is the same in every process: of models their title, of small values the value."""
    if isinstance(value, BaseModel):
        return "-".join([str(getattr(value, "title", type(value).__name__)), getattr(value, "variant", "")]).strip("-")
    return str(value) if isinstance(value, int | str) else type(value).__name__


def norm_shapes(name: str, width: int) -> dict[str, tuple[int, ...]]:
    parts = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{part}": (width,) for part in parts} | {f"{name}.num_batches_tracked": ()}


def trades_shapes() -> dict[str, tuple[int, ...]]:
    """Every key of TRADES' model_cifar_wrn.pt."""
    shapes: dict[str, tuple[int, ...]] = {"conv1.weight": (16, 3, 3, 3)}
    for stage, inputs, width in (
        ("block1", 16, 160),
        ("sub_block1", 16, 160),
        ("block2", 160, 320),
        ("block3", 320, 640),
    ):
        for i in range(5):
            before, at = inputs if i == 0 else width, f"{stage}.layer.{i}"
            shapes |= norm_shapes(f"{at}.bn1", before) | norm_shapes(f"{at}.bn2", width)
            shapes |= {f"{at}.conv1.weight": (width, before, 3, 3), f"{at}.conv2.weight": (width, width, 3, 3)}
        shapes[f"{stage}.layer.0.convShortcut.weight"] = (width, inputs, 1, 1)
    return shapes | norm_shapes("bn1", 640) | {"fc.weight": (10, 640), "fc.bias": (10,)}


def deepmind_shapes() -> dict[str, tuple[int, ...]]:
    """Every key of a public WRN-28-10 with SiLU for CIFAR-100."""
    shapes: dict[str, tuple[int, ...]] = {"init_conv.weight": (16, 3, 3, 3)}
    for stage, inputs, width in ((0, 16, 160), (1, 160, 320), (2, 320, 640)):
        for i in range(4):
            before, at = inputs if i == 0 else width, f"layer.{stage}.block.{i}"
            shapes |= norm_shapes(f"{at}.batchnorm_0", before) | norm_shapes(f"{at}.batchnorm_1", width)
            shapes |= {f"{at}.conv_0.weight": (width, before, 3, 3), f"{at}.conv_1.weight": (width, width, 3, 3)}
        shapes[f"layer.{stage}.block.0.shortcut.weight"] = (width, inputs, 1, 1)
    return shapes | norm_shapes("batchnorm", 640) | {"logits.weight": (100, 640), "logits.bias": (100,)}


def resnet_shapes() -> dict[str, tuple[int, ...]]:
    """Every key of a public CIFAR ResNet-18."""
    shapes: dict[str, tuple[int, ...]] = {"conv1.weight": (64, 3, 3, 3)} | norm_shapes("bn1", 64)
    for stage, inputs, width in ((1, 64, 64), (2, 64, 128), (3, 128, 256), (4, 256, 512)):
        for i in range(2):
            before, at = inputs if i == 0 else width, f"layer{stage}.{i}"
            shapes |= norm_shapes(f"{at}.bn1", width) | norm_shapes(f"{at}.bn2", width)
            shapes |= {f"{at}.conv1.weight": (width, before, 3, 3), f"{at}.conv2.weight": (width, width, 3, 3)}
        if stage > 1:
            shapes[f"layer{stage}.0.shortcut.0.weight"] = (width, inputs, 1, 1)
            shapes |= norm_shapes(f"layer{stage}.0.shortcut.1", width)
    return shapes | {"linear.weight": (10, 512), "linear.bias": (10,)}


@pytest.mark.parametrize(("spec", "classes", "parameters"), COUNTS, ids=title)
def test_a_model_has_exactly_the_published_number_of_parameters(spec, classes, parameters) -> None:
    assert sum(p.numel() for p in build(spec, classes, device="meta").parameters()) == parameters


def test_the_small_list_names_every_model_of_the_registry() -> None:
    assert {type(spec) for spec in SMALL} == set(get_args(get_args(ModelSpec)[0]))


@pytest.mark.parametrize(
    ("spec", "classes", "shapes"),
    [
        (WideResNet(sub_block=True), 10, trades_shapes()),
        (WideResNetSiLU(normalization="cifar100"), 100, deepmind_shapes()),
        (ResNet18(), 10, resnet_shapes()),
    ],
    ids=title,
)
def test_a_public_checkpoint_loads_strictly(spec, classes, shapes) -> None:
    model = build(spec, classes, device="meta")
    checkpoint = {
        key: torch.zeros(shape, dtype=torch.long if key.endswith("tracked") else torch.float32, device="meta")
        for key, shape in shapes.items()
    }
    model.load_state_dict(checkpoint, strict=True)
    assert set(model.state_dict()) == set(shapes)


def test_trades_weights_without_the_unused_block_fit_the_model_without_it() -> None:
    used = {key for key in trades_shapes() if not key.startswith("sub_block1.")}
    assert set(build(WideResNet(), device="meta").state_dict()) == used


@pytest.mark.parametrize(
    ("spec", "present", "absent"),
    [
        (
            MobileNetV2(),
            {
                "conv1.weight": (32, 3, 3, 3),
                "layers.0.conv1.weight": (32, 32, 1, 1),
                "layers.0.shortcut.0.weight": (16, 32, 1, 1),
                "layers.1.conv2.weight": (96, 1, 3, 3),
                "layers.1.shortcut.1.running_mean": (24,),
                "layers.16.conv3.weight": (320, 960, 1, 1),
                "layers.16.bn3.num_batches_tracked": (),
                "layers.16.shortcut.0.weight": (320, 160, 1, 1),
                "conv2.weight": (1280, 320, 1, 1),
                "bn2.bias": (1280,),
                "linear.weight": (10, 1280),
            },
            {"layers.2.shortcut.0.weight", "layers.3.shortcut.0.weight", "layers.17.conv1.weight"},
        ),
        (
            PreActResNet18(variant="rice"),
            {
                "layer1.0.bn1.weight": (64,),
                "layer2.0.shortcut.0.weight": (128, 64, 1, 1),
                "layer4.1.conv2.weight": (512, 512, 3, 3),
                "bn.running_var": (512,),
                "linear.bias": (10,),
            },
            {"layer1.0.shortcut.0.weight", "bn1.weight"},
        ),
        (PreActResNet18(), {"layer4.0.shortcut.0.weight": (512, 256, 1, 1)}, {"bn.weight"}),
        (
            PreActResNet18(variant="deepmind"),
            {
                "conv_2d.weight": (64, 3, 3, 3),
                "layer_0.0.batchnorm_0.weight": (64,),
                "layer_1.0.conv_2d_1.weight": (128, 64, 3, 3),
                "layer_1.0.shortcut.weight": (128, 64, 3, 3),
                "layer_3.1.conv_2d_2.weight": (512, 512, 3, 3),
                "layer_3.1.batchnorm_1.running_mean": (512,),
                "batchnorm.bias": (512,),
                "logits.weight": (10, 512),
            },
            {"layer_0.0.shortcut.weight", "layer_3.1.shortcut.weight"},
        ),
    ],
    ids=title,
)
def test_state_dict_keys_and_shapes_are_those_of_the_public_code(spec, present, absent) -> None:
    state = build(spec, device="meta").state_dict()
    assert {key: tuple(state[key].shape) for key in present} == present
    assert not absent & set(state)


@pytest.mark.parametrize("image", [(1, 8, 8), (3, 32, 32), (3, 7, 9)], ids=str)
@pytest.mark.parametrize("spec", SMALL, ids=title)
def test_every_model_gives_logits_and_gradients_for_images_of_any_shape(spec, image) -> None:
    model = build(spec, 7, image)
    x = torch.rand(2, *image, requires_grad=True)
    logits = model(x)
    assert logits.shape == (2, 7) and logits.dtype == torch.float32
    logits.square().sum().backward()
    assert x.grad is not None and bool(torch.isfinite(x.grad).all())
    assert {p.dtype for p in model.parameters()} == {torch.float32}


@pytest.mark.parametrize("spec", SMALL, ids=title)
def test_in_eval_mode_an_answer_repeats_and_ignores_the_other_images_and_the_memory_layout(spec) -> None:
    model = build(spec).eval()
    x = torch.rand(3, *CIFAR)
    with torch.no_grad():
        logits = model(x)
        assert torch.equal(model(x), logits)
        torch.testing.assert_close(model(x[1:2]), logits[1:2], atol=1e-5, rtol=1e-5)
        nhwc = model.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last))
    torch.testing.assert_close(nhwc, logits, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("spec", SMALL, ids=title)
def test_normalization_comes_first_so_the_mean_colour_is_seen_as_zero(spec) -> None:
    plain = build(spec).eval()
    inside = build(spec.model_copy(update={"normalization": "cifar100"})).eval()
    inside.load_state_dict(plain.state_dict(), strict=True)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in STATISTICS["cifar100"])
    noise = torch.randn(2, *CIFAR)
    with torch.no_grad():
        assert torch.equal(inside(mean.expand(2, *CIFAR)), plain(torch.zeros(2, *CIFAR)))
        torch.testing.assert_close(inside(mean + std * noise), plain(noise), atol=1e-4, rtol=1e-4)


def test_normalization_leaves_no_trace_in_the_state_dict_and_survives_the_meta_device() -> None:
    model = build(WideResNetSiLU(depth=10, width=1), device="meta")
    assert not [key for key in model.state_dict() if "mean" in key.split(".") or "std" in key.split(".")]
    assert {name: str(buffer.device) for name, buffer in model.named_buffers() if name.startswith("normalize")} == {
        "normalize.mean": "cpu",
        "normalize.std": "cpu",
    }


def test_a_deepmind_shortcut_exists_only_where_the_width_changes() -> None:
    keys = build(WideResNetSiLU(depth=16, width=1), device="meta").state_dict()
    shortcuts = {key for key in keys if "shortcut" in key}
    assert shortcuts == {"layer.1.block.0.shortcut.weight", "layer.2.block.0.shortcut.weight"}  # 16 to 16 has none


@pytest.mark.parametrize(
    ("spec", "last", "kernel"), [(ResNet18(), "layer4", 4), (SmallResNet(), "layer3", 8)], ids=title
)
def test_the_mean_over_all_positions_is_the_reference_pooling_on_32_by_32(spec, last, kernel) -> None:
    model, seen = build(spec).eval(), {}
    model.get_submodule(last).register_forward_hook(lambda module, given, out: seen.update(features=out))
    model.get_submodule("linear").register_forward_pre_hook(lambda module, given: seen.update(pooled=given[0]))
    model(torch.rand(2, *CIFAR))
    torch.testing.assert_close(seen["pooled"], F.avg_pool2d(seen["features"], kernel).flatten(1))


def test_a_wide_resnet_starts_with_kaiming_weights_over_the_fan_out_and_no_bias() -> None:
    model = build(WideResNet(depth=10, width=4))
    weight = model.get_parameter("block3.layer.0.conv2.weight").detach()  # 256 256 3 3
    assert float(weight.std()) == pytest.approx((2 / (9 * 256)) ** 0.5, rel=0.01)
    assert not bool(model.get_parameter("fc.bias").any())
