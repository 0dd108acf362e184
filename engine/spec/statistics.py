"""Statistics of shares of images: intervals, and the paired test of two attacks or models on the same images."""

import math
from typing import NamedTuple

Z = 1.959963984540054  # two-sided 95 % quantile of the normal distribution


class Interval(NamedTuple):
    low: float
    high: float


def wilson(correct: int, n: int) -> Interval:
    """Return the 95 % interval of a share (Wilson 1927): 0 of 100 gives [0, 3.70 %], 0 of 0 gives [0, 1]."""
    if not 0 <= correct <= n:
        raise ValueError(f"{correct} of {n} is no share")
    if n == 0:
        return Interval(0.0, 1.0)
    share, square = correct / n, Z * Z
    centre = (share + square / (2 * n)) / (1 + square / n)
    half = Z / (1 + square / n) * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    return Interval(0.0 if correct == 0 else centre - half, 1.0 if correct == n else centre + half)


def mcnemar_p(only_first: int, only_second: int) -> float:
    """Return the two-sided p of the exact McNemar test, from the images that only one of the two gets right.

    Were both equally good, each of these would be a fair coin (McNemar 1947): p = 2 P(K <= min(b, c)) for K binomial
    of b + c and 1/2, at most 1. ValueError for counts below 0.
    """
    fewer, n = min(only_first, only_second), only_first + only_second
    if fewer < 0:
        raise ValueError(f"{only_first} and {only_second} are no counts of images")
    if n <= 2 * fewer + 1:
        return 1.0
    from scipy.special import betainc  # noqa: PLC0415  slow to import; a call takes 1/600 of scipy.stats.binomtest

    return 2 * float(betainc(n - fewer, fewer + 1, 0.5))  # the distribution function (DLMF 8.17.5)
