"""Holm's correction by hand and against statsmodels."""

import random

import pytest
from statsmodels.stats.multitest import multipletests

from crdnd_tui.compare.multiple import holm, undecided


@pytest.mark.parametrize(
    ("ps", "adjusted"),
    [
        ((0.01, 0.04, 0.03), (0.03, 0.06, 0.06)),  # 0.04 alone would stay 0.04: not below the one before it
        ((0.2,), (0.2,)),
        ((0.5, 0.6), (1.0, 1.0)),
        ((), ()),
        ((0.0, 1.0), (0.0, 1.0)),
        ((0.02, 0.02), (0.04, 0.04)),
    ],
)
def test_holm_by_hand(ps, adjusted):
    assert holm(ps) == pytest.approx(list(adjusted), abs=1e-15)


def test_holm_agrees_with_statsmodels():
    dice = random.Random(10)
    for _ in range(40):
        ps = [dice.random() ** 3 for _ in range(dice.randrange(1, 15))]
        assert holm(ps) == pytest.approx(list(multipletests(ps, method="holm")[1]), abs=1e-12)


def test_what_cannot_be_told_from_the_best_is_decided_by_the_adjusted_p():
    assert undecided([0.001, 0.03, 0.04]) == [False, True, True]  # 0.003, 0.06, 0.06
    assert undecided([0.03]) == [False]


@pytest.mark.parametrize("ps", [[-0.1], [1.1], [float("nan")]])
def test_no_other_numbers_are_taken(ps):
    with pytest.raises(ValueError, match="no p values"):
        holm(ps)
