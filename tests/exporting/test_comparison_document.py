"""A comparison as a document, by runs whose numbers are worked out by hand."""

import math
from dataclasses import replace

import pytest

from crdnd_tui.compare.comparison import compare
from crdnd_tui.compare.significance import contrasts
from crdnd_tui.write.comparison_tables import compact_differences
from crdnd_tui.write.document import Cell
from crdnd_tui.write.numbers import legend
from engine.spec.events import Validated
from engine.spec.statistics import mcnemar_p, wilson
from tests.compare.runs import cell, compared_document, judged, outcomes, seen, side, trained

BASE = "1" * 50 + "0" * 50
OTHER = "0" * 10 + "1" * 60 + "0" * 30  # right in it alone: 20; in the base alone: 10


def table(document, key):
    return next(one for one in document.tables if one.key == key)


def keys(document):
    return [one.key for one in document.tables]


def values(found, label):
    """Column -> cell of the first line of this name."""
    row = next(row for row in found.rows if row.label == label)
    return {column.key: cell for column, cell in zip(found.columns, row.cells, strict=True)}


def seeds(name, accuracies, group):
    return [judged(f"{name}-{k}", 60, right, group=group, seed=k) for k, right in enumerate(accuracies)]


def over_seeds():
    """RSLAD 50, 52, 54; CRDND 47, 48, 52: differences -3, -4, -2."""
    return [*seeds("rslad", (50, 52, 54), "r"), *seeds("crdnd", (47, 48, 52), "c")]


def unlike():
    """The same attack in another ball."""
    other = side("other-s0", [cell("clean", 80), cell("autoattack", 60, spec={"epsilon": "4/255"})], epsilon="4/255")
    return [judged("base-s0", 60, 50), other]


def empty():
    return [judged("base-s0", 60, 50), side("none-s0"), side("dead-s0", why="out of memory")]


def test_two_runs_are_compared_image_by_image():
    document = compared_document([outcomes("base", autoattack=BASE), outcomes("other", autoattack=OTHER)])
    found = values(table(document, "differences"), "other")
    assert found["difference"].value == pytest.approx(10.0)
    assert (found["b"].value, found["c"].value, found["n"].value) == (20, 10, 100)
    assert found["p"].value == pytest.approx(mcnemar_p(20, 10))
    assert found["difference"].low < 10 < found["difference"].high
    assert "pairs" not in found  # columns that nobody fills are left out
    assert document.lead[-1] == (
        "The difference of other to base under AutoAttack, +10.0 points, is not significant (p = 0.0987)."
    )


def test_over_seeds_the_least_possible_p_is_told():
    document = compared_document(over_seeds(), grouped=True)
    found = values(table(document, "differences"), "crdnd-0 (3)")
    lines = table(document, "differences").rows
    assert [row.group for row in lines] == ["clean", "PGD-SAT", "AutoAttack"]
    suite = dict(zip((c.key for c in table(document, "differences").columns), lines[-1].cells, strict=True))
    assert suite["difference"].value == pytest.approx(-3.0)
    assert (suite["pairs"].value, suite["p"].value, suite["smallest"].value) == (3, 0.25, 0.25)
    assert suite["t_p"].value == pytest.approx(1 - math.sqrt(27 / 29))  # t = -3 sqrt(3), 2 degrees of freedom
    assert found["difference"].value == pytest.approx(0.0)
    words = " ".join(document.lead)
    assert "with 3 seeds the sign-flip test cannot go below p = 0.25" in words
    assert "Indicative only, for so few seeds: uncorrected t tests put crdnd-0 (3) (p = 0.0351) below 0.05." in words


def test_seeds_that_differ_are_an_indication_when_they_are_few():
    other = [replace(run, config={"seed": k + 7}) for k, run in enumerate(seeds("crdnd", (30, 31, 32), "c"))]
    document = compared_document([*seeds("rslad", (50, 52, 54), "r"), *other], grouped=True)
    words = " ".join(document.lead)
    assert "with so few runs the permutation test cannot go below p = 0.1, whatever the difference" in words
    assert "Indicative only, for so few seeds: uncorrected t tests put crdnd-0 (3) (p < 0.001) below 0.05." in words
    assert "sign-flip" not in words


def test_a_mean_over_seeds_has_its_deviation_and_one_run_its_wilson_interval():
    document = compared_document([*seeds("rslad", (50, 52, 54), "r"), judged("iad-0", 60, 30)], grouped=True)
    results = table(document, "results")
    mean, alone = values(results, "rslad-0 (3)")["autoattack"], values(results, "iad-0")["autoattack"]
    assert (mean.value, mean.std, mean.runs, mean.low) == (pytest.approx(52.0), pytest.approx(2.0), 3, None)
    low, high = wilson(30, 100)
    assert (alone.low, alone.high, alone.n) == (pytest.approx(100 * low), pytest.approx(100 * high), 100)
    assert "the choice of 100 images carries an error of 9.6 points" in results.caption


