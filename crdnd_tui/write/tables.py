"""Tables and documents as lines of a terminal, laid out by Rich; no number is lost to a narrow window.

Where a table is too wide, its attacks become rows, then intervals and deviations go below their numbers, then columns
go below each other.
"""

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, product
from string import ascii_letters

from rich.box import Box
from rich.cells import cell_len
from rich.table import Table as Grid
from rich.text import Text

from crdnd_tui.core.format import MISSING, finite
from crdnd_tui.core.marks import STRUCK
from crdnd_tui.core.text import grid_lines, rendered, wrapped
from crdnd_tui.write import numbers
from crdnd_tui.write.document import Cell, Column, Document, Figure, Origin, Row, Series, Table
from crdnd_tui.write.escape import clean
from crdnd_tui.write.numbers import DAGGER, PLUS_MINUS, CellText

BEST, UNLIKE = "*", "\u2260"  # signs behind the best, and in place of what cannot be compared
INDENT = 2
PROSE = 100  # cells of the longest line of a sentence
_NARROW = 100  # cells below which attacks become rows
_LABELS, _WORDS = (30, 12), 16  # cells that labels and a column of words have at least, if they need them
_GAP = 2
_HASH = 8  # digits
_BOX = Box("    \n    \n \u2500\u2500 \n    \n \u2500\u2500 \n    \n    \n    \n")  # below the head, between groups


@dataclass(frozen=True, kw_only=True)
class TableStyle:
    """Styles of Rich; a screen hands those of its palette."""

    text: str = ""
    strong: str = "bold"
    muted: str = "dim"
    mark: str = "yellow"
    bad: str = "red"  # the sign of a number that is not believed


_PLAIN = TableStyle()


def document_lines(doc: Document, width: int, style: TableStyle = _PLAIN, spare: Sequence[str] = ()) -> list[Text]:
    """Title, what the numbers say, warnings, tables, and the runs behind them; `spare` as for `table_lines`."""
    parts = [prose(doc.title, width, style.strong)] if doc.title else []
    parts += [prose(sentence, width, style.text) for sentence in doc.lead]
    parts += [prose(f"! {warning}", width, style.text, mark=(1, style.mark)) for warning in doc.warnings]
    parts += [table_lines(table, width, style, spare) for table in doc.tables]
    parts += [run_lines(doc.origins, width, style)] if doc.origins else []
    parts += [prose(doc.made_by, width, style.muted)] if doc.made_by else []
    return [line for place, part in enumerate(parts) for line in ([Text()] * bool(place) + part)]


def prose(said: str, width: int, style: str = "", mark: tuple[int, str] = (0, "")) -> list[Text]:
    """A sentence in lines; its first characters, so many, in the mark's style, later lines indented below them."""
    signs, look = mark
    made = wrapped(clean(said), min(width, PROSE), style, " " * INDENT, " " * (INDENT + 2 * bool(signs)))
    made[0].stylize(look, INDENT, INDENT + signs)
    return made


def run_lines(origins: Sequence[Origin], width: int, style: TableStyle = _PLAIN) -> list[Text]:
    """A line for each run: whole id, label, hashes and state, as far as there is room; an id is never broken."""
    head = ("run", "label", "config", "state", "weights")
    rows = [(one.run, one.label, one.config_hash[:_HASH], one.state, one.weights[:_HASH]) for one in origins]
    columns = [[clean(word) for word in column] for column in zip(head, *rows, strict=True)]
    columns = [columns[0], *(column for column in columns[1:] if any(column[1:]))]
    while sum(max(map(cell_len, column)) + _GAP for column in columns) > width and len(columns) > 1:
        columns.pop()
    lines = grid_lines(list(zip(*columns, strict=True)))
    return [
        *prose("Where it comes from", width, style.strong),
        *(Text(" " * INDENT + line.plain, style.muted) for line in lines),
    ]


