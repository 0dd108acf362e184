"""The ground of a plot of named points: its span, its numbers, and where a value lies among the cells."""

from collections.abc import Sequence
from typing import Protocol

from crdnd_tui.chart import ticks
from crdnd_tui.chart.curves import View

_MARGIN = 0.1  # of the span, around all points
_LEAST = 2.0  # units that an axis spans at least: points of per cent


class Place(Protocol):
    """A point with an error bar that stands upright."""

    @property
    def x(self) -> float: ...
    @property
    def y(self) -> float: ...
    @property
    def ends(self) -> tuple[float, float]: ...


def view(points: Sequence[Place]) -> View:
    """All points and bars, and some space around them."""
    x0, x1 = _span([point.x for point in points])
    y0, y1 = _span([y for point in points for y in (point.y, *point.ends)])
    return View(x0=x0, x1=x1, y0=y0, y1=y1)


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    middle, reach = (low + high) / 2, max((high - low) * (0.5 + _MARGIN), _LEAST / 2)
    return middle - reach, middle + reach


def numbers(low: float, high: float, most: int) -> list[tuple[float, str]]:
    """Round values with their names; the low end where there is none."""
    found = ticks.linear(low, high, most)
    return list(zip(found, ticks.labels(found), strict=True)) or [(low, f"{low:.1f}")]


def row(ground: View, y: float, height: int) -> int:
    """Counted from the top."""
    return min(height - 1, max(0, int((1 - ground.up(y)) * height)))


def column(ground: View, x: float, width: int) -> int:
    """Counted from the left."""
    return min(width - 1, max(0, int(ground.across(x) * width)))


def below(ground: View, width: int, apart: int) -> str:
    """Numbers of the x axis where they belong, `apart` cells and more from one to the next; never touching."""
    line = [" "] * width
    for x, name in numbers(ground.x0, ground.x1, max(2, width // apart)):
        start = max(0, min(width - len(name), column(ground, x, width) - len(name) // 2))
        if all(c == " " for c in line[max(0, start - 1) : start + len(name) + 1]):
            line[start : start + len(name)] = name
    return "".join(line)
