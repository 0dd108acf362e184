"""Shares of images, one beside another: paired where both are of the same images, unpaired where they are not.

The interval of one share is `wilson` of engine.spec.outcomes, the test of a pair its `mcnemar_p`. Differences are first
minus second, as fractions.
"""

import math

from engine.spec.outcomes import Interval, Z, wilson


def agresti_min(only_first: int, only_second: int, n: int) -> Interval:
    """95 % interval of the difference of two shares of the same n images.

    Wald's interval after half an image was added to each of the four cells of the paired table: with b* = b + 1/2,
    c* = c + 1/2, n* = n + 2: (b* - c*) / n* -+ z sqrt(b* + c* - (b* - c*)^2 / n*) / n*, within [-1, 1]
    (Agresti and Min 2005, Statistics in Medicine 24, 729-740, "Wald+2"). Its middle is drawn a little towards 0.
    """
    _check(only_first, only_second, n - only_first - only_second)
    if n == 0:
        return Interval(-1.0, 1.0)
    b, c, whole = only_first + 0.5, only_second + 0.5, n + 2
    half = Z * math.sqrt(b + c - (b - c) ** 2 / whole) / whole
    centre = (b - c) / whole
    return Interval(max(-1.0, centre - half), min(1.0, centre + half))


def newcombe(right: int, n: int, other_right: int, other_n: int) -> Interval:
    """95 % interval of the difference of two shares of different images, or of images that are not known one by one.

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


def _check(*counts: int) -> None:
    if min(counts) < 0:
        raise ValueError(f"{', '.join(map(str, counts))} are no counts of images")
