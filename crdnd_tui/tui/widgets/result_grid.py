"""The robustness tables of several runs as lines of text: rows are runs, columns attacks, on the decimal point.
from crdnd_tui.core.text import wrapped

To the right of them stand the tests under one attack.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from rich.text import Text

from crdnd_tui.compare.comparison import DROP, Comparison
from crdnd_tui.compare.rows import ComparisonRow
from crdnd_tui.core.format import MISSING, percent, points
from crdnd_tui.core.palette import Palette
from crdnd_tui.core.text import one_line, pad, wrapped
from crdnd_tui.tui.widgets import contrast_columns, result_plan, result_words
from crdnd_tui.tui.widgets.contrast_columns import Block
from crdnd_tui.tui.widgets.result_plan import UNLIKE, Plan
from crdnd_tui.write.comparison_summary import ComparisonSummary

CURSOR = "\u25b8"  # begins the row under the cursor
_NUMBERS = 38  # cells that tests leave for the label and two numbers


@dataclass(frozen=True, kw_only=True)
class View:
    """How the user looks at the table."""

    colours: Mapping[str, str]  # row id -> colour
    cursor: str = ""
    attack: str = ""  # under which rows are tested
    deltas: bool = False
    hidden: frozenset[str] = frozenset()


def lines(found: ComparisonSummary, view: View, palette: Palette, width: int, *, low: bool = False) -> list[Text]:
    """The judgement, which no table may push out of sight; head, rows, and what must be said of them.

    Where the screen is `low`, what the tests say stands below the rows.
    """
    grid = found.comparison
    block = contrast_columns.block(found, view.attack, palette, width - _NUMBERS)
    plan = result_plan.plan(grid, width - (block.width if block else 0), deltas=view.deltas, attack=view.attack)
    made = result_words.judgement(found.comparison.order, palette, width)
    said = [line for words in found.sentences[:1] for line in wrapped(words, width, palette.text, " ", "   ")]
    made += [] if low else said
    made += _heads(grid, plan, block, palette)
    for row in grid.rows:
        made += _row(found, view, palette, plan, block, row, width)
    made += said if low else []
    return [*made, *_tested(found, view, palette, width), *result_words.notes(grid, plan, palette, width)]


def _tested(found: ComparisonSummary, view: View, palette: Palette, width: int) -> list[Text]:
    """On the row under the cursor, then what the signs mean."""
    row = next((row for row in found.comparison.rows if row.id == view.cursor), None)
    detail = contrast_columns.detail(found, row, view.attack) if row else ""
    said = ((detail, palette.text), (contrast_columns.legend(found, view.attack), palette.muted))
    return [line for words, ink in said if words for line in wrapped(words, width, ink, indent=" ", hang="   ")]


def _heads(grid: Comparison, plan: Plan, block: Block | None, palette: Palette) -> list[Text]:
    """One line of titles, or two where they are tight, or where tests stand beside them."""
    made = []
    tests = block.heads(palette) if block else (Text(), Text())
    for part in (0, 1):
        if not any(head[part] for head in plan.heads.values()) and not tests[part]:
            continue
        line = Text(" " * (5 + plan.label), style=palette.muted)
        for column in plan.columns:
            word = plan.heads[column][part]
            body = pad(word.rjust(plan.digits[column]), plan.widths[column])
            line.append("  " + body, palette.muted if column in grid.apart else palette.text)
        made.append(line.append_text(tests[part]))
    return made


def _row(
    found: ComparisonSummary,
    view: View,
    palette: Palette,
    plan: Plan,
    block: Block | None,
    row: ComparisonRow,
    width: int,
) -> list[Text]:
    grid = found.comparison
    here = row.id == view.cursor
    line = _named(grid, view, palette, plan, row)
    for column in plan.columns:
        line.append("  ")
        line.append_text(_cell(found, view, palette, plan, row, column))
    if block:
        line.append_text(block.row(row.id))
    made = [line]
    if any(plan.under.get((row.id, column)) for column in plan.columns):
        under = Text(" " * (5 + plan.label))
        for column in plan.columns:
            word = plan.under.get((row.id, column), "")
            under.append("  " + pad(word.rjust(plan.digits[column]), plan.widths[column]), palette.muted)
        made.append(under)
    for part in made:
        part.truncate(width, pad=True)
        if here:
            part.stylize(f"on {palette.selection}")
    return made


def _named(grid: Comparison, view: View, palette: Palette, plan: Plan, row: ComparisonRow) -> Text:
    """The cursor, the row's colour, its label and what follows it."""
    here, hidden = row.id == view.cursor, row.id in view.hidden
    line = Text(CURSOR if here else " ", style=palette.accent)
    colour = palette.faint if hidden else view.colours.get(row.id, "")
    line.append(" \u2504\u2504 " if hidden else " \u2501\u2501 ", colour)
    tails = result_plan.tails(grid, row)
    name = one_line(row.label, plan.label - sum(map(len, tails)))
    line.append(name, f"bold {palette.text}" if here else palette.text)
    for tail, style in zip(tails, (palette.muted, palette.warn, palette.muted), strict=True):
        line.append(tail, style)
    line.append(" " * max(0, plan.label - len(name) - sum(map(len, tails))))
    return line


def _cell(found: ComparisonSummary, view: View, palette: Palette, plan: Plan, row: ComparisonRow, column: str) -> Text:
    """A number or a signed difference, its marks, its spread."""
    grid = found.comparison
    cell, digits, room = grid.cells.get((row.id, column)), plan.digits[column], plan.widths[column]
    if cell is None:
        barred = (row.id, column) in grid.reasons and column != DROP
        return Text(pad((UNLIKE if barred else "\u2013").rjust(digits), room), palette.muted)
    base = grid.cells.get((grid.base.id, column))
    unlike = (row.id, column) in grid.reasons or (column == DROP and row.id in grid.badges)
    text, style, struck = percent(cell.mean, cell.n), palette.text, cell.is_struck
    if column == DROP:
        text = points(100 * cell.mean, cell.n)
    if view.deltas and row.id != grid.base.id:
        lead = grid.delta(row.id, column)
        text = (
            UNLIKE
            if lead is None and unlike
            else MISSING
            if lead is None
            else points(lead, min(cell.n, base.n if base else 0))
        )
        style = palette.muted if lead is None else tone(palette, lead)
        struck = cell.is_struck or (base is not None and base.is_struck)
    elif unlike or column in grid.apart or column == DROP:
        style = palette.muted
    if (row.id, column) in found.comparison.tied:
        style = f"bold {style}"
    made = Text().append(text.rjust(digits), style)
    if struck:
        made.stylize(f"not bold strike {palette.muted}", digits - len(text), digits)
    signs = cell.marked.signs + (UNLIKE if unlike and text != UNLIKE and row.id not in grid.badges else "")
    made.append(signs.ljust(plan.letters[column]), palette.bad if cell.is_struck else palette.warn)
    if plan.inline and column != DROP:
        made.append(result_plan.spread(cell), palette.muted)
    made.append(" " * (room - len(made.plain)))
    return made


def tone(palette: Palette, points: float) -> str:
    """Blue below zero, orange above, plain at zero."""
    shown = round(points, 1)
    return palette.above if shown > 0 else palette.below if shown < 0 else palette.text
