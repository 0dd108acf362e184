"""Named points with error bars between two axes, as rows of characters for a terminal.

Each point is a letter with its bars; what the letters mean stands beside or below, which is the caller's business.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from crdnd_tui.plots import ticks
from crdnd_tui.plots.curves import View

_MARGIN = 0.08  # of the span, around all points
_LEAST = 4.0  # units that an axis spans at least: points of per cent


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """One letter, and where its error bar begins and ends."""

    letter: str
    x: float
    y: float
    ends: tuple[float, float]


Row = list[tuple[str, str]]  # characters, and the letter whose point they belong to; empty for axes


def scatter(points: Sequence[Point], size: tuple[int, int], *, ascii_only: bool) -> list[Row]:
    """At least one point; `size` is width and height with the axes. Letters that share a cell become `*`."""
    width, height = size
    view = _view(points)
    tall = max(4, height - 2)
    names = _numbers(view.y0, view.y1, max(2, tall // 3))
    gutter = max(len(name) for _, name in names)
    inside = (max(8, width - gutter - 1), tall)
    cells = _cells(points, view, inside, ascii_only=ascii_only)
    at = {_down(view, y, tall): name for y, name in names}
    wall, tee, corner, floor = ("|", "+", "+", "-") if ascii_only else ("\u2502", "\u2524", "\u2514", "\u2500")
    rows: list[Row] = []
    for row in range(inside[1]):
        name = at.get(row, "")
        rows.append([(name.rjust(gutter) + (tee if name else wall), ""), *_runs(cells, row, inside[0])])
    rows.append([(" " * gutter + corner + floor * inside[0], "")])
    rows.append([(" " * (gutter + 1) + _x_names(view, inside[0]), "")])
    return rows


def _view(points: Sequence[Point]) -> View:
    def span(ends: list[float]) -> tuple[float, float]:
        low, high = min(ends), max(ends)
        middle, reach = (low + high) / 2, max((high - low) * (0.5 + _MARGIN), _LEAST / 2)
        return middle - reach, middle + reach

    x0, x1 = span([point.x for point in points])
    y0, y1 = span([v for point in points for v in (point.y, *point.ends)])
    return View(x0=x0, x1=x1, y0=y0, y1=y1)


def _cells(
    points: Sequence[Point], view: View, inside: tuple[int, int], *, ascii_only: bool
) -> dict[tuple[int, int], tuple[str, str]]:
    """(row, column) -> a character and the letter it belongs to; letters above bars."""
    cells: dict[tuple[int, int], tuple[str, str]] = {}
    bar = "|" if ascii_only else "\u2502"
    for point in points:
        column, ends = _along(view, point.x, inside[0]), [_down(view, y, inside[1]) for y in point.ends]
        cells |= {(row, column): (bar, point.letter) for row in range(min(ends), max(ends) + 1)}
    for point in points:
        place = _down(view, point.y, inside[1]), _along(view, point.x, inside[0])
        taken = cells.get(place, ("", ""))[0]
        cells[place] = ("*", "") if taken.isalnum() or taken == "*" else (point.letter, point.letter)
    return cells


def _runs(cells: dict[tuple[int, int], tuple[str, str]], row: int, width: int) -> Row:
    found: Row = []
    for column in range(width):
        character, letter = cells.get((row, column), (" ", ""))
        if found and found[-1][1] == letter:
            found[-1] = (found[-1][0] + character, letter)
        else:
            found.append((character, letter))
    return found


def _numbers(low: float, high: float, most: int) -> list[tuple[float, str]]:
    numbers = ticks.linear(low, high, most)
    return list(zip(numbers, ticks.labels(numbers), strict=True)) or [(low, f"{low:.1f}")]


def _x_names(view: View, width: int) -> str:
    """Ticks where they belong, as far as they do not touch."""
    line = [" "] * width
    for x, name in _numbers(view.x0, view.x1, max(2, width // 12)):
        start = min(width - len(name), max(0, _along(view, x, width) - len(name) // 2))
        if all(c == " " for c in line[max(0, start - 1) : start + len(name) + 1]):
            line[start : start + len(name)] = name
    return "".join(line).rstrip()


def _along(view: View, x: float, width: int) -> int:
    return min(width - 1, max(0, int(view.across(x) * width)))


def _down(view: View, y: float, height: int) -> int:
    return min(height - 1, max(0, int((1 - view.up(y)) * height)))
