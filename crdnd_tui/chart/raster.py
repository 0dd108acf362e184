"""Cells of a picture made of dots: Braille has eight in a cell, blocks two, ASCII one.

Dots of two curves never share a cell, so no colour bleeds into another: what is drawn later takes the whole of it.
Lines that run through the same cells take turns, so that none hides another for long.
"""

import re
from typing import Literal, NamedTuple

Markers = Literal["braille", "block", "ascii"]
Run = tuple[str, str]  # characters, and the key of their style

_DOTS = {"braille": (2, 4), "block": (1, 2), "ascii": (1, 1)}
_BITS = {
    "braille": ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80)),
    "block": ((1, 2),),
    "ascii": ((1,),),
}
_GLYPHS = {"braille": " " + "".join(map(chr, range(0x2801, 0x2900))), "block": " \u2580\u2584\u2588", "ascii": " *"}
_TURN = 2  # cells
_SAME = re.compile(rb"(.)\1*", re.DOTALL)


class Mark(NamedTuple):
    """One character laid over or under the dots."""

    character: str
    key: str


class Raster:
    """`width` x `height` cells; dots are counted from the top left."""

    def __init__(self, width: int, height: int, markers: Markers = "braille") -> None:
        self.width, self.height, self.markers = width, height, markers
        across, down = _DOTS[markers]
        self.columns, self.rows = width * across, height * down
        self._across, self._down = across, down
        self._bits, self._owner = bytearray(width * height), bytearray(width * height)
        self._keys = [""]
        self._letters = [" "]
        self._lines = [0]  # of each pen: which line it is, counted from one; 0 is none
        self._marks: dict[int, str] = {}  # cell -> the character there
        self._masks = [
            [[sum(column[a : b + 1]) for b in range(down)] for a in range(down)] for column in _BITS[markers]
        ]
        self._whole = [[sum(mask[a][b] for mask in self._masks) for b in range(down)] for a in range(down)]

    def pen(self, key: str, letter: str = "*", *, line: bool = False) -> int:
        """What the next dots belong to; the letter stands for a dot in ASCII, and lines take turns."""
        self._keys.append(key)
        self._letters.append(letter)
        self._lines.append(max(self._lines) + 1 if line else 0)
        return len(self._keys) - 1

    def column(self, x: int, top: int, bottom: int, pen: int) -> None:
        """All dots of one dot column from `top` down to `bottom`, both included; what lies outside is cut off."""
        if 0 <= x < self.columns:
            cell, rest = divmod(x, self._across)
            self._fill(cell, self._masks[rest], (top, bottom), pen)

    def bar(self, column: int, top: int, bottom: int, pen: int) -> None:
        """The same, as wide as a cell."""
        if 0 <= column < self.width:
            self._fill(column, self._whole, (top, bottom), pen)

    def _fill(self, cell: int, masks: list[list[int]], rows: tuple[int, int], pen: int) -> None:
        top, bottom = max(0, rows[0]), min(self.rows - 1, rows[1])
        if top > bottom:
            return
        down, bits, owner = self._down, self._bits, self._owner
        first, last = top // down, bottom // down
        lines, line, turn = self._lines, self._lines[pen], cell // _TURN
        cell += first * self.width
        for row in range(first, last + 1):
            mask = masks[top - row * down if row == first else 0][bottom - row * down if row == last else down - 1]
            if owner[cell] == pen:
                bits[cell] |= mask
            elif not (line and lines[owner[cell]] and turn % line == lines[owner[cell]] - 1):  # else it is its turn
                bits[cell], owner[cell] = mask, pen
            cell += self.width

    def over(self, row: int, column: int, mark: Mark) -> None:
        """A character in place of whatever is there."""
        if not (0 <= row < self.height and 0 <= column < self.width):
            return
        if mark.key not in self._keys:
            self.pen(mark.key)
        cell = row * self.width + column
        self._owner[cell], self._bits[cell] = self._keys.index(mark.key), 0
        self._marks[cell] = mark.character

    def write(self, row: int, column: int, words: str, key: str) -> None:
        """Words over the dots."""
        for k, character in enumerate(words):
            self.over(row, column + k, Mark(character, key))

    def runs(self, row: int) -> list[Run]:
        """One row of cells, as stretches of one style; the key of nothing is empty."""
        start = row * self.width
        cells = range(start, start + self.width)
        glyphs = _GLYPHS[self.markers]
        owner = bytes(self._owner[start : start + self.width])
        if self.markers == "ascii":
            line = [self._letters[o] if b else " " for o, b in zip(owner, self._bits[start : cells.stop], strict=True)]
        else:
            line = [glyphs[bits] for bits in self._bits[start : cells.stop]]
        if self._marks:
            line = [
                self._marks.get(cell, c) if not self._bits[cell] else c for cell, c in zip(cells, line, strict=True)
            ]
        return [
            ("".join(line[found.start() : found.end()]), self._keys[owner[found.start()]])
            for found in _SAME.finditer(owner)
        ]
