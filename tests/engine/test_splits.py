"""Stratified choices, and the validation split: held out of the training split by class and by seed."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some

from engine.data.splits import split_training
from engine.runtime.rng import stratified
from engine.spec.data import Npz
from engine.spec.errors import DataError
from engine.types import Dataset, Split


def numbered(*counts: int) -> Dataset:
    """Images whose pixels hold their number, sorted by class; a test split that would raise if it were read."""
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    numbers = torch.arange(len(labels))
    images = torch.stack([numbers % 256, numbers // 256], dim=1).to(torch.uint8)[:, :, None, None]
    return Dataset(train=Split(images, labels), test=Split(None, None), classes=tuple(map(str, range(len(counts)))))


def spec(**changes) -> Npz:
    return Npz(path="-", **changes)


def numbers(split: Split) -> list[int]:
    return [int(low) + 256 * int(high) for low, high in split.images[:, :, 0, 0].tolist()]


def test_validation_and_training_share_no_image_and_together_are_the_training_split():
    training, validation, _ = split_training(spec(validation=90), numbered(500, 300, 100))
    assert not set(numbers(training)) & set(numbers(validation))
    assert sorted(numbers(training) + numbers(validation)) == list(range(900))


def test_every_image_keeps_its_label():
    whole = numbered(500, 300, 100)
    for split in split_training(spec(validation=90, train_images=200), whole)[:2]:
        assert split.labels.tolist() == whole.train.labels[numbers(split)].tolist()


def test_both_parts_have_the_class_shares_of_the_whole():
    training, validation, _ = split_training(spec(validation=90), numbered(500, 300, 100))
    assert torch.bincount(validation.labels).tolist() == [50, 30, 10]
    assert torch.bincount(training.labels).tolist() == [450, 270, 90]


def test_the_split_seed_alone_decides_who_is_held_out():
    whole = numbered(100, 100)
    held = [numbers(split_training(spec(validation=20, split_seed=seed), whole)[1]) for seed in (0, 0, 1)]
    assert held[0] == held[1] != held[2]


def test_fewer_training_images_leave_the_validation_split_as_it_is():
    whole = numbered(100, 100)
    _, validation, _ = split_training(spec(validation=20), whole)
    training, same, _ = split_training(spec(validation=20, train_images=50), whole)
    assert numbers(same) == numbers(validation)
    assert torch.bincount(training.labels).tolist() == [25, 25]


@pytest.mark.parametrize("validation", [200, 201, 5000])
def test_a_validation_split_that_leaves_nothing_is_refused(validation):
    with pytest.raises(DataError, match=rf"data\.validation = {validation} leaves none of the 200"):
        split_training(spec(validation=validation), numbered(100, 100))


def test_a_training_subset_larger_than_what_is_left_is_refused():
    with pytest.raises(DataError, match=r"data\.train_images = 181 of 180"):
        split_training(spec(validation=20, train_images=181), numbered(100, 100))


# Stratified choices


def labels_of(*counts):
    return torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))


def chosen_per_class(labels, count, seed=0):
    return torch.bincount(labels[stratified(labels, count, seed, "test")], minlength=int(labels.max()) + 1).tolist()


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
