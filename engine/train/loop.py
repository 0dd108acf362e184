"""The training loop.

    images --feed--> x, y --fast path--> train_step --> Loss --> metrics
       after each epoch: validate, tell the method, save a checkpoint

A run's position is (epoch, batch); every draw follows from it, so a resumed run repeats nothing and skips nothing.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch.optim import SGD

from engine.data.augment import Feed
from engine.fast.path import FastPath
from engine.runtime.device import utilisation
from engine.runtime.interrupt import Stopped
from engine.runtime.rng import seed_for
from engine.spec.config import RunConfig
from engine.spec.errors import DivergedError
from engine.spec.estimate import REPORTS_PER_EPOCH, passes_per_step
from engine.spec.events import DeviceSampled, EpochDone, Event, StepDone, Validated
from engine.spec.methods import IAD
from engine.train import optim
from engine.train.metrics import EpochMetrics
from engine.train.step import maximiser, train_step
from engine.types import Nets, TrainingMethod

DIVERGED = "The last good checkpoint is kept. Lower training.learning_rate, or add warmup_epochs."


@dataclass(kw_only=True)
class Hooks:
    """Callbacks of the loop: events, stop requests, validation, checkpoints."""

    say: Callable[[Event], None]
    wanted_stop: Callable[[], str]  # the reason, or empty
    validate: Callable[[int, int], Validated | None]  # epoch, step -> what was found, or None when none is due
    save: Callable[[dict[str, Any]], None]
    beat: Callable[[], None] = lambda: None  # says that the engine lives
    save_every: float = 600.0  # seconds, within an epoch
    clock: Callable[[], float] = time.monotonic


class Trainer:
    """Trains one student; `state_dict` is all that a resumed run needs."""

    def __init__(
        self,
        config: RunConfig,
        nets: Nets,
        method: TrainingMethod,
        feed: Feed,
        hooks: Hooks,
        fast: FastPath | None = None,
    ) -> None:
        """`nets` are the real ones. A `fast` path comes with nets of its own, which the method must have been given."""
        self.config, self.nets, self.method, self.feed, self.hooks = config, nets, method, feed, hooks
        self.fast = fast or FastPath(nets)
        self.optimizer: SGD = optim.build(nets.student, config.training)
        self.optimizers = [self.optimizer, *method.optimizers()]
        climb = maximiser(nets.student, config.threat_model, config.inner, hooks.beat)
        self.maximise = self.fast.maximiser(climb, config.inner.student_mode)
        self.step_once = partial(train_step, method, self.maximise, self.optimizers)
        self.fast.record(self.step_once, self._moving, self.optimizers)
        self.steps_per_epoch = config.training.steps_per_epoch(len(feed))
        self.report_every = max(1, self.steps_per_epoch // REPORTS_PER_EPOCH)
        self.epoch, self.batch = 1, 0  # the epoch under way, and how many of its batches are done
        self.metrics = EpochMetrics(nets.classes, nets.device)

    @property
    def step(self) -> int:
        """Steps done in the whole run."""
        return (self.epoch - 1) * self.steps_per_epoch + self.batch

    @property
    def finished(self) -> bool:
        return self.epoch > self.config.training.epochs

    def state_dict(self) -> dict[str, Any]:
        """Everything that the remaining steps depend on."""
        return {
            "student": self.nets.student.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "method": self.method.state_dict(),
            "method_optimizers": [optimizer.state_dict() for optimizer in self.optimizers[1:]],
            "epoch": self.epoch,
            "batch": self.batch,
            "step": self.step,
            "ledger": self.metrics.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where this state was taken."""
        self.nets.student.load_state_dict(state["student"])
        self.method.load_state_dict(state["method"])
        for optimizer, saved in zip(self.optimizers, [state["optimizer"], *state["method_optimizers"]], strict=True):
            optim.load(optimizer, saved)
        self.epoch, self.batch = state["epoch"], state["batch"]
        self.metrics.load_state_dict(state["ledger"])

    def run(self) -> None:
        """Train to the end, or until somebody wants the engine to stop."""
        while not self.finished:
            rate = optim.learning_rate(self.config.training, self.epoch)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            self.method.epoch_started(self.epoch, self.config.training.epochs)
            self.fast.epoch_started(self._views())
            self._train_epoch(rate)
            self._end_epoch(rate)

    def _train_epoch(self, rate: float) -> None:
        """The batches of this epoch that are not done yet."""
        self.nets.student.train()
        draws = self.feed.draw(self.config.seed, self.epoch)
        moved = self.feed.moved(draws)
        saved = reported = self.hooks.clock()
        images = 0
        while self.batch < self.steps_per_epoch:
            with self.fast.clock.part("data"):
                x, y = self.feed.batch(moved, self.batch)
            known = self.fast.known(draws, self.batch, x)
            torch.manual_seed(seed_for(self.config.seed, "step", self.step))
            loss = self.fast.run(self.step_once, x, y, known)
            self.batch += 1
            images += len(x)
            self.metrics.add(loss, y)
            if self._is_due() or self.nets.device.type == "cpu":
                self._check()
            if self._is_due():
                now = self.hooks.clock()
                self._say_step(rate, images / max(now - reported, 1e-9))
                reported, images = now, 0
            reason = self.hooks.wanted_stop()
            late = self.hooks.clock() - saved > self.hooks.save_every and self.batch < self.steps_per_epoch
            if reason or late:
                self._check()
                self._check_weights()
                self.hooks.save(self.state_dict())
                saved = self.hooks.clock()
            if reason:
                raise Stopped(reason)

    def _moving(self) -> list[Any]:
        """Everything that a step changes."""
        optimizers = [(o.state_dict(), getattr(o, "found_inf", None)) for o in self.optimizers]
        return [self.nets.student.state_dict(), self.method.state_dict(), optimizers]

    def _views(self) -> int:
        """How many views of a batch the student learns from in this epoch."""
        method = self.config.method
        introspects = not isinstance(method, IAD) or self.epoch > method.begin
        return passes_per_step(method, self.config.inner.steps, introspects).full_backward

    def _is_due(self) -> bool:
        return self.batch % self.report_every == 0 or self.batch == self.steps_per_epoch

    def _check(self) -> None:
        """Stop at a loss that is not a finite number; the weights are those before its step."""
        where = f"in epoch {self.epoch}, step {self.step}"
        if broken := self.metrics.broken():
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
        loss, terms = self.metrics.since_report()
        self.hooks.say(
            StepDone(
                step=self.step,
                epoch=self.epoch,
                loss=loss,
                terms=terms,
                learning_rate=rate,
                images_per_second=images_per_second,
                shares=self.fast.clock.shares(),
            )
        )
        for warning in self.fast.take_warnings():
            self.hooks.say(warning)

    def _end_epoch(self, rate: float) -> None:
        """Validate, report, let the method learn from its epoch, and save."""
        self._check_weights()
        try:
            validated = self.hooks.validate(self.epoch, self.step)
        except Stopped:
            self.hooks.save(self.state_dict())  # all batches done, not validated
            raise
        loss, terms = self.metrics.of_epoch()
        learnt: dict[str, Any] = {name: list(shares) for name, shares in self.method.report()._asdict().items()}
        cuda = self.nets.device.type == "cuda"
        self.hooks.say(
            EpochDone(
                epoch=self.epoch,
                step=self.step,
                loss=loss,
                terms=terms,
                learning_rate=rate,
                seconds=self.metrics.seconds,
                student_clean=self.metrics.accuracy("clean"),
                student_robust=self.metrics.accuracy("robust"),
                peak_memory=torch.cuda.max_memory_allocated(self.nets.device) if cuda else None,
                **learnt,
            )
        )
        if validated:
            self.hooks.say(validated)
        if cuda:
            free, total = torch.cuda.mem_get_info(self.nets.device)
            name, busy = torch.cuda.get_device_name(self.nets.device), utilisation(self.nets.device)
            self.hooks.say(DeviceSampled(name=name, used=total - free, total=total, utilisation=busy))
        self.method.epoch_ended()
        self.metrics.clear()
        self.epoch, self.batch = self.epoch + 1, 0
        self.hooks.save(self.state_dict())
