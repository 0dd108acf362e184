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
from itertools import groupby, product
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
_AROUND = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))  # of a point, where its label may be
_FAR = (7, 14, 24, 38, 56, 80)  # points from it
_ACROSS, _UPRIGHT = {1: "left", 0: "center", -1: "right"}, {1: "bottom", 0: "center", -1: "top"}


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
    """The label with the marks of its numbers."""
    return f"{_words(what.label)} {numbers.marks(what)}".strip()


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
    """Curves with bands and gaps, each named at its end."""
    axes.grid(axis="y")
    axes.margins(x=0.0)
    ends: list[tuple[Series, float, float]] = []
    for series in figure.series:
        colour, x, y = _colour(palette, series.colour), _drawable(series.x), _drawable(series.y)
        axes.plot(x, y, color=colour, linestyle="--" if series.dashed else "-")
        if series.low and series.high:
            axes.fill_between(x, _drawable(series.low), _drawable(series.high), color=colour, alpha=0.16, linewidth=0)
        places = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
        lone = [k for k in places if not {k - 1, k + 1} & set(places)]  # a line needs two
        axes.plot(x[lone], y[lone], "o", color=colour, markersize=3)
        if len(places):
            ends.append((series, x[places[-1]], y[places[-1]]))
    _limits(axes, "y", *(_drawable(side) for s in figure.series for side in (s.y, s.low, s.high)))
    if all(value == int(value) for s in figure.series for value in _drawable(s.x) if math.isfinite(value)):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))  # there is no epoch 2.5
    _end_labels(axes, ends, palette)


def _end_labels(axes: Axes, ends: Sequence[tuple[Series, float, float]], palette: Palette) -> None:
    """Names right of the plot, as near to the curves' ends as they can be without lying upon each other."""
    low, high = axes.get_ylim()
    places = spread([(y - low) / (high - low) for _, _, y in ends], 11.5 / (72 * 0.8 * _HIGH))
    for (series, x, y), place in zip(ends, places, strict=True):
        colour = _colour(palette, series.colour)
        early = x < axes.get_xlim()[1]
        arrow = {"arrowstyle": "-", "color": colour, "linewidth": 0.6, "linestyle": ":" if early else "-"}
        far = early or abs(place - (y - low) / (high - low)) > 0.012
        axes.annotate(
            _named(series), (x, y), xytext=(1.025, place), textcoords="axes fraction", va="center", color=colour,
            fontsize=8, annotation_clip=False, arrowprops={**arrow, "shrinkA": 1, "shrinkB": 1} if far else None,
        )  # fmt: skip


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Places in [0, 1] near the wanted ones and at least `gap` apart, evenly where there is no room for that.

    Neighbours that are too near move as one group to where the sum of squares of their moves is least.
    """
    order = sorted(range(len(wanted)), key=wanted.__getitem__)
    gap = min(gap, 1 / max(1, len(wanted) - 1))
    groups: list[tuple[float, int]] = []  # place of the first, how many
    for index in order:
        groups.append((wanted[index], 1))
        while len(groups) > 1 and groups[-2][0] + groups[-2][1] * gap > groups[-1][0]:
            (last, many), (first, few) = groups.pop(), groups.pop()
            groups.append(((first * few + (last - few * gap) * many) / (few + many), few + many))
    found, floor = [0.0] * len(wanted), 0.0
    for rank, place in enumerate(start + k * gap for start, many in groups for k in range(many)):
        found[order[rank]] = min(max(place, floor), 1 - (len(order) - 1 - rank) * gap)
        floor = found[order[rank]] + gap
    return found


def _scatter(figure: Figure, axes: Axes, palette: Palette) -> None:
    """Points with error bars, hollow where they are not believed, each named beside it."""
    axes.grid()
    for series in figure.series:
        colour, y = _colour(palette, series.colour), _drawable(series.y)
        reach = [y - _drawable(series.low), _drawable(series.high) - y] if series.low and series.high else None
        axes.errorbar(
            _drawable(series.x), y, yerr=None if reach is None else np.nan_to_num(np.clip(reach, 0, None)), fmt="o",
            color=colour, markerfacecolor=palette.background if series.severity == "red" else colour,
            markersize=5, capsize=2.5, elinewidth=0.9,
        )  # fmt: skip
    axes.margins(0.06)
    _limits(axes, "x", *(_drawable(s.x) for s in figure.series))
    _limits(axes, "y", *(_drawable(side) for s in figure.series for side in (s.y, s.low, s.high)))
    _point_labels(figure, axes, palette)


def _point_labels(figure: Figure, axes: Axes, palette: Palette) -> None:
    """A name for each series at the first free place around its first point; none where there is no room at all."""
    _laid_out(axes)
    spots = [
        (series, x, y)
        for series in figure.series
        for x, y in zip(_drawable(series.x), _drawable(series.y), strict=True)
        if math.isfinite(x) and math.isfinite(y)
    ]
    dots = [axes.transData.transform((x, y)) for _, x, y in spots]
    taken: list[Any] = []
    named: set[int] = set()
    for series, x, y in spots:
        if id(series) in named:
            continue
        named.add(id(series))
        colour = _colour(palette, series.colour)
        note = axes.annotate(_named(series), (x, y), (0, 0), textcoords="offset points", color=colour, fontsize=8)
        for far, (dx, dy) in product(_FAR, _AROUND):
            note.set(position=(far * dx, far * dy), ha=_ACROSS[dx], va=_UPRIGHT[dy])
            box = note.get_window_extent().padded(1)
            inside = axes.bbox.containsx(box.x0) and axes.bbox.containsx(box.x1) and axes.bbox.containsy(box.y0)
            if inside and not any(map(box.overlaps, taken)) and not any(box.padded(3).contains(*dot) for dot in dots):
                taken.append(box)
                break
        else:
            note.remove()


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
    _bar_legend(figure, axes, palette)
    if height / len(figure.bars) >= 8:
        ends = np.stack([values, low, high], axis=1)
        told = [_bar_number(*one, axes) for one in zip(figure.bars, ends, places, strict=True)]
        _strike([text for text, red in zip(told, reds, strict=True) if red], axes, palette)


def _bar_legend(figure: Figure, axes: Axes, palette: Palette) -> None:
    """What the colours of bars mean."""
    for series in figure.series:
        label = _words(series.label)
        label = f"\u200b{label}" if label[:1] in ("", "_") else label  # which matplotlib would hide
        axes.barh([0], [math.nan], color=_colour(palette, series.colour), label=label)
    if figure.series:
        axes.legend(
            loc="lower left", bbox_to_anchor=(0, 1), ncols=min(5, len(figure.series)), frameon=False, fontsize=8,
            labelcolor=palette.text, borderaxespad=0, handlelength=1,
        )  # fmt: skip


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


def _laid_out(axes: Axes) -> Sheet:
    """The figure with everything in its final place, so that texts can be measured."""
    sheet = axes.get_figure(root=True)
    assert sheet is not None
    sheet.draw_without_rendering()
    sheet.set_layout_engine("none")
    return sheet


def _strike(texts: Sequence[Any], axes: Axes, palette: Palette) -> None:
    """A line through numbers that are not believed."""
    if not texts:
        return

    sheet = _laid_out(axes)
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
