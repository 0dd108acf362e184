"""A heat map of a square matrix, with its numbers where they fit, and the scale of its colours beside it."""

import math
from collections.abc import Sequence

from crdnd_tui.core.text import one_line
from crdnd_tui.write import svg_axes, svg_ink
from crdnd_tui.write.document import Figure
from crdnd_tui.write.svg_ink import STEPS, Ink

LABEL, VALUE = 11.0, 11.0  # font sizes
_LONGEST = 16  # characters of a class
_SHORT = 26.0  # pixels of a name that need not be turned
_SCALE = 58.0  # pixels of the colours' scale and its numbers


def matrix(figure: Figure, width: float, height: float, top: float, ink: Ink) -> list[str]:
    """Cells, the names of rows and columns, the scale. Cells of nothing are left empty."""
    many = max(len(figure.matrix), 1)
    names = [one_line(name, _LONGEST) for name in figure.labels]
    widest = max((svg_ink.width_of(name, LABEL) for name in names), default=0)
    left, right = 30 * bool(figure.y) + min(widest + 10, 0.3 * width), _SCALE + 12
    side = min(width - left - right, height - top - 24 * bool(figure.x) - 22) / many
    upright = _upright(widest, side)
    if upright:
        side = min(side, (height - top - 24 * bool(figure.x) - 12 - widest * 0.75) / many)
    cells = Cells(figure.matrix)
    drawn = _cells(cells, left, top, side, ink)
    drawn.append(_edge(left, top, side * many, ink))
    drawn += _rows_named(names, left, top, side, ink)
    drawn += _columns_named(names, left, top + side * many, side, ink, turned=upright, widest=widest)
    if figure.x:
        y = top + side * many + (widest * 0.72 + 30 if upright else 38)
        drawn.append(svg_ink.text(left + side * many / 2, y, figure.x, fill=ink.muted, size=12.5, anchor="middle"))
    if figure.y:
        y = top + side * many / 2
        turned = f' transform="rotate(-90 14 {svg_ink.number(y)})"'
        drawn.append(svg_ink.text(14, y, figure.y, fill=ink.muted, size=12.5, anchor="middle", more=turned))
    return drawn + _colours(cells, left + side * many + 14, top, side * many, ink)


class Cells:
    """The numbers, how they are written, and their places on the scale."""

    def __init__(self, rows: Sequence[Sequence[float]]) -> None:
        self.rows = rows
        known = [abs(value) for row in rows for value in row if svg_axes.drawable(value)]
        self.largest = max(known, default=0.0)
        self.signed = any(value < 0 for row in rows for value in row)
        self._whole = all(value == int(value) for value in known)
        self.longest = max((len(self.words(value)) for row in rows for value in row), default=1)

    def words(self, value: float) -> str:
        """Whole numbers as such; shares without their leading zero; empty for what rounds to nothing."""
        if not svg_axes.drawable(value):
            return "?"
        if self.largest >= 1e6:
            return f"{value:.2g}".replace("-", "\N{MINUS SIGN}") if value else ""
        if self._whole:
            return f"{value:.0f}".replace("-", "\N{MINUS SIGN}") if value else ""
        words = f"{value:.1f}" if self.largest > 10 else f"{value:.2f}"
        if not words.strip("-0."):
            return ""
        words = words.replace("-", "\N{MINUS SIGN}")
        return words.replace("0.", ".", 1) if abs(value) < 1 and self.largest <= 10 else words

    def colours(self, value: float, ink: Ink) -> tuple[str, str]:
        """Ground and words; the page's own for nothing."""
        if not svg_axes.drawable(value) or value == 0 or not self.largest:
            return "none", ink.muted
        share = value / self.largest
        return ink.sign(share) if self.signed else ink.shade(share)


def _cells(cells: Cells, left: float, top: float, side: float, ink: Ink) -> list[str]:
    size = min(VALUE, side * 0.5)
    told = size >= 7 and svg_ink.width_of("0" * cells.longest, size) <= side - 2
    drawn = []
    for r, row in enumerate(cells.rows):
        for c, value in enumerate(row):
            ground, words = cells.colours(value, ink)
            x, y = left + c * side, top + r * side
            if ground != "none":
                drawn.append(svg_ink.rectangle(x, y, side, side, ground))
            if told and cells.words(value):
                middle = y + side / 2 + size * 0.36
                drawn.append(
                    svg_ink.text(x + side / 2, middle, cells.words(value), fill=words, size=size, anchor="middle")
                )
    return drawn


def _edge(left: float, top: float, side: float, ink: Ink) -> str:
    number = svg_ink.number
    corner = f'x="{number(left)}" y="{number(top)}" width="{number(side)}" height="{number(side)}"'
    return f'<rect {corner} fill="none" stroke="{ink.faint}"/>'


def _upright(widest: float, side: float) -> bool:
    """Whether the columns' names do not fit beside each other, and are not so short that some can be left out."""
    return widest > side - 4 and widest > _SHORT


def _rows_named(names: Sequence[str], left: float, top: float, side: float, ink: Ink) -> list[str]:
    """As many as there is room for."""
    every = max(1, math.ceil(13 / max(side, 0.01)))
    return [
        svg_ink.text(left - 7, top + (k + 0.5) * side + 4, names[k], fill=ink.text, size=LABEL, anchor="end")
        for k in range(0, len(names), every)
    ]


def _columns_named(
    names: Sequence[str], left: float, end: float, side: float, ink: Ink, *, turned: bool, widest: float
) -> list[str]:
    every = max(1, math.ceil((13 if turned else widest + 6) / max(side, 0.01)))
    drawn = []
    for k in range(0, len(names), every):
        x = left + (k + 0.5) * side
        anchor, y, turn = "middle", end + 16, ""
        if turned:
            x, y, anchor = x + 4, end + 12, "end"
            turn = f' transform="rotate(-45 {svg_ink.number(x)} {svg_ink.number(y)})"'
        drawn.append(svg_ink.text(x, y, names[k], fill=ink.text, size=LABEL, anchor=anchor, more=turn))
    return drawn


def _colours(cells: Cells, x: float, top: float, length: float, ink: Ink) -> list[str]:
    """The scale, highest on top, with its ends."""
    if not cells.largest:
        return []
    grounds = [ground for ground, _ in (ink.signed if cells.signed else ink.ramp)]
    tall = min(length, 200.0)
    each = tall / len(grounds)
    drawn = [
        svg_ink.rectangle(x, top + tall - (k + 1) * each, 10, each + 0.4, ground) for k, ground in enumerate(grounds)
    ]
    low = -cells.largest if cells.signed else 0.0
    for value, y in ((cells.largest, top + 9), (low, top + tall)):
        drawn.append(svg_ink.text(x + 15, y, cells.words(value) or "0", fill=ink.muted, size=LABEL))
    return drawn


def height_of(figure: Figure, width: float, top: float) -> float:
    """Pixels at which cells are square and numbers fit as well as the width allows."""
    many = max(len(figure.matrix), 1)
    widest = max((svg_ink.width_of(one_line(name, _LONGEST), LABEL) for name in figure.labels), default=0)
    room = width - 30 * bool(figure.y) - min(widest + 10, 0.3 * width) - _SCALE - 12
    side = min(room, max(300.0, 44.0 * min(many, STEPS)))
    names = widest * 0.75 + 12 if _upright(widest, side / many) else 22
    return top + side + names + 24 * bool(figure.x)
