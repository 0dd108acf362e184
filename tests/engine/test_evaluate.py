"""The judgement: what it writes and says, that it leaves no trace, and that no interruption changes it."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from engine.evaluate import autoattack
from engine.evaluate.context import EvaluationSubject
from engine.evaluate.evaluation import accuracies, subset
from engine.runtime.device import frozen_eval, full_precision, state_hash
from engine.runtime.rng import isolated_rng
from engine.spec.attacks import CW2, FGSM, PGDSAT, AutoAttack, CWInf
from engine.spec.base import Pixels
from engine.spec.errors import CrdndError
from engine.spec.events import AttackProgressed, Evaluated, Event, Warned
from engine.spec.outcomes import decode, unpack
from engine.spec.rundir import RunDir
from engine.spec.training import Evaluation, Selection
from tests.engine.subjects import (
    BALL,
    Cut,
    Small,
    cut_after,
    evaluated,
    folder,
    images,
    pixels,
    short_autoattack,
    subject,
    trained,
)

QUICK = Evaluation(
    attacks=(
        FGSM(),
        PGDSAT(steps=4, step_size=Pixels(0.04)),
        CWInf(steps=4, step_size=Pixels(0.04)),
        CW2(steps=8, search_steps=2, initial_constant=10.0, learning_rate=0.05),
    ),
    batch_size=20,
    gallery=5,
    suspect=False,
)


def judge(
    who: EvaluationSubject, run: RunDir, evaluation: Evaluation = QUICK, pause: Callable[[], None] = lambda: None
) -> list[Event]:
    return evaluated(run.path, who, evaluation, pause=pause)[0]


def told(events: list[Event]) -> list[Event]:
    """The story without what depends on the clock."""
    story = []
    for event in events:
        if isinstance(event, AttackProgressed):
            continue
        fields = {"time": 0.0} | ({"seconds": 0.0} if isinstance(event, Evaluated) else {})
        story.append(msgspec.structs.replace(event, **fields))
    return story


def files(run: RunDir) -> dict[str, object]:
    found: dict[str, object] = {}
    for path in sorted(run.evaluation.rglob("*")):
        if path.suffix == ".json":
            content = json.loads(path.read_bytes())
            content.pop("seconds", None)
            found[path.name] = content
        elif path.is_file():
            found[path.name] = path.read_bytes()
    return found


def test_every_attack_has_a_record_and_an_event_and_the_worst_case_is_that_of_the_ball(tmp_path: Path) -> None:
    run, who = folder(tmp_path), subject(trained(robust=True), 50, teacher=trained())
    said = judge(who, run)
    keys = ["clean", "fgsm", "pgd_sat", "cw_inf", "cw_2", "worst"]
    cells = {event.attack: event for event in said if isinstance(event, Evaluated)}
    assert list(cells) == keys
    robust = {}
    for key in keys:
        record = decode(run.result("best", key).read_bytes())
        assert record.accuracy == cells[key].accuracy and (record.n, record.of) == (50, 50)
        assert record.low < record.accuracy <= record.high and sum(record.counts) == 50
        robust[key] = torch.tensor(unpack(record.robust, 50))
        assert not bool((robust[key] & ~robust["clean"]).any())
    within = ["clean", "fgsm", "pgd_sat", "cw_inf"]  # CW_2 has another ball
    assert torch.equal(robust["worst"], torch.stack([robust[key] for key in within]).all(0))
    assert cells["worst"].spec["attacks"] == within
    assert cells["fgsm"].spec["epsilon"] == str(BALL.epsilon) and cells["cw_2"].details["median_l2"] > 0
    assert cells["clean"].details["max_logit"] > 1
    assert not list(run.evaluation.rglob("*.partial"))
    with torch.no_grad():
        assert cells["clean"].accuracy == float(
            (trained(robust=True)(pixels(50)[0]).argmax(1) == pixels(50)[1]).float().mean()
        )


def test_an_attack_outside_the_threat_model_has_no_part_in_the_worst_case(tmp_path: Path) -> None:
    anywhere = CW2(steps=60, search_steps=2, initial_constant=100.0, learning_rate=0.1, radius=0)
    evaluation = Evaluation(attacks=(FGSM(), anywhere), batch_size=20, gallery=0, suspect=False)
    said = judge(subject(trained(robust=True), 20), folder(tmp_path), evaluation)
    accuracy = {event.attack: event.accuracy for event in said if isinstance(event, Evaluated)}
    assert accuracy["cw_2"] < accuracy["fgsm"] == accuracy["worst"]
    said = judge(subject(trained(robust=True), 20), folder(tmp_path / "alone"), evaluation.model_copy(
        update={"attacks": (anywhere,)}))  # fmt: skip
    assert [event.attack for event in said if isinstance(event, Evaluated)] == ["clean", "cw_2"]  # no worst case at all


def test_what_is_finished_is_said_again_and_not_done_again(tmp_path: Path) -> None:
    run, who = folder(tmp_path), subject(trained(robust=True), 50)
    first = judge(who, run)
    again = judge(who, run, pause=cut_after(0))  # not one forward pass
    assert told(again) == told(first)
    assert not any(isinstance(event, AttackProgressed) for event in again)
    other = who._replace(weights_sha256="e" * 64)
    with pytest.raises(Cut):
        judge(other, run, pause=cut_after(0))


def test_a_killed_evaluation_ends_in_the_same_files_and_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autoattack, "assemble", short_autoattack)
    evaluation = QUICK.model_copy(update={"attacks": (*QUICK.attacks, AutoAttack()), "suspect": True})
    who = subject(trained(robust=True), 45, teacher=trained())
    whole, passes = folder(tmp_path / "whole"), [0]

    def count() -> None:
        passes[0] += 1

    story = told(judge(who, whole, evaluation, count))
    generator = random.Random(0)
    for place in sorted(generator.sample(range(passes[0]), 4)):
        run = folder(tmp_path / str(place))
        with pytest.raises(Cut):
            judge(who, run, evaluation, cut_after(place))
        assert told(judge(who, run, evaluation)) == story
        assert files(run) == files(whole)


def test_a_repeatedly_killed_evaluation_loses_no_finished_batch(tmp_path: Path) -> None:
    run, who = folder(tmp_path), subject(trained(robust=True), 45)
    longest = 3 + 2 * 10  # passes: the clean look, or a batch of an attack with its answers, with room
    for _ in range(60):
        try:
            story = judge(who, run, QUICK, cut_after(longest))
        except Cut:
            continue
        break
    assert told(story) == told(judge(who, folder(tmp_path / "whole")))


def test_an_evaluation_leaves_no_trace_in_the_network_or_the_generators(tmp_path: Path) -> None:
    net = trained(robust=True)
    net.train()
    net.norm.eval()
    modes, before = [module.training for module in net.modules()], state_hash(net)
    generators = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state())
    judge(subject(net, 20), folder(tmp_path))
    assert [module.training for module in net.modules()] == modes and state_hash(net) == before
    assert all(p.requires_grad and p.grad is None for p in net.parameters())
    assert random.getstate() == generators[0]
    assert np.random.get_state()[1].tolist() == generators[1]
    assert torch.equal(torch.get_rng_state(), generators[2])


def test_a_network_that_changes_itself_is_an_error(tmp_path: Path) -> None:
    class Counting(Small):
        def forward(self, x: Tensor) -> Tensor:
            self.norm.running_mean += 0.01
            return super().forward(x)

    with pytest.raises(CrdndError, match="changed while it was judged"):
        judge(subject(Counting(), 20), folder(tmp_path))


def test_images_without_a_finite_answer_are_wrong_and_marked(tmp_path: Path) -> None:
    net = trained()

    class Partly(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            bad = x.mean(dim=(1, 2, 3)) > 0.5
            return torch.where(bad[:, None], torch.nan, net(x))

    class Never(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return net(x) * torch.nan

    run = folder(tmp_path / "never")
    suspicious = QUICK.model_copy(update={"suspect": True, "attacks": (FGSM(), AutoAttack(), QUICK.attacks[3])})
    said = judge(subject(Never(), 20), run, suspicious)
    assert all(event.accuracy == 0.0 for event in said if isinstance(event, Evaluated))
    assert [event.code for event in said if isinstance(event, Warned) and event.attack == ""].count("non_finite") == 1
    said = judge(subject(Partly(), 40), folder(tmp_path / "partly"))
    x, y = pixels(40)
    with torch.no_grad():
        right = (x.mean(dim=(1, 2, 3)) <= 0.5) & (net(x).argmax(1) == y)
    assert next(e.accuracy for e in said if isinstance(e, Evaluated)) == pytest.approx(float(right.float().mean()))
    assert 0 < int(right.sum()) < 40


def test_a_subset_is_stratified_and_a_smaller_one_lies_within_a_larger_one() -> None:
    labels = torch.arange(1000) // 100  # sorted by class, as some files are
    some, more = subset(labels, 100, 4), subset(labels, 300, 4)
    assert torch.equal(torch.bincount(labels[some]), torch.full((10,), 10))
    assert set(some.tolist()) < set(more.tolist())
    assert torch.equal(subset(labels, 0, 4), torch.arange(1000))
    assert not torch.equal(subset(labels, 100, 5), some)


def test_validation_gives_the_accuracies_of_the_judgement_and_the_same_every_time(tmp_path: Path) -> None:
    net, who = trained(robust=True), subject(trained(robust=True), 50)
    said = {e.attack: e for e in judge(who, folder(tmp_path)) if isinstance(e, Evaluated)}
    selection = Selection(by="clean", attacks=QUICK.attacks, batch_size=20, protocol="last_iterate")
    arguments = (net, images(50), selection, BALL, 0, torch.device("cpu"), cut_after(None))
    found = accuracies(*arguments)
    assert list(found) == ["clean", "fgsm", "pgd_sat", "cw_inf", "cw_2"]
    for key, (accuracy, per_class) in found.items():
        assert accuracy == said[key].accuracy
        assert per_class == pytest.approx(said[key].per_class)
    assert accuracies(*arguments) == found
    with pytest.raises(Cut):
        accuracies(*arguments[:-1], cut_after(5))


def test_arithmetic_is_float32_inside_and_as_before_outside() -> None:
    net, (x, _) = trained(), pixels(4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        with isolated_rng(), full_precision(), frozen_eval(net):
            assert net(x).dtype == torch.float32
            assert not torch.backends.cuda.matmul.allow_tf32
        assert net(x).dtype == torch.bfloat16
