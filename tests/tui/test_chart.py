"""The chart in a small app: every key, the mouse, its states, sizes and themes."""

import math

import pytest

from crdnd_tui.chart.series import PointSeries
from crdnd_tui.core.palette import named
from crdnd_tui.tui.widgets.chart import SMOOTHINGS, Chart
from crdnd_tui.tui.widgets.chart_sheet import Line
from tests.tui.small_charts import drive, text_of, three


def test_it_waits_with_axes_and_words():
    async def story(app, pilot, chart):
        assert "waiting for the first step" in text_of(chart)
        chart.show([Line(name="a", colour="#ffffff", series=PointSeries())])
        assert "waiting for the first step" in text_of(chart)
        chart.show([Line(name="a", colour="#ffffff", series=PointSeries([(7, None), (8, None)]))])
        assert "nothing but NaN since step 7" in text_of(chart)
        for key in ("y", "x", "s", "plus", "minus", "0", "comma", "full_stop", "left_square_bracket"):
            await pilot.press(key)
        assert app.moves == [8.0]

    drive(story)


def test_what_grows_is_drawn_and_what_does_not_is_not():
    async def story(app, pilot, chart):
        series = PointSeries([(1, 1.0), (2, 2.0)])
        lines = [Line(name="a", colour="#ffffff", series=series)]
        chart.show(lines)
        await pilot.pause()
        first, strips = text_of(chart), chart._strips
        chart.show(lines)
        assert text_of(chart) == first and chart._strips is strips
        series.append(3, 40.0)
        chart.show(lines)
        await pilot.pause()
        assert text_of(chart) != first and chart._strips is not strips
        assert "40.00" in str(chart.border_subtitle)

    drive(story)


def test_the_legend_has_last_values_and_those_under_the_crosshair():
    async def story(app, pilot, chart):
        ramp = Line(
            name="a[b]", colour="#56b4e9", series=PointSeries((k, float(k)) for k in range(101)), value="a hundred"
        )
        chart.show([ramp])
        await pilot.pause()
        assert "a hundred" in chart.border_subtitle and r"a\[b]" in chart.border_subtitle
        await pilot.press("comma")  # the newest
        await pilot.press("left")
        assert chart.cursor < 100 and f"{chart.cursor:#.4g}" in chart.border_subtitle
        assert f"step {chart.cursor:.0f}" in chart.border_subtitle
        x = chart.cursor
        await pilot.press("full_stop")
        assert chart.cursor > x
        await pilot.press("h", "h")
        assert chart.cursor < x + 1e-9 or chart.cursor == pytest.approx(x, abs=5)
        await pilot.press("l", "right")
        assert app.moves[0] == 100.0 and app.moves[-1] == chart.cursor
        assert "\u2502" in text_of(chart).splitlines()[9][6:]
        await pilot.press("0")
        assert chart.cursor is None and app.moves[-1] is None

    drive(story)


def test_a_cursor_that_is_set_from_outside_says_nothing():
    async def story(app, pilot, chart):
        chart.show(three())
        chart.cursor = 500.0
        await pilot.pause()
        assert "step 500" in chart.border_subtitle and app.moves == []

    drive(story)


def test_zoom_and_pan_stay_where_they_were_while_data_grow():
    async def story(app, pilot, chart):
        lines = three()
        chart.show(lines)
        await pilot.press("plus")
        assert chart._sheet.window.chosen == pytest.approx((500.75, 1500.25)) and "zoom" in chart.border_title
        lines[0].series.append(2_001, 0.5)
        chart.show(lines)
        assert chart._sheet.window.chosen == pytest.approx((500.75, 1500.25))
        await pilot.press("left_square_bracket")
        assert chart._sheet.window.chosen == pytest.approx((250.875, 1250.375))
        await pilot.press(*["right_square_bracket"] * 9)
        assert chart._sheet.window.chosen[1] == pytest.approx(2_001)  # not beyond the end
        await pilot.press("equals_sign", "minus", "minus", "minus")
        assert chart._sheet.window.chosen is None
        await pilot.press("plus", "0")
        assert chart._sheet.window.chosen is None and "zoom" not in chart.border_title

    drive(story)


def test_zoom_keeps_the_crosshair_in_its_place():
    async def story(app, pilot, chart):
        chart.show([Line(name="a", colour="#ffffff", series=PointSeries((k, float(k)) for k in range(101)))])
        chart.cursor = 20.0
        await pilot.press("plus")
        assert chart._sheet.window.chosen == pytest.approx((10.0, 60.0))

    drive(story)


