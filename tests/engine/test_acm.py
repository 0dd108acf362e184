"""The adaptive compensation module: sums, closed forms and counts by hand."""

import pytest
import torch
from torch.nn import functional as F

from engine.acm import ACM
from engine.metrics import PerClassAccuracy
from engine.spec.methods import CRDND

K = 5
CONVENTIONS = ("column", "row")
OFF_DIAGONALS = ("set", "learned")


def acm_with(recall, **hp) -> ACM:
    acm = ACM(CRDND(**hp), len(recall)).double()
    acm.recall.copy_(torch.tensor(recall, dtype=torch.float64))
    return acm


def answers(predicted, classes=K):
    """Logits of a teacher that predicts these classes."""
    return F.one_hot(torch.tensor(predicted), classes).float()


def some_recall(classes=K):
    return [0.5 + 0.4 * c / classes for c in range(classes)]


@pytest.mark.parametrize("off_diagonal", OFF_DIAGONALS)
@pytest.mark.parametrize("convention", CONVENTIONS)
def test_the_sums_are_one_and_the_diagonal_is_the_recall(convention, off_diagonal):
    acm = acm_with(some_recall(), matrix_convention=convention, off_diagonal=off_diagonal)
    if acm.theta is not None:
        torch.nn.init.normal_(acm.theta)
    summed = 0 if convention == "column" else 1
    torch.testing.assert_close(acm.matrix.sum(dim=summed), torch.ones(K, dtype=torch.float64))
    torch.testing.assert_close(acm.matrix.diagonal(), acm.recall)


def test_the_matrix_of_equation_2_by_hand():
    acm = acm_with([0.8, 0.5, 1.0])
    by_hand = [[0.8, 0.25, 0.0], [0.1, 0.5, 0.0], [0.1, 0.25, 1.0]]
    torch.testing.assert_close(acm.matrix, torch.tensor(by_hand, dtype=torch.float64))


