"""Palettes as Textual themes, and the filter that brings every screen to ASCII."""

from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter
from textual.theme import Theme

from crdnd_tui.core.palette import PALETTES, Palette
from crdnd_tui.core.text import plain


def theme(palette: Palette) -> Theme:
    """The Textual theme of a palette."""
    return Theme(
        name=palette.name,
        primary=palette.accent,
        secondary=palette.accent,
        accent=palette.accent,
        foreground=palette.text,
        background=palette.background,
        surface=palette.panel,
        panel=palette.panel,
        boost=palette.panel,
        success=palette.good,
        warning=palette.warn,
        error=palette.bad,
        dark=palette.dark,
        variables={
            "line": palette.border,
            "muted": palette.muted,
            "selection": palette.selection,
            "footer-background": palette.panel,
            "footer-key-foreground": palette.accent,
            "footer-description-foreground": palette.muted,
            "border": palette.accent,
            "border-blurred": palette.border,
            "scrollbar": palette.border,
            "scrollbar-hover": palette.muted,
            "scrollbar-active": palette.accent,
            "scrollbar-background": palette.background,
            "scrollbar-background-hover": palette.background,
            "scrollbar-background-active": palette.background,
            "scrollbar-corner-color": palette.background,
            "block-cursor-background": palette.selection,
            "block-cursor-foreground": palette.text,
            "block-cursor-text-style": "bold",
            "input-cursor-background": palette.text,
            "input-cursor-foreground": palette.background,
            "input-selection-background": palette.selection,
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
            segment if segment.text.isascii() else Segment(plain(segment.text), segment.style or Style.null())
            for segment in segments
        ]
