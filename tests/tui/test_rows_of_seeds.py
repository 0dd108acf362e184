"""Rows of several runs: a seed that ran twice is one seed, and a refusal looks at every run of both rows."""

from dataclasses import replace
from itertools import permutations

import pytest

from crdnd_tui.compare import comparison, comparison_config, comparison_curves, within
from crdnd_tui.compare.comparison import DROP
from crdnd_tui.compare.comparison_verdict import CE, SUITE
from crdnd_tui.write import of_classes, of_comparison, of_curves, of_gaps, of_results, of_worst
from crdnd_tui.write.numbers import legend
from crdnd_tui.write.of_comparison import lay
from engine.spec.outcomes import wilson
from tests.tui.sides import cell, judged, outcomes, row, side, trained

OTHER = {"epsilon": "4/255"}  # of an attack: another question


def run(name, seed, *, group="r", suite=None, spec=None, ce=60, per_class=None, **more):
    """One run of a group: clean, PGD-SAT, and AutoAttack where it has been through that."""
    cells = [cell("clean", 90), cell(CE, ce, spec=spec or {})]
    cells += [] if suite is None else [cell(SUITE, suite, spec=spec or {}, per_class=per_class or [])]
    return side(name, cells, group=group, seed=seed, **more)


def base(**more):
    return run("base-s0", 0, group="b", suite=50, **more)


def refused(sides_):
    """Why AutoAttack of the second row is refused, by the grid, by the contrast and by the classes."""
    laid = lay(sides_, grouped=True)
    (other,) = laid.others
    grid, contrast = laid.grid.reasons.get((other.id, SUITE), ""), laid.contrasts[other.id, SUITE]
    _, classes = comparison_config.classes(other, laid.base, "best", SUITE)
    assert (contrast.why, contrast.kind) == (grid, "refused")
    assert classes == f"Not comparable: {grid}."
    return laid, other, grid


def test_a_refusal_looks_behind_a_first_seed_that_has_no_number_yet():
    late = [run("r-0", 0), run("r-1", 1, suite=60, spec=OTHER), run("r-2", 2, suite=62, spec=OTHER)]
    laid, other, why = refused([base(), *late])
    assert why == "epsilon 4/255, not 8/255"
    assert comparison.delta(laid.grid, other.id, SUITE) is None
    assert of_curves.tradeoff(laid) is None
    assert of_classes.class_figures(laid) == []
    (cell_,) = [c for c in of_results.results(laid).rows[1].cells if c.text == why]
    assert cell_.barred and cell_.value is None


def test_runs_that_differ_among_themselves_have_a_reason_and_no_number_wherever_the_other_one_stands():
    sides_ = [run("r-0", 0), run("r-1", 1, suite=60), run("r-2", 2, suite=62, spec={"version": "plus"})]
    for order in permutations(sides_):
        laid, other, why = refused([base(), *order])
        assert why.startswith(f"runs of {other.label} among themselves: AutoAttack: version")
        assert (other.id, SUITE) not in laid.grid.values
        assert of_results.results(laid).rows[1].cells[-1].barred


def test_a_baseline_whose_runs_differ_is_refused_to_every_row_and_says_so_itself():
    mixed = [base(), run("base-s1", 1, group="b", suite=50, spec=OTHER)]
    laid, other, why = refused([*mixed, run("r-0", 0, suite=60)])
    assert why == "runs of base-s0 (2) among themselves: epsilon 4/255, not 8/255"
    assert laid.grid.reasons["base-s0", SUITE] == why
    assert comparison.delta(laid.grid, other.id, SUITE) is None
    assert comparison.delta(laid.grid, other.id, "clean") == pytest.approx(0.0)


def test_any_run_of_a_row_that_was_judged_at_another_checkpoint_is_a_reason():
    last = side("r-1", [cell(SUITE, 60, checkpoint="last")], group="r", seed=1)
    laid, _, why = refused([base(), run("r-0", 0, suite=60), last])
    assert why == "runs of r-0 (2) among themselves: checkpoint last, not best"
    assert not laid.grid.badges  # the other seed is comparable
    assert lay([base(), last], grouped=True).grid.badges == {"r-1": "checkpoint last, not best"}


