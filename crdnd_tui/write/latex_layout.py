"""How a table finds room on a LaTeX page: a smaller size first, then columns below each other. Pure estimates."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from crdnd_tui.write.document import Table
from crdnd_tui.write.numbers import Worded, name

PAGE = 345.0  # points: the text of an article at 10 points
STANDALONE = 455.0  # of a page of A4 with margins of 2.5 cm
_SIZES = (("\\normalsize", 5.4, 6.0), ("\\small", 4.9, 4.0), ("\\footnotesize", 4.4, 3.0))  # size, points a letter, gap
_LEADING = {"\\normalsize": 12.0, "\\small": 11.0, "\\footnotesize": 9.5}  # points from line to line
_HIGH = 510.0  # points of a page that rows and notes may take
_SMALL = 0.75  # of a letter: intervals and deviations
_LINE = 30  # letters from which words are set in lines
_WIDE = "\u00b1\u2212\u00d7+<>=%@mwMW"
_COMFORT = 130.0  # points of one for which no smaller size is tried
_LEAST = 60.0  # points that a column of lines has at least


@dataclass(frozen=True, kw_only=True)
class Page:
    """Size of the letters, space beside a column, and which columns stand beside each other."""

    size: str
    gap: float  # points
    blocks: tuple[tuple[int, ...], ...]
    label: float | None  # points, where labels are set in lines
    columns: tuple[float | None, ...]  # points of a column that is set in lines

    @property
    def in_lines(self) -> bool:
        """Whether a row may take several lines, so that intervals stand beside their numbers."""
        return self.label is not None or any(self.columns)


def page(table: Table, words: Sequence[Sequence[Worded]], width: float) -> Page:
    """The largest letters with which everything stands side by side, else the smallest in as few blocks as may be."""
    labels = [table.head, *(name(row, table) for row in table.rows)]
    label = max(map(letters, labels))
    needed = [_letters(place, table, words, beside=False) for place in range(len(table.columns))]
    if max(label, *needed, 0.0) > _LINE:
        needed = [_letters(place, table, words, beside=True) for place in range(len(table.columns))]
    made = _set(needed, label, width, _SIZES[0])
    for size in _SIZES:
        made = _set(needed, label, width, size)
        if len(made.blocks) <= 1 and all(wide is None or wide >= _COMFORT for wide in made.columns):
            return made
    return _balanced(made, needed, label, width)


def _balanced(made: Page, needed: Sequence[float], label: float, width: float) -> Page:
    """As many blocks of about the same width."""
    while width > _LEAST and not any(made.columns):
        width -= 10
        narrower = _set(needed, label, width, _SIZES[-1])
        if len(narrower.blocks) > len(made.blocks) or any(narrower.columns):
            break
        made = narrower
    return made


def letters(text: str) -> float:
    """Width in letters of the common kind; capitals, signs and what stands on two cells are wider."""
    return sum(1.4 if c.isupper() or c in _WIDE else 2.0 if c > "\u2e7f" else 1.0 for c in text)


def stretches(table: Table, words: Sequence[Sequence[Worded]], made: Page) -> list[range]:
    """Rows that stand on one page together; the notes go below the last of them."""
    line = _LEADING[made.size] * len(made.blocks)
    room = _HIGH - line * 2 - 9.5 * (len(table.notes) + 4)
    spans, start, used = [], 0, 0.0
    for index, (row, said) in enumerate(zip(table.rows, words, strict=True)):
        under = not made.in_lines and any(cell.interval for cell in said)
        taller = _lines(said, made)
        need = line * (taller + 0.9 * under + 1.5 * bool(row.group))
        if index > start and used + need > room:
            spans.append(range(start, index))
            start, used = index, 0.0
        used += need
    return [*spans, range(start, len(table.rows))]


def _lines(said: Sequence[Worded], made: Page) -> int:
    """Of the tallest cell."""
    letter = next(points for size, points, _ in _SIZES if size == made.size)
    return max(
        (ceil(letters(cell.text) * letter / wide) for cell, wide in zip(said, made.columns, strict=True) if wide),
        default=1,
    )


def _letters(place: int, table: Table, words: Sequence[Sequence[Worded]], *, beside: bool) -> float:
    """Widest cell of a column, in letters; intervals stand beside their numbers, or below them."""
    if beside:
        return max(letters(table.columns[place].title), *(letters(line[place].text) for line in words), 1)
    cells = [line[place] for line in words]
    sizes = [letters(cell.number) + _SMALL * letters(cell.mean[len(cell.number) :] + cell.count) for cell in cells]
    if table.columns[place].unit != "words":
        sizes = [size if cell.is_number else _SMALL * size for size, cell in zip(sizes, cells, strict=True)]
    return max(letters(table.columns[place].title), *sizes, *(_SMALL * letters(c.interval) for c in cells), 1)


def _set(needed: Sequence[float], label: float, width: float, how: tuple[str, float, float]) -> Page:
    size, letter, gap = how
    labels = min(label, _LINE) * letter
    lines = [width / 3 if wide > _LINE else None for wide in needed]
    long = sum(line is not None for line in lines)
    short = sum(wide * letter + 2 * gap for wide, line in zip(needed, lines, strict=True) if line is None)
    if long:
        room = (width - labels - 2 * gap - short - 2 * gap * long) / long
        lines = [max(_LEAST, room) if line is not None else None for line in lines]
    blocks: list[tuple[int, ...]] = []
    block: tuple[int, ...] = ()
    used = labels
    for place, (wide, line) in enumerate(zip(needed, lines, strict=True)):
        column = 2 * gap + (wide * letter if line is None else line)
        if block and used + column > width:
            blocks.append(block)
            block, used = (), labels
        block += (place,)
        used += column
    return Page(
        size=size, gap=gap, blocks=(*blocks, block), columns=tuple(lines), label=labels if label > _LINE else None
    )  # fmt: skip
