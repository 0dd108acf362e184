"""Figures as PNG and PDF, by matplotlib, which is loaded only here; SVG is our own and needs nothing.

The same figure gives the same bytes: no dates, no names of machines, and no state that other figures could change.
"""

import io
import math
from collections.abc import Sequence
from itertools import groupby
from typing import Any, Literal

from crdnd_tui.core import palette
from crdnd_tui.core.text import one_line
from crdnd_tui.write import extras, numbers, svg, svg_ink
from crdnd_tui.write.document import Bar, Figure, Origin, Series
from crdnd_tui.write.svg_bars import value_words
from crdnd_tui.write.svg_matrix import Cells
from crdnd_tui.write.wrap import wrap

Kind = Literal["png", "pdf", "svg"]
KINDS: tuple[Kind, ...] = ("png", "pdf", "svg")
_SIZE = (7.2, 4.2)  # inches
_DOTS = 200  # per inch, of a PNG
_NOTE, _NOTE_HIGH = 130, 0.115  # letters of a line below a figure, and inches of it
_STYLE = {
    "text.parse_math": False, "text.usetex": False, "font.size": 9.0, "axes.spines.top": False, "axes.grid": False,
    "axes.spines.right": False, "axes.titleweight": "bold", "axes.titlelocation": "left", "pdf.fonttype": 42,
    "axes.unicode_minus": True, "svg.hashsalt": "crdnd",
}  # fmt: skip
_INK = palette.LIGHT


def render(figure: Figure, kind: Kind, *, origins: Sequence[Origin] = ()) -> bytes:
    """The file's content; CrdndError when matplotlib is needed and missing."""
    if kind == "svg":
        return svg.figure(figure, origins=origins).encode()
    matplotlib = extras.load("matplotlib", "plots")
    figures = extras.load("matplotlib.figure", "plots")
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        notes = [line for words in numbers.below(figure) for line in wrap(one_line(words, 600), _NOTE)]
        (wide, high), below = _size(figure), _NOTE_HIGH * len(notes)
        sheet = figures.Figure(figsize=(wide, high + below), layout="constrained", facecolor="white")
        axes = sheet.add_subplot()
        axes.set_title(one_line(numbers.titled(figure), 120), color=_INK.text)
        if notes:
            sheet.supxlabel("\n".join(notes), fontsize=6.5, color=_INK.muted, x=0.01, ha="left")
        if svg.is_empty(figure):
            axes.set_axis_off()
            axes.text(0.5, 0.5, svg.NOTHING, ha="center", va="center", color=_INK.muted, transform=axes.transAxes)
        else:
            _draw(figure, sheet, axes)
        content = io.BytesIO()
        sheet.savefig(content, format=kind, dpi=_DOTS, metadata=_metadata(figure, kind, origins))
    return content.getvalue()


def _size(figure: Figure) -> tuple[float, float]:
    match figure.kind:
        case "bars":
            return _SIZE[0], max(1.8, 0.9 + 0.19 * len(figure.bars))
        case "matrix":
            return 6.2, 5.4
        case _:
            return _SIZE


def _metadata(figure: Figure, kind: Kind, origins: Sequence[Origin]) -> dict[str, str | None]:
    """Title and sources; None takes away what matplotlib would add of itself and of the clock."""
    runs = "; ".join(f"run {one_line(o.run)} config {one_line(o.config_hash)}" for o in origins)
    title = one_line(figure.title)
    if kind == "pdf":
        return {"Title": title, "Keywords": runs, "Creator": "crdnd", "Producer": None, "CreationDate": None}
    return {"Title": title, "Description": runs, "Software": "crdnd"}


def _draw(figure: Figure, sheet: Any, axes: Any) -> None:  # noqa: ANN401  matplotlib has no types
    match figure.kind:
        case "lines":
            _titles(figure.x, figure.y, axes)
            _lines(figure, axes)
        case "scatter":
            _titles(figure.x, figure.y, axes)
            _scatter(figure, axes)
        case "bars":
            _titles(figure.y, "", axes)
            _bars(figure, axes)
        case "matrix":
            _titles(figure.x, figure.y, axes)
            _matrix(figure, sheet, axes)


def _titles(x: str, y: str, axes: Any) -> None:  # noqa: ANN401
    axes.set_xlabel(one_line(x, 80), color=_INK.muted)
    axes.set_ylabel(one_line(y, 80), color=_INK.muted)
    axes.tick_params(colors=_INK.muted)


def _colour(place: int) -> str:
    return _INK.series[place % len(_INK.series)]


def _label(series: Series) -> str:
    """With its marks; a leading underscore, or nothing, would hide it from the legend."""
    said = f"{one_line(series.label, 40)} {numbers.marks(series)}".strip()
    return said if said and not said.startswith("_") else f"\N{ZERO WIDTH SPACE}{said}"