def test_the_drop_is_not_subtracted_where_one_of_its_attacks_is_refused():
    easier = side("r-0", [cell(CE, 60), cell(SUITE, 58, spec=OTHER)], group="r")
    grid = comparison.grid([base(), easier], grouped=True)
    assert grid.values["r-0", DROP].mean == pytest.approx(-0.02)
    assert comparison.delta(grid, "r-0", DROP) is None
    assert grid.reasons["r-0", DROP] == "epsilon 4/255, not 8/255"


def test_a_seed_that_ran_twice_is_one_seed_with_the_mean_of_its_runs():
    twice = [run("rslad s0 aaaa", 0, suite=50), run("rslad s0 bbbb", 0, suite=60)]
    (row_,) = comparison.rows(twice, grouped=True)
    assert (row_.label, row_.draws) == ("rslad (1 seed, 2 runs)", 1)
    value = comparison.value(row_, "best", SUITE)
    assert (value.mean, value.std, value.runs, value.of, value.n) == (pytest.approx(0.55), None, 1, 1, 100)
    assert (value.low, value.high) == wilson(55, 100)


def test_means_and_deviations_are_over_seeds_not_over_runs():
    """Seeds 40 and 50 (of 45 and 55): mean 45, deviation 50 ** 0.5; over the runs it would be 46.7."""
    runs = [run("a s0", 0, suite=40), run("a s1 x", 1, suite=45), run("a s1 y", 1, suite=55)]
    (row_,) = comparison.rows(runs, grouped=True)
    value = comparison.value(row_, "best", SUITE)
    assert row_.label == "a (2 seeds, 3 runs)"
    assert (value.mean, value.runs, value.of) == (pytest.approx(0.45), 2, 2)
    assert value.std == pytest.approx(0.5**0.5 / 10)
    assert comparison.rows(runs[:2], grouped=True)[0].label == "a (2)"


def test_a_mean_stands_on_the_images_of_one_run_not_on_their_sum():
    """10,000 images carry a second decimal; 3 seeds of 4,000 do not."""
    cells = [cell("clean", 2000 + k, 4000, of=4000) for k in range(3)]
    grid = comparison.grid([side(f"a-{k}", [one], group="a", seed=k) for k, one in enumerate(cells)], grouped=True)
    assert grid.values["a-0", "clean"].n == 4000


def test_a_table_of_one_seed_tells_no_deviation_and_says_what_was_done():
    laid = lay([base(), run("r s0 x", 0, suite=50), run("r s0 y", 0, suite=60)], grouped=True)
    table = of_results.results(laid)
    assert all(one.std is None and one.runs == 1 for line in table.rows for one in line.cells)
    assert not any("deviation" in words for words in legend(table, best="*"))
    assert table.rows[1].label == "r (1 seed, 2 runs)"
    assert (
        "",
        "r (1 seed, 2 runs): a seed that ran more than once counts once, by the mean of its runs.",
    ) in table.notes
    (line,) = [line for line in of_comparison.told(laid).tables if line.key == "differences"]
    assert line.rows[-1].cells[0].value == pytest.approx(5.0)


def test_a_seed_that_ran_twice_has_the_difference_of_its_mean_and_no_test_on_images():
    once = outcomes("base", autoattack="1" * 50 + "0" * 50)
    runs = [outcomes(name, autoattack="1" * right + "0" * (100 - right)) for name, right in (("a", 90), ("b", 80))]
    laid = lay([once, *(replace(one, group="r") for one in runs)], grouped=True)
    found = laid.contrasts["a", SUITE]
    assert (found.kind, found.p, found.significant) == ("unpaired", None, False)
    assert found.difference == pytest.approx(0.35)
    assert found.low > 0 and laid.tied == {("a", SUITE)}
    assert found.why == "the mean of a seed that ran more than once: unpaired interval, no test"


