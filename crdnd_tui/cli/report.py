"""The pages of `crdnd report` and `crdnd compare` in a terminal: trade-offs as plots, and where numbers come from."""

from dataclasses import replace
from itertools import zip_longest

from rich.text import Text

from crdnd_tui.core.text import grid_lines, one_line, wrapped
from crdnd_tui.write import numbers, tables
from crdnd_tui.write.document import Document, Figure

_LEFT = "Left out here, but in every file that --to writes: best against last, classes, keys that differ."
_COLOURS = ("cyan", "yellow", "green", "magenta", "blue", "red")
_PLOT = (64, 18)  # cells, at most
_BESIDE = 34  # cells that the plot's legend needs beside it


def page(document: Document, width: int) -> list[Text]:
    """Tables but for the appendix, the trade-off of each as a plot, and where the numbers come from."""
    shown = tuple(table for table in document.tables if not table.appendix)
    bare = replace(document, tables=shown, origins=(), made=0.0, version="")
    made = tables.document_lines(bare, width)
    if len(shown) < len(document.tables):
        made += [Text(), *wrapped(_LEFT, width, "dim")]
    for figure in document.figures:
        if figure.kind == "scatter":
            made += [Text(), *scatter_plot(figure, width, caption=figure.caption)]
    return [*made, *origins_lines(document, width)]


def scatter_plot(figure: Figure, width: int, *, caption: str) -> list[Text]:
    """The names of its points beside it, or below in a narrow terminal."""
    columns = min(width - 2, _PLOT[0])
    drawn, names = tables.scatter_lines(
        figure,
        (columns, _PLOT[1]),
        _COLOURS,
        lambda one: one_line(f"{one.label}  {one.x[0]:.1f} / {one.y[0]:.1f}", 400),
    )
    drawn, names = ([Text("  ").append_text(line) for line in lines] for lines in (drawn, names))
    head = Text(f"  {one_line(f'{figure.y} (up) against {figure.x} (right)', 400)}", "bold")
    below = [
        line for words in (caption, *numbers.below(figure)) for line in wrapped(one_line(words, 400), width, "dim")
    ]
    if width - columns - 4 < _BESIDE:
        return [head, *drawn, Text(), *names, *below]
    return [head, *grid_lines(list(zip_longest(drawn, [Text(), *names], fillvalue=Text()))), *below]


def origins_lines(document: Document, width: int) -> list[Text]:
    """One line for each run, what all runs share, what only some have, and who made this page."""
    made = [Text(), *tables.run_lines(document.origins, width), Text()] if document.origins else []
    labels, said = {origin.run: origin.label for origin in document.origins}, []
    for fact, value, holders in document.facts:
        names = list(dict.fromkeys(labels[run] for run in holders))
        some = ", ".join(names) if len(names) <= 3 else f"{', '.join(names[:2])} and {len(names) - 2} more"
        said.append(f"{fact}: {value}{f' ({some})' if some else ''}")
    return made + [line for words in (*said, document.made_by) for line in wrapped(one_line(words, 600), width, "dim")]
