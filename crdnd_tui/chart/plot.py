"""Curves, bands, axes and markers as rows of Braille characters; which colour a key has is the widget's business.

Dots of two curves never share a cell, so no colour bleeds into another: what is drawn later takes the whole of it.
Lines that run through the same cells take turns.
"""

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from crdnd_tui.chart import axes
from crdnd_tui.chart.axes import PlotView
from crdnd_tui.chart.series import Series, Span
from crdnd_tui.core.format import compact, position

if TYPE_CHECKING:
    from numpy import ndarray

Markers = Literal["braille", "ascii"]
Row = list[tuple[str, str]]  # characters, and the key of their style

AXIS, LABEL, CROSS, BAD, MUTED = "axis", "label", "cross", "bad", "muted"  # keys of styles
DOT = "\u25cf"
_BITS = {"braille": ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80)), "ascii": ((1,),)}  # by column, from the top
_EIGHTHS = "\u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"
_SAME = re.compile(rb"(.)\1*", re.DOTALL)
_TURN = 2  # cells after which lines in the same cells take turns
_STEEP = 3  # dots in one column from which a stroke of a dashed line has no gaps
_STRETCH = 1.2  # of an axis, at most, for the sake of its ticks


class Raster:
    """`width` x `height` cells; dots are counted from the top left."""

    def __init__(self, width: int, height: int, markers: Markers = "braille") -> None:
        self.width, self.height, self.markers = width, height, markers
        self._across, self._down = len(_BITS[markers]), len(_BITS[markers][0])
        self.columns, self.rows = width * self._across, height * self._down
        self._bits, self._owner = bytearray(width * height), bytearray(width * height)
        self._keys, self._letters = [""], [" "]
        self._lines = [0]  # of each pen: which line it is, counted from one; 0 is none
        self._marks: dict[int, str] = {}  # cell -> the character there

    def pen(self, key: str, letter: str = "*", *, line: bool = False) -> int:
        """What the next dots belong to; the letter stands for a dot in ASCII, and lines take turns."""
        self._keys.append(key)
        self._letters.append(letter)
        self._lines.append(max(self._lines) + 1 if line else 0)
        return len(self._keys) - 1

    def column(self, x: int, top: int, bottom: int, pen: int) -> None:
        """All dots of one dot column from `top` down to `bottom`, both included; what lies outside is cut off."""
        top, bottom = max(0, top), min(self.rows - 1, bottom)
        if not 0 <= x < self.columns or top > bottom:
            return
        cell, rest = divmod(x, self._across)
        bits, owner, line, turn = _BITS[self.markers][rest], self._owner, self._lines[pen], cell // _TURN
        for row in range(top // self._down, bottom // self._down + 1):
            at, first = row * self.width + cell, row * self._down
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
        owner = bytes(self._owner[cells.start : cells.stop])
        line = [
            self._marks.get(cell, " ") if not (bits := self._bits[cell])
            else chr(0x2800 + bits) if self.markers == "braille" else self._letters[self._owner[cell]]
            for cell in cells
        ]  # fmt: skip
        return [("".join(line[m.start() : m.end()]), self._keys[owner[m.start()]]) for m in _SAME.finditer(owner)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """One series and how it is drawn: its range in each column; `ends`: its last value there; `band`: quietly."""

    series: Series
    key: str
    kind: Literal["line", "band", "ends"] = "line"
    dash: int = 0  # 0 is solid; more cuts the line in shorter pieces
    letter: str = "*"  # its dots in ASCII


class Stretch(NamedTuple):
    """Dots of one column, from the top."""

    x: int
    top: int
    bottom: int


def _shares(values: "ndarray[Any, Any]", low: float, high: float, *, log: bool) -> "ndarray[Any, Any]":
    """Where values lie between two ends, 0 to 1; NaN where a logarithm has no value."""
    import numpy as np  # noqa: PLC0415  nothing is drawn at start

    if log:
        values, low, high = np.log10(np.where(values > 0, values, np.nan)), np.log10(low), np.log10(high)
    return (values - low) / (high - low) if high > low else values * 0 + 0.5


def stretches(curve: Curve, view: PlotView, columns: int, rows: int) -> Iterator[Stretch]:
    """The dots of a curve: the range of its values in each column, straight lines where a column has none.

    Neighbouring columns are joined, but not over a gap: a value that is not finite, or not positive on a log axis.
    """
    import numpy as np  # noqa: PLC0415  nothing is drawn at start

    x, y = curve.series.arrays()
    u = np.clip(_shares(x, view.x0, view.x1, log=view.log_x) * columns, -1e6, 1e6)
    v = np.clip((1 - _shares(y, view.y0, view.y1, log=view.log_y)) * (rows - 1), -1e9, 1e9)
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
    before: Stretch | None = None
    for k in np.flatnonzero(drawn).tolist():
        here = Stretch(k, round(top[k]), round(bottom[k]))
        if before is not None and before.x == k - 1 and not (gap[k] or gap[k - 1]):
            yield Stretch(k, min(here.top, before.bottom + 1), max(here.bottom, before.top - 1))
        else:
            yield here
            if here.top == here.bottom and not drawn[k + 1] and min(rows, columns) > 1:  # alone: drawn twice as wide
                high = here.top - (here.top % 4 == 3)
                yield from (Stretch(x, high, high + 1) for x in (k, k + (1 if k % 2 == 0 else -1)))
        before = here


def trace(raster: Raster, curve: Curve, view: PlotView) -> None:
    """Draw one curve over what is there."""
    pen = raster.pen(curve.key, curve.letter, line=curve.kind != "band")
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
class Frame:
    """What stands around and between the curves."""

    x_label: str = "step"
    percent: bool = False
    cross: float | None = None  # x of the crosshair
    gap: tuple[float, str] | None = None  # x of a gap, and what to write beside it


def draw(
    curves: Sequence[Curve], view: PlotView, size: tuple[int, int], frame: Frame, markers: Markers = "braille"
) -> DrawnChart:
    """`size` is width and height with the axes. Bands lie behind all, later lines above earlier ones."""
    width, height = size
    numbers, names = _y_ticks(view, height - 1, frame.percent)
    gutter = min(max(map(len, names), default=0), max(0, width - 8))
    raster = Raster(max(1, width - gutter - 1), max(1, height - 1), markers)
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
    """The smallest and largest y of all curves between x0 and x1, and of the points next to them."""
    found: list[Span] = []
    for curve in curves:
        points = curve.series.around(x0, x1) if curve.series.count(x0, x1) < 2 else []
        span = curve.series.y_bounds(x0, x1, positive_only=log)
        found += [(y, y) for _, y in points if y is not None and (y > 0 or not log)] + ([span] if span else [])
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
