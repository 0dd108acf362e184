"""Tests over seeds, and of several comparisons at once: against SciPy, statsmodels, recorded values, and by hand."""

import itertools
import json
import random
from pathlib import Path
from statistics import stdev

import numpy as np
import pytest
from scipy import stats as scipy_stats
from statsmodels.stats.multitest import multipletests

from crdnd_tui.compare import stats

RECORDED = json.loads((Path(__file__).parent / "recorded.json").read_text())  # before SciPy computed them


@pytest.mark.parametrize("values", RECORDED)
def test_no_number_moved_when_scipy_took_over(values):
    first, second, differences = values["first"], values["second"], values["differences"]
    assert stats.paired_t(differences) == pytest.approx(values["paired_t"], abs=1e-12)
    assert stats.welch_t(first, second) == pytest.approx(values["welch_t"], rel=1e-12, abs=1e-12)
    assert stats.permutation(first, second) == pytest.approx(values["permutation"], abs=1e-12)
    assert stats.sign_flip(differences) == pytest.approx(values["sign_flip"], abs=1e-12)


@pytest.mark.parametrize(("n", "half"), [(2, 8.98), (3, 2.48), (5, 1.24), (10, 0.72)])
def test_the_half_width_in_standard_deviations_falls_fast_with_the_seeds(n, half):
    values = [(-1) ** k * 1.0 for k in range(n)]
    found = stats.paired_t(values)
    assert (found.high - found.difference) / stdev(values) == pytest.approx(half, abs=0.005)


def test_the_paired_test_agrees_with_scipy():
    dice = random.Random(6)
    for _ in range(50):
        n = dice.randrange(2, 12)
        one, two = ([dice.gauss(0.5, 0.1) for _ in range(n)] for _ in range(2))
        known, found = scipy_stats.ttest_rel(one, two), stats.paired_t([a - b for a, b in zip(one, two, strict=True)])
        assert found.t_p == pytest.approx(known.pvalue, abs=1e-9)
        assert (found.low, found.high) == pytest.approx(tuple(known.confidence_interval(0.95)), abs=1e-9)


@pytest.mark.parametrize(("differences", "p"), [([0.0, 0.0], 1.0), ([0.5, 0.5, 0.5], 0.0)])
def test_differences_that_are_all_equal_have_an_interval_of_no_width(differences, p):
    assert stats.paired_t(differences) == (differences[0], differences[0], differences[0], p, len(differences) - 1)


def test_welch_by_hand_and_by_scipy():
    found = stats.welch_t([1, 2, 3], [2, 4, 6])  # v = 1/3 and 4/3
    assert (found.difference, found.df) == (-2, pytest.approx(50 / 17))
    dice = random.Random(7)
    for _ in range(50):
        one = [dice.gauss(0.5, 0.1) for _ in range(dice.randrange(2, 9))]
        two = [dice.gauss(0.6, 0.03) for _ in range(dice.randrange(2, 9))]
        known, found = scipy_stats.ttest_ind(one, two, equal_var=False), stats.welch_t(one, two)
        assert (found.t_p, found.df) == pytest.approx((known.pvalue, known.df), rel=1e-9, abs=1e-9)
        assert (found.low, found.high) == pytest.approx(tuple(known.confidence_interval(0.95)), abs=1e-9)


def test_runs_that_do_not_vary_have_no_test_of_welch():
    assert stats.welch_t([0.5, 0.5], [0.25, 0.25, 0.25]) is None
    assert stats.welch_t([0.5, 0.5], [0.2, 0.3]).df == pytest.approx(1)


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
        ((0.55 - 0.52, 0.53 - 0.50, 0.03, 0.06 - 0.09), 10 / 16, 2 / 16),  # all 0.03 but for rounding
        ((0.01,) * 30, 2 / 2**30, 2 / 2**30),
    ],
)
def test_the_sign_flip_test_by_hand(differences, p, smallest):
    assert stats.sign_flip(differences) == (p, smallest)


def test_every_assignment_of_signs_is_counted():
    dice = random.Random(8)
    for n in range(1, 12):
        values = [dice.choice((-2, -1, 0, 1, 2, 3)) / 100 for _ in range(n)]
        seen = abs(sum(values)) - 1e-9
        sums = [
            sum(s * v for s, v in zip(signs, values, strict=True)) for signs in itertools.product((1, -1), repeat=n)
        ]
        assert stats.sign_flip(values).p == sum(abs(s) >= seen for s in sums) / 2**n


def test_permutation_by_hand():
    """Of {1, 2} against {3, 4} two of six splits are as far: p = 1/3, the least there is."""
    assert stats.permutation([1, 2], [3, 4]) == pytest.approx((1 / 3, 1 / 3))
    assert stats.permutation([5, 6], [1, 2, 3]) == pytest.approx((1 / 10, 1 / 10))
    assert stats.permutation([0.1, 0.2], [0.2, 0.1]).p == 1
    assert stats.permutation([0.55, 0.50], [0.52, 0.53]).p == 1  # equal sums although floats differ
    assert stats.permutation([0.0] * 30, [1.0] * 30) is None


def test_every_split_is_counted():
    dice = random.Random(3)
    for _ in range(20):
        one, two = ([dice.randrange(100) / 100 for _ in range(dice.randrange(2, 6))] for _ in range(2))
        both, seen = [*one, *two], abs(np.mean(one) - np.mean(two)) - 1e-9
        splits = list(itertools.combinations(range(len(both)), len(one)))
        far = [
            abs(np.mean([both[k] for k in split]) - np.mean([v for k, v in enumerate(both) if k not in split])) >= seen
            for split in splits
        ]
        assert stats.permutation(one, two).p == pytest.approx(sum(far) / len(splits), abs=1e-12)


@pytest.mark.parametrize(
    ("ps", "adjusted"),
    [
        ((0.01, 0.04, 0.03), (0.03, 0.06, 0.06)),  # 0.04 alone would stay 0.04: not below the one before it
        ((0.2,), (0.2,)),
        ((0.5, 0.6), (1.0, 1.0)),
        ((), ()),
        ((0.0, 1.0), (0.0, 1.0)),
    ],
)
def test_holm_by_hand(ps, adjusted):
    assert stats.holm(ps) == pytest.approx(list(adjusted), abs=1e-15)


def test_holm_agrees_with_statsmodels(monkeypatch):
    monkeypatch.setattr(
        "gc.collect", lambda: 0
    )  # multipletests collects garbage at every call: seconds in a large heap
    dice = random.Random(10)
    for _ in range(40):
        ps = [dice.random() ** 3 for _ in range(dice.randrange(1, 15))]
        assert stats.holm(ps) == pytest.approx(list(multipletests(ps, method="holm")[1]), abs=1e-12)


@pytest.mark.parametrize(
    ("call", "why"),
    [
        (lambda: stats.paired_t([1.0]), "no interval"),
        (lambda: stats.welch_t([1.0], [1.0, 2.0]), "two runs of each"),
        (lambda: stats.sign_flip([]), "takes 1 to 30"),
        (lambda: stats.sign_flip([0.01] * 31), "takes 1 to 30"),
        (lambda: stats.holm([-0.1]), "no p values"),
        (lambda: stats.holm([float("nan")]), "no p values"),
    ],
)
def test_what_has_no_answer_is_refused(call, why):
    with pytest.raises(ValueError, match=why):
        call()
