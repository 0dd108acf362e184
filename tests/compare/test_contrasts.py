"""Rows against their baseline: the strongest test that the runs allow, and a reason where none is allowed."""

from dataclasses import replace

import pytest

from crdnd_tui.compare import stats
from crdnd_tui.compare.rows import make_rows, refusal
from crdnd_tui.compare.runs import ComparedRuns
from crdnd_tui.compare.significance import contrasts, leaders
from crdnd_tui.core.session import Session
from crdnd_tui.core.state import RunState
from engine.spec.outcomes import decode, unpack
from tests.compare.runs import cell, judged, outcomes, row, side
from tests.tui.pilot import recorded

HERE, THERE = "1" * 10 + "0" * 2 + "1" * 80 + "0" * 8, "0" * 10 + "1" * 2 + "1" * 80 + "0" * 8


def one(first, second, attack="pgd_sat"):
    """The contrast of one row with another."""
    (found,) = contrasts([second, first], second, [attack]).values()
    return found


def leading(rows, base):
    """Ids of the leaders among the rows that are comparable with a baseline."""
    return leaders([one for one in rows if not refusal(one, base, "pgd_sat")], "pgd_sat")


def drawn(name, *right):
    """One row of seeds 0, 1, ... that get the first so many of 100 images right."""
    sides_ = [outcomes(f"{name}{k}", pgd_sat="1" * n + "0" * (100 - n)) for k, n in enumerate(right)]
    return row(*(replace(one, config=one.config | {"seed": k}) for k, one in enumerate(sides_)))


def seeded(name, accuracies, start=0):
    """One row of runs with these percentages right of 100 images."""
    return row(
        *(
            side(f"{name}-{k}", [cell("pgd_sat", right)], seed=start + k, group=name)
            for k, right in enumerate(accuracies)
        )
    )


def test_two_runs_on_the_same_images_are_paired_image_by_image():
    found = one(row(outcomes("a", pgd_sat=HERE)), row(outcomes("b", pgd_sat=THERE)))
    assert (found.kind, found.only_row, found.only_baseline, found.n) == ("paired", 10, 2, 100)
    assert found.difference == pytest.approx(0.08)
    assert found.p == found.adjusted == pytest.approx(158 / 4096)
    assert (found.low, found.high) == stats.agresti_min(10, 2, 100)
    assert found.is_significant and not found.why
    turned = one(row(outcomes("b", pgd_sat=THERE)), row(outcomes("a", pgd_sat=HERE)))
    assert (turned.difference, turned.p) == (-found.difference, found.p)


def test_the_pairing_matters_not_only_the_number_right():
    same = one(row(outcomes("a", pgd_sat="1" * 50 + "0" * 50)), row(outcomes("b", pgd_sat="1" * 50 + "0" * 50)))
    other = one(row(outcomes("a", pgd_sat="1" * 50 + "0" * 50)), row(outcomes("b", pgd_sat="0" * 50 + "1" * 50)))
    assert same.difference == other.difference == 0.0
    assert (same.p, other.p) == (1.0, 1.0)
    assert other.high - other.low > 5 * (same.high - same.low)


@pytest.mark.parametrize(
    ("hidden", "why"),
    [
        ({"right": None}, "no outcome of each image of b: unpaired interval, no test"),
        ({"indices": ""}, "the files do not say that the images are the same: unpaired interval, no test"),
        ({"right": int(THERE, 2) + 1}, "no outcome of each image of b: unpaired interval, no test"),
    ],
)
def test_without_the_outcomes_of_both_the_interval_is_unpaired_and_says_so(hidden, why):
    there = outcomes("b", pgd_sat=THERE)
    there = replace(there, records={place: replace(found, **hidden) for place, found in there.records.items()})
    found = one(row(outcomes("a", pgd_sat=HERE)), row(there))
    assert (found.kind, found.why, found.p, found.is_significant) == ("unpaired", why, None, False)
    assert (found.low, found.high) == stats.newcombe(90, 100, 82, 100)


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (outcomes("a", pgd_sat=HERE, known={"indices": "x"}), "other test images, though as many"),
        (
            outcomes("a", pgd_sat=HERE, known={"data": "0123456789"}),
            "the test images are not the same data: SHA-256 01234567, not pixels",
        ),
        (outcomes("a", pgd_sat=HERE[:-1]), "99 of 100 test images, not 100 of 100 test images"),
        (outcomes("a", pgd_sat=HERE, spec={"steps": 50}), "PGD-SAT: steps 50, not \u2013"),
        (outcomes("a", pgd_sat=HERE, spec={"epsilon": "4/255"}), "epsilon 4/255, not 8/255"),
        (outcomes("a", pgd_sat=HERE, spec={"norm": "l2"}), "norm l2, not linf"),
        (judged("a", 50, 40, data="digits"), "data digits, not cifar10"),
        (judged("a", 50, 40, epsilon="4/255"), "epsilon 4/255, not 8/255"),
    ],
)
def test_other_questions_are_refused_with_the_reason(other, why):
    found = one(row(other), row(outcomes("b", pgd_sat=THERE)))
    assert (found.kind, found.why) == ("refused", why)
    assert (found.difference, found.low, found.p, found.adjusted) == (None, None, None, None)


