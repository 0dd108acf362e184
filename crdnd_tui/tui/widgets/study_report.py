"""The report of a study as lines: its tables first, then what the numbers say, then the tests."""

import re
from dataclasses import replace
from itertools import zip_longest

from rich.text import Text

from crdnd_tui.core.palette import Palette
from crdnd_tui.core.text import grid_lines, one_line, wrapped
from crdnd_tui.write import tables
from crdnd_tui.write.document import Document, Figure
from crdnd_tui.write.numbers import below, marks
from crdnd_tui.write.tables import TableStyle

_SEEDS = re.compile(r" \(\d+\)$")  # the report says how many they are
_BESIDE = 22  # cells for names beside a plot
_LEAST = (24, 6)  # cells of a plot that still says something


def table_style(palette: Palette) -> TableStyle:
    """Styles of the palette."""
    return TableStyle(
        text=palette.text, strong=f"bold {palette.text}", muted=palette.muted, mark=palette.warn, bad=palette.bad
    )


def lines(document: Document, width: int, palette: Palette) -> list[Text]:
    """All of it for this width: the results, what they say, and the tests; no appendix."""
    results = tuple(table for table in document.tables if table.key.startswith("results"))
    others = tuple(table for table in document.tables if table not in results and not table.appendix)
    first = results if len(results) > 1 else tuple(replace(table, title="") for table in results)
    parts = [
        Document(title="", tables=first),
        replace(document, title="", tables=others, origins=(), made=0.0, version=""),
    ]
    style = table_style(palette)
    return [line for part in parts for line in (*tables.document_lines(part, width, style), Text())]


def plot(figure: Figure, size: tuple[int, int], palette: Palette) -> list[Text]:
    """A scatter plot with its names beside it, or below where it is narrow; empty where there is no room for either."""
    width, height = size
    beside = width - _BESIDE >= _LEAST[0]
    wide, high = (width - _BESIDE, height) if beside else (width, height - len(figure.series))
    if figure.is_empty or wide < _LEAST[0] or high < _LEAST[1]:
        return []
    colours = [palette.series[one.colour % len(palette.series)] for one in figure.series]
    made, legend = tables.scatter_lines(
        figure, (wide, high), colours,
        lambda one: one_line(_SEEDS.sub("", one.label), _BESIDE - 4 - len(marks(one))), table_style(palette),
    )  # fmt: skip
    if any(map(marks, figure.series)):
        legend += [line for words in below(figure) for line in wrapped(words, _BESIDE - 2, palette.muted, "", " ")]
    return grid_lines(list(zip_longest(made, legend, fillvalue=Text()))) if beside else [*made, *legend]
