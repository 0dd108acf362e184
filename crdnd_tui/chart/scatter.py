"""Named points with error bars between two axes: each with its name beside it, as far as names find room."""

from collections.abc import Sequence
from dataclasses import dataclass

from crdnd_tui.chart import axes
from crdnd_tui.chart.axes import PlotView
from crdnd_tui.chart.plot import AXIS, DOT, LABEL, Markers, Raster, Row, column_of, row_of

_TALL, _WIDE = 4, 14  # cells from one number of an axis to the next, at least
_MARGIN, _LEAST = 0.1, 2.0  # around all points, of their span; units that an axis spans at least: points of per cent


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """One name at (x, y); `ends` are those of its error bar, `key` that of its style."""

    name: str
    key: str
    x: float
    y: float
    ends: tuple[float, float]


def scatter(points: Sequence[Point], size: tuple[int, int], markers: Markers = "braille") -> list[Row]:
    """Draw at least one point; `size` is width and height with the axes, from 16 x 5 on."""
    width, height = size
    (x0, x1), (y0, y1) = _span([p.x for p in points]), _span([y for p in points for y in (p.y, *p.ends)])
    view = PlotView(x0=x0, x1=x1, y0=y0, y1=y1)
    numbers = _numbers(y0, y1, max(2, (height - 2) // _TALL))
    gutter = max(len(name) for _, name in numbers)
    raster = Raster(max(1, width - gutter - 1), max(1, height - 2), markers)
    places = [(row_of(view, p.y, raster.height), column_of(view, p.x, raster.width)) for p in points]
    bars = set[tuple[int, int]]()
    for point, (_, column) in zip(points, places, strict=True):
        high, low = (row_of(view, y, raster.rows) for y in point.ends[::-1])
        raster.column(column * raster.columns // raster.width, high, low, raster.pen(point.key, "|"))
        down = raster.rows // raster.height
        bars |= {(row, column) for row in range(high // down, low // down + 1)}
    _write_names(points, places, bars, raster)
    for point, place in zip(points, places, strict=True):
        raster.write(*place, DOT if markers == "braille" else "*", point.key)
    at = {row_of(view, y, raster.height): name for y, name in numbers}
    rows: list[Row] = [
        [(at.get(row, "").rjust(gutter), LABEL), ("\u2524" if row in at else "\u2502", AXIS), *raster.runs(row)]
        for row in range(raster.height)
    ]
    below = [" "] * raster.width
    for x, name in _numbers(x0, x1, max(2, raster.width // _WIDE)):
        start = max(0, min(raster.width - len(name), column_of(view, x, raster.width) - len(name) // 2))
        if set(below[max(0, start - 1) : start + len(name) + 1]) == {" "}:
            below[start : start + len(name)] = name
    rows.append([(" " * gutter + "\u2514" + "\u2500" * raster.width, AXIS)])
    return [*rows, [(" " * (gutter + 1) + "".join(below)[: raster.width], LABEL)]]


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    middle, reach = (low + high) / 2, max((high - low) * (0.5 + _MARGIN), _LEAST / 2)
    return middle - reach, middle + reach


def _numbers(low: float, high: float, most: int) -> list[tuple[float, str]]:
    """Round values with their names; the low end where there is none."""
    found = axes.linear(low, high, most)
    return list(zip(found, axes.labels(found), strict=True)) or [(low, f"{low:.1f}")]


def _write_names(
    points: Sequence[Point], places: Sequence[tuple[int, int]], bars: set[tuple[int, int]], raster: Raster
) -> None:
    """Each beside its point, over a bar if need be, else a row above or below; the others have no room."""
    taken = set(places)

    def is_free(at: tuple[int, int], long: int, cells: set[tuple[int, int]]) -> bool:
        row, first = at
        inside = 0 <= row < raster.height and first >= 0 and first + long <= raster.width
        return inside and all((row, column) not in cells for column in range(first - 1, first + long + 1))

    for point, (row, column) in zip(points, places, strict=True):
        long = len(point.name)
        sides = (column + 2, column - 1 - long)
        beside = [(row, first) for first in sides]
        around = [(row + down, first) for down in (-1, 1) for first in (*sides, column - long // 2)]
        tried = [(at, taken | bars) for at in beside] + [(at, taken) for at in (*beside, *around)]
        free = next((at for at, cells in tried if is_free(at, long, cells)), None)
        if free is not None:
            raster.write(*free, point.name, point.key)
            taken |= {(free[0], free[1] + k) for k in range(long)}
