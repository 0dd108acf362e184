"""A series against what a naive reader of its points would say, and the mean against its closed form."""

import math
from bisect import bisect_right
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdnd_tui.chart.series import LIMIT, Series, Smoothed, smooth

finite = st.floats(-1e6, 1e6)
value = st.one_of(finite, st.none(), st.just(math.nan), st.just(math.inf))


@st.composite
def points(draw, most=400):
    steps = draw(st.lists(st.sampled_from([0.0, 0.5, 1.0, 1.0, 1.0, 7.0]), max_size=most))
    start, found = float(draw(st.integers(-50, 50))), []
    for k, step in enumerate(steps):
        start += step
        y = draw(value) if k < 40 else ((k * 37) % 101 - 50 if k % 11 else None)
        found.append((float(start), y))
    return found


def naive(found, x0, x1, positive_only=False, last=True):
    inside = [y for x, y in found if x0 <= x and (x <= x1 if last else x < x1)]
    kept = [y for y in inside if y is not None and math.isfinite(y) and (y > 0 or not positive_only)]
    return (min(kept), max(kept)) if kept else None


@given(points(), st.floats(-80, 500), st.floats(0, 500), st.integers(1, 40), st.booleans())
def test_columns_are_the_naive_minima_and_maxima_for_any_cut(found, x0, length, width, positive):
    series, x1 = Series(found), x0 + length
    edges = [x0 + (x1 - x0) * k / width for k in range(width)] + [x1]
    expected = [naive(found, edges[k], edges[k + 1], positive, last=k == width - 1) for k in range(width)]
    assert series.columns(x0, x1, width, positive_only=positive) == expected
    assert series.y_bounds(x0, x1, positive_only=positive) == naive(found, x0, x1, positive)


@pytest.mark.parametrize("every", [0, 7, 1000])
def test_a_long_series_has_the_same_columns_as_its_points(every):
    found = [(float(k), None if every and k % every == 3 else math.sin(k / 50) * (k % 97)) for k in range(20_000)]
    series = Series(found)
    for x0, x1 in ((0, 19_999), (17, 18_003), (4_095, 4_097), (-50, 30_000)):
        for width in (1, 7, 224):
            edges = [x0 + (x1 - x0) * k / width for k in range(width)] + [x1]
            places = [next((i for i, (x, _) in enumerate(found) if x >= e), len(found)) for e in edges[:-1]]
            places.append(bisect_right(found, x1, key=lambda point: point[0]))
            expected = [naive(found[a:b], -LIMIT, LIMIT) for a, b in pairwise(places)]
            assert series.columns(x0, x1, width) == expected


@given(points(120), st.lists(st.integers(0, 120), max_size=5))
def test_it_does_not_matter_in_which_portions_points_come(found, cuts):
    series, places = Series(), [0, *sorted(min(cut, len(found)) for cut in cuts), len(found)]
    mean = Smoothed(series, 0.9)
    for a, b in pairwise(places):
        series.extend(found[a:b])
        mean.update()
    whole = Series(found)
    assert series.columns(-60, 700, 9) == whole.columns(-60, 700, 9)
    assert series.gaps == whole.gaps
    assert mean.series.columns(-60, 700, 9) == smooth(whole, 0.9).series.columns(-60, 700, 9)


@given(st.lists(finite, min_size=1, max_size=60), st.sampled_from([0.0, 0.6, 0.9, 0.99]))
def test_the_mean_is_the_weighted_mean_of_all_points_so_far(values, factor):
    mean = smooth(Series(enumerate(map(float, values))), factor).series
    for n in range(1, len(values) + 1):
        weights = [factor ** (n - 1 - k) for k in range(n)]
        expected = sum(w * v for w, v in zip(weights, values, strict=False)) / sum(weights)
        assert mean.nearest(n - 1)[1] == pytest.approx(expected, rel=1e-9, abs=1e-6)


def test_a_mean_of_a_constant_is_the_constant_from_the_first_point_on():
    mean = smooth(Series((k, 3.0) for k in range(50)), 0.99).series
    assert mean.y_bounds(0, 49) == pytest.approx((3.0, 3.0))


def test_gaps_stay_gaps_and_sparse_series_stay_sparse():
    series = Series([(1, 2.0), (50, None), (90, 4.0)])
    mean = smooth(series, 0.5).series
    assert (len(mean), mean.gaps) == (3, [50.0])
    assert mean.last == (90.0, pytest.approx((0.25 * 2 + 0.5 * 4) / 0.75))
    assert series.gap_in(0, 60) == (50.0, 1) and series.gap_in(51, 60) is None
    assert series.broken([0, 40, 60, 100]) == [False, True, False]


def test_the_nearest_point_is_the_newer_of_two_equally_near():
    series = Series([(0, 1.0), (10, None), (20, 3.0)])
    assert series.nearest(-5) == (0.0, 1.0)
    assert series.nearest(5) == (10.0, None)
    assert series.nearest(15) == (20.0, 3.0)
    assert series.nearest(99) == (20.0, 3.0)
    assert Series().nearest(0) is None and Series().last is None and Series().x_bounds() is None


def test_points_that_go_back_or_are_nowhere_are_passed_over_and_counted():
    series = Series([(5, 1.0), (4, 2.0), (math.nan, 1.0), (math.inf, 1.0), (10**400, 1.0), (5, 10**400), (6, 1e301)])
    assert series.skipped == 5
    assert (len(series), series.gaps, series.last) == (2, [6.0], (6.0, None))


def test_bounds_and_neighbours_by_hand():
    series = Series([(-1, -5.0), (0, 0.0), (1, 2.0), (1, 3.0), (4, None), (9, 1.0)])
    assert series.x_bounds() == (-1, 9) and series.x_bounds(positive_only=True) == (1, 9)
    assert series.y_bounds(-1, 9) == (-5, 3) and series.y_bounds(-1, 9, positive_only=True) == (1, 3)
    assert series.y_bounds(2, 8) is None
    assert (series.beside(1, 1), series.beside(1, -1), series.beside(9, 1)) == (4, 0, None)
    assert series.around(2, 5) == [(1, 3.0), (4, None), (9, 1.0)]
    assert series.ends([-1, 0.5, 5, 9]) == [0.0, 3.0, 1.0]
    assert series.newest(2) == [None, 1.0]


def test_a_factor_is_in_the_half_open_unit_interval():
    with pytest.raises(ValueError, match=r"\[0, 1\)"):
        smooth(Series(), 1.0)
