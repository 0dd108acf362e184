"""Figures of a document as SVG, PNG and PDF, drawn by matplotlib. Import this module where a figure is drawn only.

The same figure gives the same bytes: no date, no state that another figure could change. Words are never parsed as
mathematics; in SVG they stay text. Axes and bars follow Okabe and Ito's colours, matrices cividis (`core.palette`).
"""

import io
import logging
import math
import re
import textwrap
import warnings
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure as Sheet
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator

from crdnd_tui.core import palette as colours
from crdnd_tui.core.palette import Palette
from crdnd_tui.core.text import one_line
from crdnd_tui.write import numbers
from crdnd_tui.write.document import Bar, Figure, Origin, Series

logging.getLogger("matplotlib").setLevel(logging.ERROR)  # fonts that are missing are no news to a user
Kind = Literal["svg", "png", "pdf"]
KINDS: tuple[Kind, ...] = ("svg", "png", "pdf")
EMPTY = "nothing was measured"
NO_NUMBER = "no number"
LARGEST = 1e15  # larger numbers are drawn nowhere
_STYLE: dict[Any, Any] = {
    "text.parse_math": False, "text.usetex": False, "svg.fonttype": "none", "pdf.fonttype": 42, "font.size": 9.0,
    "font.sans-serif": ["DejaVu Sans", "Arial", "Helvetica", "sans-serif"],
    "axes.spines.top": False, "axes.spines.right": False, "axes.formatter.useoffset": False, "lines.linewidth": 1.4,
    "lines.solid_joinstyle": "round", "axes.axisbelow": True, "figure.constrained_layout.use": True,
    "grid.linewidth": 0.5,
}  # fmt: skip
_QUIET = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
_WIDE, _HIGH, _SIDE = 7.2, 4.2, 6.0  # inches: width, height of curves, side of a matrix
_DOTS = 200  # per inch, of a PNG
_LONGEST = 30  # characters of a label
_LETTERS, _NOTE = 128, 0.13  # of a line of notes, and inches of its height
_BAR, _TALLEST = 0.17, 100.0  # inches of a bar, and of a figure
_PIXELS = 600  # of a side of a matrix, at least
_STEPS = 16  # shades of a matrix
_TOLD = 12  # rows up to which a matrix has its numbers in its cells
_NO_XML = re.compile("[\ufffe\uffff]")  # `display` replaces the rest of what XML forbids
_POINTS = "osD^v"  # shapes of points, one for each round of the colours


def render(
    figure: Figure, kind: Kind, *, origins: Sequence[Origin] = (), palette: Palette = colours.LIGHT, bare: bool = False
) -> bytes:
    """The content of a file; `bare` leaves out the title, notes and ground, for a page that has its own."""

    with mpl.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # glyphs that the font lacks
        mpl.rcdefaults()
        style: dict[Any, Any] = {**_STYLE, **dict.fromkeys(_QUIET, palette.muted), "grid.color": palette.faint}
        mpl.rcParams.update(style | {"svg.hashsalt": f"crdnd {figure.key}"})
        said = [] if bare else [_words(words, 600) for words in numbers.below(figure)]
        notes = [line for words in said for line in textwrap.wrap(words, _LETTERS)]
        wide, high = _size(figure)
        sheet = Sheet(figsize=(wide, high + _NOTE * len(notes)), dpi=_DOTS if kind == "png" else 72)
        sheet.set_facecolor("none" if bare else "white")
        axes = sheet.add_subplot(facecolor="none")
        if not bare:
            title = _words(numbers.figure_title(figure), 100)
            sheet.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=10.5, color=palette.text)
        if notes:
            sheet.supxlabel("\n".join(notes), x=0.01, ha="left", fontsize=6.5)
        x, y = (figure.y, "") if figure.kind == "bars" else (figure.x, figure.y)
        axes.set(xlabel=_words(x, 80), ylabel=_words(y, 80))
        if figure.is_empty:
            axes.set_axis_off()
            axes.text(0.5, 0.5, EMPTY, ha="center", va="center", transform=axes.transAxes)
        else:
            _DRAW[figure.kind](figure, axes, palette)
        content = io.BytesIO()
        sheet.savefig(content, format=kind, dpi="figure", metadata=_metadata(figure, kind, origins))
    return content.getvalue()