def test_another_version_of_autoattack_is_another_attack_also_in_the_worst_case():
    def run(name, version):
        suite = cell("autoattack", 40, spec={"package": f"pyautoattack {version}"})
        return row(side(name, [suite, cell("worst", 39, spec={"attacks": ["clean", "autoattack"]})]))

    why = "AutoAttack: package pyautoattack 0.3.0, not pyautoattack 0.2.0"
    for attack in ("autoattack", "worst"):
        found = one(run("a", "0.3.0"), run("b", "0.2.0"), attack)
        assert (found.kind, found.why) == ("refused", why)
        assert one(run("a", "0.2.0"), run("b", "0.2.0"), attack).kind == "unpaired"


def test_the_order_of_attacks_in_the_worst_case_is_no_difference_but_their_choice_is():
    def run(name, attacks):
        return row(side(name, [cell("worst", 39, spec={"attacks": attacks})]))

    assert one(run("a", ["fgsm", "clean"]), run("b", ["clean", "fgsm"]), "worst").kind == "unpaired"
    fewer = one(run("a", ["clean", "cw_inf"]), run("b", ["clean", "fgsm", "autoattack"]), "worst")
    assert fewer.why == "worst of L-inf: with CW-inf and without AutoAttack, FGSM"
    more = one(run("a", ["clean", "fgsm"]), run("b", ["clean"]), "worst")
    assert more.why == "worst of L-inf: with FGSM"


def test_several_runs_are_paired_by_their_seeds():
    found = one(seeded("a", [52, 54, 59]), seeded("b", [50, 51, 53]))
    assert (found.kind, found.pairs, found.n, found.why) == ("seeds", 3, 100, "")
    assert found.difference == pytest.approx((2 + 3 + 6) / 300)
    assert (found.p, found.smallest, found.is_significant) == (0.25, 0.25, False)
    assert (found.low, found.high, found.t_p) == pytest.approx(stats.paired_t([0.02, 0.03, 0.06])[1:4])


def test_seeds_are_found_by_number_not_by_place():
    shuffled = row(*reversed(seeded("b", [50, 51, 53]).runs))
    assert one(seeded("a", [52, 54, 59]), shuffled).low == one(seeded("a", [52, 54, 59]), seeded("b", [50, 51, 53])).low


def test_seeds_that_only_one_row_has_are_left_out_and_counted():
    found = one(seeded("a", [52, 54, 59, 99]), seeded("b", [50, 51, 53]))
    assert (found.pairs, found.difference) == (3, pytest.approx(11 / 300))
    assert found.why == "only the 3 seeds that both have; 1 left out"


def test_six_seeds_can_be_significant_and_thirty_one_go_to_the_t_test():
    six = one(seeded("a", [52, 54, 59, 53, 55, 56]), seeded("b", [50, 51, 53, 50, 50, 50]))
    assert (six.p, six.smallest, six.is_significant) == (2 / 64, 2 / 64, True)
    many = one(seeded("a", [k % 7 + 50 for k in range(31)]), seeded("b", [50] * 31))
    assert (many.p, many.smallest, many.why) == (many.t_p, None, "t test: the exact test takes 30 seeds at most")


