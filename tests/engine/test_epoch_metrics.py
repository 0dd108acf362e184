"""Metrics of an epoch: means and accuracies by hand, the broken term by name, and no wait for the device."""

import io

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from engine.train.metrics import EpochMetrics
from engine.types import Loss

CPU = torch.device("cpu")


def loss(total: float, clean: float = 0.0) -> Loss:
    return Loss(torch.tensor(total), {"clean": torch.tensor(clean)})


def one_hot(*classes: int) -> torch.Tensor:
    return torch.nn.functional.one_hot(torch.tensor(classes), 3).float()


def labels(*classes: int) -> torch.Tensor:
    return torch.tensor(classes)


def test_means_are_over_steps():
    metrics = EpochMetrics(3, CPU)
    for total, clean in ((1.0, 0.5), (2.0, 0.5), (6.0, 2.0)):
        metrics.add(loss(total, clean), labels(0, 1))
    assert metrics.of_epoch() == (3.0, {"clean": 1.0})


def test_a_report_means_the_steps_since_the_last_one_and_leaves_the_epoch_alone():
    metrics = EpochMetrics(3, CPU)
    metrics.add(loss(1.0), labels(0))
    metrics.add(loss(3.0), labels(0))
    assert metrics.since_report()[0] == 2.0
    metrics.add(loss(8.0), labels(0))
    assert metrics.since_report()[0] == 8.0
    assert metrics.of_epoch()[0] == 4.0


def test_nothing_added_has_no_mean_and_no_accuracy():
    metrics = EpochMetrics(3, CPU)
    assert metrics.of_epoch() == (None, {})
    assert metrics.accuracy("clean") == []
    assert metrics.broken() == []


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_the_part_that_is_not_finite_is_named_and_stays_named(number):
    metrics = EpochMetrics(3, CPU)
    metrics.add(loss(1.0, 1.0), labels(0))
    assert metrics.broken() == []
    metrics.add(loss(2.0, number), labels(0))
    metrics.add(loss(2.0, 1.0), labels(0))
    assert metrics.broken() == ["clean"]
    assert metrics.of_epoch() == (pytest.approx(5 / 3), {"clean": None})


def test_accuracies_are_per_true_class_and_per_view():
    metrics = EpochMetrics(3, CPU)
    metrics.add(loss(1.0)._replace(clean=one_hot(0, 0, 1), robust=one_hot(2, 2, 2)), labels(0, 1, 1))
    metrics.add(loss(1.0)._replace(clean=one_hot(0, 1)), labels(0, 1))
    assert metrics.accuracy("clean") == [1.0, pytest.approx(2 / 3), 0.0]
    assert metrics.accuracy("robust") == [0.0, 0.0, 0.0]


def test_a_view_that_the_method_never_computes_has_no_accuracies():
    metrics = EpochMetrics(3, CPU)
    metrics.add(loss(1.0)._replace(clean=one_hot(0)), labels(0))
    assert metrics.accuracy("robust") == []


def test_clear_forgets_all_but_the_broken_parts():
    metrics = EpochMetrics(3, CPU)
    metrics.add(loss(float("nan"))._replace(clean=one_hot(0)), labels(0))
    metrics.clear()
    assert metrics.of_epoch()[0] is None
    assert metrics.accuracy("clean") == []
    assert metrics.broken() == ["loss"]


@pytest.mark.parametrize("stop", range(5))
def test_metrics_saved_in_mid_epoch_reports_as_one_that_never_was(stop):
    draws = torch.Generator().manual_seed(0)
    steps = [
        (loss(float(i), 0.1 * i)._replace(clean=torch.randn(4, 3, generator=draws)), torch.tensor([0, 1, 2, i % 3]))
        for i in range(5)
    ]
    whole, first, second = EpochMetrics(3, CPU), EpochMetrics(3, CPU), EpochMetrics(3, CPU)
    for step in steps:
        whole.add(*step)
    for step in steps[:stop]:
        first.add(*step)
    disk = io.BytesIO()
    state = first.state_dict()
    torch.save(state, disk)
    disk.seek(0)
    second.load_state_dict(torch.load(disk, weights_only=True))
    for step in steps[stop:]:
        second.add(*step)
    assert second.of_epoch() == whole.of_epoch()
    assert second.since_report() == whole.since_report()
    assert second.accuracy("clean") == whole.accuracy("clean")
    assert second.seconds >= state["seconds"]


def test_adding_a_step_never_waits_for_the_device():
    with FakeTensorMode():  # its tensors have no values: asking for one raises
        metrics = EpochMetrics(3, CPU)
        for _ in range(3):
            given = Loss(torch.randn(()), {"kl": torch.randn(())}, torch.randn(4, 3), torch.randn(4, 3))
            metrics.add(given, torch.zeros(4, dtype=torch.int64))
        with pytest.raises(RuntimeError):
            metrics.broken()