def _words(said: str, limit: int = _LONGEST) -> str:
    return _NO_XML.sub("\ufffd", one_line(said, limit))


def _named(what: Series | Bar) -> str:
    """The label with the marks of its numbers; matplotlib would hide one that is empty or begins with `_`."""
    said = f"{_words(what.label)} {numbers.marks(what)}".strip()
    return f"\u200b{said}" if said[:1] in ("", "_") else said


def _size(figure: Figure) -> tuple[float, float]:
    """Inches."""
    match figure.kind:
        case "bars":
            bars = _BAR * len(figure.bars) + 0.13 * len({bar.label for bar in figure.bars})
            return _WIDE, min(_TALLEST, 0.9 + 0.25 * bool(figure.series) + bars)
        case "matrix":
            return _SIDE + 0.7, _SIDE
        case _:
            return _WIDE, _HIGH


def _metadata(figure: Figure, kind: Kind, origins: Sequence[Origin]) -> dict[str, str | None]:
    """Title and runs; None takes away what matplotlib would write of the clock and of itself."""
    title = _words(figure.title, 200)
    runs = "; ".join(f"run {_words(one.run, 200)} config {_words(one.config_hash, 200)}" for one in origins)
    match kind:
        case "svg":
            said = "; ".join(filter(None, (_words(figure.caption, 2000), runs)))
            return {"Title": title, "Description": said, "Creator": "crdnd", "Date": None}
        case "pdf":
            return {"Title": title, "Keywords": runs, "Creator": "crdnd", "Producer": None, "CreationDate": None}
        case "png":
            return {"Title": title, "Description": runs, "Software": "crdnd"}


def _drawable(values: Iterable[float | None]) -> np.ndarray:
    """The values, NaN for those that have no place on an axis."""
    made = np.array(list(values), dtype=float)
    made[~(np.abs(made) <= LARGEST)] = np.nan
    return made


def _limits(axes: Axes, axis: Literal["x", "y"], *values: np.ndarray) -> None:
    """Data from 0 to 100 get no axis beyond them: they are per cent."""
    low, high = getattr(axes, f"get_{axis}lim")()
    known = [v for each in values for v in each if math.isfinite(v)] or [0.0]
    ends = max(low, 0.0) if min(known) >= 0 else low, min(high, 100.0) if max(known) <= 100 else high
    if ends[0] < ends[1]:
        getattr(axes, f"set_{axis}lim")(*ends)


def _lines(figure: Figure, axes: Axes, palette: Palette) -> None:
    axes.grid(axis="y")
    axes.margins(x=0.0)
    for series in figure.series:
        colour, x, y = _colour(palette, series.colour), _drawable(series.x), _drawable(series.y)
        dashed = series.dashed or series.colour // len(palette.series) % 2
        axes.plot(x, y, color=colour, linestyle="--" if dashed else "-", label=_named(series))
        if series.low and series.high:
            axes.fill_between(x, _drawable(series.low), _drawable(series.high), color=colour, alpha=0.16, linewidth=0)
        places = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
        lone = [k for k in places if not {k - 1, k + 1} & set(places)]  # a line needs two
        axes.plot(x[lone], y[lone], "o", color=colour, markersize=3)
    _limits(axes, "y", *(_drawable(side) for s in figure.series for side in (s.y, s.low, s.high)))
    if all(value == int(value) for s in figure.series for value in _drawable(s.x) if math.isfinite(value)):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))  # there is no epoch 2.5
    _legend(axes, palette)


