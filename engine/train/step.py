"""One training step.

x, y --method.loss(x, y, maximise)--> Loss --backward--> update, unless a number is not finite
"""

from collections.abc import Callable, Sequence

import torch
from torch import nn

from engine.ascent import ascend
from engine.runtime.device import mode
from engine.spec.attacks import ThreatModel
from engine.spec.training import Inner
from engine.types import Images, Labels, Loss, Maximise, Objective, PerExample, TrainingMethod


def train_step(
    method: TrainingMethod, maximise: Maximise, optimizers: Sequence[torch.optim.Optimizer], x: Images, y: Labels
) -> Loss:
    """One batch: the method finds x_adv and compares; the student steps, if loss and gradient are finite numbers."""
    loss = method.loss(x, y, maximise)
    for optimizer in optimizers:
        optimizer.zero_grad(set_to_none=True)
    loss.total.backward()
    gradients = [p.grad for o in optimizers for group in o.param_groups for p in group["params"] if p.grad is not None]
    broken = (~torch.isfinite(loss.total.detach() + nn.utils.get_total_norm(gradients))).float()
    for optimizer in optimizers:
        guarded_step(optimizer, broken)
    return loss


def guarded_step(optimizer: torch.optim.Optimizer, broken: torch.Tensor) -> None:
    """Step unless `broken` is 1, decided on the device: fused optimisers read `found_inf` without a host round trip."""
    sticky = getattr(optimizer, "found_inf", None)
    if sticky is None:
        sticky = optimizer.found_inf = torch.zeros_like(broken)  # type: ignore[attr-defined]
    torch.maximum(sticky, broken, out=sticky)  # in place: a captured step finds it where it was
    optimizer.grad_scale = None  # type: ignore[attr-defined]
    optimizer.step()


def maximiser(
    student: nn.Module, threat_model: ThreatModel, inner: Inner, beat: Callable[[], None] = lambda: None
) -> Maximise:
    """The inner maximisation of training, with batch norm in the mode `inner.student_mode`.

    `beat` is called at each of its steps: on a slow machine a batch takes minutes.
    """

    def maximise(objective: Objective, x: Images) -> Images:
        def watched(x_adv: Images) -> PerExample:
            beat()
            return objective(x_adv)

        with mode(student, training=inner.student_mode == "train"):
            return ascend(watched, x, threat_model, inner)

    return maximise
