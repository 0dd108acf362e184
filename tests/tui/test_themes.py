"""Themes of Textual made of our palettes, and the way to ASCII."""

import string

import pytest
from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.color import Color

from crdnd_tui.core import text
from crdnd_tui.core.palette import PALETTES
from crdnd_tui.tui.themes import AsciiFilter, themes


def test_each_palette_is_a_theme():
    assert [theme.name for theme in themes()] == list(PALETTES)
    assert [theme.dark for theme in themes()] == [palette.dark for palette in PALETTES.values()]


def test_all_colours_of_a_theme_can_be_read_by_textual():
    for theme in themes():
        for colour in (theme.primary, theme.foreground, theme.background, theme.error, *theme.variables.values()):
            assert colour == "bold" or Color.parse(colour)


def test_ascii_stays_as_it_is():
    assert text.plain(string.printable) == string.printable


@pytest.mark.parametrize(
    ("drawn", "plain"),
    [
        ("\u256d\u2500 a \u2500\u256e", "+- a -+"),
        ("\u2502x\u2503", "|x|"),
        ("\u2501 \u254d \u2505 \u2509 \u2500", "= - ~ . -"),
        ("\u2588\u2588\u258c", "###"),
        ("\u28ff\u2801\u2800", "*. "),
        ("8/255 \u2192 S(x\u2032)", "8/255 > S(x')"),
        ("\u25cf \u25d0 \u25cb \u2713 \u2717 \u25cc", "* % o + x ."),
        ("caf\u00e9 10\u00b2 \u00bf", "cafe 102 ?"),
        ("84.1 \u00b1 0.2", "84.1 ~ 0.2"),
        ("L\u221e \u03b5 \u2264 8/255", "LI e < 8/255"),
    ],
)
def test_signs_become_what_says_nearly_the_same(drawn, plain):
    assert text.plain(drawn) == plain


def test_every_cell_stays_a_cell_whatever_it_holds():
    every = [chr(code) for code in [*range(0xA0, 0x3100), *range(0xAC00, 0xAC40), *range(0x1F300, 0x1F700)]]
    for character in every:
        plain = text.plain(character)
        assert plain.isascii() and len(plain) == cell_len(character), f"U+{ord(character):04X}"


def test_half_blocks_become_what_can_be_seen():
    assert text.plain("\u2580\u2584") == "##"


def test_the_filter_keeps_the_styles():
    red = Style(color="red")
    [drawn] = AsciiFilter().apply([Segment("\u2713", red)], Color(0, 0, 0))
    assert (drawn.text, drawn.style) == ("+", red)
    [same] = AsciiFilter().apply([Segment("ok", red)], Color(0, 0, 0))
    assert same == Segment("ok", red)
