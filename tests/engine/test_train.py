"""One step: what it updates, what it leaves alone, and the mode of the student while the adversary climbs."""

from importlib import import_module

import pytest
import torch

from engine.runtime.device import mode
from engine.runtime.rng import seed_for
from engine.spec.base import Pixels
from engine.spec.training import Inner, Training
from engine.train import optim
from engine.train.step import maximiser, train_step
from engine.types import Nets
from tests.engine.method_bench import BALL, CLASSES, SPECS, Net, batch

PLAIN = Training(learning_rate=0.1, momentum=0.9, weight_decay=0.0)


@pytest.mark.parametrize("training", [True, False])
def test_the_student_climbs_in_the_mode_that_the_config_names_and_each_module_gets_its_own_back(training):
    net = Net(0).train()
    net.norm.eval()  # frozen by somebody
    seen = []

    def objective(x_adv):
        seen.append([module.training for module in net.modules()])
        return net(x_adv).sum(dim=1)

    maximiser(net, BALL, Inner(steps=2, student_mode="train" if training else "eval"))(objective, batch()[0])
    assert seen == [[training] * 3] * 2
    assert [module.training for module in net.modules()] == [True, False, True]


def test_the_mode_is_given_back_when_the_adversary_is_interrupted():
    net = Net(0).train()
    with pytest.raises(KeyboardInterrupt), mode(net, training=False):
        assert not net.training
        raise KeyboardInterrupt
    assert net.training


def test_the_climb_gives_no_parameter_a_gradient_and_beats_at_every_step():
    net, beats = Net(0), []
    climb = maximiser(net, BALL, Inner(steps=4), lambda: beats.append(1))
    climb(lambda x_adv: net(x_adv).square().sum(dim=1), batch()[0])
    assert len(beats) == 4
    assert all(p.grad is None for p in net.parameters())


@pytest.mark.parametrize(("name", "moves"), [("eval", False), ("train", True)])
def test_running_statistics_move_while_the_student_climbs_in_train_mode_alone(name, moves):
    net = Net(0).train()
    before = net.norm.running_mean.clone()
    maximiser(net, BALL, Inner(steps=2, student_mode=name))(lambda x: net(x).sum(dim=1), batch()[0])
    assert (not torch.equal(net.norm.running_mean, before)) is moves


@pytest.mark.parametrize("spec", [s for s in SPECS if s.needs_teacher], ids=lambda s: s.__name__)
def test_a_step_leaves_no_gradient_on_the_teacher_though_it_could_take_one(spec):
    student, teacher = Net(0).train(), Net(100).eval()
    method = import_module(f"engine.methods.{spec.model_fields['name'].default}").Method(
        spec(), Nets(student, teacher, CLASSES)
    )
    optimizer = optim.build(student, PLAIN)
    method.epoch_started(1, 2)
    train_step(method, maximiser(student, BALL, Inner(steps=2)), [optimizer, *method.optimizers()], *batch())
    assert all(p.grad is None for p in teacher.parameters())
    assert any(p.grad is not None for p in student.parameters())


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: s.__name__)
def test_the_same_seed_gives_the_same_step_and_another_seed_another(spec):
    def stepped(seed: int) -> torch.Tensor:
        student = Net(0).train()
        teacher = Net(100).eval().requires_grad_(False) if spec.needs_teacher else None
        method = import_module(f"engine.methods.{spec.model_fields['name'].default}").Method(
            spec(), Nets(student, teacher, CLASSES)
        )
        torch.manual_seed(seed_for(seed, "step", 0))
        inner = Inner(steps=2, start="uniform", step_size=Pixels(0.01))
        train_step(method, maximiser(student, BALL, inner), [optim.build(student, PLAIN)], *batch())
        return student.linear.weight.detach()

    assert torch.equal(stepped(1), stepped(1))
    assert torch.equal(stepped(1), stepped(2)) is (spec.__name__ == "Natural")  # which draws nothing in a step
