"""The fast path computes what the plain engine computes: bit for bit without a plan, to rounding with one."""

from contextlib import nullcontext
from copy import deepcopy

import pytest
import torch
from torch import nn

from engine.fast import proxies
from engine.fast.folding import FoldedNet
from engine.fast.graph import tensors
from engine.fast.path import FastPath
from engine.fast.plan import FastPlan
from engine.spec.estimate import passes_per_step
from engine.spec.methods import CRDND, IAD, RSLAD, TRADES
from engine.train.step import maximiser
from engine.types import Loss, Nets, TrainingMethod
from tests.engine.fast_bench import BALL, EVAL, METHODS, TRAIN, Net, batch, furthest, nets, steps, trainer, views
from tests.engine.subjects import pixels, trained
from tests.engine.test_trainer import Journal, label, same

FAST = FastPlan(folded=True, paired=True)
DOUBLE = torch.float64
STATISTICS = ("running_mean", "running_var")


def statistics(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value for name, value in state.items() if name.endswith(STATISTICS)}


def counts(memory: dict) -> list[list[int]]:
    """What a method counted about its teacher, in integers."""
    return [t.tolist() for t in tensors(memory) if not t.is_floating_point()]


@pytest.mark.parametrize("inner", [EVAL, TRAIN], ids=["eval", "train"])
@pytest.mark.parametrize("spec", METHODS, ids=label)
def test_without_a_plan_every_step_is_the_plain_one_bit_for_bit(spec, inner):
    plain, exact = steps(spec, None, inner, count=3), steps(spec, FastPlan(), inner, count=3)
    assert exact.losses == plain.losses
    assert same(exact.state, plain.state) and same(exact.memory, plain.memory)
    assert same(exact.gradients, plain.gradients)


@pytest.mark.parametrize("inner", [EVAL, TRAIN], ids=["eval", "train"])
@pytest.mark.parametrize("spec", METHODS, ids=label)
def test_folded_and_paired_a_step_is_the_exact_one_in_float64(spec, inner):
    exact, fast = steps(spec, FastPlan(), inner, dtype=DOUBLE), steps(spec, FAST, inner, dtype=DOUBLE)
    assert fast.losses == pytest.approx(exact.losses, rel=1e-12)
    assert furthest(exact.gradients, fast.gradients) < 1e-12
    assert furthest(exact.state, fast.state) < 1e-12
    assert furthest(statistics(exact.state), statistics(fast.state)) < 1e-13
    assert counts(exact.memory) == counts(fast.memory)


@pytest.mark.parametrize("spec", [RSLAD(), CRDND(), TRADES()], ids=label)
def test_several_steps_in_a_row_stay_together(spec):
    exact, fast = steps(spec, FastPlan(), count=4, dtype=DOUBLE), steps(spec, FAST, count=4, dtype=DOUBLE)
    assert fast.losses == pytest.approx(exact.losses, rel=1e-9)
    assert furthest(exact.state, fast.state) < 1e-9


@pytest.mark.parametrize("spec", [spec for spec in METHODS if views(spec) == 2], ids=label)
def test_one_batch_norm_over_both_views_would_be_another_step(spec, monkeypatch: pytest.MonkeyPatch):
    """So the law above can fail: only the split of the batch is taken away here."""
    exact = steps(spec, FastPlan(), dtype=DOUBLE)
    monkeypatch.setattr(proxies, "split_batches", lambda *_: nullcontext())
    joint = steps(spec, FAST, dtype=DOUBLE)
    assert furthest(exact.gradients, joint.gradients) > 1e-3
    assert furthest(statistics(exact.state), statistics(joint.state)) > 1e-3


@pytest.mark.parametrize("spec", [RSLAD(), CRDND()], ids=label)
def test_the_other_order_of_the_views_would_leave_other_statistics(spec, monkeypatch: pytest.MonkeyPatch):
    exact, together = steps(spec, FastPlan(), dtype=DOUBLE), proxies.StudentProxy._forward_pair
    monkeypatch.setattr(proxies.StudentProxy, "_forward_pair", lambda self, a, b: together(self, b, a)[::-1])
    swapped = steps(spec, FAST, dtype=DOUBLE)
    assert swapped.losses == pytest.approx(exact.losses, rel=1e-12)
    assert furthest(statistics(exact.state), statistics(swapped.state)) > 1e-4


