"""Bars as pgfplots: they lie, so that their names can be read; those of one name stand together."""

from itertools import groupby

from crdnd_tui.core.format import finite
from crdnd_tui.write.document import Bar, Figure
from crdnd_tui.write.escape import latex
from crdnd_tui.write.numbers import marks
from crdnd_tui.write.thinning import drawable

_BAR, _GAP = 10.0, 0.8  # points of a bar; of a bar's room between two names
_HIGHEST = 520.0  # points of a figure on one page
_NAME = 7.0  # points that a name needs


def bars_height(what: Figure) -> float:
    """Points of the plot."""
    return min(_HIGHEST, _BAR * _rooms(what))


def bars(what: Figure) -> tuple[list[str], list[str]]:
    """Bars with intervals and numbers, and the axis' options; nothing without a number."""
    thick = 0.86 * bars_height(what) / max(1.0, _rooms(what))
    drawn, names, place = [], [], 0.0
    for label, group in groupby(what.bars, key=lambda bar: bar.label):
        members = list(group)
        names.append((place + (len(members) - 1) / 2, label))
        for bar in members:
            drawn += _bar(bar, place, thick)
            place += 1
        place += _GAP
    if not drawn:
        return [], []
    every = max(1, -(-round(_NAME * len(names)) // max(1, round(bars_height(what)))))
    drawn += [
        line
        for series in what.series
        for line in (
            rf"\addlegendimage{{area legend, draw=crdnd{series.colour % 8}, fill=crdnd{series.colour % 8}}}",
            rf"\addlegendentry{{{latex(series.label)}}}",
        )
    ]
    shown = names[::every]
    options = [
        "y dir=reverse", f"ymin={-0.5 - _GAP / 2:g}", f"ymax={place - _GAP / 2 - 0.5:g}", "xmajorgrids",
        "grid style={black!10}", f"ytick={{{','.join(f'{at:g}' for at, _ in shown)}}}",
        f"yticklabels={{{','.join(f'{{{latex(label)}}}' for _, label in shown)}}}", "y tick style={draw=none}",
        "enlarge x limits={value=0.12,auto}", "clip=false",
        r"extra x ticks={0}", r"extra x tick style={xticklabel=\empty, grid style={black!55}}",
    ]  # fmt: skip
    return drawn, options


def _rooms(what: Figure) -> float:
    """Bars and gaps, in rooms of one bar."""
    return len(what.bars) + _GAP * len(list(groupby(what.bars, key=lambda bar: bar.label)))


def _bar(bar: Bar, place: float, thick: float) -> list[str]:
    if not drawable(bar.value):
        return []
    low, high = finite(bar.low), finite(bar.high)
    spans, reach = "", [bar.value]
    at = f"({bar.value:.6g},{place:g})"
    if low is not None and high is not None and drawable(low) and drawable(high):
        spans = ", error bars/.cd, x dir=both, x explicit, error bar style={black!70}"
        at += f" += ({max(0.0, high - bar.value):.6g},0) -= ({max(0.0, bar.value - low):.6g},0)"
        reach += [low, high]
    colour = f"crdnd{bar.colour % 8}"
    filled = f"draw={colour}, fill=white" if bar.severity == "red" else f"draw=none, fill={colour}"
    style = f"forget plot, xbar, bar shift=0pt, bar width={thick:.2f}pt, {filled}"
    drawn = [rf"\addplot[{style}{spans}] coordinates {{{at}}};"]
    if thick >= 6:
        anchor, end = ("east", min(reach)) if bar.value < 0 else ("west", max(reach))
        said = f"{bar.value:.1f}" if abs(bar.value) >= 0.1 or not bar.value else f"{bar.value:.2g}"
        signs = rf"\textsuperscript{{{latex(marks(bar))}}}" if marks(bar) else ""
        node = rf"\node[anchor={anchor}, font=\scriptsize]"
        drawn.append(rf"{node} at (axis cs:{end:.6g},{place:g}) {{${said}${signs}}};")
    return drawn
