"""Colours: every word can be read, every run keeps its colour, every scale grows."""

import pytest

from crdnd_tui.core.palette import DARK, LIGHT, assign, difference, mix, named, readable_on, sequence

COLOURED = (DARK, LIGHT)
WORDS = ("text", "muted", "accent", "good", "warn", "bad")
GROUNDS = ("background", "panel", "selection")


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance of sRGB."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_contrast_of_black_on_white_is_21_and_of_equals_1():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
    assert contrast("#123456", "#123456") == 1


@pytest.mark.parametrize("palette", COLOURED, ids=lambda palette: palette.name)
def test_all_words_can_be_read_on_every_ground(palette):
    ratios = {
        (word, ground): contrast(getattr(palette, word), getattr(palette, ground))
        for word in WORDS
        for ground in GROUNDS
    }
    assert {where: round(ratio, 2) for where, ratio in ratios.items() if ratio < 4.5} == {}
    assert contrast(palette.accent_text, palette.accent) >= 4.5


@pytest.mark.parametrize("palette", COLOURED, ids=lambda palette: palette.name)
def test_curves_and_differences_stand_out_from_the_ground(palette):
    drawn = [*palette.series, palette.below, palette.above]
    assert min(contrast(colour, palette.background) for colour in drawn) >= 3.0  # WCAG 1.4.11, of graphics
    assert len(set(palette.series)) == len(palette.series)


def test_a_colour_between_two():
    assert [mix("#000000", "#10ff20", share) for share in (0, 0.5, 1)] == ["#000000", "#088010", "#10ff20"]


def test_a_sequence_goes_from_end_to_end_and_takes_what_lies_outside():
    for palette in COLOURED:
        assert sequence(palette, 0) == sequence(palette, -3) == palette.scale[0]
        assert sequence(palette, 1) == sequence(palette, 7) == palette.scale[-1]
        brightness = [luminance(sequence(palette, step / 50)) for step in range(51)]
        assert brightness == sorted(brightness)


def test_a_difference_is_blue_below_orange_above_and_quiet_at_zero():
    assert difference(DARK, 0) == DARK.panel
    assert difference(DARK, -1) == difference(DARK, -9) == DARK.below
    assert difference(DARK, 1) == DARK.above


def test_what_is_written_on_a_colour_is_black_or_white_whichever_can_be_read():
    for step in range(11):
        ground = sequence(DARK, step / 10)
        assert contrast(readable_on(ground), ground) >= 4.5


def test_runs_keep_their_colour_and_share_none_while_there_are_enough():
    ids = [f"20260101-00000{place}-crdnd-x-s{place}-abcd" for place in range(8)]
    colours = assign(DARK, ids)
    assert set(colours.values()) == set(DARK.series)
    assert assign(DARK, ids[:1])[ids[0]] == colours[ids[0]]  # the first keeps its own
    assert len(assign(DARK, [*ids, "one-too-many"])) == 9
    assert assign(LIGHT, []) == {}


def test_a_theme_that_is_not_ours_gets_the_dark_palette():
    assert named("nord") is DARK
    assert named("crdnd-light") is LIGHT