def table_lines(table: Table, width: int, style: TableStyle = _PLAIN, spare: Sequence[str] = ()) -> list[Text]:
    """The table with title, caption and notes, in lines of at most `width` cells, from 40 on.

    Columns whose keys are `spare` are left out where there is no room for them, the first one first.
    """
    made = prose(table.title, width, style.strong) if table.title else []
    body, is_turned, left = _body(table, width, style, spare)
    below = _below(table, width, style, "row" if is_turned else "column", left)
    return [*made, *body, *([Text()] if below else []), *below]


def body_lines(table: Table, width: int, height: int, spare: Sequence[str] = ()) -> list[Text]:
    """The numbers alone; of a table that is too high, the head and the last rows without what is `spare`."""
    body = _body(table, width, _PLAIN, spare)[0]
    if len(body) <= height:
        return body
    last = tuple(replace(row, rule=False, group="") for row in table.rows[-max(1, height - 2) :])
    return _body(_without(replace(table, rows=last), spare), width, _PLAIN, ())[0][:height]


def scatter_lines(
    figure: Figure, size: tuple[int, int], colours: Sequence[str], name: Callable[[Series], str],
    style: TableStyle = _PLAIN,
) -> tuple[list[Text], list[Text]]:  # fmt: skip
    """A scatter plot with a letter and an error bar for each row; and the letters with the rows' names and marks."""
    from crdnd_tui.chart.plot import NamedPoint, scatter  # noqa: PLC0415  `crdnd show` does without

    series = [one for one in figure.series if one.x and one.y]
    points, names, inks = [], list[Text](), dict[str, str]()
    for place, (letter, one) in enumerate(zip(cycle(ascii_letters), series, strict=False)):
        ends = ((one.low or one.y)[0], (one.high or one.y)[0])
        points.append(NamedPoint(name=letter, key=letter, x=one.x[0], y=one.y[0], ends=ends))
        is_struck, marks = one.severity == "red", numbers.marks(one)
        inks[letter] = f"bold {colours[place % len(colours)]}"
        names.append(Text.assemble(
            (letter, inks[letter]), (f" {name(one)}", f"strike {style.muted}" if is_struck else style.text),
            (f" {marks}" if marks else "", style.bad if is_struck else style.mark),
        ))  # fmt: skip
    drawn = scatter(points, size) if points else []
    plot = [Text.assemble(*((words, inks.get(key, style.muted)) for words, key in row)) for row in drawn]
    return plot, names


def _body(table: Table, width: int, style: TableStyle, spare: Sequence[str]) -> tuple[list[Text], bool, list[str]]:
    """Lines of the numbers alone, whether the attacks are rows, and the titles of what was left out."""
    shown, grids = _laid_out(table, width - INDENT, style, spare)
    blocks = [[Text(" " * INDENT).append_text(line) for line in rendered(grid, width - INDENT)] for grid in grids]
    lines = [line for place, block in enumerate(blocks) for line in ([Text()] * bool(place) + block)]
    left = [column.title for column in table.columns if column.key in spare and column not in shown.columns]
    return lines, shown.head != table.head, left


def _below(table: Table, width: int, style: TableStyle, of: str, left: Sequence[str]) -> list[Text]:
    """Caption, refusals, notes, what the signs mean, and what there was no room for."""
    made = prose(table.caption, width, style.muted) if table.caption else []
    for refusal in numbers.refusal_notes(table):
        made += prose(f"{UNLIKE} {refusal}", width, style.muted, mark=(1, style.mark))
    for letter, sentence in table.notes:
        made += prose(f"{letter} {sentence}".strip(), width, style.muted, mark=(len(letter), style.mark))
    signs = " ".join(numbers.legend(table, best=f"Bold and {BEST}")).replace("of its column", f"of its {of}")
    made += prose(signs, width, style.muted) if signs else []
    return made + (prose(f"No room here for: {'; '.join(left)}.", width, style.muted) if left else [])


