"""Two attacks on the same weights, two checkpoints of the same run: paired, or with a reason."""

from dataclasses import replace

import pytest

from crdnd_tui.compare import stats
from crdnd_tui.compare.significance import attack_gap, overfitting_gap
from crdnd_tui.core.state import RunState
from tests.compare.runs import cell, outcomes, seen, side

CE, SUITE = "1" * 60 + "0" * 40, "1" * 50 + "0" * 49 + "1"


def both(best, last, **known):
    cells = [cell("pgd_sat", best.count("1")), cell("pgd_sat", last.count("1"), checkpoint="last")]
    records = {("best", "pgd_sat"): seen(best), ("last", "pgd_sat"): seen(last, weights="others", **known)}
    return side("a", cells, records=records)


def test_two_attacks_on_one_network_are_compared_image_by_image():
    found = attack_gap([outcomes("a", pgd_sat=CE, autoattack=SUITE)], "pgd_sat", "autoattack")
    assert (found.kind, found.n) == ("paired", 100)
    assert found.difference == pytest.approx(0.09)
    assert (found.low, found.high) == stats.agresti_min(10, 1, 100)


def test_over_seeds_the_gaps_have_a_mean_and_a_deviation():
    runs = [side(f"a{k}", [cell("pgd_sat", 60 + k), cell("autoattack", 50)], seed=k) for k in range(3)]
    found = attack_gap(runs, "pgd_sat", "autoattack")
    assert (found.kind, found.pairs, found.n) == ("seeds", 3, 100)
    assert (found.difference, found.std) == (pytest.approx(0.11), pytest.approx(0.01))
    assert (found.low, found.high) == pytest.approx(stats.paired_t([0.10, 0.11, 0.12])[1:3])


def test_runs_that_lack_one_of_both_are_left_out():
    whole = side("a", [cell("pgd_sat", 60), cell("autoattack", 50)])
    half = side("b", [cell("pgd_sat", 99)], seed=1)
    found = attack_gap([half, whole], "pgd_sat", "autoattack")
    assert (found.kind, found.difference, found.low) == ("paired", pytest.approx(0.1), None)
    assert found.why == "no outcome of each image is at hand: no interval"
    assert attack_gap([half], "pgd_sat", "autoattack").kind == "missing"
    assert attack_gap([side("c", state=RunState())], "pgd_sat", "autoattack").kind == "missing"


def test_best_against_last_is_robust_overfitting():
    found = overfitting_gap([both(CE, SUITE)], "pgd_sat")
    assert (found.kind, found.difference) == ("paired", pytest.approx(0.09))
    assert overfitting_gap([outcomes("a", pgd_sat=CE)], "pgd_sat").kind == "missing"


@pytest.mark.parametrize(
    ("known", "why"),
    [({"indices": "x"}, "they were judged on other images"), ({"data": "x"}, "they were judged on other images")],
)
def test_checkpoints_judged_on_other_images_are_refused(known, why):
    found = overfitting_gap([both(CE, SUITE, **known)], "pgd_sat")
    assert (found.kind, found.why, found.difference) == ("refused", why, None)


def test_attacks_on_other_weights_or_in_another_ball_are_refused():
    run = outcomes("a", pgd_sat=CE, autoattack=SUITE)
    other = {**run.records, ("best", "autoattack"): seen(SUITE, weights="retrained")}
    assert (
        attack_gap([replace(run, records=other)], "pgd_sat", "autoattack").why == "they were judged with other weights"
    )
    wider = side("a", [cell("pgd_sat", 60), cell("autoattack", 50, spec={"epsilon": "9/255"})])
    assert attack_gap([wider], "pgd_sat", "autoattack").why == "epsilon 8/255, not 9/255"
    apart = side("a", [cell("pgd_sat", 60), cell("cw_2", 50, spec={"radius": 0.5})])
    assert attack_gap([apart], "pgd_sat", "cw_2").why == "CW-2, L2 0.5 is another threat model"
    fewer = side("a", [cell("pgd_sat", 60), cell("autoattack", 5, 10)])
    assert attack_gap([fewer], "pgd_sat", "autoattack").why == "100 of 100 test images, not 10 of 100 test images"


def test_runs_with_other_attacks_have_no_common_gap():
    one, two = (
        side(f"a{k}", [cell("pgd_sat", 60, spec={"steps": steps}), cell("autoattack", 50)], seed=k)
        for k, steps in enumerate((20, 50))
    )
    found = attack_gap([one, two], "pgd_sat", "autoattack")
    assert (found.kind, found.why) == ("refused", "PGD-SAT: steps 50, not 20")
