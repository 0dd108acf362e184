"""Tables and figures for the paper: booktabs, mean and deviation, best in bold, a dagger where it is significant."""

from collections.abc import Sequence
from dataclasses import replace

from crdnd_tui.core.format import MISSING
from crdnd_tui.write import origins
from crdnd_tui.write.document import Cell, Document, Row, Table
from crdnd_tui.write.escape import clean, latex, latex_prose, slug
from crdnd_tui.write.latex_figures import NEEDS, figure
from crdnd_tui.write.latex_layout import PAGE, STANDALONE, Page, page, stretches
from crdnd_tui.write.numbers import DAGGER, Worded, marks, name, refusals, rows, signs, spread

_HEAD = r"""\documentclass{article}
\usepackage{iftex}
\ifPDFTeX
  \usepackage[T1]{fontenc}
  \usepackage[utf8]{inputenc}
  \usepackage{textcomp}
\else % letters beyond Latin and Greek want LuaLaTeX or XeLaTeX, and a font that has them
  \usepackage{fontspec}
\fi
\usepackage[a4paper,margin=2.5cm]{geometry}
\usepackage{array,booktabs}
"""


def text(document: Document, *, standalone: bool = False, width: float | None = None) -> str:
    """Tables, then figures for `\\input`, or a whole document that compiles; `width` is a line of text, in points."""
    room = width or (STANDALONE if standalone else PAGE)
    tables = [table(each, width=room) for each in document.tables if not each.appendix]
    behind = [table(each, width=room) for each in document.tables if each.appendix]
    figures = [drawn for each in document.figures if (drawn := figure(each, width=room))]
    if not standalone:
        needs = "% needs: \\usepackage{array,booktabs}, and {textcomp} where LaTeX is older than 2020\n"
        needs += f"% needs, for the figures: {NEEDS}\n" if figures else ""
        return _comment(document) + needs + "\n" + "\n".join([*tables, *figures, *behind])
    runs = origins.table(document)
    pages = [*tables, *([r"\clearpage", *figures] if figures else [])]
    pages += [*([r"\clearpage", *behind] if behind else []), *([table(runs, width=room)] if runs else [])]
    head = _HEAD + (f"{NEEDS}\n" if figures else "") + "\\begin{document}\n"
    prose = [rf"\section*{{{latex_prose(document.title)}}}", *(latex_prose(sentence) for sentence in document.lead)]
    prose += [rf"\textbf{{!}} {latex_prose(warning)}" for warning in document.warnings]
    return "\n".join([_comment(document) + head + "\n\n".join(prose), *pages, "\\end{document}\n"])


def table(table: Table, *, width: float = PAGE) -> str:
    """A floating table with caption, label and notes; columns without room go below, rows into a next one."""
    words = rows(table)
    layout = page(table, words, width)
    spans = stretches(table, words, layout)
    last = len(spans) - 1
    return "\n".join(_float(table, words, layout, span, (at, last)) for at, span in enumerate(spans))


def _float(
    table: Table, words: Sequence[Sequence[Worded]], layout: Page, span: range, place: tuple[int, int]
) -> str:  # fmt: skip
    """Rows of the table that stand on one page; `place` is (which of the floats, the last of them)."""
    at, last = place
    title = f"{clean(table.title)} (continued)" if at else clean(table.title)
    said = [] if at else [clean(table.caption), *spread(table)]
    caption = ". ".join(part.rstrip(".") for part in (title, *said) if part)
    made = [
        r"\begin{table}[!htbp]",
        r"  \centering",
        rf"  \caption{{{latex_prose(caption)}}}",
        rf"  \label{{tab:{slug(table.key)}{f'-{at + 1}' if at else ''}}}",
        f"  {layout.size}",
        rf"  \setlength{{\tabcolsep}}{{{layout.gap:g}pt}}",
    ]
    part = replace(table, rows=tuple(table.rows[k] for k in span))
    for index, block in enumerate(layout.blocks):
        made += [r"  \par\medskip"] if index else []
        made += _tabular(part, [words[k] for k in span], layout, block)
    notes = _notes(table) if at == last else []
    made += [r"  \par\smallskip", r"  \begin{minipage}{\linewidth}\footnotesize"] if notes else []
    made += [f"    {note}\\par" for note in notes]
    made += [r"  \end{minipage}"] if notes else []
    return "\n".join([*made, r"\end{table}"]) + "\n"


