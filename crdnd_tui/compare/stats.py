"""Intervals and tests of accuracies: shares of images, means over seeds, several comparisons at once.

Differences are first minus second; p values are two-sided, intervals 95 %. The interval of one share is `wilson` of
engine.spec.statistics, the test of paired images its `mcnemar_p`. SciPy is imported where it is needed: it takes 0.7 s.
"""

import math
import statistics
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from engine.spec.statistics import Interval, Z, wilson

LEVEL = 0.05  # below which a p counts as significant
MAX_SPLITS = 200_000  # of the runs of two experiments, that are counted one by one
MAX_PAIRS = 30  # whose 2^30 assignments of signs can be counted
_TIE = 1e-9  # of all differences together: sums as near as that are the same sum


class MeanDifference(NamedTuple):
    """A difference of two means with its t interval, the p that belongs to it, and its degrees of freedom."""

    difference: float
    low: float
    high: float
    t_p: float
    df: float


class ExactTest(NamedTuple):
    """The p of an exact test, and the least p that so many runs can give."""

    p: float
    smallest: float


def paired_t(differences: Sequence[float]) -> MeanDifference:
    """The paired t test of differences, one for each seed; ValueError for fewer than two.

    mean -+ t(0.975; n - 1) s / sqrt(n) with s = sqrt(sum (x - mean)^2 / (n - 1)) (Student 1908). Differences that are
    all equal have an interval of no width; their p is 1 if they are 0, else 0.
    """
    if len(differences) < 2:
        raise ValueError("fewer than two values have no interval")
    error = statistics.stdev(differences) / math.sqrt(len(differences))
    return _t_test(statistics.fmean(differences), error, len(differences) - 1)


def welch_t(first: Sequence[float], second: Sequence[float]) -> MeanDifference | None:
    """Welch's test of experiments with other seeds; None when neither varies, ValueError for fewer than two runs.

    With v = s^2 / n of each: t = (mean1 - mean2) / sqrt(v1 + v2), and
    df = (v1 + v2)^2 / (v1^2 / (n1 - 1) + v2^2 / (n2 - 1)) (Welch 1947, Biometrika 34; Satterthwaite 1946).
    """
    if min(len(first), len(second)) < 2:
        raise ValueError("Welch's test wants two runs of each")
    one, two = (statistics.variance(values) / len(values) for values in (first, second))
    if one + two == 0:
        return None
    df = 1 / sum((v / (one + two)) ** 2 / (len(of) - 1) for v, of in ((one, first), (two, second)))
    return _t_test(statistics.fmean(first) - statistics.fmean(second), math.sqrt(one + two), df)


def _t_test(mean: float, error: float, df: float) -> MeanDifference:
    """P(|T| >= |mean| / error) and mean -+ t(0.975; df) error."""
    from scipy.special import stdtr, stdtrit  # noqa: PLC0415

    half = float(stdtrit(df, 1 - LEVEL / 2)) * error
    p = 2 * float(stdtr(df, -abs(mean) / error)) if error else float(mean == 0)
    return MeanDifference(mean, mean - half, mean + half, p, df)


def sign_flip(differences: Sequence[float]) -> ExactTest:
    """Were two experiments alike, each difference could as well have had the other sign (Fisher 1935, section 21).

    p is the share of all 2^n assignments of signs whose sum is at least as far from 0 as the one that was seen; the
    least there is, 2 / 2^n, is 0.25 of three pairs. The sums of one half of the pairs are looked up among the sorted
    sums of the other half: SciPy would list 2^30 assignments. ValueError for none, or for more than `MAX_PAIRS`.
    """
    if not 1 <= len(differences) <= MAX_PAIRS:
        raise ValueError(f"{len(differences)} pairs: the exact test takes 1 to {MAX_PAIRS}")
    count = len(differences)
    seen = abs(math.fsum(differences)) - _TIE * math.fsum(map(abs, differences))
    here, there = _signed_sums(differences[: count // 2]), sorted(_signed_sums(differences[count // 2 :]))
    far = len(here) * len(there)
    if seen > 0:
        far = sum(len(there) - bisect_left(there, seen - s) + bisect_right(there, -seen - s) for s in here)
    return ExactTest(far / 2**count, 2 / 2**count)


def _signed_sums(values: Iterable[float]) -> list[float]:
    sums = [0.0]
    for value in values:
        sums = [total + signed for total in sums for signed in (value, -value)]
    return sums


def permutation(first: Sequence[float], second: Sequence[float]) -> ExactTest | None:
    """Experiments with other seeds, two runs at least of each: were they alike, any runs could be the first one's.

    p is the share of all C(n1 + n2, n1) splits whose difference of means is at least as far from 0 as the one that was
    seen (Pitman 1937, JRSS Supplement 4); of two runs against two it is never below 1/3. None where there are more
    splits than MAX_SPLITS.
    """
    splits = math.comb(len(first) + len(second), len(first))
    if splits > MAX_SPLITS:
        return None
    from scipy.stats import permutation_test  # noqa: PLC0415

    found = permutation_test(
        (first, second), lambda one, two, axis: abs(one.mean(axis) - two.mean(axis)).round(12), n_resamples=math.inf,
        vectorized=True, batch=10_000, alternative="greater",  # "two-sided" would double the smaller tail
    )  # fmt: skip
    return ExactTest(float(found.pvalue), (2 if len(first) == len(second) else 1) / splits)


def agresti_min(only_first: int, only_second: int, n: int) -> Interval:
    """Interval of the difference of two shares of the same n images.

    Wald's interval after half an image was added to each of the four cells of the paired table: with b* = b + 1/2,
    c* = c + 1/2, n* = n + 2: (b* - c*) / n* -+ z sqrt(b* + c* - (b* - c*)^2 / n*) / n*, within [-1, 1]
    (Agresti and Min 2005, Statistics in Medicine 24, 729-740, "Wald+2"). Its middle is drawn a little towards 0.
    """
    if min(only_first, only_second, n - only_first - only_second) < 0:
        raise ValueError(f"{only_first} and {only_second} of {n} are no counts of images")
    if n == 0:
        return Interval(-1.0, 1.0)
    b, c, whole = only_first + 0.5, only_second + 0.5, n + 2
    half = Z * math.sqrt(b + c - (b - c) ** 2 / whole) / whole
    return Interval(max(-1.0, (b - c) / whole - half), min(1.0, (b - c) / whole + half))


def newcombe(right: int, n: int, other_right: int, other_n: int) -> Interval:
    """Interval of the difference of two shares of different images, or of images that are not known one by one.

    From both Wilson intervals [l1, u1], [l2, u2]: d - sqrt((p1 - l1)^2 + (u2 - p2)^2), and
    d + sqrt((u1 - p1)^2 + (p2 - l2)^2) (Newcombe 1998, Statistics in Medicine 17, 873-890, method 10).
    """
    one, two = wilson(right, n), wilson(other_right, other_n)
    if n == 0 or other_n == 0:
        return Interval(-1.0, 1.0)
    share, other = right / n, other_right / other_n
    return Interval(
        share - other - math.hypot(share - one.low, two.high - other),
        share - other + math.hypot(one.high - share, other - two.low),
    )


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
