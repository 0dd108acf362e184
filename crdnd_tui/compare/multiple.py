"""Several comparisons at once: twenty true null hypotheses give a p below 0.05 in two of three cases."""

from collections.abc import Sequence

LEVEL = 0.05  # below which a p counts as significant


def holm(ps: Sequence[float]) -> list[float]:
    """Adjusted p values, in the order given: the k-th smallest of m is multiplied by m - k + 1.

    None becomes smaller than one before it, nor larger than 1 (Holm 1979, Scandinavian Journal of Statistics 6).
    """
    if any(not 0 <= p <= 1 for p in ps):
        raise ValueError(f"{list(ps)} are no p values")
    adjusted, floor = [0.0] * len(ps), 0.0
    for rank, place in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        floor = max(floor, min(1.0, (len(ps) - rank) * ps[place]))
        adjusted[place] = floor
    return adjusted


def undecided(ps: Sequence[float]) -> list[bool]:
    """Which of these, each compared with the best, cannot be told from it: adjusted p of 0.05 and more."""
    return [p >= LEVEL for p in holm(ps)]
