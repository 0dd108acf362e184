"""A student as RobustBench's own architecture files name its weights.

A plain dict of tensors: `torch.load(path, weights_only=True)` reads it, `load_state_dict(strict=True)` takes it.
RobustBench 1.1 has no MobileNetV2 of this kind, no small models, and takes images of 3 x 32 x 32 only.
"""

import io
from typing import NamedTuple

import torch
from torch import Tensor

from engine.layers import STATISTICS
from engine.spec.errors import CrdndError
from engine.spec.models import ModelSpec, Normalization, PreActResNet18, ResNet18, WideResNet, WideResNetSiLU
from engine.teachers.saved import SavedStudent

IMAGE = (3, 32, 32)
ARCHITECTURES = "robustbench.model_zoo.architectures"


class Counterpart(NamedTuple):
    """The lines of Python that build the same net in RobustBench, and whether it normalizes by itself."""

    imports: str
    model: str  # an expression
    is_normalizing: bool = False  # has mean and std of its own, which are no part of its state dict


def counterpart(spec: ModelSpec, classes: int) -> Counterpart:
    """RobustBench's net of this kind; CrdndError when it has none."""
    match spec:
        case ResNet18():
            built = f"ResNet(BasicBlock, [2, 2, 2, 2], num_classes={classes})"
            return Counterpart(f"from {ARCHITECTURES}.resnet import BasicBlock, ResNet", built)
        case PreActResNet18(variant="deepmind"):
            built = f"DMPreActResNet(num_classes={classes}, activation_fn=Swish, {_statistics(spec.normalization)})"
            return Counterpart(f"from {ARCHITECTURES}.dm_wide_resnet import DMPreActResNet, Swish", built, True)
        case PreActResNet18():
            last = "True" if spec.variant == "rice" else "False"
            built = f"PreActResNet(PreActBlock, [2, 2, 2, 2], {classes}, bn_before_fc={last}, out_shortcut=True)"
            return Counterpart(f"from {ARCHITECTURES}.resnet import PreActBlock, PreActResNet", built)
        case WideResNet():
            built = (
                f"WideResNet(depth={spec.depth}, num_classes={classes}, widen_factor={spec.width}, "
                f"sub_block1={spec.sub_block})"
            )
            return Counterpart(f"from {ARCHITECTURES}.wide_resnet import WideResNet", built)
        case WideResNetSiLU():
            built = (
                f"DMWideResNet(num_classes={classes}, depth={spec.depth}, width={spec.width}, "
                f"activation_fn=Swish, {_statistics(spec.normalization)})"
            )
            return Counterpart(f"from {ARCHITECTURES}.dm_wide_resnet import DMWideResNet, Swish", built, True)
        case _:
            raise CrdndError(
                f"RobustBench has no {spec.title}: nothing there could load it",
                hint="Export it as safetensors or onnx.",
            )


def make(saved: SavedStudent) -> tuple[bytes, str, dict[str, Tensor]]:
    """The file's content, the Python that loads it, and the tensors in it; CrdndError when there is no such net."""
    spec = saved.config.student
    twin = counterpart(spec, saved.classes)
    if saved.image != IMAGE:
        shape = " x ".join(str(side) for side in saved.image)
        raise CrdndError(
            f"RobustBench's models take images of 3 x 32 x 32, this student takes {shape}",
            hint="Export it as safetensors or onnx.",
        )
    tensors = {name: value.contiguous().clone() for name, value in saved.tensors.items()}
    lines = ["import torch", twin.imports]
    if spec.normalization != "none" and not twin.is_normalizing:  # RobustBench puts a layer before the net
        mean, std = STATISTICS[spec.normalization]
        tensors = {f"model.{name}": value for name, value in tensors.items()}
        tensors = {"normalize.mean": _column(mean), "normalize.std": _column(std)} | tensors
        lines.append(f"from {ARCHITECTURES}.utils_architectures import normalize_model")
        lines.append(f"model = normalize_model({twin.model}, {mean}, {std})")
    else:
        lines.append(f"model = {twin.model}")
    lines.append("model.load_state_dict(torch.load('FILE', map_location='cpu', weights_only=True), strict=True)")
    lines.append("model.eval()")
    buffer = io.BytesIO()
    torch.save(tensors, buffer)
    return buffer.getvalue(), "\n".join(lines), tensors


def _statistics(normalization: Normalization) -> str:
    mean, std = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)) if normalization == "none" else STATISTICS[normalization]
    return f"mean={mean}, std={std}"


def _column(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values).view(1, len(values), 1, 1)
