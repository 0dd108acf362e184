"""Several runs of one experiment, each with its own seed: means, their intervals, and tests between two experiments.

Three seeds carry little: the t interval leans on normality, the exact test cannot give less than 2 / 2^n.
"""

import math
import statistics
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import NamedTuple

from crdnd_tui.compare import student

MAX_SPLITS = 200_000  # of the runs of two experiments, that are counted one by one
MAX_PAIRS = 30  # whose 2^30 assignments of signs can be counted
_LEVEL = 0.975
_TIE = 1e-9  # of all differences together: sums as near as that are the same sum


class Sample(NamedTuple):
    """A mean with its sample standard deviation (n - 1), and the 95 % t interval of the mean; None from one value."""

    n: int
    mean: float
    std: float | None
    low: float | None
    high: float | None


class Test(NamedTuple):
    """A difference of two experiments; `low` and `high` are its 95 % t interval, `t_p` is the p that belongs to it."""

    difference: float
    low: float
    high: float
    t_p: float
    df: float


class Exact(NamedTuple):
    """A two-sided exact test, and the least p that so many runs can give."""

    p: float
    smallest: float


def sample(values: Sequence[float]) -> Sample:
    """Mean, s = sqrt(sum (x - mean)^2 / (n - 1)), and mean -+ t(0.975; n - 1) s / sqrt(n) (Student 1908)."""
    if not values:
        raise ValueError("no values have no mean")
    n, mean = len(values), statistics.fmean(values)
    if n == 1:
        return Sample(1, mean, None, None, None)
    std = statistics.stdev(values)
    half = student.quantile(_LEVEL, n - 1) * std / math.sqrt(n)
    return Sample(n, mean, std, mean - half, mean + half)


def paired(differences: Sequence[float]) -> Test:
    """Differences of two experiments, one for each seed that both have, two at least: the paired t test.

    The t interval of `sample`, and P(|T| >= |mean| / (s / sqrt(n))). Differences that are all equal have an interval
    of no width; their p is 1 if they are 0, else 0: `sign_flip` then says more.
    """
    n, mean, std, low, high = sample(differences)
    if std is None or low is None or high is None:
        raise ValueError("one difference has no interval")
    return Test(mean, low, high, _t_p(mean, std / math.sqrt(n), n - 1), n - 1)


def welch(first: Sequence[float], second: Sequence[float]) -> Test | None:
    """Two experiments whose seeds are not the same, two runs at least of each; None when neither varies at all.

    With v = s^2 / n of each: t = (mean1 - mean2) / sqrt(v1 + v2), and
    df = (v1 + v2)^2 / (v1^2 / (n1 - 1) + v2^2 / (n2 - 1)) (Welch 1947, Biometrika 34; Satterthwaite 1946).
    """
    if min(len(first), len(second)) < 2:
        raise ValueError("Welch's test wants two runs of each")
    shares = [statistics.variance(values) / len(values) for values in (first, second)]
    both = sum(shares)
    if both == 0:
        return None
    weights = [(share / both) ** 2 / (len(v) - 1) for share, v in zip(shares, (first, second), strict=True)]
    df = 1 / sum(weights)
    difference = statistics.fmean(first) - statistics.fmean(second)
    half = student.quantile(_LEVEL, df) * math.sqrt(both)
    return Test(difference, difference - half, difference + half, _t_p(difference, math.sqrt(both), df), df)


def _t_p(mean: float, error: float, df: float) -> float:
    if error == 0:
        return 1.0 if mean == 0 else 0.0
    return student.two_sided(mean / error, df)


def sign_flip(differences: Sequence[float]) -> Exact:
    """Were the two experiments alike, each difference could as well have had the other sign (Fisher 1935, section 21).

    p is the share of all 2^n assignments of signs whose sum is at least as far from 0 as the one that was seen; the
    least there is, 2 / 2^n, is 0.25 of three pairs. Every assignment is counted: the sums of one half of the pairs
    are looked up among the sorted sums of the other half. ValueError for none, or for more than `MAX_PAIRS`.
    """
    if not 1 <= len(differences) <= MAX_PAIRS:
        raise ValueError(f"{len(differences)} pairs: the exact test takes 1 to {MAX_PAIRS}")
    count = len(differences)
    seen = abs(math.fsum(differences)) - _TIE * math.fsum(map(abs, differences))
    here, there = _sums(differences[: count // 2]), sorted(_sums(differences[count // 2 :]))
    far = len(here) * len(there)
    if seen > 0:
        far = sum(len(there) - bisect_left(there, seen - s) + bisect_right(there, -seen - s) for s in here)
    return Exact(far / 2**count, 2 / 2**count)


def permutation(first: Sequence[float], second: Sequence[float]) -> Exact | None:
    """Two experiments whose seeds are not the same: were they alike, any of the runs could be the first one's.

    p is the share of all C(n1 + n2, n1) splits whose difference of means is at least as far from 0 as the one that was
    seen (Pitman 1937, JRSS Supplement 4); of two runs against two it is never below 1/3. None where there are more
    splits than MAX_SPLITS.
    """
    both, many = [*first, *second], len(first)
    splits = math.comb(len(both), many)
    if splits > MAX_SPLITS:
        return None
    total, weight = math.fsum(both), 1 / many + 1 / len(second)

    def far(chosen: Iterable[float]) -> float:
        return abs(math.fsum(chosen) * weight - total / len(second))

    seen = far(first) - _TIE * math.fsum(map(abs, both))
    count = sum(far(chosen) >= seen for chosen in combinations(both, many))
    return Exact(count / splits, (2 if many == len(second) else 1) / splits)


def _sums(values: Iterable[float]) -> list[float]:
    """Of these values with every assignment of signs."""
    sums = [0.0]
    for value in values:
        sums = [total + signed for total in sums for signed in (value, -value)]
    return sums