def test_smoothing_goes_round_and_stands_in_the_title():
    async def story(app, pilot, chart):
        chart.show(three())
        await pilot.pause()
        assert "EMA .9" in chart.border_title
        for factor in (0.97, 0.99, 0.0, 0.6, 0.9):
            await pilot.press("s")
            assert chart.smoothing == factor and factor in SMOOTHINGS
            assert (f"EMA {factor:g}".replace("0.", ".") in chart.border_title) == (factor > 0)

    drive(story)


def test_log_axes():
    async def story(app, pilot, chart):
        chart.show([Line(name="a", colour="#ffffff", series=PointSeries((k, 10.0 ** (k / 25)) for k in range(101)))])
        await pilot.press("y")
        assert "1000\u2524" in text_of(chart) and "log" in chart.border_title
        await pilot.press("x")
        assert "log x" in chart.border_title and text_of(chart).splitlines()[-1].lstrip(" \u2514").startswith("1 ")
        await pilot.press("plus", "right_square_bracket", "minus")
        await pilot.press("x", "y")
        assert "log" not in chart.border_title
        chart.show([Line(name="a", colour="#ffffff", series=PointSeries((k, -1.0) for k in range(9)))])
        await pilot.press("y")
        assert "nothing above zero" in text_of(chart)

    drive(story)


def test_the_mouse_zooms_sets_the_crosshair_and_drags():
    async def story(app, pilot, chart):
        chart.show([Line(name="a", colour="#ffffff", series=PointSeries((k, float(k)) for k in range(1001)))])
        await pilot.pause()
        left, width = chart._place
        await pilot.click(chart, offset=(2 + left + width // 2, 4))
        assert chart.cursor == pytest.approx(500, abs=20) and app.moves == [chart.cursor]
        await pilot.press("plus")
        before = chart._sheet.window.chosen
        await pilot.mouse_down(chart, offset=(20, 4))
        await pilot.hover(chart, offset=(15, 4))
        await pilot.mouse_up(chart, offset=(15, 4))
        assert chart._sheet.window.chosen[0] > before[0] and len(app.moves) == 1

    drive(story)


def test_a_value_that_is_not_finite_is_marked():
    async def story(app, pilot, chart):
        series = PointSeries([(k, 1.0 / k) for k in range(1, 50)] + [(50, None), (51, math.nan)] + [(60, 0.1)])
        chart.show([Line(name="loss", colour="#ffffff", series=series, smooth=True, band=True)])
        await pilot.pause()
        assert "NaN @ step 50 +1" in text_of(chart)
        bad = named(app.theme).bad
        styles = [s.style for y in range(9) for s in chart.render_line(y) if "NaN" in s.text]
        assert styles and all(style.color.name == bad for style in styles)

    drive(story)


@pytest.mark.parametrize("size", [(1, 1), (6, 3), (15, 4), (30, 4), (16, 5), (40, 10), (180, 50), (30, 8)])
def test_every_size_shows_something(size):
    async def story(app, pilot, chart):
        chart.show(three(n=300))
        await pilot.pause()
        for y in range(chart.size.height):
            strip = chart.render_line(y)
            assert strip.cell_length == chart.size.width
            assert all(segment.style is not None and segment.style.bgcolor is not None for segment in strip)
        if chart.outer_size.height < 5 and chart.size.width > 10 and chart.size.height > 1:
            assert "total" in text_of(chart) and "\u2588" in text_of(chart)
        await pilot.resize_terminal(100, 30)
        await pilot.pause()
        assert "step" in text_of(chart)

    drive(story, size=size)


def test_ascii_terminals_get_ascii():
    class Session:
        ascii_only = True

    async def story(app, pilot, chart):
        app.session = Session()
        chart.on_mount()
        chart.show(three(n=300))
        await pilot.pause()
        shown = text_of(chart)
        assert "*" in shown and shown.isascii() and str(chart.border_subtitle).isascii()

    drive(story)


def test_without_colour_curves_differ_by_their_dashes(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")

    async def story(app, pilot, chart):
        chart.show(three(n=300))
        await pilot.pause()
        assert app.no_color and "\u254d" in chart.border_subtitle and "\u2505" in chart.border_subtitle
        assert app.export_screenshot()

    drive(story)


def test_a_change_of_theme_changes_the_ground():
    async def story(app, pilot, chart):
        app.theme = "crdnd-light"
        chart.show(three(named("crdnd-light"), n=300))
        await pilot.pause()
        assert chart.render_line(0)._segments[0].style.bgcolor.name == named("crdnd-light").background

    drive(story)


def test_every_key_says_what_it_does():
    assert all(binding.description and binding.tooltip and not binding.show for binding in Chart.BINDINGS)
