"""Each method against its own formula, written out once more, and against what theory knows."""

import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torch.nn import functional as F

from engine.contrastive import Views, contrastive_loss
from engine.methods import crdnd
from engine.spec.errors import ConfigError
from engine.spec.methods import ARD, CRDND, IAD, PGDAT, RSLAD, TRADES, Natural
from engine.types import Nets
from tests.engine.method_bench import CLASSES, batch, build

X, Y = batch()


def run(spec, epoch: int = 1):
    """The loss of one batch, and the live S(x), S(x'), T(x), T(x') that belong to it."""
    method, student, teacher, adversary = build(spec)
    for net in filter(None, (student, teacher)):
        net.double()  # float32 would lose at a temperature of 30 what one processor rounds unlike another
    method.epoch_started(epoch, 100)
    x = X.double()
    loss = method.loss(x, Y, adversary)
    x_adv = adversary.found[-1] if adversary.found else x
    asked = (student(x), student(x_adv)) + ((teacher(x), teacher(x_adv)) if teacher is not None else (None, None))
    return loss, student, *asked


def gradient(loss, student):
    return torch.autograd.grad(loss, student.linear.weight, retain_graph=True)[0]


def agree(loss, expected, student):
    """In value and in gradient: so a target that ought to be live, or detached, is."""
    torch.testing.assert_close(loss.total, expected)
    torch.testing.assert_close(gradient(loss.total, student), gradient(expected, student))


def divergence(q, p):
    return (q * (q.log() - p.log())).sum(dim=1)


def test_natural_and_sat_are_cross_entropies_on_their_images():
    loss, student, s, _, _, _ = run(Natural())
    agree(loss, F.cross_entropy(s, Y), student)
    loss, student, _, s_adv, _, _ = run(PGDAT())
    agree(loss, F.cross_entropy(s_adv, Y), student)


def test_trades_moves_both_sides_of_its_divergence():
    loss, student, s, s_adv, _, _ = run(TRADES(beta=6.0))
    agree(loss, F.cross_entropy(s, Y) + 6 * divergence(s.softmax(1), s_adv.softmax(1)).mean(), student)
    detached = F.cross_entropy(s, Y) + 6 * divergence(s.softmax(1).detach(), s_adv.softmax(1)).mean()
    assert not torch.allclose(gradient(loss.total, student), gradient(detached, student))


def test_the_trades_adversary_starts_from_no_divergence_as_p_is_taken_in_its_own_mode():
    method, student, _, _ = build(TRADES())

    def stays(objective, x):
        student.eval()
        strays = objective(x)
        student.train()
        torch.testing.assert_close(strays, torch.zeros_like(strays), atol=1e-6, rtol=0)
        return x

    method.loss(X, Y, stays)
    assert sum(torch.equal(question, X) for question in student.asked) == 4  # p(x), one climb, S(x), S(x')


def test_trades_asks_p_of_x_once_however_long_the_climb():
    method, student, _, adversary = build(TRADES())
    method.loss(X, Y, adversary)
    assert len(student.asked) == 1 + len(adversary.climbed) + 2


def test_ard_by_hand():
    loss, student, s, s_adv, t, _ = run(ARD(alpha=0.7, temperature=30.0))
    taught = 900 * divergence((t / 30).softmax(1), (s_adv / 30).softmax(1)).mean() / CLASSES  # elmean
    agree(loss, 0.7 * taught + 0.3 * F.cross_entropy(s, Y), student)
    loss, student, _, s_adv, t, _ = run(ARD(kl_reduction="batchmean"))
    agree(loss, 900 * divergence((t / 30).softmax(1), (s_adv / 30).softmax(1)).mean(), student)
    assert loss.clean is None


def test_ard_at_a_high_temperature_is_half_the_squared_distance_of_centred_logits_over_k():
    loss, _, _, s_adv, t, _ = run(ARD(temperature=3000.0, kl_reduction="batchmean"))
    apart = (t - t.mean(1, keepdim=True)) - (s_adv - s_adv.mean(1, keepdim=True))
    torch.testing.assert_close(loss.total, (apart**2).sum(1).mean() / (2 * CLASSES), rtol=0.15, atol=0)


