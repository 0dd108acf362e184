"""Named points with error bars between two axes, as rows of characters for a terminal.

Each point is a letter with its bars; what the letters mean stands beside or below, which is the caller's business.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from crdnd_tui.chart import frame
from crdnd_tui.chart.curves import View

_WIDE = 12  # cells from one number of the x axis to the next, at least


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
    view = frame.view(points)
    tall = max(4, height - 2)
    names = frame.numbers(view.y0, view.y1, max(2, tall // 3))
    gutter = max(len(name) for _, name in names)
    inside = (max(8, width - gutter - 1), tall)
    cells = _cells(points, view, inside, ascii_only=ascii_only)
    at = {frame.row(view, y, tall): name for y, name in names}
    wall, tee, corner, floor = ("|", "+", "+", "-") if ascii_only else ("\u2502", "\u2524", "\u2514", "\u2500")
    rows: list[Row] = []
    for row in range(inside[1]):
        name = at.get(row, "")
        rows.append([(name.rjust(gutter) + (tee if name else wall), ""), *_runs(cells, row, inside[0])])
    rows.append([(" " * gutter + corner + floor * inside[0], "")])
    rows.append([(" " * (gutter + 1) + frame.below(view, inside[0], _WIDE).rstrip(), "")])
    return rows


def _cells(
    points: Sequence[Point], view: View, inside: tuple[int, int], *, ascii_only: bool
) -> dict[tuple[int, int], tuple[str, str]]:
    """(row, column) -> a character and the letter it belongs to; letters above bars."""
    cells: dict[tuple[int, int], tuple[str, str]] = {}
    bar = "|" if ascii_only else "\u2502"
    for point in points:
        column, ends = frame.column(view, point.x, inside[0]), [frame.row(view, y, inside[1]) for y in point.ends]
        cells |= {(row, column): (bar, point.letter) for row in range(min(ends), max(ends) + 1)}
    for point in points:
        place = frame.row(view, point.y, inside[1]), frame.column(view, point.x, inside[0])
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
