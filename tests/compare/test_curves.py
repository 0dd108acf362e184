"""Curves of runs side by side, by values that are worked out by hand."""

import pytest

from crdnd_tui.compare import curves
from crdnd_tui.compare.rows import make_rows
from tests.compare.runs import side, trained

SELECTING = curves.CurveMeasure(key="selecting", title="")
LOSS = curves.CurveMeasure(key="loss", title="", percent=False)


def seeded(run, state):
    """A run of one group, with a seed of its own."""
    return side(run, group="g", seed=ord(run), state=state)


def test_measures_begin_with_the_selecting_attack_and_name_every_term():
    run = side("a", state=trained([0.5], [2.0]))
    keys = [measure.key for measure in curves.measures([run])]
    assert keys == [
        "selecting",
        "val:clean",
        "loss",
        "term:kd",
        "term:ce",
        "teacher_clean",
        "teacher_robust",
    ]
    assert curves.points(run, "selecting") == [(1, 0.5)]
    assert curves.points(run, "teacher_clean") == [(1, 0.75)]
    assert curves.points(run, "term:kd") == [(1, 2.0)]


def test_runs_that_are_selected_by_different_attacks_never_share_a_chart_of_them():
    sides = [side("a", state=trained([0.5], by="clean")), *(side(run, state=trained([0.5])) for run in "bc")]
    keys = [measure.key for measure in curves.measures(sides)]
    assert keys[:3] == ["val:pgd", "val:clean", "loss"]  # what most are selected by comes first


def test_the_last_value_of_a_group_has_its_deviation():
    sides = [seeded(run, trained(a)) for run, a in (("a", [0.2, 0.4]), ("b", [0.4, 0.5, 0.9]))]
    (row,) = make_rows(sides, grouped=True)
    assert curves.row_curve(row, SELECTING).last == "45.0 \u00b1 7.1 %"
    (alone,) = make_rows(sides[:1], grouped=True)
    assert curves.row_curve(alone, SELECTING).last == "40.0 %"


def test_a_curve_is_kept_until_its_run_says_something_new():
    cache = curves.CurveCache()
    (row,) = make_rows([side("a", state=trained([], [1.0]))], grouped=False)
    (longer,) = make_rows([side("a", state=trained([], [1.0, None]))], grouped=False)
    first = cache.curve(row, LOSS)
    assert cache.curve(row, LOSS) is first and len(first.series) == 1
    assert len(cache.curve(longer, LOSS).series) == 2


def test_a_band_is_the_deviation_about_the_mean_straight_between_the_steps():
    sides = [seeded(run, trained(a)) for run, a in (("a", [0.2, 0.4, 0.9]), ("b", [0.4, 0.4]))]
    (row,) = make_rows(sides, grouped=True)
    points = list(zip(*curves.row_curve(row, SELECTING).band.arrays(), strict=True))
    root = 0.02**0.5  # of 0.2 and 0.4
    assert points[:2] == [(1, pytest.approx(0.3 - root)), (1, pytest.approx(0.3 + root))]
    assert points[-2:] == [(2, pytest.approx(0.4)), (2, pytest.approx(0.4))]
    middle = [y for x, y in points if x == pytest.approx(1.5)]
    assert middle == [pytest.approx(0.35 - root / 2), pytest.approx(0.35 + root / 2)]
    assert [x for x, _ in points] == sorted(x for x, _ in points)


def test_a_run_alone_has_no_band_and_a_gap_stays_one():
    sides = [seeded(run, trained([], a)) for run, a in (("a", [1.0, None, 3.0]), ("b", [2.0, 2.0, 2.0]))]
    (alone,) = make_rows(sides[:1], grouped=True)
    assert curves.row_curve(alone, LOSS).band is None
    (both,) = make_rows(sides, grouped=True)
    band = curves.row_curve(both, LOSS).band
    assert [band.nearest(x) for x in (1, 2)] == [(1, None), (2, None)]
