"""Our loop around AutoAttack gives pyautoattack's own bits, whatever interrupts it, and reports its flags."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pyautoattack import AutoAttack as Original
from pyautoattack import checks
from torch import Tensor, nn

from engine.evaluate import autoattack
from engine.evaluate.attack_run import clean_predictions
from engine.evaluate.context import AttackCheckpoint, AttackResult, EvaluationContext
from engine.runtime.device import frozen_eval
from engine.runtime.rng import isolated_rng
from tests.engine.subjects import BALL, Cut, context, cut_after, images, pixels, short_autoattack, trained


def limited(net: nn.Module, n: int, *, after: int | None = None, batch_size: int = 10) -> EvaluationContext:
    return context(net, n, pause=cut_after(after), batch_size=batch_size)


def attacked(on: EvaluationContext, folder: Path | None = None, print_: str = "a") -> AttackResult:
    with isolated_rng(), frozen_eval(on.net):
        clean = clean_predictions(on).predicted
        return autoattack.run(on, clean, AttackCheckpoint(folder, print_), lambda *_: None)


@pytest.fixture
def shortened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autoattack, "assemble", short_autoattack)


@pytest.mark.slow
def test_the_images_are_those_of_pyautoattack_bit_for_bit() -> None:
    net, (x, y) = trained(robust=True), pixels(12)
    ours = attacked(limited(net, 12, batch_size=8))
    with isolated_rng():
        suite = Original(net, norm="Linf", eps=float(BALL.epsilon), seed=3, version="standard", device="cpu")
        theirs, labels = suite.run_standard_evaluation(x, y, batch_size=8)
    net.zero_grad()
    assert torch.equal(ours.adversarial, theirs)
    assert torch.equal(ours.predicted, labels)
    assert 0 < int(ours.robust.sum()) < int(ours.details["after_apgd-ce"] * 12 + 0.5) <= 12


@pytest.mark.usefixtures("shortened")
def test_an_interrupted_attack_ends_in_the_same_bits(tmp_path: Path) -> None:
    net = trained(robust=True)
    whole = attacked(limited(net, 24))
    cuts = 0
    for after in (0, 7, 12, 25, 33, 47, 60, 90):
        folder = tmp_path / str(after)
        torch.manual_seed(after)
        state = torch.get_rng_state()
        try:
            attacked(limited(net, 24, after=after), folder)
        except Cut:
            cuts += 1
        assert torch.equal(torch.get_rng_state(), state)
        again = attacked(limited(net, 24), folder)
        assert torch.equal(again.adversarial, whole.adversarial)
        assert torch.equal(again.robust, whole.robust)
        assert torch.equal(again.predicted, whole.predicted)
        assert again.marks == whole.marks and again.details == whole.details
    assert cuts > 5


@pytest.mark.usefixtures("shortened")
def test_finished_batches_are_not_done_again_and_damaged_or_foreign_ones_are(tmp_path: Path) -> None:
    net = trained(robust=True)
    whole = attacked(limited(net, 24), tmp_path)
    attacked(limited(net, 24, after=3), tmp_path)  # the clean look: three batches, and not one pass more
    damaged = sorted(tmp_path.glob("apgd-ce-*.batch"))[1]
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(bytes(content))
    with pytest.raises(Cut):
        attacked(limited(net, 24, after=3), tmp_path)
    assert torch.equal(attacked(limited(net, 24), tmp_path).adversarial, whole.adversarial)
    with pytest.raises(Cut):
        attacked(limited(net, 24, after=3), tmp_path, print_="other weights")


class Four(nn.Module):
    def __init__(self, net: nn.Module, classes: int) -> None:
        super().__init__()
        self.net, self.classes = net, classes

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)[:, : self.classes]


def few(classes: int) -> AttackResult:
    split = images(30)
    some = split.labels < classes
    on = limited(Four(trained(), classes), 30)
    some = {"images": split.images[some], "labels": split.labels[some], "gallery": torch.arange(int(some.sum()))}
    on = replace(on, classes=classes, **some)
    return attacked(on)


@pytest.mark.usefixtures("shortened")
def test_below_four_classes_the_targeted_dlr_loss_is_left_out_and_marked() -> None:
    three, four = few(3), few(4)
    assert "autoattack_few_classes" in three.marks and "after_apgd-t" not in three.details
    assert "autoattack_few_classes" not in four.marks


def test_the_number_of_targets_fits_the_classes() -> None:
    for outputs, targets in ((4, 3), (10, 9), (100, 9)):
        parts = autoattack.assemble(limited(trained(), 5), outputs)
        assert parts["apgd-t"].n_target_classes == parts["fab-t"].n_target_classes == targets


@pytest.mark.usefixtures("shortened")
def test_flags_become_marks_and_an_honest_model_afterwards_has_none() -> None:
    net = trained()

    class Soft(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return net(x).softmax(1)

    class Rounded(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return net((x * 3).round() / 3)

    class Noisy(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return net(x + 0.3 * torch.randn_like(x))

    class Dynamic(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            with torch.enable_grad():
                z = x.detach().clone().requires_grad_()
                (gradient,) = torch.autograd.grad(net(z).sum(), z)
            return net(x) + 0 * gradient.sum()

    assert "autoattack_probabilities" in attacked(limited(Soft(), 20)).marks
    assert "autoattack_zero_gradient" in attacked(limited(Rounded(), 20)).marks
    assert "autoattack_randomised" in attacked(limited(Noisy(), 20)).marks
    assert "autoattack_dynamic" in attacked(limited(Dynamic(), 20)).marks
    assert attacked(limited(net, 20)).marks == ()
    assert set(checks.funcs.values()) == {0}


@pytest.mark.usefixtures("shortened")
def test_a_tracer_survives() -> None:
    def tracer(*_: object) -> None:
        return None

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        attacked(limited(trained(), 10))
        kept = sys.gettrace()
    finally:
        sys.settrace(before)
    assert kept is tracer