def _scatter(figure: Figure, axes: Axes, palette: Palette) -> None:
    """Points with error bars, hollow where they are not believed."""
    axes.grid()
    for series in figure.series:
        colour, y = _colour(palette, series.colour), _drawable(series.y)
        reach = [y - _drawable(series.low), _drawable(series.high) - y] if series.low and series.high else None
        axes.errorbar(
            _drawable(series.x), y, yerr=None if reach is None else np.nan_to_num(np.clip(reach, 0, None)),
            fmt=_POINTS[series.colour // len(palette.series) % len(_POINTS)], color=colour, label=_named(series),
            markerfacecolor=palette.background if series.severity == "red" else colour,
            markersize=5, capsize=2.5, elinewidth=0.9,
        )  # fmt: skip
    axes.margins(0.06)
    _limits(axes, "x", *(_drawable(s.x) for s in figure.series))
    _limits(axes, "y", *(_drawable(side) for s in figure.series for side in (s.y, s.low, s.high)))
    _legend(axes, palette)


def _legend(axes: Axes, palette: Palette, **where: Any) -> None:  # noqa: ANN401  arguments of matplotlib
    """What colours mean, right of the plot."""
    axes.legend(**{
        "loc": "upper left", "bbox_to_anchor": (1.0, 1.0), "frameon": False, "fontsize": 8, "labelcolor": palette.text,
        "handlelength": 1.6, **where,
    })  # fmt: skip


def _bars(figure: Figure, axes: Axes, palette: Palette) -> None:
    """Lying bars with their numbers at their ends; neighbours of one label stand together."""
    axes.grid(axis="x")
    names, middles, places = [], [], []
    place = 0.0
    for label, group in groupby(figure.bars, key=lambda bar: bar.label):
        own = [place + k for k, _ in enumerate(group)]
        names.append(_words(label))
        middles.append((own[0] + own[-1]) / 2)
        places += own
        place = own[-1] + 1.7
    values = _drawable(bar.value for bar in figure.bars)
    edges = [_colour(palette, bar.colour) for bar in figure.bars]
    reds = [bar.severity == "red" for bar in figure.bars]
    inside = [palette.background if red else edge for red, edge in zip(reds, edges, strict=True)]  # not believed
    axes.barh(places, values, height=0.82, color=inside, edgecolor=edges, linewidth=[0.8 * red for red in reds])
    low, high = _drawable(bar.low for bar in figure.bars), _drawable(bar.high for bar in figure.bars)
    half = np.abs(high - low) / 2
    axes.errorbar((low + high) / 2, places, xerr=half, fmt="none", ecolor=palette.text, elinewidth=0.8, capsize=2)
    height = 72 * _size(figure)[1]  # points
    every = math.ceil(9 * len(names) / height)
    axes.set_yticks(middles[::every], names[::every], color=palette.text)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(places[-1] + 1.0, -1.0)
    _limits(axes, "x", values, low, high)
    left, right = axes.get_xlim()
    axes.set_xlim(left - 0.09 * (right - left) * (left < 0), right)  # numbers stand between negative bars and names
    axes.axvline(0, color=palette.muted, linewidth=0.8)
    for series in figure.series:  # what the colours of bars mean
        axes.barh([0], [math.nan], color=_colour(palette, series.colour), label=_named(series))
    if figure.series:
        columns = min(5, len(figure.series))
        _legend(axes, palette, loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, borderaxespad=0, handlelength=1)
    if height / len(figure.bars) >= 8:
        ends = np.stack([values, low, high], axis=1)
        told = [_bar_number(*one, axes) for one in zip(figure.bars, ends, places, strict=True)]
        _strike([text for text, red in zip(told, reds, strict=True) if red], axes, palette)


def _bar_number(bar: Bar, ends: np.ndarray, place: float, axes: Axes) -> Text:
    """The number at a bar's end, or its interval's, with the letters of its notes behind it."""
    value, side = ends[0], -1 if ends[0] < 0 else 1
    known = [end for end in ends if math.isfinite(end)]
    said = f"{value_words(value, known)} {numbers.marks(bar)}".rstrip() if math.isfinite(value) else NO_NUMBER
    at = max(side * end for end in (known if math.isfinite(value) else [0.0])) * side
    across = "left" if side > 0 else "right"
    return axes.annotate(
        said, (at, place), (4 * side, 0), textcoords="offset points", va="center", ha=across, fontsize=7
    )


def value_words(value: float, beside: Sequence[float] = ()) -> str:
    """One decimal, or as many digits as a small or large number needs; a true minus."""
    largest = max(abs(v) for v in (value, *beside))
    said = f"{value:.3g}" if largest >= 1e6 else f"{value:.1f}" if largest >= 0.1 or value == 0 else f"{value:.2g}"
    return said.replace("-", "\N{MINUS SIGN}")


def _strike(texts: Sequence[Text], axes: Axes, palette: Palette) -> None:
    sheet = axes.get_figure(root=True)
    if not texts or sheet is None:
        return
    sheet.draw_without_rendering()  # so that texts can be measured
    sheet.set_layout_engine("none")
    for text in texts:
        (x0, y0), (x1, y1) = sheet.transFigure.inverted().transform(text.get_window_extent().get_points())
        middle, number = (y0 + y1) / 2, len(text.get_text().partition(" ")[0]) / len(text.get_text())
        sheet.add_artist(Line2D((x0, x0 + number * (x1 - x0)), (middle, middle), color=palette.text, linewidth=0.7))


def _matrix(figure: Figure, axes: Axes, palette: Palette) -> None:
    """Cells of a matrix in its scale's colours, with their numbers where these fit; cells of nothing are left empty."""

    known = [abs(v) for row in figure.matrix for v in row if abs(v) <= LARGEST]
    largest, whole = max(known, default=0.0) or 1.0, all(v == int(v) for v in known)
    signed = any(value < 0 for row in figure.matrix for value in row)
    shades = [_shade(palette, k / (_STEPS - 1), signed=signed) for k in range(_STEPS)]
    many, width = len(figure.matrix), max(map(len, figure.matrix))
    cells = np.full((many, width), np.nan)
    for r, row in enumerate(figure.matrix):
        cells[r, : len(row)] = _drawable(value or None for value in row)
    fine = np.kron(cells, np.ones((-(-_PIXELS // many),) * 2))  # so that no viewer smooths cells
    shown = axes.imshow(
        fine, cmap=ListedColormap(shades), vmin=-largest if signed else 0.0, vmax=largest, interpolation="none",
        extent=(-0.5, width - 0.5, many - 0.5, -0.5),
    )  # fmt: skip
    axes.spines[:].set(visible=True, color=palette.faint)
    names, every = [_words(name, 16) for name in figure.labels], max(1, math.ceil(many / 20))
    places = range(0, len(names), every)
    axes.set_xticks(places, names[::every], color=palette.text)
    axes.set_yticks(places, names[::every], color=palette.text)
    if max(map(len, names), default=0) > 3:
        for text in axes.get_xticklabels():
            text.set(rotation=45, ha="right", rotation_mode="anchor")
    axes.tick_params(length=0)
    bar = axes.figure.colorbar(shown, ax=axes, shrink=0.5, aspect=25, anchor=(0, 1))
    bar.outline.set_visible(False)
    if many > _TOLD:
        return
    for r, row in enumerate(figure.matrix):
        for c, value in enumerate(row):
            share = value / largest if abs(value) <= LARGEST else 0.0
            ground = _shade(palette, (share + 1) / 2 if signed else share, signed=signed)
            colour = colours.readable_on(ground) if share else palette.muted
            said = cell_words(value, largest, whole=whole)
            axes.text(c, r, said, ha="center", va="center", fontsize=7.5, color=colour)


def cell_words(value: float, largest: float, *, whole: bool) -> str:
    """Whole numbers as such, shares without their leading zero; empty for what rounds to nothing."""
    if not abs(value) <= LARGEST:
        return "?"
    form = ".2g" if largest >= 1e6 else ".0f" if whole else ".1f" if largest > 10 else ".2f"
    said = f"{value:{form}}".replace("-", "\N{MINUS SIGN}")
    if not said.strip("0.\N{MINUS SIGN}"):
        return ""
    return said.replace("0.", ".", 1) if form == ".2f" and abs(value) < 1 else said


def _shade(palette: Palette, share: float, *, signed: bool) -> str:
    """The ground of a cell; on paper the sequence begins pale, so that a single mistake does not glare."""
    if signed:
        return colours.difference(palette, 2 * share - 1)
    if palette.dark:
        return colours.sequence(palette, share)
    return colours.mix(palette.background, colours.sequence(palette, 1 - share), 0.12 + 0.88 * share**0.5)


def _colour(palette: Palette, place: int) -> str:
    return palette.series[place % len(palette.series)]


_DRAW = {"lines": _lines, "scatter": _scatter, "bars": _bars, "matrix": _matrix}
