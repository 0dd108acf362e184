"""Axes of SVG figures: from data to pixels, round ticks, quiet grid lines, titles with units."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from crdnd_tui.chart import axes as ticks
from crdnd_tui.write import svg_ink
from crdnd_tui.write.document import Figure
from crdnd_tui.write.svg_ink import Ink

LIMIT = 1e300  # what is larger is drawn nowhere: differences of it are no numbers
TICK, WORDS = 11.5, 12.5  # font sizes
ROOM = 64.0  # pixels between ticks of the x axis, at least
_LINE = 44.0  # between those of the y axis

Ends = tuple[float, float]  # of an axis


@dataclass(frozen=True, kw_only=True)
class Frame:
    """The plot's rectangle in pixels, and the data at its edges."""

    left: float
    top: float
    right: float
    bottom: float
    x: Ends
    y: Ends

    def across(self, x: float) -> float:
        """Pixels from the left."""
        low, high = self.x
        return self.left + (x - low) / (high - low) * (self.right - self.left)

    def down(self, y: float) -> float:
        """Pixels from the top."""
        low, high = self.y
        return self.bottom - (y - low) / (high - low) * (self.bottom - self.top)


def extent(values: Iterable[float], *, tight: bool = False, room: float = 0.0) -> tuple[float, float]:
    """Ends of an axis: the data's own where it is tight and there is more than one, else round numbers outside.

    `room` is left at both ends, as a share. Data from 0 to 100 get no axis beyond them: they are per cent.
    """
    known = [value for value in values if drawable(value)]
    if not known:
        return 0.0, 1.0
    low, high = min(known), max(known)
    if tight and high > low:
        return low, high
    edge = room * (high - low)
    down, up = ticks.bounds(low - edge, high + edge)
    return (max(down, 0.0) if low >= 0 else down), (min(up, 100.0) if high <= 100 < up else up)


def drawable(value: float) -> bool:
    """Whether it has a place on an axis."""
    return -LIMIT < value < LIMIT


def frame(figure: Figure, size: tuple[float, float], *, x: Ends, y: Ends, right: float, top: float) -> Frame:
    """The rectangle that is left when ticks, titles and labels have their room; `right` is the labels'."""
    width, height = size
    marks = written(ticks.linear(*y, _count(height, _LINE)))
    left = max((svg_ink.width_of(mark, TICK) for mark in marks), default=0) + 12 + (22 if figure.y else 0)
    return Frame(left=left, top=top, right=width - right, bottom=height - 26 - (20 if figure.x else 0), x=x, y=y)


def axes(figure: Figure, box: Frame, ink: Ink) -> list[str]:
    """Grid, ticks and titles; the curves go on top."""
    across = ticks.linear(*box.x, _count(box.right - box.left, ROOM))
    if all(value == int(value) for series in figure.series for value in series.x if math.isfinite(value)):
        across = [tick for tick in across if tick == int(tick)]  # there is no epoch 2.5
    upward = ticks.linear(*box.y, _count(box.bottom - box.top, _LINE))
    drawn = []
    for tick, words in zip(upward, written(upward), strict=True):
        y = box.down(tick)
        drawn.append(svg_ink.line((box.left, y, box.right, y), ink.faint, thick=0.6))
        drawn.append(svg_ink.text(box.left - 8, y + 4, words, fill=ink.muted, size=TICK, anchor="end"))
    drawn.append(svg_ink.line((box.left, box.bottom, box.right, box.bottom), ink.muted))
    for tick, words in zip(across, written(across), strict=True):
        x = box.across(tick)
        drawn.append(svg_ink.line((x, box.bottom, x, box.bottom + 4), ink.muted))
        drawn.append(svg_ink.text(x, box.bottom + 18, words, fill=ink.muted, size=TICK, anchor="middle"))
    return [*drawn, *titles(figure, box, ink)]


def written(values: Sequence[float]) -> list[str]:
    """Ticks in words, with a true minus."""
    return [words.replace("-", "\N{MINUS SIGN}") for words in ticks.labels(values)]


def titles(figure: Figure, box: Frame, ink: Ink, below: float = 38) -> list[str]:
    """Of both axes."""
    drawn = []
    if figure.x:
        middle = (box.left + box.right) / 2
        drawn.append(svg_ink.text(middle, box.bottom + below, figure.x, fill=ink.muted, size=WORDS, anchor="middle"))
    if figure.y:
        y = (box.top + box.bottom) / 2
        turned = f' transform="rotate(-90 14 {svg_ink.number(y)})"'
        drawn.append(svg_ink.text(14, y, figure.y, fill=ink.muted, size=WORDS, anchor="middle", more=turned))
    return drawn


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places as near to the wanted ones as they may be, at least `gap` apart, within the two ends.

    Where there is no room for all, they stand as far apart as they can.
    """
    order = sorted(range(len(wanted)), key=lambda k: wanted[k])
    gap = min(gap, (high - low) / max(1, len(wanted) - 1))
    groups: list[tuple[float, int]] = []  # (place of the first, how many), each as a whole where it hurts least
    for index in order:
        groups.append((wanted[index], 1))
        while len(groups) > 1 and groups[-2][0] + groups[-2][1] * gap > groups[-1][0]:
            (last, many), (first, few) = groups.pop(), groups.pop()
            groups.append(((first * few + (last - few * gap) * many) / (few + many), few + many))
    places = [start + k * gap for start, many in groups for k in range(many)]
    found = [0.0] * len(wanted)
    floor = low
    for rank, index in enumerate(order):
        ceiling = high - (len(order) - 1 - rank) * gap
        found[index] = min(max(places[rank], floor), ceiling)
        floor = found[index] + gap
    return found


def _count(length: float, each: float) -> int:
    return max(2, int(length / each))
