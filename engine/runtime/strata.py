"""Stratified choices: the same share of every class, by seed. Never the first N: some files are sorted by class."""

import torch
from torch import Tensor

from engine.runtime.device import generator_for


def stratified(labels: Tensor, count: int, seed: int, purpose: str) -> Tensor:
    """Sorted indices of `count` images with class shares as equal to the whole set's as whole images allow.

    labels: N integers. A smaller choice lies within a larger one of the same seed, up to rounding per class.
    """
    if not 0 < count <= len(labels):
        raise ValueError(f"cannot choose {count} of {len(labels)} images")
    order = torch.randperm(len(labels), generator=generator_for(seed, purpose))  # N
    shuffled = labels[order]
    rank = torch.empty(len(labels), dtype=torch.float64)
    for c in labels.unique().tolist():  # the i-th of n images of a class stands at (i + 1/2) / n of the queue
        of_class = (shuffled == c).nonzero().squeeze(1)
        rank[of_class] = (torch.arange(len(of_class), dtype=torch.float64) + 0.5) / len(of_class)
    queue = order[torch.argsort(rank, stable=True)]
    return queue[:count].sort().values
