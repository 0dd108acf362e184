"""A document as HTML, LaTeX or Markdown: one template each, in which every value is escaped where it is put out.

A template's environment escapes whatever is no `Markup`; filters (`line`, `prose`, `comment` ...) escape for a place
where other rules hold. Nothing else may mark text as safe.
"""

import base64
import html as html_module
import io
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup
from rich.cells import cell_len

from crdnd_tui.core import palette
from crdnd_tui.core.format import MISSING
from crdnd_tui.core.palette import Palette
from crdnd_tui.write import escape, numbers
from crdnd_tui.write.document import Cell, Document, Figure, Picture, Row, Table
from crdnd_tui.write.numbers import CellText

_LONG = 60  # rows from which a table of a page stands behind the figures
_FLOAT = 40  # rows of a LaTeX table; the rest follows in the next one
_LINE = 30  # letters from which words of a LaTeX column are set in lines
_PADDED = 60  # cells up to which a Markdown column is filled with spaces, for those who read the source
_NONE: Mapping[str, str] = {}
_THEMES = (("@media all", palette.LIGHT), ("@media screen and (prefers-color-scheme:dark)", palette.DARK))


def html(document: Document) -> str:
    """One page that opens anywhere: no script, no request, its pictures inside, light or dark."""
    tables = [(f"table-{place}", table) for place, table in enumerate(document.tables, 1)]
    late = [one for one in tables if one[1].appendix or len(one[1].rows) >= _LONG]
    early = [one for one in tables if one not in late]
    contents = [(id, table.title) for id, table in early]
    contents += [("figures", "Figures")] if document.figures else []
    contents += [("examples", "Adversarial examples")] if document.pictures else []
    contents += [(id, table.title) for id, table in late]
    contents += [("provenance", "Provenance")] if document.origins else []
    return _template("report.html.j2", _html).render(
        document=document, early=early, late=late, contents=contents, palettes=_THEMES
    )


def latex(document: Document, *, figures: Mapping[str, str] = _NONE) -> str:
    """Floats for `\\input`; `figures` names the file of each figure by its key, those without one are left out."""
    return _template("report.tex.j2", escape.latex).render(document=document, paths=figures)


def markdown(document: Document, *, figures: Mapping[str, str] = _NONE) -> str:
    """GitHub's Markdown; `figures` as for LaTeX."""
    made = _template("report.md.j2", escape.markdown).render(document=document, paths=figures)
    return re.sub(r"\n{3,}", "\n\n", made).strip() + "\n"


@cache
def _template(name: str, escaped: Callable[[str], str]) -> Template:
    def finalize(value: object) -> Markup:
        return value if isinstance(value, Markup) else Markup(escaped(str(value)))

    latex: dict[str, Any] = {"block_start_string": "<%", "block_end_string": "%>", "variable_start_string": "<<",
             "variable_end_string": ">>", "comment_start_string": "<#", "comment_end_string": "#>"}  # fmt: skip
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, finalize=finalize,
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
        **(latex if name.endswith(".tex.j2") else {}),
    )  # fmt: skip
    made.globals |= {
        "lines": lines, "signs": signs, "remarks": remarks, "spread": numbers.spread_notes,
        "titled": numbers.figure_title, "below": numbers.below, "missing": MISSING, "css": _css, "drawn": _drawn,
        "png": _png, "columns": _latex_column, "grid": _markdown_grid, "sentences": _sentences,
        "longest": _FLOAT,
    }  # fmt: skip
    places = {
        "raw": str, "line": escape.markdown_line, "heading": escape.markdown_heading, "prose": escape.latex_prose,
        "comment": escape.clean, "slug": escape.slug,
    }  # fmt: skip
    made.filters |= {key: lambda value, place=place: Markup(place(str(value))) for key, place in places.items()}
    return made.get_template(name)


def lines(table: Table) -> list[tuple[Row, str, list[tuple[Cell, CellText]]]]:
    """Each row with its label and its cells in words."""
    return [
        (row, numbers.row_label(row, table), list(zip(row.cells, said, strict=True)))
        for row, said in zip(table.rows, numbers.cell_texts(table), strict=True)
    ]


