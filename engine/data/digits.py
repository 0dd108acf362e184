"""Handwritten digits, 8 x 8 grey: the UCI optdigits that scikit-learn carries. No download.

There is no official split of these 1,797 images: a third of each class is the test split, by a seed that never changes.
"""

from pathlib import Path

import torch
from sklearn.datasets import load_digits

from engine.runtime.rng import stratified
from engine.spec.data import Digits
from engine.types import Dataset, Split

TEST_IMAGES = 597
TEST_SEED = 0


def load(spec: Digits, folder: Path) -> Dataset:
    found = load_digits()
    grey = torch.from_numpy(found.images)[:, None]  # N 1 8 8 in 0..16
    images = (grey * 255 / 16).round().to(torch.uint8)
    labels = torch.from_numpy(found.target).long()
    is_test = torch.zeros(len(labels), dtype=torch.bool)
    is_test[stratified(labels, TEST_IMAGES, TEST_SEED, "digits test split")] = True
    return Dataset(
        train=Split(images[~is_test], labels[~is_test]),
        test=Split(images[is_test], labels[is_test]),
        classes=tuple(str(name) for name in found.target_names),
    )
