"""The published RSLAD training step, transcribed plainly. Zi et al. 2021, ICCV, arXiv:2108.07969.

It imports nothing from the engine, so that a comparison has two sides. The published code takes the mean over
B x K numbers where the paper sums over the K classes: with 10 classes its loss is a tenth of the formula.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The constants of the published step."""

    epsilon: float = 8 / 255
    step_size: float = 2 / 255
    steps: int = 10
    noise: float = 0.001  # standard deviation of the start, in pixel units of [0, 1]
    adversarial_share: float = 5 / 6
    clean_share: float = 1 / 6
    floor: float = 1e-5  # stands inside one of the two logarithms: it shifts the loss by a constant, and no gradient
    scale: float = 1.0  # 10 for 100 classes


def build_optimizer(student: nn.Module, learning_rate: float = 0.1) -> torch.optim.SGD:
    """SGD as published, one parameter after the other."""
    return torch.optim.SGD(
        student.parameters(), lr=learning_rate, momentum=0.9, weight_decay=2e-4, foreach=False, fused=False
    )


def attack(student: nn.Module, soft_labels: Tensor, x: Tensor, recipe: Recipe) -> Tensor:
    """x_adv that carries the student away from the teacher's soft labels (B K) on x (B C H W); batch norm in eval."""
    divergence = nn.KLDivLoss(reduction="sum")
    student.eval()
    x_adv = x.detach() + recipe.noise * torch.randn(x.shape, dtype=x.dtype, device=x.device)
    for _ in range(recipe.steps):
        x_adv.requires_grad_()
        with torch.enable_grad():
            loss = divergence(F.log_softmax(student(x_adv), dim=1), soft_labels)
        gradient = torch.autograd.grad(loss, [x_adv])[0]
        x_adv = x_adv.detach() + recipe.step_size * torch.sign(gradient.detach())
        x_adv = torch.min(torch.max(x_adv, x - recipe.epsilon), x + recipe.epsilon)
        x_adv = torch.clamp(x_adv, 0.0, 1.0)
    student.train()
    return x_adv.detach()


def divergence_table(logits: Tensor, soft_labels: Tensor, floor: float) -> Tensor:
    """q log(q + floor) - q log p for each image and class (B K)."""
    return soft_labels * torch.log(soft_labels + floor) - soft_labels * F.log_softmax(logits, dim=1)


def step(student: nn.Module, teacher: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, recipe: Recipe) -> Tensor:
    """One batch (B C H W): teacher, attack, two forwards in train mode, update. Returns the loss."""
    student.train()
    optimizer.zero_grad()
    with torch.no_grad():
        soft_labels = F.softmax(teacher(x), dim=1)
    x_adv = attack(student, soft_labels, x, recipe)
    optimizer.zero_grad()
    adversarial_logits = student(x_adv)
    clean_logits = student(x)
    adversarial = torch.mean(divergence_table(adversarial_logits, soft_labels, recipe.floor))
    clean = torch.mean(divergence_table(clean_logits, soft_labels, recipe.floor))
    loss = recipe.scale * (recipe.adversarial_share * adversarial + recipe.clean_share * clean)
    loss.backward()
    optimizer.step()
    return loss.detach()
