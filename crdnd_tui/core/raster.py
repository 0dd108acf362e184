"""Images as rows of pixels: x, x', and what lies between them, amplified so that it can be seen."""

import math
from collections.abc import Sequence

from crdnd_tui.core.gallery import Picture

RGB = tuple[int, int, int]
Raster = Sequence[Sequence[RGB]]  # rows of pixels
STEPS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)  # amplifications that + and - walk through
MIDDLE = 0.5


def raster(picture: Picture) -> list[list[RGB]]:
    """Pixels as bytes; what lies beyond [0, 1] is cut off, and what is no number is black."""
    return _rows([list(map(_byte, plane)) for plane in picture.planes], picture.width)


def amplified(clean: Picture, adversarial: Picture, k: float) -> list[list[RGB]]:
    """1/2 + k (x' - x): grey where nothing changed, brighter where the attack added, darker where it took away."""
    pairs = zip(clean.planes, adversarial.planes, strict=True)
    return _rows(
        [[_byte(MIDDLE + k * (b - a)) for a, b in zip(x, x_adv, strict=True)] for x, x_adv in pairs], clean.width
    )


def _rows(planes: Sequence[Sequence[int]], width: int) -> list[list[RGB]]:
    """Three channels, or one that stands for all three, as rows of pixels."""
    red, green, blue = planes if len(planes) == 3 else (planes[0],) * 3
    pixels = list(zip(red, green, blue, strict=True))
    return [pixels[start : start + width] for start in range(0, len(pixels), width)]


def fitting(largest: float) -> int:
    """The amplification at which the largest |x' - x| just fills the range, in 1..64."""
    return STEPS[-1] if largest <= 0 else min(STEPS[-1], max(1, math.floor(MIDDLE / largest + 1e-4)))


def _byte(value: float) -> int:
    return round(255 * min(1.0, max(0.0, value))) if value == value else 0  # noqa: PLR0124  NaN differs from itself
