"""Curves, bands, axes and markers as rows of characters; which colour a key has is the widget's business.

Later curves lie above earlier ones and take whole cells, so that no colour bleeds into another.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from crdnd_tui.chart import ticks
from crdnd_tui.chart.curves import Curve, View, trace
from crdnd_tui.chart.raster import Mark, Markers, Raster, Run
from crdnd_tui.chart.series import Span
from crdnd_tui.core.format import compact, position

Row = list[Run]


class Picture(NamedTuple):
    """Rows, and between which cells the curves lie."""

    rows: list[Row]
    left: int
    width: int


AXIS, LABEL, CROSS, BAD, MUTED = "axis", "label", "cross", "bad", "muted"  # keys of styles
_STRETCH = 1.2  # of an axis, at most, for the sake of its ticks
_EIGHTHS = "\u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """What stands around and between the curves."""

    x_label: str = "step"
    percent: bool = False
    cross: float | None = None  # x of the crosshair
    gap: tuple[float, str] | None = None  # x of a gap, and what to write beside it
    verticals: Sequence[tuple[float, str]] = ()  # x and key
    levels: Sequence[tuple[float, str]] = ()  # y and key
    gutter: int = 0  # cells left of the axis, at least


def draw(
    curves: Sequence[Curve], view: View, size: tuple[int, int], frame: Frame, markers: Markers = "braille"
) -> Picture:
    """`size` is width and height with the axes. Bands lie behind all, later lines above earlier ones."""
    width, height = size
    numbers, names = _y_ticks(view, height - 1, frame.percent)
    gutter = min(max([frame.gutter, *map(len, names)]), max(0, width - 8))
    raster = Raster(max(1, width - gutter - 1), max(1, height - 1), markers)
    for curve in curves:
        if curve.kind == "band":
            trace(raster, curve, view)
    _markers(raster, view, frame)
    for curve in curves:
        if curve.kind != "band":
            trace(raster, curve, view)
    if frame.gap is not None:
        _say_gap(raster, view, frame.gap)
    at = {_row_of(view, number, raster): name for number, name in zip(numbers, names, strict=True)}
    rows = [_y_axis(at.get(row), gutter) + raster.runs(row) for row in range(raster.height)]
    rows.append(_x_axis(view, gutter, raster.width, frame.x_label))
    return Picture(rows, gutter + 1, raster.width)


def settled(view: View, height: int, *, percent: bool) -> View:
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
    said = textwrap.wrap(words, max(1, inner - 2))[:high]
    for row, line in enumerate(said, (high - len(said)) // 2):
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
        values = [y for _, y in points if y is not None and (y > 0 or not log)]
        span = curve.series.y_bounds(x0, x1, positive_only=log)
        found += [(value, value) for value in values] + ([span] if span else [])
    return (min(low for low, _ in found), max(high for _, high in found)) if found else None


def _row_of(view: View, y: float, raster: Raster) -> int:
    """The cell row of a y."""
    row = round((1 - view.up(y)) * (raster.rows - 1)) * raster.height // raster.rows
    return min(raster.height - 1, max(0, row))


def _markers(raster: Raster, view: View, frame: Frame) -> None:
    """Levels, verticals and the crosshair, over the bands and under the lines."""
    for y, key in frame.levels:
        if 0 <= view.up(y) <= 1:
            for column in range(raster.width):
                raster.over(_row_of(view, y, raster), column, Mark("\u2508", key))
    gap = [(frame.gap[0], BAD)] if frame.gap else []
    cross = [(frame.cross, CROSS)] if frame.cross is not None else []
    for x, key in [*frame.verticals, *gap, *cross]:
        share = view.across(x)
        if 0 <= share <= 1:
            column = min(raster.width - 1, int(share * raster.width))
            for row in range(raster.height):
                raster.over(row, column, Mark("\u2502" if key == CROSS else "\u250a", key))


def _say_gap(raster: Raster, view: View, gap: tuple[float, str]) -> None:
    """What is missing, on the side where there is room."""
    x, words = gap
    column = min(raster.width - 1, int(view.across(x) * raster.width))
    room = max(column, raster.width - column - 1)
    said = words if len(words) <= room else words.partition(" ")[0][:room]
    right = column + 1 + len(said) <= raster.width
    raster.write(0, column + 1 if right else column - len(said), said, BAD)


def _y_ticks(view: View, height: int, percent: bool) -> tuple[list[float], list[str]]:
    """At most one in two rows, a little closer in the smallest charts; about eight in a large one."""
    most = min(8, max(2, height // 2 if height >= 8 else int(height / 1.75)))
    if view.log_y:
        numbers = ticks.logarithmic(view.y0, view.y1, most)
        return numbers, [compact(number, percent=percent) for number in numbers]
    tried = (
        ticks.linear(view.y0, view.y1, count, quarters=percent) for count in range(most, max(most, height - 1) + 1)
    )
    numbers = next((found for found in tried if len(found) > 1), [])
    return numbers, ticks.labels(numbers, percent=percent)


def _y_axis(name: str | None, gutter: int) -> Row:
    if name is None:
        return [(" " * gutter + "\u2502", AXIS)]
    return [(name[:gutter].rjust(gutter), LABEL), ("\u2524", AXIS)]


def _x_axis(view: View, gutter: int, width: int, label: str) -> Row:
    """One row: the line, with the first, a round middle and the last x written into it."""
    left, right = position(_tidy(view.x0, view)), position(_tidy(view.x1, view))
    inside = ticks.logarithmic(view.x0, view.x1, 9) if view.log_x else ticks.linear(view.x0, view.x1, 9)
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


def _tidy(x: float, view: View) -> float:
    """An end of the axis without digits that no one can see."""
    span = view.x1 - view.x0
    return round(x) if span > 20 and abs(x) < 1e9 else float(f"{x:.4g}")
