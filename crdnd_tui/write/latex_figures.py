"""Figures for the paper as pgfplots: curves with bands, points with error bars, bars, heat maps; letters of the paper.

What a figure shows is written out as coordinates, so that it can be edited; long curves are thinned by their extremes.
"""

from collections.abc import Sequence

from crdnd_tui.write.document import Figure, Series
from crdnd_tui.write.escape import clean, latex, latex_prose, slug
from crdnd_tui.write.latex_bars import bars, bars_height
from crdnd_tui.write.latex_layout import PAGE
from crdnd_tui.write.latex_matrix import matrix, matrix_side
from crdnd_tui.write.numbers import below, labelled, titled
from crdnd_tui.write.thinning import drawable, pieces, thinned

NEEDS = r"\usepackage{pgfplots}\pgfplotsset{compat=1.16}"
OKABE_ITO = ("0072B2", "E69F00", "009E73", "CC79A7", "56B4E9", "D55E00", "000000", "F0E442")
_DASHES = ("solid", "densely dashed")
_MARKS = ("*", "square*", "triangle*", "diamond*", "pentagon*", "o", "square", "triangle", "diamond", "pentagon")
_MOST = 400  # points of a curve
_HIGH = 0.56  # of the width
_LETTER = 4.6  # points that a letter of a legend takes
_WHOLE = 9  # whole numbers on the x axis that are all named
_SHARED = (
    "scale only axis", "axis lines*=left", "tick align=outside", "tick style={black!55}", "axis line style={black!55}",
    r"every axis label/.append style={font=\small}", r"every tick label/.append style={font=\footnotesize}",
    "legend cell align=left", "/pgf/number format/1000 sep={\\,}",
)  # fmt: skip


def figure(what: Figure, *, width: float = PAGE) -> str:
    """One floating figure with caption and label, `width` points wide; "" when there is nothing to draw."""
    body = _body(what, width)
    if not body:
        return ""
    said = (clean(titled(what)), clean(what.caption), *map(clean, below(what)))
    caption = ". ".join(part.rstrip(".") for part in said if part)
    made = [
        r"\begin{figure}[!htbp]",
        r"  \centering",
        *(rf"  \definecolor{{crdnd{k}}}{{HTML}}{{{colour}}}" for k, colour in enumerate(OKABE_ITO)),
        r"  \begin{tikzpicture}",
        *(f"    {line}" for line in body),
        r"  \end{tikzpicture}",
        rf"  \caption{{{latex_prose(caption)}}}",
        rf"  \label{{fig:{slug(what.key)}}}",
        r"\end{figure}",
    ]
    return "\n".join(made) + "\n"


def _body(what: Figure, width: float) -> list[str]:
    match what.kind:
        case "lines":
            drawn = [line for series in what.series for line in _curve(series)]
            return _axis(what, width, drawn, _of_lines(what)) if drawn else []
        case "scatter":
            drawn = [line for k, series in enumerate(what.series) for line in _points(series, k)]
            return _axis(what, width, drawn, ["grid=major", "grid style={black!10}"]) if drawn else []
        case "bars":
            drawn, options = bars(what)
            room = (0.58 * width, bars_height(what))
            return _axis(what, width, drawn, options, room=room, flat=True) if drawn else []
        case "matrix":
            drawn, options = matrix(what)
            side = matrix_side(what, width)
            return _axis(what, width, drawn, options, room=(side, side)) if drawn else []


def _axis(
    what: Figure, width: float, drawn: Sequence[str], options: Sequence[str], *,
    room: tuple[float, float] | None = None, flat: bool = False,
) -> list[str]:  # fmt: skip
    """The axis around what is drawn; bars that lie have their numbers on the x axis."""
    wide, high = room or (width - 52, _HIGH * (width - 52))
    across, upward = (what.y, "") if flat else (what.x, what.y)
    named = [f"xlabel={{{latex(across)}}}"] if across else []
    named += [f"ylabel={{{latex(upward)}}}"] if upward else []
    every = [f"width={wide:.0f}pt", f"height={high:.0f}pt", *named, *_SHARED, *options, *_legend(what, width)]
    inner = [f"  {line}" for line in drawn]
    return [r"\begin{axis}[", *(f"  {option}," for option in every), "]", *inner, r"\end{axis}"]


