"""A number that is not finite never reaches the weights, nor a checkpoint."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from engine.data import npz
from engine.data.augment import Feed
from engine.spec.config import RunConfig
from engine.spec.data import Npz
from engine.spec.errors import DivergedError
from engine.train import optim
from engine.train.loop import Hooks, Trainer
from engine.train.step import train_step
from engine.types import Images, Labels, Loss, Maximise, Nets, TrainingMethod
from tests.engine.broken_runs import FAILED, ForkServer, failure, make, newest, short, tiny


class Planted(TrainingMethod):
    """Mean square of the outputs, and at step `at` something that is not finite."""

    def __init__(self, net: nn.Module, what: str, at: int = 1) -> None:
        self.net, self.what, self.at, self.steps = net, what, at, 0
        self.extra = nn.Parameter(torch.ones(3))
        self.adam = Adam([self.extra], lr=0.1, fused=True)

    def loss(self, x: Images, y: Labels, maximise: Maximise) -> Loss:
        self.steps += 1
        good = self.net(x).square().mean() + self.extra.square().sum()
        other = torch.zeros(())
        if self.steps == self.at and self.what == "gradient":
            other = (good - good.detach()).sqrt()  # 0, and infinitely steep
        elif self.steps == self.at:
            other = good * float(self.what)
        return Loss(good + other, {"good": good.detach(), "planted": other.detach()})

    def optimizers(self) -> Sequence[Optimizer]:
        return (self.adam,)


def net() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


def weights_of(method: Planted) -> list[Tensor]:
    return [p.detach().clone() for p in (*method.net.parameters(), method.extra)]


def momenta_of(optimizers: Sequence[Optimizer]) -> list[Tensor]:
    buffers = [state for optimizer in optimizers for state in optimizer.state.values()]
    return [state[key].clone() for state in buffers for key in ("momentum_buffer", "exp_avg") if key in state]


@pytest.mark.parametrize("what", ["nan", "inf", "-inf", "gradient"])
def test_a_broken_step_and_all_after_it_change_no_weight(what: str) -> None:
    method = Planted(net(), what, at=2)
    optimizers = [optim.build(method.net, tiny().training), method.adam]
    x, y = torch.rand(4, 1, 8, 8), torch.arange(4)
    seen, momenta = [weights_of(method)], []
    for _ in range(4):
        train_step(method, lambda _objective, x: x, optimizers, x, y)
        seen.append(weights_of(method))
        momenta.append(momenta_of(optimizers))
    assert all(not torch.equal(a, b) for a, b in zip(seen[0], seen[1], strict=True))
    for later in seen[2:]:
        assert all(torch.equal(a, b) for a, b in zip(seen[1], later, strict=True))
    assert len(momenta[0]) == 3
    assert all(torch.equal(a, b) for later in momenta[1:] for a, b in zip(momenta[0], later, strict=True))


@pytest.mark.parametrize(("what", "words"), [("nan", "loss, planted in epoch 1, step 2"), ("gradient", "gradient")])
def test_training_stops_at_that_very_step_and_names_the_term(data: Path, what: str, words: str) -> None:
    config, saved = short(), []
    split = npz.load(Npz(path="tiny.npz"), data).train
    method = Planted(net(), what, at=2)
    hooks = Hooks(say=lambda _: None, wanted_stop=str, validate=lambda _e, _s: None, save=saved.append)
    feed = Feed(split, config.data, torch.device("cpu"), torch.contiguous_format, 16)
    trainer = Trainer(config, Nets(method.net, None, 10), method, feed, hooks)
    with pytest.raises(DivergedError, match=words):
        trainer.run()
    assert (trainer.step, saved) == (2, [])
    assert all(bool(torch.isfinite(value).all()) for value in weights_of(method))


def test_broken_weights_are_not_saved(data: Path) -> None:
    config, saved = short(), []
    split = npz.load(Npz(path="tiny.npz"), data).train
    method = Planted(net(), "0")
    hooks = Hooks(say=lambda _: None, wanted_stop=lambda: "asked", validate=lambda _e, _s: None, save=saved.append)
    feed = Feed(split, config.data, torch.device("cpu"), torch.contiguous_format, 16)
    trainer = Trainer(config, Nets(method.net, None, 10), method, feed, hooks)
    method.net.register_buffer("statistics", torch.tensor([torch.nan]))
    with pytest.raises(DivergedError, match="the student is not finite: statistics at step 1"):
        trainer.run()
    assert saved == []


def test_a_loss_that_overflows_stops_the_run_before_the_update(
    fork_server: ForkServer, data: Path, tmp_path: Path
) -> None:
    table = short().to_table()
    run = make(
        tmp_path, data, RunConfig.model_validate({**table, "training": {**table["training"], "learning_rate": 1e30}})
    )
    assert fork_server.work(run) == FAILED
    event = failure(fork_server, run)
    assert event["kind"] == "Diverged"
    assert "not a finite number" in event["message"] or "not finite" in event["message"]
    student = torch.load(newest(run), weights_only=True)["student"]
    assert all(bool(torch.isfinite(value).all()) for value in student.values())
