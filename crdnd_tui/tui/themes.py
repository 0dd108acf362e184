"""Palettes as Textual themes, and the filter that brings every screen to ASCII."""

from unicodedata import normalize

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter
from textual.theme import Theme

from crdnd_tui.core.palette import PALETTES, Palette

_PLAIN = {
    "\u2013": "-", "\u2014": "-", "\u2212": "-", "\u2026": ".", "\u00b1": "~", "\u00b7": "|", "\u2190": "<",
    "\u2192": ">", "\u2191": "^", "\u2193": "v", "\u25cf": "*", "\u25cb": "o", "\u2713": "+", "\u2717": "x",
    "\u25d0": "%", "\u25cc": ".", "\u00d7": "x", "\u03b5": "e", "\u26a0": "!", "\u221e": "8", "\ufffd": "?",
    "\u25b2": "^", "\u25bc": "v", "\u25b6": ">", "\u25c0": "<", "\u25b8": ">", "\u25be": "v", "\u23f8": "=",
    "\u2502": "|", "\u2503": "|", "\u03b4": "d", "\u0394": "D", "\u2605": "*", "\u2606": ".", "\u00a0": " ",
    "\u03c4": "t", "\u03bb": "l", "\u00d8": "0", "\u2265": ">", "\u2264": "<", "\u2248": "~", "\u2020": "+",
    "\u2500": "-", "\u2501": "=", "\u2550": "=", "\u254d": "-", "\u2505": "~", "\u2504": "-", "\u2508": ".",
    "\u2509": ".", "\u2575": "'", "\u2260": "#", "\u2016": "=", "\u2032": "'", "\u2022": "*",
    "\u2039": "<", "\u203a": ">",
}  # fmt: skip


def theme(palette: Palette) -> Theme:
    """The Textual theme of a palette."""

    def colour(name: str) -> str:
        return f"ansi_{name}" if palette.ansi else name

    return Theme(
        name=palette.name,
        primary=colour(palette.accent),
        secondary=colour(palette.accent),
        accent=colour(palette.accent),
        foreground=colour(palette.text),
        background=colour(palette.background),
        surface=colour(palette.panel),
        panel=colour(palette.panel),
        boost=colour(palette.panel),
        success=colour(palette.good),
        warning=colour(palette.warn),
        error=colour(palette.bad),
        dark=palette.dark,
        ansi=palette.ansi,
        variables={
            "ansi-background": colour(palette.background),  # Textual's own, of a theme without RGB
            "ansi-foreground": colour(palette.text),
            "line": colour(palette.border),
            "muted": colour(palette.muted),
            "faint": colour(palette.faint),
            "selection": colour(palette.selection),
            "on-accent": colour(palette.accent_text),
            "footer-background": colour(palette.panel),
            "footer-key-foreground": colour(palette.accent),
            "footer-description-foreground": colour(palette.muted),
            "border": colour(palette.accent),
            "border-blurred": colour(palette.border),
            "scrollbar": colour(palette.border),
            "scrollbar-hover": colour(palette.muted),
            "scrollbar-active": colour(palette.accent),
            "scrollbar-background": colour(palette.background),
            "scrollbar-background-hover": colour(palette.background),
            "scrollbar-background-active": colour(palette.background),
            "scrollbar-corner-color": colour(palette.background),
            "block-cursor-background": colour(palette.selection),
            "block-cursor-foreground": colour(palette.text),
            "block-cursor-text-style": "bold",
            "input-cursor-background": colour(palette.text),
            "input-cursor-foreground": colour(palette.background),
            "input-selection-background": colour(palette.selection),
        },
    )


def themes() -> list[Theme]:
    """All of ours, the default first."""
    return [theme(palette) for palette in PALETTES.values()]


class AsciiFilter(LineFilter):
    """For terminals whose locale has nothing but ASCII: each character becomes one that says nearly the same."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The same cells in ASCII."""
        return [
            segment if segment.text.isascii() else Segment(ascii_cells(segment.text), segment.style or Style.null())
            for segment in segments
        ]


def ascii_cells(text: str) -> str:
    """Cell for cell: rules become -, = and |, bars #, dots * and ., what is unknown ?."""
    return "".join(c if c.isascii() else _cell(c) for c in text)


def _cell(character: str) -> str:
    code, cells = ord(character), cell_len(character)
    if cells != 1:  # a wide one takes two, a mark upon another none
        return "?" * cells
    if character in _PLAIN:
        return _PLAIN[character]
    if 0x2500 <= code < 0x2580:  # box drawing
        return "|" if character in "\u2502\u2503\u2551\u258f" else "+"
    if 0x2581 <= code <= 0x2588 or code in (0x2580, 0x2589, 0x258A, 0x258B, 0x258C):
        return "#"
    if 0x2800 <= code < 0x2900:  # Braille
        return " " if code == 0x2800 else "*" if (code - 0x2800).bit_count() > 2 else "."
    if 0x258D <= code <= 0x259F:
        return " "
    nearest = normalize("NFKD", character)[0]  # the letter without its accent, the digit of a power
    return nearest if nearest.isascii() else "?"
