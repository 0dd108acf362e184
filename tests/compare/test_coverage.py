"""How often the 95 % intervals hold the truth, by simulation; beside each an interval that fails the same bounds."""

import math
from functools import cache

import numpy as np

from crdnd_tui.compare import stats
from crdnd_tui.compare.stats import agresti_min, newcombe
from engine.spec.statistics import Z, mcnemar_p, wilson

DRAWS = 20_000  # a true coverage of 95 % is seen within 0.5 points


def coverage(interval, draws, truth):
    kept = cache(interval)
    return np.mean([low <= truth <= high for low, high in (kept(*map(int, row)) for row in draws)])


def held(share):
    return 0.94 <= share <= 0.975


def wald(right, n):
    share = right / n
    half = Z * math.sqrt(share * (1 - share) / n)
    return share - half, share + half


def test_wilson_holds_a_small_share_where_the_normal_interval_does_not():
    for p, n, seed in ((0.01, 200, 0), (0.5, 100, 1), (0.9, 1000, 2)):
        draws = [(k, n) for k in np.random.default_rng(seed).binomial(n, p, DRAWS)]
        assert held(coverage(wilson, draws, p))
        if p == 0.01:
            assert not held(coverage(wald, draws, p))


def test_agresti_min_holds_the_difference_of_pairs_where_wald_and_unpaired_intervals_do_not():
    def plain(b, c, n):
        half = Z * math.sqrt(b + c - (b - c) ** 2 / n) / n
        return (b - c) / n - half, (b - c) / n + half

    for (p, q), n, seed in (((0.05, 0.02), 60, 3), ((0.025, 0.015), 1000, 4), ((0.2, 0.1), 200, 5)):
        cells = np.random.default_rng(seed).multinomial(n, (p, q, 0.5, 0.5 - p - q), DRAWS)
        assert held(coverage(agresti_min, [(b, c, n) for b, c, _, _ in cells], p - q))
        if n == 60:
            assert not held(coverage(plain, [(b, c, n) for b, c, _, _ in cells], p - q))
        apart = [(b + both, n, c + both, n) for b, c, both, _ in cells[:2000]]
        assert coverage(newcombe, apart, p - q) > 0.98  # the shared images make it far too wide


def test_newcombe_holds_the_difference_of_two_samples_where_wald_does_not():
    def plain(x, n, y, m):
        half = Z * math.sqrt(x / n * (1 - x / n) / n + y / m * (1 - y / m) / m)
        return x / n - y / m - half, x / n - y / m + half

    for (p, q), (n, m), seed in (((0.1, 0.03), (50, 80), 6), ((0.5, 0.45), (500, 300), 7)):
        dice = np.random.default_rng(seed)
        pairs = zip(dice.binomial(n, p, DRAWS), dice.binomial(m, q, DRAWS), strict=True)
        draws = [(x, n, y, m) for x, y in pairs]
        assert held(coverage(newcombe, draws, p - q))
        if n == 50:
            assert not held(coverage(plain, draws, p - q))


def test_the_t_interval_holds_the_mean_of_three_seeds_where_the_normal_one_does_not():
    draws = np.random.default_rng(8).normal(0.5, 0.01, (DRAWS, 3))
    samples = [stats.paired_t(values) for values in draws.tolist()]
    assert held(np.mean([s.low <= 0.5 <= s.high for s in samples]))
    assert not held(np.mean(abs(draws.mean(1) - 0.5) <= Z * draws.std(1, ddof=1) / math.sqrt(3)))


def test_welch_holds_the_difference_of_unequal_experiments():
    dice = np.random.default_rng(9)
    one, two = dice.normal(0.5, 0.01, (2000, 5)).tolist(), dice.normal(0.47, 0.02, (2000, 4)).tolist()
    tests = [stats.welch_t(a, b) for a, b in zip(one, two, strict=True)]
    assert held(np.mean([t.low <= 0.03 <= t.high for t in tests]))


def test_exact_tests_reject_a_true_null_hypothesis_in_at_most_five_of_a_hundred():
    dice = np.random.default_rng(10)
    throws = dice.binomial(40, 0.5, DRAWS)
    assert np.mean([mcnemar_p(int(b), 40 - int(b)) <= 0.05 for b in throws]) <= 0.05
    flips = [stats.sign_flip(values).p for values in dice.normal(0, 1, (2000, 6)).tolist()]
    assert 0.02 <= np.mean([p <= 0.05 for p in flips]) <= 0.045  # 2 of 64 signs: 0.031
