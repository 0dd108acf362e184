"""Laws of every attack, equality with foolbox, and closed forms of linear networks."""

import random
import typing

import foolbox
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from engine.ascent import TOLERANCE, assert_inside
from engine.attacks import cw2, fgsm, margin, pgd, rescaled
from engine.evaluate.attack_run import clean_predictions
from engine.evaluate.context import EvaluationContext
from engine.losses import cross_entropy
from engine.runtime.device import frozen_eval, state_hash
from engine.runtime.rng import isolated_rng
from engine.spec import attacks as specs
from engine.spec.attacks import CW2, FGSM, PGD, RELATIVE_SCALES, CWInf, PGDRescaled, ThreatModel
from engine.spec.base import Pixels
from tests.engine.subjects import Small, attacked, context, pixels, trained

NEAR = ThreatModel(epsilon=Pixels.parse("16/255"))
UNION = typing.get_args(typing.get_args(specs.AttackSpec)[0])


def quick(kind: type[specs.FGSM]) -> specs.AttackSpec:
    fields = kind.model_fields
    small = {"steps": 5, "search_steps": 2, "initial_constant": 1.0}
    return kind(**{name: value for name, value in small.items() if name in fields})


def on(net: nn.Module, n: int, **changes: object) -> EvaluationContext:
    return context(net, n, **({"threat_model": NEAR, "batch_size": 16, "seed": 0} | changes))


@pytest.mark.parametrize("kind", UNION, ids=lambda kind: kind.model_fields["name"].default)
def test_every_attack_keeps_the_laws(kind: type[specs.FGSM]) -> None:
    net = Small()
    with torch.random.fork_rng():
        torch.manual_seed(3)
        nn.init.normal_(net.last.weight)
    net.train()
    net.norm.eval()  # modes per module, to be found again
    net.first.bias.requires_grad_(False)
    modes = [module.training for module in net.modules()]
    wishes = [parameter.requires_grad for parameter in net.parameters()]
    before = state_hash(net)
    generators = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state())
    spec = quick(kind)

    with isolated_rng(), frozen_eval(net):
        struck = attacked(on(net, 8), spec)
    x_adv = struck.adversarial

    x, y = pixels(8)
    assert x_adv.dtype == torch.float32 and float(x_adv.min()) >= 0.0 and float(x_adv.max()) <= 1.0
    if spec.bounded:
        assert float((x_adv - x).abs().max()) <= float(NEAR.epsilon) + TOLERANCE
    with frozen_eval(net), torch.no_grad():
        right, after = net(x).argmax(1) == y, net(x_adv).argmax(1)
    assert not bool((struck.robust & ~right).any())
    assert bool((after == y)[struck.robust].all())
    assert [module.training for module in net.modules()] == modes
    assert [parameter.requires_grad for parameter in net.parameters()] == wishes
    assert all(parameter.grad is None for parameter in net.parameters())
    assert state_hash(net) == before
    assert random.getstate() == generators[0]
    assert np.random.get_state()[1].tolist() == generators[1]
    assert torch.equal(torch.get_rng_state(), generators[2])


@pytest.mark.parametrize("epsilon", ["8/255", "0.031", "0.3"])
def test_fgsm_has_the_bits_of_foolbox(epsilon: str) -> None:
    net, (x, y) = trained(), pixels(64)
    radius = Pixels.parse(epsilon)
    ours = fgsm.attack(net, x, y, ThreatModel(epsilon=radius), FGSM())
    model = foolbox.PyTorchModel(net, bounds=(0, 1), device="cpu")
    theirs, _, _ = foolbox.attacks.LinfFastGradientAttack(random_start=False)(model, x, y, epsilons=float(radius))
    raw = foolbox.attacks.LinfFastGradientAttack(random_start=False).run(model, x, y, epsilon=float(radius))
    assert torch.equal(ours, raw)
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize(("step", "steps"), [("2/255", 20), ("0.003", 20), ("0.1", 7)])
def test_pgd_from_the_clean_image_has_the_bits_of_foolbox(step: str, steps: int) -> None:
    net, (x, y) = trained(), pixels(64)
    size = Pixels.parse(step)
    ours = pgd.attack(net, x, y, NEAR, PGD(steps=steps, step_size=size, start="clean"))
    model = foolbox.PyTorchModel(net, bounds=(0, 1), device="cpu")
    attack = foolbox.attacks.LinfPGD(abs_stepsize=float(size), steps=steps, random_start=False)
    assert torch.equal(ours, attack.run(model, x, y, epsilon=float(NEAR.epsilon)))


