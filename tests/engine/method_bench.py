"""Small nets that count their questions, and an adversary, for the tests of methods."""

from importlib import import_module
from typing import get_args

import torch
from torch import nn

from engine.ascent import ascend
from engine.spec.attacks import Ascent, ThreatModel
from engine.spec.base import Pixels
from engine.spec.methods import MethodSpec
from engine.types import Nets, TrainingMethod

CLASSES = 4
BATCH = 6
BALL = ThreatModel(epsilon=Pixels(0.1))
SPECS = get_args(get_args(MethodSpec)[0])


class Net(nn.Module):
    """Batch norm and a linear map; it remembers what it was asked, and in which mode."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(2)
        self.linear = nn.Linear(18, CLASSES)
        draws = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            self.linear.weight.copy_(torch.randn(CLASSES, 18, generator=draws))
            self.linear.bias.copy_(-self.linear.weight.sum(dim=1) / 2)  # grey belongs to no class
        self.asked: list[torch.Tensor] = []
        self.asked_in_training: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.asked.append(x.detach().clone())
        if self.training:
            self.asked_in_training.append(x.detach().clone())
        return self.linear(self.norm(x).flatten(1))


class Adversary:
    """Climbs in eval mode, as training does by default; remembers what it found and which numbers it climbed."""

    def __init__(self, student: nn.Module) -> None:
        self.student = student
        self.found: list[torch.Tensor] = []
        self.climbed: list[torch.Tensor] = []

    def __call__(self, objective, x):
        def watched(x_adv):
            values = objective(x_adv)
            self.climbed.append(values.detach())
            return values

        was_training = self.student.training
        self.student.eval()
        self.found.append(ascend(watched, x, BALL, Ascent(steps=3, step_size=Pixels(0.05), start="gaussian")))
        self.student.train(was_training)
        return self.found[-1]


def batch(seed: int = 5):
    draws = torch.Generator().manual_seed(seed)
    return torch.rand(BATCH, 2, 3, 3, generator=draws), torch.randint(0, CLASSES, (BATCH,), generator=draws)


def build(spec, seed: int = 0) -> tuple[TrainingMethod, Net, Net | None, Adversary]:
    """A method of this spec on fresh nets, with its student, its frozen teacher if it has one, and its adversary."""
    student = Net(seed)
    teacher = Net(seed + 100).eval().requires_grad_(False) if spec.needs_teacher else None
    method = import_module(f"engine.methods.{spec.name}").Method(spec, Nets(student, teacher, CLASSES))
    return method, student, teacher, Adversary(student)
