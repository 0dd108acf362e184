"""Contrastive relations against slow double loops, hand values and limits."""

from itertools import product
from math import exp, log

import pytest
import torch

from engine.contrastive import Views, contrastive_loss
from engine.spec.methods import CRDND

READINGS = [
    {"anchor": anchor, "pool": pool, "keep_positive": keep, "mask_same_class": mask, "target": target}
    for anchor, pool, keep, mask, target in product(
        ("both", "teacher"),
        ("student_teacher", "student_only", "nat_adv"),
        (True, False),
        ("none", "teacher_argmax"),
        ("onehot", "relational"),
    )
    if not (anchor == "both" and pool != "student_teacher" and target == "onehot")
]


def random_views(batch: int, classes: int = 4, seed: int = 0) -> tuple[Views, Views]:
    draws = torch.randn(4, batch, classes, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return Views(draws[0], draws[1]), Views(draws[2], draws[3])


def cosine(a, b) -> float:
    return float(a @ b) / max(float(a.norm()), 1e-6) / max(float(b.norm()), 1e-6)


def slow(views: Views, others: Views, tau: float, hp: CRDND) -> float:
    """Eqs. (4)-(7), one anchor and one candidate at a time. A view is (who, image, vector, as the teacher has it)."""
    n = len(views.teacher)
    student = [("s", i, views.student[i], views.teacher[i]) for i in range(n)]
    teacher = [("t", i, views.teacher[i], views.teacher[i]) for i in range(n)]
    other = [("o", i, others.student[i], others.teacher[i]) for i in range(n)]
    anchors = student + teacher if hp.anchor == "both" else teacher
    pool = {"student_teacher": student + teacher, "student_only": student, "nat_adv": student + other}[hp.pool]
    losses = []
    for who, i, vector, taught in anchors:
        partner = "t" if who == "s" else "s"
        here = []
        for other_who, j, other_vector, other_taught in pool:
            is_positive = (other_who, j) == (partner, i)
            same_class = int(taught.argmax()) == int(other_taught.argmax())
            if (other_who, j) == (who, i) or (is_positive and not hp.keep_positive):
                continue
            if hp.mask_same_class == "teacher_argmax" and same_class and not is_positive:
                continue
            here.append((cosine(vector, other_vector) / tau, cosine(taught, other_taught) / tau))
        if not here:
            losses.append(0.0)
        elif hp.target == "onehot":
            nearest = cosine(views.student[i], views.teacher[i]) / tau
            losses.append(log(sum(exp(s) for s, _ in here)) - nearest)
        else:
            p_sum, q_sum = sum(exp(s) for s, _ in here), sum(exp(t) for _, t in here)
            losses.append(sum(exp(t) / q_sum * (t - log(q_sum) - s + log(p_sum)) for s, t in here))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("batch", [7, 2, 1])
@pytest.mark.parametrize("reading", READINGS, ids=lambda reading: "-".join(str(part) for part in reading.values()))
def test_every_reading_equals_the_double_loop(reading, batch):
    hp = CRDND(**reading)
    views, others = random_views(batch)
    assert float(contrastive_loss(views, others, 0.5, hp)) == pytest.approx(slow(views, others, 0.5, hp), abs=1e-12)


@pytest.mark.parametrize("reading", READINGS, ids=lambda reading: "-".join(str(part) for part in reading.values()))
def test_every_reading_has_a_finite_gradient_even_where_all_images_look_alike(reading):
    same = torch.ones(3, 4)
    student = torch.zeros(3, 4, requires_grad=True)  # even of no length at all
    contrastive_loss(Views(same, student), Views(same, same), 0.5, CRDND(**reading)).backward()
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()


@pytest.mark.parametrize("batch", [1, 5, 128])
def test_equal_similarities_give_the_log_of_the_number_of_candidates(batch):
    same = Views(torch.ones(batch, 3, dtype=torch.float64), torch.ones(batch, 3, dtype=torch.float64))

    def value(**reading) -> float:
        return float(contrastive_loss(same, same, 0.5, CRDND(**reading)))

    assert value() == pytest.approx(log(2 * batch - 1))  # 5.54 at batch 128
    assert value(anchor="teacher") == pytest.approx(log(2 * batch - 1))
    assert value(anchor="teacher", pool="student_only") == pytest.approx(log(batch))  # 4.85
    assert value(anchor="teacher", pool="nat_adv") == pytest.approx(log(2 * batch))


@pytest.mark.parametrize("pool", ["student_teacher", "student_only", "nat_adv"])
@pytest.mark.parametrize("anchor", ["both", "teacher"])
@pytest.mark.parametrize("keep_positive", [True, False])
def test_the_relational_target_and_its_gradient_are_zero_when_the_student_is_the_teacher(anchor, pool, keep_positive):
    hp = CRDND(target="relational", anchor=anchor, pool=pool, keep_positive=keep_positive)
    views, others = random_views(6)
    student = views.teacher.clone().requires_grad_()
    loss = contrastive_loss(Views(views.teacher, student), Views(others.teacher, others.teacher), 0.5, hp)
    (gradient,) = torch.autograd.grad(loss, student)
    assert float(loss.detach()) == 0.0
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), atol=1e-15, rtol=0)