@pytest.mark.parametrize(("spec", "first"), [(RSLAD(), "x_adv"), (CRDND(), "x")], ids=["rslad", "crdnd"])
def test_running_statistics_move_in_the_order_in_which_the_method_asks(spec, first):
    """Of the first batch norm: 0.9 (0.9 r + 0.1 m1) + 0.1 m2, m the mean of a view behind the first convolution."""
    seen = []

    def watch(real: Nets) -> None:
        before.update(deepcopy(real.student.state_dict()))
        real.student.one.register_forward_hook(lambda _m, _x, y: seen.append(y.detach()) if len(y) > 6 else None)

    before: dict[str, torch.Tensor] = {}
    after = steps(spec, FAST, dtype=DOUBLE, watch=watch).state
    (both,) = seen
    m1, m2 = both[:6].mean(dim=(0, 2, 3)), both[6:].mean(dim=(0, 2, 3))
    expected = 0.9 * (0.9 * before["norm.running_mean"] + 0.1 * m1) + 0.1 * m2
    assert torch.allclose(after["norm.running_mean"], expected, rtol=1e-12, atol=1e-15)
    one = nn.functional.conv2d(batch(0, DOUBLE)[0], before["one.weight"], padding=1).mean(dim=(0, 2, 3))
    assert torch.allclose(one, m1 if first == "x" else m2)


@pytest.mark.parametrize("inner", [EVAL, TRAIN], ids=["eval", "train"])
@pytest.mark.parametrize("spec", METHODS, ids=label)
def test_the_networks_are_asked_as_often_as_the_counts_say(spec, inner):
    """Views with gradient, forwards of the student in all, and of the teacher; two views of a pair are one forward."""
    asked: dict[str, list[int]] = {}

    def watch(real: Nets) -> None:
        asked.update(student=[], learning=[], teacher=[])
        real.student.register_forward_pre_hook(
            lambda net, x: asked["learning" if net.training and inner is EVAL else "student"].append(len(x[0]))
        )
        if real.teacher is not None:
            real.teacher.register_forward_pre_hook(lambda _net, x: asked["teacher"].append(len(x[0])))

    passes = passes_per_step(spec, 3, views(spec) == 2)
    steps(spec, FastPlan(), inner, watch=watch)
    assert sum(asked["student"]) + sum(asked["learning"]) == 6 * passes.student_forward
    assert sum(asked["teacher"]) == 6 * passes.teacher_forward
    if inner is EVAL:
        assert asked["learning"] == [6] * passes.full_backward
        steps(spec, FastPlan(paired=True), inner, watch=watch)
        assert asked["learning"] == [6 * passes.full_backward]


class OneView(TrainingMethod):
    """Finds x_adv, and then forgets to ask about x; or breaks between the two."""

    def __init__(self, student: nn.Module, trouble: str = "") -> None:
        self.student, self.trouble = student, trouble

    def loss(self, x, y, maximise) -> Loss:
        x_adv = maximise(lambda z: self.student(z).square().sum(dim=1), x)
        s_adv = self.student(x_adv)
        if self.trouble == "breaks":
            raise ZeroDivisionError("planted")
        total = s_adv.square().mean() + (0 if self.trouble else self.student(x).square().mean())
        return Loss(total, {})


def one_view(trouble: str) -> tuple[FastPath, OneView, list[float]]:
    real = nets(RSLAD())
    fast = FastPath(real, FAST)
    fast.epoch_started(2)
    method = OneView(fast.nets.student, trouble)
    climb = fast.maximiser(maximiser(real.student, BALL, EVAL), "eval")
    done = []

    def step(x, y) -> Loss:
        torch.manual_seed(0)
        loss = method.loss(x, y, climb)
        done.append(float(loss.total.detach()))
        return loss

    fast.step = step
    return fast, method, done


@pytest.mark.parametrize(("trouble", "error"), [("one view", RuntimeError), ("breaks", ZeroDivisionError)])
def test_half_a_pair_is_an_error_and_no_step_inherits_anything_from_a_broken_one(trouble, error):
    fast, method, done = one_view(trouble)
    kept = deepcopy(fast.student.net.state_dict())
    with pytest.raises(error, match=r"one view of two|planted"):
        fast.run(fast.step, *batch(0), None)
    assert fast.student._pending is None and fast.student._pair is None
    fast.student.net.load_state_dict(kept)
    method.trouble = ""
    fast.run(fast.step, *batch(1), None)
    clean, _, alone = one_view("")
    clean.run(clean.step, *batch(1), None)
    assert done[-1] == alone[-1]


def test_the_views_of_a_pair_follow_the_epoch_in_which_iad_begins_to_introspect():
    seen, journal = [], Journal()
    made = trainer(IAD(begin=1), journal, FAST, images=12, epochs=3)
    made.nets.student.one.register_forward_pre_hook(lambda net, x: seen.append((made.epoch, len(x[0]))))
    made.run()
    assert seen == [(1, 6)] * 2 + [(2, 12)] * 2 + [(3, 12)] * 2


