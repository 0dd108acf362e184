"""Images in half-blocks: each cell shows two pixels, the upper as the colour of the block, the lower as its ground.

Without true colour a cell shows one character from a ramp, by the mean brightness of its two pixels.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from rich.color import Color
from rich.segment import Segment
from rich.style import Style

from crdnd_tui.core.gallery import RGB, Raster

RAMP = " .:-=+*#%@"  # dark to bright
SIGNS = "=- +#"  # of a difference: far below, below, none, above, far above
_LARGEST_ZOOM = 16

Look = Literal["colour", "ramp", "signs"]


@dataclass(frozen=True)
class Scale:
    """`zoom` cells for a pixel, or `shrink` pixels for a cell's half; one of the two is 1."""

    zoom: int = 1
    shrink: int = 1

    def columns(self, width: int) -> int:
        """Cells of an image so many pixels wide."""
        return math.ceil(width / self.shrink) * self.zoom

    def lines(self, height: int) -> int:
        """Lines of an image so many pixels high."""
        return math.ceil(math.ceil(height / self.shrink) * self.zoom / 2)


def fit(width: int, height: int, columns: int, lines: int) -> Scale:
    """The largest whole-numbered scale at which the image fits; the smallest one when none does."""
    if columns < 1 or lines < 1:
        return Scale(1, max(width, height))
    zoom = min(columns // width, 2 * lines // height, _LARGEST_ZOOM)
    if zoom >= 1:
        return Scale(zoom, 1)
    return Scale(1, max(math.ceil(width / columns), math.ceil(height / (2 * lines))))


def scaled(image: Raster, scale: Scale) -> Raster:
    """Each pixel repeated, or squares of pixels averaged."""
    if scale.shrink > 1:
        return _averaged(image, scale.shrink)
    if scale.zoom == 1:
        return image
    return [[p for p in row for _ in range(scale.zoom)] for row in image for _ in range(scale.zoom)]


def _averaged(image: Raster, side: int) -> list[list[RGB]]:
    rows: list[list[RGB]] = []
    for top in range(0, len(image), side):
        row: list[RGB] = []
        for left in range(0, len(image[0]), side):
            square = [p for line in image[top : top + side] for p in line[left : left + side]]
            red, green, blue = (round(sum(p[channel] for p in square) / len(square)) for channel in range(3))
            row.append((red, green, blue))
        rows.append(row)
    return rows


def draw(
    image: Raster, scale: Scale, look: Look, ground: Style, *, bright_is_dense: bool = True
) -> list[list[Segment]]:
    """Lines of segments. `ground` is what lies beneath an image of odd height, and the ink of the ramp."""
    pixels = scaled(image, scale)
    pairs = [(pixels[y], pixels[y + 1] if y + 1 < len(pixels) else None) for y in range(0, len(pixels), 2)]
    if look == "colour":
        return [_blocks(upper, lower, ground) for upper, lower in pairs]
    write = _sign if look == "signs" else _shade if bright_is_dense else _ink
    return [
        [Segment("".join(write(*two) for two in zip(upper, lower or upper, strict=True)), ground)]
        for upper, lower in pairs
    ]


def _blocks(upper: Sequence[RGB], lower: Sequence[RGB] | None, ground: Style) -> list[Segment]:
    """Cells of the same two colours are one segment."""
    segments: list[Segment] = []
    text, last = "", None
    for place, top in enumerate(upper):
        both = (top, lower[place] if lower is not None else None)
        if both != last and last is not None:
            segments.append(Segment(text, _block(*last, ground)))
            text = ""
        text, last = text + "\u2580", both
    return [*segments, Segment(text, _block(*last, ground))] if last is not None else segments


@lru_cache(maxsize=8192)
def _block(top: RGB, bottom: RGB | None, ground: Style) -> Style:
    below = ground.bgcolor if bottom is None else Color.from_rgb(*bottom)
    return Style.from_color(Color.from_rgb(*top), below)


def _brightness(one: RGB, two: RGB) -> float:
    """Mean luma of two pixels, in [0, 1]."""
    return sum(0.299 * red + 0.587 * green + 0.114 * blue for red, green, blue in (one, two)) / 510


def _shade(one: RGB, two: RGB) -> str:
    """Bright ink on a dark screen: dense is bright."""
    return RAMP[min(len(RAMP) - 1, int(_brightness(one, two) * len(RAMP)))]


def _ink(one: RGB, two: RGB) -> str:
    """Dark ink on a bright screen: dense is dark."""
    return RAMP[min(len(RAMP) - 1, int((1 - _brightness(one, two)) * len(RAMP)))]


def _sign(one: RGB, two: RGB) -> str:
    return SIGNS[min(len(SIGNS) - 1, int(_brightness(one, two) * len(SIGNS)))]
