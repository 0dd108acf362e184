"""What is said of the order of several runs: a lead that AutoAttack takes away is none."""

import pytest

from crdnd_tui.comparing.comparison import DROP, Value
from crdnd_tui.comparing.comparison_verdict import verdict
from crdnd_tui.exporting.findings import Plan, findings
from crdnd_tui.palette import DARK
from crdnd_tui.widgets import result_grid
from crdnd_tui.widgets.result_grid import View
from engine.spec.outcomes import wilson
from tests.tui.sides import cell, judged, side


def values(pgd, suite, n=100):
    def one(right):
        return Value(mean=right / n, low=wilson(right, n).low, high=wilson(right, n).high, n=n)

    return {"pgd_sat": one(pgd), "autoattack": one(suite)}


def test_a_lead_that_does_not_survive_autoattack_is_the_judgement():
    said = verdict([("CRDND", values(5500, 4000, 10_000)), ("RSLAD", values(5000, 4500, 10_000))])
    words = "the lead of CRDND over RSLAD under PGD-SAT (+5.00) does not survive AutoAttack (\u22125.00)"
    assert (said.kind, said.words) == ("lost", words)
    said = verdict([("A", values(55, 40)), ("B", values(50, 40))])  # within the intervals it is said, not shouted
    words = "the lead of A over B under PGD-SAT (+5.0) does not survive AutoAttack (level)"
    assert (said.kind, said.words) == ("close", f"{words}; 95 % intervals overlap under both")


def test_a_lead_that_stands_has_its_size_under_both_and_says_where_intervals_overlap():
    said = verdict([("B", values(40, 20)), ("A", values(70, 50))])
    assert (said.kind, said.words) == ("holds", "A leads B: +30.0 under PGD-SAT, +30.0 under AutoAttack")
    said = verdict([("A", values(70, 41)), ("B", values(40, 40))])
    words = "A leads B: +30.0 under PGD-SAT, +1.0 under AutoAttack; 95 % intervals overlap under AutoAttack"
    assert (said.kind, said.words) == ("close", words)
    assert verdict([("A", values(50, 40)), ("B", values(50, 40))]).words == (
        "A and B are level under PGD-SAT and under AutoAttack; 95 % intervals overlap under both"
    )


def test_the_order_behind_the_leader_counts_too_and_one_run_alone_leads_nothing():
    rows = [("A", values(9000, 8000, 10_000)), ("B", values(7000, 5000, 10_000)), ("C", values(6000, 6000, 10_000))]
    said = verdict(rows)
    assert said.kind == "lost"
    assert said.words == (
        "A leads: +20.00 over B under PGD-SAT, +20.00 over C under AutoAttack; but the lead of B over C under PGD-SAT"
        " (+10.00) does not survive AutoAttack (\u221210.00)"
    )
    rows = [("A", values(90, 80)), ("B", values(51, 50)), ("C", values(50, 51))]  # behind it nothing but chance
    assert verdict(rows).kind == "holds"
    assert verdict(rows[:1]).words == ""


def test_pgd_alone_settles_no_order():
    only = {"pgd_sat": values(50, 40)["pgd_sat"]}
    assert verdict([("A", only), ("B", only)]).words.endswith("AutoAttack has fully judged none of these runs")
    assert verdict([("A", only), ("B", values(50, 40))]).words.endswith("AutoAttack has fully judged only B")


def test_means_over_other_seeds_are_never_subtracted():
    half = side("b", [cell("clean", 90), cell("pgd_sat", 60)], group="g")
    other = judged("c", 40, 30)
    found = findings([judged("a", 50, 40, group="g"), half, other], Plan(grouped=True))
    grid = found.laid.grid
    assert grid.values["a", DROP].mean == pytest.approx(-0.10)  # of a alone, not 40 minus the mean of 50 and 60
    assert grid.values["a", "autoattack"].of == 2
    assert grid.verdict.words.endswith("AutoAttack has fully judged only c")
    said = "\n".join(line.plain for line in result_grid.lines(found, View(colours={}), DARK, 114))
    assert "(1)" in said
