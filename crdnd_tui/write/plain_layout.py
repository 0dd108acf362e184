"""How wide each column of a table is in a terminal, and which columns stand beside each other. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal, NamedTuple

from rich.cells import cell_len

from crdnd_tui.write.document import Cell, Row, Table
from crdnd_tui.write.escape import terminal
from crdnd_tui.write.numbers import DAGGER, PLUS_MINUS, Worded, marks, name, rows
from crdnd_tui.write.wrap import fill, longest, wrap

UNLIKE = "\u2260"
BEST = "*"
INDENT, GAP, ROOMY_GAP = 2, 2, 3
QUIET = 2
_LABELS = (0.4, 0.25, 0.0)  # share of the window that labels take at most; the last one is the least
_LABEL = 12  # cells that a label has at least
_WORD = 16  # cells from which a word of a column of numbers is broken
_CAPS = (60, 40, 24, 16)  # cells of a column of words, at most
Level = Literal["inline", "interval under", "all under"]
_LEVELS: tuple[Level, ...] = ("inline", "interval under", "all under")


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One cell in words that this terminal has, and the signs after it."""

    words: Worded
    marks: str = ""


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """Cells of one column; numbers stand on their decimal point."""

    title: tuple[str, ...]
    words: bool  # a column of words, which begin at its left
    left: int = 0  # before the point
    right: int = 0  # from the point on
    std: int = 0
    count: int = 0
    core: int = 0  # the number with what stands beside it; or the words
    marks: int = 0
    interval: int = 0  # beside the number, with the space before it
    sign: str = PLUS_MINUS
    beside: bool = True  # deviations stand beside their numbers

    @property
    def width(self) -> int:
        return self.core + self.marks + self.interval

    @property
    def number_room(self) -> int:
        """The number and what may stand beside it."""
        return self.left + self.right + (self._spread if self.beside else 0)

    @property
    def _spread(self) -> int:
        return self._spread_of_std + (1 + self.count if self.count else 0)

    @property
    def _spread_of_std(self) -> int:
        return 2 + len(self.sign) + self.std if self.std else 0

    def std_beside(self, words: Worded) -> str:
        """Deviation and count, each in its own column."""
        if not self.beside:
            return ""
        std = fill(f" {self.sign} " + fill(words.std, self.std, right=True) if words.std else "", self._spread_of_std)
        return std + (" " + fill(words.count, self.count) if self.count else "")

    def std_under(self, words: Worded) -> str:
        """The same on a line of its own; nothing where it stands beside its number."""
        std = self.sign + words.std if words.std else ""
        return "" if self.beside else " ".join(part for part in (std, words.count) if part)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The roomiest that needs the fewest blocks."""

    level: Level
    label: int
    gap: int
    columns: tuple[Geometry, ...]
    blocks: tuple[tuple[int, ...], ...]  # places of the columns that stand beside each other
    width: int


def shown(table: Table, *, ascii_only: bool) -> list[list[Shown]]:
    """All cells in words; what cannot be compared bears a sign that a note explains."""

    return [
        [
            Shown(
                words=replace(
                    words,
                    number=terminal(UNLIKE if cell.barred else words.number, ascii_only=ascii_only),
                    std=terminal(words.std, ascii_only=ascii_only),
                    interval=terminal(words.interval, ascii_only=ascii_only),
                ),
                marks=_marks(cell, is_number=words.is_number, ascii_only=ascii_only),
            )
            for words, cell in zip(line, row.cells, strict=True)
        ]
        for line, row in zip(rows(table), table.rows, strict=True)
    ]


def _marks(cell: Cell, *, is_number: bool, ascii_only: bool) -> str:
    """Signs behind a number; letters behind words stand apart from them."""
    signs = (BEST if cell.best else "") + (DAGGER if cell.significant else "") if is_number else ""
    said = terminal(signs + marks(cell), ascii_only=ascii_only)
    return said if is_number or not said else f" {said}"


def under(row: Row) -> int:
    """Cells by which a label stands in: what is beside the point belongs to the row above it."""
    return QUIET if row.quiet else 0


def plan(table: Table, cells: Sequence[Sequence[Shown]], width: int, *, ascii_only: bool) -> Layout:
    """First everything stands beside its number, then intervals and deviations go below it, then columns do."""
    titles = [terminal(column.title, ascii_only=ascii_only) for column in table.columns]
    words = [column.unit == "words" for column in table.columns]
    labels = [under(row) + cell_len(terminal(name(row, table), ascii_only=ascii_only)) for row in table.rows]
    longest_label = max([cell_len(terminal(table.head, ascii_only=ascii_only)), *labels])
    sign = terminal(PLUS_MINUS, ascii_only=ascii_only)
    best: tuple[tuple[int, int], Layout] | None = None
    caps = _CAPS if any(words) else _CAPS[:1]
    for share, cap, level, tight in product(_LABELS, caps, _LEVELS, (False, True)):
        columns = tuple(
            _geometry(title, [line[place] for line in cells], _How(level, tight, is_words, cap, sign))
            for place, (title, is_words) in enumerate(zip(titles, words, strict=True))
        )
        made = _blocked(level, min(longest_label, max(_LABEL, int(share * width))), columns, width)
        cost = max(0, _used(made) - width), len(made.blocks)
        if best is None or cost < best[0]:
            best = cost, made
        if best[0] <= (0, 1):
            break
    return _roomier(best[1], width) if best else _blocked("inline", longest_label, (), width)


class _How(NamedTuple):
    """How a column is to be set."""

    level: Level
    tight: bool  # the title may be broken
    is_words: bool
    cap: int  # cells of a column of words
    sign: str  # plus-minus


def _geometry(title: str, cells: Sequence[Shown], how: _How) -> Geometry:
    level, tight, is_words, cap, sign = how
    marks = max((cell_len(cell.marks) for cell in cells), default=0)
    if is_words:
        natural = max((cell_len(cell.words.number) for cell in cells), default=0)
        core = max(min(natural, cap), min(longest(title) if tight else cell_len(title), cap))
        return Geometry(title=tuple(wrap(title, core)), words=True, core=core, marks=marks)
    numbers = [cell.words for cell in cells if cell.words.is_number]
    split = [_split(words.number) for words in numbers]
    left = max((len(before) for before, _ in split), default=0)
    right = max((len(after) for _, after in split), default=0)
    std = max((len(words.std) for words in numbers), default=0)
    count = max((len(words.count) for words in numbers), default=0)
    interval = max((len(words.interval) for words in numbers), default=0)
    made = Geometry(
        title=(), words=False, left=left, right=right, marks=marks, std=std, count=count, beside=level != "all under",
        sign=sign,
        interval=1 + interval if interval and level == "inline" else 0,
    )  # fmt: skip
    under = [len(made.std_under(words)) for words in numbers]
    core = max(made.number_room, *under, interval if level != "inline" else 0)
    said = [cell.words.number for cell in cells if not cell.words.is_number]
    core = max(core, *(min(longest(words), _WORD) for words in said), 0)
    core = max(core, min(longest(title), _WORD) if tight else cell_len(title))
    return replace(made, title=tuple(wrap(title, core)), core=core)


def _split(number: str) -> tuple[str, str]:
    """Before the decimal point, and from it on."""
    before, point, after = number.partition(".")
    return before, point + after


def _blocked(level: Level, label: int, columns: tuple[Geometry, ...], width: int) -> Layout:
    """Columns in their order, as many in each block as there is room for."""
    blocks: list[tuple[int, ...]] = []
    block: tuple[int, ...] = ()
    used = INDENT + label
    for place, column in enumerate(columns):
        if block and used + GAP + column.width > width:
            blocks.append(block)
            block, used = (), INDENT + label
        block += (place,)
        used += GAP + column.width
    return Layout(level=level, label=label, gap=GAP, columns=columns, blocks=(*blocks, block), width=width)


def _roomier(layout: Layout, width: int) -> Layout:
    roomy = replace(layout, gap=ROOMY_GAP)
    return roomy if _used(roomy) <= width else layout


def _used(layout: Layout) -> int:
    """Cells of the widest block."""
    return max(INDENT + layout.label + sum(layout.gap + layout.columns[p].width for p in b) for b in layout.blocks)
