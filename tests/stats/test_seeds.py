"""Tests over seeds against scipy, and by hand."""

import itertools
import random

import numpy as np
import pytest
from scipy import stats

from crdnd_tui.compare import seeds


@pytest.mark.parametrize(("n", "half"), [(2, 8.98), (3, 2.48), (5, 1.24), (10, 0.72)])
def test_the_half_width_in_standard_deviations_falls_fast_with_the_seeds(n, half):
    found = seeds.sample([(-1) ** k * 1.0 for k in range(n)])
    assert (found.high - found.mean) / found.std == pytest.approx(half, abs=0.005)


def test_mean_and_sample_deviation_by_hand():
    assert seeds.sample([0.50, 0.52, 0.57])[:3] == (3, pytest.approx(0.53), pytest.approx((0.0026 / 2) ** 0.5))
    assert seeds.sample([0.5]) == (1, 0.5, None, None, None)
    with pytest.raises(ValueError, match="no values"):
        seeds.sample([])


def test_the_t_interval_and_the_paired_test_agree_with_scipy():
    dice = random.Random(6)
    for _ in range(300):
        n = dice.randrange(2, 12)
        one, two = ([dice.gauss(0.5, 0.1) for _ in range(n)] for _ in range(2))
        known = stats.ttest_rel(one, two)
        found = seeds.paired([a - b for a, b in zip(one, two, strict=True)])
        assert found.t_p == pytest.approx(known.pvalue, abs=1e-9)
        assert (found.low, found.high) == pytest.approx(tuple(known.confidence_interval(0.95)), abs=1e-9)
        assert seeds.sample(one)[3:] == pytest.approx(
            stats.t.interval(0.95, n - 1, np.mean(one), stats.sem(one)), abs=1e-9
        )


def test_welch_by_hand():
    found = seeds.welch([1, 2, 3], [2, 4, 6])  # v = 1/3 and 4/3
    assert (found.difference, found.df) == (-2, pytest.approx(50 / 17))
    t = -2 / (5 / 3) ** 0.5
    assert found.t_p == pytest.approx(2 * stats.t.cdf(t, 50 / 17), abs=1e-12)


def test_welch_agrees_with_scipy():
    dice = random.Random(7)
    for _ in range(300):
        one = [dice.gauss(0.5, 0.1) for _ in range(dice.randrange(2, 9))]
        two = [dice.gauss(0.6, 0.03) for _ in range(dice.randrange(2, 9))]
        known, found = stats.ttest_ind(one, two, equal_var=False), seeds.welch(one, two)
        assert (found.t_p, found.df) == pytest.approx((known.pvalue, known.df), rel=1e-9, abs=1e-9)
        assert (found.low, found.high) == pytest.approx(tuple(known.confidence_interval(0.95)), abs=1e-9)


def test_runs_that_do_not_vary_have_no_test_of_welch():
    assert seeds.welch([0.5, 0.5], [0.25, 0.25, 0.25]) is None
    assert seeds.welch([0.5, 0.5], [0.2, 0.3]).df == pytest.approx(1)
    with pytest.raises(ValueError, match="two runs of each"):
        seeds.welch([1.0], [1.0, 2.0])


@pytest.mark.parametrize(
    ("differences", "p", "smallest"),
    [
        ((1, 2, 3), 0.25, 0.25),
        ((-0.01, -0.02, -0.005), 0.25, 0.25),
        ((3, 1, -1), 0.75, 0.25),  # 5, 3, 3 and their negatives of 8 sums
        ((2, -2), 1.0, 0.5),
        ((0, 0, 0, 0), 1.0, 0.125),
        ((0.1,), 1.0, 1.0),
        ((0.3,) * 6, 2 / 64, 2 / 64),
    ],
)
def test_the_sign_flip_test_by_hand(differences, p, smallest):
    assert seeds.sign_flip(differences) == (p, smallest)


def test_equal_sums_count_as_equal_although_floats_differ():
    differences = (0.55 - 0.52, 0.53 - 0.50, 0.03, 0.06 - 0.09)  # all 0.03 but for rounding
    assert seeds.sign_flip(differences).p == 10 / 16


def test_every_assignment_is_counted():
    dice = random.Random(8)
    for n in range(1, 12):
        values = [dice.choice((-2, -1, 0, 1, 2, 3)) / 100 for _ in range(n)]
        seen = abs(sum(values)) - 1e-9
        sums = [
            sum(s * v for s, v in zip(signs, values, strict=True)) for signs in itertools.product((1, -1), repeat=n)
        ]
        assert seeds.sign_flip(values).p == sum(abs(s) >= seen for s in sums) / 2**n


def test_the_sign_flip_test_agrees_with_scipys_permutations():
    dice = random.Random(9)
    for n in (3, 6, 11):
        one, two = ([dice.gauss(0.5, 0.1) for _ in range(n)] for _ in range(2))
        known = stats.permutation_test(
            (one, two), lambda a, b, axis: np.mean(a - b, axis=axis), permutation_type="samples", n_resamples=np.inf,
            vectorized=True,
        )  # fmt: skip
        found = seeds.sign_flip([a - b for a, b in zip(one, two, strict=True)])
        assert found.p == pytest.approx(known.pvalue, abs=1e-9)


def test_thirty_pairs_are_counted_too_and_more_are_refused():
    assert seeds.sign_flip([0.01] * 30) == (2 / 2**30, 2 / 2**30)
    for values in ([], [0.01] * 31):
        with pytest.raises(ValueError, match="takes 1 to 30"):
            seeds.sign_flip(values)


def test_permutation_by_hand_and_by_scipy():
    """Of {1, 2} against {3, 4} two of six splits are as far: p = 1/3, the least there is."""
    assert seeds.permutation([1, 2], [3, 4]) == pytest.approx((1 / 3, 1 / 3))
    assert seeds.permutation([5], [1, 2, 3]) == pytest.approx((1 / 4, 1 / 4))
    assert seeds.permutation([0.1, 0.2], [0.2, 0.1]).p == 1
    assert seeds.permutation([0.0] * 30, [1.0] * 30) is None
    drawn = np.random.default_rng(3)
    for _ in range(20):
        one, two = drawn.normal(size=drawn.integers(2, 6)), drawn.normal(0.5, size=drawn.integers(2, 6))
        known = stats.permutation_test(
            (one, two),
            lambda a, b, axis: abs(a.mean(axis) - b.mean(axis)),
            vectorized=True,
            permutation_type="independent",
            n_resamples=np.inf,
            alternative="greater",
        )
        assert seeds.permutation(list(one), list(two)).p == pytest.approx(known.pvalue, abs=1e-9)
