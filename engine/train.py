"""The loop. `train_step` is the page everybody opens.

    images --feed--> x, y --method.loss(x, y, maximise)--> Loss --backward--> update, unless a number is not finite
       after each epoch: validate, tell the method, save a checkpoint

A run's position is (epoch, batch); every draw follows from it, so a resumed run repeats nothing and skips nothing.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.optim import SGD

from engine import optim
from engine.ascent import ascend
from engine.augment import Draws, Feed
from engine.interrupt import Stopped
from engine.ledger import Ledger
from engine.runtime import seed_for, utilisation
from engine.spec.attacks import ThreatModel
from engine.spec.config import RunConfig
from engine.spec.errors import DivergedError
from engine.spec.events import DeviceSampled, EpochDone, Event, StepDone, Validated
from engine.spec.training import Inner
from engine.types import Images, Labels, Loss, Maximise, Nets, Objective, PerExample, TrainingMethod

REPORTS_PER_EPOCH = 100
DIVERGED = "The last good checkpoint is kept. Lower training.learning_rate, or add warmup_epochs."


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
    optimizer.found_inf = broken if sticky is None else torch.maximum(sticky, broken)  # type: ignore[attr-defined]
    optimizer.grad_scale = None  # type: ignore[attr-defined]
    optimizer.step()


def maximiser(
    student: nn.Module, threat_model: ThreatModel, inner: Inner, beat: Callable[[], None] = lambda: None
) -> Maximise:
    """The adversary of training: climbs while batch norm stands as `inner.student_mode` says.

    `beat` is called at each step of the climb: on a slow machine a batch takes minutes, and the engine lives.
    """

    def maximise(objective: Objective, x: Images) -> Images:
        def watched(x_adv: Images) -> PerExample:
            beat()
            return objective(x_adv)

        with mode(student, training=inner.student_mode == "train"):
            return ascend(watched, x, threat_model, inner)

    return maximise


@contextmanager
def mode(net: nn.Module, *, training: bool) -> Iterator[None]:
    """The net in this mode, and afterwards each of its modules in the mode it was found in."""
    found = [(module, module.training) for module in net.modules()]
    net.train(training)
    try:
        yield
    finally:
        for module, was_training in found:
            module.training = was_training


@dataclass(kw_only=True)
class Hooks:
    """What the loop needs from outside: who listens, who validates, who saves."""

    say: Callable[[Event], None]
    wanted_stop: Callable[[], str]  # the reason, or empty
    validate: Callable[[int, int], Validated | None]  # epoch, step -> what was found, or None when none is due
    save: Callable[[dict[str, Any]], None]
    beat: Callable[[], None] = lambda: None  # says that the engine lives
    save_every: float = 600.0  # seconds, within an epoch
    clock: Callable[[], float] = time.monotonic


class Trainer:
    """One student on its way from the first batch to the last."""

    def __init__(self, config: RunConfig, nets: Nets, method: TrainingMethod, feed: Feed, hooks: Hooks) -> None:
        self.config, self.nets, self.method, self.feed, self.hooks = config, nets, method, feed, hooks
        self.optimizer: SGD = optim.build(nets.student, config.training)
        self.optimizers = [self.optimizer, *method.optimizers()]
        self.maximise = maximiser(nets.student, config.threat_model, config.inner, hooks.beat)
        whole, rest = divmod(len(feed), feed.batch_size)
        # a last batch of one image has no batch statistics
        self.steps_per_epoch = whole + (not config.training.drop_last and rest > 1)
        self.report_every = max(1, self.steps_per_epoch // REPORTS_PER_EPOCH)
        self.epoch, self.batch = 1, 0  # the epoch under way, and how many of its batches are done
        self.ledger = Ledger(nets.classes, nets.device)

    @property
    def step(self) -> int:
        """Steps done in the whole run."""
        return (self.epoch - 1) * self.steps_per_epoch + self.batch

    @property
    def finished(self) -> bool:
        """Whether all epochs are done."""
        return self.epoch > self.config.training.epochs

    def state_dict(self) -> dict[str, Any]:
        """Everything that the rest of the run depends on."""
        return {
            "student": self.nets.student.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "method": self.method.state_dict(),
            "method_optimizers": [optimizer.state_dict() for optimizer in self.optimizers[1:]],
            "epoch": self.epoch,
            "batch": self.batch,
            "step": self.step,
            "ledger": self.ledger.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where this state was taken."""
        self.nets.student.load_state_dict(state["student"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.method.load_state_dict(state["method"])
        for optimizer, of_method in zip(self.optimizers[1:], state["method_optimizers"], strict=True):
            optimizer.load_state_dict(of_method)
        self.epoch, self.batch = state["epoch"], state["batch"]
        self.ledger.load_state_dict(state["ledger"])

    def run(self) -> None:
        """Train to the end, or until somebody wants the engine to stop."""
        while not self.finished:
            rate = optim.learning_rate(self.config.training, self.epoch)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            self.method.epoch_started(self.epoch, self.config.training.epochs)
            self._train_epoch(rate)
            self._end_epoch(rate)

    def _train_epoch(self, rate: float) -> None:
        """The batches of this epoch that are not done yet."""
        self.nets.student.train()
        draws: Draws = self.feed.draw(self.config.seed, self.epoch)
        saved = reported = self.hooks.clock()
        images = 0
        for x, y in self.feed.batches(draws, self.batch, self.steps_per_epoch):
            torch.manual_seed(seed_for(self.config.seed, "step", self.step))
            loss = train_step(self.method, self.maximise, self.optimizers, x, y)
            self.batch += 1
            images += len(x)
            self.ledger.add(loss, y)
            if self._is_due() or self.nets.device.type == "cpu":
                self._check()
            if self._is_due():
                now = self.hooks.clock()
                self._say_step(rate, images / max(now - reported, 1e-9))
                reported, images = now, 0
            if reason := self.hooks.wanted_stop():
                self._check()
                self._check_weights()
                self.hooks.save(self.state_dict())
                raise Stopped(reason)
            if self.hooks.clock() - saved > self.hooks.save_every and self.batch < self.steps_per_epoch:
                self._check()
                self._check_weights()
                self.hooks.save(self.state_dict())
                saved = self.hooks.clock()

    def _is_due(self) -> bool:
        return self.batch % self.report_every == 0 or self.batch == self.steps_per_epoch

    def _check(self) -> None:
        """Stop at a loss that is not a finite number; the weights are those before its step."""
        where = f"in epoch {self.epoch}, step {self.step}"
        if broken := self.ledger.broken():
            raise DivergedError(f"the loss is not a finite number: {', '.join(broken)} {where}", hint=DIVERGED)
        if any(float(getattr(optimizer, "found_inf", 0.0)) for optimizer in self.optimizers):
            raise DivergedError(f"the gradient is not finite, though the loss is, {where}", hint=DIVERGED)

    def _check_weights(self) -> None:
        """Stop before weights or batch statistics that are not finite numbers replace a good checkpoint."""
        state = self.nets.student.state_dict()
        if broken := [name for name, value in state.items() if not bool(torch.isfinite(value).all())]:
            named = ", ".join(broken[:3]) + ", ..." * (len(broken) > 3)
            raise DivergedError(f"the student is not finite: {named} at step {self.step}", hint=DIVERGED)

    def _say_step(self, rate: float, images_per_second: float) -> None:
        loss, terms = self.ledger.since_report()
        self.hooks.say(
            StepDone(
                step=self.step,
                epoch=self.epoch,
                loss=loss,
                terms=terms,
                learning_rate=rate,
                images_per_second=images_per_second,
            )
        )

    def _end_epoch(self, rate: float) -> None:
        """Validate, report, let the method learn from its epoch, and save."""
        self._check_weights()
        try:
            validated = self.hooks.validate(self.epoch, self.step)
        except Stopped:
            self.hooks.save(self.state_dict())  # all batches done, not validated
            raise
        loss, terms = self.ledger.of_epoch()
        learnt = self.method.report()
        cuda = self.nets.device.type == "cuda"
        self.hooks.say(
            EpochDone(
                epoch=self.epoch,
                step=self.step,
                loss=loss,
                terms=terms,
                learning_rate=rate,
                seconds=self.ledger.seconds,
                teacher_clean=list(learnt.teacher_clean),
                teacher_robust=list(learnt.teacher_robust),
                recall_clean=list(learnt.recall_clean),
                recall_robust=list(learnt.recall_robust),
                acm_clean=[list(row) for row in learnt.acm_clean],
                acm_robust=[list(row) for row in learnt.acm_robust],
                student_clean=self.ledger.accuracy("clean"),
                student_robust=self.ledger.accuracy("robust"),
                peak_memory=torch.cuda.max_memory_allocated(self.nets.device) if cuda else None,
            )
        )
        if validated:
            self.hooks.say(validated)
        if cuda:
            self._say_device()
        self.method.epoch_ended()
        self.ledger.clear()
        self.epoch, self.batch = self.epoch + 1, 0
        self.hooks.save(self.state_dict())

    def _say_device(self) -> None:
        free, total = torch.cuda.mem_get_info(self.nets.device)
        name = torch.cuda.get_device_name(self.nets.device)
        busy = utilisation(self.nets.device)
        self.hooks.say(DeviceSampled(name=name, used=total - free, total=total, utilisation=busy))
