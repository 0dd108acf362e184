"""A document as GitHub's Markdown: the best in bold, the dagger, notes, and the runs behind the numbers."""

import re
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from rich.cells import cell_len

from crdnd_tui.write import origins
from crdnd_tui.write.document import Cell, Column, Document, Figure, Table
from crdnd_tui.write.escape import clean, markdown, markdown_line
from crdnd_tui.write.numbers import DAGGER, Worded, below, legend, marks, name, refusals, rows, titled
from crdnd_tui.write.wrap import fill

_PADDED = 60  # cells up to which a column is filled with spaces, for those who read the source
_NO_FIGURES: Mapping[str, str] = {}


def text(document: Document, *, figures: Mapping[str, str] = _NO_FIGURES) -> str:
    """The whole document; `figures` says under which path beside it the picture of a figure lies."""
    parts = [f"# {_heading(document.title)}"]
    parts += [markdown_line(sentence) for sentence in document.lead]
    parts += [f"> {markdown_line(warning)}" for warning in document.warnings]
    parts += [table(each) for each in document.tables if not each.appendix]
    parts += [_figure(figure, figures[figure.key]) for figure in document.figures if figure.key in figures]
    parts += [table(each) for each in document.tables if each.appendix]
    runs = origins.table(document)
    parts += [table(runs)] if runs else []
    facts = origins.facts(document)
    parts += ["\n".join(_fact(fact) for fact in facts)] if facts else []
    by = origins.made(document)
    parts += [markdown_line(f"Written by {by}.")] if by else []
    return "\n\n".join(parts) + "\n"


def table(table: Table) -> str:
    """Heading, table, caption, notes."""
    grid = [[markdown(table.head), *(markdown(column.title) for column in table.columns)]]
    for row, words in zip(table.rows, rows(table), strict=True):
        if row.group:
            grid.append([_strong(row.group), *("" for _ in table.columns)])
        label = markdown(name(row, table))
        cells = [_cell(said, cell) for said, cell in zip(words, row.cells, strict=True)]
        grid.append([f"*{label}*" if row.quiet and label else label, *cells])
    parts = [f"## {_heading(table.title)}"] if clean(table.title) else []
    parts.append(_grid(grid, table.columns))
    parts += [markdown_line(table.caption)] if clean(table.caption) else []
    notes = [f"- {note}" for note in _notes(table)]
    return "\n\n".join([*parts, "\n".join(notes)] if notes else parts)


def _notes(table: Table) -> list[str]:
    said = [markdown_line(refusal) for refusal in refusals(table)]
    said += [
        f"{_raised(letter)} {markdown(sentence)}" if letter else markdown_line(sentence)
        for letter, sentence in table.notes
    ]
    return [*said, *(markdown_line(sentence) for sentence in legend(table, best="Bold"))]


def _heading(words: str) -> str:
    """Hashes at the end of a heading would be taken off."""
    return re.sub(r"(?<!\\)#", r"\\#", markdown_line(words))


def _strong(words: str) -> str:
    said = markdown(words)
    return f"**{said}**" if said else ""


def _raised(letters: str) -> str:
    said = markdown(letters)
    return f"<sup>{said}</sup>" if said else ""


def _cell(words: Worded, cell: Cell) -> str:
    """`**84.1** +- 0.2 (3) [83.1, 85.1]`, with the dagger and the letters of notes behind the number."""
    said = markdown(words.number)
    number = said
    if words.is_number and (cell.best or cell.struck):
        number = f"~~{said}~~" if cell.struck else f"**{said}**"
    number += DAGGER if cell.significant and words.is_number else ""
    number += _raised(marks(cell))
    rest = words.text.removeprefix(words.number) if words.is_number else ""
    return number + (" " + markdown(rest) if rest else "")


def _grid(grid: Sequence[Sequence[str]], columns: Sequence[Column]) -> str:
    right = [False, *(column.unit != "words" for column in columns)]
    widths = [min(_PADDED, max(3, *(cell_len(line[place]) for line in grid))) for place in range(len(right))]
    rule = ["-" * (width - 1) + ":" if is_right else "-" * width for width, is_right in zip(widths, right, strict=True)]
    filled = [
        [fill(word, width, right=is_right) for word, width, is_right in zip(line, widths, right, strict=True)]
        for line in grid
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in (filled[0], rule, *filled[1:]))


def _figure(figure: Figure, path: str) -> str:
    target = quote(path, safe="/-_.")
    caption = f"\n\n{markdown_line(figure.caption)}" if clean(figure.caption) else ""
    notes = "".join(f"\n- {markdown_line(sentence)}" for sentence in below(figure))
    return f"![{markdown(titled(figure))}]({target}){caption}" + (f"\n{notes}" if notes else "")


def _fact(fact: tuple[str, str, tuple[str, ...]]) -> str:
    key, value, runs = fact
    of_them = f" ({', '.join(runs)})" if runs else ""
    return f"- {markdown_line(f'{key}: {value}{of_them}')}"