def _legend(what: Figure, width: float) -> list[str]:
    """Below the plot, in as many columns as there is room for."""
    longest = max((len(clean(labelled(series))) for series in what.series), default=0)
    columns = max(1, min(len(what.series), int(width / (_LETTER * longest + 34))))
    down = 26 + 12 * bool(what.y if what.kind == "bars" else what.x)
    style = (
        "at={(axis description cs:0.5,0)}", f"yshift=-{down}pt", "anchor=north", "draw=none", r"font=\footnotesize",
        "/tikz/every even column/.append style={column sep=8pt}",
    )  # fmt: skip
    return [f"legend columns={columns}", f"legend style={{{','.join(style)}}}"]


def _of_lines(what: Figure) -> list[str]:
    options = ["enlarge x limits=0.02", "ymajorgrids", "grid style={black!10}"]
    places = sorted({x for series in what.series for x in series.x if drawable(x)})
    if len(places) <= _WHOLE and all(x == int(x) for x in places):
        options.append(f"xtick={{{','.join(f'{x:g}' for x in places)}}}")
    return options


def _curve(series: Series) -> list[str]:
    """Band, lines between gaps, lone points, and the name in the legend; nothing where there is no point."""
    colour, found = f"crdnd{series.colour % len(OKABE_ITO)}", pieces(series.x, series.y)
    if not found:
        return []
    total, drawn = sum(map(len, found)), []
    style = f"{colour}, {_DASHES[series.dashed]}"
    for piece in found:
        kept = thinned(piece, series.y, max(4, _MOST * len(piece) // total))
        drawn += _band(series, kept, colour)
        more = ", only marks, mark=*, mark size=1.2pt" if len(kept) == 1 else ", line width=0.9pt, line join=round"
        drawn.append(rf"\addplot[forget plot, {style}{more}] coordinates {{{_coordinates(series, kept)}}};")
    return [*drawn, rf"\addlegendimage{{{style}, line width=0.9pt}}", rf"\addlegendentry{{{latex(labelled(series))}}}"]


def _coordinates(series: Series, places: Sequence[int]) -> str:
    return " ".join(f"({_number(series.x[k])},{_number(series.y[k])})" for k in places)


def _band(series: Series, places: Sequence[int], colour: str) -> list[str]:
    if not (series.low and series.high):
        return []
    known = [k for k in places if drawable(series.low[k]) and drawable(series.high[k])]
    if len(known) < 2:
        return []
    edge = [(series.x[k], series.low[k]) for k in known] + [(series.x[k], series.high[k]) for k in reversed(known)]
    around = " ".join(f"({_number(x)},{_number(y)})" for x, y in edge)
    return [rf"\addplot[forget plot, draw=none, fill={colour}, fill opacity=0.16] coordinates {{{around}}} -- cycle;"]


def _points(series: Series, place: int) -> list[str]:
    """Points with vertical error bars; each series has a mark of its own, so that it is told without colour."""
    at = [k for piece in pieces(series.x, series.y) for k in piece]
    if not at:
        return []
    colour, spans = f"crdnd{series.colour % len(OKABE_ITO)}", bool(series.low and series.high)
    said = " ".join(_point(series, k, spans=spans) for k in at)
    bars = ", error bars/.cd, y dir=both, y explicit, error bar style={line width=0.6pt}" if spans else ""
    mark = f"mark={_MARKS[place % len(_MARKS)]}, mark size=2.4pt"
    mark += ", mark options={fill=white}" if series.severity == "red" else ""  # hollow: not believed
    return [
        rf"\addplot[{colour}, only marks, {mark}{bars}] coordinates {{{said}}};",
        rf"\addlegendentry{{{latex(labelled(series))}}}",
    ]


def _point(series: Series, k: int, *, spans: bool) -> str:
    x, y = series.x[k], series.y[k]
    if not spans:
        return f"({_number(x)},{_number(y)})"
    up, down = (max(0.0, reach) if drawable(reach) else 0.0 for reach in (series.high[k] - y, y - series.low[k]))
    return f"({_number(x)},{_number(y)}) += (0,{_number(up)}) -= (0,{_number(down)})"


def _number(value: float) -> str:
    return f"{value:.6g}"
