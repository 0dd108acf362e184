"""The plan of a study as a matrix: rows of its table, a column for each seed, a sign in each cell.

The sign and its words tell the state; the colour only repeats it. Rows and columns that do not fit follow the cursor.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message

from crdnd_tui.core.text import one_line, pad
from crdnd_tui.tui.widgets.cells import Cells, Part, Row

LABEL = 24  # cells of a row's name, at most
LEAST = 3  # cells of a column: the cursor's edges and the sign
_GAP = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Spot:
    """One run that is wanted."""

    key: str
    sign: str
    role: str  # of the palette
    words: str = ""  # a few


@dataclass(frozen=True, kw_only=True, slots=True)
class Band:
    """A row; None where the study wants no run."""

    label: str
    spots: tuple[Spot | None, ...]
    group: str = ""  # stands above the first row of it


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """All of it."""

    head: str = ""  # above the labels
    columns: tuple[str, ...] = ()
    bands: tuple[Band, ...] = ()


class StudyMatrix(Cells):
    """Has a cursor that stays on its run when states change."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "across(-1)", "Column before", show=False),
        Binding("right,l", "across(1)", "Column after", show=False),
    ]

    class Moved(Message):
        """The cursor is on another run."""

    class Edge(Message):
        """The cursor would leave the matrix at its top."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id, title="Plan")
        self._plan = Plan()
        self._place = (0, 0)  # row and column under the cursor
        self._lines: list[int] = []  # row of the plan that a line shows; -1 for none
        self._columns: list[tuple[int, int, int]] = []  # column, first cell, width

    @property
    def key(self) -> str:
        """Of the run under the cursor; empty where none is wanted."""
        row, column = self._place
        spot = self._plan.bands[row].spots[column] if row < len(self._plan.bands) else None
        return spot.key if spot else ""

    def show(self, plan: Plan) -> None:
        """Drawn anew only when it is another one."""
        if plan == self._plan:
            return
        before, self._plan = self.key, plan
        found = [
            (row, column)
            for row, band in enumerate(plan.bands)
            for column, spot in enumerate(band.spots)
            if spot is not None and spot.key == before
        ]
        wanted = ((0, column) for column, spot in enumerate(plan.bands[0].spots) if spot) if plan.bands else iter(())
        self._place = found[0] if found else next(wanted, (0, 0))
        self.redraw()
        self.refresh(layout=True)

    def action_move(self, rows: int) -> None:
        """To another row; beyond the first one the panel above comes."""
        row, column = self._place
        if rows == -1 and row == 0:
            self.post_message(self.Edge())
        elif self._plan.bands:
            self._go(min(len(self._plan.bands) - 1, max(0, row + rows)), column)

    def action_across(self, columns: int) -> None:
        """To another column."""
        row, column = self._place
        self._go(row, min(len(self._plan.columns) - 1, max(0, column + columns)))

    def _go(self, row: int, column: int) -> None:
        if (row, column) != self._place:
            self._place = (row, column)
            self.redraw()
            self.post_message(self.Moved())

    def on_focus(self) -> None:
        """The cursor is lit while the keys go here."""
        self.redraw()

    def on_blur(self) -> None:
        """And quiet while they do not."""
        self.redraw()

    def on_click(self, event: events.Click) -> None:
        """The cell under the pointer."""
        offset = event.get_content_offset(self)
        if offset is None or not 0 <= offset.y < len(self._lines) or self._lines[offset.y] < 0:
            return
        column = next((c for c, start, width in self._columns if start <= offset.x < start + width), self._place[1])
        self._go(self._lines[offset.y], column)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """All rows, their groups and the titles."""
        plan = self._plan
        heads = max((len(_parted(title)) for title in plan.columns), default=1)
        groups = {band.group for band in plan.bands if band.group}
        return heads + len(groups) + len(plan.bands)

    def draw(self, width: int, height: int) -> list[Row]:
        """Titles, which stay, and the rows around the cursor."""
        plan = self._plan
        self._lines, self._columns = [], []
        if not plan.bands:
            return []
        label = min(LABEL, max(cell_len(plan.head), *(cell_len(band.label) for band in plan.bands)), max(6, width // 3))
        self._columns = self._fitted(width, label)
        heads = self._heads(label)
        rows, places = self._body(label)
        room = max(1, height - len(heads))
        here = places.index(self._place[0])
        first = min(max(0, here - room // 2), max(0, len(rows) - room))
        self._lines = [-1] * len(heads) + places[first : first + room]
        return [*heads, *rows[first : first + room]]

    def _fitted(self, width: int, label: int) -> list[tuple[int, int, int]]:
        """As many columns as there is room for, the cursor's among them, with their words where all have room."""
        plan, start = self._plan, label + 1 + _GAP
        room, many = max(LEAST, width - start), len(plan.columns)
        wide = [
            max(
                LEAST, *(_width(band.spots[k]) for band in plan.bands), *(1 + cell_len(part) for part in _parted(title))
            )
            for k, title in enumerate(plan.columns)
        ]
        if sum(wide) + _GAP * (many - 1) > room:
            each = max(5, (room - _GAP * (many - 1)) // many)
            wide = [min(one, each) for one in wide]
        shown = min(many, max(1, (room + _GAP) // (max(wide) + _GAP)))
        if sum(wide) + _GAP * (many - 1) <= room:
            shown = many
        first = min(max(0, self._place[1] - shown + 1), many - shown)
        found, at = [], start
        for column in range(first, first + shown):
            found.append((column, at, wide[column]))
            at += wide[column] + _GAP
        return found

    def _heads(self, label: int) -> list[Row]:
        """Titles of the columns in one line or two."""
        palette = self.palette
        titles = [_parted(self._plan.columns[column]) for column, _, _ in self._columns]
        lines: list[Row] = []
        for part in range(max(map(len, titles))):
            row: list[Part] = [(pad(self._plan.head if not part else "", label + 1), palette.muted)]
            for title, (_, _, width) in zip(titles, self._columns, strict=True):
                words = title[part] if part < len(title) else ""
                words = words if cell_len(words) < width else words.rpartition(" ")[2]
                row.append((" " * _GAP + pad(" " + one_line(words, width - 1), width), palette.muted))
            lines.append(row)
        return lines

    def _body(self, label: int) -> tuple[list[Row], list[int]]:
        rows: list[Row] = []
        places: list[int] = []
        for place, band in enumerate(self._plan.bands):
            if band.group and (not place or self._plan.bands[place - 1].group != band.group):
                rows.append([(band.group, f"bold {self.palette.text}")])
                places.append(-1)
            rows.append(self._row(place, band, label))
            places.append(place)
        return rows, places

    def _row(self, place: int, band: Band, label: int) -> Row:
        palette, here = self.palette, place == self._place[0]
        look = f"bold {palette.text}" if here else palette.muted
        row: list[Part] = [(pad(one_line(band.label, label), label), look)]
        row.append(("\u25b8" if here else " ", palette.accent))
        for column, _, width in self._columns:
            under = here and column == self._place[1]
            row.append((" " * _GAP, ""))
            row += self._cell(band.spots[column], width, under=under)
        return row

    def _cell(self, spot: Spot | None, width: int, *, under: bool) -> list[Part]:
        palette = self.palette
        sign, role, words = (spot.sign, spot.role, spot.words) if spot else (" ", "faint", "")
        words = words if cell_len(words) < width - LEAST else ""
        edges = ("[", "]") if under else (" ", " ")
        ground = ""
        if under and self.has_focus:
            ground = f" on {palette.selection}"
        edge = f"bold {palette.accent if self.has_focus else palette.muted}{ground}"
        body = palette.text if under else palette.muted
        return [
            (edges[0], edge),
            (sign, f"bold {getattr(palette, role)}{ground}"),
            (pad(f" {words}" if words else "", width - LEAST), f"{body}{ground}"),
            (edges[1], edge),
        ]


def _width(spot: Spot | None) -> int:
    return LEAST + (1 + cell_len(spot.words) if spot and spot.words else 0)


def _parted(title: str) -> Sequence[str]:
    """`CIFAR-10, ResNet-18` in two lines."""
    return title.split(", ")
