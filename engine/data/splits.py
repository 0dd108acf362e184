"""Which of the official training images are trained on, and which validate."""

from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from engine.runtime.rng import stratified
from engine.spec.data import DataSpec
from engine.spec.errors import DataError
from engine.types import Dataset, Split


class Splits(NamedTuple):
    """Two parts of the official training split that have no image in common."""

    training: Split
    validation: Split
    places: Int[Tensor, " N"]  # of the training images in the official split


def split_training(spec: DataSpec, dataset: Dataset) -> Splits:
    """Training and validation images; DataError when the spec wants more than there are."""
    images, labels = dataset.train
    if spec.validation >= len(labels):
        raise DataError(f"data.validation = {spec.validation} leaves none of the {len(labels)} training images")
    held_out = torch.zeros(len(labels), dtype=torch.bool)
    held_out[stratified(labels, spec.validation, spec.split_seed, "validation split")] = True
    places = (~held_out).nonzero().squeeze(1)
    if spec.train_images:
        if spec.train_images > len(places):
            raise DataError(f"data.train_images = {spec.train_images} of {len(places)} training images")
        places = places[stratified(labels[places], spec.train_images, spec.split_seed, "training subset")]
    return Splits(Split(images[places], labels[places]), Split(images[held_out], labels[held_out]), places)
