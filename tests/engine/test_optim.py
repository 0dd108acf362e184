"""Learning rates by hand, and an optimiser that leaves the weights alone when it is told that a loss is broken."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from engine.spec.training import Constant, Cosine, MultiStep, Training
from engine.train.optim import build, learning_rate, load


@pytest.mark.parametrize(
    ("epoch", "rate"),
    [(1, 0.1), (215, 0.1), (216, 0.01), (260, 0.01), (261, 1e-3), (285, 1e-3), (286, 1e-4), (300, 1e-4)],
)
def test_a_drop_after_epoch_215_is_first_felt_in_epoch_216(epoch, rate):
    assert learning_rate(Training(), epoch) == pytest.approx(rate, rel=1e-12)


def test_milestones_that_coincide_with_another_factor():
    training = Training(epochs=4, learning_rate=0.8, schedule=MultiStep(milestones=(1, 2), factor=0.5))
    assert [learning_rate(training, epoch) for epoch in (1, 2, 3, 4)] == [0.8, 0.4, 0.2, 0.2]


def test_a_constant_rate_is_constant():
    training = Training(epochs=50, learning_rate=0.3, schedule=Constant())
    assert {learning_rate(training, epoch) for epoch in range(1, 51)} == {0.3}


def test_the_cosine_begins_at_the_rate_halves_in_the_middle_and_would_reach_zero_after_the_last_epoch():
    training = Training(epochs=300, learning_rate=0.2, schedule=Cosine())
    assert learning_rate(training, 1) == 0.2
    assert learning_rate(training, 151) == pytest.approx(0.1)
    assert learning_rate(training, 300) == pytest.approx(0.2 * 2.7415e-5, rel=1e-4)  # (1 - cos(pi / 300)) / 2
    rates = [learning_rate(training, epoch) for epoch in range(1, 301)]
    assert rates == sorted(rates, reverse=True)
    assert learning_rate(training, 301) == pytest.approx(0.0, abs=1e-15)


def test_the_cosine_equals_pytorchs_own_scheduler_stepped_once_per_epoch():
    training = Training(epochs=20, schedule=Cosine())
    optimizer = build(nn.Linear(2, 2), training)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=20)
    for epoch in range(1, 21):
        assert learning_rate(training, epoch) == pytest.approx(scheduler.get_last_lr()[0], rel=1e-9)
        optimizer.step()
        scheduler.step()


def test_warmup_rises_linearly_from_a_tenth_and_the_schedule_follows():
    training = Training(epochs=8, learning_rate=1.0, warmup_epochs=3, schedule=MultiStep(milestones=(2, 6)))
    rates = [learning_rate(training, epoch) for epoch in range(1, 9)]
    # the milestone inside the warm-up counts as soon as the warm-up is over
    assert rates == pytest.approx([0.1, 0.4, 0.7, 0.1, 0.1, 0.1, 0.01, 0.01])


def test_momentum_and_weight_decay_by_hand():
    net = nn.Linear(1, 1, bias=False)
    nn.init.constant_(net.weight, 2.0)
    optimizer = build(net, Training(learning_rate=0.5, momentum=0.9, weight_decay=0.1))
    for gradient, expected in ((1.0, 1.4), (1.0, 0.29)):
        # step 1: v = 1 + 0.1 x 2 = 1.2, w = 2 - 0.6; step 2: v = 1.08 + 1 + 0.14 = 2.22, w = 1.4 - 1.11
        net.weight.grad = torch.full((1, 1), gradient)
        optimizer.step()
        assert net.weight.item() == pytest.approx(expected, rel=1e-6)


def test_nesterov_takes_the_look_ahead():
    net = nn.Linear(1, 1, bias=False)
    nn.init.constant_(net.weight, 1.0)
    optimizer = build(net, Training(learning_rate=0.1, momentum=0.5, weight_decay=0.0, nesterov=True))
    net.weight.grad = torch.ones(1, 1)
    optimizer.step()
    assert net.weight.item() == pytest.approx(1 - 0.1 * 1.5)  # g + momentum x v, with v = g


def updated(optimizer: torch.optim.Optimizer, conv: nn.Conv2d) -> torch.Tensor:
    """The weights after one more step, whose gradient lies in memory as the weights do."""
    conv.weight.grad = torch.empty_like(conv.weight).copy_(
        torch.linspace(-1, 1, conv.weight.numel()).view_as(conv.weight)
    )
    optimizer.step()
    return conv.weight.detach().clone()


@pytest.mark.parametrize("kind", ["sgd", "adam"])
@pytest.mark.parametrize("resumed", [torch.channels_last, torch.contiguous_format], ids=["to nhwc", "to nchw"])
def test_momentum_goes_on_with_the_weights_it_belongs_to_in_another_memory_layout(kind, resumed):
    """Fused kernels walk raw memory: a buffer with the strides of the saved run belonged to other weights."""
    began = torch.contiguous_format if resumed == torch.channels_last else torch.channels_last

    def made(layout: torch.memory_format) -> tuple[torch.optim.Optimizer, nn.Conv2d]:
        torch.manual_seed(0)
        conv = nn.Conv2d(3, 4, 3, bias=False).to(memory_format=layout)
        adam = torch.optim.Adam(conv.parameters(), lr=0.1, fused=True)
        return (adam if kind == "adam" else build(conv, Training(learning_rate=0.1))), conv

    optimizer, conv = made(began)
    updated(optimizer, conv)
    saved, weights = deepcopy(optimizer.state_dict()), conv.weight.detach().clone()
    other, its = made(resumed)
    its.load_state_dict({"weight": weights})
    load(other, saved)
    for buffer in other.state[its.weight].values():
        assert buffer.dim() == 0 or buffer.stride() == its.weight.stride()
    assert torch.equal(updated(other, its), updated(optimizer, conv))