def test_more_restarts_never_leave_more_images() -> None:
    net, (x, y) = trained(robust=True), pixels(100)
    left = []
    for restarts in (1, 2, 5):
        with isolated_rng():
            torch.manual_seed(0)
            spec = PGD(steps=3, restarts=restarts, step_size=Pixels.parse("8/255"))
            x_adv = pgd.attack(net, x, y, ThreatModel(epsilon=Pixels(0.12)), spec)
        left.append(net(x_adv).argmax(1) == y)
    assert not bool((left[1] & ~left[0]).any()) and not bool((left[2] & ~left[1]).any())


def test_the_margin_attack_does_not_see_the_scale_of_the_logits_and_the_others_do() -> None:
    net, (x, y) = trained(), pixels(100)

    class Loud(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return 1000 * net(z)

    loud, near = Loud(), ThreatModel(epsilon=Pixels(0.2))
    spec, climb = CWInf(start="clean"), PGD(start="clean")

    def left(victim: nn.Module, x_adv: Tensor) -> int:
        return int((victim(x_adv).argmax(1) == y).sum())

    assert left(loud, margin.attack(loud, x, y, near, spec)) == left(net, margin.attack(net, x, y, near, spec)) == 0
    assert left(loud, pgd.attack(loud, x, y, near, climb)) > 50
    many = PGDRescaled(start="clean", scales=(1.0, 0.001))
    assert left(loud, rescaled.attack(loud, x, y, near, many)) <= left(net, pgd.attack(net, x, y, near, climb)) < 20


def test_every_scale_starts_from_the_same_noise() -> None:
    net, (x, y) = trained(robust=True), pixels(20)
    with isolated_rng():
        torch.manual_seed(5)
        twice = rescaled.attack(net, x, y, NEAR, PGDRescaled(steps=3, scales=(1.0, 1.0)))
        torch.manual_seed(5)
        once = rescaled.attack(net, x, y, NEAR, PGDRescaled(steps=3, scales=(1.0,)))
    assert torch.equal(twice, once)


@pytest.mark.parametrize("factor", [2.0**-20, 1024.0, 2.0**60])
def test_relative_scales_see_neither_a_factor_of_the_logits_nor_a_shift(factor: float) -> None:
    net, (x, y) = trained(robust=True), pixels(60)

    class Moved(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return factor * net(z)

    with isolated_rng():
        torch.manual_seed(5)
        plain = rescaled.attack(net, x, y, NEAR, PGDRescaled(steps=3))
        torch.manual_seed(5)
        moved = rescaled.attack(Moved(), x, y, NEAR, PGDRescaled(steps=3))
    assert torch.equal(plain, moved)
    logits = torch.randn(9, 10)
    close = rescaled.in_units_of_spread(logits + 7.0)
    assert torch.allclose(close, rescaled.in_units_of_spread(1000 * logits), atol=1e-5)


@pytest.mark.parametrize("classes", [2, 10, 100])
@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6, 1e30])
def test_no_relative_scale_underflows(classes: int, size: float) -> None:
    peak = size * torch.eye(classes)[:1].clone().requires_grad_()  # the most certain answer there is
    for scale in RELATIVE_SCALES:
        loss = cross_entropy(scale * rescaled.in_units_of_spread(peak), torch.tensor([0]))
        (slope,) = torch.autograd.grad(loss.sum(), peak, retain_graph=True)
        assert bool((slope * size != 0).all()) and bool(torch.isfinite(slope).all()), scale
    equal = torch.full((1, classes), 3.0, requires_grad=True)
    (slope,) = torch.autograd.grad(cross_entropy(rescaled.in_units_of_spread(equal), torch.tensor([0])).sum(), equal)
    assert bool(torch.isfinite(slope).all())


def test_relative_scales_start_each_from_its_own_noise_as_restarts_do() -> None:
    net, (x, y) = trained(robust=True), pixels(60)
    near = ThreatModel(epsilon=Pixels(0.14))
    seen: list[Tensor] = []
    with isolated_rng():
        torch.manual_seed(5)
        net.register_forward_pre_hook(lambda _net, inputs: seen.append(inputs[0].detach().clone()))
        rescaled.attack(net, x, y, near, PGDRescaled(steps=1, relative_scales=(1.0, 1.0)))
    assert len(seen) == 4 and not torch.equal(seen[0], seen[2])  # start and end of two climbs


