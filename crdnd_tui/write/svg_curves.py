"""Curves with bands and gaps, points with error bars; each is named where it ends or stands, not in a legend."""

import math
from collections.abc import Sequence
from itertools import groupby

from crdnd_tui.core.text import one_line
from crdnd_tui.write import svg_axes, svg_ink
from crdnd_tui.write.document import Figure, Series
from crdnd_tui.write.numbers import marks
from crdnd_tui.write.svg_axes import Frame
from crdnd_tui.write.svg_ink import Ink, number

LABEL = 12.0  # font size
_LINE = 15.0  # pixels between two labels
_LONGEST = 30  # characters of a label
_DASHES = ' stroke-dasharray="6 4"'
_DOTS = ' stroke-dasharray="1 3"'
Box = tuple[float, float, float, float]  # left, top, right, bottom


def lines(figure: Figure, width: float, height: float, top: float, ink: Ink) -> list[str]:
    """All curves, their labels at the right end."""
    named = [series for series in figure.series if _last(series) is not None]
    right = 14 + max((svg_ink.width_of(_label(series), LABEL) for series in named), default=0) + 8 * bool(named)
    box = svg_axes.frame(
        figure, (width, height), top=top, right=min(right, 0.4 * width),
        x=_wide(svg_axes.extent((x for s in figure.series for x in s.x), tight=True)), y=_heights(figure.series),
    )  # fmt: skip
    drawn = svg_axes.axes(figure, box, ink)
    drawn += [_band(series, box, ink) for series in named if series.low and series.high]
    drawn += [part for series in named for part in _curve(series, box, ink)]
    ends = [_last(series) or (0.0, 0.0) for series in named]
    places = svg_axes.spread([box.down(y) for _, y in ends], _LINE, box.top, box.bottom)
    for series, (x, y), place in zip(named, ends, places, strict=True):
        start = box.across(x), box.down(y)
        far = box.right - start[0] > 2
        if far or abs(place - start[1]) > 4:
            ends_early = _DOTS if far else ""  # dots are no part of the curve
            to = (start[0] + 2, start[1], box.right + 6, place)
            drawn.append(svg_ink.line(to, ink.of(series.colour), thick=0.8, more=ends_early))
        drawn.append(svg_ink.text(box.right + 9, place + 4, _label(series), fill=ink.of(series.colour), size=LABEL))
    return drawn


def scatter(figure: Figure, width: float, height: float, top: float, ink: Ink) -> list[str]:
    """All points with vertical error bars, their labels where nothing else stands."""
    box = svg_axes.frame(
        figure, (width, height), top=top, right=24,
        x=svg_axes.extent((x for s in figure.series for x in s.x), room=0.04), y=_heights(figure.series),
    )  # fmt: skip
    drawn = svg_axes.axes(figure, box, ink)
    spots: list[tuple[Series, float, float]] = []
    for series in figure.series:
        for k, (x, y) in enumerate(zip(series.x, series.y, strict=True)):
            if svg_axes.drawable(x) and svg_axes.drawable(y):
                drawn += _whisker(series, k, box, ink)
                spots.append((series, box.across(x), box.down(y)))
    for series, x, y in spots:
        colours = ink.of(series.colour), ink.background
        inside, edge = colours if series.severity != "red" else colours[::-1]  # hollow: not believed
        drawn.append(
            f'<circle cx="{number(x)}" cy="{number(y)}" r="4.5" fill="{inside}" stroke="{edge}" stroke-width="1.2"/>'
        )
    return drawn + _beside(spots, box, ink)


def _heights(every: Sequence[Series]) -> tuple[float, float]:
    return svg_axes.extent(v for series in every for values in (series.y, series.low, series.high) for v in values)


def _wide(ends: tuple[float, float]) -> tuple[float, float]:
    return ends if ends[1] > ends[0] else (ends[0] - 0.5, ends[0] + 0.5)


def _last(series: Series) -> tuple[float, float] | None:
    """The last point that is one."""
    points = zip(reversed(series.x), reversed(series.y), strict=True)
    return next((p for p in points if svg_axes.drawable(p[0]) and svg_axes.drawable(p[1])), None)


def _label(series: Series) -> str:
    signs = marks(series)
    return f"{one_line(series.label, _LONGEST)} {signs}" if signs else one_line(series.label, _LONGEST)


