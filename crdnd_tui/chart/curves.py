"""Curves on a raster: many points as the range in each column of dots, few as straight lines.

A band of few points is their line, drawn as quietly as the band: ranges that do not touch would stand about alone.

A point that is not finite, or not positive on a logarithmic axis, is a gap: the curve stops and begins again.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from crdnd_tui.chart.raster import Raster
from crdnd_tui.chart.series import Series, Span

Stretch = tuple[int, int, int]  # dot column, and its first and last dot from the top


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """What lies between the axes, in the numbers of the data."""

    x0: float
    x1: float
    y0: float
    y1: float
    log_x: bool = False
    log_y: bool = False

    def across(self, x: float) -> float:
        """How far to the right, as a share of the width."""
        return _share(x, self.x0, self.x1, self.log_x)

    def up(self, y: float) -> float:
        """How far up, as a share of the height."""
        return _share(y, self.y0, self.y1, self.log_y)

    def x_at(self, share: float) -> float:
        """The x at a share of the width."""
        if self.log_x:
            start = math.log10(self.x0)
            return float(10 ** (start + (math.log10(self.x1) - start) * share))
        return self.x0 + (self.x1 - self.x0) * share

    def edges(self, columns: int) -> list[float]:
        """Where columns begin and the last one ends."""
        if self.log_x:
            return [self.x_at(k / columns) for k in range(columns)] + [self.x1]
        start, step = self.x0, (self.x1 - self.x0) / columns
        return [start + step * k for k in range(columns)] + [self.x1]


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """One series and how it is drawn: as a line, as the band between its extremes, or by the last value per column."""

    series: Series
    key: str
    kind: Literal["line", "band", "ends"] = "line"
    dash: int = 0  # 0 is solid; more cuts the line in shorter pieces
    letter: str = "*"  # its dots in ASCII


_STEEP = 3  # dots in one column from which a stroke has no gaps: it might lie in one of them as a whole
_DENSE = 8  # points in a column of dots from which a band is drawn as bars


def trace(raster: Raster, curve: Curve, view: View) -> None:
    """Draw one curve over what is there."""
    pen = raster.pen(curve.key, curve.letter, line=curve.kind != "band")
    many = curve.series.count(view.x0, view.x1)
    sparse = many <= raster.columns
    if curve.kind == "band" and many > _DENSE * raster.columns:
        _band(raster, curve, view, pen)
        return
    spans = _polyline(raster, curve, view) if sparse else _columns(raster, curve, view)
    on = max(1, 8 // curve.dash) if curve.dash else 0
    for x, top, bottom in spans:
        if not on or bottom - top > _STEEP or (x % (on + max(1, on // 2))) < on:
            raster.column(x, top, bottom, pen)


def _band(raster: Raster, curve: Curve, view: View, pen: int) -> None:
    """The range in each column of cells: a finer one would cost more, and lines take whole cells of it anyway."""
    to_row = _rows(raster, view)
    for cell, span in enumerate(curve.series.cut(view.edges(raster.width), view.log_y)):
        if span is not None:
            raster.bar(cell, round(to_row(span[1])), round(to_row(span[0])), pen)


def _columns(raster: Raster, curve: Curve, view: View) -> Iterator[Stretch]:
    """Many points in each column: their range, and what joins it to the column before."""
    to_row = _rows(raster, view)
    edges = view.edges(raster.columns)
    broken = curve.series.broken(edges)
    before: Stretch | None = None
    for x, (low, high) in _extremes(curve, edges, view.log_y):
        bottom = round(to_row(low))
        top = bottom if high == low else round(to_row(high))
        if before and not any(broken[before[0] : x + 1]):
            yield from _joined(before, x, top, bottom)
        yield x, top, bottom
        before = x, top, bottom


def _extremes(curve: Curve, edges: list[float], log_y: bool) -> Iterator[tuple[int, Span]]:
    """Columns that hold something to draw."""
    if curve.kind == "ends":
        for x, y in enumerate(curve.series.ends(edges)):
            if y is not None and (y > 0 or not log_y):
                yield x, (y, y)
        return
    for x, span in enumerate(curve.series.cut(edges, log_y)):
        if span is not None:
            yield x, span


def _joined(before: Stretch, x: int, top: int, bottom: int) -> Iterator[Stretch]:
    """The dots between two columns that do not touch."""
    last, high, low = before
    if x - last > 1:
        yield from _segment(last, (high + low) / 2, x, (top + bottom) / 2)
    elif top > low + 1:
        yield x, low + 1, top
    elif bottom < high - 1:
        yield x, bottom, high - 1


def _polyline(raster: Raster, curve: Curve, view: View) -> Iterator[Stretch]:
    """No more points than columns: straight lines between them, also to the next one outside the view."""
    to_row, columns = _rows(raster, view), raster.columns
    before: tuple[float, float] | None = None
    alone = False
    for x, y in curve.series.around(view.x0, view.x1):
        if y is None or (view.log_y and y <= 0) or (view.log_x and x <= 0):
            if before and alone:
                yield from _dot(raster, *before)
            before = None
            continue
        share = min(1e6, max(-1e6, view.across(x)))
        here = share * columns - 0.5 if share < 0 or share > 1 else min(columns - 1.0, max(0.0, share * columns - 0.5))
        row = min(1e9, max(-1e9, to_row(y)))
        if before:
            yield from _segment(*_cut(before, (here, row), columns))
        alone, before = before is None, (here, row)
    if before and alone:
        yield from _dot(raster, *before)


def _dot(raster: Raster, x: float, row: float) -> Iterator[Stretch]:
    """A point without neighbours, large enough to be seen."""
    thick = raster.markers == "braille"
    column, top = round(x), round(row)
    top -= thick and top % 4 == 3
    yield column, top, top + thick
    if thick and 0 <= column < raster.columns:
        yield column + (1 if column % 2 == 0 else -1), top, top + 1


def _cut(one: tuple[float, float], two: tuple[float, float], columns: int) -> tuple[float, float, float, float]:
    """The part of a straight line that can be seen, so that a far point costs no more than a near one."""
    (x0, y0), (x1, y1) = one, two
    slope = (y1 - y0) / (x1 - x0) if x1 > x0 else 0.0
    left, right = max(x0, -1.0), min(x1, float(columns))
    return left, y0 + slope * (left - x0), right, (y0 + slope * (right - x0) if x1 > x0 else y1)


def _segment(x0: float, y0: float, x1: float, y1: float) -> Iterator[Stretch]:
    """A straight line, as one vertical stretch in each column."""
    first, last = round(x0), round(x1)
    slope = (y1 - y0) / (x1 - x0) if x1 > x0 else 0.0
    for x in range(first, last + 1):
        if abs(slope) <= 1 and first < last:
            row = round(y0 + slope * (min(x1, max(x0, x)) - x0))
            yield x, row, row
            continue
        a = y0 if x == first else y0 + slope * (x - 0.5 - x0)
        b = y1 if x == last else y0 + slope * (x + 0.5 - x0)
        top, bottom = round(min(a, b)), round(max(a, b))
        yield x, top, max(top, bottom - (first < x < last))


def _rows(raster: Raster, view: View) -> Callable[[float], float]:
    """From y to the dot row, counted from the top."""
    last = raster.rows - 1
    if view.log_y:
        base, length = math.log10(view.y0), math.log10(view.y1) - math.log10(view.y0)
        return lambda y: last * (1 - (math.log10(y) - base) / length)
    top, scale = view.y1, last / (view.y1 - view.y0)
    return lambda y: (top - y) * scale


def _share(value: float, start: float, end: float, log: bool) -> float:
    if log:
        if value <= 0:
            return -math.inf
        value, start, end = math.log10(value), math.log10(start), math.log10(end)
    return (value - start) / (end - start) if end > start else 0.5
