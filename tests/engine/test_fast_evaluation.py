"""Attacks on the folded copy: the network alone judges, its verdicts are those of exact attacks, nothing is mixed."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import msgspec
import pytest
import torch
from torch import Tensor, nn

from engine.evaluate import autoattack, outcomes
from engine.evaluate import context as module
from engine.evaluate.context import EvaluationContext, RecordIdentity, folded_copy
from engine.evaluate.evaluation import accuracies
from engine.evaluate.outcomes import HOLDS, compare_outcomes
from engine.fast.folding import FoldedNet, FoldingError
from engine.models import resnet
from engine.runtime.rng import isolated_rng, seed_all, seed_for
from engine.spec.attacks import CW2, FGSM, PGD, AttackSpec, AutoAttack, CWInf, PGDRescaled, ThreatModel
from engine.spec.base import Pixels
from engine.spec.events import Event, Warned
from engine.spec.models import SmallResNet
from engine.spec.outcomes import Outcome, decode
from engine.spec.training import Evaluation, Selection
from tests.engine.subjects import (
    Cut,
    attacked,
    context,
    cut_after,
    evaluated,
    folder,
    images,
    pixels,
    short_autoattack,
    subject,
)

NEAR = ThreatModel(epsilon=Pixels(0.16))
CPU = torch.device("cpu")
SUITE: tuple[AttackSpec, ...] = (
    FGSM(),
    PGD(steps=5, step_size=Pixels(0.04), restarts=2),
    CWInf(steps=5, step_size=Pixels(0.04)),
    PGDRescaled(steps=3, step_size=Pixels(0.06), scales=(0.1, 10.0)),
    CW2(steps=12, search_steps=2, initial_constant=1.0, learning_rate=0.05),
    AutoAttack(),
)
STEPPING = Evaluation(attacks=SUITE[1:3], batch_size=12, gallery=4, suspect=False)


@cache
def _weights() -> dict[str, Tensor]:
    """A small ResNet that knows the prototypes under one step of attack; in float64, so that every processor has it."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        net = resnet.build(SmallResNet(width=4), 10, (1, 8, 8)).double()
        x, y = pixels(600)
        x = x.double()
        optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
        for _ in range(40):
            x_in = x.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(net(x_in), y), x_in)
            optimizer.zero_grad()
            nn.functional.cross_entropy(net((x + 0.05 * gradient.sign()).clamp(0, 1)), y).backward()
            optimizer.step()
    return net.float().state_dict()


def trained() -> nn.Module:
    net = resnet.build(SmallResNet(width=4), 10, (1, 8, 8))
    net.load_state_dict(_weights())
    return net.eval()


def on(net: nn.Module, copy: nn.Module | None = None, **changes: object) -> EvaluationContext:
    return context(net, 48, copy=copy, threat_model=NEAR, **changes)


@pytest.fixture(autouse=True)
def shortened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autoattack, "assemble", short_autoattack)


@pytest.mark.parametrize("spec", SUITE[1:4], ids=lambda spec: spec.key)
def test_without_a_copy_the_attack_is_on_the_network_bit_for_bit(spec: AttackSpec) -> None:
    """Each batch is the attack's own call, seeded by its number: what evaluations did before there were copies."""
    net, (x, y) = trained(), pixels(48)
    found, module = attacked(on(net), spec), __import__(f"engine.attacks.{spec.module}", fromlist=["attack"])
    net.requires_grad_(False)
    expected = []
    with isolated_rng():
        for k, positions in enumerate(torch.arange(48).split(20)):
            seed_all(seed_for(3, "attack", spec.key, k))
            expected.append(module.attack(net, x[positions], y[positions], NEAR, spec))
    with torch.no_grad():
        answers = torch.cat([net(x_adv).argmax(dim=1) for x_adv in expected])
    assert torch.equal(found.adversarial, torch.cat(expected))
    assert torch.equal(found.predicted[~found.robust], answers[~found.robust])
    where = on(net)
    assert where.attacked is where.net


@pytest.mark.parametrize("protocol", ["last_iterate", "worst"])
@pytest.mark.parametrize("spec", SUITE, ids=lambda spec: spec.key)
def test_a_copy_changes_no_verdict(spec: AttackSpec, protocol: str) -> None:
    net = trained()
    exact = attacked(on(net, protocol=protocol), spec)
    folded = attacked(on(net, folded_copy(net, images(48).images, CPU), protocol=protocol), spec)
    assert torch.equal(folded.robust, exact.robust)
    assert torch.equal(folded.predicted, exact.predicted)
    if spec.bounded:
        assert 0 < int(exact.robust.sum()) < 48


@pytest.mark.parametrize("protocol", ["last_iterate", "worst"])
@pytest.mark.parametrize("spec", SUITE, ids=lambda spec: spec.key)
def test_the_network_alone_judges(spec: AttackSpec, protocol: str) -> None:
    """A copy that takes every image for another class: attacks think that they are done, and the network disagrees."""

    class Liar(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return net(x).roll(1, dims=1)

    net, (x, y) = trained(), pixels(48)
    found = attacked(on(net, Liar(), protocol=protocol), spec)
    with torch.no_grad():
        clean, after = net(x).argmax(dim=1), net(found.adversarial).argmax(dim=1)
    assert bool(((clean == y) & (after == y))[found.robust].all())
    assert torch.equal(found.predicted[~found.robust], after[~found.robust]) or not spec.bounded


def test_a_copy_is_frozen_and_leaves_no_gradient() -> None:
    net = trained()
    copy = folded_copy(net, images(8).images, CPU)
    assert isinstance(copy, FoldedNet)
    assert list(copy.parameters()) == []
    attacked(on(net, copy), SUITE[5])
    assert all(parameter.grad is None and parameter.requires_grad for parameter in net.parameters())


class Branching(nn.Module):
    """Looks at a value to decide what to do, which nobody can trace."""

    def __init__(self) -> None:
        super().__init__()
        self.net = trained()

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x) if float(x.sum()) >= 0 else self.net(-x)


