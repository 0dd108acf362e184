"""Stratified choices: class shares, nesting, and files that are sorted by class."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some

from engine.runtime.rng import stratified


def labels_of(*counts):
    return torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))


def chosen_per_class(labels, count, seed=0):
    return torch.bincount(labels[stratified(labels, count, seed, "test")], minlength=int(labels.max()) + 1).tolist()


def test_every_class_keeps_its_share():
    assert chosen_per_class(labels_of(600, 300, 100), 100) == [60, 30, 10]


def test_a_file_sorted_by_class_gives_all_classes():
    assert chosen_per_class(labels_of(*[50] * 10), 20) == [2] * 10


def test_the_choice_is_sorted_and_holds_each_image_once():
    chosen = stratified(labels_of(20, 20, 20), 31, 0, "test")
    assert chosen.tolist() == sorted(set(chosen.tolist()))
    assert len(chosen) == 31


def test_the_whole_set_is_every_index():
    labels = labels_of(3, 5, 2)
    assert torch.equal(stratified(labels, 10, 0, "test"), torch.arange(10))


def test_a_smaller_choice_lies_within_a_larger_one():
    labels = labels_of(70, 20, 10)
    choices = [set(stratified(labels, count, 4, "test").tolist()) for count in (1, 10, 33, 60, 100)]
    for smaller, larger in pairwise(choices):
        assert smaller < larger


def test_the_seed_and_the_purpose_decide():
    labels = labels_of(100, 100)
    first = stratified(labels, 50, 0, "validation")
    assert torch.equal(first, stratified(labels, 50, 0, "validation"))
    assert not torch.equal(first, stratified(labels, 50, 1, "validation"))
    assert not torch.equal(first, stratified(labels, 50, 0, "training"))


def test_within_a_class_the_choice_is_not_the_first_images():
    labels = labels_of(500, 500)
    chosen = stratified(labels, 100, 0, "test")
    assert chosen[:50].double().mean() == pytest.approx(249.5, abs=4 * 500 / 12**0.5 / 50**0.5)  # four deviations


@settings(max_examples=40, deadline=None)
@given(counts=some.lists(some.integers(1, 40), min_size=1, max_size=8), part=some.floats(0.01, 1.0))
def test_no_class_is_more_than_one_image_away_from_its_share(counts, part):
    labels = labels_of(*counts)
    count = max(1, int(part * len(labels)))
    for found, size in zip(chosen_per_class(labels, count), counts, strict=True):
        assert abs(found - count * size / len(labels)) <= 1.0 + 0.5 * len(counts)


@pytest.mark.parametrize("count", [0, -1, 11])
def test_a_choice_that_the_set_cannot_give_is_refused(count):
    with pytest.raises(ValueError, match="cannot choose"):
        stratified(labels_of(5, 5), count, 0, "test")
