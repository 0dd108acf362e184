"""Which stretch of the x axis a chart shows: all of it, with its growing end, or what someone zoomed to."""

import math

from crdnd_tui.chart.series import Span

_CLOSEST = 1e-9  # of the whole, the least that is shown


class Window:
    """A stretch of x, kept as it was chosen while the data grow. Logarithmic axes are zoomed by factors."""

    def __init__(self) -> None:
        self.chosen: Span | None = None  # None follows the data

    @property
    def zoomed(self) -> bool:
        """Whether the newest points are no longer followed."""
        return self.chosen is not None

    def reset(self) -> None:
        """All of it."""
        self.chosen = None

    def shown(self, whole: Span, *, log: bool) -> Span:
        """Left and right end, never the same."""
        low, high = self.chosen or whole
        if log:
            low, high = (max(low, whole[0]), high) if low <= 0 else (low, high)
            return (low, high) if high > low else (low / 2, low * 2)
        reach = max(1.0, 1e-6 * abs(low))
        return (low, high) if high > low else (low - reach, low + reach)

    def zoom(self, factor: float, around: float, whole: Span, *, log: bool) -> None:
        """Less or more of the axis, with `around` where it is; beyond the whole is the whole."""
        low, high = (_to(x, log) for x in self.shown(whole, log=log))
        first, last = (_to(x, log) for x in whole)
        centre = min(high, max(low, _to(around, log)))
        left, right = centre - (centre - low) * factor, centre + (high - centre) * factor
        if right - left >= last - first:
            self.chosen = None
        elif right - left > _CLOSEST * (last - first):
            self._set(left, right, whole, log)

    def pan(self, share: float, whole: Span, *, log: bool) -> None:
        """By a share of what is shown; not beyond the ends."""
        if self.chosen is None:
            return
        low, high = (_to(x, log) for x in self.shown(whole, log=log))
        step = (high - low) * share
        self._set(low + step, high + step, whole, log)

    def _set(self, left: float, right: float, whole: Span, log: bool) -> None:
        first, last = (_to(x, log) for x in whole)
        over = max(0.0, first - left) - max(0.0, right - last)
        self.chosen = _from(left + over, log), _from(right + over, log)


def _to(x: float, log: bool) -> float:
    return math.log10(x) if log and x > 0 else x


def _from(value: float, log: bool) -> float:
    return float(10.0**value) if log else value
