"""The choice of the best epoch: by validation images alone, ties stay with the earlier, its weights on disk."""

import copy

import pytest
import torch
from safetensors.torch import load_file

from engine.spec.config import RunConfig
from engine.spec.data import Digits
from engine.spec.methods import Natural
from engine.spec.models import SmallCNN
from engine.spec.rundir import RunDir
from engine.spec.training import Selection, Training
from engine.teachers import weights
from engine.train import selection
from engine.train.selection import Selector
from engine.types import Split
from tests.engine.subjects import Small, images, trained


def config(**changes) -> RunConfig:
    given = {"every": 1, "by": "clean", "attacks": ()} | changes
    return RunConfig(data=Digits(), student=SmallCNN(), method=Natural(), training=Training(epochs=7),
                     selection=Selection(**given))  # fmt: skip


def selector(tmp_path, given: RunConfig, net=None, split: Split | None = None) -> Selector:
    return Selector(given, net or Small(), split or images(20), RunDir(tmp_path), torch.device("cpu"), lambda: None)


def measured(monkeypatch, *shares: float):
    """Validation finds these accuracies, one after the other."""
    queue = iter(shares)
    monkeypatch.setattr(selection, "accuracies", lambda *_args, **_how: {"clean": (next(queue), [0.0])})


def test_the_best_epoch_has_the_highest_accuracy_and_ties_stay_with_the_earlier(tmp_path, monkeypatch):
    measured(monkeypatch, 0.2, 0.5, 0.5, 0.4, 0.6, 0.6)
    chosen = selector(tmp_path, config())
    assert [chosen.validate(epoch, epoch).best for epoch in range(1, 7)] == [True, True, False, False, True, False]
    assert chosen.state_dict() == {"accuracy": 0.6, "epoch": 5}


def test_an_accuracy_of_zero_is_better_than_none(tmp_path, monkeypatch):
    measured(monkeypatch, 0.0)
    assert selector(tmp_path, config()).validate(1, 1).best


def test_validation_is_due_every_so_many_epochs_and_after_the_last(tmp_path, monkeypatch):
    measured(monkeypatch, *[0.5] * 3)
    chosen = selector(tmp_path, config(every=3))
    assert [epoch for epoch in range(1, 8) if chosen.validate(epoch, epoch) is not None] == [3, 6, 7]


def test_the_weights_of_best_are_the_students_at_that_epoch(tmp_path, monkeypatch):
    measured(monkeypatch, 0.3, 0.7, 0.5)
    net = Small()
    chosen = selector(tmp_path, config(), net)
    students = []
    for epoch in (1, 2, 3):
        with torch.no_grad():
            net.first.weight.normal_(generator=torch.Generator().manual_seed(epoch))
        students.append(copy.deepcopy(net.state_dict()))
        chosen.validate(epoch, 10 * epoch)
    path = RunDir(tmp_path).weights_of("best")
    found = load_file(path)
    assert found.keys() == students[1].keys()
    assert all(torch.equal(found[name], students[1][name]) for name in found)
    facts = weights.load(path)[1]
    assert (facts["checkpoint"], facts["epoch"]) == ("best", "2")


def test_a_resumed_selector_goes_on_from_the_best_so_far(tmp_path, monkeypatch):
    measured(monkeypatch, 0.5, 0.4, 0.5, 0.6)
    first = selector(tmp_path, config())
    first.validate(1, 1)
    second = selector(tmp_path, config())
    second.load_state_dict(first.state_dict())
    assert [second.validate(epoch, epoch).best for epoch in (2, 3, 4)] == [False, False, True]


def test_the_attack_named_by_the_preset_selects_though_another_is_higher(tmp_path, monkeypatch):
    found = iter([(0.9, 0.1), (0.8, 0.2), (0.95, 0.15)])

    def accuracies(*_args, **_how):
        clean, robust = next(found)
        return {"clean": (clean, [clean]), "cw_inf": (robust, [robust])}

    monkeypatch.setattr(selection, "accuracies", accuracies)
    given = config(by="cw_inf", attacks=({"name": "cw_inf", "steps": 1},))
    chosen = selector(tmp_path, given)
    said = [chosen.validate(epoch, epoch) for epoch in (1, 2, 3)]
    assert [event.best for event in said] == [True, True, False]
    assert said[0].accuracy == {"clean": 0.9, "cw_inf": 0.1}
    assert said[0].per_class == {"clean": [0.9], "cw_inf": [0.1]}


def test_the_validation_images_alone_are_judged_and_the_student_stays_in_its_mode(tmp_path):
    net = trained()
    net.train()
    net.drop.eval()
    before = copy.deepcopy(net.state_dict())
    said = selector(tmp_path, config(), net, images(50)).validate(1, 4)
    assert (said.n, said.by, said.epoch, said.step) == (50, "clean", 1, 4)
    with torch.no_grad():
        split = images(50)
        net.eval()
        by_hand = (net(split.images.float() / 255).argmax(1) == split.labels).float().mean()
    assert said.accuracy["clean"] == pytest.approx(float(by_hand))
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_the_student_is_left_in_the_mode_it_was_found_in(tmp_path):
    net = trained().train()
    net.drop.eval()
    selector(tmp_path, config(), net).validate(1, 4)
    assert net.training
    assert net.norm.training
    assert not net.drop.training
