"""The matrix M of the adaptive compensation module. Its diagonal and what lies beside it differ so much in size
that each has a scale of its own: colour for the one, brightness of the numbers for the other."""

from typing import ClassVar

from textual.binding import Binding, BindingType

from crdnd_tui.core.palette import mix, readable_on, sequence
from crdnd_tui.core.per_class import AcmMatrix, Images
from crdnd_tui.core.text import pad
from crdnd_tui.tui.widgets.cells import Cells, Part, Row

_WORDS = {"clean": "M1 on x (clean)", "adversarial": "M2 on x' (adversarial)"}


class MatrixMap(Cells):
    """K x K; numbers in per cent where a cell has room for them."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "column(-1)", "Column before", show=False),
        Binding("right,l", "column(1)", "Column after", show=False),
    ]

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id, title="ACM")
        self._known: AcmMatrix | None = None
        self._images: Images = "adversarial"
        self._row, self._column = 0, 0

    def show(self, known: AcmMatrix | None, images: Images) -> None:
        """M of one kind of images."""
        if known != self._known or images != self._images:
            self._known, self._images = known, images
            self.redraw()

    def action_move(self, rows: int) -> None:
        """Another row."""
        if self._known is not None:
            self._row = min(len(self._known.rows) - 1, max(0, self._row + rows))
            self.redraw()

    def action_column(self, columns: int) -> None:
        """Another column."""
        if self._known is not None:
            self._column = min(len(self._known.rows) - 1, max(0, self._column + columns))
            self.redraw()

    def draw(self, width: int, height: int) -> list[Row]:
        known, palette = self._known, self.palette
        if known is None:
            self.name_it(f"ACM {_WORDS[self._images]}")
            return [[("this method tells of no matrix M; M goes back to the epochs", palette.muted)]]
        many = len(known.rows)
        i, j = min(self._row, many - 1), min(self._column, many - 1)
        value = f"{100 * known.rows[i][j]:.2f} %" if j < len(known.rows[i]) else "\u2013"
        self.name_it(
            f"ACM {_WORDS[known.images]}, epoch {known.epoch}",
            f"row {known.names[i]}, column {known.names[j]}: {value}",
        )
        label = min(6, max(map(len, known.names)))
        cell = max(1, min(5, (width - label - 1) // many))
        head = height > many
        room = max(1, height - head)
        first = min(max(0, i - room // 2), max(0, many - room))
        wide = max(1, (width - label - 1) // cell)
        left = min(max(0, j - wide // 2), max(0, many - wide))
        columns = range(left, min(many, left + wide))
        rows: list[Row] = [self._head(known, columns, label, cell, j)] if head else []
        for k in range(first, min(many, first + room)):
            look = palette.accent if k == i else palette.muted
            row: list[Part] = [(pad(known.names[k], label) + ("\u25b8" if k == i else " "), look)]
            rows.append(row + [self._cell(known, k, c, cell, chosen=(k, c) == (i, j)) for c in columns])
        return rows

    def _head(self, known: AcmMatrix, columns: range, label: int, cell: int, chosen: int) -> Row:
        palette, row = self.palette, list[Part]()
        for c in columns:
            name = known.names[c][: max(1, cell - 1)] if cell > 1 else ("\u25be" if c == chosen else " ")
            row.append((name.rjust(cell), palette.accent if c == chosen else palette.muted))
        return [(" " * (label + 1), ""), *row]

    def _cell(self, known: AcmMatrix, i: int, j: int, cell: int, *, chosen: bool) -> Part:
        """The diagonal on the scale of sequences; the rest the brighter, the larger."""
        palette = self.palette
        value = known.rows[i][j] if j < len(known.rows[i]) else 0.0
        words = _number(100 * value, cell + (i == j)).rjust(cell)
        diagonal, most = _scales(known)
        if i == j:
            low, high = min(diagonal), max(diagonal)
            colour = sequence(palette, 0.45 + 0.55 * ((value - low) / (high - low) if high > low else 1.0))
            look = f"{readable_on(colour)} on {colour}"
            return words, f"{look} underline" if chosen else look
        share = value / most if most > 0 else 0.0
        if chosen:
            return words, f"bold {palette.accent} underline"
        if words.strip():
            return words, mix(palette.faint, palette.text, 0.25 + 0.6 * share)
        return "\u2588" * cell, mix(palette.background, palette.muted, 0.6 * share)


def _scales(known: AcmMatrix) -> tuple[list[float], float]:
    """The diagonal, and the largest entry beside it."""
    diagonal = [row[k] for k, row in enumerate(known.rows) if k < len(row)]
    return diagonal, max((v for a, row in enumerate(known.rows) for b, v in enumerate(row) if a != b), default=0.0)


def _number(value: float, cell: int) -> str:
    """With as many digits as the cell has room for."""
    for words in (f"{value:.1f}", f"{value:.0f}"):
        if len(words) < cell:
            return words
    return ""
