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
            segment if segment.text.isascii() else Segment(plain(segment.text), segment.style or Style.null())
            for segment in segments
        ]