def test_the_best_are_those_that_cannot_be_told_from_the_best():
    worse = outcomes("worse", autoattack="0" * 90 + "1" * 10)
    document = compared_document([outcomes("base", autoattack=BASE), outcomes("other", autoattack=OTHER), worse])
    results = table(document, "results")
    assert {row.label for row in results.rows if row.cells[0].best} == {"base", "other"}
    assert [row.label for row in results.rows if row.cells[0].significant] == ["worse"]
    assert legend(results, best="Bold")[-1] == "\u2020 differs from base: p below 0.05 after Holm's correction."
    assert "% right" not in results.caption and results.caption.startswith("L-inf, epsilon 8/255")
    assert values(table(document, "differences"), "worse")["difference"].significant
    assert "1 is significant after Holm's correction: worse (\u221240.0)" in " ".join(document.lead)


def test_what_is_not_comparable_has_a_reason_and_no_number():
    document = compared_document(unlike())
    cells = values(table(document, "results"), "other-s0")
    assert cells["autoattack"] == Cell(text="epsilon 4/255, not 8/255", barred=True)
    assert "differences" not in keys(document)
    assert document.warnings == ("other-s0: not comparable: epsilon 4/255, not 8/255",)
    assert [figure.key for figure in document.figures if figure.key == "tradeoff"] == []
    assert all(row.label != "other-s0" for key in ("masking", "worst-class") for row in _rows(document, key))


def _rows(document, key):
    return next((one.rows for one in document.tables if one.key == key), ())


def test_one_attack_that_was_asked_otherwise_bars_its_own_column_only():
    other = side("other", [cell("clean", 85), cell("pgd_sat", 50, spec={"steps": 50})])
    document = compared_document([side("base", [cell("clean", 90), cell("pgd_sat", 60)]), other])
    results = values(table(document, "results"), "other")
    assert results["pgd_sat"].barred and "steps" in results["pgd_sat"].text
    assert results["clean"].value == pytest.approx(85.0)
    lines = [row.cells[0] for row in table(document, "differences").rows]
    assert [line.barred for line in lines] == [False, True]


def test_a_run_without_results_keeps_its_row_and_says_why():
    document = compared_document(empty())
    results = table(document, "results")
    assert [row.label for row in results.rows] == ["base-s0", "none-s0", "dead-s0"]
    assert ("", "dead-s0: done: out of memory; no results.") in results.notes
    assert "none-s0: done; no results" in document.warnings
    assert "differences" not in keys(document)


def test_a_baseline_without_results_is_the_reason_of_all():
    sides = [side("none-s0"), judged("base-s0", 60, 50)]
    compared = compare(sides)
    assert compared.whole_refusal(compared.others[0]) == "done; no results"


def test_the_gap_that_cross_entropy_overlooks_is_paired_within_a_run():
    run = outcomes("trades", pgd_sat="1" * 60 + "0" * 40, autoattack="1" * 45 + "0" * 55)
    clean = cell("clean", 90, details={"max_logit": 3.25})
    run = replace(run, state=replace(run.state, table={"best": run.state.table["best"] | {"clean": clean}}))
    (row,) = table(compared_document([run]), "masking").rows
    pgd, gap, scale = row.cells
    assert (pgd.value, gap.value, scale.text) == (pytest.approx(60.0), pytest.approx(15.0), "3.25")
    assert 0 < gap.low < 15 < gap.high


def test_best_against_last_on_the_test_images_and_on_validation():
    state = trained([0.5, 0.6, 0.55])
    ended = replace(state, training=replace_struct(state.training, epochs=3))
    chosen = [replace_struct(v, best=k == 1) for k, v in enumerate(ended.validations)]
    cells = {c: {"autoattack": cell("autoattack", n, checkpoint=c)} for c, n in (("best", 50), ("last", 44))}
    run = side("sat", state=replace(ended, validations=tuple(chosen), table=cells))
    found = table(compared_document([run]), "overfitting")
    assert [row.group for row in found.rows] == ["AutoAttack, test", "PGD, validation, 1 images"]
    tested, validated = ([cell.value for cell in row.cells] for row in found.rows)
    assert tested == pytest.approx([50.0, 44.0, 6.0])
    assert validated == pytest.approx([60.0, 55.0, 5.0])


def replace_struct(event, **changes):
    return type(event)(**{key: getattr(event, key) for key in event.__struct_fields__} | changes)


def test_a_training_that_goes_on_has_no_last_epoch():
    assert "overfitting" not in keys(compared_document([side("sat", state=trained([0.5, 0.6]))]))


def test_the_worst_class_has_the_interval_of_its_own_images():
    run = side("base", [cell("autoattack", 50, per_class=[0.7, 0.1, 0.7])])
    images = replace(seen("1" * 50 + "0" * 50), counts=(40, 20, 40))
    found = table(compared_document([replace(run, records={("best", "autoattack"): images})]), "worst-class")
    name, accuracy, count = found.rows[0].cells
    low, high = wilson(2, 20)
    assert (name.text, accuracy.value, count.value) == ("class 1", pytest.approx(10.0), 20)
    assert (accuracy.low, accuracy.high) == (pytest.approx(100 * low), pytest.approx(100 * high))