class Plane(nn.Module):
    """Logits a linear function of the pixels; every distance to a boundary is known."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(2)
        self.weight = nn.Parameter(0.3 * torch.randn(2, 64, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        return (x - 0.5).flatten(1) @ self.weight.T


def test_cw2_finds_the_distance_to_a_hyperplane() -> None:
    net, x = Plane(), 0.5 + 0.1 * torch.randn(20, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    y = net(x).argmax(1)
    x_adv = cw2.attack(net, x, y, NEAR, CW2(steps=300, learning_rate=0.002))
    z = net(x)
    expected = (z[:, 0] - z[:, 1]).abs() / (net.weight[0] - net.weight[1]).norm()  # margin / ||w||
    assert bool((net(x_adv).argmax(1) != y).all())
    torch.testing.assert_close((x_adv - x).flatten(1).norm(dim=1), expected, rtol=5e-3, atol=1e-3)


def test_cw2_agrees_with_foolbox() -> None:
    net, (x, y) = trained(robust=True), pixels(24)
    right = net(x).argmax(1) == y
    x, y = x[right], y[right]
    ours = cw2.attack(net, x, y, NEAR, CW2(steps=100, search_steps=6, initial_constant=0.1))
    attack = foolbox.attacks.L2CarliniWagnerAttack(
        binary_search_steps=6, steps=100, stepsize=0.01, initial_const=0.1, abort_early=False
    )
    theirs = attack.run(foolbox.PyTorchModel(net, bounds=(0, 1), device="cpu"), x, y)
    mine, other = ((z - x).flatten(1).norm(dim=1) for z in (ours, theirs))
    assert bool((net(ours).argmax(1) != y).all())
    assert float((mine / other - 1).median().abs()) < 0.02
    assert float((mine / other - 1).abs().max()) < 0.15


def test_cw2_moves_pixels_that_are_exactly_0_or_1() -> None:
    net = Plane()
    x = (torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(4)) > 0.5).float()
    z = net(x)
    x = x[(z[:, 0] - z[:, 1]).abs() > 0.5]
    y = net(x).argmax(1)
    x_adv = cw2.attack(net, x, y, NEAR, CW2(steps=300, search_steps=3, learning_rate=0.02, initial_constant=1.0))
    assert len(x) > 2
    assert bool((net(x_adv).argmax(1) != y).all())
    assert float((x_adv - x).abs().amax(dim=(1, 2, 3)).min()) > 0.02
    assert float(x_adv.min()) >= 0.0 and float(x_adv.max()) <= 1.0


def test_cw2_does_not_look_at_batch_mates() -> None:
    net, (x, y) = trained(), pixels(12)
    spec = CW2(steps=40, search_steps=2, initial_constant=1.0)
    together = cw2.attack(net, x, y, NEAR, spec)
    alone = torch.cat([cw2.attack(net, x[i : i + 1], y[i : i + 1], NEAR, spec) for i in range(12)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-4)


def test_cw2_returns_the_clean_image_when_nothing_can_be_found() -> None:
    x, y = pixels(5)
    flat = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    nn.init.zeros_(flat[1].weight)
    with torch.no_grad():
        flat[1].bias.copy_(torch.arange(10.0))
    x_adv = cw2.attack(flat, x, torch.full_like(y, 9), NEAR, CW2(steps=5, search_steps=2))
    assert torch.equal(x_adv, x)


def test_a_radius_turns_distances_into_an_accuracy() -> None:
    where = on(trained(robust=True), 32, batch_size=32)
    spec = CW2(steps=60, search_steps=3, initial_constant=10.0, radius=0.0)
    struck = attacked(where, spec)
    assert int(struck.robust.sum()) == 0
    distance = (struck.adversarial - pixels(32)[0]).flatten(1).norm(dim=1)
    middle = float(distance.median())
    strict = attacked(where, spec.model_copy(update={"radius": middle}))
    right = clean_predictions(where).robust
    assert torch.equal(strict.robust, right & (distance > middle))
    assert 0 < int(strict.robust.sum()) < int(right.sum())


def test_leaving_the_ball_is_an_error() -> None:
    x = torch.full((1, 1, 2, 2), 0.5)
    assert_inside(x + float(NEAR.epsilon), x, NEAR)
    with pytest.raises(AssertionError, match="ball"):
        assert_inside(x + float(NEAR.epsilon) + 1e-5, x, NEAR)
    with pytest.raises(AssertionError, match="finite"):
        assert_inside(x * torch.nan, x, NEAR)