def _pieces(series: Series) -> list[list[int]]:
    """Places of neighbouring points between two gaps."""
    known = [svg_axes.drawable(x) and svg_axes.drawable(y) for x, y in zip(series.x, series.y, strict=True)]
    return [list(places) for is_known, places in groupby(range(len(known)), key=known.__getitem__) if is_known]


def _curve(series: Series, box: Frame, ink: Ink) -> list[str]:
    colour, drawn = ink.of(series.colour), []
    for piece in _pieces(series):
        points = [f"{number(box.across(series.x[k]))},{number(box.down(series.y[k]))}" for k in piece]
        if len(piece) == 1:
            x, y = points[0].split(",")
            drawn.append(f'<circle cx="{x}" cy="{y}" r="2.5" fill="{colour}"/>')
        else:
            drawn.append(
                f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" stroke-width="1.9" '
                f'stroke-linejoin="round" stroke-linecap="round"{_DASHES if series.dashed else ""}/>'
            )
    return drawn


def _band(series: Series, box: Frame, ink: Ink) -> str:
    shapes = []
    for piece in _pieces(series):
        known = [k for k in piece if svg_axes.drawable(series.low[k]) and svg_axes.drawable(series.high[k])]
        there = [f"{number(box.across(series.x[k]))} {number(box.down(series.high[k]))}" for k in known]
        back = [f"{number(box.across(series.x[k]))} {number(box.down(series.low[k]))}" for k in reversed(known)]
        if len(known) > 1:
            shapes.append(f"M{'L'.join([*there, *back])}Z")
    return f'<path d="{"".join(shapes)}" fill="{ink.of(series.colour)}" fill-opacity="0.16"/>' if shapes else ""


def _whisker(series: Series, k: int, box: Frame, ink: Ink) -> list[str]:
    if k >= len(series.low) or k >= len(series.high):
        return []
    low, high = series.low[k], series.high[k]
    if not (svg_axes.drawable(low) and svg_axes.drawable(high)):
        return []
    x, colour = box.across(series.x[k]), ink.of(series.colour)
    ends = [svg_ink.line((x - 4, y, x + 4, y), colour) for y in (box.down(low), box.down(high))]
    return [svg_ink.line((x, box.down(low), x, box.down(high)), colour), *ends]


def _beside(spots: Sequence[tuple[Series, float, float]], box: Frame, ink: Ink) -> list[str]:
    """A label for each series, at the first free place around its first point; with a line where that is far off."""
    taken: list[Box] = [(x - 6, y - 6, x + 6, y + 6) for _, x, y in spots]
    drawn: list[str] = []
    told: set[int] = set()
    for series, x, y in spots:
        if id(series) in told:
            continue
        told.add(id(series))
        words = _label(series)
        wide = svg_ink.width_of(words, LABEL)
        place = next((b for b in _around(x, y, wide) if _inside(b, box) and not any(_meet(b, t) for t in taken)), None)
        if place is None:
            continue  # no room anywhere: rather none than two upon each other; the table has all
        taken.append(place)
        middle = (place[0] + place[2]) / 2, (place[1] + place[3]) / 2
        if math.dist(middle, (x, y)) > wide / 2 + 18:
            foot = min(max(x, place[0]), place[2]), place[3] if place[3] < y else place[1]
            drawn.append(svg_ink.line((x, y, *foot), ink.muted, thick=0.6))
        drawn.append(svg_ink.text(place[0], place[3] - 4, words, fill=ink.of(series.colour), size=LABEL))
    return drawn


def _around(x: float, y: float, wide: float) -> list[Box]:
    """Rectangles of a label: right, left, above, below, then the corners, ever further off."""
    found = []
    for reach in (9, 18, 30, 44, 60, 80, 105, 135):
        sides = ((reach, -7.5), (-reach - wide, -7.5), (-wide / 2, -reach - 14), (-wide / 2, reach - 2))
        corners = ((reach, -reach - 9), (-reach - wide, -reach - 9), (reach, reach - 6), (-reach - wide, reach - 6))
        found += [(x + dx, y + dy, x + dx + wide, y + dy + 15) for dx, dy in (*sides, *corners)]
    return found


def _inside(label: Box, box: Frame) -> bool:
    return (
        label[0] >= box.left + 2 and label[2] <= box.right + 20 and label[1] >= box.top - 8 and label[3] <= box.bottom
    )


def _meet(one: Box, two: Box) -> bool:
    return one[0] < two[2] and two[0] < one[2] and one[1] < two[3] and two[1] < one[3]
