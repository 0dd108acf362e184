"""What SVG figures are drawn with: colours, fonts, escaped words, and how wide those words will be.

`resolved` has colours for a file that stands alone; `themed` names CSS variables, so that a page can be light and dark.
"""

import html
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from crdnd_tui.core import palette
from crdnd_tui.core.palette import Palette
from crdnd_tui.core.text import one_line

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'Liberation Sans', sans-serif"
STEPS = 16  # shades of a heat map
_NO_XML = re.compile("[\ufffe\uffff]")  # `display` takes the rest of what XML forbids
_NARROW = frozenset("fijlrtI.,:;'|!()[]{} ")
_BROAD = frozenset("mwMW%@")


@dataclass(frozen=True, kw_only=True)
class Ink:
    """Colours by their use; `ramp` and `signed` are (ground, words upon it) from low to high."""

    background: str
    text: str
    muted: str
    faint: str
    series: tuple[str, ...]
    ramp: tuple[tuple[str, str], ...]
    signed: tuple[tuple[str, str], ...]

    def of(self, colour: int) -> str:
        """A series' colour; after the last one they begin again."""
        return self.series[colour % len(self.series)]

    def shade(self, share: float) -> tuple[str, str]:
        """Ground and words of a share in [0, 1]."""
        return self.ramp[round(min(1.0, max(0.0, share)) * (STEPS - 1))]

    def sign(self, share: float) -> tuple[str, str]:
        """The same of a difference in [-1, 1]."""
        return self.signed[round((min(1.0, max(-1.0, share)) + 1) / 2 * (STEPS - 2))]


def resolved(colours: Palette) -> Ink:
    """Colours of a theme. What is more is darker on paper and lighter on a dark ground."""
    grounds = [_shade(colours, k / (STEPS - 1)) for k in range(STEPS)]
    differences = [palette.difference(colours, 2 * k / (STEPS - 2) - 1) for k in range(STEPS - 1)]
    return Ink(
        background=colours.background, text=colours.text, muted=colours.muted, faint=colours.faint,
        series=colours.series,
        ramp=tuple((ground, palette.readable_on(ground)) for ground in grounds),
        signed=tuple((ground, palette.readable_on(ground)) for ground in differences),
    )  # fmt: skip


def _shade(colours: Palette, share: float) -> str:
    """Of the sequence; on paper it begins pale, so that a single mistake does not glare."""
    if colours.dark:
        return palette.sequence(colours, share)
    return palette.mix(colours.background, palette.sequence(colours, 1 - share), 0.12 + 0.88 * share**0.5)


def themed() -> Ink:
    """Names of the variables that `variables` sets."""
    return Ink(
        background="var(--background)", text="var(--text)", muted="var(--muted)", faint="var(--faint)",
        series=tuple(f"var(--s{k})" for k in range(len(palette.LIGHT.series))),
        ramp=tuple((f"var(--r{k})", f"var(--rt{k})") for k in range(STEPS)),
        signed=tuple((f"var(--d{k})", f"var(--dt{k})") for k in range(STEPS - 1)),
    )  # fmt: skip


def variables(colours: Palette) -> str:
    """CSS that gives `themed` its colours."""
    ink, names = resolved(colours), themed()
    pairs = [
        (names.background, ink.background), (names.text, ink.text), (names.muted, ink.muted), (names.faint, ink.faint),
        *zip(names.series, ink.series, strict=True),
        *((n, c) for name, pair in zip(names.ramp, ink.ramp, strict=True) for n, c in zip(name, pair, strict=True)),
        *((n, c) for name, pair in zip(names.signed, ink.signed, strict=True) for n, c in zip(name, pair, strict=True)),
        ("var(--panel)", colours.panel), ("var(--border)", colours.border), ("var(--accent)", colours.accent),
        ("var(--warn)", colours.warn),
    ]  # fmt: skip
    return "".join(f"{name[4:-1]}:{colour};" for name, colour in pairs)


def escaped(words: str, limit: int = 200) -> str:
    """On one line, without what XML forbids or a browser would read as markup."""
    return html.escape(_NO_XML.sub("\ufffd", one_line(words, limit)), quote=True)


def number(value: float) -> str:
    """A coordinate: two decimals, and no zeros at their end."""
    words = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if words == "-0" else words


def width_of(words: str, size: float) -> float:
    """Pixels that words will take, about; a little too many rather than too few."""
    return size * sum(map(_em, words))


def _em(character: str) -> float:
    if character in _NARROW:
        return 0.34
    if character in _BROAD or character.isupper():
        return 0.9 if character in _BROAD else 0.7
    return 1.05 if unicodedata.east_asian_width(character) in "WF" else 0.57


def text(
    x: float, y: float, words: str, *, fill: str, size: float = 12, anchor: str = "start", more: str = ""
) -> str:  # fmt: skip
    """Words whose base line is at y."""
    where = "" if anchor == "start" else f' text-anchor="{anchor}"'
    place = f'x="{number(x)}" y="{number(y)}" font-size="{number(size)}"'
    return f'<text {place} fill="{fill}"{where}{more}>{escaped(words)}</text>'


def line(points: Sequence[float], colour: str, *, thick: float = 1, more: str = "") -> str:
    """From (x, y) to (x, y)."""
    x1, y1, x2, y2 = map(number, points)
    return f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{colour}" stroke-width="{number(thick)}"{more}/>'


def rectangle(x: float, y: float, width: float, height: float, fill: str, more: str = "") -> str:
    """A filled one."""
    sides = f'x="{number(x)}" y="{number(y)}" width="{number(width)}" height="{number(height)}"'
    return f'<rect {sides} fill="{fill}"{more}/>'