def judge(net: nn.Module, run: Path, evaluation: Evaluation = STEPPING, *, folded: bool) -> list[Event]:
    return evaluated(run, subject(net, 48), evaluation, NEAR, folded=folded)[0]


def record(run: Path, attack: str) -> Outcome:
    return decode(folder(run).result("best", attack).read_bytes())


def test_a_net_that_cannot_be_folded_is_attacked_as_it_is_and_that_is_said(tmp_path: Path) -> None:
    said = judge(Branching(), tmp_path / "folded", folded=True)
    judge(Branching(), tmp_path / "exact", folded=False)
    (warning,) = [event for event in said if isinstance(event, Warned) and event.code == "not_folded"]
    assert "Branching cannot be traced" in warning.message
    for attack in ("pgd", "cw_inf"):
        ours, exact = (record(tmp_path / how, attack) for how in ("folded", "exact"))
        assert msgspec.structs.replace(ours, seconds=0.0) == msgspec.structs.replace(exact, seconds=0.0)
        assert not ours.folded


def test_a_copy_that_answers_otherwise_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    class Shifted(FoldedNet):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + 0.01

    monkeypatch.setattr(module, "FoldedNet", Shifted)
    with pytest.raises(FoldingError, match=r"logits differ by 0\.01"):
        folded_copy(trained(), images(8).images, CPU)


def test_a_net_without_finite_answers_has_no_copy() -> None:
    net = trained()
    with torch.no_grad():
        net.linear.bias.fill_(float("nan"))
    with pytest.raises(FoldingError, match="answers otherwise"):
        folded_copy(net, images(8).images, CPU)


def test_records_tell_and_stay_comparable(tmp_path: Path) -> None:
    for how in (False, True):
        judge(trained(), tmp_path / str(how), folded=how)
    for attack in ("pgd", "cw_inf", "worst"):
        exact, folded = (record(tmp_path / str(how), attack) for how in (False, True))
        assert (exact.folded, folded.folded) == (False, True)
        assert exact.spec == folded.spec
        finding = compare_outcomes(exact, folded, [])
        assert finding.verdict == HOLDS
        assert "folded False -> True" in finding.words
    assert not record(tmp_path / "True", "clean").folded


def test_a_record_of_before_there_were_copies_is_of_an_exact_attack(tmp_path: Path) -> None:
    judge(trained(), tmp_path, folded=False)
    path = folder(tmp_path).result("best", "pgd")
    old = json.loads(path.read_bytes())
    del old["folded"]
    assert decode(json.dumps(old).encode()) == record(tmp_path, "pgd")


def test_batches_of_exact_and_of_folded_attacks_are_not_mixed() -> None:
    net, identity = trained(), RecordIdentity(48, "i", "d", "w")
    exact, folded = on(net), on(net, folded_copy(net, images(8).images, CPU))
    described = outcomes.describe(SUITE[1], NEAR, STEPPING)
    shown = (replace(where, gallery=torch.arange(2)) for where in (exact, folded))
    prints = [outcomes.fingerprint(described, where, identity) for where in shown]
    assert prints[0] != prints[1]
    assert prints[0] == json.dumps([described, identity, [0, 1], outcomes.versions(), "cpu"], sort_keys=True)


@pytest.mark.parametrize("before", [False, True])
def test_a_resumed_folded_evaluation_takes_over_folded_batches_only(tmp_path: Path, before: bool) -> None:
    """Killed in the last of four batches of twelve: what is done again depends on how the three were made."""
    one = STEPPING.model_copy(update={"attacks": STEPPING.attacks[1:]})
    run, asked = tmp_path / "run", []
    pause = cut_after(4 + 3 * (5 + 1) + 2)  # the clean look, three batches, two steps
    with pytest.raises(Cut):
        evaluated(run, subject(trained(), 48), one, NEAR, pause=pause, folded=before)
    assert len(list(folder(run).partial("best", "cw_inf").glob("*.batch"))) == 3
    net = trained()
    net.register_forward_pre_hook(lambda _net, given: asked.append(len(given[0])))  # which the copy does not have
    judge(net, run, one, folded=True)
    judge(trained(), tmp_path / "whole", one, folded=True)
    found, whole = (record(where, "cw_inf") for where in (run, tmp_path / "whole"))
    assert msgspec.structs.replace(found, seconds=0.0) == msgspec.structs.replace(whole, seconds=0.0)
    done_again = [12] if before else [12] * 4
    assert asked == [48, *done_again, 4, 4]  # the copy is compared; the adversarial images; the gallery


def test_validation_on_a_copy_gives_the_same_accuracies() -> None:
    net, split = trained(), images(60)
    selection = Selection(by="clean", attacks=SUITE[:4], batch_size=25)
    found = [accuracies(net, split, selection, NEAR, 0, CPU, lambda: None, folded=folded) for folded in (False, True)]
    assert found[0] == found[1]
    assert 0.0 < found[0]["pgd"][0] < found[0]["clean"][0]
