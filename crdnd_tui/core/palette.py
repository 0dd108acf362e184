"""Colours by what they mean: one accent, quiet neutrals, and scales that the colour-blind can read.

Series are Okabe and Ito's colours, sequences cividis (Nunez et al. 2018), differences blue to orange.
A value is never told by colour alone: its number, length or sign stands beside it.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Palette:
    """One theme's colours, as rich and Textual both read them."""

    name: str
    dark: bool
    background: str
    panel: str
    border: str
    text: str
    muted: str  # units, axes, what is said beside a number
    faint: str  # grids, empty bars, the raw band behind a curve
    accent: str
    accent_text: str  # upon the accent
    selection: str  # background of the row under the cursor
    good: str
    warn: str
    bad: str
    series: tuple[str, ...]
    scale: tuple[str, ...]  # of a sequence, low to high
    below: str  # a difference under zero
    above: str


_CIVIDIS = (
    "#00224e", "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c3b369", "#e1cc55", "#fee838",
)  # fmt: skip

DARK = Palette(
    name="crdnd-dark", dark=True, background="#0f1216", panel="#151a20", border="#2b323b", text="#dde3ea",
    muted="#939eab", faint="#3c4651", accent="#56b4e9", accent_text="#0f1216", selection="#1a3344",
    good="#2fbf8f", warn="#e69f00", bad="#f37a63",
    series=("#56b4e9", "#e69f00", "#2fbf8f", "#cc79a7", "#f0e442", "#e0703a", "#7a9cff", "#b9c2cc"),
    scale=_CIVIDIS, below="#56b4e9", above="#e69f00",
)  # fmt: skip
LIGHT = Palette(
    name="crdnd-light", dark=False, background="#fbfbf9", panel="#f2f3f0", border="#cfd3d4", text="#1d2328",
    muted="#5d6870", faint="#c3c9cc", accent="#0067a5", accent_text="#ffffff", selection="#dcebf6",
    good="#007355", warn="#925600", bad="#b8301c",
    series=("#0072b2", "#b86e00", "#00795a", "#a8487f", "#8a7d00", "#b94a00", "#4257c9", "#5d6870"),
    scale=_CIVIDIS, below="#0072b2", above="#b86e00",
)  # fmt: skip

PALETTES = {palette.name: palette for palette in (DARK, LIGHT)}


def named(theme: str) -> Palette:
    """The palette of a theme; the dark one for a theme that is not ours."""
    return PALETTES.get(theme, DARK)


def sequence(palette: Palette, share: float) -> str:
    """The colour of a share in [0, 1] on the palette's scale."""
    steps = palette.scale
    place = min(1.0, max(0.0, share)) * (len(steps) - 1)
    low = min(int(place), len(steps) - 2)
    return mix(steps[low], steps[low + 1], place - low)


def difference(palette: Palette, share: float) -> str:
    """The colour of a difference in [-1, 1]: blue below zero, orange above, quiet around it."""
    end = palette.above if share > 0 else palette.below
    return mix(palette.panel, end, min(1.0, abs(share)))


def mix(first: str, second: str, share: float) -> str:
    """A colour so far on the way between two, both `#rrggbb`."""
    one, two = (tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5)) for colour in (first, second))
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in zip(one, two, strict=True))


def readable_on(colour: str) -> str:
    """Black or white, whichever can be read on this `#rrggbb` (WCAG relative luminance)."""
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return "#000000" if 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2 > 0.2 else "#ffffff"


def assign(palette: Palette, ids: Sequence[str]) -> dict[str, str]:
    """A colour for each run, the same wherever it is shown; who collides takes the next free one."""
    taken: dict[str, int] = {}
    for name in ids:
        first = int.from_bytes(hashlib.sha256(name.encode()).digest()[:2]) % len(palette.series)
        free = [k for k in range(len(palette.series)) if k not in taken.values()]
        taken[name] = min(free, key=lambda k: (k - first) % len(palette.series)) if free else first
    return {name: palette.series[k] for name, k in taken.items()}
