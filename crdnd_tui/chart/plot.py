"""Curves, bands, axes, markers and named points as rows of Braille characters; widgets give keys their colours.

Dots of two curves never share a cell, so no colour bleeds into another: what is drawn later takes the whole of it.
Lines that run through the same cells take turns.
"""

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from crdnd_tui.chart import axes
from crdnd_tui.chart.axes import PlotView
from crdnd_tui.chart.series import PointSeries, Span
from crdnd_tui.core.format import compact, position

Row = list[tuple[str, str]]  # characters, and the key of their style

AXIS, LABEL, CROSS, BAD, MUTED = "axis", "label", "cross", "bad", "muted"  # keys of styles
DOT = "\u25cf"
_BITS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))  # dots of a Braille cell by column, from the top
_EIGHTHS = "\u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"
_SAME = re.compile(rb"(.)\1*", re.DOTALL)
_TURN = 2  # cells after which lines in the same cells take turns
_STEEP = 3  # dots in one column from which a stroke of a dashed line has no gaps
_STRETCH = 1.2  # of an axis, at most, for the sake of its ticks
_TALL, _WIDE = 4, 14  # cells from one number of an axis of named points to the next, at least
_MARGIN, _LEAST = 0.1, 2.0  # around all points, of their span; units that an axis spans at least: points of per cent