def signs(cell: Cell, said: CellText) -> str:
    """What stands raised behind a number: the dagger, the sign of a struck number, letters of notes."""
    return (numbers.DAGGER if cell.significant and said.is_number else "") + numbers.marks(cell)


def remarks(table: Table, best: str, *, spreads: bool = True) -> list[str]:
    """Sentences below a table that bear no letter: on all of it, on cells without a number, on its signs."""
    meant = [*(numbers.spread_notes(table) if spreads else []), *numbers.sign_notes(table, best=best)]
    loose = [sentence for letter, sentence in table.notes if not letter]
    return [*loose, *numbers.refusal_notes(table), *([" ".join(meant)] if meant else [])]


def _sentences(parts: Sequence[str]) -> str:
    return ". ".join(said.rstrip(".") for part in parts if (said := escape.clean(part)))


def _html(said: str) -> str:
    """For text and attributes."""
    return html_module.escape(escape.clean(said), quote=True)


def _css(table: Table, place: int) -> str:
    """Of a column: words; numbers, which end where the others do; numbers with room for many letters behind them."""
    if table.columns[place].unit == "words":
        return ""
    marked = any(len(numbers.marks(row.cells[place])) + row.cells[place].significant > 1 for row in table.rows)
    return "n marked" if marked else "n"


def _drawn(figure: Figure, *, dark: bool = False) -> Markup:
    """A figure as an address that holds it."""
    from crdnd_tui.write import figures  # noqa: PLC0415  matplotlib, which only figures need

    theme: Palette = palette.DARK if dark else palette.LIGHT
    return _address("svg+xml", figures.render(figure, "svg", palette=theme, bare=True))


def _png(picture: Picture, pixels: bytes) -> Markup:
    """Pixels of a picture as an address that holds them."""
    from PIL import Image  # noqa: PLC0415  only pages with examples need it

    content = io.BytesIO()
    Image.frombytes("RGB", (picture.width, picture.height), pixels).save(content, "PNG", optimize=True)
    return _address("png", content.getvalue())


def _address(kind: str, content: bytes) -> Markup:
    return Markup(f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}")


def _latex_column(table: Table, place: int) -> str:
    if table.columns[place].unit != "words":
        return "r"
    longest = max((len(row.cells[place].text) for row in table.rows), default=0)
    return r">{\raggedright\arraybackslash}p{0.3\linewidth}" if longest > _LINE else "l"


def _markdown_grid(table: Table) -> Markup:
    """Head, rule and rows; the best is bold, a struck number has a line through it."""
    said = escape.markdown
    grid = [[said(table.head), *(said(column.title) for column in table.columns)]]
    for row, name, cells in lines(table):
        if row.group:
            grid.append([f"**{said(row.group)}**", *("" for _ in cells)])
        label = said(name)
        grid.append([f"*{label}*" if row.quiet and label else label, *(_markdown_cell(*cell) for cell in cells)])
    right = [False, *(column.unit != "words" for column in table.columns)]
    widths = [min(_PADDED, max(3, *(cell_len(line[place]) for line in grid))) for place in range(len(right))]
    rule = ["-" * (width - is_right) + ":" * is_right for width, is_right in zip(widths, right, strict=True)]
    filled = [
        [" " * (width - cell_len(word)) * is_right + word + " " * (width - cell_len(word)) * (not is_right)
         for word, width, is_right in zip(line, widths, right, strict=True)]
        for line in (grid[0], rule, *grid[1:])
    ]  # fmt: skip
    return Markup("\n".join(f"| {' | '.join(line)} |" for line in filled))


def _markdown_cell(cell: Cell, said: CellText) -> str:
    """`**84.1**<sup>†a</sup> ± 0.2 (3) [83.1, 85.1]`."""
    number = escape.markdown(said.number)
    if said.is_number and (cell.best or cell.struck):
        number = f"~~{number}~~" if cell.struck else f"**{number}**"
    raised = escape.markdown(signs(cell, said))
    rest = escape.markdown(said.text.removeprefix(said.number)) if said.is_number else ""
    return number + (f"<sup>{raised}</sup>" if raised else "") + (f" {rest}" if rest else "")