def test_seeds_that_are_waited_for_are_counted_not_their_runs():
    twice = [run("r s0 x", 0, suite=50), run("r s0 y", 0), run("r s1", 1)]
    laid = lay([base(), *twice], grouped=True)
    notes = [words for _, words in of_results.results(laid).notes]
    assert "r (2 seeds, 3 runs): seeds with a number: AutoAttack 1 of 2." in notes
    assert laid.grid.empty == {}
    assert comparison.grid([run("a", 0), side("b", group="r", seed=0)], grouped=True).empty == {}


def test_a_drop_of_other_runs_makes_no_order_though_the_seeds_are_as_many():
    twice = [run("r s0 x", 0, suite=50, ce=60), run("r s0 y", 0, ce=80)]
    grid = comparison.grid([base(), *twice], grouped=True)
    cells = dict(comparison.judged(grid))["r (1 seed, 2 runs)"]
    assert (SUITE in cells, cells[CE].mean) == (False, pytest.approx(0.7))
    assert grid.values["r s0 x", DROP].mean == pytest.approx(-0.10)


def test_gaps_within_runs_are_over_seeds():
    twice = [run("r x", 0, suite=50, ce=60), run("r y", 0, suite=50, ce=64)]
    one = within.gap(twice, "best", CE, SUITE)
    assert (one.difference, one.runs, one.low, one.p) == (pytest.approx(0.12), 1, None, None)
    assert one.why == "the mean of a seed that ran more than once: no interval, no test"
    laid = lay([base(), *twice, run("r z", 1, suite=50, ce=70)], grouped=True)
    line = of_gaps.masking(laid).rows[1]
    assert (line.cells[0].value, line.cells[0].runs) == (pytest.approx(66.0), 2)
    assert (line.cells[1].value, line.cells[1].runs) == (pytest.approx(16.0), 2)


def test_classes_are_means_over_seeds():
    """Class 0: seeds 0.4 (of 0.2 and 0.6) and 0.8; class 1: seeds 0.7 (of 0.6 and 0.8) and 0.1."""
    shares = ((0, [0.2, 0.6]), (0, [0.6, 0.8]), (1, [0.8, 0.1]))
    runs = [run(f"r-{k}", seed, suite=50, per_class=list(two)) for k, (seed, two) in enumerate(shares)]
    laid = lay([base(per_class=[0.5, 0.5]), *runs], grouped=True)
    worst = of_worst.worst(laid, laid.rows[1], SUITE)
    assert worst.values == pytest.approx((0.7, 0.1))
    entries, _ = comparison_config.classes(laid.rows[1], laid.base, "best", SUITE)
    assert [one.points for one in entries] == pytest.approx([10.0, -10.0])


def test_curves_are_means_and_bands_over_seeds():
    """At epoch 1: seeds 0.3 (of 0.2 and 0.4) and 0.5; the third epoch only one run has."""
    runs = ((0, [0.2, 0.4]), (0, [0.4, 0.4, 0.9]), (1, [0.5, 0.6]))
    sides_ = [side(f"r-{k}", group="r", seed=seed, state=trained(a)) for k, (seed, a) in enumerate(runs)]
    (row_,) = comparison.rows(sides_, grouped=True)
    assert comparison_curves.of_row(row_, "selecting") == [(1, pytest.approx(0.4)), (2, pytest.approx(0.5))]
    assert comparison_curves.band(row_, "selecting")[0] == (1, pytest.approx(0.4 - 0.02**0.5))
    (figure,) = of_curves.validation(lay(sides_, grouped=True))
    assert figure.series[0].y == pytest.approx((40, 50))
    assert figure.series[0].high[0] == pytest.approx(40 + 200**0.5)
    again = row(*sides_[:2])
    assert comparison_curves.band(again, "selecting") == []
    assert comparison_curves.of_row(again, "selecting")[0] == (1, pytest.approx(0.3))
    (alone,) = of_curves.validation(lay(sides_[:2], grouped=True))
    assert (alone.series[0].y, alone.series[0].low) == (pytest.approx((30, 40)), ())


def test_runs_without_a_seed_are_each_their_own():
    one, two = (replace(judged(name, 50, 40, group="g"), config={"kind": "evaluation"}) for name in "ab")
    (row_,) = comparison.rows([one, two], grouped=True)
    assert (row_.draws, row_.label) == (2, "a (2)")
