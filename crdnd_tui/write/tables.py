"""Tables and documents as lines of a terminal, laid out by Rich; no number is lost to a narrow window.

Where a table is too wide, its attacks become rows, then intervals and deviations go below their numbers, then columns
go below each other.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

from rich.box import Box
from rich.cells import cell_len
from rich.table import Table as Grid
from rich.text import Text

from crdnd_tui.core.format import MISSING, finite
from crdnd_tui.core.text import grid_lines, rendered, wrapped
from crdnd_tui.write import numbers
from crdnd_tui.write.document import Cell, Column, Document, Origin, Row, Table
from crdnd_tui.write.escape import terminal
from crdnd_tui.write.numbers import DAGGER, PLUS_MINUS, CellText

BEST, UNLIKE = "*", "\u2260"  # signs behind the best, and in place of what cannot be compared
INDENT = 2
_NARROW = 100  # cells below which attacks become rows
_LABELS, _WORDS = (30, 12), 16  # cells that labels and a column of words have at least, if they need them
_GAP = 2
_HASH = 8  # digits
_BOX = "    \n    \n {0}{0} \n    \n {0}{0} \n    \n    \n    \n"  # a line below the head, and between groups


@dataclass(frozen=True, kw_only=True)
class TableStyle:
    """Styles of Rich; a screen hands those of its palette."""

    text: str = ""
    strong: str = "bold"
    muted: str = "dim"
    mark: str = "yellow"
    bad: str = "red"  # the sign of a number that is not believed


@dataclass(frozen=True, kw_only=True)
class _Screen:
    """What all lines of one table have in common."""

    width: int
    ascii_only: bool
    style: TableStyle

    def text(self, said: str) -> str:
        return terminal(said, ascii_only=self.ascii_only)

    def prose(self, said: str, style: str = "", *, sign: int = 0) -> list[Text]:
        """A sentence in lines; its first `sign` characters in the style of marks, later lines indented below them."""
        made = wrapped(self.text(said), self.width, style, " " * INDENT, " " * (INDENT + 2 * bool(sign)))
        made[0].stylize(self.style.mark, INDENT, INDENT + sign)
        return made


def document_lines(
    doc: Document, width: int, *, ascii_only: bool = False, style: TableStyle | None = None
) -> list[Text]:
    """Title, what the numbers say, warnings, tables, and the runs behind them."""
    screen = _Screen(width=width, ascii_only=ascii_only, style=style or TableStyle())
    made = screen.prose(doc.title, screen.style.strong)
    for sentence in doc.lead:
        made += [Text(), *screen.prose(sentence, screen.style.text)]
    for warning in doc.warnings:
        made += [Text(), *screen.prose(f"! {warning}", screen.style.text, sign=1)]
    for table in doc.tables:
        made += [Text(), *table_lines(table, width, ascii_only=ascii_only, style=style)]
    behind = run_lines(doc.origins, width, ascii_only=ascii_only, style=style)
    made += [Text(), *behind] if behind else []
    return [*made, Text(), *screen.prose(doc.made_by, screen.style.muted)] if doc.made_by else made


def run_lines(
    origins: Sequence[Origin], width: int, *, ascii_only: bool = False, style: TableStyle | None = None
) -> list[Text]:
    """A line for each run: whole id, label, hashes and state, as far as there is room; an id is never broken."""
    if not origins:
        return []
    screen = _Screen(width=width, ascii_only=ascii_only, style=style or TableStyle())
    head = ("run", "label", "config", "state", "weights")
    rows = [(one.run, one.label, one.config_hash[:_HASH], one.state, one.weights[:_HASH]) for one in origins]
    columns = [[screen.text(word) for word in column] for column in zip(head, *rows, strict=True)]
    columns = [columns[0], *(column for column in columns[1:] if any(column[1:]))]
    while sum(max(map(cell_len, column)) + _GAP for column in columns) > width and len(columns) > 1:
        columns.pop()
    lines = grid_lines(list(zip(*columns, strict=True)))
    made = [Text(" " * INDENT + line.plain, screen.style.muted) for line in lines]
    return [*screen.prose("Where it comes from", screen.style.strong), *made]


def table_lines(table: Table, width: int, *, ascii_only: bool = False, style: TableStyle | None = None) -> list[Text]:
    """The table with title, caption and notes, in lines of at most `width` cells, from 40 on."""
    screen = _Screen(width=width, ascii_only=ascii_only, style=style or TableStyle())
    made = screen.prose(table.title, screen.style.strong) if table.title else []
    shown, grids = _laid_out(table, screen)
    for index, grid in enumerate(grids):
        made += [Text()] if index else []
        made += [Text(" " * INDENT).append_text(line) for line in rendered(grid, width - INDENT)]
    below = _below(table, screen, "row" if shown is not table else "column")
    return [*made, Text(), *below] if below else made


def _below(table: Table, screen: _Screen, of: str) -> list[Text]:
    """Caption, refusals, notes, and what the signs mean."""
    quiet = screen.style.muted
    made = screen.prose(table.caption, quiet) if table.caption else []
    for refusal in numbers.refusal_notes(table):
        made += screen.prose(f"{UNLIKE} {refusal}", quiet, sign=len(screen.text(UNLIKE)))
    for letter, sentence in table.notes:
        made += screen.prose(f"{letter} {sentence}".strip(), quiet, sign=len(letter))
    signs = " ".join(numbers.legend(table, best=f"Bold and {BEST}")).replace("of its column", f"of its {of}")
    return [*made, *screen.prose(signs, quiet)] if signs else made


def _laid_out(table: Table, screen: _Screen) -> tuple[Table, list[Grid]]:
    """The first layout that fits: in one block before several, everything beside its number before below it."""
    turned = [_transposed(table)] if screen.width < _NARROW and _can_be_transposed(table) else []
    for blocks, label, level in product(range(1, len(table.columns) + 1), _LABELS, range(3)):
        for shown in (table, *turned):
            size = -(-len(shown.columns) // blocks)
            made = [
                _Block(shown, range(at, min(at + size, len(shown.columns))), level, screen)
                for at in range(0, len(shown.columns), size)
            ]
            if all(one.least(label) <= screen.width - INDENT for one in made):
                return shown, [one.grid() for one in made]
    parts = [[place] for place in range(len(table.columns))] or [[]]
    return table, [_Block(table, part, 2, screen).grid() for part in parts]


def _can_be_transposed(table: Table) -> bool:
    """Whether all numbers are of one unit and every row stands for itself."""
    units = {row.unit or column.unit for row in table.rows for column in table.columns}
    return (
        len(units) == 1 and "words" not in units and not any(row.quiet or row.group or row.rule for row in table.rows)
    )


def _transposed(table: Table) -> Table:
    (unit,) = {row.unit or column.unit for row in table.rows for column in table.columns}
    return replace(
        table,
        head="",
        columns=tuple(Column(key="", title=numbers.row_label(row, table), unit=unit) for row in table.rows),
        rows=tuple(
            Row(label=column.title, cells=tuple(row.cells[place] for row in table.rows))
            for place, column in enumerate(table.columns)
        ),
    )


class _Block:
    """Columns of a table that stand beside each other; `level` of what goes below its number: 1 intervals, 2 all."""

    def __init__(self, table: Table, places: Sequence[int], level: int, screen: _Screen) -> None:
        self._table, self._screen = table, screen
        self._columns = [_Numbers(table, place, level, screen) for place in places]
        self._labels = [screen.text(_label(row, table)) for row in table.rows]

    def least(self, label: int) -> int:
        """Cells that it needs when labels longer than `label` are broken."""
        longest = max(map(cell_len, (self._screen.text(self._table.head), *self._labels)), default=0)
        return min(longest, label) + sum(_GAP + column.least for column in self._columns)

    def grid(self) -> Grid:
        screen, style = self._screen, self._screen.style
        grid = Grid(
            box=Box(_BOX.format("-" if screen.ascii_only else "\u2500"), ascii=screen.ascii_only), show_edge=False,
            pad_edge=False, padding=(0, 0, 0, _GAP - 1), border_style=style.muted, header_style=style.muted,
        )  # fmt: skip
        grid.add_column(Text(screen.text(self._table.head)), overflow="fold")
        for column in self._columns:
            column.add_to(grid)
        for index, (row, label) in enumerate(zip(self._table.rows, self._labels, strict=True)):
            if index and row.rule and not row.group:
                grid.add_section()
            if row.group:
                grid.add_row(Text(screen.text(row.group), style.strong))
            shown = style.muted if row.quiet else style.text
            told = Text(" " * _GAP * row.quiet + label, shown)
            cells = [] if _says_one_thing(row) else [column.cell(index, shown) for column in self._columns]
            grid.add_row(told, *cells)
        return grid


def _label(row: Row, table: Table) -> str:
    """With what stands in all cells, if that is the same."""
    said = numbers.row_label(row, table)
    return f"{said}: {row.cells[0].text}" if _says_one_thing(row) else said


def _says_one_thing(row: Row) -> bool:
    """Whether the same words stand in all cells instead of numbers."""
    said = {cell.text for cell in row.cells}
    bare = all(finite(cell.value) is None and not cell.barred and not cell.marks for cell in row.cells)
    return bare and len(row.cells) > 1 and len(said) == 1 and said != {""}


class _Numbers:
    """One column: numbers on their decimal point, deviations, marks and intervals each below each other; or words."""

    def __init__(self, table: Table, place: int, level: int, screen: _Screen) -> None:
        self._screen = screen
        self._title = screen.text(table.columns[place].title)
        self._words = table.columns[place].unit == "words"
        self._cells = [
            (row.cells[place], said[place]) for row, said in zip(table.rows, numbers.cell_texts(table), strict=True)
        ]
        known = [said for _, said in self._cells if said.is_number]
        self._point = max((len(said.number) - said.number.find(".") for said in known if "." in said.number), default=0)
        spreads, intervals = [screen.text(_spread(said)) for said in known], [said.interval for said in known]
        self._spread = max((1 + len(said) for said in spreads if said), default=0) if level < 2 else 0
        self._interval = max((1 + len(said) for said in intervals if said), default=0) if level < 1 else 0
        self._signs = max((len(self._marks(*one)) for one in self._cells), default=0)
        own = [self._raw(k, "").plain for k, row in enumerate(table.rows) if not _says_one_thing(row)]
        self._widest = max((cell_len(line) for said in own for line in said.split("\n")), default=0)

    @property
    def least(self) -> int:
        """Cells that it needs."""
        title = max(map(cell_len, self._title.split(" ")), default=0)
        return max(title, min(self._widest, _WORDS) if self._words else self._widest)

    def add_to(self, grid: Grid) -> None:
        title = Text(self._title, justify="left" if self._words else "right")
        width = None if self._words else self.least  # numbers are never cut, words are folded
        grid.add_column(title, overflow="fold", min_width=self.least, width=width)

    def cell(self, index: int, style: str) -> Text:
        """In a style of Rich; lines of numbers fill the column, so that they stand below each other."""
        made = self._raw(index, style)
        if self._words:
            return made
        return Text("\n").join(Text(" " * (self.least - line.cell_len)) + line for line in made.split("\n"))

    def _raw(self, index: int, style: str) -> Text:
        cell, said = self._cells[index]
        if said.is_number:
            return self._number(cell, said, style)
        quiet = cell.barred or said.number == MISSING
        words, marks = self._screen.text(UNLIKE if cell.barred else said.number), self._marks(cell, said)
        if self._words:
            marks = marks and f" {marks}"
        elif cell_len(words) > _WORDS:
            words = "\n".join(textwrap.wrap(words, _WORDS))
        else:
            marks += " " * (self._signs + self._spread + self._interval - len(marks))
        return Text(words, self._screen.style.muted if quiet else style).append(marks, self._screen.style.mark)

    def _number(self, cell: Cell, said: CellText, style: str) -> Text:
        colours = self._screen.style
        strong = (
            f"not bold strike {colours.muted}" if cell.struck else f"{style} {colours.strong}" if cell.best else style
        )
        _, point, after = said.number.partition(".")
        made = Text.assemble((self._screen.text(said.number), strong), " " * (self._point - len(point + after)))
        spread, interval = self._screen.text(_spread(said)), self._screen.text(said.interval)
        made.append(f"{f' {spread}' if spread and self._spread else '':<{self._spread}}", colours.muted)
        made.append(f"{self._marks(cell, said):<{self._signs}}", colours.bad if cell.struck else colours.mark)
        made.append(f"{interval if self._interval else '':>{self._interval}}", colours.muted)
        for part in ("" if self._spread else spread, "" if self._interval else interval):
            made.append(f"\n{part}{' ' * self._signs}" if part else "", colours.muted)
        return made

    def _marks(self, cell: Cell, said: CellText) -> str:
        signs = (BEST if cell.best else "") + (DAGGER if cell.significant else "") if said.is_number else ""
        return self._screen.text(signs + numbers.marks(cell))


def _spread(said: CellText) -> str:
    """What stands beside a number: its deviation, and the number of seeds."""
    return " ".join(part for part in (f"{PLUS_MINUS} {said.std}" if said.std else "", said.count) if part)
