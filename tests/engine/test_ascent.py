"""The inner maximisation: closed forms on a linear objective, starts, and the walls it may not leave."""

import pytest
import torch
from torch import nn

from engine.ascent import ascend, assert_inside, start_point
from engine.spec.attacks import Ascent, ThreatModel
from engine.spec.base import Pixels

BALL = ThreatModel(epsilon=Pixels(8 / 255))
STARTS = ("clean", "uniform", "gaussian")


def linear(seed: int = 0):
    weights = torch.randn(3, 5, 5, generator=torch.Generator().manual_seed(seed))
    return weights, lambda z: (z * weights).sum(dim=(1, 2, 3))


@pytest.mark.parametrize("start", STARTS)
def test_the_ascent_finds_the_best_perturbation_of_a_linear_objective(start):
    weights, objective = linear()
    x = torch.full((4, 3, 5, 5), 0.5)
    x_adv = ascend(objective, x, BALL, Ascent(start=start))
    torch.testing.assert_close(x_adv, x + 8 / 255 * weights.sign())  # closed form


def test_one_step_from_the_clean_image_goes_one_step_size():
    weights, objective = linear()
    x = torch.full((2, 3, 5, 5), 0.5)
    x_adv = ascend(objective, x, BALL, Ascent(start="clean", steps=1, step_size=Pixels(1 / 255)))
    torch.testing.assert_close(x_adv, x + 1 / 255 * weights.sign())


@pytest.mark.parametrize("start", STARTS)
def test_the_images_stay_in_the_ball_and_in_the_unit_cube(start):
    _, objective = linear()
    x = torch.rand(6, 3, 5, 5).round()  # corners of the cube
    x_adv = ascend(objective, x, BALL, Ascent(start=start, steps=3, step_size=Pixels(0.5)))
    assert_inside(x_adv, x, BALL)


def test_no_parameter_receives_a_gradient():
    net = nn.Sequential(nn.Flatten(), nn.Linear(75, 3))
    x_adv = ascend(lambda z: net(z)[:, 0], torch.rand(2, 3, 5, 5), BALL, Ascent(steps=2))
    assert all(weight.grad is None for weight in net.parameters())
    assert not x_adv.requires_grad


def test_the_image_it_starts_from_is_left_alone():
    _, objective = linear()
    x = torch.rand(2, 3, 5, 5)
    before = x.clone()
    ascend(objective, x, BALL, Ascent(start="clean", steps=2))
    assert torch.equal(x, before)
    assert not x.requires_grad


def test_the_clean_start_is_the_image():
    x = torch.rand(2, 3, 5, 5)
    start = start_point(x, BALL, Ascent(start="clean"))
    assert torch.equal(start, x)
    assert start.data_ptr() != x.data_ptr()


def test_the_uniform_start_fills_the_ball():
    x = torch.full((50, 3, 10, 10), 0.5)
    delta = start_point(x, BALL, Ascent(start="uniform")) - x
    assert float(delta.abs().max()) <= 8 / 255 + 1e-7
    assert float(delta.std()) == pytest.approx(8 / 255 / 3**0.5, rel=0.03)  # of a uniform distribution


def test_the_gaussian_start_has_a_thousandth_as_deviation():
    x = torch.full((50, 3, 10, 10), 0.5)
    delta = start_point(x, BALL, Ascent(start="gaussian")) - x
    assert float(delta.std()) == pytest.approx(0.001, rel=0.03)


def test_equal_seeds_climb_equally():
    _, objective = linear()
    x = torch.rand(2, 3, 5, 5)
    climbs = []
    for _ in range(2):
        torch.manual_seed(7)
        climbs.append(ascend(objective, x, BALL, Ascent(steps=1, start="uniform")))
    assert torch.equal(*climbs)


@pytest.mark.parametrize(
    ("x_adv", "complaint"),
    [(torch.nan, "not finite"), (1.01, r"leaves \[0, 1\]"), (-0.01, r"leaves \[0, 1\]"), (0.6, "leaves the ball")],
)
def test_an_image_outside_is_refused(x_adv, complaint):
    x = torch.full((1, 3, 2, 2), 0.5)
    with pytest.raises(AssertionError, match=complaint):
        assert_inside(torch.full_like(x, x_adv), x, BALL)
