"""Axes: which stretch of the numbers they show, and round ticks on them (1, 2 and 5 times a power of ten)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

from crdnd_tui.core.format import UNITS, scientific

if TYPE_CHECKING:
    from numpy import ndarray

Values = TypeVar("Values", float, "ndarray[Any, Any]")
_LIMIT = 1e300  # no axis goes further, so that its length is a number
_SLACK = 1e-9  # of a step


@dataclass(frozen=True, kw_only=True, slots=True)
class PlotView:
    """What lies between the axes, in the numbers of the data."""

    x0: float
    x1: float
    y0: float
    y1: float
    log_x: bool = False
    log_y: bool = False

    def across(self, x: Values) -> Values:
        """How far to the right, as a share of the width; NaN where a logarithm has no value."""
        return _shares(x, self.x0, self.x1, log=self.log_x)

    def up(self, y: Values) -> Values:
        return _shares(y, self.y0, self.y1, log=self.log_y)

    def x_at(self, share: float) -> float:
        if self.log_x:
            start = math.log10(self.x0)
            return float(10 ** (start + (math.log10(self.x1) - start) * share))
        return self.x0 + (self.x1 - self.x0) * share

    def edges(self, columns: int) -> list[float]:
        """Where so many equal columns begin, and where the last one ends."""
        return [self.x_at(k / columns) for k in range(columns)] + [self.x1]


def _shares(values: Values, low: float, high: float, *, log: bool) -> Values:
    import numpy as np  # noqa: PLC0415  nothing is drawn at start

    if log:
        logarithms: Any = np.log10(np.where(values > 0, values, np.nan))
        values, low, high = logarithms, math.log10(low), math.log10(high)
    return (values - low) / (high - low) if high > low else values * 0 + 0.5


def nice_step(span: float, count: int, *, quarters: bool = False) -> float:
    """The smallest of 1, 2, 5 times a power of ten that cuts `span` into at most `count` pieces; 2.5 on request."""
    raw = max(span, 1e-300) / max(1, count)
    power: float = 10.0 ** math.floor(math.log10(raw))
    factors = (1, 2, 2.5, 5) if quarters else (1, 2, 5)
    return next((power * factor for factor in factors if power * factor >= raw * (1 - _SLACK)), 10 * power)


def linear(low: float, high: float, count: int, *, quarters: bool = False) -> list[float]:
    """Multiples of a nice step between the two ends."""
    step = nice_step(high - low, count, quarters=quarters and high - low > 0.2)  # 25 %, but not 2.5 %
    if step < 1e-15 * max(abs(low), abs(high)):
        return []  # the ends are too close for floats to tell
    first, last = math.ceil(low / step - _SLACK), math.floor(high / step + _SLACK)
    digits = min(300, max(-300, 1 - math.floor(math.log10(step))))
    return [round(k * step, digits) for k in range(first, last + 1)]


def logarithmic(low: float, high: float, count: int) -> list[float]:
    """Powers of ten; 1, 2 and 5 times them where there is one only; a linear choice where that tells too little."""
    first, last = math.ceil(math.log10(low) - _SLACK), math.floor(math.log10(high) + _SLACK)
    if last > first and 3 * (last - first) > count - 2:
        stride = -(-(last - first + 1) // max(1, count))
        return [10.0**power for power in range(first, last + 1, stride)]
    found = [
        factor * 10.0**power
        for power in range(first - 1, last + 2)
        for factor in (1, 2, 5)
        if low * (1 - _SLACK) <= factor * 10.0**power <= high * (1 + _SLACK)
    ]
    even = [tick for tick in linear(low, high, count) if tick > 0]
    return found if len(found) >= min(3, max(2, len(even))) else even


def bounds(low: float, high: float, *, log: bool = False) -> tuple[float, float]:
    """The two ends moved outward to quiet numbers, so that an axis does not tremble while a curve grows."""
    low, high = max(low, -_LIMIT), min(high, _LIMIT)
    if log:
        low = max(low, 1 / _LIMIT)
        down, up = math.floor(10 * math.log10(low) + _SLACK), math.ceil(10 * math.log10(max(low, high)) - _SLACK)
        return 10 ** (down / 10), 10 ** ((up if up > down else down + 1) / 10)
    if high - low <= 1e-12 * max(abs(low), abs(high)):
        reach = abs(high) / 10 or 1.0
        low, high = low - reach, high + reach
    step = nice_step(high - low, 10)
    down, up = math.floor(low / step + _SLACK), math.ceil(high / step - _SLACK)
    return down * step, max(up, down + 1) * step


def labels(ticks: Sequence[float], *, percent: bool = False) -> list[str]:
    """Linear ticks in one unit and with the same number of decimals; fractions in per cent when asked."""
    values = [100 * tick for tick in ticks] if percent else list(ticks)
    if not values:
        return []
    largest = max(map(abs, values))
    step = min((b - a for a, b in pairwise(values)), default=largest) or 1.0
    unit, sign = next(((size, sign) for size, sign in UNITS if largest >= (1e4 if size == 1e3 else size)), (1.0, ""))
    decimals = max(0, -math.floor(math.log10(step / unit) + 1e-6))
    if decimals > 4 or largest >= 1e16:
        return [scientific(value) for value in values]
    return [f"{value / unit:.{decimals}f}{sign if value else ''}{'%' * percent}" for value in values]
