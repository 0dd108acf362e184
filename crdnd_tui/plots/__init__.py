"""Curves as characters: points, dots, ticks, axes. Nothing here knows Textual."""