def _lines(figure: Figure, axes: Any) -> None:  # noqa: ANN401
    axes.grid(axis="y", color=_INK.faint, linewidth=0.5)
    for series in figure.series:
        colour = _colour(series.colour)
        axes.plot(series.x, series.y, color=colour, linestyle="--" if series.dashed else "-", label=_label(series))
        if series.low and series.high:
            axes.fill_between(series.x, series.low, series.high, color=colour, alpha=0.16, linewidth=0)
    _legend(figure.series, axes)


def _scatter(figure: Figure, axes: Any) -> None:  # noqa: ANN401
    axes.grid(color=_INK.faint, linewidth=0.5)
    for series in figure.series:
        colour = _colour(series.colour)
        spans = [_whiskers(series)] if series.low and series.high else None
        axes.errorbar(
            series.x, series.y, yerr=spans[0] if spans else None, fmt="o", color=colour, markersize=5, capsize=2.5,
            elinewidth=0.9, markerfacecolor="white" if series.severity == "red" else colour, label=_label(series),
        )  # fmt: skip
    _legend(figure.series, axes)


def _whiskers(series: Series) -> list[list[float]]:
    """Lengths below and above, none where an end is not known."""

    def reach(value: float) -> float:
        return max(0.0, value) if math.isfinite(value) else 0.0

    down = [reach(y - low) for y, low in zip(series.y, series.low, strict=True)]
    return [down, [reach(high - y) for y, high in zip(series.y, series.high, strict=True)]]


def _legend(series: Sequence[Series], axes: Any) -> None:  # noqa: ANN401
    if series:
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=8)


def _bars(figure: Figure, axes: Any) -> None:  # noqa: ANN401
    axes.grid(axis="x", color=_INK.faint, linewidth=0.5)
    axes.set_axisbelow(True)
    place, names, middles = 0.0, [], []
    for label, group in groupby(figure.bars, key=lambda bar: bar.label):
        bars = list(group)
        names.append(one_line(label, 40))
        middles.append(place + (len(bars) - 1) / 2)
        for bar in bars:
            if math.isfinite(bar.value):
                _bar(bar, place, axes)
            place += 1
        place += 0.7
    axes.set_yticks(middles, names)
    axes.invert_yaxis()
    axes.margins(x=0.09)
    axes.axvline(0, color=_INK.muted, linewidth=0.8)
    for series in figure.series:
        axes.barh([math.nan], [math.nan], color=_colour(series.colour), label=_label(series))
    _legend(figure.series, axes)


def _bar(bar: Bar, place: float, axes: Any) -> None:  # noqa: ANN401
    colour = _colour(bar.colour)
    hollow = {"color": "white", "edgecolor": colour} if bar.severity == "red" else {"color": colour}
    axes.barh(place, bar.value, height=0.85, **hollow)
    ends = [end for end in (bar.low, bar.high) if end is not None and math.isfinite(end)]
    if len(ends) == 2:
        axes.plot(ends, [place, place], color=_INK.text, linewidth=0.8)
    _value(bar, place, ends, axes)


def _value(bar: Bar, place: float, ends: Sequence[float], axes: Any) -> None:  # noqa: ANN401
    below = bar.value < 0
    x = min((bar.value, *ends)) if below else max((bar.value, *ends))
    axes.annotate(
        f"{value_words(bar.value, ends)} {numbers.marks(bar)}".rstrip(), (x, place),
        xytext=(-3 if below else 3, 0), textcoords="offset points", va="center",
        ha="right" if below else "left", fontsize=7, color=_INK.muted,
    )  # fmt: skip


def _matrix(figure: Figure, sheet: Any, axes: Any) -> None:  # noqa: ANN401
    """Cells of nothing are left empty, as in SVG."""
    cells, many = Cells(figure.matrix), len(figure.matrix)
    lowest = -cells.largest if cells.signed else 0.0
    ink = svg_ink.resolved(_INK)
    grounds = [ground for ground, _ in (ink.signed if cells.signed else ink.ramp)]
    colours = extras.load("matplotlib.colors", "plots").LinearSegmentedColormap.from_list("crdnd", grounds)
    filled = [[value or math.nan for value in row] for row in figure.matrix]
    shown = axes.imshow(filled, cmap=colours, vmin=lowest, vmax=cells.largest or 1.0, interpolation="nearest")
    every = max(1, math.ceil(many / 20))
    names = [one_line(name, 16) for name in figure.labels]
    axes.set_xticks(range(0, many, every), names[::every], rotation=45 if max(map(len, names), default=0) > 3 else 0)
    axes.set_yticks(range(0, many, every), names[::every])
    sheet.colorbar(shown, ax=axes, shrink=0.8)
    if many <= 12:
        for r, row in enumerate(figure.matrix):
            for c, value in enumerate(row):
                colour = palette.readable_on(_hex(colours(shown.norm(value)))) if value else _INK.muted
                axes.text(c, r, cells.words(value), ha="center", va="center", fontsize=7, color=colour)


def _hex(colour: Sequence[float]) -> str:
    return "#" + "".join(f"{round(255 * part):02x}" for part in colour[:3])
