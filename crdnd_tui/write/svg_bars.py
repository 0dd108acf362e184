"""Bars that lie, so that their names can be read; those of one name stand together, and may go below zero."""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from crdnd_tui.chart import axes as ticks
from crdnd_tui.core.text import one_line
from crdnd_tui.write import svg_axes, svg_ink
from crdnd_tui.write.document import Bar, Figure
from crdnd_tui.write.numbers import marks
from crdnd_tui.write.svg_axes import Frame
from crdnd_tui.write.svg_ink import Ink

THICK, GAP = 12.0, 9.0  # pixels of a bar, and between two names
LABEL, VALUE = 12.0, 11.0  # font sizes
_LONGEST = 30  # characters of a name
_NUMBER, _SIGNS = 40.0, 26.0  # pixels of the number at a bar's end, and of its marks


def height_of(figure: Figure, top: float) -> float:
    """Pixels that the figure needs."""
    return top + len(figure.bars) * THICK + len(_groups(figure)) * GAP + 34 + 20 * bool(figure.y)


def bars(figure: Figure, width: float, height: float, top: float, ink: Ink) -> list[str]:
    """All bars from the zero line, their numbers at their ends."""
    groups = _groups(figure)
    box = _frame(figure, width, height, top)
    drawn = _scale(figure, box, ink)
    room = (box.bottom - box.top) / max(1e-9, len(figure.bars) * THICK + len(groups) * GAP)
    thick, y = THICK * room, box.top + GAP * room / 2
    every = max(1, math.ceil(11 / max(1e-9, len(figure.bars) / max(1, len(groups)) * thick + GAP * room)))
    for place, group in enumerate(groups):
        if place % every == 0:
            middle, words = y + len(group) * thick / 2 + 4, one_line(group[0].label, _LONGEST)
            x = box.left - 8 - (_NUMBER + _SIGNS * any(map(marks, figure.bars))) * (box.x[0] < 0)
            drawn.append(svg_ink.text(x, middle, words, fill=ink.text, size=LABEL, anchor="end"))
        for bar in group:
            drawn += _bar(bar, box, y, thick, ink)
            y += thick
        y += GAP * room
    zero = box.across(0)
    return [*drawn, svg_ink.line((zero, box.top, zero, box.bottom), ink.muted)]


def _groups(figure: Figure) -> list[list[Bar]]:
    return [list(group) for _, group in groupby(figure.bars, key=lambda bar: bar.label)]


def _frame(figure: Figure, width: float, height: float, top: float) -> Frame:
    ends = [v for bar in figure.bars for v in (bar.value, bar.low, bar.high) if v is not None]
    named = max((svg_ink.width_of(one_line(bar.label, _LONGEST), LABEL) for bar in figure.bars), default=0)
    left = min(named + 14, 0.4 * width)
    bottom = height - 26 - 20 * bool(figure.y)
    x = svg_axes.extent([0.0, *ends])
    room = _NUMBER + _SIGNS * any(map(marks, figure.bars))
    return Frame(left=left + room * (x[0] < 0), top=top, right=width - room, bottom=bottom, x=x, y=(0, 1))


def _scale(figure: Figure, box: Frame, ink: Ink) -> list[str]:
    marks = ticks.linear(*box.x, max(2, int((box.right - box.left) / svg_axes.ROOM)))
    drawn = []
    for tick, words in zip(marks, svg_axes.written(marks), strict=True):
        x = box.across(tick)
        drawn.append(svg_ink.line((x, box.top, x, box.bottom), ink.faint, thick=0.6))
        size = svg_axes.TICK
        drawn.append(svg_ink.text(x, box.bottom + 16, words, fill=ink.muted, size=size, anchor="middle"))
    return [*drawn, *svg_axes.titles(replace(figure, x=figure.y, y=""), box, ink, below=36)]


def _bar(bar: Bar, box: Frame, y: float, thick: float, ink: Ink) -> list[str]:
    colour = ink.of(bar.colour)
    if not svg_axes.drawable(bar.value):
        return [svg_ink.text(box.across(0) + 5, y + thick - 2, "no number", fill=ink.muted, size=VALUE)]
    zero, end = box.across(0), box.across(bar.value)
    hollow = f' stroke="{colour}" stroke-width="1"' if bar.severity == "red" else ""
    ground = ink.background if hollow else colour
    drawn = [svg_ink.rectangle(min(zero, end), y + 0.75, abs(end - zero), max(0.5, thick - 1.5), ground, hollow)]
    reach = [bar.value]
    if bar.low is not None and bar.high is not None and svg_axes.drawable(bar.low) and svg_axes.drawable(bar.high):
        reach += [bar.low, bar.high]
        middle, (low, high) = y + thick / 2, (box.across(bar.low), box.across(bar.high))
        drawn.append(svg_ink.line((low, middle, high, middle), ink.text, thick=1))
        drawn += [svg_ink.line((x, middle - 2.5, x, middle + 2.5), ink.text) for x in (low, high)]
    if thick >= 9:
        below = bar.value < 0
        x = box.across(min(reach)) - 5 if below else box.across(max(reach)) + 5
        words = value_words(bar.value, [b for b in (bar.low, bar.high) if b is not None])
        anchor = "end" if below else "start"
        struck = ' text-decoration="line-through"' if bar.severity == "red" else ""
        drawn.append(svg_ink.text(x, y + thick - 2.2, words, fill=ink.muted, size=VALUE, anchor=anchor, more=struck))
        if marks(bar):
            x += (-1 if below else 1) * (svg_ink.width_of(words, VALUE) + 3)
            drawn.append(svg_ink.text(x, y + thick - 2.2, marks(bar), fill=ink.text, size=VALUE, anchor=anchor))
    return drawn


def value_words(value: float, beside: Sequence[float] = ()) -> str:
    """One decimal, or as many digits as a small or large number needs; a true minus."""
    largest = max(abs(v) for v in (value, *beside))
    words = f"{value:.3g}" if largest >= 1e6 else f"{value:.1f}" if largest >= 0.1 or value == 0 else f"{value:.2g}"
    return words.replace("-", "\N{MINUS SIGN}")
