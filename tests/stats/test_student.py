"""The t distribution against scipy, and against tables that every textbook has."""

import random

import pytest
from scipy import special, stats

from crdnd_tui.compare import student


@pytest.mark.parametrize(
    ("df", "t"), [(1, 12.7062047), (2, 4.3026527), (4, 2.7764451), (9, 2.2621572), (29, 2.0452296), (1e6, 1.9599664)]
)
def test_two_and_a_half_per_cent_lie_above_the_quantile_of_the_tables(df, t):
    assert student.quantile(0.975, df) == pytest.approx(t, abs=1e-6)
    assert student.two_sided(t, df) == pytest.approx(0.05, abs=1e-7)


def test_with_one_degree_of_freedom_it_is_cauchys_distribution():
    assert student.two_sided(1.0, 1) == pytest.approx(0.5, abs=2e-15)
    assert 1 - student.two_sided(1e-9, 1) == pytest.approx(2e-9 / 3.141592653589793, rel=1e-6)


def test_distribution_and_quantile_agree_with_scipy():
    dice = random.Random(1)
    for _ in range(2000):
        t, df = dice.gauss(0, 3) ** 3, 10 ** dice.uniform(-0.3, 4)
        assert student.two_sided(t, df) == pytest.approx(2 * stats.t.sf(abs(t), df), abs=1e-9)
    for _ in range(300):
        level, df = dice.uniform(0.0005, 0.9995), 10 ** dice.uniform(-0.1, 4)
        assert student.quantile(level, df) == pytest.approx(stats.t.ppf(level, df), rel=1e-9, abs=1e-9)


def test_the_incomplete_beta_function_agrees_with_scipy():
    dice = random.Random(2)
    for _ in range(2000):
        a, b, x = 10 ** dice.uniform(-1, 3), 10 ** dice.uniform(-1, 3), dice.random()
        assert student.incomplete_beta(a, b, x, 1 - x) == pytest.approx(special.betainc(a, b, x), abs=1e-9)


def test_both_ends_and_the_middle():
    assert (student.incomplete_beta(2, 3, 0, 1), student.incomplete_beta(2, 3, 1, 0)) == (0.0, 1.0)
    assert (student.two_sided(0, 5), student.two_sided(float("inf"), 5)) == (1.0, 0.0)
    assert student.quantile(0.5, 3) == 0.0
    assert student.quantile(0.1, 3) == -student.quantile(0.9, 3)


@pytest.mark.parametrize("call", [(1.0, 0.0), (float("nan"), 3.0), (1.0, -2.0)])
def test_what_has_no_distribution_is_refused(call):
    with pytest.raises(ValueError, match="no t distribution"):
        student.two_sided(*call)


@pytest.mark.parametrize("level", [0.0, 1.0, -1.0, 2.0])
def test_no_quantile_lies_at_the_ends(level):
    with pytest.raises(ValueError, match="no quantile"):
        student.quantile(level, 3)
