"""What is said about a data set before the first step, and what is refused."""

import re
from pathlib import Path

import pytest
import torch

from engine.data import digits, screening
from engine.data.screening import screen
from engine.spec.data import Digits
from engine.spec.errors import DataError
from engine.spec.marks import MARKS
from engine.types import Dataset, Split

CLASSES = ("cat", "dog", "owl")


def split(n: int, seed: int, labels: torch.Tensor | None = None) -> Split:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (n, 3, 8, 8), dtype=torch.uint8, generator=generator)
    return Split(images, torch.arange(n) % 3 if labels is None else labels)


def made(train: Split | None = None, test: Split | None = None) -> Dataset:
    return Dataset(train=train or split(60, 0), test=test or split(30, 1), classes=CLASSES)


def said(dataset: Dataset) -> dict[str, str]:
    """Code -> message; the same whether it is trained on or judged."""
    trained, judged = ({w.code: w.message for w in screen(dataset, trains=trains)} for trains in (True, False))
    assert trained == judged
    return trained


def refused(dataset: Dataset) -> str:
    assert screen(dataset, trains=False)  # judging goes on, with a warning
    with pytest.raises(DataError) as caught:
        screen(dataset, trains=True)
    return caught.value.what


def test_honest_data_is_passed_in_silence(tmp_path):
    assert said(made()) == {}
    assert said(digits.load(Digits(), tmp_path)) == {}


def test_shared_images_are_counted_and_the_first_pair_is_named():
    train, test = split(60, 0), split(30, 1)
    test.images[4], test.images[9] = train.images[17], train.images[5]
    message = said(made(train, test))["shared_images"]
    assert message.startswith("2 of 30 test images are training images")
    assert "test image 4, training image 17" in message
    assert "2 of them are labelled otherwise" in message  # 4 % 3 = 1, 17 % 3 = 2; 9 % 3 = 0, 5 % 3 = 2


def test_a_test_split_out_of_the_training_split_is_refused():
    train = split(60, 0)
    assert "30 of 30 test images are training images" in refused(
        made(train, Split(train.images[30:], train.labels[30:]))
    )


def test_a_test_split_of_one_class_and_classes_without_test_images_are_said():
    assert "belong to one class, dog" in said(made(test=split(30, 1, torch.ones(30).long())))["one_class_test"]
    some = said(made(test=split(30, 1, torch.arange(30) % 2)))
    assert some == {"untested_class": "1 classes have no test image: owl"}


def test_one_class_to_learn_is_none():
    assert "one class" in refused(made(train=split(60, 0, torch.zeros(60).long())))


@pytest.mark.parametrize("label", [-1, 3])
def test_labels_outside_the_classes_are_refused(label: int):
    test = split(30, 1)
    test.labels[7] = label
    with pytest.raises(DataError, match="labels of the test split"):
        screen(made(test=test), trains=True)


@pytest.mark.parametrize("which", ["train", "test"])
def test_one_picture_over_and_over_is_said_and_nothing_but_it_refused(which: str):
    parts = {"train": split(60, 0), "test": split(30, 1)}
    parts[which].images[:20] = parts[which].images[3]
    found = said(made(**parts))
    assert "20 of" in found["repeated_images"] and "image 0" in found["repeated_images"]
    parts[which].images[:] = 255
    assert f"images of the {which} split are one and the same" in refused(made(**parts))


def test_white_squares_with_a_few_dots_are_said():
    train = split(60, 0)
    train.images[:, :, 1:] = 255
    train.images[:, :, 0, 1:] = 255
    message = said(made(train))["blank_images"]
    assert "of all pixels of the train split are 255" in message


def test_images_of_one_colour_are_counted():
    train = split(60, 0)
    train.images[:] = torch.arange(60, dtype=torch.uint8)[:, None, None, None] * 4
    assert said(made(train)) == {"blank_images": "60 of 60 images of the train split are of one colour"}


def test_dark_images_are_said_and_zeros_and_ones_refused():
    """As of digits of 0 to 16, or binary images, that were never scaled to 255."""
    train, test = split(60, 0), split(30, 1)
    dark = made(Split(train.images // 16, train.labels), Split(test.images // 16, test.labels))
    assert "0 to 15, where 255 is white" in said(dark)["dark_images"]
    assert "0 to 1, where 255" in refused(made(Split(train.images // 128, train.labels)))


def test_every_code_has_a_cause_and_a_remedy_for_tables():
    codes = set(re.findall(r'_Fault\(\s*"(\w+)"', Path(screening.__file__).read_text()))
    assert len(codes) == 7
    assert codes - {"one_class_train"} <= MARKS.keys()  # which ends the run
