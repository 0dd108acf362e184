"""Named points with error bars between two axes, in dots: each with its name beside it, as far as names find room.

`scatter` is the same for a terminal that is only written to.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from crdnd_tui.chart import frame
from crdnd_tui.chart.curves import View
from crdnd_tui.chart.plot import AXIS, LABEL
from crdnd_tui.chart.raster import Mark, Markers, Raster, Run

DOT = "\u25cf"
_TALL, _WIDE = 4, 14  # cells from one number of an axis to the next, at least


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """One name at (x, y); `ends` are those of its error bar, `key` that of its style."""

    name: str
    key: str
    x: float
    y: float
    ends: tuple[float, float]


class Plot(NamedTuple):
    """Rows of characters, and the names that found no room."""

    rows: list[list[Run]]
    left: tuple[str, ...]


def draw(points: Sequence[Point], size: tuple[int, int], markers: Markers = "braille") -> Plot:
    """At least one point; `size` is width and height with the axes, from 16 x 5 on."""
    width, height = size
    view = frame.view(points)
    numbers = frame.numbers(view.y0, view.y1, max(2, (height - 2) // _TALL))
    gutter = max(len(name) for _, name in numbers)
    raster = Raster(max(1, width - gutter - 1), max(1, height - 2), markers)
    places = [_place(point, view, raster) for point in points]
    left = _names(points, places, _bars(points, places, view, raster), raster)
    for point, (row, column) in zip(points, places, strict=True):
        raster.over(row, column, Mark(DOT, point.key))
    at = {frame.row(view, y, raster.height): name for y, name in numbers}
    rows: list[list[Run]] = []
    for row in range(raster.height):
        name = at.get(row)
        axis = [(name.rjust(gutter), LABEL), ("\u2524", AXIS)] if name else [(" " * gutter + "\u2502", AXIS)]
        rows.append([*axis, *raster.runs(row)])
    rows.append([(" " * gutter + "\u2514" + "\u2500" * raster.width, AXIS)])
    rows.append([(" " * (gutter + 1) + frame.below(view, raster.width, _WIDE), LABEL)])
    return Plot(rows, left)


def _place(point: Point, view: View, raster: Raster) -> tuple[int, int]:
    """Row and column of a point's cell."""
    return frame.row(view, point.y, raster.height), frame.column(view, point.x, raster.width)


def _bars(
    points: Sequence[Point], places: Sequence[tuple[int, int]], view: View, raster: Raster
) -> set[tuple[int, int]]:
    """Error bars, one dot wide, and the cells that they take."""
    taken: set[tuple[int, int]] = set()
    across = raster.columns // raster.width
    for point, (_, column) in zip(points, places, strict=True):
        high, low = (min(raster.rows - 1, max(0, int((1 - view.up(y)) * raster.rows))) for y in point.ends[::-1])
        raster.column(column * across, high, low, raster.pen(point.key, "|"))
        down = raster.rows // raster.height
        taken |= {(row, column) for row in range(high // down, low // down + 1)}
    return taken


def _names(
    points: Sequence[Point], places: Sequence[tuple[int, int]], bars: set[tuple[int, int]], raster: Raster
) -> tuple[str, ...]:
    """Each beside its point, over a bar if need be, else a row above or below; those that are left have no room."""
    left, taken = [], set(places)
    for point, (row, column) in zip(points, places, strict=True):
        long = len(point.name)
        sides = (column + 2, column - 1 - long)
        beside = [(row, first) for first in sides]
        around = [(row + down, first) for down in (-1, 1) for first in (*sides, column - long // 2)]
        tried = [(at, taken | bars) for at in beside] + [(at, taken) for at in (*beside, *around)]
        free = next((at for at, cells in tried if _is_free(at, long, cells, raster)), None)
        if free is None:
            left.append(point.name)
            continue
        raster.write(*free, point.name, point.key)
        taken |= {(free[0], free[1] + k) for k in range(long)}
    return tuple(left)


def _is_free(at: tuple[int, int], long: int, taken: set[tuple[int, int]], raster: Raster) -> bool:
    row, first = at
    inside = 0 <= row < raster.height and first >= 0 and first + long <= raster.width
    return inside and all((row, column) not in taken for column in range(first - 1, first + long + 1))
