"""The pages of `crdnd report` and `crdnd compare` in a terminal: trade-offs as plots, and where numbers come from."""

from collections.abc import Sequence
from dataclasses import replace

from rich.text import Text

from crdnd_tui.chart.plot import NamedPoint, scatter
from crdnd_tui.core.text import one_line, wrapped
from crdnd_tui.core.text import plain as in_ascii
from crdnd_tui.write import numbers, tables
from crdnd_tui.write.document import Document, Figure

_LEFT = "Left out here, but in every file that --to writes: best against last, classes, keys that differ."
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_COLOURS = ("cyan", "yellow", "green", "magenta", "blue", "red")
_PLOT = (64, 18)  # cells, at most
_BESIDE = 34  # cells that the plot's legend needs beside it


def page(document: Document, width: int, *, ascii_only: bool) -> list[Text]:
    """Tables but for the appendix, the trade-off of each as a plot, and where the numbers come from."""
    shown = tuple(table for table in document.tables if not table.appendix)
    bare = replace(document, tables=shown, origins=(), made=0.0, version="")
    made = tables.document_lines(bare, width, ascii_only=ascii_only)
    if len(shown) < len(document.tables):
        made += [Text(), *wrapped(_LEFT, width, "dim")]
    for figure in document.figures:
        if figure.kind == "scatter":
            made += [Text(), *scatter_plot(figure, width, caption=figure.caption, ascii_only=ascii_only)]
    return [*made, *origins_lines(document, width, ascii_only=ascii_only)]


def scatter_plot(figure: Figure, width: int, *, caption: str, ascii_only: bool) -> list[Text]:
    """One letter for each row, with its error bar; the letters' names beside it, or below in a narrow terminal."""

    def say(words: str) -> str:
        flat = one_line(words, 400)
        return in_ascii(flat) if ascii_only else flat

    drawn = [
        NamedPoint(
            name=_LETTERS[k % len(_LETTERS)],
            key=_LETTERS[k % len(_LETTERS)],
            x=s.x[0],
            y=s.y[0],
            ends=(s.low[0], s.high[0]) if s.low and s.high else (s.y[0], s.y[0]),
        )
        for k, s in enumerate(figure.series)
    ]
    styles = {point.name: _COLOURS[k % len(_COLOURS)] for k, point in enumerate(drawn)}
    legend = [
        (point.name, say(f"{s.label}  {s.x[0]:.1f} / {s.y[0]:.1f} {numbers.marks(s)}"), s.severity == "red")
        for point, s in zip(drawn, figure.series, strict=True)
    ]
    columns = min(width - 2, _PLOT[0])
    beside = width - columns - 4 >= _BESIDE
    lines = []
    for row in scatter(drawn, (columns, _PLOT[1])):
        line = Text("  ")
        for words, letter in row:
            line.append(
                in_ascii(words) if ascii_only else words, f"bold {styles[letter]}" if letter in styles else "dim"
            )
        lines.append(line)
    names = [
        Text.assemble((letter, styles[letter] if struck else f"bold {styles[letter]}"), " ",
                      (words, "dim strike" if struck else ""))
        for letter, words, struck in legend
    ]  # fmt: skip
    head = [Text("  " + say(f"{figure.y} (up) against {figure.x} (right)"), "bold")]
    said = (caption, *numbers.below(figure))
    below = [line for words in said for line in wrapped(say(words), width, "dim")]
    if not beside:
        return [*head, *lines, Text(), *(Text("  ").append_text(name) for name in names), *below]
    for line, name in zip(lines[1:], names, strict=False):
        line.append(" " * max(2, columns + 4 - len(line.plain)))
        line.append_text(name)
    left = [Text(" " * (columns + 4)).append_text(name) for name in names[len(lines) - 1 :]]
    return [*head, *lines, *left, *below]


def origins_lines(document: Document, width: int, *, ascii_only: bool) -> list[Text]:
    """One line for each run, what all runs share, what only some have, and who made this page."""
    made = (
        [Text(), *tables.run_lines(document.origins, width, ascii_only=ascii_only), Text()] if document.origins else []
    )
    labels = {origin.run: origin.label for origin in document.origins}
    said = []
    for fact, value, holders in document.facts:
        of_it = f" ({_some(list(dict.fromkeys(labels[run] for run in holders)))})" if holders else ""
        said.append(f"{fact}: {value}{of_it}")
    said.append(document.made_by)
    made += [line for words in said for line in wrapped(one_line(words, 600), width, "dim")]
    return [Text(in_ascii(line.plain), line.style) for line in made] if ascii_only else made


def _some(labels: Sequence[str]) -> str:
    return ", ".join(labels) if len(labels) <= 3 else f"{', '.join(labels[:2])} and {len(labels) - 2} more"