def _comment(document: Document) -> str:
    """Who made it, and the run ids and config hashes behind it; a line each, which nothing in it can leave."""
    by = origins.made(document)
    lines = [f"written by {by}"] if by else []
    lines += ["runs behind the numbers: id, config hash, label"] if document.origins else []
    lines += [f"  {origin.run}  {origin.config_hash or 'unknown'}  {origin.label}" for origin in document.origins]
    return "".join(f"% {clean(line) if not line.startswith(' ') else '  ' + clean(line)}\n" for line in lines)


def _tabular(table: Table, words: Sequence[Sequence[Worded]], layout: Page, block: Sequence[int]) -> list[str]:
    """Head and rows of the columns that stand beside each other."""
    label = "l" if layout.label is None else _in_lines(layout.label)
    kinds = [_kind(table, layout, place) for place in block]
    made = [rf"  \begin{{tabular}}{{@{{}}{label}{''.join(kinds)}@{{}}}}", r"    \toprule"]
    titles = (_headed(table.columns[place].title, kind) for place, kind in zip(block, kinds, strict=True))
    made.append(_line([_headed(table.head, label), *titles]))
    columns = 1 + len(block)
    for index, (row, line) in enumerate(zip(table.rows, words, strict=True)):
        if row.group or row.rule or not index:
            made.append(r"    \midrule")
        if row.group:
            heading = rf"\multicolumn{{{columns}}}{{@{{}}l@{{}}}}{{\emph{{{latex(row.group)}}}}}"
            made += [_line([heading]), rf"    \cmidrule{{1-{columns}}}"]
        made += _row(table, row, [line[place] for place in block], layout, block)
    return [*made, r"    \bottomrule", r"  \end{tabular}"]


def _kind(table: Table, layout: Page, place: int) -> str:
    width = layout.columns[place]
    return _in_lines(width) if width is not None else "l" if table.columns[place].unit == "words" else "r"


def _in_lines(width: float) -> str:
    """A column whose words are set in lines from the left."""
    return rf">{{\raggedright\arraybackslash}}p{{{width:.0f}pt}}"


def _headed(title: str, kind: str) -> str:
    return latex(title) if kind in "lr" else latex_prose(title)


def _line(cells: Sequence[str]) -> str:
    return "    " + " & ".join(cells) + r" \\"


def _row(table: Table, row: Row, words: Sequence[Worded], layout: Page, block: Sequence[int]) -> list[str]:
    """A line of numbers, and one of intervals below it where no other cell takes several lines."""
    label = latex_prose(name(row, table)) if layout.label is not None else latex(name(row, table))
    cells = [
        _cell(said, row.cells[place], kind=_kind(table, layout, place))
        for said, place in zip(words, block, strict=True)
    ]
    if layout.in_lines:
        cells = [f"{cell} {_small(said.interval)}".strip() for cell, said in zip(cells, words, strict=True)]
    made = [_line([rf"{{\itshape {label}}}" if row.quiet and label else label, *cells])]
    if not layout.in_lines and any(said.interval for said in words):
        made.append(_line(["", *(_small(said.interval) for said in words)]))
    return made


def _small(words: str) -> str:
    return rf"{{\scriptsize {latex(words)}}}" if words else ""


def _cell(words: Worded, cell: Cell, *, kind: str) -> str:
    if not words.is_number:
        said = latex(words.number) if kind in "lr" else latex_prose(words.number)
        is_small = kind == "r" and words.number != MISSING
        return (rf"{{\scriptsize {said}}}" if is_small else said) + _raised(marks(cell))
    number = latex(words.number)
    number = _struck(number) if cell.struck else rf"\textbf{{{number}}}" if cell.best else number
    number += _raised((DAGGER if cell.significant else "") + marks(cell))
    beside = " ".join(part for part in (rf"$\pm$ {latex(words.std)}" if words.std else "", words.count) if part)
    return f"{number} {{\\scriptsize {beside}}}" if beside else number


def _struck(number: str) -> str:
    """With a line through it, in TeX's own words: no package is needed."""
    return rf"\leavevmode{{\setbox0\hbox{{{number}}}\rlap{{\vrule height.62ex depth-.54ex width\wd0}}\box0}}"


def _raised(signs: str) -> str:
    return rf"\textsuperscript{{{latex(signs)}}}" if clean(signs) else ""


def _notes(table: Table) -> list[str]:
    said = [latex_prose(refusal) for refusal in refusals(table)]
    said += [f"{_raised(letter)} {latex_prose(sentence)}".strip() for letter, sentence in table.notes]
    meant = " ".join(signs(table, best="Bold"))
    return [*said, latex(meant)] if meant else said
