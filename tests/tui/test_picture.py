"""Half-blocks: pictures of known pixels give known cells."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from rich.style import Style

from crdnd_tui.core.gallery import amplified, fitting, raster
from crdnd_tui.tui.widgets.picture import Scale, draw, fit, scaled

GROUND = Style(color="#dddddd", bgcolor="#101010")


def _grey(*rows):
    return np.array([rows])


def _cells(lines):
    """Each cell as (character, colour, ground)."""
    return [
        [(c, s.style.color.triplet.hex, s.style.bgcolor.triplet.hex) for s in line for c in s.text] for line in lines
    ]


def test_a_cell_is_two_pixels_above_each_other():
    image = raster(_grey([0.0, 1.0], [1.0, 0.2]))
    assert _cells(draw(image, Scale(), "colour", GROUND)) == [
        [("\u2580", "#000000", "#ffffff"), ("\u2580", "#ffffff", "#333333")]
    ]


def test_colours_are_red_green_blue():
    assert raster(np.array([[[1.0, 0.0]], [[0.0, 1.0]], [[0.0, 0.0]]])) == [[(255, 0, 0), (0, 255, 0)]]


def test_the_last_line_of_an_odd_height_lies_on_the_ground():
    assert _cells(draw(raster(_grey([1.0])), Scale(), "colour", GROUND)) == [[("\u2580", "#ffffff", "#101010")]]


def test_a_zoomed_pixel_is_a_square_of_cells():
    cells = _cells(draw(raster(_grey([0.0, 1.0], [1.0, 0.0])), Scale(2), "colour", GROUND))
    black, white = ("\u2580", "#000000", "#000000"), ("\u2580", "#ffffff", "#ffffff")
    assert cells == [[black, black, white, white], [white, white, black, black]]


def test_shrinking_averages_squares():
    image = raster(_grey([0.0, 1.0, 1.0], [0.0, 1.0, 1.0], [1.0, 1.0, 0.0]))
    assert scaled(image, Scale(1, 2)) == [[(128, 128, 128), (255, 255, 255)], [(255, 255, 255), (0, 0, 0)]]


def test_what_lies_beyond_the_range_is_cut_off_and_nan_is_black():
    image = raster(_grey([-3.0, 7.0, float("nan"), float("inf")]))
    assert [pixel[0] for pixel in image[0]] == [0, 255, 0, 255]


def test_the_difference_is_grey_where_nothing_changed_and_symmetric_around_it():
    x, x_adv = _grey([0.5, 0.5, 0.5]), _grey([0.5, 0.625, 0.375])
    (none, more, less) = (pixel[0] for pixel in amplified(x, x_adv, 2)[0])
    assert none == 128
    assert (more, less) == (191, 64)


def test_the_amplification_fills_the_range():
    assert fitting(40 / 255) == 3
    assert fitting(8 / 255) == 15
    assert fitting(0.5) == 1
    assert fitting(1.0) == 1
    assert fitting(0.0) == 64
    assert fitting(1e-9) == 64


def test_without_colour_bright_is_dense_on_dark_and_thin_on_light():
    image = raster(_grey([0.0, 1.0], [0.0, 1.0]))
    assert draw(image, Scale(), "ramp", GROUND)[0][0].text == " @"
    assert draw(image, Scale(), "ramp", GROUND, bright_is_dense=False)[0][0].text == "@ "


def test_without_colour_a_difference_is_a_sign():
    image = amplified(_grey([0.5] * 5), _grey([0.0, 0.3, 0.5, 0.7, 1.0]), 1)
    assert draw(image, Scale(), "signs", GROUND)[0][0].text == "=- +#"


def test_cifar_is_32_by_16_cells_and_digits_are_of_the_same_size():
    assert fit(32, 32, 36, 16) == Scale(1, 1)
    assert fit(8, 8, 36, 16) == Scale(4, 1)
    assert fit(32, 32, 20, 16) == Scale(1, 2)
    assert (Scale(1, 2).columns(32), Scale(1, 2).lines(32)) == (16, 8)


@given(
    width=st.integers(1, 40), height=st.integers(1, 40), columns=st.integers(1, 90), lines=st.integers(1, 40),
    look=st.sampled_from(["colour", "ramp", "signs"]),
)  # fmt: skip
def test_a_picture_always_fits_and_every_line_is_of_equal_width(width, height, columns, lines, look):
    scale = fit(width, height, columns, lines)
    image = raster(_grey(*[[(x + y) % 3 / 2 for x in range(width)] for y in range(height)]))
    drawn = draw(image, scale, look, GROUND)
    assert len(drawn) == scale.lines(height) <= lines
    assert {sum(len(s.text) for s in line) for line in drawn} == {scale.columns(width)}
    assert scale.columns(width) <= columns
    assert all(s.style is not None for line in drawn for s in line)


@given(st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_each_pixel_has_its_own_colour(values):
    a, b, c, d = values
    cells = _cells(draw(raster(_grey([a, b], [c, d])), Scale(), "colour", GROUND))

    def hexed(value):
        return "#" + f"{round(255 * value):02x}" * 3

    assert cells == [[("\u2580", hexed(a), hexed(c)), ("\u2580", hexed(b), hexed(d))]]
