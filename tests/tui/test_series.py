"""A series against what a naive reader of its points would say, and the mean against its closed form."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdnd_tui.chart.series import PointSeries, Smoothed

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


def naive(found, x0, x1, positive_only=False):
    inside = [y for x, y in found if x0 <= x <= x1]
    kept = [y for y in inside if y is not None and math.isfinite(y) and (y > 0 or not positive_only)]
    return (min(kept), max(kept)) if kept else None


@given(points(), st.floats(-80, 500), st.floats(0, 500), st.booleans())
def test_bounds_are_the_naive_minima_and_maxima_of_any_stretch(found, x0, length, positive):
    assert PointSeries(found).y_bounds(x0, x0 + length, positive_only=positive) == naive(
        found, x0, x0 + length, positive
    )


@given(points(120), st.lists(st.integers(0, 120), max_size=5))
def test_it_does_not_matter_in_which_portions_points_come(found, cuts):
    series, places = PointSeries(), [0, *sorted(min(cut, len(found)) for cut in cuts), len(found)]
    mean = Smoothed(series, 0.9)
    for a, b in pairwise(places):
        series.extend(found[a:b])
        mean.update()
    whole = PointSeries(found)
    np.testing.assert_array_equal(series.arrays(), whole.arrays())
    np.testing.assert_array_equal(mean.arrays(), Smoothed(whole, 0.9).arrays())


@given(st.lists(finite, min_size=1, max_size=60), st.sampled_from([0.0, 0.6, 0.9, 0.99]))
def test_the_mean_is_the_weighted_mean_of_all_points_so_far(values, factor):
    mean = Smoothed(PointSeries(enumerate(map(float, values))), factor)
    for n in range(1, len(values) + 1):
        weights = [factor ** (n - 1 - k) for k in range(n)]
        expected = sum(w * v for w, v in zip(weights, values, strict=False)) / sum(weights)
        assert mean.nearest(n - 1)[1] == pytest.approx(expected, rel=1e-9, abs=1e-6)


def test_a_mean_of_a_constant_is_the_constant_from_the_first_point_on():
    mean = Smoothed(PointSeries((k, 3.0) for k in range(50)), 0.99)
    assert mean.y_bounds(0, 49) == pytest.approx((3.0, 3.0))


def test_gaps_stay_gaps_and_sparse_series_stay_sparse():
    series = PointSeries([(1, 2.0), (50, None), (90, 4.0)])
    mean = Smoothed(series, 0.5)
    assert (len(mean), mean.gap_in(0, 99)) == (3, (50.0, 1))
    assert mean.last == (90.0, pytest.approx((0.25 * 2 + 0.5 * 4) / 0.75))
    assert series.gap_in(0, 60) == (50.0, 1) and series.gap_in(51, 60) is None


def test_the_nearest_point_is_the_newer_of_two_equally_near():
    series = PointSeries([(0, 1.0), (10, None), (20, 3.0)])
    assert series.nearest(-5) == (0.0, 1.0)
    assert series.nearest(5) == (10.0, None)
    assert series.nearest(15) == (20.0, 3.0)
    assert series.nearest(99) == (20.0, 3.0)
    assert PointSeries().nearest(0) is None and PointSeries().last is None and PointSeries().x_bounds() is None


def test_points_that_go_back_or_are_nowhere_are_passed_over():
    series = PointSeries(
        [(5, 1.0), (4, 2.0), (math.nan, 1.0), (math.inf, 1.0), (10**400, 1.0), (5, 10**400), (6, 1e301)]
    )
    assert (len(series), series.gap_in(0, 9), series.last) == (2, (6.0, 1), (6.0, None))


def test_bounds_and_neighbours_by_hand():
    series = PointSeries([(-1, -5.0), (0, 0.0), (1, 2.0), (1, 3.0), (4, None), (9, 1.0)])
    assert series.x_bounds() == (-1, 9) and series.x_bounds(positive_only=True) == (1, 9)
    assert series.y_bounds(-1, 9) == (-5, 3) and series.y_bounds(-1, 9, positive_only=True) == (1, 3)
    assert series.y_bounds(2, 8) is None
    assert (series.beside(1, 1), series.beside(1, -1), series.beside(9, 1)) == (4, 0, None)
    assert series.y_bounds(2, 5, joined=True) == (1, 3)
    assert series.ends([-1, 0.5, 5, 9]) == [0.0, 3.0, 1.0]
    assert series.newest(2) == [None, 1.0]


def test_a_factor_is_in_the_half_open_unit_interval():
    with pytest.raises(ValueError, match=r"\[0, 1\)"):
        Smoothed(PointSeries(), 1.0)
