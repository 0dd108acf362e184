"""Columns, cells and lines of a table as plain values, and which columns a width carries. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from rich.cells import cell_len, set_cell_size

from crdnd_tui.core.text import last_cells

MARKS = 3  # cells before the first column: selected, pinned or in a group, a gap
GAP, WIDEST_GAP = 2, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """`rank` says which columns go first when there is no room: the highest."""

    key: str
    title: str
    least: int  # cells
    most: int = 0  # cells it may grow to; `least` when 0
    right: bool = False
    rank: int = 0


@dataclass(frozen=True, slots=True)
class Cell:
    """`role` is a colour of the palette; a text that is too long loses its middle, never its last `keep` cells."""

    text: str = ""
    role: str = "text"
    strong: bool = False
    keep: int = 0
    struck: bool = False  # not believed


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Cells by column; `says` stands in place of all columns from the first of `says_from` that is in sight on."""

    cells: Mapping[str, Cell] = field(default_factory=dict)
    selected: bool = False
    pinned: bool = False
    head: bool = False  # of a group
    guide: str = ""  # before a run of a group: that it belongs to the head above
    says: Cell | None = None
    says_from: Collection[str] = ()


def middle(text: str, width: int, keep: int = 0) -> str:
    """At most `width` cells of the text: its middle goes, its last `keep` cells stay as long as anything can."""
    if cell_len(text) <= width:
        return text
    if width < 4:
        return set_cell_size(text, max(0, width))
    wanted = min(max(keep, (width - 1) // 3), width - 2)
    tail = last_cells(text, wanted)
    return set_cell_size(text, width - 1 - cell_len(tail)) + "\u2026" + tail


def fit(columns: Sequence[Column], width: int) -> tuple[list[tuple[Column, int]], int]:
    """The columns that a width carries with their widths, and the gap between them."""
    room, chosen = width - MARKS, set[str]()
    for column in sorted(columns, key=lambda column: column.rank):
        if chosen and column.least + GAP > room:
            break
        room -= column.least + (GAP if chosen else 0)
        chosen.add(column.key)
    widths = {column.key: column.least for column in columns if column.key in chosen}
    for column in sorted((c for c in columns if c.key in chosen), key=lambda column: column.rank):
        more = max(0, min(room, column.most - column.least))
        widths[column.key] += more
        room -= more
    gap = GAP + max(0, min(WIDEST_GAP - GAP, room // max(1, len(widths) - 1)))
    return [(column, widths[column.key]) for column in columns if column.key in chosen], gap