def _laid_out(table: Table, room: int, style: TableStyle, spare: Sequence[str]) -> tuple[Table, list[Grid]]:
    """The first layout that fits: in one block before several, everything beside its number before below it."""
    for many in range(len(spare)):
        block = _Block(_without(table, spare[:many]), None, 0, style)
        if block.least(_LABELS[0], folded=False) <= room:
            return block.table, [block.grid(_LABELS[0])]
    table = _without(table, spare)
    turned = [_transposed(table)] if room + INDENT < _NARROW and _can_be_transposed(table) else []
    for blocks, label, level in product(range(1, len(table.columns) + 1), _LABELS, range(3)):
        for shown in (table, *turned):
            size = -(-len(shown.columns) // blocks)
            starts = range(0, len(shown.columns), size)
            made = [_Block(shown, range(at, min(at + size, len(shown.columns))), level, style) for at in starts]
            if all(one.least(label) <= room for one in made):
                return shown, [one.grid(label) for one in made]
    parts = [[place] for place in range(len(table.columns))] or [[]]
    return table, [_Block(table, part, 2, style).grid(_LABELS[-1]) for part in parts]


def _without(table: Table, keys: Sequence[str]) -> Table:
    places = [place for place, column in enumerate(table.columns) if column.key not in keys]
    return replace(
        table,
        columns=tuple(table.columns[place] for place in places),
        rows=tuple(replace(row, cells=tuple(row.cells[place] for place in places)) for row in table.rows),
    )


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

    def __init__(self, table: Table, places: Sequence[int] | None, level: int, style: TableStyle) -> None:
        self.table, self._style = table, style
        places = range(len(table.columns)) if places is None else places
        self._columns = {place: _Numbers(table, place, level, style) for place in places}
        self._instead = [_instead(row, table) for row in table.rows]
        labels = zip(table.rows, self._instead, strict=True)
        self._labels = [": ".join(filter(None, (clean(numbers.row_label(row, table)), said))) for row, said in labels]

    def least(self, label: int, *, folded: bool = True) -> int:
        """Cells that it needs when labels longer than `label` are broken, and words are `folded`."""
        columns = self._columns.values()
        return self._label_width(label) + sum(_GAP + (one.least if folded else one.widest) for one in columns)

    def _label_width(self, label: int) -> int:
        words = (self.table.head, *(row.group for row in self.table.rows))
        return min(label, max(map(cell_len, (*map(clean, words), *self._labels))))

    def grid(self, label: int) -> Grid:
        """Its lines; labels longer than `label` go on below themselves."""
        style, width = self._style, self._label_width(label)
        grid = Grid(
            box=_BOX, show_edge=False, pad_edge=False, padding=(0, 0, 0, _GAP - 1), border_style=style.muted,
            header_style=style.muted,
        )  # fmt: skip
        grid.add_column(Text(clean(self.table.head)), overflow="fold", min_width=width, max_width=width)
        for column in self._columns.values():
            column.add_to(grid)
        for index, (row, words) in enumerate(zip(self.table.rows, self._labels, strict=True)):
            if index and row.rule and not row.group:
                grid.add_section()
            if row.group:
                grid.add_row(Text(clean(row.group), style.strong))
            shown = style.muted if row.quiet else style.text
            told = Text(" " * _GAP * row.quiet + words, shown)
            said = self._instead[index]
            cells = [Text() if said and not _stays(place, row) else column.cell(index, shown)
                     for place, column in self._columns.items()]  # fmt: skip
            grid.add_row(told, *cells)
        return grid


def _stays(place: int, row: Row) -> bool:
    """Whether a cell is shown beside the words in place of its row's numbers: the first one, as in `0 of 3`."""
    return place == 0 and row.cells[0].text != row.cells[-1].text


def _instead(row: Row, table: Table) -> str:
    """Words that stand behind the label in place of all numbers of a row, as in `ARD: not run`; empty with numbers."""
    if len(row.cells) < 2 or any(finite(cell.value) is not None or cell.barred for cell in row.cells):
        return ""
    first, *rest = row.cells
    said, is_words = {cell.text for cell in rest}, any(column.unit == "words" for column in table.columns[1:])
    if len(said) > 1 or not rest[0].text or any(cell.marks for cell in rest):
        return ""
    if first.text == rest[0].text:
        return "" if first.marks else clean(first.text)
    return "" if is_words else clean(rest[0].text)


class _Numbers:
    """One column: numbers on their decimal point, deviations, marks and intervals each below each other; or words."""

    def __init__(self, table: Table, place: int, level: int, style: TableStyle) -> None:
        self._style = style
        self._title = clean(table.columns[place].title)
        self._words = table.columns[place].unit == "words"
        self._cells = [
            (row.cells[place], said[place]) for row, said in zip(table.rows, numbers.cell_texts(table), strict=True)
        ]
        known = [said for _, said in self._cells if said.is_number]
        self._point = max((len(said.number) - said.number.find(".") for said in known if "." in said.number), default=0)
        spreads, intervals = [_spread(said) for said in known], [said.interval for said in known]
        self._spread = max((1 + len(said) for said in spreads if said), default=0) if level < 2 else 0
        self._interval = max((1 + len(said) for said in intervals if said), default=0) if level < 1 else 0
        self._signs = max((len(self._marks(*one)) for one in self._cells), default=0)
        own = [
            self._raw(k, "").plain for k, row in enumerate(table.rows) if not _instead(row, table) or _stays(place, row)
        ]
        widest = max((cell_len(line) for said in own for line in said.split("\n")), default=0)

        parts = self._title.split(" ")
        title = min(max(cell_len(" ".join(half)) for half in (parts[:k], parts[k:])) for k in range(len(parts)))
        self.widest = max(title, widest)
        self.least = max(title, min(widest, _WORDS)) if self._words else self.widest

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
        words, marks = UNLIKE if cell.barred else clean(said.number), self._marks(cell, said)
        marks = marks and f" {marks}"
        if not self._words and cell_len(words) > _WORDS:
            words = "\n".join(textwrap.wrap(words, _WORDS))
        elif not self._words:
            marks += " " * (self._signs + self._spread + self._interval - len(marks))
        look = self._style.bad if cell.struck else self._style.mark
        return Text(words, self._style.muted if quiet else style).append(marks, look)

    def _number(self, cell: Cell, said: CellText, style: str) -> Text:
        colours = self._style
        strong = (
            f"not bold strike {colours.muted}" if cell.struck else f"{style} {colours.strong}" if cell.best else style
        )
        _, point, after = said.number.partition(".")
        made = Text.assemble((said.number, strong), " " * (self._point - len(point + after)))
        spread, interval = _spread(said), said.interval
        made.append(f"{f' {spread}' if spread and self._spread else '':<{self._spread}}", colours.muted)
        made.append(f"{self._marks(cell, said):<{self._signs}}", colours.bad if cell.struck else colours.mark)
        made.append(f"{interval if self._interval else '':>{self._interval}}", colours.muted)
        for part in ("" if self._spread else spread, "" if self._interval else interval):
            made.append(f"\n{part}{' ' * self._signs}" if part else "", colours.muted)
        return made

    def _marks(self, cell: Cell, said: CellText) -> str:
        """Signs stand at the number; letters of notes stand apart from it."""
        if not said.is_number:
            return clean(numbers.marks(cell))
        return (
            STRUCK * cell.struck
            + BEST * cell.best
            + DAGGER * cell.significant
            + (cell.marks and f" {clean(cell.marks)}")
        )


def _spread(said: CellText) -> str:
    """What stands beside a number: its deviation, and the number of seeds."""
    return " ".join(part for part in (f"{PLUS_MINUS} {said.std}" if said.std else "", said.count) if part)
