"""Our RSLAD step beside the published one: the same start, batch and noise, and how far the outcomes lie apart.

In float64 the two agree to rounding. In float32 only a short attack can be compared: the sign of a gradient that is
nearly zero turns on the last bit, and from there the paths of a long attack part.
"""

import math
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmarks import reference
from engine.methods import rslad
from engine.spec.attacks import ThreatModel
from engine.spec.methods import RSLAD
from engine.spec.training import Inner, Training
from engine.train import optim
from engine.train.step import maximiser, train_step
from engine.types import Images, Labels, Nets

SEED = 7
NEGLIGIBLE = 1e-4  # of the largest number of its kind: a tensor below it is measured against this


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one step made: the loss, the gradients, the weights after the update, and the running statistics."""

    loss: Tensor
    gradients: dict[str, Tensor]
    weights: dict[str, Tensor]
    statistics: dict[str, Tensor]


def our_outcome(student: nn.Module, teacher: nn.Module, x: Images, y: Labels, steps: int) -> Outcome:
    """One step of the engine on a copy of the student; `steps` of the attack."""
    student = deepcopy(student).train()
    method = rslad.Method(RSLAD(), Nets(student, teacher, classes=10, device=x.device))
    optimizer = optim.build(student, Training())
    torch.manual_seed(SEED)
    loss = train_step(method, maximiser(student, ThreatModel(), Inner(steps=steps)), [optimizer], x, y)
    return _outcome(student, loss.total.detach())


def their_outcome(student: nn.Module, teacher: nn.Module, x: Images, steps: int) -> Outcome:
    """One published step on a copy of the student; without the floor in the logarithm, which shifts the loss alone."""
    student = deepcopy(student).train()
    optimizer = reference.build_optimizer(student)
    torch.manual_seed(SEED)
    loss = reference.step(student, teacher, optimizer, x, reference.Recipe(steps=steps, floor=0.0))
    return _outcome(student, loss)


def differences(ours: Outcome, theirs: Outcome) -> dict[str, float]:
    """Largest |ours - theirs| / largest |theirs|, tensor by tensor, and the worst tensor of each kind."""
    return {
        "loss": _relative(ours.loss, theirs.loss),
        "gradients": _worst(ours.gradients, theirs.gradients),
        "weights": _worst(ours.weights, theirs.weights),
        "running_statistics": _worst(ours.statistics, theirs.statistics),
    }


def compare(student: nn.Module, teacher: nn.Module, x: Images, y: Labels, steps: int) -> dict[str, float]:
    """The differences after one step of each from the same start."""
    return differences(our_outcome(student, teacher, x, y, steps), their_outcome(student, teacher, x, steps))


def _outcome(student: nn.Module, loss: Tensor) -> Outcome:
    gradients = {name: p.grad.clone() for name, p in student.named_parameters() if p.grad is not None}
    weights = {name: p.detach() for name, p in student.named_parameters()}
    return Outcome(loss=loss, gradients=gradients, weights=weights, statistics=dict(student.named_buffers()))


def _worst(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> float:
    if ours.keys() != theirs.keys():
        raise ValueError(f"one side alone has {sorted(ours.keys() ^ theirs.keys())}")
    # a bias before a batch norm has gradient zero, of which rounding is all that can be compared
    smallest = NEGLIGIBLE * max((_size(theirs[name]) for name in theirs), default=0.0)
    return max((_relative(ours[name], theirs[name], smallest) for name in ours), default=0.0)


def _relative(ours: Tensor, theirs: Tensor, smallest: float = 0.0) -> float:
    distance, size = _size(ours - theirs), max(_size(theirs), smallest)
    if not math.isfinite(distance):
        return math.inf  # a comparison with NaN would pass
    return distance / size if size else distance


def _size(tensor: Tensor) -> float:
    return float(tensor.abs().max())
