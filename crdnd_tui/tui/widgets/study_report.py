"""The report of a study as lines: its tables first, then what the numbers say, then the tests."""

import re
from dataclasses import replace

from rich.cells import cell_len
from rich.text import Text

from crdnd_tui.chart.plot import NamedPoint, scatter
from crdnd_tui.core.palette import Palette
from crdnd_tui.core.text import one_line, pad, wrapped
from crdnd_tui.write import tables
from crdnd_tui.write.document import Document, Figure
from crdnd_tui.write.numbers import below, marks
from crdnd_tui.write.tables import TableStyle

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_SEEDS = re.compile(r" \(\d+\)$")  # the report says how many they are
_BESIDE = 22  # cells for names beside a plot
_LEAST = (24, 6)  # cells of a plot that still says something


def table_style(palette: Palette) -> TableStyle:
    """Styles of the palette."""
    return TableStyle(
        text=palette.text, strong=f"bold {palette.text}", muted=palette.muted, mark=palette.warn, bad=palette.bad
    )


def lines(document: Document, width: int, palette: Palette) -> list[Text]:
    """All of it for this width; numbers in print stand below the measured ones."""
    style = table_style(palette)
    results = [table for table in document.tables if table.key.startswith("results")]
    others = [table for table in document.tables if table not in results and not table.appendix]
    made: list[Text] = []
    for table in results:
        said = table if len(results) > 1 else replace(table, title="")
        made += [*tables.table_lines(said, width, style), Text()]
    for sentence in document.lead:
        made += [*wrapped(sentence, width, palette.text, indent="  ", hang="    "), Text()]
    for warning in document.warnings:
        made += [*wrapped(f"! {warning}", width, palette.warn, indent="  ", hang="    "), Text()]
    for table in others:
        made += [*tables.table_lines(table, width, style), Text()]
    return made


def plot(figure: Figure, size: tuple[int, int], palette: Palette) -> list[Text]:
    """A scatter plot with its names beside it, or below where it is narrow; empty where there is no room for either."""
    width, height = size
    series = [one for one in figure.series if one.x and one.y]
    shown = list(zip(_LETTERS, series, strict=False))
    beside = width - _BESIDE >= _LEAST[0]
    wide, high = (width - _BESIDE, height) if beside else (width, height - len(shown))
    if not shown or wide < _LEAST[0] or high < _LEAST[1]:
        return []
    points = [
        NamedPoint(
            name=letter, key=letter, x=one.x[0], y=one.y[0], ends=((one.low or one.y)[0], (one.high or one.y)[0])
        )
        for letter, one in shown
    ]
    inks = {letter: f"bold {palette.series[one.colour % len(palette.series)]}" for letter, one in shown}
    made = []
    for row in scatter(points, (wide, high)):
        line = Text(no_wrap=True)
        for words, letter in row:
            line.append(words, inks.get(letter, palette.muted))
        made.append(line)
    legend = [
        Text.assemble(
            (letter, inks[letter]),
            (f" {one_line(_SEEDS.sub('', one.label), _BESIDE - 4 - len(marks(one)))}",
             f"strike {palette.muted}" if one.severity == "red" else palette.text),
            (f" {marks(one)}" if marks(one) else "", palette.bad if one.severity == "red" else palette.warn),
        )
        for letter, one in shown
    ]  # fmt: skip
    if any(map(marks, series)):
        legend += [line for words in below(figure) for line in wrapped(words, _BESIDE - 2, palette.muted, "", " ")]
    if not beside:
        return [*made, *legend]
    for line, name in zip(made, legend, strict=False):
        line.append(pad("", max(2, wide + 2 - cell_len(line.plain))))
        line.append_text(name)
    return made