@pytest.mark.parametrize("off_diagonal", OFF_DIAGONALS)
@pytest.mark.parametrize("convention", CONVENTIONS)
def test_an_acm_without_estimate_changes_nothing(convention, off_diagonal):
    acm = ACM(CRDND(matrix_convention=convention, off_diagonal=off_diagonal), K)
    v = torch.randn(3, K)
    torch.testing.assert_close(acm.matrix, torch.eye(K))
    torch.testing.assert_close(acm(v), v, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("off_diagonal", OFF_DIAGONALS)
@pytest.mark.parametrize("convention", CONVENTIONS)
def test_the_forward_is_m_v(convention, off_diagonal):
    acm = acm_with(some_recall(), matrix_convention=convention, off_diagonal=off_diagonal)
    v = torch.randn(4, K, dtype=torch.float64)
    torch.testing.assert_close(acm(v), torch.stack([acm.matrix @ row for row in v]))


def test_the_conventions_agree_where_all_classes_are_equal_and_nowhere_else():
    v = torch.randn(4, K, dtype=torch.float64)
    equal = [acm_with([0.7] * K, matrix_convention=convention)(v) for convention in CONVENTIONS]
    torch.testing.assert_close(*equal)
    unequal = [acm_with(some_recall(), matrix_convention=convention)(v) for convention in CONVENTIONS]
    assert not torch.allclose(*unequal)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_learned_off_diagonals_begin_at_those_of_equation_2(convention):
    learned = acm_with(some_recall(), matrix_convention=convention, off_diagonal="learned")
    given = acm_with(some_recall(), matrix_convention=convention)
    torch.testing.assert_close(learned.matrix, given.matrix)
    assert not list(given.parameters())


def test_theta_learns_beside_the_diagonal_only():
    acm = acm_with(some_recall(), off_diagonal="learned")
    (acm(torch.randn(4, K, dtype=torch.float64)) ** 2).sum().backward()
    assert acm.theta is not None
    assert acm.theta.grad is not None
    assert torch.equal(acm.theta.grad.diagonal(), torch.zeros(K, dtype=torch.float64))
    assert (acm.theta.grad.abs().sum(dim=1) > 0).all()


def test_equal_recalls_on_centred_logits_are_a_mere_scale_which_cosine_does_not_see():
    acm = acm_with([0.85] * K)
    v = torch.randn(6, K, dtype=torch.float64)
    centred = v - v.mean(dim=1, keepdim=True)
    torch.testing.assert_close(acm(centred), (K * 0.85 - 1) / (K - 1) * centred)
    one = torch.ones(6, dtype=torch.float64)
    torch.testing.assert_close(F.cosine_similarity(acm(centred), centred), one)
    assert not torch.allclose(F.cosine_similarity(acm(v + 1), v + 1), one)  # an offset it does see


def test_columns_keep_probabilities_on_the_simplex():
    acm = acm_with(some_recall())
    probs = torch.randn(6, K, dtype=torch.float64).softmax(dim=1)
    assert (acm(probs) >= 0).all()
    torch.testing.assert_close(acm(probs).sum(dim=1), torch.ones(6, dtype=torch.float64))


def test_the_prior_draws_the_counts_of_a_class_to_the_global_accuracy():
    acm = ACM(CRDND(recall_prior=10.0), K)
    y = torch.tensor([0, 0, 0, 0, 1, 1, 2, 2])
    acm.observe(answers([0, 0, 0, 1, 1, 1, 2, 0]), y)  # 3/4, 2/2, 1/2, unseen, unseen: 6/8 in all
    torch.testing.assert_close(acm.recall, torch.ones(K))  # counted now, used in the next epoch
    acm.renew()
    by_hand = [(3 + 7.5) / 14, (2 + 7.5) / 12, (1 + 7.5) / 12, 0.75, 0.75]
    torch.testing.assert_close(acm.recall, torch.tensor(by_hand))
    assert int(acm.counts.seen.sum()) == 0


def test_without_a_prior_a_class_not_seen_keeps_its_recall():
    acm = ACM(CRDND(recall_prior=0.0), K)
    acm.observe(answers([0, 1]), torch.tensor([0, 0]))
    acm.renew()
    torch.testing.assert_close(acm.recall, torch.tensor([0.5, 1.0, 1.0, 1.0, 1.0]))


@pytest.mark.parametrize("recall", ["per_class", "running", "global"])
def test_an_epoch_without_images_changes_nothing(recall):
    acm = ACM(CRDND(recall=recall), K)
    acm.renew()
    torch.testing.assert_close(acm.recall, torch.ones(K))


def test_the_global_estimate_is_one_number_for_all():
    acm = ACM(CRDND(recall="global"), K)
    acm.observe(answers([0, 1, 2, 0]), torch.tensor([0, 1, 2, 3]))
    acm.renew()
    torch.testing.assert_close(acm.recall, torch.full((K,), 0.75))


def test_the_running_estimate_moves_at_once_and_in_present_classes_only():
    acm = ACM(CRDND(recall="running", recall_momentum=0.9), K)
    acm.observe(answers([0, 1, 1]), torch.tensor([0, 0, 1]))  # 1/2 and 1/1
    torch.testing.assert_close(acm.recall, torch.tensor([0.95, 0.999, 1.0, 1.0, 1.0]))
    acm.observe(answers([1, 1]), torch.tensor([0, 0]))
    torch.testing.assert_close(acm.recall, torch.tensor([0.855, 0.999, 1.0, 1.0, 1.0]))
    acm.renew()  # the epoch's end leaves it
    torch.testing.assert_close(acm.recall, torch.tensor([0.855, 0.999, 1.0, 1.0, 1.0]))


@pytest.mark.parametrize(("classes", "lowest"), [(5, 0.4), (10, 0.2), (100, 0.05)])
def test_the_clamp_is_two_over_k_or_recall_min(classes, lowest):
    acm = ACM(CRDND(recall_prior=0.0), classes)
    acm.observe(answers([1, 1], classes), torch.tensor([0, 1]))  # never right, always right
    acm.renew()
    torch.testing.assert_close(acm.recall[:2], torch.tensor([lowest, 0.999]))


def test_no_class_is_inverted_at_the_clamp():
    acm = acm_with([2 / K] * K)
    v = torch.randn(50, K, dtype=torch.float64)
    assert torch.equal(acm(v).argmax(dim=1), v.argmax(dim=1))


@pytest.mark.parametrize("recall", ["per_class", "running", "global"])
@pytest.mark.parametrize("off_diagonal", OFF_DIAGONALS)
def test_a_restored_acm_goes_on_as_the_saved_one(recall, off_diagonal):
    hp = CRDND(recall=recall, off_diagonal=off_diagonal)
    acms = [ACM(hp, K), ACM(hp, K)]
    acms[0].observe(answers([0, 1, 1]), torch.tensor([0, 0, 1]))
    acms[1].load_state_dict(acms[0].state_dict())
    for acm in acms:
        acm.observe(answers([3, 1]), torch.tensor([3, 3]))
        acm.renew()
    assert torch.equal(acms[0].matrix, acms[1].matrix)
    assert not torch.equal(acms[0].matrix, torch.eye(K))


def test_recall_counts_by_hand_and_keeps_the_figure_of_a_class_not_seen():
    recall = PerClassAccuracy(3)
    batch = recall.count(answers([0, 1, 1], 3), torch.tensor([0, 0, 1]))
    assert batch.hits.tolist() == [1, 1, 0]
    assert batch.seen.tolist() == [2, 1, 0]
    assert recall.listed() == [0.5, 1.0, 1.0]
    recall.renew()
    recall.count(answers([0, 2], 3), torch.tensor([1, 2]))
    assert recall.listed() == [0.5, 0.0, 1.0]


def test_recall_does_not_depend_on_the_order_of_the_batches():
    y = torch.randint(0, K, (60,))
    logits = torch.randn(60, K)
    whole, parts = PerClassAccuracy(K), PerClassAccuracy(K)
    whole.count(logits, y)
    for rows in torch.randperm(60).split(7):
        parts.count(logits[rows], y[rows])
    assert whole.listed() == parts.listed()