def test_other_seeds_go_to_welch():
    found = one(seeded("a", [52, 54, 59]), seeded("b", [50, 51, 53], start=5))
    known = stats.welch_t([0.52, 0.54, 0.59], [0.50, 0.51, 0.53])
    assert (found.kind, found.pairs, found.why) == ("welch", 0, "the seeds are not the same")
    assert (found.difference, found.low, found.high, found.t_p) == pytest.approx(known[:4])
    assert (found.p, found.smallest) == pytest.approx((0.2, 0.1))  # 4 of 20 splits are as far
    still = one(seeded("a", [52, 52]), seeded("b", [50, 50], start=5))
    assert (still.difference, still.p, still.low) == (pytest.approx(0.02), pytest.approx(1 / 3), None)
    far = one(seeded("a", [90, 91]), seeded("b", [10, 11], start=5))  # two against two are never significant
    assert (far.t_p < 0.001, far.is_significant, far.smallest) == (True, False, pytest.approx(1 / 3))


def test_a_lone_seed_is_no_leader_beside_several_though_nothing_tells_it_from_them():
    best, lone = drawn("a", 90, 90, 90), drawn("b", 89)
    assert leading([best, lone], best) == {"a0"}


def test_leaders_end_at_the_first_row_that_is_beaten():
    """The third varies so much that no test tells it from anybody; it stands below one that is beaten, and so out."""
    rows_ = [seeded("a", [90, 91, 92]), seeded("b", [80, 81, 82]), seeded("c", [40, 70, 95])]
    assert leading(rows_, rows_[0]) == {"a-0"}


def test_a_seed_that_ran_twice_is_one_seed():
    twice = row(*seeded("a", [52, 54]).runs, *seeded("again", [54]).runs)
    found = one(twice, seeded("b", [50, 51]))
    assert (found.pairs, found.difference) == (2, pytest.approx((0.03 + 0.03) / 2))


def test_one_seed_against_several_is_two_networks_or_no_test():
    several = row(*(replace(outcomes("b", pgd_sat=THERE), id=f"b-{k}", config={"seed": k}) for k in range(3)))
    alone = replace(outcomes("a", pgd_sat=HERE), config={"seed": 0})
    found = one(row(alone), several)
    assert (found.kind, found.pairs, found.only_row) == ("paired", 1, 10)
    assert found.why == "seed 0 alone, image by image, for a has no other: says nothing of the methods"
    assert (found.p, found.adjusted, found.is_significant) == (pytest.approx(0.0386, abs=1e-4), None, False)
    found = one(row(replace(alone, config={"seed": 9})), several)
    assert (found.kind, found.difference, found.low, found.p) == ("unpaired", pytest.approx(0.08), None, None)
    assert found.why == "one seed of a against 3 of b, none of them the same: no test"


def test_runs_of_one_row_that_answer_other_questions_are_no_mean():
    mixed = row(side("a", [cell("pgd_sat", 50)]), side("c", [cell("pgd_sat", 50, spec={"steps": 9})], seed=1))
    for first, second in ((mixed, seeded("b", [50, 51])), (seeded("b", [50, 51]), mixed)):
        found = one(first, second)
        assert (found.kind, found.why) == ("refused", "runs of a among themselves: PGD-SAT: steps 9, not \u2013")


def test_what_is_not_judged_yet_is_missing():
    found = one(row(side("a", state=RunState())), row(judged("b", 50, 40)), "autoattack")
    assert (found.kind, found.why) == ("missing", "no AutoAttack of a yet")


def test_holm_is_over_the_rows_that_have_a_test_under_the_attack():
    runs = [row(outcomes(f"a{k}", pgd_sat="1" * k + "0" * (20 - k))) for k in (5, 6, 7)]
    base = row(outcomes("base", pgd_sat="0" * 20))
    absent = row(side("none", [cell("fgsm", 1)]))
    found = contrasts([base, *runs, absent], base, ["pgd_sat", "fgsm"])
    assert [found[r.id, "pgd_sat"].p for r in runs] == [2 / 32, 2 / 64, 2 / 128]
    assert [found[r.id, "pgd_sat"].adjusted for r in runs] == [2 / 32, 4 / 64, 6 / 128]
    assert {found[r.id, "pgd_sat"].family for r in runs} == {3}
    assert {key for key in found if key[0] == "base"} == set()
    assert found["none", "fgsm"].kind == "missing"