def test_classes_differ_by_points_in_table_and_bars():
    one = side("base", [cell("autoattack", 50, per_class=[0.6, 0.4])])
    two = side("other", [cell("autoattack", 50, per_class=[0.5, 0.5])])
    document = compared_document([one, two])
    rows = [[cell.value for cell in row.cells] for row in table(document, "classes").rows]
    assert rows == [pytest.approx([60.0, -10.0]), pytest.approx([40.0, 10.0])]
    (bars,) = [figure.bars for figure in document.figures if figure.key == "classes-1"]
    assert [bar.value for bar in bars] == pytest.approx([-10.0, 10.0])


def test_only_keys_that_differ_are_listed():
    document = compared_document([judged("crdnd-a", 1, 1), judged("rslad-b", 1, 1, seed=3)])
    rows = {row.label: [cell.text for cell in row.cells] for row in table(document, "config").rows}
    assert rows == {"seed": ["0", "3"], "method.name": ["crdnd", "rslad"]}


def test_the_trade_off_and_the_attacks_are_figures():
    document = compared_document(over_seeds(), grouped=True)
    figures = {figure.key: figure for figure in document.figures}
    point = figures["tradeoff"].series[0]
    assert (point.x, point.y) == (pytest.approx((90.0,)), pytest.approx((52.0,)))
    assert (point.low, point.high) == (pytest.approx((50.0,)), pytest.approx((54.0,)))
    assert [bar.value for bar in figures["attacks"].bars] == pytest.approx([60.0, 52.0, 60.0, 49.0])
    assert [legend.label for legend in figures["attacks"].series] == ["PGD-SAT", "AutoAttack"]
    assert [one.runs[0] for one in figures["tradeoff"].series] == ["rslad-0", "crdnd-0"]
    known, runs = [(bar.label, bar.series, bar.runs) for bar in figures["attacks"].bars], tuple(point.runs)
    assert known[:2] == [("rslad-0 (3)", "PGD-SAT", runs), ("rslad-0 (3)", "AutoAttack", runs)]


def test_a_share_is_never_below_nothing_nor_above_all():
    document = compared_document([*seeds("low", (0, 0, 5), "l"), *seeds("high", (100, 100, 96), "h")], grouped=True)
    figures = {figure.key: figure for figure in document.figures}
    assert figures["tradeoff"].series[0].low == (0.0,)
    assert max(bar.high for bar in figures["attacks"].bars) == 100.0
    assert all(0 <= bar.low <= bar.value <= bar.high <= 100 for bar in figures["attacks"].bars)


def test_runs_that_are_chosen_by_different_attacks_are_never_one_chart():
    other = trained([0.5, 0.5])
    clean = tuple(replace_struct(v, by="clean") for v in other.validations if isinstance(v, Validated))
    sides = [side("a", state=trained([0.2, 0.3])), side("b", state=replace(other, validations=clean))]
    figures = compared_document(sides).figures
    assert [(figure.key, len(figure.series)) for figure in figures] == [("validation-pgd", 1), ("validation-clean", 1)]


@pytest.mark.parametrize(
    "sides", [over_seeds(), unlike(), empty(), [side("none-s0")]], ids=["seeds", "unlike", "empty", "none"]
)
@pytest.mark.parametrize("grouped", [True, False])
def test_every_table_is_whole_and_every_row_names_its_runs(sides, grouped):
    known = {one.id for one in sides}
    document = compared_document(sides, grouped=grouped)
    for one in document.tables:
        assert one.rows and one.columns
        assert all(len(row.cells) == len(one.columns) for row in one.rows)
        assert all(set(row.runs) <= known for row in one.rows)
        assert not one.rows[0].rule
    if len(sides) > 1:
        assert {run for row in table(document, "results").rows for run in row.runs} == known


def test_the_baseline_is_any_run_of_its_row():
    sides = over_seeds()
    compared = compare(sides, grouped=True, baseline="crdnd-2")
    assert (compared.base.label, [row.label for row in compared.others]) == ("crdnd-0 (3)", ["rslad-0 (3)"])
    assert compared.contrasts == contrasts(compared.rows, compared.base, compared.attacks)


def test_a_terminal_has_the_counts_beside_the_test():
    compared = compare([outcomes("base", autoattack=BASE), outcomes("other", autoattack=OTHER)])
    compact = compact_differences(compared, compared.attacks)
    assert [column.key for column in compact.columns] == ["difference", "test", "p", "adjusted"]
    assert compact.rows[0].cells[1].text == "McNemar, 20 : 10"
    spread = compare(over_seeds(), grouped=True)
    compact = compact_differences(spread, ["autoattack"])
    assert compact.rows[0].cells[1].text == "sign flip, 3 seeds"
    assert ("", "The sign-flip test of 3 seeds cannot go below p = 0.25.") in compact.notes
