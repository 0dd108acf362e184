"""A heat map as pgfplots, with its numbers where they fit and the scale of its colours beside it."""

from collections.abc import Sequence

from crdnd_tui.write.document import Figure
from crdnd_tui.write.escape import latex
from crdnd_tui.write.thinning import drawable

_TOLD = 12  # rows up to which the numbers stand in the cells
_NAMED = 20  # rows up to which each has its name
_DARK = 0.55  # share of the scale from which words are white
_CELL = 25.0  # points of a cell at most
_SHORT = 3  # letters of a name that need not be turned


def matrix_side(what: Figure, width: float) -> float:
    """Points of the square."""
    return min(0.62 * width, max(150.0, _CELL * len(what.matrix)))


def matrix(what: Figure) -> tuple[list[str], list[str]]:
    """Cells and numbers, and the axis' options; nothing without a finite number."""
    cells = [
        (c, r, value) for r, row in enumerate(what.matrix) for c, value in enumerate(row) if drawable(value)
    ]  # fmt: skip
    if not cells:
        return [], []
    largest = max(abs(value) for _, _, value in cells) or 1.0
    signed = any(value < 0 for _, _, value in cells)
    many = len(what.matrix)
    columns = max(map(len, what.matrix))
    rows = [
        " ".join(
            f"({c},{r}) [{f'{value:.6g}' if drawable(value) else 'nan'}]"
            for c, value in enumerate(_filled(row, columns))
        )
        for r, row in enumerate(what.matrix)
    ]
    head = f"matrix plot*, point meta=explicit, mesh/cols={columns}, mesh/rows={many}"
    drawn = [rf"\addplot[{head}] coordinates {{", *(f"  {row}" for row in rows), "};"]
    if many <= _TOLD:
        drawn += [_words(cell, largest, whole=_is_whole(cells)) for cell in cells]
    drawn = [line for line in drawn if line]
    return drawn, _options(what, many, columns, largest, signed=signed)


def _filled(row: Sequence[float], columns: int) -> list[float]:
    return [*row, *[float("nan")] * (columns - len(row))]


def _is_whole(cells: list[tuple[int, int, float]]) -> bool:
    return all(value == int(value) for _, _, value in cells)


def _words(cell: tuple[int, int, float], largest: float, *, whole: bool) -> str:
    """The number of a cell; nothing for what rounds to nothing."""
    c, r, value = cell
    said = f"{value:.0f}" if whole else f"{value:.1f}" if largest > 10 else f"{value:.2f}"
    if not said.strip("-0."):
        return ""
    colour = "white" if abs(value) / largest >= _DARK else "black"
    return rf"\node[font=\tiny, text={colour}, inner sep=0pt] at (axis cs:{c},{r}) {{${said}$}};"


def _options(what: Figure, many: int, columns: int, largest: float, *, signed: bool) -> list[str]:
    every = max(1, -(-many // _NAMED))
    names = [latex(name) for name in what.labels[:many]]
    ticks = ",".join(str(place) for place in range(0, len(names), every))
    labels = ",".join(f"{{{name}}}" for name in names[::every])
    turned = any(len(name) > _SHORT for name in what.labels)
    shades = "color(0cm)=(white) color(1cm)=(crdnd0)"
    shades = "color(0cm)=(crdnd1) color(1cm)=(white) color(2cm)=(crdnd0)" if signed else shades
    low = -largest if signed else 0.0
    return [
        "axis on top", "y dir=reverse", "enlargelimits=false", f"xmin=-0.5, xmax={columns - 0.5:g}",
        f"ymin=-0.5, ymax={many - 0.5:g}", f"xtick={{{ticks}}}", f"ytick={{{ticks}}}", f"xticklabels={{{labels}}}",
        f"yticklabels={{{labels}}}", "tick style={draw=none}", "axis lines=box",
        *(["x tick label style={rotate=45, anchor=north east, inner sep=1pt}"] if turned else []),
        f"colormap={{crdnd}}{{{shades}}}", f"point meta min={low:.6g}, point meta max={largest:.6g}", "colorbar",
        r"colorbar style={width=8pt, axis line style={draw=none}, tick style={draw=none},"
        r" yticklabel style={font=\footnotesize}}",
    ]  # fmt: skip
