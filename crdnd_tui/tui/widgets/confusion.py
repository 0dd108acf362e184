"""A confusion matrix: numbers in cells where they fit, a window of them around the cursor where not all do.

The overview shows all of a large matrix at once, in half-blocks, neighbouring classes summed when it must.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from crdnd_tui.core import confusion
from crdnd_tui.core.confusion import ConfusionMatrix
from crdnd_tui.core.palette import Palette, difference, mix, readable_on, sequence
from crdnd_tui.tui.widgets.easel import Easel, Line

_LEAST, _MOST = 4, 8  # cells of a column
_NAME = 12
_FLAT = 10  # lines


@dataclass(frozen=True)
class Spot:
    """The cell under the cursor."""

    true: int = 0
    predicted: int = 0

    def moved(self, down: int, right: int, classes: int) -> "Spot":
        """Inside the matrix."""
        return replace(
            self,
            true=min(classes - 1, max(0, self.true + down)),
            predicted=min(classes - 1, max(0, self.predicted + right)),
        )


def number(value: int, mode: str) -> str:
    """A count, or a signed difference; nothing where nothing is."""
    if value == 0:
        return "\u00b7"
    return f"{value:+d}".replace("-", "\u2212") if mode == "difference" else str(value)


def colour(palette: Palette, matrix: ConfusionMatrix, share: float) -> str:
    """Of a share of a row: a sequence for counts, blue to orange for differences."""
    if matrix.mode == "difference":
        return difference(palette, max(-1.0, min(1.0, 2 * share)))
    if palette.dark:
        return sequence(palette, share)
    return mix(palette.background, sequence(palette, 1 - share), min(1.0, 0.12 + 2.5 * share))  # little is pale


class Confusion(Easel):
    """True classes are rows, predicted ones columns."""

    matrix: ConfusionMatrix | None = None
    names: Sequence[str] = ()
    spot: Spot = Spot()
    overview: bool | None = None  # None: by size
    words: str = ""

    def show(self, matrix: ConfusionMatrix | None, names: Sequence[str], spot: Spot, words: str = "") -> None:
        """This matrix with words on the cursor's cell, or, without one, words alone."""
        self.matrix, self.names, self.spot, self.words = matrix, names, spot, words
        self.redraw()

    def called(self, k: int) -> str:
        """Of a class; its number where nobody named it."""
        return self.names[k] if k < len(self.names) else str(k)

    @property
    def whole(self) -> bool:
        """Whether the overview is what is shown."""
        if self.matrix is None:
            return False
        return self._is_large(self.size.width, self.matrix) if self.overview is None else self.overview

    def _is_large(self, width: int, matrix: ConfusionMatrix) -> bool:
        label = max(len(self.called(k)) for k in range(min(matrix.classes, 1000)))
        return matrix.classes * _LEAST > width - min(_NAME, label) - 1 and matrix.classes > 20

    def draw(self, width: int, height: int) -> list[Line]:
        """Cells or overview."""
        matrix = self.matrix
        if matrix is None:
            return [*[[] for _ in range(height // 2)], self.text(Text(self.words, self.palette.muted), width, "center")]
        flat = height < _FLAT  # there is no border to bear the words
        lines = (self._overview if self.whole else self._cells)(matrix, width, height - flat)
        return [*lines, self.text(Text(self.words, self.palette.text), width)] if flat else lines

    def _cells(self, matrix: ConfusionMatrix, width: int, height: int) -> list[Line]:
        palette, k = self.palette, matrix.classes
        label = min(_NAME, max(2, *(len(self.called(c)) for c in range(k))), max(2, width // 5))
        cell = max(_LEAST, min(_MOST, (width - label - 1) // k))
        if height < 8 and cell > _LEAST:
            cell = _LEAST
        across, down = min(k, max(1, (width - label - 1) // cell)), min(k, max(1, height - 1))
        left, top = _window(self.spot.predicted, across, k), _window(self.spot.true, down, k)
        tall = max(1, min(3, (height - 1) // down)) if down == k else 1
        margin = self.space(max(0, (width - label - 1 - across * cell) // 2))
        head = Text(" " * (label + 1), palette.muted)
        for c in range(left, left + across):
            here = c == self.spot.predicted
            head.append(self.called(c)[: cell - 1].center(cell), f"bold {palette.accent}" if here else palette.muted)
        lines: list[Line] = [[*margin, *self.text(head)]]
        for r in range(top, top + down):
            lines += self._row(matrix, r, range(left, left + across), (label, cell, tall), margin)
        above = max(0, (height - len(lines)) // 2)
        return [*[[] for _ in range(above)], *lines][:height]

    def _row(
        self, matrix: ConfusionMatrix, r: int, columns: range, sizes: tuple[int, int, int], margin: Line
    ) -> list[Line]:
        """One class; its numbers stand on the middle one of its lines."""
        palette, (label, cell, tall) = self.palette, sizes
        lines: list[Line] = []
        middle = (tall - 1) // 2
        figures = len(str(matrix.largest)) + (matrix.mode == "difference")
        for y in range(tall):
            name = self.called(r)[:label].rjust(label) if y == middle else " " * label
            here = r == self.spot.true
            line = [*margin, *self.text(Text(f"{name} ", f"bold {palette.accent}" if here else palette.muted))]
            for c in columns:
                value = matrix.rows[r][c]
                text = number(value, matrix.mode).rjust(figures) if y == middle else ""
                chosen = here and c == self.spot.predicted
                framed = f"[{text.strip()}]".rjust(min(cell, len(text) + 2))  # its figures stay where they were
                text = framed if chosen and y == middle and len(framed) <= cell else text
                shown = text.center(cell)
                line.append(Segment(shown[:cell], self._style(matrix, matrix.share(r, c), value, chosen=chosen)))
            lines.append(line)
        return lines

    def _style(self, matrix: ConfusionMatrix, share: float, value: int, *, chosen: bool) -> Style:
        palette = self.palette
        if chosen:  # in no colour that a value could have
            return Style(color=palette.background, bgcolor=palette.text, bold=True)
        if value == 0:
            return Style(color=palette.faint, bgcolor=palette.background)
        painted = colour(palette, matrix, share)
        return Style(color=readable_on(painted), bgcolor=painted)

    def _overview(self, matrix: ConfusionMatrix, width: int, height: int) -> list[Line]:
        """Two rows of classes in each line; the cursor's row and column are marked at the edges."""
        palette, k = self.palette, matrix.classes
        room = max(1, min(width - 3, 2 * (height - 2)))
        group = -(-k // room)
        sums = confusion.coarse(matrix, group)
        weights = [sum(matrix.counts[r : r + group]) or 1 for r in range(0, k, group)]
        size, wide = len(sums), max(1, (width - 3) // max(1, len(sums)))
        wide = min(wide, 2) if 2 * len(sums) <= width - 3 and len(sums) * 1 <= height - 2 else 1
        true, predicted = self.spot.true // group, self.spot.predicted // group
        margin = self.space(max(0, (width - 3 - size * wide) // 2))
        top = Text("  " + " " * (predicted * wide) + "\u25bc" * wide, palette.accent)
        lines: list[Line] = [[*margin, *self.text(top)]]
        step = 1 if wide == 2 else 2
        for r in range(0, size, step):
            here = true in range(r, r + step)
            line = [*margin, Segment("\u25b6 " if here else "  ", self.ground + Style(color=palette.accent))]
            for c in range(size):
                upper, lower = r, min(size - 1, r + step - 1)
                both = [_plain(palette, matrix, sums[y][c], weights[y]) for y in (upper, lower)]
                if self.look == "ramp":
                    value = max(abs(sums[y][c]) / weights[y] for y in (upper, lower))
                    line.append(Segment(" .:*#"[min(4, int(value * 4.99 + 0.6))] * wide, self.ground))
                else:
                    line.append(Segment("\u2580" * wide, Style(color=both[0], bgcolor=both[1])))
            lines.append(line)
        summed = f"each square is {group} \u00d7 {group} classes" if group > 1 else ""
        lines.append([*margin, *self.text(Text(f"  {summed}", palette.muted))])
        above = max(0, (height - len(lines)) // 2)
        return [*[[] for _ in range(above)], *lines][:height]


def _plain(palette: Palette, matrix: ConfusionMatrix, value: int, weight: int) -> str:
    return palette.background if value == 0 else colour(palette, matrix, value / weight)


def _window(at: int, room: int, of: int) -> int:
    """Where a window begins that holds the cursor in its middle."""
    return min(max(0, at - room // 2), max(0, of - room))
