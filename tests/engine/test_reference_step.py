"""Our RSLAD step is the published one: benchmarks/reference.py holds a plain transcription of it."""

import pytest
import torch
from torch import nn

from benchmarks import reference
from benchmarks.equality import compare, our_outcome, their_outcome
from benchmarks.interleave import interleave
from engine.methods import rslad
from engine.spec.attacks import ThreatModel
from engine.spec.methods import RSLAD
from engine.spec.training import Inner, Training
from engine.train import optim
from engine.train.step import maximiser, train_step
from engine.types import Nets

EPSILON = 8 / 255


class Net(nn.Module):
    """Convolution, batch norm, linear map to ten classes; it remembers its training batches."""

    def __init__(self, seed: int, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.conv = nn.Conv2d(3, 6, 3, padding=1, bias=False)
            self.norm = nn.BatchNorm2d(6)
            self.linear = nn.Linear(6, 10)
        self.to(dtype)
        with torch.no_grad():
            self.linear.weight.mul_(8)  # predictions that differ from uniform
        self.trained_on = []

    def forward(self, x):
        if self.training:
            self.trained_on.append(x.detach().clone())
        return self.linear(torch.relu(self.norm(self.conv(x))).mean(dim=(2, 3)))


def subjects(dtype=torch.float64, batch=5):
    draws = torch.Generator().manual_seed(3)
    x = torch.rand(batch, 3, 8, 8, generator=draws, dtype=torch.float64).to(dtype)
    y = torch.randint(0, 10, (batch,), generator=draws)
    return Net(0, dtype), Net(1, dtype).eval().requires_grad_(False), x, y


def test_loss_gradients_new_weights_and_running_statistics_equal_the_published_step_in_float64():
    student, teacher, x, y = subjects()
    found = compare(student, teacher, x, y, steps=10)
    assert set(found) == {"loss", "gradients", "weights", "running_statistics"}
    assert max(found.values()) < 1e-12


def test_a_shorter_attack_is_told_apart():
    student, teacher, x, y = subjects()
    ours, theirs = our_outcome(student, teacher, x, y, steps=10), their_outcome(student, teacher, x, steps=9)
    assert float((ours.loss - theirs.loss).abs() / theirs.loss) > 1e-6


def test_every_parameter_has_a_gradient_that_is_not_zero_on_both_sides():
    student, teacher, x, y = subjects()
    for outcome in (our_outcome(student, teacher, x, y, steps=3), their_outcome(student, teacher, x, steps=3)):
        assert set(outcome.gradients) == {name for name, _p in student.named_parameters()}
        assert all(gradient.abs().max() > 0 for gradient in outcome.gradients.values())


def test_float32_agrees_after_one_step_of_the_attack():
    student, teacher, x, y = subjects(torch.float32)
    assert max(compare(student, teacher, x, y, steps=1).values()) < 1e-4


def test_several_steps_in_a_row_stay_equal_so_momentum_and_weight_decay_are_the_published_ones():
    (ours, teacher, x, y), (theirs, _teacher, _x, _y) = subjects(), subjects()
    method = rslad.Method(RSLAD(), Nets(ours, teacher, 10))
    optimizer, published = optim.build(ours, Training()), reference.build_optimizer(theirs)
    maximise = maximiser(ours.train(), ThreatModel(), Inner())
    for number in range(3):
        torch.manual_seed(number)
        loss = train_step(method, maximise, [optimizer], x, y).total.detach()
        torch.manual_seed(number)
        torch.testing.assert_close(reference.step(theirs, teacher, published, x, reference.Recipe(floor=0.0)), loss)
    for (name, mine), other in zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-10, atol=1e-12, msg=name)


@pytest.mark.parametrize("side", ["ours", "published"])
def test_batch_norm_sees_the_adversarial_batch_first_then_the_clean_one(side):
    student, teacher, x, y = subjects()
    student.train()
    if side == "ours":
        method = rslad.Method(RSLAD(), Nets(student, teacher, 10))
        train_step(method, maximiser(student, ThreatModel(), Inner()), [optim.build(student, Training())], x, y)
    else:
        reference.step(student, teacher, reference.build_optimizer(student), x, reference.Recipe())
    first, second = student.trained_on
    assert 0 < float((first - x).abs().max()) <= EPSILON + 1e-12
    assert torch.equal(second, x)
    assert int(student.norm.num_batches_tracked) == 2


def test_the_floor_in_the_published_logarithm_shifts_the_loss_and_no_gradient():
    student, teacher, x, _y = subjects()
    exact = their_outcome(student, teacher, x, steps=2)
    floored = student.train()
    torch.manual_seed(7)
    loss = reference.step(floored, teacher, reference.build_optimizer(floored), x, reference.Recipe(steps=2))
    q = torch.softmax(teacher(x), dim=1)
    torch.testing.assert_close(loss - exact.loss, (q * ((q + 1e-5) / q).log()).mean())
    for name, parameter in floored.named_parameters():
        torch.testing.assert_close(parameter.grad, exact.gradients[name], rtol=1e-12, atol=1e-15)


def test_the_published_loss_by_hand():
    logits = torch.zeros(1, 2, dtype=torch.float64)  # p = (1/2, 1/2)
    table = reference.divergence_table(logits, torch.tensor([[0.25, 0.75]], dtype=torch.float64), floor=0.0)
    expected = 0.25 * torch.tensor(0.5).double().log() + 0.75 * torch.tensor(1.5).double().log()
    torch.testing.assert_close(table.sum(), expected)


def test_interleaved_rounds_alternate_who_goes_first_and_leave_the_warmup_out():
    order, seconds = [], iter(range(100))
    found = interleave(lambda: order.append("o"), lambda: order.append("t"), 3, lambda: float(next(seconds)))
    assert "".join(order) == "toottoot"
    assert found.ours == found.theirs == [1.0, 1.0, 1.0]
    assert found.ratios == [1.0, 1.0, 1.0]
