"""Tables and documents as lines of a terminal: on the decimal point, and never a number lost to a narrow window."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from rich.cells import cell_len
from rich.text import Text

from crdnd_tui.core.format import MISSING, finite
from crdnd_tui.write.document import WEIGHTS, Cell, Document, Origin, Row, Table
from crdnd_tui.write.escape import terminal
from crdnd_tui.write.numbers import legend, name, refusals
from crdnd_tui.write.plain_layout import BEST, GAP, INDENT, UNLIKE, Geometry, Layout, Shown, plan, shown, under
from crdnd_tui.write.wrap import fill, wrap

_RULE = "\u2500"
_HASH = 8  # digits


@dataclass(frozen=True, kw_only=True)
class Ink:
    """Styles of Rich; a screen hands those of its palette."""

    text: str = ""
    strong: str = "bold"
    muted: str = "dim"
    mark: str = "yellow"
    bad: str = "red"  # the sign of a number that is not believed


@dataclass(frozen=True, kw_only=True)
class _Pen:
    """What all lines of one table have in common."""

    width: int
    ascii_only: bool
    ink: Ink

    def say(self, text: str) -> str:
        return terminal(text, ascii_only=self.ascii_only)

    def prose(self, text: str, style: str = "", *, hang: int = 0, sign: int = 0) -> list[Text]:
        """A sentence in lines, the later ones indented; its first `sign` characters in the ink of marks."""
        first, *rest = wrap(self.say(text), max(8, self.width - INDENT - hang))
        margin = " " * INDENT
        made = [Text(margin + first, style), *(Text(margin + " " * hang + line, style) for line in rest)]
        made[0].stylize(self.ink.mark, INDENT, INDENT + sign)
        return made


def lines(table: Table, width: int, *, ascii_only: bool = False, ink: Ink | None = None) -> list[Text]:
    """The table with title, caption and notes, in lines of at most `width` cells, from 40 on."""
    pen = _Pen(width=width, ascii_only=ascii_only, ink=ink or Ink())
    cells = shown(table, ascii_only=ascii_only)
    layout = plan(table, cells, width, ascii_only=ascii_only)
    made = pen.prose(table.title, pen.ink.strong) if table.title else []
    for index, block in enumerate(layout.blocks):
        made += [Text()] if index else []
        made += _block(table, cells, layout, block, pen)
    below = _below(table, pen)
    return [*made, Text(), *below] if below else made


def document(doc: Document, width: int, *, ascii_only: bool = False, ink: Ink | None = None) -> list[Text]:
    """Title, what the numbers say, warnings, tables, and the runs behind them."""
    pen = _Pen(width=width, ascii_only=ascii_only, ink=ink or Ink())
    made = pen.prose(doc.title, pen.ink.strong)
    for sentence in doc.lead:
        made += [Text(), *pen.prose(sentence, pen.ink.text)]
    for warning in doc.warnings:
        made += [Text(), *pen.prose(f"! {warning}", pen.ink.text, hang=2, sign=1)]
    for table in doc.tables:
        made += [Text(), *lines(table, width, ascii_only=ascii_only, ink=ink)]
    behind = runs(doc.origins, width, ascii_only=ascii_only, ink=ink)
    made += [Text(), *behind] if behind else []
    by = doc.made_by
    return [*made, Text(), *pen.prose(by, pen.ink.muted)] if by else made


def runs(behind: Sequence[Origin], width: int, *, ascii_only: bool = False, ink: Ink | None = None) -> list[Text]:
    """A line for each run: whole id, label, hashes and state, as far as there is room; an id is never broken."""
    if not behind:
        return []
    pen = _Pen(width=width, ascii_only=ascii_only, ink=ink or Ink())
    rows = [("run", "label", "config", "state", WEIGHTS), *map(_of_run, behind)]
    said = [[pen.say(word) for word in row] for row in rows]
    wide = [max(cell_len(row[k]) for row in said) for k in range(len(rows[0]))]
    kept = [k for k in range(len(wide)) if any(row[k] for row in said[1:])]
    while len(kept) > 1 and INDENT + sum(wide[k] + GAP for k in kept) - GAP > width:
        kept.pop()
    made = [Text(" " * INDENT + (" " * GAP).join(fill(row[k], wide[k]) for k in kept), pen.ink.muted) for row in said]
    for line in made:
        line.rstrip()
    return [*pen.prose("Where it comes from", pen.ink.strong), *made]


def _of_run(origin: Origin) -> tuple[str, ...]:
    return origin.run, origin.label, origin.config_hash[:_HASH], origin.state, origin.weights[:_HASH]


def _below(table: Table, pen: _Pen) -> list[Text]:
    """Caption, refusals, notes, and what the signs mean."""
    made = pen.prose(table.caption, pen.ink.muted) if table.caption else []
    for refusal in refusals(table):
        made += pen.prose(f"{UNLIKE} {refusal}", pen.ink.muted, hang=2, sign=len(pen.say(UNLIKE)))
    for letter, sentence in table.notes:
        said = f"{letter} {sentence}" if letter else sentence
        made += pen.prose(said, pen.ink.muted, hang=2 if letter else 0, sign=len(letter))
    signs = " ".join(legend(table, best=f"Bold and {BEST}"))
    return [*made, *pen.prose(signs, pen.ink.muted)] if signs else made


def _block(
    table: Table, cells: Sequence[Sequence[Shown]], layout: Layout, block: tuple[int, ...], pen: _Pen
) -> list[Text]:
    """Head, rule and rows of the columns that stand beside each other."""
    columns = [layout.columns[place] for place in block]
    used = INDENT + layout.label + sum(layout.gap + column.width for column in columns)
    made = _head(table, layout, columns, pen)
    for index, (row, line) in enumerate(zip(table.rows, cells, strict=True)):
        if row.group or row.rule or not index:
            made += _rule(used, pen, row.group)
        made += _row(table, (row, line), layout, block, pen)
    for finished in made:
        finished.rstrip()
    return made


def _rule(used: int, pen: _Pen, words: str = "") -> list[Text]:
    """A line across the table, with the name of a group in it; below it if it is too long."""
    said, dash = pen.say(words), pen.say(_RULE)
    made = Text(" " * INDENT)
    fits = said and cell_len(said) <= used - INDENT - 6
    if fits:
        made.append(dash * 2, pen.ink.muted)
        made.append(f" {said} ", pen.ink.strong)
    made.append(dash * (used - cell_len(made.plain)), pen.ink.muted)
    return [made] if fits or not said else [made, *pen.prose(words, pen.ink.strong)]


def _head(table: Table, layout: Layout, columns: Sequence[Geometry], pen: _Pen) -> list[Text]:
    """Titles in as many lines as they need, the last part above the rule."""
    heads = wrap(pen.say(table.head), layout.label)
    height = max(len(heads), *(len(column.title) for column in columns), 1)
    made = []
    for index in range(height):
        line = Text(" " * INDENT + fill(_above(heads, index, height), layout.label), pen.ink.muted)
        for column in columns:
            part = fill(_above(column.title, index, height), column.core, right=not column.words)
            line.append(" " * layout.gap + fill(part, column.width))
        made.append(line)
    return made


def _above(parts: Sequence[str], index: int, height: int) -> str:
    """The part that stands in a line when the last part stands in the last one."""
    place = index - (height - len(parts))
    return parts[place] if 0 <= place < len(parts) else ""


def _row(
    table: Table, row_and_cells: tuple[Row, Sequence[Shown]], layout: Layout, block: tuple[int, ...], pen: _Pen
) -> list[Text]:
    """The label beside its cells; each may take several lines."""
    row, cells = row_and_cells
    ink = pen.ink.muted if row.quiet else pen.ink.text
    room = layout.label - under(row)
    labels = [Text(" " * under(row) + part, ink) for part in wrap(pen.say(name(row, table)), room)]
    columns = [layout.columns[place] for place in block]
    if _says_one_thing(row):
        wide = sum(column.width for column in columns) + layout.gap * (len(columns) - 1)
        stacks = [([Text(part, pen.ink.muted) for part in wrap(pen.say(row.cells[0].text), wide)], wide)]
    else:
        stacks = [
            (_stack(cells[place], row.cells[place], layout.columns[place], ink, pen), layout.columns[place].width)
            for place in block
        ]
    made = []
    for parts in zip_longest(labels, *(stack for stack, _ in stacks)):
        line = Text(" " * INDENT)
        for index, (part, width) in enumerate(zip(parts, (layout.label, *(w for _, w in stacks)), strict=True)):
            line.append(" " * layout.gap if index else "")
            line.append_text(part or Text())
            line.append(" " * max(0, width - cell_len(part.plain if part else "")))
        made.append(line)
    return made


def _says_one_thing(row: Row) -> bool:
    """Whether the same words stand in all cells instead of numbers."""
    said = {cell.text for cell in row.cells}
    bare = all(finite(cell.value) is None and not cell.barred and not cell.marks for cell in row.cells)
    return bare and len(row.cells) > 1 and len(said) == 1 and said != {""}


def _stack(cell: Shown, own: Cell, column: Geometry, ink: str, pen: _Pen) -> list[Text]:
    """A cell in lines: the number with what stands beside it, and what found no room there."""
    words = cell.words
    if not words.is_number:
        style = pen.ink.muted if own.barred or words.number == pen.say(MISSING) else ink
        return _said(words.number, cell.marks, column, style, pen)
    number = _on_its_point(words.number, column)
    beside = column.std_beside(words)
    free = column.core - len(number) - len(beside)
    made = Text(" " * free)
    made.append(number, f"{ink} {pen.ink.strong}".strip() if own.best else ink)
    if own.struck:
        made.stylize(f"not bold strike {pen.ink.muted}", free + len(number) - len(number.lstrip()), free + len(number))
    made.append(beside, pen.ink.muted)
    made.append(fill(cell.marks, column.marks), pen.ink.bad if own.struck else pen.ink.mark)
    made.append(fill(words.interval, column.interval, right=True) if column.interval else "", pen.ink.muted)
    under = [part for part in (column.std_under(words), "" if column.interval else words.interval) if part]
    return [made, *(Text(fill(part, column.core, right=True), pen.ink.muted) for part in under)]


def _said(words: str, marks: str, column: Geometry, style: str, pen: _Pen) -> list[Text]:
    """Words in a cell: from the left in a column of words, else where a number ends."""
    if not column.words and cell_len(words) <= column.left + column.right:
        number = fill(words, column.left + column.right, right=True)
        parts = [fill(fill(number, column.number_room), column.core, right=True)]
    else:
        parts = [fill(part, column.core, right=not column.words) for part in wrap(words, column.core)]
    made = [Text(part, style) for part in parts]
    made[0].append(fill(marks, column.marks), pen.ink.mark)
    return made


def _on_its_point(number: str, column: Geometry) -> str:
    before, point, after = number.partition(".")
    return before.rjust(column.left) + (point + after).ljust(column.right)
