"""Student's t distribution: what scipy would be asked for, in a page of arithmetic.

All of it rests on the regularised incomplete beta function, computed by its continued fraction
(Abramowitz and Stegun 26.5.8, evaluated as Lentz does; DLMF 8.17.22).
"""

import math
from functools import lru_cache

_TINY = 1e-300  # in place of a zero that would be divided by
_ENOUGH = 10_000  # terms; a hundred are many
_PRECISION = 1e-16


def incomplete_beta(a: float, b: float, x: float, rest: float) -> float:
    """I_x(a, b) for a, b > 0 and 0 <= x <= 1; `rest` is 1 - x, which the caller knows without cancellation."""
    if not (a > 0 and b > 0 and 0 <= x <= 1 and math.isclose(x + rest, 1, abs_tol=1e-12)):
        raise ValueError(f"I_{x}({a}, {b}) is not defined")
    if x == 0 or rest == 0:
        return 0.0 if x == 0 else 1.0
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log(rest)
    )  # x^a (1 - x)^b / B(a, b)
    if x < (a + 1) / (a + b + 2):  # where the fraction converges fast
        return front * _fraction(a, b, x) / a
    return 1 - front * _fraction(b, a, rest) / b


def _fraction(a: float, b: float, x: float) -> float:
    """1 / (1 + d1 / (1 + d2 / (1 + ...))), DLMF 8.17.22, by the modified method of Lentz."""
    value, above, below = 1.0, 1.0, 0.0
    for k in range(_ENOUGH):
        m = k // 2
        if k == 0:
            d = 1.0
        elif k % 2 == 0:
            d = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        else:
            d = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        below = 1 / _not_zero(1 + d * below)
        above = _not_zero(1 + d / above)
        step = below * above
        value *= step
        if k and abs(step - 1) < _PRECISION:
            break
    return value - 1  # the first step counted the leading one


def _not_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def two_sided(t: float, df: float) -> float:
    """P(|T| >= |t|) for df > 0 degrees of freedom, which need not be whole: I_{df / (df + t^2)}(df / 2, 1 / 2)."""
    if df <= 0 or math.isnan(t):
        raise ValueError(f"no t distribution: t {t}, {df} degrees of freedom")
    if math.isinf(t):
        return 0.0
    whole = df + t * t
    return incomplete_beta(df / 2, 0.5, df / whole, t * t / whole)


@lru_cache(maxsize=256)
def quantile(level: float, df: float) -> float:
    """The t that P(T <= t) = level belongs to, 0 < level < 1; by bisection of the tail, to the last bit."""
    if not 0 < level < 1:
        raise ValueError(f"no quantile at {level}")
    tail = 2 * min(level, 1 - level)
    low, high = 0.0, 1.0
    while two_sided(high, df) > tail:
        low, high = high, 2 * high
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if two_sided(middle, df) > tail else (low, middle)
    return math.copysign(high, level - 0.5) if level != 0.5 else 0.0
