"""The contact sheet: x' of every example that passes the filters, as many as fit, with what it is read as."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from crdnd_tui.core import gallery
from crdnd_tui.core.gallery import Examples, Image, Raster
from crdnd_tui.tui.widgets import picture
from crdnd_tui.tui.widgets.easel import Easel, Line
from crdnd_tui.tui.widgets.picture import Scale
from engine.spec.gallery import Example

_GAP = 2  # cells between tiles; the cursor's frame lives in them
_LEAST = 12  # cells of a thumbnail that can still be told from another, and of the words below it
_ENOUGH = 0.6  # of the examples are on one page, rather than smaller tiles
_SIGN = {"fooled": "\u2717", "stands": "\u2713", "wrong before": "\u25cb"}


@dataclass(frozen=True, kw_only=True)
class Grid:
    """How tiles are laid out."""

    scale: Scale
    tile: int  # cells
    image: int  # lines
    across: int
    down: int


def grid(shape: tuple[int, int, int], count: int, width: int, height: int) -> Grid:
    """The largest tiles at which most examples fit; else the smallest that can be told apart, and a part of them."""
    _, rows, columns = shape
    scales = [*(Scale(zoom, 1) for zoom in range(8, 0, -1)), *(Scale(1, shrink) for shrink in range(2, 65))]
    best: Grid | None = None
    for scale in scales:
        made = _laid(scale, rows, columns, width, height)
        if made.across < 1 or made.down < 1:
            continue
        if best is not None and scale.columns(columns) < _LEAST:
            break
        best = made
        if made.across * made.down >= _ENOUGH * count:
            break
    return best or Grid(scale=Scale(1, max(rows, columns)), tile=_LEAST, image=1, across=1, down=1)


def _laid(scale: Scale, rows: int, columns: int, width: int, height: int) -> Grid:
    tile, image = max(_LEAST, scale.columns(columns)), scale.lines(rows)
    return Grid(
        scale=scale, tile=tile, image=image, across=(width - _GAP) // (tile + _GAP), down=(height + 1) // (image + 2)
    )


class Sheet(Easel):
    """Tiles in rows; the one under the cursor has bars at its sides and its words in reverse."""

    hall: Examples | None = None
    rows: Sequence[Example] = ()
    pictures: Sequence[Image] = ()
    at: int = 0  # place of the cursor among `rows`
    words: str = ""

    def show(
        self, hall: Examples, rows: Sequence[Example], pictures: Sequence[Image], at: int, words: str = ""
    ) -> None:
        """These examples; `words` stand where there are none."""
        self.hall, self.rows, self.pictures, self.at, self.words = hall, rows, pictures, max(0, at), words
        self.redraw()

    @property
    def across(self) -> int:
        """Tiles in a row."""
        return self._grid(*self.size).across if self.hall else 1

    def _grid(self, width: int, height: int) -> Grid:
        shape = self.hall.shape if self.hall else (1, 1, 1)
        return grid(shape, len(self.rows), width, height)

    def draw(self, width: int, height: int) -> list[Line]:
        """The page that holds the cursor."""
        if self.hall is None or not self.rows:
            return [*[[] for _ in range(height // 2)], self.text(Text(self.words, self.palette.muted), width, "center")]
        made = self._grid(width, height)
        row = self.at // made.across
        last = -(-len(self.rows) // made.across)
        top = min(max(0, row - made.down // 2), max(0, last - made.down))
        lines: list[Line] = []
        margin = max(0, (width - _GAP - made.across * (made.tile + _GAP)) // 2)
        for down in range(top, min(last, top + made.down)):
            places = range(down * made.across, min(len(self.rows), (down + 1) * made.across))
            tiles = [self._tile(self.hall, place, made) for place in places]
            for y in range(made.image + 1):
                lines.append(self._joined([tile[y] for tile in tiles], list(places), margin, words=y == made.image))
            lines.append([])
        below = max(0, (height - len(lines) + 1) // 2)
        return [*[[] for _ in range(below)], *lines][:height]

    def _joined(self, parts: list[Line], places: list[int], margin: int, *, words: bool) -> Line:
        line: Line = self.space(margin)
        accent = self.ground + Style(color=self.palette.accent)
        for part, place in zip(parts, places, strict=True):
            here = place == self.at
            after_it = place - 1 == self.at and place != places[0]
            edge = "\u2590" if here else "\u258c" if after_it else " "
            line.append(Segment(f"{' ' if not after_it else edge}{edge if here else ' '}", accent))
            line += part
        if places and places[-1] == self.at:
            line.append(Segment("\u258c", accent))
        return line

    def _tile(self, hall: Examples, place: int, made: Grid) -> list[Line]:
        """The image, and `label -> prediction` below it."""
        palette, example = self.palette, self.rows[place]
        _, _, columns = hall.shape
        image: Raster = gallery.raster(self.pictures[place])
        drawn = picture.draw(image, made.scale, self.look, self.ground, bright_is_dense=palette.dark)
        side = (made.tile - made.scale.columns(columns)) // 2
        lines = [Segment.adjust_line_length([*self.space(side), *line], made.tile, style=self.ground) for line in drawn]
        verdict = gallery.verdict(example)
        colour = {"fooled": palette.bad, "stands": palette.good}.get(verdict, palette.warn)
        here = place == self.at
        words = Text().append(f"{_SIGN[verdict]} ", colour)
        true, read = hall.name(example.label), hall.name(example.predicted_adversarial)
        if example.predicted_adversarial == example.label:
            words.append(_cut(true, made.tile - 2), f"bold {palette.text}" if here else palette.text)
        else:
            room = made.tile - 5
            first = _cut(true, max(room // 2, room - len(read)))
            words.append(first, f"bold {palette.text}" if here else palette.text)
            words.append(" \u2192 ", palette.muted)
            words.append(_cut(read, room - len(first)), palette.text)
        if here:
            words.stylize(f"on {palette.selection}")
        return [*lines, self.text(words, made.tile, "center")]


def _cut(name: str, width: int) -> str:
    """A name in so many cells."""
    return name if len(name) <= width else name[: max(0, width - 1)] + "\u2026"
