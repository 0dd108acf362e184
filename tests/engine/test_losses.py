"""Distances between predictions: values known by hand, and gradients that theory knows."""

from math import log

import pytest
import torch

from engine.losses import ask, cross_entropy, kl, kl_between, margin, reduce, soften

SURE = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
UNDECIDED = torch.zeros(1, 4)


def test_a_sure_teacher_is_log_k_away_from_an_undecided_student():
    torch.testing.assert_close(kl(UNDECIDED, SURE), torch.tensor([log(4)]))


def test_kl_by_hand_for_two_classes():
    soft_labels = torch.tensor([[0.75, 0.25]])
    torch.testing.assert_close(
        kl(torch.zeros(1, 2), soft_labels), torch.tensor([log(2) + 0.75 * log(0.75) + 0.25 * log(0.25)])
    )


def test_kl_and_its_gradient_are_zero_when_the_student_repeats_the_teacher():
    logits = torch.randn(5, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    distance = kl(logits, soften(logits.detach(), 3.0), 3.0)
    (gradient,) = torch.autograd.grad(distance.sum(), logits)
    torch.testing.assert_close(distance, torch.zeros_like(distance), atol=1e-15, rtol=0)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), atol=1e-15, rtol=0)


def test_the_gradient_of_kl_at_a_temperature_is_the_difference_of_soft_labels_over_it():
    student, teacher = torch.randn(2, 6, 4, dtype=torch.float64).unbind()
    student.requires_grad_()
    (gradient,) = torch.autograd.grad(kl(student, soften(teacher, 5.0), 5.0).sum(), student)
    torch.testing.assert_close(gradient, (soften(student, 5.0) - soften(teacher, 5.0)) / 5.0)


def test_kl_between_equals_kl_and_moves_both_sides():
    student, teacher = torch.randn(2, 6, 4, dtype=torch.float64).unbind()
    student.requires_grad_()
    teacher.requires_grad_()
    distance = kl_between(student, teacher)
    torch.testing.assert_close(distance, kl(student, soften(teacher)))
    to_student, to_teacher = torch.autograd.grad(distance.sum(), (student, teacher))
    p, q = soften(student), soften(teacher)
    torch.testing.assert_close(to_student, p - q)
    log_ratio = (q / p).log()
    torch.testing.assert_close(to_teacher, q * (log_ratio - distance[:, None]))


def test_kl_between_has_a_finite_gradient_where_a_probability_underflows():
    target = torch.tensor([[0.0, 200.0, 1.0]], requires_grad=True)
    kl_between(torch.tensor([[1.0, 2.0, 0.0]]), target).sum().backward()
    assert target.grad is not None
    assert torch.isfinite(target.grad).all()


def test_elmean_is_batchmean_over_the_number_of_classes():
    per_example = torch.tensor([1.0, 2.0, 6.0])
    assert float(reduce(per_example, "batchmean", 10)) == pytest.approx(3.0)
    assert float(reduce(per_example, "elmean", 10)) == pytest.approx(0.3)


def test_elmean_is_the_mean_over_all_elements_of_old_kl_div():
    student, teacher = torch.randn(2, 6, 4).unbind()
    elements = soften(teacher) * (soften(teacher).log() - soften(student).log())
    torch.testing.assert_close(reduce(kl(student, soften(teacher)), "elmean", 4), elements.mean())


def test_cross_entropy_of_an_undecided_student_is_log_k():
    torch.testing.assert_close(cross_entropy(UNDECIDED, torch.tensor([2])), torch.tensor([log(4)]))


def test_the_margin_holds_for_negative_logits_too():
    logits = torch.tensor([[-5.0, -7.0, -9.0], [3.0, 1.0, 2.0]])
    torch.testing.assert_close(margin(logits, torch.tensor([0, 1])), torch.tensor([-2.0, 2.0]))


def test_soften_flattens_as_the_temperature_grows():
    torch.testing.assert_close(soften(torch.tensor([[log(16.0), 0.0]]), 2.0), torch.tensor([[0.8, 0.2]]))
    torch.testing.assert_close(soften(torch.tensor([[100.0, 0.0]]), 1e9), torch.tensor([[0.5, 0.5]]))


def test_the_one_who_is_asked_learns_nothing():
    teacher = torch.nn.Linear(3, 2)
    assert not ask(torch.nn.Sequential(torch.nn.Flatten(), teacher), torch.rand(4, 3, 1, 1)).requires_grad
