"""A small student and teacher, and steps of every method with and without the fast path, for its law tests."""

from importlib import import_module
from typing import NamedTuple

import torch
from torch import Tensor, nn

from engine.data.augment import Feed
from engine.fast.path import FastPath
from engine.fast.plan import FastPlan
from engine.runtime.interrupt import Stopped
from engine.spec.attacks import ThreatModel
from engine.spec.base import Pixels
from engine.spec.estimate import passes_per_step
from engine.spec.events import StepDone
from engine.spec.methods import ARD, CRDND, IAD, PGDAT, RSLAD, TRADES, Natural
from engine.spec.training import Inner, Training
from engine.train import optim
from engine.train.loop import Trainer
from engine.train.step import maximiser, train_step
from engine.types import Nets, Split, TrainingMethod
from tests.engine.test_trainer import CLASSES, Journal, config

BATCH = 6
BALL = ThreatModel(epsilon=Pixels(0.1))
METHODS = [
    Natural(),
    PGDAT(),
    TRADES(),
    ARD(alpha=1.0),
    ARD(alpha=0.5),
    IAD(begin=0),
    IAD(begin=9),
    RSLAD(),
    CRDND(),
    CRDND(pool="nat_adv", anchor="teacher", off_diagonal="learned"),
]
EVAL = Inner(steps=3, step_size=Pixels(0.04))
TRAIN = Inner(steps=3, step_size=Pixels(0.04), student_mode="train")


class Net(nn.Module):
    """Two convolutions with batch norm, and a linear map: both batch norms can be folded."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.one, self.norm = nn.Conv2d(2, 5, 3, padding=1, bias=False), nn.BatchNorm2d(5)
            self.two, self.again = nn.Conv2d(5, 6, 3), nn.BatchNorm2d(6)
            self.linear = nn.Linear(6, CLASSES)
            for norm in (self.norm, self.again):
                norm.running_mean.normal_(0, 0.1)
                norm.running_var.uniform_(0.5, 1.5)
            self.linear.weight.data.mul_(6)  # predictions that differ from uniform

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.one(x)))
        return self.linear(torch.relu(self.again(self.two(x))).mean(dim=(2, 3)))


class Done(NamedTuple):
    """What a few steps leave behind."""

    losses: list[float]
    gradients: dict[str, Tensor]
    state: dict[str, Tensor]
    memory: dict  # the method's
    fast: FastPath | None


def batch(number: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    draws = torch.Generator().manual_seed(100 + number)
    x = torch.rand(BATCH, 2, 5, 5, generator=draws, dtype=torch.float64)
    return x.to(dtype), torch.randint(0, CLASSES, (BATCH,), generator=draws)


def nets(spec, dtype: torch.dtype = torch.float32) -> Nets:
    teacher = Net(100).to(dtype).eval().requires_grad_(False) if spec.needs_teacher else None
    return Nets(Net(0).to(dtype).train(), teacher, CLASSES)


def built(spec, given: Nets, dtype: torch.dtype = torch.float32) -> TrainingMethod:
    """The method, its own numbers in the same precision."""
    method = import_module(f"engine.methods.{spec.name}").Method(spec, given)
    for own in vars(method).values():
        if isinstance(own, nn.Module):
            own.to(dtype)
    return method


def views(spec, epoch: int = 1) -> int:
    return passes_per_step(spec, 3, not isinstance(spec, IAD) or epoch > spec.begin).full_backward


def steps(
    spec, plan: FastPlan | None, inner: Inner = EVAL, *, count: int = 1, dtype: torch.dtype = torch.float32, watch=None
) -> Done:
    """`count` steps of one epoch each; `plan` None is the engine without any of its fast path."""
    real = nets(spec, dtype)
    fast = None if plan is None else FastPath(real, plan)
    method = built(spec, fast.nets if fast else real, dtype)
    climb = maximiser(real.student, BALL, inner)
    climb = fast.maximiser(climb, inner.student_mode) if fast else climb
    optimizers = [optim.build(real.student, Training(learning_rate=0.05)), *method.optimizers()]
    if watch is not None:
        watch(real)
    losses = []
    for k in range(count):
        x, y = batch(k, dtype)
        method.epoch_started(k + 1, count)
        torch.manual_seed(k)
        if fast is None:
            loss = train_step(method, climb, optimizers, x, y)
        else:
            fast.epoch_started(views(spec, k + 1))
            loss = fast.run(lambda x, y: train_step(method, climb, optimizers, x, y), x, y, None)
        losses.append(float(loss.total.detach()))
        method.epoch_ended()
    gradients = {name: p.grad.clone() for name, p in real.student.named_parameters()}
    return Done(losses, gradients, real.student.state_dict(), method.state_dict(), fast)


def furthest(some: dict[str, Tensor], others: dict[str, Tensor]) -> float:
    """The largest difference of any tensor, relative to its largest number, which counts as 0.001 at least."""
    assert some.keys() == others.keys()
    return max(float((some[k] - others[k]).abs().max() / some[k].abs().max().clamp(min=1e-3)) for k in some)


def trainer(spec, journal: Journal, plan: FastPlan, *, images: int = 40, epochs: int = 2) -> Trainer:
    """A loop over random images, 2 x 5 x 5, cropped and flipped, in batches of 6 and a smaller last one."""
    given = config(spec, epochs=epochs)
    draws = torch.Generator().manual_seed(1)
    shown = torch.randint(0, 256, (images, 2, 5, 5), generator=draws, dtype=torch.uint8)
    split = Split(shown, torch.arange(images) % CLASSES)
    real = nets(spec)
    fast = FastPath(real, plan)
    feed = Feed(split, given.data, torch.device("cpu"), torch.contiguous_format, given.training.batch_size)
    journal.trainer = Trainer(given, real, built(spec, fast.nets), feed, journal.hooks(), fast)
    return journal.trainer


def stopped(made: Trainer) -> bool:
    """Whether the run was asked to stop before its end."""
    try:
        made.run()
    except Stopped:
        return True
    return False


def losses(*journals: Journal) -> list[float]:
    """Of all steps, in order."""
    return [event.loss for journal in journals for event in journal.events if isinstance(event, StepDone)]
