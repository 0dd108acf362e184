"""The validation split: held out of the training split by class and by seed; the test split is never touched."""

import pytest
import torch

from engine.data.splits import split_training
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


def test_a_smaller_training_subset_lies_within_a_larger_one():
    whole = numbered(100, 60, 40)
    small, large, full = (
        set(numbers(split_training(spec(validation=20, train_images=count), whole)[0])) for count in (20, 90, 180)
    )
    assert small < large < full


@pytest.mark.parametrize("validation", [200, 201, 5000])
def test_a_validation_split_that_leaves_nothing_is_refused(validation):
    with pytest.raises(DataError, match=rf"data\.validation = {validation} leaves none of the 200"):
        split_training(spec(validation=validation), numbered(100, 100))


def test_a_training_subset_larger_than_what_is_left_is_refused():
    with pytest.raises(DataError, match=r"data\.train_images = 181 of 180"):
        split_training(spec(validation=20, train_images=181), numbered(100, 100))