def test_an_equal_tensor_is_not_the_same_tensor():
    fast = FastPath(nets(RSLAD()), FastPlan())
    x, _y = batch(0)
    planted = torch.full((6, 4), 7.0)
    fast.teacher.set_known(x, planted)
    assert torch.equal(fast.teacher(x), planted)
    assert not torch.equal(fast.teacher(x.clone()), planted)
    fast.teacher.forget()
    assert not torch.equal(fast.teacher(x), planted)


def test_a_student_that_cannot_be_split_or_folded_is_asked_plainly_and_a_note_says_why():
    class Odd(Net):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x if float(x.sum()) > 0 else -x)

    odd = Odd(0)
    odd.again = nn.BatchNorm2d(6, momentum=None)
    fast = FastPath(Nets(odd, None, 4), FastPlan(folded=True, paired=True, inner=torch.bfloat16))
    assert fast.plan == FastPlan() and len(fast.notes) == 2
    assert "two batches in the outer step" in fast.notes[0] and "the student is not folded" in fast.notes[1]


def adversarial(dtype: torch.dtype, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy of x_adv, and the gradient it teaches, both in float32; x_adv found in this precision."""
    net = trained(robust=True)
    x, y = pixels(200)
    torch.manual_seed(seed)
    asked = net if dtype == torch.float32 else FoldedNet(net, dtype)
    climb = maximiser(net, BALL, EVAL.model_copy(update={"steps": 10, "step_size": type(EVAL.step_size)(0.025)}))
    x_adv = climb(lambda z: nn.functional.cross_entropy(asked(z), y, reduction="none"), x)
    loss = nn.functional.cross_entropy(net(x_adv), y)
    return loss.detach(), torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(net.parameters()))])


def test_an_inner_maximisation_in_bfloat16_lies_within_the_reseed_control_of_a_robust_net():
    (plain, gradient), (half, taught), (control, other) = (
        adversarial(torch.float32, 0), adversarial(torch.bfloat16, 0), adversarial(torch.float32, 1)
    )  # fmt: skip
    cosine = nn.functional.cosine_similarity
    assert abs(half - plain) / plain < 0.01 and cosine(gradient, taught, dim=0) > 0.99
    assert abs(control - plain) / plain < 0.01 and cosine(gradient, other, dim=0) > 0.99
    assert not torch.equal(gradient, taught)


def test_an_outer_step_in_bfloat16_keeps_float32_weights_losses_and_statistics():
    exact, half = steps(RSLAD(), FastPlan()), steps(RSLAD(), FastPlan(outer=torch.bfloat16, paired=True))
    assert half.losses == pytest.approx(exact.losses, rel=0.05) and half.losses != exact.losses
    assert all(value.dtype in (torch.float32, torch.int64) for value in half.state.values())
    assert furthest(statistics(exact.state), statistics(half.state)) < 0.02


def heard(plan: FastPlan, spec):
    """What two steps leave behind whose attack is in train mode, and the types in which the student computed."""

    def watch(real: Nets) -> None:
        real.student.one.register_forward_hook(lambda _conv, _x, out: dtypes.append(out.dtype))

    dtypes: list[torch.dtype] = []
    return steps(spec, plan, TRAIN, count=2, watch=watch), dtypes


@pytest.mark.parametrize("spec", [IAD(begin=0), RSLAD()], ids=label)
def test_an_attack_in_train_mode_is_autocast_where_that_is_asked_for(spec):
    """Three steps of the climb in bfloat16, the outer pass in float32; batch statistics stay float32."""
    half, dtypes = heard(FastPlan(inner=torch.bfloat16), spec)
    outer = len(dtypes) // 2 - 3
    assert dtypes == 2 * ([torch.bfloat16] * 3 + [torch.float32] * outer) and outer
    full, dtypes = heard(FastPlan(), spec)
    assert set(dtypes) == {torch.float32}
    assert half.losses != full.losses and half.losses == pytest.approx(full.losses, rel=0.05)  # of 8 bits
    for name, value in statistics(half.state).items():
        assert value.dtype == torch.float32
        assert torch.allclose(value, full.state[name], atol=0.02) and not torch.equal(value, full.state[name])


@pytest.mark.parametrize("plan", [FastPlan(outer=torch.bfloat16), FastPlan(paired=True, outer=torch.bfloat16)], ids=str)
def test_unasked_it_stays_float32_beside_an_outer_step_in_bfloat16(plan):
    _done, dtypes = heard(plan, RSLAD())
    assert dtypes[:3] == [torch.float32] * 3 and torch.bfloat16 in dtypes