def test_leaders_are_those_that_cannot_be_told_from_the_best():
    best, near, far = (row(outcomes(f"a{k}", pgd_sat="1" * k + "0" * (100 - k))) for k in (60, 58, 40))
    assert leading([far, near, best], far) == {"a60", "a58"}
    assert leading([best], best) == frozenset()
    easier = row(outcomes("easy", pgd_sat="1" * 100, spec={"epsilon": "1/255"}))
    assert leading([far, near, best, easier], far) == {"a60", "a58"}


def test_over_three_seeds_leaders_are_told_apart_by_the_t_test():
    rows_ = [seeded("a", [70, 71, 73]), seeded("b", [70, 72, 72]), seeded("c", [10, 11, 12])]
    assert leading(rows_, rows_[2]) == {"a-0", "b-0"}


def test_a_row_that_is_surely_below_another_is_no_leader_though_the_best_varies_too_much_to_beat_it():
    best, steady, low = seeded("a", [50, 70, 90]), seeded("b", [68, 69, 70]), seeded("c", [44, 45, 46])
    assert leading([best, low], low) == {"a-0", "c-0"}
    assert leading([best, steady, low], low) == {"a-0", "b-0"}


def test_that_networks_of_every_seed_differ_tells_no_methods_apart():
    """Differences of 40 points with a spread of 30 (t test: p = 0.14), though every seed loses 10 and more images."""
    best, low = drawn("a", 90, 80, 70), drawn("b", 20, 40, 60)
    assert (one(low, best).apart, one(low, best).t_p > 0.05) == (3, True)
    assert leading([best, low], low) == {"a0", "b0"}


def test_pairs_of_seeds_are_told_apart_by_their_images():
    """Seeds 0 and 1 lose 20 images and win none (p = 2 / 2^20); seed 2 loses one of 60 (p = 1)."""
    base = drawn("b", 60, 60, 60)
    assert (one(drawn("h", 40, 40, 59), base).apart, one(drawn("h", 40, 40, 59), base).pairs) == (2, 3)
    assert one(drawn("t", 20, 90, 40), base).apart == 2  # the middle one differs the other way


def test_recorded_runs_agree_with_their_files(tmp_path):
    runs = recorded(tmp_path / "runs", "crdnd-small_cnn-s0", "rslad-small_cnn-s0")
    ids = sorted(folder.name for folder in runs.iterdir())
    sides, _ = ComparedRuns(Session(runs=runs, data=tmp_path)).read(ids)
    shown = make_rows(sides, grouped=False)
    found = contrasts(shown, shown[0], ["clean", "autoattack", "worst", "cw_2"])
    for attack in ("clean", "autoattack", "worst", "cw_2"):
        files = [decode((runs / run / "evaluation" / "best" / f"{attack}.json").read_bytes()) for run in ids]
        base, other = (unpack(file.robust, file.n) for file in files)
        counts = (
            sum(o and not b for b, o in zip(base, other, strict=True)),
            sum(b and not o for b, o in zip(base, other, strict=True)),
        )
        one_ = found[ids[1], attack]
        assert (one_.kind, one_.only_row, one_.only_baseline, one_.n) == ("paired", *counts, 597)
        assert one_.difference == pytest.approx(files[1].accuracy - files[0].accuracy, abs=1e-12)


def test_recorded_seeds_are_pairs(tmp_path):
    runs = recorded(tmp_path / "runs", "crdnd-small_cnn", "rslad-small_cnn-s0", "rslad-small_cnn-s1")
    sides, _ = ComparedRuns(Session(runs=runs, data=tmp_path)).read(sorted(folder.name for folder in runs.iterdir()))
    crdnd, rslad = make_rows(sides, grouped=True)
    found = contrasts([crdnd, rslad], crdnd, ["pgd_sat"])[rslad.id, "pgd_sat"]
    assert (found.kind, found.pairs, found.smallest, found.p) == ("seeds", 2, 0.5, 0.5)
    assert found.difference > 0.05