class Raster:
    """`width` x `height` cells of 2 x 4 dots, which are counted from the top left."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.columns, self.rows = 2 * width, 4 * height
        self._bits, self._owner = bytearray(width * height), bytearray(width * height)
        self._keys = [""]
        self._lines = [0]  # of each pen: which line it is, counted from one; 0 is none
        self._marks: dict[int, str] = {}  # cell -> the character there

    def pen(self, key: str, *, line: bool = False) -> int:
        """What the next dots belong to; lines take turns."""
        self._keys.append(key)
        self._lines.append(max(self._lines) + 1 if line else 0)
        return len(self._keys) - 1

    def column(self, x: int, top: int, bottom: int, pen: int) -> None:
        """All dots of one dot column from `top` down to `bottom`, both included; what lies outside is cut off."""
        top, bottom = max(0, top), min(self.rows - 1, bottom)
        if not 0 <= x < self.columns or top > bottom:
            return
        bits, owner, line, turn = _BITS[x % 2], self._owner, self._lines[pen], x // 2 // _TURN
        for row in range(top // 4, bottom // 4 + 1):
            at, first = row * self.width + x // 2, 4 * row
            mask = sum(bits[max(0, top - first) : bottom - first + 1])
            if owner[at] == pen:
                self._bits[at] |= mask
            elif not (line and self._lines[owner[at]] and turn % line == self._lines[owner[at]] - 1):  # its turn
                self._bits[at], owner[at] = mask, pen

    def write(self, row: int, column: int, words: str, key: str) -> None:
        """Characters in place of whatever is there."""
        if key not in self._keys:
            self.pen(key)
        for at, character in enumerate(words, column):
            if 0 <= row < self.height and 0 <= at < self.width:
                cell = row * self.width + at
                self._owner[cell], self._bits[cell] = self._keys.index(key), 0
                self._marks[cell] = character

    def runs(self, row: int) -> Row:
        """One row of cells, as stretches of one style; the key of nothing is empty."""
        cells = range(row * self.width, (row + 1) * self.width)
        line = [chr(0x2800 + bits) if (bits := self._bits[at]) else self._marks.get(at, " ") for at in cells]
        owner = bytes(self._owner[cells.start : cells.stop])
        return [("".join(line[m.start() : m.end()]), self._keys[owner[m.start()]]) for m in _SAME.finditer(owner)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """One series and how it is drawn: its range in each column; `ends`: its last value there; `band`: quietly."""

    series: PointSeries
    key: str
    kind: Literal["line", "band", "ends"] = "line"
    dash: int = 0  # 0 is solid; more cuts the line in shorter pieces


class ColumnRange(NamedTuple):
    x: int
    top: int
    bottom: int


def stretches(curve: Curve, view: PlotView, columns: int, rows: int) -> Iterator[ColumnRange]:
    """The dots of a curve: the range of its values in each column, straight lines where a column has none.

    Neighbouring columns are joined, but not over a gap: a value that is not finite, or not positive on a log axis.
    """
    import numpy as np  # noqa: PLC0415  nothing is drawn at start

    x, y = curve.series.arrays()
    u = np.clip(view.across(x) * columns, -1e6, 1e6)
    v = np.clip((1 - view.up(y)) * (rows - 1), -1e9, 1e9)
    u, v = u[np.isfinite(u)], v[np.isfinite(u)]
    inside = slice(*np.searchsorted(u, [0.0, columns + 1e-9]))
    at, values = np.minimum(columns - 1, u[inside].astype(int)), v[inside]
    top, bottom = np.full(columns, np.nan), np.full(columns, np.nan)
    if curve.kind == "ends":
        newest = np.flatnonzero(np.diff(at, append=columns))
        top[at[newest]] = bottom[at[newest]] = values[newest]
    else:
        np.fmin.at(top, at, values)
        np.fmax.at(bottom, at, values)
    empty = np.flatnonzero(np.bincount(at, minlength=columns) == 0)
    if len(u):
        top[empty] = bottom[empty] = np.interp(empty + 0.5, u, v, left=np.nan, right=np.nan)
    gap = np.bincount(at[np.isnan(values)], minlength=columns) > 0
    drawn = np.isfinite(np.append(top, np.nan))
    before: ColumnRange | None = None
    for k in np.flatnonzero(drawn).tolist():
        here = ColumnRange(k, round(top[k]), round(bottom[k]))
        if before is not None and before.x == k - 1 and not (gap[k] or gap[k - 1]):
            yield ColumnRange(k, min(here.top, before.bottom + 1), max(here.bottom, before.top - 1))
        else:
            yield here
            if here.top == here.bottom and not drawn[k + 1] and min(rows, columns) > 1:  # alone: drawn twice as wide
                high = here.top - (here.top % 4 == 3)
                yield from (ColumnRange(x, high, high + 1) for x in (k, k + (1 if k % 2 == 0 else -1)))
        before = here


def trace(raster: Raster, curve: Curve, view: PlotView) -> None:
    pen = raster.pen(curve.key, line=curve.kind != "band")
    on = max(1, 8 // curve.dash) if curve.dash else 0
    for x, top, bottom in stretches(curve, view, raster.columns, raster.rows):
        if not on or bottom - top > _STEEP or (x % (on + max(1, on // 2))) < on:
            raster.column(x, top, bottom, pen)


class DrawnChart(NamedTuple):
    """Rows, and between which cells the curves lie."""

    rows: list[Row]
    left: int
    width: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ChartFrame:
    """What stands around and between the curves."""

    x_label: str = "step"
    percent: bool = False
    cross: float | None = None  # x of the crosshair
    gap: tuple[float, str] | None = None  # x of a gap, and what to write beside it


def draw(curves: Sequence[Curve], view: PlotView, size: tuple[int, int], frame: ChartFrame) -> DrawnChart:
    """`size` is width and height with the axes. Bands lie behind all, later lines above earlier ones."""
    width, height = size
    numbers, names = _y_ticks(view, height - 1, frame.percent)
    gutter = min(max(map(len, names), default=0), max(0, width - 8))
    raster = Raster(max(1, width - gutter - 1), max(1, height - 1))
    for curve in curves:
        if curve.kind == "band":
            trace(raster, curve, view)
    for x, glyph, key in ((frame.gap[0] if frame.gap else None, "\u250a", BAD), (frame.cross, "\u2502", CROSS)):
        if x is not None and 0 <= view.across(x) <= 1:
            for row in range(raster.height):
                raster.write(row, column_of(view, x, raster.width), glyph, key)
    for curve in curves:
        if curve.kind != "band":
            trace(raster, curve, view)
    if frame.gap is not None:
        _write_gap(raster, view, frame.gap)
    at = {round((1 - view.up(y)) * (raster.rows - 1)) * raster.height // raster.rows: name
          for y, name in zip(numbers, names, strict=True)}  # fmt: skip
    rows = [_y_axis(at.get(row), gutter) + raster.runs(row) for row in range(raster.height)]
    rows.append(_x_axis(view, gutter, raster.width, frame.x_label))
    return DrawnChart(rows, gutter + 1, raster.width)


def settled(view: PlotView, height: int, *, percent: bool) -> PlotView:
    """A little more of a linear y axis, where that puts whole rows between its ticks; `height` is with the axis."""
    rows = height - 1 - 1 / 4  # between the first and the last dot, in Braille
    numbers, _ = _y_ticks(view, height - 1, percent)
    if view.log_y or len(numbers) < 2:
        return view
    step = numbers[1] - numbers[0]
    apart = int(rows * step / (view.y1 - view.y0))
    span = step * rows / max(1, apart)
    if not apart or span > _STRETCH * (view.y1 - view.y0):
        return view
    if view.y1 - span >= 0 or view.y0 < 0:
        return replace(view, y0=view.y1 - span)
    return view if percent else replace(view, y1=view.y0 + span)


def skeleton(size: tuple[int, int], words: str) -> list[Row]:
    """Axes that wait for their first point, and what they wait for."""
    width, height = size
    gutter = 4 if width > 30 else 1
    inner, high = max(1, width - gutter - 1), max(1, height - 1)
    rows: list[Row] = [[(" " * gutter + "\u2502", AXIS), (" " * inner, "")] for _ in range(high)]
    lines = textwrap.wrap(words, max(1, inner - 2))[:high]
    for row, line in enumerate(lines, (high - len(lines)) // 2):
        left = (inner - len(line)) // 2
        rows[row][1:] = [(" " * left, ""), (line, MUTED), (" " * (inner - left - len(line)), "")]
    return [*rows, [(" " * gutter + "\u2514" + "\u2500" * inner, AXIS)]]


def spark(values: Sequence[float | None], width: int) -> str:
    """The newest values in one line, each as eighths of a block; a gap is a space."""
    shown = values[-width:] if width > 0 else []
    finite = [value for value in shown if value is not None]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    span = (high - low) or 1.0
    return "".join(" " if value is None else _EIGHTHS[round(7 * (value - low) / span)] for value in shown)


def y_range(curves: Sequence[Curve], x0: float, x1: float, *, log: bool) -> Span | None:
    """The smallest and largest y of all curves between x0 and x1, and of the points that lines lead to from there."""
    found = [span for curve in curves if (span := curve.series.y_bounds(x0, x1, log, joined=True))]
    return (min(low for low, _ in found), max(high for _, high in found)) if found else None


def row_of(view: PlotView, y: float, height: int) -> int:
    """The row of cells of a y, counted from the top."""
    return min(height - 1, max(0, int((1 - view.up(y)) * height)))


def column_of(view: PlotView, x: float, width: int) -> int:
    """The column of cells of an x, counted from the left."""
    return min(width - 1, max(0, int(view.across(x) * width)))


def _write_gap(raster: Raster, view: PlotView, gap: tuple[float, str]) -> None:
    """What is missing, on the side where there is room."""
    words, column = gap[1], column_of(view, gap[0], raster.width)
    room = max(column, raster.width - column - 1)
    shown = words if len(words) <= room else words.partition(" ")[0][:room]
    right = column + 1 + len(shown) <= raster.width
    raster.write(0, column + 1 if right else column - len(shown), shown, BAD)


def _y_ticks(view: PlotView, height: int, percent: bool) -> tuple[list[float], list[str]]:
    """At most one in two rows, a little closer in the smallest charts; about eight in a large one."""
    most = min(8, max(2, height // 2 if height >= 8 else int(height / 1.75)))
    if view.log_y:
        numbers = axes.logarithmic(view.y0, view.y1, most)
        return numbers, [compact(number, percent=percent) for number in numbers]
    tried = (axes.linear(view.y0, view.y1, count, quarters=percent) for count in range(most, max(most, height - 1) + 1))
    numbers = next((found for found in tried if len(found) > 1), [])
    return numbers, axes.labels(numbers, percent=percent)


def _y_axis(name: str | None, gutter: int) -> Row:
    if name is None:
        return [(" " * gutter + "\u2502", AXIS)]
    return [(name[:gutter].rjust(gutter), LABEL), ("\u2524", AXIS)]


def _x_axis(view: PlotView, gutter: int, width: int, label: str) -> Row:
    """One row: the line, with the first, a round middle and the last x written into it."""
    span = view.x1 - view.x0
    left, right = (  # without digits that no one can see
        position(round(x) if span > 20 and abs(x) < 1e9 else float(f"{x:.4g}")) for x in (view.x0, view.x1)
    )
    inside = axes.logarithmic(view.x0, view.x1, 9) if view.log_x else axes.linear(view.x0, view.x1, 9)
    row: Row = [(" " * gutter + "\u2514", AXIS)]
    if len(left) + len(right) + 3 > width:
        return [*row, (right.rjust(width, "\u2500")[-width:], LABEL)]
    row.append((left + " ", LABEL))
    filled, end = len(left) + 1, width - len(right) - 1
    for x in sorted(inside, key=lambda x: abs(view.across(x) - 0.5)):
        words = f" {label} {position(x)} "
        start = int(view.across(x) * width) - len(words) // 2
        if filled < start and start + len(words) < end:
            row += [("\u2500" * (start - filled), AXIS), (words, LABEL)]
            filled = start + len(words)
            break
    return [*row, ("\u2500" * (end - filled), AXIS), (" " + right, LABEL)]


@dataclass(frozen=True, kw_only=True, slots=True)
class NamedPoint:
    """One name at (x, y); `ends` are those of its error bar, `key` that of its style."""

    name: str
    key: str
    x: float
    y: float
    ends: tuple[float, float]


def scatter(points: Sequence[NamedPoint], size: tuple[int, int]) -> list[Row]:
    """Draw at least one point; `size` is width and height with the axes, from 16 x 5 on."""
    width, height = size
    (x0, x1), (y0, y1) = _span([p.x for p in points]), _span([y for p in points for y in (p.y, *p.ends)])
    view = PlotView(x0=x0, x1=x1, y0=y0, y1=y1)
    numbers = _numbers(y0, y1, max(2, (height - 2) // _TALL))
    gutter = max(len(name) for _, name in numbers)
    raster = Raster(max(1, width - gutter - 1), max(1, height - 2))
    places = [(row_of(view, p.y, raster.height), column_of(view, p.x, raster.width)) for p in points]
    bars = set[tuple[int, int]]()
    for point, (_, column) in zip(points, places, strict=True):
        high, low = (row_of(view, y, raster.rows) for y in point.ends[::-1])
        raster.column(2 * column, high, low, raster.pen(point.key))
        bars |= {(row, column) for row in range(high // 4, low // 4 + 1)}
    _write_names(points, places, bars, raster)
    for point, place in zip(points, places, strict=True):
        raster.write(*place, DOT, point.key)
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
    points: Sequence[NamedPoint], places: Sequence[tuple[int, int]], bars: set[tuple[int, int]], raster: Raster
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
