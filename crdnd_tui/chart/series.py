"""Points of a curve as they come in. A value that is not finite (None, NaN, inf) is a gap: it has an x and no y."""

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

Point = tuple[float, float | None]
Span = tuple[float, float]  # smallest and largest
LIMIT = 1e300  # what is larger counts as not finite, so that any difference is a number


class PointSeries:
    """Append-only points (x, y), x ascending. A point that goes back in x, or has no finite x, is passed over."""

    def __init__(self, points: Iterable[Point] = ()) -> None:
        self._x, self._y = array("d"), array("d")
        self.extend(points)

    def __len__(self) -> int:
        return len(self._x)

    def append(self, x: float, y: float | None) -> None:
        self.extend(((x, y),))

    def extend(self, points: Iterable[Point]) -> None:
        """Add many points; a hundred thousand take a twentieth of a second."""
        last = self._x[-1] if self._x else -math.inf
        for x, y in points:
            try:
                here, value = float(x), math.nan if y is None else float(y)
            except OverflowError:  # a whole number beyond all floats
                continue
            if last <= here <= LIMIT and here >= -LIMIT:
                self._x.append(here)
                self._y.append(value if -LIMIT <= value <= LIMIT else math.nan)
                last = here

    def arrays(self) -> "tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]":
        """Copies of x and y, float64; NaN is a gap."""
        import numpy as np  # noqa: PLC0415  nothing is drawn at start

        return np.array(self._x), np.array(self._y)

    @property
    def last(self) -> Point | None:
        return self._at(len(self._x) - 1) if self._x else None

    def gap_in(self, x0: float, x1: float) -> tuple[float, int] | None:
        """The first gap in [x0, x1], and how many there are."""
        first, end = self._places(x0, x1)
        x, y = self.arrays()
        gaps = x[first:end][y[first:end] != y[first:end]]
        return (float(gaps[0]), len(gaps)) if len(gaps) else None

    def x_bounds(self, positive_only: bool = False) -> Span | None:
        """First and last x; of those above zero for a logarithmic axis."""
        first = bisect_right(self._x, 0.0) if positive_only else 0
        return (self._x[first], self._x[-1]) if first < len(self._x) else None

    def y_bounds(self, x0: float, x1: float, positive_only: bool = False, *, joined: bool = False) -> Span | None:
        """Smallest and largest finite y in [x0, x1]; with the points beside it if `joined`, for want of two."""
        first, end = self._places(x0, x1)
        if joined and end - first < 2:
            first, end = max(0, first - 1), end + 1
        y = self.arrays()[1][first:end]
        y = y[y > 0] if positive_only else y[y == y]  # noqa: PLR0124  not NaN
        return (float(y.min()), float(y.max())) if y.size else None

    def ends(self, edges: Sequence[float]) -> list[float | None]:
        """The last finite y between each two edges, the last one included; None where there is none."""
        places = [bisect_left(self._x, edge) for edge in edges[:-1]] + [bisect_right(self._x, edges[-1])]
        return [next((y for y in reversed(self._y[a:b]) if not math.isnan(y)), None) for a, b in pairwise(places)]

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

    def newest(self, count: int) -> list[float | None]:
        return [self._at(k)[1] for k in range(max(0, len(self._x) - count), len(self._x))]

    def _at(self, place: int) -> Point:
        value = self._y[place]
        return self._x[place], None if math.isnan(value) else value

    def _places(self, x0: float, x1: float) -> tuple[int, int]:
        """First point in [x0, x1], and the end."""
        return bisect_left(self._x, x0), bisect_right(self._x, x1)


class Smoothed(PointSeries):
    """The debiased exponential mean of what a series has, and will have; gaps stay gaps.

    mean_n = sum_k factor^(n-k) y_k / sum_k factor^(n-k), over the points k <= n that are finite; 0 <= factor < 1.
    """

    def __init__(self, source: PointSeries, factor: float) -> None:
        if not 0 <= factor < 1:
            raise ValueError(f"the factor of a mean is in [0, 1), not {factor}")
        super().__init__()
        self.source, self.factor = source, factor
        self._mean, self._missing = 0.0, 1.0  # the missing weight is factor ** points
        self.update()

    def update(self) -> None:
        """Catch up with what the source got since."""
        start, factor, mean, missing = len(self), self.factor, self._mean, self._missing
        self._x.extend(self.source._x[start:])
        for y in self.source._y[start:]:
            if not math.isnan(y):
                missing *= factor
                mean = factor * mean + (1 - factor) * y
            self._y.append(y if math.isnan(y) else mean / (1 - missing))
        self._mean, self._missing = mean, missing
