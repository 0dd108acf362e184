"""Small networks and images on which attacks have something to do: noisy prototypes of ten classes, 1 x 8 x 8."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor, nn

from engine.evaluate import autoattack
from engine.evaluate.attack_run import clean_predictions, run_attack
from engine.evaluate.context import AttackResult, EvaluationContext, EvaluationSubject, InterruptibleNet
from engine.evaluate.evaluation import evaluate, subset
from engine.runtime.device import frozen_eval, state_hash
from engine.runtime.rng import isolated_rng
from engine.spec.attacks import AttackSpec, ThreatModel
from engine.spec.base import Pixels
from engine.spec.events import Event
from engine.spec.outcomes import Outcome, pack, summarise
from engine.spec.rundir import RunDir
from engine.spec.training import Evaluation
from engine.types import Split

CLASSES = tuple("abcdefghij")
BALL = ThreatModel(epsilon=Pixels(0.1))


@cache
def _drawn() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(7)
    prototypes = torch.rand(10, 1, 8, 8, generator=generator)
    y = torch.arange(600) % 10
    x = (0.2 + 0.6 * prototypes[y] + 0.12 * torch.randn(600, 1, 8, 8, generator=generator)).clamp(0, 1)
    return (x * 255).round().to(torch.uint8), y


def images(n: int) -> Split:
    """n images of the ten classes in turn."""
    x, y = _drawn()
    return Split(x[:n].clone(), y[:n].clone())


def pixels(n: int) -> tuple[Tensor, Tensor]:
    """The same as an attack sees them."""
    split = images(n)
    return split.images.float() / 255, split.labels


class Small(nn.Module):
    """One hidden layer behind batch norm, with dropout, so that train mode would be noticed."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.first, self.norm = nn.Linear(64, 32), nn.BatchNorm1d(32)
        self.drop, self.last = nn.Dropout(0.2), nn.Linear(32, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.drop(self.norm(self.first(x.flatten(1))).relu()))


@cache
def _trained(robust: bool) -> dict[str, Tensor]:
    """In float64: signs of gradients make differences of float32's rounding grow into another net on each processor."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        net = Small().double()
        x, y = pixels(600)
        x = x.double()
        optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
        for _ in range(60):
            x_in = x
            if robust:
                x_in = x.clone().requires_grad_()
                (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(net(x_in), y), x_in)
                x_in = (x + 0.1 * gradient.sign()).clamp(0, 1)
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x_in), y).backward()
            optimizer.step()
    return net.float().state_dict()


def trained(*, robust: bool = False) -> Small:
    """A net that knows the prototypes, in eval mode; with or without single-step adversarial training."""
    net = Small()
    net.load_state_dict(_trained(robust))
    return net.eval()


def subject(net: nn.Module, n: int, *, of: int | None = None, teacher: nn.Module | None = None) -> EvaluationSubject:
    """The net before n images."""
    split = images(n)
    return EvaluationSubject(
        net=net,
        teacher=teacher,
        checkpoint="best",
        images=split,
        classes=CLASSES,
        of=of or n,
        indices=subset(split.labels, 0, 0),
        data_sha256="d" * 64,
        weights_sha256=state_hash(net),
        device=torch.device("cpu"),
    )


def context(
    net: nn.Module, n: int, *, copy: nn.Module | None = None, pause: Callable[[], None] = lambda: None, **changes: Any
) -> EvaluationContext:
    """The net, and what attacks climb on, before n images, all of whose adversarial images are kept."""
    split = images(n)
    made = EvaluationContext(
        net=InterruptibleNet(net, pause),
        folded=copy and InterruptibleNet(copy, pause),
        images=split.images,
        labels=split.labels,
        classes=10,
        device=torch.device("cpu"),
        threat_model=BALL,
        batch_size=20,
        seed=3,
        gallery=torch.arange(n),
    )
    return replace(made, **changes)


def attacked(where: EvaluationContext, spec: AttackSpec) -> AttackResult:
    """All images under this attack; the net and the generators are left as they were."""
    with isolated_rng(), frozen_eval(where.net):
        return run_attack(where, spec, clean_predictions(where).predicted)


class Cut(BaseException):
    """Somebody pulled the plug."""


def cut_after(passes: int | None) -> Callable[[], None]:
    """A pause that raises Cut before the forward pass after so many; None never does."""
    left = [passes]

    def pause() -> None:
        if left[0] is not None:
            left[0] -= 1
            if left[0] < 0:
                raise Cut

    return pause


assemble = autoattack.assemble


def short_autoattack(context: EvaluationContext, outputs: int) -> dict[str, Any]:
    """AutoAttack's parts with few iterations: what is tested is the loop."""
    parts = assemble(context, outputs)
    for part in parts.values():
        part.n_queries, part.n_iter, part.n_iter_orig, part.n_target_classes = 20, 4, 4, 2
    return parts


def evaluated(
    path: Path, who: EvaluationSubject, evaluation: Evaluation, threat_model: ThreatModel = BALL, **how: Any
) -> tuple[list[Event], RunDir]:
    """What an evaluation into this folder says, and the folder."""
    said: list[Event] = []
    evaluate(who, evaluation, threat_model, folder(path), said.append, how.pop("pause", lambda: None), **how)
    return said, RunDir(path)


def outcome(labels: list[int], predicted: list[int], attack: str = "pgd", **changes: Any) -> Outcome:
    """The record of an attack that left these predictions; three classes, or as many as there are labels."""
    robust = [guess == label for guess, label in zip(predicted, labels, strict=True)]
    figures = summarise(labels, predicted, robust, max([*labels, *predicted, 2]) + 1)
    made = Outcome(
        checkpoint="best",
        attack=attack,
        spec={"name": attack},
        n=len(labels),
        of=len(labels),
        **figures._asdict(),
        robust=pack(robust),
        predicted=predicted,
        indices_sha256="i",
        data_sha256="d",
        weights_sha256="w",
        seconds=1.5,
        device="cpu",
    )
    return msgspec.structs.replace(made, **changes)


def folder(path: Path) -> RunDir:
    """A run folder that exists."""
    path.mkdir(parents=True, exist_ok=True)
    return RunDir(path)
