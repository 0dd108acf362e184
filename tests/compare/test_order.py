"""What is said of the order of several runs: a lead that AutoAttack takes away is none."""

import pytest

from crdnd_tui.compare.comparison import DROP
from crdnd_tui.compare.order import OrderedRow, order_verdict
from crdnd_tui.compare.rows import RobustnessCell
from crdnd_tui.core.palette import DARK
from crdnd_tui.tui.widgets import result_grid
from crdnd_tui.tui.widgets.result_grid import View
from crdnd_tui.write.comparison_summary import ComparisonPlan, summarize
from engine.spec.statistics import wilson
from tests.compare.runs import cell, judged, side


def values(pgd, suite, n=100):
    def one(right):
        return RobustnessCell(mean=right / n, low=wilson(right, n).low, high=wilson(right, n).high, n=n)

    return {"pgd_sat": one(pgd), "autoattack": one(suite)}


def verdict(rows, *tests):
    return order_verdict([OrderedRow(label=label, cells=cells) for label, cells in rows], *tests)


def test_a_lead_that_does_not_survive_autoattack_is_the_judgement():
    said = verdict([("CRDND", values(5500, 4000, 10_000)), ("RSLAD", values(5000, 4500, 10_000))])
    words = "the lead of CRDND over RSLAD under PGD-SAT (+5.00) does not survive AutoAttack (\u22125.00)"
    assert (said.kind, said.text) == ("lost", words)
    said = verdict([("A", values(55, 40)), ("B", values(50, 40))])  # within the intervals it is said, not shouted
    words = "A minus B is +5.0 under PGD-SAT and level under AutoAttack; 95 % intervals overlap under both"
    assert (said.kind, said.text) == ("close", words)


def test_where_there_are_tests_they_decide_and_not_the_intervals():
    rows = [("A", values(5500, 4000, 10_000)), ("B", values(5000, 4500, 10_000))]
    said = verdict(rows, lambda *_: False)  # far apart by their intervals, but no test says so
    words = "A minus B is +5.00 under PGD-SAT and \u22125.00 under AutoAttack; no test tells them apart under either"
    assert (said.kind, said.text) == ("close", words)
    near = [("A", values(55, 40)), ("B", values(50, 45))]
    said = verdict(near, lambda one, two, attack: attack == "pgd_sat")
    words = "the lead of A over B under PGD-SAT (+5.0) does not survive AutoAttack (\u22125.0)"
    assert (said.kind, said.text) == ("lost", f"{words}; no test tells them apart under AutoAttack")


def test_over_seeds_it_is_the_t_test_that_says_whether_a_lead_was_one():
    """The first leads by 6, 5 and 7 under PGD-SAT, and by 10, -9 and 8 in the other case."""

    def kind(*leads):
        ahead = [judged(f"a{k}", 50 + lead, 40, group="a", seed=k) for k, lead in enumerate(leads)]
        behind = [judged(f"b{k}", 50, 45, group="b", seed=k) for k in range(3)]
        return summarize([*ahead, *behind], ComparisonPlan(grouped=True)).comparison.order.kind

    assert (kind(6, 5, 7), kind(10, -9, 8)) == ("lost", "close")


def test_a_lead_that_stands_has_its_size_under_both_and_says_where_intervals_overlap():
    said = verdict([("B", values(40, 20)), ("A", values(70, 50))])
    assert (said.kind, said.text) == ("holds", "A leads B: +30.0 under PGD-SAT, +30.0 under AutoAttack")
    said = verdict([("A", values(70, 41)), ("B", values(40, 40))])
    words = "A leads B: +30.0 under PGD-SAT, +1.0 under AutoAttack; 95 % intervals overlap under AutoAttack"
    assert (said.kind, said.text) == ("close", words)
    assert verdict([("A", values(50, 40)), ("B", values(50, 40))]).text == (
        "A and B are level under PGD-SAT and under AutoAttack; 95 % intervals overlap under both"
    )


def test_the_order_behind_the_leader_counts_too_and_one_run_alone_leads_nothing():
    rows = [("A", values(9000, 8000, 10_000)), ("B", values(7000, 5000, 10_000)), ("C", values(6000, 6000, 10_000))]
    said = verdict(rows)
    assert said.kind == "lost"
    assert said.text == (
        "A leads: +20.00 over B under PGD-SAT, +20.00 over C under AutoAttack; but the lead of B over C under PGD-SAT"
        " (+10.00) does not survive AutoAttack (\u221210.00)"
    )
    rows = [("A", values(90, 80)), ("B", values(51, 50)), ("C", values(50, 51))]  # behind it nothing but chance
    assert verdict(rows).kind == "holds"
    assert verdict(rows[:1]).text == ""


def test_pgd_alone_settles_no_order():
    only = {"pgd_sat": values(50, 40)["pgd_sat"]}
    assert verdict([("A", only), ("B", only)]).text.endswith("AutoAttack has fully judged none of these runs")
    assert verdict([("A", only), ("B", values(50, 40))]).text.endswith("AutoAttack has fully judged only B")


def test_means_over_other_seeds_are_never_subtracted():
    half = side("b", [cell("clean", 90), cell("pgd_sat", 60)], group="g", seed=1)
    other = judged("c", 40, 30)
    found = summarize([judged("a", 50, 40, group="g"), half, other], ComparisonPlan(grouped=True))
    grid = found.comparison
    assert grid.cells["a", DROP].mean == pytest.approx(-0.10)  # of a alone, not 40 minus the mean of 50 and 60
    assert grid.cells["a", "autoattack"].of == 2
    assert found.comparison.order.text.endswith("AutoAttack has fully judged only c")
    said = "\n".join(line.plain for line in result_grid.lines(found, View(colours={}), DARK, 114))
    assert "(1)" in said


def test_a_suite_that_judged_a_run_whose_pgd_is_not_believed_is_not_called_absent():
    words = verdict(
        [
            ("A", values(50, 40)),
            ("B", {"autoattack": values(45, 35)["autoattack"]}),
            ("C", {"pgd_sat": values(40, 30)["pgd_sat"]}),
        ]
    ).text
    assert words == "PGD-SAT and AutoAttack settle no order: both are known and believed of only A"