def test_nt_xent_is_not_stationary_when_the_student_is_the_teacher():
    views, others = random_views(6)
    student = views.teacher.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(contrastive_loss(Views(views.teacher, student), others, 0.5, CRDND()), student)
    assert float(gradient.norm()) > 1e-3


@pytest.mark.parametrize("reading", READINGS, ids=lambda reading: "-".join(str(part) for part in reading.values()))
def test_no_reading_sees_the_scale_of_the_student(reading):
    hp = CRDND(**reading)
    views, others = random_views(5)
    scaled = Views(views.teacher, 0.01 * views.student), Views(others.teacher, 100 * others.student)
    torch.testing.assert_close(contrastive_loss(*scaled, 0.5, hp), contrastive_loss(views, others, 0.5, hp))


def test_without_the_positive_the_loss_stays_above_its_bound():
    batch, tau = 8, 0.5
    hp = CRDND(anchor="teacher", pool="student_only", keep_positive=False)
    bound = -2 / tau + log(batch - 1)
    for seed in range(20):
        views, others = random_views(batch, seed=seed)
        assert float(contrastive_loss(views, others, tau, hp)) >= bound
    teacher = torch.eye(batch, dtype=torch.float64)
    orthogonal = contrastive_loss(Views(teacher, teacher), Views(teacher, teacher), tau, hp)  # cosines 1 and 0
    assert float(orthogonal) == pytest.approx(-1 / tau + log(batch - 1))


def test_with_the_positive_the_loss_is_never_negative():
    for seed in range(20):
        views, others = random_views(8, seed=seed)
        assert float(contrastive_loss(views, others, 0.5, CRDND())) >= 0.0


def test_the_mask_leaves_out_all_other_images_of_the_teachers_class():
    views, others = random_views(5)
    alike = Views(views.teacher.abs() + torch.tensor([9.0, 0, 0, 0]), views.student)  # all of class 0
    hp = CRDND(mask_same_class="teacher_argmax")
    assert float(contrastive_loss(alike, others, 0.5, hp)) == pytest.approx(0.0, abs=1e-12)  # the partner alone is left


def test_the_other_views_count_in_their_own_pool_only():
    views, others = random_views(5)
    moved = Views(others.teacher, -others.student)
    for pool, sees in (("student_teacher", False), ("student_only", False), ("nat_adv", True)):
        hp = CRDND(anchor="teacher", pool=pool)
        before, after = contrastive_loss(views, others, 0.5, hp), contrastive_loss(views, moved, 0.5, hp)
        assert torch.equal(before, after) is not sees


def test_the_sum_of_exponentials_is_in_float32_whatever_the_precision():
    views, others = random_views(64, classes=10)
    half = [Views(pair.teacher.bfloat16(), pair.student.bfloat16()) for pair in (views, others)]
    full = [Views(pair.teacher.float(), pair.student.float()) for pair in half]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = contrastive_loss(*half, 0.5, CRDND())
    assert loss.dtype == torch.float32
    assert torch.equal(loss, contrastive_loss(*full, 0.5, CRDND()))


def test_the_order_of_the_batch_does_not_matter():
    views, others = random_views(6)
    order = torch.randperm(6)
    shuffled = [Views(pair.teacher[order], pair.student[order]) for pair in (views, others)]
    torch.testing.assert_close(contrastive_loss(*shuffled, 0.5, CRDND()), contrastive_loss(views, others, 0.5, CRDND()))
