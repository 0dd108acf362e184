"""Seeds and global generators.

Every random draw of a run comes from a seed made of the run's seed and what the draw is for, so a resumed run
needs no generator state: step 1000 draws the same numbers whatever happened before it. (Another device or memory layout
draws others.)
"""

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor


def seed_for(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed for one purpose of one run; different purposes are independent."""
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator_for(seed: int, *purpose: str | int) -> torch.Generator:
    """A CPU generator for one purpose: the same draws on every device."""
    return torch.Generator().manual_seed(seed_for(seed, *purpose))


def seed_all(seed: int) -> None:
    """Seed Python's, NumPy's and torch's global generators."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


@contextmanager
def isolated_rng() -> Iterator[None]:
    """Restore the global generators of Python, NumPy and torch at exit; pyautoattack, for one, resets torch's."""
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


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
