"""Long curves with fewer points, which look the same: the lowest and the highest of each stretch stay. Pure."""

from collections.abc import Sequence
from itertools import groupby
from math import isfinite

LARGEST = 1e15  # beyond it nothing is drawn: what reads the numbers knows no larger ones


def drawable(value: float) -> bool:
    """Whether it has a place in a plot."""
    return isfinite(value) and abs(value) <= LARGEST


def pieces(x: Sequence[float], y: Sequence[float]) -> list[list[int]]:
    """Places of neighbouring points between two gaps."""
    known = [drawable(a) and drawable(b) for a, b in zip(x, y, strict=True)]
    return [list(places) for is_known, places in groupby(range(len(known)), key=known.__getitem__) if is_known]


def thinned(places: Sequence[int], y: Sequence[float], most: int) -> list[int]:
    """At most `most` of these places, but four at least: the ends, and the extremes of each stretch, in their order."""
    stretches = max(1, (most - 2) // 2)
    if len(places) <= 2 * stretches + 2:
        return list(places)
    kept = {places[0], places[-1]}
    for index in range(stretches):
        stretch = places[index * len(places) // stretches : (index + 1) * len(places) // stretches]
        kept |= {min(stretch, key=y.__getitem__), max(stretch, key=y.__getitem__)}
    return sorted(kept)
