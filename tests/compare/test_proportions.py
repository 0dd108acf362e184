"""Shares of images against scipy and statsmodels, and by hand."""

import math
import random

import pytest
from scipy import stats
from statsmodels.stats import contingency_tables, proportion

from crdnd_tui.compare.stats import agresti_min, newcombe
from engine.spec.statistics import Z, mcnemar_p, wilson


@pytest.mark.parametrize(
    ("b", "c", "p"),
    [(10, 2, 158 / 4096), (2, 10, 158 / 4096), (0, 5, 2 / 32), (0, 1, 1.0), (0, 0, 1.0), (7, 7, 1.0), (8, 7, 1.0)],
)
def test_mcnemar_by_hand(b, c, p):
    assert mcnemar_p(b, c) == pytest.approx(p, abs=1e-15)


def test_mcnemar_agrees_with_statsmodels():
    dice = random.Random(3)
    for _ in range(400):
        b, c = dice.randrange(200), dice.randrange(200)
        table = [[dice.randrange(500), b], [c, dice.randrange(500)]]
        assert mcnemar_p(b, c) == pytest.approx(contingency_tables.mcnemar(table, exact=True).pvalue, abs=1e-9)


@pytest.mark.parametrize(("b", "c"), [(50_000, 50_000), (50_300, 49_700), (51_000, 49_000), (40_000, 60_000)])
def test_mcnemar_of_a_hundred_thousand_images_neither_overflows_nor_loses_digits(b, c):
    assert mcnemar_p(b, c) == pytest.approx(min(1.0, 2 * stats.binom.cdf(min(b, c), b + c, 0.5)), rel=1e-8, abs=1e-300)
    assert mcnemar_p(b, c) == mcnemar_p(c, b)


def test_a_p_that_no_float_can_hold_is_zero():
    assert mcnemar_p(0, 1000) == 2.0**-999
    assert mcnemar_p(0, 100_000) == 0.0


def test_agresti_min_by_hand():
    low, high = agresti_min(10, 2, 98)  # b* 10.5, c* 2.5, n* 100
    half = 1.959964 * math.sqrt(13 - 0.64) / 100
    assert (low, high) == (pytest.approx(0.08 - half, abs=1e-8), pytest.approx(0.08 + half, abs=1e-8))


def test_agresti_min_is_walds_interval_of_the_table_with_half_an_image_more_in_each_cell():
    dice = random.Random(4)
    for _ in range(200):
        both, b, c, neither = (dice.randrange(1, 300) + 0.5 for _ in range(4))
        n = both + b + c + neither
        scores = [1.0, -1.0, 0.0]  # variance of one draw from {+1, -1, 0}
        weights = [b / n, c / n, (both + neither) / n]
        mean = sum(w * x for w, x in zip(weights, scores, strict=True))
        variance = sum(w * (x - mean) ** 2 for w, x in zip(weights, scores, strict=True))
        low, high = agresti_min(int(b), int(c), int(n) - 2)
        assert (low, high) == (
            pytest.approx(mean - Z * math.sqrt(variance / n), abs=1e-12),
            pytest.approx(mean + Z * math.sqrt(variance / n), abs=1e-12),
        )


def test_agresti_min_has_a_width_where_nothing_differs_and_stays_within_minus_one_and_one():
    low, high = agresti_min(0, 0, 100)
    assert -low == high > 0.01
    assert agresti_min(3, 0, 3)[1] <= 1.0
    assert agresti_min(0, 0, 0) == (-1.0, 1.0)
    assert agresti_min(5, 9, 50) == tuple(-x for x in reversed(agresti_min(9, 5, 50)))


def test_newcombe_of_his_own_example():
    low, high = newcombe(56, 70, 48, 80)  # Newcombe 1998, table II, contrast (a), method 10
    assert (round(low, 4), round(high, 4)) == (0.0524, 0.3339)


def test_newcombe_and_wilson_agree_with_statsmodels():
    dice = random.Random(5)
    for _ in range(500):
        n, m = dice.randrange(1, 2000), dice.randrange(1, 2000)
        x, y = dice.randrange(n + 1), dice.randrange(m + 1)
        assert wilson(x, n) == pytest.approx(proportion.proportion_confint(x, n, method="wilson"), abs=1e-9)
        known = proportion.confint_proportions_2indep(x, n, y, m, method="newcomb", compare="diff")
        assert newcombe(x, n, y, m) == pytest.approx(known, abs=1e-9)


def test_of_no_images_nothing_is_known():
    assert newcombe(0, 0, 3, 10) == (-1.0, 1.0)


@pytest.mark.parametrize("call", [lambda: mcnemar_p(-1, 3), lambda: agresti_min(3, 3, 5), lambda: newcombe(3, 2, 1, 2)])
def test_impossible_counts_are_refused(call):
    with pytest.raises(ValueError, match=r"no counts of images|no share"):
        call()
