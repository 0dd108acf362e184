"""Tiny pictures drawn by hand, round numbers on axes, gaps, and who lies above whom."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdnd_tui.chart import axes
from crdnd_tui.chart.axes import PlotView
from crdnd_tui.chart.plot import ChartFrame, Curve, Raster, draw, settled, skeleton, spark, stretches, y_range
from crdnd_tui.chart.series import PointSeries, Smoothed
from crdnd_tui.core import format

EIGHT = PlotView(x0=0, x1=8, y0=0, y1=8)
RAMP = PointSeries((float(k), float(k)) for k in range(9))


def shown(rows):
    return ["".join(text for text, _ in row) for row in rows]


def inked(rows):
    """Without the axes: cells with dots as `*`."""
    return ["".join("*" if c > "\u2800" else c for c in row[2:]) for row in shown(rows)[:-1]]


def picture(curves, view=EIGHT, size=(16, 6), **frame):
    return draw(curves, view, size, ChartFrame(**frame)).rows


def keys(row):
    return {key for _, key in row}


def test_a_raster_of_braille_dots():
    raster = Raster(2, 1)
    pen = raster.pen("a")
    raster.column(0, 0, 3, pen)  # the left column of the first cell, all four
    raster.column(3, 3, 9, pen)  # the lowest dot of the last column; what lies below is cut off
    assert raster.runs(0) == [("\u2847\u2880", "a")]


def test_a_later_curve_takes_the_cell_and_no_dot_of_the_earlier_one_stays():
    raster = Raster(1, 1)
    raster.column(0, 0, 3, raster.pen("early"))
    raster.column(1, 0, 0, raster.pen("late"))
    assert raster.runs(0) == [("\u2808", "late")]


def test_a_ramp_in_braille_joins_its_points():
    assert shown(picture([Curve(series=RAMP, key="line0")]))[:5] == [
        " \u2502           \u2880\u2824\u280a",
        "5\u2524        \u2880\u2824\u2812\u2801  ",
        " \u2502     \u2880\u2860\u281c\u2801     ",
        " \u2502  \u2880\u2860\u2812\u2801        ",
        "0\u2524\u2860\u2812\u2801           ",
    ]


def test_a_curve_stops_at_a_value_that_is_not_finite_and_says_where():
    series = PointSeries([(0, 0), (2, 4), (3, None), (5, 4), (8, 8)])
    rows = picture([Curve(series=series, key="line0")], size=(26, 6), gap=(3, "NaN @ 3"))
    assert inked(rows) == [
        "         \u250aNaN @ 3   ****",
        "         \u250a       ****   ",
        "    ***  \u250a     **       ",
        "  ***    \u250a              ",
        "**       \u250a              ",
    ]
    assert "bad" in keys(rows[0])


def test_what_is_not_positive_is_a_gap_on_a_log_axis():
    series = PointSeries([(0, 1.0), (2, 10.0), (4, 0.0), (6, 10.0), (8, 100.0)])
    view = PlotView(x0=0, x1=8, y0=1, y1=100, log_y=True)
    rows = shown(picture([Curve(series=series, key="a")], view, (20, 8)))
    assert [row[:4].strip() for row in rows[:7] if row[:3].strip()] == ["100\u2524", "10\u2524", "1\u2524"]
    columns = {k for row in rows[:7] for k, c in enumerate(row) if c > "\u2800"}
    assert not columns & set(range(9, 14))


@given(st.lists(st.one_of(st.none(), st.floats(0, 8)), min_size=2, max_size=200), st.integers(1, 40))
def test_every_point_lies_in_the_stretch_of_its_column_and_nothing_reaches_beyond_its_neighbours(values, columns):
    curve = Curve(series=PointSeries(enumerate(values)), key="a")
    view = PlotView(x0=0, x1=len(values) - 1, y0=0, y1=8)
    found = {}
    for x, top, bottom in stretches(curve, view, columns, 81):
        found[x] = min(top, found.get(x, (80, 0))[0]), max(bottom, found.get(x, (80, 0))[1])
    for k, y in enumerate(values):
        if y is not None:
            top, bottom = found[min(columns - 1, int(view.across(k) * columns))]
            assert top <= 80 - 10 * y + 0.5 + 1e-6 and bottom >= 80 - 10 * y - 0.5 - 1e-6
    rows = [80 - 10 * y for y in values if y is not None]
    assert all(min(rows) - 1.5 <= top and bottom <= max(rows) + 1.5 for top, bottom in found.values())


def test_a_dense_curve_is_the_range_in_each_column():
    series = PointSeries((float(k), float(k % 2) * 8) for k in range(800))
    rows = picture([Curve(series=series, key="a")], PlotView(x0=0, x1=799, y0=0, y1=8), (12, 5))
    assert all(row == "*" * len(row) for row in inked(rows)[:4])


def test_a_band_lies_behind_lines_and_behind_the_crosshair():
    series = PointSeries((float(k), float(k % 9)) for k in range(900))
    line = Curve(series=Smoothed(series, 0.99), key="line0", kind="ends")
    band = Curve(series=series, key="band0", kind="band")
    rows = picture([line, band], PlotView(x0=0, x1=899, y0=0, y1=8), (20, 9), cross=450.0)
    assert keys(rows[0]) >= {"band0", "cross"}
    assert any("line0" in keys(row) for row in rows)
    assert (
        sum(character == "\u2502" for row in shown(rows)[:8] for character in row[3:]) == 7
    )  # all but the line's cell


def test_the_smoothed_line_is_one_dot_per_column():
    mean = Smoothed(PointSeries((float(k), float(k % 2)) for k in range(10_000)), 0.99)
    rows = picture([Curve(series=mean, key="a", kind="ends")], PlotView(x0=0, x1=9_999, y0=0, y1=1), (30, 9))
    dots = sum((ord(c) - 0x2800).bit_count() for row in shown(rows) for c in row if c > "\u2800")
    assert dots == pytest.approx(2 * 28, abs=6)


def test_a_lone_point_can_be_seen():
    rows = shown(picture([Curve(series=PointSeries([(4, 4)]), key="a")]))
    assert sum((ord(c) - 0x2800).bit_count() for row in rows for c in row if 0x2800 < ord(c) < 0x2900) == 4


def test_a_line_to_a_point_outside_the_view_is_drawn_to_the_edge():
    rows = inked(picture([Curve(series=PointSeries([(-8, 0), (16, 8)]), key="a")]))
    assert {row[k] for row in rows for k in (0, -1)} >= {"*"} and sum(row.count("*") for row in rows) >= 14


@pytest.mark.parametrize(
    ("low", "high", "count", "expected"),
    [
        (0.0, 1.0, 5, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (4_840, 5_340, 5, ["4900", "5000", "5100", "5200", "5300"]),
        (0, 15_050, 4, ["0", "5k", "10k", "15k"]),
        (12_000, 12_500, 4, ["12.0k", "12.2k", "12.4k"]),
        (0, 3e6, 5, ["0", "1M", "2M", "3M"]),
        (-3, 3, 6, ["-3", "-2", "-1", "0", "1", "2", "3"]),
        (1e-5, 8e-5, 4, ["2e-5", "4e-5", "6e-5", "8e-5"]),
    ],
)
def test_ticks_are_round_and_equally_long(low, high, count, expected):
    found = axes.linear(low, high, count)
    assert axes.labels(found) == expected


def test_percents():
    assert axes.labels([0.0, 0.2, 0.4], percent=True) == ["0%", "20%", "40%"]
    assert format.compact(0.5, percent=True) == "50%"


def test_log_ticks_stand_at_decades():
    assert axes.logarithmic(1e-4, 10, 8) == pytest.approx([1e-4, 1e-3, 1e-2, 0.1, 1, 10])
    assert axes.logarithmic(1e-12, 1e3, 5)[:2] == pytest.approx([1e-12, 1e-8])
    assert axes.logarithmic(0.3, 4, 5) == pytest.approx([0.5, 1, 2])
    assert axes.logarithmic(2.1, 2.3, 4)[0] == pytest.approx(2.1)


def test_numbers_are_short():
    assert [format.compact(v) for v in (0, 0.5, 1234, 15_050, 2e6, 1e-5, 3.25e-7, 1e20)] == [
        "0", "0.5", "1234", "15.05k", "2M", "1e-5", "3.25e-7", "1e20",
    ]  # fmt: skip
    assert [format.position(x) for x in (15_050, 2e9, 0.5)] == ["15,050", "2G", "0.5"]


def test_bounds_are_quiet():
    assert axes.bounds(0.0702, 2.74) == (0.0, 3.0)
    assert axes.bounds(0.0702, 2.75) == axes.bounds(0.0702, 2.9)
    assert axes.bounds(0.0, 0.0) == (-1.0, 1.0)
    assert axes.bounds(0.0, 5e-324)[1] > 0
    low, high = axes.bounds(0.3, 40.0, log=True)
    assert 0 < low <= 0.3 and high >= 40


def test_the_skeleton_waits_with_words():
    assert shown(skeleton((14, 5), "waiting for it")) == [
        " \u2502            ",
        " \u2502  waiting   ",
        " \u2502   for it   ",
        " \u2502            ",
        " \u2514" + "\u2500" * 12,
    ]
    assert "waiting for it" in shown(skeleton((40, 4), "waiting for it"))[1]


def test_a_gap_says_less_where_there_is_less_room():
    series = PointSeries([(0, 1), (8, None)])
    rows = shown(picture([Curve(series=series, key="a")], size=(12, 6), gap=(8, "NaN @ step 8")))
    assert "NaN\u250a" in rows[0] and "step" not in rows[0]


def test_a_spark_shows_the_newest_values():
    assert spark([9.0, 1, 2, 3, None, 8], 5) == "\u2581\u2582\u2583 \u2588"
    assert spark([], 5) == "" and spark([1.0], 0) == "" and spark([2.0, 2.0], 4) == "\u2581\u2581"


def test_the_range_of_what_is_shown():
    curves = [Curve(series=RAMP, key="a"), Curve(series=PointSeries([(0, -3.0), (8, None)]), key="b")]
    assert y_range(curves, 2, 5, log=False) == (-3.0, 5.0)  # the point beside the view counts: a line leads to it
    assert y_range(curves, 2, 5, log=True) == (2.0, 5.0)
    assert y_range([], 0, 1, log=False) is None


wild = st.one_of(st.none(), st.floats(), st.floats(-1, 1), st.just(1e300), st.just(5e-324))


@given(
    st.lists(st.tuples(st.floats(), wild), max_size=60),
    st.tuples(st.integers(1, 60), st.integers(1, 14)),
    st.tuples(st.booleans(), st.booleans()),
    st.sampled_from(["line", "band", "ends"]),
)
def test_no_data_of_any_kind_breaks_the_picture(points, size, logs, kind):
    points = sorted(((x, y) for x, y in points if not math.isnan(x)), key=lambda point: point[0])
    series = PointSeries(points)
    span = series.x_bounds(positive_only=logs[0])
    if span is None or span[0] == span[1]:
        return
    curve = Curve(series=series, key="a", kind=kind)
    low, high = axes.bounds(*(y_range([curve], *span, log=logs[1]) or (0.1, 1.0)), log=logs[1])
    view = PlotView(x0=span[0], x1=span[1], y0=low, y1=high, log_x=logs[0], log_y=logs[1])
    rows = draw([curve], view, size, ChartFrame(cross=span[1], gap=(span[0], "NaN"))).rows
    assert len(rows) == max(2, size[1])
    assert len({sum(len(text) for text, _ in row) for row in rows[:-1]}) == 1


def test_lines_in_the_same_cells_take_turns_and_none_hides_another_for_long():
    flat = [Curve(series=PointSeries([(0, y), (8, y)]), key=f"line{k}") for k, y in enumerate((4.0, 4.1, 4.2))]
    rows = picture(flat, size=(62, 6))
    (row,) = [row for row in rows[:5] if "line2" in keys(row)]
    assert keys(row) >= {"line0", "line1", "line2"}
    assert max(len(text) for text, key in row if key.startswith("line")) <= 8
    assert sum(len(text) for text, key in row if key == "line2") > 30  # the last is the one that matters most


def test_a_band_never_takes_a_turn_of_a_line():
    series = PointSeries((float(k), 4.0) for k in range(9))
    band, line = Curve(series=series, key="band0", kind="band"), Curve(series=series, key="line0")
    assert all("band0" not in keys(row) for row in picture([band, line]))


def test_a_stroke_is_not_lost_between_two_dashes():
    for x in (2.0, 3.0, 4.0, 5.0, 6.0):
        best = Curve(series=PointSeries([(x, 1.0), (x, 7.0)]), key="best", dash=3)
        assert sum("best" in keys(row) for row in picture([best], size=(40, 9))) >= 6


@pytest.mark.parametrize(("rows", "least"), [(5, 2), (7, 4), (8, 4), (12, 4), (20, 8)])
def test_small_charts_have_ticks_enough_and_none_in_neighbouring_rows(rows, least):
    drawn = shown(picture([], PlotView(x0=0, x1=8, y0=2.4, y1=6.2), (40, rows + 1)))[:rows]
    ticked = [k for k, row in enumerate(drawn) if "\u2524" in row]
    assert len(ticked) >= least and all(b - a > 1 or rows < 8 for a, b in pairwise(ticked))


def test_accuracies_are_cut_into_quarters_where_fifths_are_too_many():
    rows = shown(picture([], PlotView(x0=0, x1=8, y0=0.1, y1=1.0), (40, 9), percent=True))
    assert [row[:4].strip() for row in rows if "\u2524" in row] == ["100%", "75%", "50%", "25%"]


def test_an_axis_gives_a_little_so_that_its_ticks_stand_evenly():
    view = PlotView(x0=0, x1=8, y0=2.5, y1=6.2)
    even = settled(view, 9, percent=False)
    assert even.y0 == pytest.approx(6.2 - 7.75 / 2) and even.y1 == 6.2
    rows = shown(picture([], even, (40, 9)))
    ticked = [k for k, row in enumerate(rows) if "\u2524" in row]
    assert len({b - a for a, b in pairwise(ticked)}) == 1
    assert settled(PlotView(x0=0, x1=8, y0=1, y1=100, log_y=True), 9, percent=False).y1 == 100
    assert settled(view, 8, percent=False) == view  # it would have to give too much


def test_less_than_a_decade_has_ticks_enough_on_a_log_axis():
    assert axes.logarithmic(2.4, 6.2, 4) == [3, 4, 5, 6]
    assert axes.logarithmic(1, 100, 4) == [1, 10, 100] and axes.logarithmic(0.9, 6, 4) == [1, 2, 5]
