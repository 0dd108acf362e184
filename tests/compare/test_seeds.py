"""Rows of several runs: a seed that ran twice is one seed, and a refusal looks at every run of both rows."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from crdnd_tui.compare import curves
from crdnd_tui.compare.comparison import DROP, compare
from crdnd_tui.compare.order import CE, SUITE
from crdnd_tui.compare.rows import class_differences, make_rows
from crdnd_tui.compare.significance import attack_gap
from crdnd_tui.write.comparison_details import masking_table
from crdnd_tui.write.comparison_document import comparison_document
from crdnd_tui.write.comparison_figures import figures, tradeoff
from crdnd_tui.write.comparison_tables import results_table
from crdnd_tui.write.numbers import legend
from engine.spec.statistics import wilson
from tests.compare.runs import cell, judged, outcomes, row, side, trained

SELECTING = curves.CurveMeasure(key="selecting", title="")
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
    compared = compare(sides_, grouped=True)
    (other,) = compared.others
    grid, contrast = compared.reasons.get((other.id, SUITE), ""), compared.contrasts[other.id, SUITE]
    _, classes = class_differences(other, compared.base, SUITE)
    assert (contrast.why, contrast.kind) == (grid, "refused")
    assert classes == f"Not comparable: {grid}."
    return compared, other, grid


def lines(compared):
    """Figures of validation."""
    return [figure for figure in figures(compared) if figure.kind == "lines"]


def test_a_refusal_looks_behind_a_first_seed_that_has_no_number_yet():
    late = [run("r-0", 0), run("r-1", 1, suite=60, spec=OTHER), run("r-2", 2, suite=62, spec=OTHER)]
    compared, other, why = refused([base(), *late])
    assert why == "epsilon 4/255, not 8/255"
    assert compared.delta(other.id, SUITE) is None
    assert tradeoff(compared) is None
    assert not [f for f in figures(compared) if f.kind == "bars" and f.key != "attacks"]
    (cell_,) = [c for c in results_table(compared).rows[1].cells if c.text == why]
    assert cell_.barred and cell_.value is None


def test_runs_that_differ_among_themselves_have_a_reason_and_no_number_wherever_the_other_one_stands():
    sides_ = [run("r-0", 0), run("r-1", 1, suite=60), run("r-2", 2, suite=62, spec={"version": "plus"})]
    for order in permutations(sides_):
        compared, other, why = refused([base(), *order])
        assert why.startswith(f"runs of {other.label} among themselves: AutoAttack: version")
        assert (other.id, SUITE) not in compared.cells
        assert results_table(compared).rows[1].cells[-1].barred


def test_a_baseline_whose_runs_differ_is_refused_to_every_row_and_says_so_itself():
    mixed = [base(), run("base-s1", 1, group="b", suite=50, spec=OTHER)]
    compared, other, why = refused([*mixed, run("r-0", 0, suite=60)])
    assert why == "runs of base-s0 (2) among themselves: epsilon 4/255, not 8/255"
    assert compared.reasons["base-s0", SUITE] == why
    assert compared.delta(other.id, SUITE) is None
    assert compared.delta(other.id, "clean") == pytest.approx(0.0)


def test_any_run_of_a_row_that_was_judged_at_another_checkpoint_is_a_reason():
    last = side("r-1", [cell(SUITE, 60, checkpoint="last")], group="r", seed=1)
    compared, _, why = refused([base(), run("r-0", 0, suite=60), last])
    assert why == "runs of r-0 (2) among themselves: checkpoint last, not best"
    assert not compared.badges  # the other seed is comparable
    assert compare([base(), last], grouped=True).badges == {"r-1": "checkpoint last, not best"}


def test_the_drop_is_not_subtracted_where_one_of_its_attacks_is_refused():
    easier = side("r-0", [cell(CE, 60), cell(SUITE, 58, spec=OTHER)], group="r")
    grid = compare([base(), easier], grouped=True)
    assert grid.cells["r-0", DROP].mean == pytest.approx(-0.02)
    assert grid.delta("r-0", DROP) is None
    assert grid.reasons["r-0", DROP] == "epsilon 4/255, not 8/255"


def test_a_seed_that_ran_twice_is_one_seed_with_the_mean_of_its_runs():
    twice = [run("rslad s0 aaaa", 0, suite=50), run("rslad s0 bbbb", 0, suite=60)]
    (row_,) = make_rows(twice, grouped=True)
    assert (row_.label, row_.draws) == ("rslad (1 seed, 2 runs)", 1)
    value = row_.cell(SUITE)
    assert (value.mean, value.std, value.runs, value.of, value.n) == (pytest.approx(0.55), None, 1, 1, 100)
    assert (value.low, value.high) == wilson(55, 100)


def test_means_and_deviations_are_over_seeds_not_over_runs():
    """Seeds 40 and 50 (of 45 and 55): mean 45, deviation 50 ** 0.5; over the runs it would be 46.7."""
    runs = [run("a s0", 0, suite=40), run("a s1 x", 1, suite=45), run("a s1 y", 1, suite=55)]
    (row_,) = make_rows(runs, grouped=True)
    value = row_.cell(SUITE)
    assert row_.label == "a (2 seeds, 3 runs)"
    assert (value.mean, value.runs, value.of) == (pytest.approx(0.45), 2, 2)
    assert value.std == pytest.approx(0.5**0.5 / 10)
    assert make_rows(runs[:2], grouped=True)[0].label == "a (2)"


def test_a_mean_stands_on_the_images_of_one_run_not_on_their_sum():
    """10,000 images carry a second decimal; 3 seeds of 4,000 do not."""
    cells = [cell("clean", 2000 + k, 4000, of=4000) for k in range(3)]
    grid = compare([side(f"a-{k}", [one], group="a", seed=k) for k, one in enumerate(cells)], grouped=True)
    assert grid.cells["a-0", "clean"].n == 4000


def test_a_table_of_one_seed_tells_no_deviation_and_says_what_was_done():
    compared = compare([base(), run("r s0 x", 0, suite=50), run("r s0 y", 0, suite=60)], grouped=True)
    table = results_table(compared)
    assert all(one.std is None and one.runs == 1 for line in table.rows for one in line.cells)
    assert not any("deviation" in words for words in legend(table, best="*"))
    assert table.rows[1].label == "r (1 seed, 2 runs)"
    assert (
        "",
        "r (1 seed, 2 runs): a seed that ran more than once counts once, by the mean of its runs.",
    ) in table.notes
    (line,) = [line for line in comparison_document(compared).tables if line.key == "differences"]
    assert line.rows[-1].cells[0].value == pytest.approx(5.0)


def test_a_seed_that_ran_twice_has_the_difference_of_its_mean_and_no_test_on_images():
    once = outcomes("base", autoattack="1" * 50 + "0" * 50)
    runs = [outcomes(name, autoattack="1" * right + "0" * (100 - right)) for name, right in (("a", 90), ("b", 80))]
    compared = compare([once, *(replace(one, group="r") for one in runs)], grouped=True)
    found = compared.contrasts["a", SUITE]
    assert (found.kind, found.p, found.is_significant) == ("unpaired", None, False)
    assert found.difference == pytest.approx(0.35)
    assert found.low > 0 and compared.tied == {("a", SUITE)}
    assert found.why == "the mean of a seed that ran more than once: unpaired interval, no test"


def test_seeds_that_are_waited_for_are_counted_not_their_runs():
    twice = [run("r s0 x", 0, suite=50), run("r s0 y", 0), run("r s1", 1)]
    compared = compare([base(), *twice], grouped=True)
    notes = [words for _, words in results_table(compared).notes]
    assert "r (2 seeds, 3 runs): seeds with a number: AutoAttack 1 of 2." in notes
    assert compared.empty == {}
    assert compare([run("a", 0), side("b", group="r", seed=0)], grouped=True).empty == {}


def test_a_drop_of_other_runs_makes_no_order_though_the_seeds_are_as_many():
    twice = [run("r s0 x", 0, suite=50, ce=60), run("r s0 y", 0, ce=80)]
    grid = compare([base(), *twice], grouped=True)
    assert grid.order.text.endswith("AutoAttack has fully judged only base-s0")
    assert grid.cells["r s0 x", DROP].mean == pytest.approx(-0.10)


def test_gaps_within_runs_are_over_seeds():
    twice = [run("r x", 0, suite=50, ce=60), run("r y", 0, suite=50, ce=64)]
    one = attack_gap(twice, CE, SUITE)
    assert (one.difference, one.kind, one.low) == (pytest.approx(0.12), "paired", None)
    assert one.why == "the mean of a seed that ran more than once: no interval"
    compared = compare([base(), *twice, run("r z", 1, suite=50, ce=70)], grouped=True)
    line = masking_table(compared).rows[1]
    assert (line.cells[0].value, line.cells[0].runs) == (pytest.approx(66.0), 2)
    assert (line.cells[1].value, line.cells[1].runs) == (pytest.approx(16.0), 2)


def test_classes_are_means_over_seeds():
    """Class 0: seeds 0.4 (of 0.2 and 0.6) and 0.8; class 1: seeds 0.7 (of 0.6 and 0.8) and 0.1."""
    shares = ((0, [0.2, 0.6]), (0, [0.6, 0.8]), (1, [0.8, 0.1]))
    runs = [run(f"r-{k}", seed, suite=50, per_class=list(two)) for k, (seed, two) in enumerate(shares)]
    compared = compare([base(per_class=[0.5, 0.5]), *runs], grouped=True)
    worst = compared.worst_class(compared.rows[1], SUITE)
    assert worst.values == pytest.approx((0.7, 0.1))
    entries, _ = class_differences(compared.rows[1], compared.base, SUITE)
    assert [one.points for one in entries] == pytest.approx([10.0, -10.0])


def test_curves_are_means_and_bands_over_seeds():
    """At epoch 1: seeds 0.3 (of 0.2 and 0.4) and 0.5; the third epoch only one run has."""
    runs = ((0, [0.2, 0.4]), (0, [0.4, 0.4, 0.9]), (1, [0.5, 0.6]))
    sides_ = [side(f"r-{k}", group="r", seed=seed, state=trained(a)) for k, (seed, a) in enumerate(runs)]
    (row_,) = make_rows(sides_, grouped=True)
    both = curves.row_curve(row_, SELECTING)
    np.testing.assert_allclose(both.series.arrays(), [[1, 2], [0.4, 0.5]])
    assert both.band.nearest(0) == (1, pytest.approx(0.4 - 0.02**0.5))
    (figure,) = lines(compare(sides_, grouped=True))
    assert figure.series[0].y == pytest.approx((40, 50))
    assert figure.series[0].high[0] == pytest.approx(40 + 200**0.5)
    again = row(*sides_[:2])
    one = curves.row_curve(again, SELECTING)
    assert one.band is None and one.series.nearest(1) == (1, pytest.approx(0.3))
    (alone,) = lines(compare(sides_[:2], grouped=True))
    assert (alone.series[0].y, alone.series[0].low) == (pytest.approx((30, 40)), ())


def test_runs_without_a_seed_are_each_their_own():
    one, two = (replace(judged(name, 50, 40, group="g"), config={"kind": "evaluation"}) for name in "ab")
    (row_,) = make_rows([one, two], grouped=True)
    assert (row_.draws, row_.label) == (2, "a (2)")