@pytest.mark.parametrize("weigh_teacher", [False, True])
def test_iad_by_hand_after_its_plain_epochs(weigh_teacher):
    spec = IAD(begin=2, temperature=2.0, beta=0.5, weigh_teacher=weigh_teacher)
    loss, student, s, s_adv, t, t_adv = run(spec, epoch=3)
    r = t_adv.softmax(1)[torch.arange(len(Y)), Y] ** 0.5
    taught = 4 * divergence((t / 2).softmax(1), (s_adv / 2).softmax(1))
    own = (1 - r) * divergence(s.softmax(1), s_adv.softmax(1))  # live on both sides
    agree(loss, ((r if weigh_teacher else 1) * taught + own).mean(), student)


def test_iad_is_plain_distillation_for_exactly_its_first_epochs():
    for epoch in (1, 2):
        loss, student, _, s_adv, t, _ = run(IAD(begin=2), epoch)
        agree(loss, divergence(t.softmax(1), s_adv.softmax(1)).mean(), student)
        assert float(loss.terms["own"]) == 0.0
    assert float(run(IAD(begin=2), 3)[0].terms["own"]) > 0.0


@pytest.mark.parametrize(("reduction", "over"), [("batchmean", 1), ("elmean", CLASSES)])
def test_rslad_by_hand(reduction, over):
    loss, student, s, s_adv, t, _ = run(RSLAD(kl_reduction=reduction))
    q = t.softmax(1)
    mean = (5 / 6 * divergence(q, s_adv.softmax(1)) + 1 / 6 * divergence(q, s.softmax(1))).mean()
    agree(loss, 0.1 * mean / over, student)


def test_rslad_has_nothing_to_learn_on_clean_images_from_itself():
    method, student, teacher, _ = build(RSLAD())
    assert teacher is not None
    student.load_state_dict(teacher.state_dict())
    student.eval()  # so that both normalise alike
    loss = method.loss(X, Y, lambda objective, x: x).total
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0.0, abs=1e-7)
    assert float(student.linear.weight.grad.abs().max()) < 1e-7


def test_batch_norm_of_rslad_sees_the_adversarial_batch_first():
    method, student, _, adversary = build(RSLAD())
    method.loss(X, Y, adversary)
    first, second = student.asked_in_training
    assert torch.equal(first, adversary.found[-1])
    assert torch.equal(second, X)
    mean = 0.9 * (0.1 * first.mean(dim=(0, 2, 3))) + 0.1 * second.mean(dim=(0, 2, 3))  # from 0, momentum 0.1
    torch.testing.assert_close(student.norm.running_mean, mean)


def test_rslad_learns_no_labels():
    losses = []
    for labels in (Y, (Y + 1) % CLASSES):
        method, _, _, adversary = build(RSLAD())
        torch.manual_seed(0)
        losses.append(method.loss(X, labels, adversary).total.detach())
    assert torch.equal(*losses)


def test_crdnd_weighs_its_two_contrasts_as_equation_8():
    spec = CRDND(temperature_clean=0.7, temperature_robust=0.3)
    loss, student, s, s_adv, t, t_adv = run(spec)  # the first epoch: M = I
    clean, robust = Views(t, s), Views(t_adv, s_adv)
    expected = 0.2 * contrastive_loss(clean, robust, 0.7, spec) + 0.8 * contrastive_loss(robust, clean, 0.3, spec)
    agree(loss, expected, student)


def test_crdnd_compensates_the_student_from_its_second_epoch_on():
    losses, first = [], []
    for compensate in (True, False):
        method, _, _, adversary = build(CRDND(compensate=compensate, recall_prior=0.0))
        for kept in (first, losses):
            torch.manual_seed(0)
            kept.append(method.loss(X, Y, adversary).total.detach())
            method.epoch_ended()
    torch.testing.assert_close(*first)
    assert not torch.allclose(*losses)


def test_crdnd_reports_accuracies_without_compensation_but_no_matrix():
    for compensate in (True, False):
        method, _, _, adversary = build(CRDND(compensate=compensate))
        method.loss(X, Y, adversary)
        method.epoch_ended()
        report = method.report()
        assert len(report.teacher_clean) == len(report.teacher_robust) == CLASSES
        assert bool(report.acm_clean) is bool(report.acm_robust) is compensate
        if compensate:
            columns = [sum(row[c] for row in report.acm_clean) for c in range(CLASSES)]
            assert columns == pytest.approx([1.0] * CLASSES, abs=1e-5)


