"""A curve's points as they come in, with their minima and maxima at hand for any cut of the x axis.

Points that are not finite (None, NaN, inf) are gaps: they have an x, and no share in any minimum.
"""

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TypeAlias

Point = tuple[float, float | None]
Span = tuple[float, float]  # smallest and largest
Values: TypeAlias = "array[float]"

_FIRST = 16  # points under one entry of the lowest level
_FAN = 4  # entries of one level under one of the next
_FEW = 48  # are looked at one by one
_NAN, _INF = math.nan, math.inf
LIMIT = 1e300  # what is larger counts as not finite, so that any difference is a number


class _Level:
    """Over blocks of a fixed number of points: smallest, largest, smallest above zero."""

    def __init__(self) -> None:
        self.low, self.high, self.positive = array("d"), array("d"), array("d")

    def add(self, low: float, high: float, positive: float) -> None:
        self.low.append(low)
        self.high.append(high)
        self.positive.append(positive)


class Series:
    """Append-only points (x, y). One that goes back in x, or has none, is passed over and counted in `skipped`."""

    def __init__(self, points: Iterable[Point] = ()) -> None:
        self._x, self._y = array("d"), array("d")
        self._gaps = array("q")  # places of the points that are not finite
        self._levels: list[_Level] = []
        self.skipped = 0
        self.extend(points)

    def __len__(self) -> int:
        return len(self._x)

    def append(self, x: float, y: float | None) -> None:
        """One more point; x may not go back."""
        self.extend(((x, y),))

    def extend(self, points: Iterable[Point]) -> None:
        """Many more points; a hundred thousand take a twentieth of a second."""
        xs, ys, gaps = self._x, self._y, self._gaps
        last = xs[-1] if xs else -_INF
        for x, y in points:
            try:
                here = float(x)
                value = _NAN if y is None else float(y)
            except OverflowError:  # a whole number beyond all floats
                self.skipped += 1
                continue
            if not (last <= here <= LIMIT and here >= -LIMIT):
                self.skipped += 1
                continue
            if not -LIMIT <= value <= LIMIT:
                value = _NAN
                gaps.append(len(xs))
            last = here
            xs.append(here)
            ys.append(value)
        self._build()

    def _build(self) -> None:
        """Entries for the blocks that are full now."""
        size, below = _FIRST, len(self._x)
        for depth in range(64):
            if below < (_FIRST if depth == 0 else _FAN):
                return
            if depth == len(self._levels):
                self._levels.append(_Level())
            level = self._levels[depth]
            for block in range(len(level.low), len(self._x) // size):
                level.add(*(self._points(block * size, size) if depth == 0 else self._entries(depth - 1, block)))
            below, size = len(level.low), size * _FAN

    def _points(self, start: int, count: int) -> tuple[float, float, float]:
        values: Sequence[float] = self._y[start : start + count]
        place = bisect_left(self._gaps, start)
        if place < len(self._gaps) and self._gaps[place] < start + count:
            values = [value for value in values if value == value]  # noqa: PLR0124  NaN
            if not values:
                return _INF, -_INF, _INF
        low = min(values)
        return low, max(values), low if low > 0 else min((value for value in values if value > 0), default=_INF)

    def _entries(self, depth: int, block: int) -> tuple[float, float, float]:
        level, part = self._levels[depth], slice(block * _FAN, (block + 1) * _FAN)
        return min(level.low[part]), max(level.high[part]), min(level.positive[part])

    @property
    def last(self) -> Point | None:
        """The newest point."""
        return self._at(len(self._x) - 1) if self._x else None

    @property
    def gaps(self) -> list[float]:
        """Where the points that are not finite stand."""
        return [self._x[place] for place in self._gaps]

    def gap_in(self, x0: float, x1: float) -> tuple[float, int] | None:
        """The first gap between x0 and x1, and how many there are."""
        gaps = self._gaps
        first = bisect_left(gaps, bisect_left(self._x, x0))
        end = bisect_left(gaps, bisect_right(self._x, x1))
        return (self._x[gaps[first]], end - first) if first < end else None

    def x_bounds(self, positive_only: bool = False) -> Span | None:
        """First and last x; of those above zero, when a logarithm will be taken."""
        first = bisect_right(self._x, 0.0) if positive_only else 0
        return (self._x[first], self._x[-1]) if first < len(self._x) else None

    def y_bounds(self, x0: float, x1: float, positive_only: bool = False) -> Span | None:
        """Smallest and largest finite y between x0 and x1, both included."""
        return self._span(bisect_left(self._x, x0), bisect_right(self._x, x1), positive_only)

    def ends(self, edges: Sequence[float]) -> list[float | None]:
        """The last finite y in each of these columns, for a curve that is smooth anyway."""
        y, found = self._y, []
        places = self._places(edges)
        for a, b in pairwise(places):
            while b > a and math.isnan(y[b - 1]):
                b -= 1  # noqa: PLW2901  back over gaps
            found.append(y[b - 1] if b > a else None)
        return found

    def columns(self, x0: float, x1: float, width: int, positive_only: bool = False) -> list[Span | None]:
        """The range of y in each of `width` equal columns; x1 belongs to the last one."""
        return self.cut([x0 + (x1 - x0) * k / width for k in range(width)] + [x1], positive_only)

    def cut(self, edges: Sequence[float], positive_only: bool = False) -> list[Span | None]:
        """The range of y between any edges, each column with its left edge; the last one has its right edge, too."""
        places = self._places(edges)
        return [self._span(a, b, positive_only) for a, b in pairwise(places)]

    def broken(self, edges: Sequence[float]) -> list[bool]:
        """Which of these columns hold a gap."""
        if not self._gaps:
            return [False] * (len(edges) - 1)
        marks = [bisect_left(self._gaps, place) for place in self._places(edges)]
        return [a < b for a, b in pairwise(marks)]

    def count(self, x0: float, x1: float) -> int:
        """How many points stand between x0 and x1, both included."""
        return max(0, bisect_right(self._x, x1) - bisect_left(self._x, x0))

    def around(self, x0: float, x1: float) -> list[Point]:
        """The points between x0 and x1, and one more on each side."""
        first, end = bisect_left(self._x, x0), bisect_right(self._x, x1)
        return [self._at(place) for place in range(max(0, first - 1), min(len(self._x), end + 1))]

    def nearest(self, x: float) -> Point | None:
        """The point that is nearest in x; the newer of two that are equally near."""
        if not self._x:
            return None
        place = bisect_right(self._x, x)
        if place == len(self._x) or (place and x - self._x[place - 1] < self._x[place] - x):
            place -= 1
        return self._at(place)

    def beside(self, x: float, direction: int) -> float | None:
        """The next x that differs, to the right (1) or to the left (-1)."""
        place = bisect_right(self._x, x) if direction > 0 else bisect_left(self._x, x) - 1
        return self._x[place] if 0 <= place < len(self._x) else None

    def values_from(self, place: int) -> Sequence[float]:
        """The values from this point on; NaN is a gap."""
        return self._y[place:]

    def continue_like(self, other: "Series", values: Sequence[float]) -> None:
        """The next points of the other series, with these values of the same gaps."""
        start = len(self._x)
        self._x.extend(other._x[start : start + len(values)])
        self._y.extend(values)
        self._gaps.extend(other._gaps[bisect_left(other._gaps, start) : bisect_left(other._gaps, len(self._x))])
        self._build()

    def newest(self, count: int) -> list[float | None]:
        """The last so many values."""
        return [self._at(k)[1] for k in range(max(0, len(self._x) - count), len(self._x))]

    def _at(self, place: int) -> Point:
        value = self._y[place]
        return self._x[place], value if value == value else None  # noqa: PLR0124  NaN

    def _places(self, edges: Sequence[float]) -> list[int]:
        """The first point of each column, and the end of the last."""
        places: list[int] = []
        place = 0
        for edge in edges:
            place = bisect_left(self._x, edge, place)
            places.append(place)
        if places:
            places[-1] = bisect_right(self._x, edges[-1], places[-1])
        return places

    def _span(self, start: int, end: int, positive_only: bool) -> Span | None:
        """Over a range of points: single ones at its ends, whole blocks between, as large as fit."""
        lows, highs = array("d"), array("d")
        depth, fan = -1, _FIRST  # start and end are counted in entries of this depth; -1 is single points
        while end - start > _FEW and depth + 1 < len(self._levels):
            up, down = -(-start // fan), end // fan  # what the next level has whole
            self._gather(depth, slice(start, up * fan), positive_only, lows, highs)
            self._gather(depth, slice(down * fan, end), positive_only, lows, highs)
            start, end, depth, fan = up, down, depth + 1, _FAN
        if start < end:
            self._gather(depth, slice(start, end), positive_only, lows, highs)
        if not lows:
            return None
        low, high = min(lows), max(highs)
        return (low, high) if low <= high else None

    def _gather(self, depth: int, part: slice, positive_only: bool, lows: Values, highs: Values) -> None:
        if part.start >= part.stop:
            return
        if depth >= 0:
            level = self._levels[depth]
            lows.extend((level.positive if positive_only else level.low)[part])
            highs.extend(level.high[part])
        elif positive_only or self._gaps:
            low, high, positive = self._points(part.start, part.stop - part.start)
            lows.append(positive if positive_only else low)
            highs.append(high)
        else:
            values = self._y[part]
            lows.extend(values)
            highs.extend(values)


class Smoothed:
    """A debiased exponential mean over what a series has, and will have: gaps stay gaps, no point is invented."""

    def __init__(self, source: Series, factor: float) -> None:
        if not 0 <= factor < 1:
            raise ValueError(f"the factor of a mean is in [0, 1), not {factor}")
        self.source, self.factor = source, factor
        self.series = Series()
        self._mean, self._missing = 0.0, 1.0  # the missing weight is factor ** points
        self.update()

    def update(self) -> None:
        """Catch up with what the source got since."""
        start = len(self.series)
        if start == len(self.source):
            return
        mean, missing, factor, rest = self._mean, self._missing, self.factor, 1 - self.factor
        values = array("d")
        for y in self.source.values_from(start):
            if y == y:  # noqa: PLR0124  not NaN
                missing *= factor
                mean = factor * mean + rest * y
                values.append(mean / (1 - missing))
            else:
                values.append(_NAN)
        self._mean, self._missing = mean, missing
        self.series.continue_like(self.source, values)


def smooth(source: Series, factor: float) -> Smoothed:
    """The mean of a series; factor 0 is the series itself, 0.99 remembers about a hundred points."""
    return Smoothed(source, factor)