@pytest.mark.parametrize("space", ["logits", "logits_centered", "probs"])
def test_both_sides_are_compared_in_the_same_space(space):
    """Relational and teacher = student: zero in every space, unless only one side is mapped."""
    method, student, teacher, _ = build(CRDND(space=space, target="relational"))
    assert teacher is not None
    student.load_state_dict(teacher.state_dict())
    student.eval()
    assert float(method.loss(X, Y, lambda objective, x: x).total.detach()) == pytest.approx(0.0, abs=1e-6)


def climbed(spec, student_scale: float = 1.0):
    """The objective at S(x') = scale S(x'), with S(x') and T(x)."""
    method, student, teacher, _ = build(spec)
    assert teacher is not None
    student.eval()
    with torch.no_grad():
        student.linear.weight *= student_scale
        student.linear.bias *= student_scale
    t = teacher(X)
    return method.objective(t, Y)(X).detach(), student(X).detach(), t


def test_the_objectives_of_crdnd_by_hand():
    values, s, t = climbed(CRDND(inner="kl"))
    torch.testing.assert_close(values, divergence(t.softmax(1), s.softmax(1)))

    values, s, t = climbed(CRDND(inner="neg_cos"))
    torch.testing.assert_close(values, 1 - F.cosine_similarity(s, t))

    values, s, t = climbed(CRDND(inner="kl_rescaled", inner_scale=3.0))
    q, p = ((3 * z / z.norm(dim=1, keepdim=True)).softmax(1) for z in (t, s))
    torch.testing.assert_close(values, divergence(q, p))

    rows = torch.arange(len(Y))
    for kappa in (90.0, 0.0):
        values, s, t = climbed(CRDND(inner="margin", margin_kappa=kappa))
        others = s.masked_fill(F.one_hot(Y, CLASSES).bool(), -torch.inf).amax(1)
        torch.testing.assert_close(values, -(s[rows, Y] - others + kappa).clamp(min=0))


@pytest.mark.parametrize(("inner", "is_blind"), [("neg_cos", True), ("kl_rescaled", True), ("kl", False)])
def test_the_scale_free_objectives_do_not_see_the_scale_of_the_student(inner, is_blind):
    small, large = climbed(CRDND(inner=inner), 0.1)[0], climbed(CRDND(inner=inner), 10.0)[0]
    assert torch.allclose(small, large, atol=1e-5) is is_blind


def test_learned_off_diagonals_have_their_own_adam_and_move_from_the_second_epoch_on():
    method, _, _, adversary = build(CRDND(off_diagonal="learned", recall_prior=0.0))
    (adam,) = method.optimizers()
    thetas = adam.param_groups[0]["params"]
    for moves in (False, True):  # in the first epoch every a_j is 1 and leaves nothing to share
        method.loss(X, Y, adversary).total.backward()
        adam.step()
        adam.zero_grad()
        assert any(bool(theta.detach().abs().sum() > 0) for theta in thetas) is moves
        method.epoch_ended()
    assert not build(CRDND())[0].optimizers()
    assert not build(CRDND(off_diagonal="learned", compensate=False))[0].optimizers()


def test_the_adam_of_the_off_diagonals_obeys_the_guard_against_broken_losses():
    method, _, _, _ = build(CRDND(off_diagonal="learned"))
    (adam,) = method.optimizers()
    theta = adam.param_groups[0]["params"][0]
    theta.grad = torch.full_like(theta, torch.nan)
    adam.found_inf, adam.grad_scale = torch.ones(()), None
    adam.step()
    assert torch.equal(theta, torch.zeros_like(theta))


@pytest.mark.parametrize(
    "reading",
    [
        {"recall_min": 0.9, "recall_max": 0.8},
        {"anchor": "both", "pool": "student_only"},
        {"anchor": "both", "pool": "nat_adv"},
    ],
)
def test_readings_that_contradict_each_other_are_refused(reading):
    with pytest.raises(ValidationError, match=r"recall_min|teacher candidates"):
        CRDND(**reading)


def test_two_classes_have_no_compensation_and_are_told_so():
    nets = Nets(nn.Linear(1, 1), nn.Linear(1, 1), 2)
    with pytest.raises(ConfigError, match="three classes"):
        crdnd.Method(CRDND(), nets)
    crdnd.Method(CRDND(compensate=False), nets)
