"""What the tests fill the Compare screen with: columns, words, pages, by made-up runs."""

from dataclasses import replace

import pytest

from crdnd_tui.compare.comparison import compare
from crdnd_tui.core.palette import DARK
from crdnd_tui.tui.widgets import contrast_columns, finding_sheets, result_grid
from crdnd_tui.tui.widgets.result_grid import View
from crdnd_tui.write.comparison_summary import ComparisonPlan, SummaryCache, summarize
from engine.spec.events import Warned
from tests.compare.runs import cell, judged, outcomes, side

BETTER, WORSE = "1" * 60 + "0" * 40, "1" * 40 + "0" * 60


def two():
    return [outcomes("base", autoattack=WORSE), outcomes("other", autoattack=BETTER)]


def seeds(many=3):
    base = [judged("base", 50, 30 + seed, group="b", seed=seed) for seed in range(many)]
    other = [judged("other", 60, 40 + 2 * seed, group="o", seed=seed) for seed in range(many)]
    return [
        replace(one, id=f"{one.id}-{one.config['seed']}", label=f"{one.label} s{one.config['seed']}")
        for one in (*base, *other)
    ]


def plain(lines):
    return "\n".join(line.plain for line in lines)


def test_images_right_in_one_run_alone_are_counted_and_the_dagger_is_explained():
    found = summarize(two(), ComparisonPlan())
    (other,) = found.comparison.others
    words = contrast_columns.detail(found, other, "autoattack")
    assert "b = 20 images right in other alone, c = 0 in the baseline alone, n = 100, p < 0.001" in words
    assert words.startswith("other, AutoAttack: 60.0 % [50.2, 69.1] of 100; McNemar: ")  # Wilson, by hand
    assert (
        contrast_columns.detail(found, found.comparison.base, "autoattack")
        == "base, AutoAttack: 40.0 % [30.9, 49.8] of 100"
    )
    assert contrast_columns.legend(found, "autoattack").startswith("\u2020 p below 0.05")
    assert contrast_columns.floor(found, "autoattack") == ""
    block = contrast_columns.block(found, "autoattack", DARK, 60)
    assert block.row("other").plain.split() == ["+20.0", "[+11.7,", "+27.5]", "<", "0.001\u2020"]
    assert block.row("base").plain.strip() == "base"


def test_seeds_say_how_small_p_can_be_and_have_no_dagger():
    found = summarize(seeds(), ComparisonPlan())
    assert found.plan.grouped and [row.label for row in found.comparison.rows] == ["base (3)", "other (3)"]
    assert contrast_columns.floor(found, "autoattack") == "sign flip, 3 seeds: p \u2265 0.25"
    (other,) = found.comparison.others
    words = contrast_columns.detail(found, other, "autoattack")
    assert "3 pairs of seeds: p = 0.250 by sign flip, where 0.25 is the smallest possible; p = 0.0" in words
    text = plain(result_grid.lines(found, View(colours={}, cursor=other.id, attack="autoattack"), DARK, 116))
    assert "+11.0" in text and "\u2020" not in text  # 10, 11, 12
    assert text.index("cannot go below p = 0.25") < text.index("base (3) base")
    low = plain(result_grid.lines(found, View(colours={}, attack="autoattack"), DARK, 116, low=True))
    assert low.index("cannot go below p = 0.25") > low.index("base (3) base")


def test_what_cannot_be_compared_has_a_sign_and_no_number():
    found = summarize([judged("a", 50, 40), judged("b", 60, 50, epsilon="4/255")], ComparisonPlan())
    block = contrast_columns.block(found, "autoattack", DARK, 60)
    assert block.row("b").plain.strip() == "\u2260"
    assert "epsilon 4/255, not 8/255" in plain(finding_sheets.tests(found, "autoattack", {}, DARK, 100))


@pytest.mark.parametrize(("width", "columns"), [(60, 3), (24, 2), (12, 1), (5, 0)])
def test_the_interval_goes_first_and_p_last(width, columns):
    block = contrast_columns.block(summarize(two(), ComparisonPlan()), "autoattack", DARK, width)
    assert (len(block.columns) if block else 0) == columns
    assert block is None or (block.width <= width and 2 in block.columns)


def test_all_seeds_of_one_experiment_stay_rows_and_a_wish_is_kept():
    alone = [one for one in seeds() if one.group == "b"]
    assert summarize(alone, ComparisonPlan()).plan.grouped is False
    assert summarize(seeds(), ComparisonPlan(grouped=False)).plan.grouped is False


def test_bold_is_the_best_and_what_cannot_be_told_from_it():
    near = outcomes("near", autoattack="1" * 61 + "0" * 39)
    found = summarize([*two(), near], ComparisonPlan())
    assert {row for row, attack in found.comparison.tied if attack == "autoattack"} == {"other", "near"}
    lines = result_grid.lines(found, View(colours={}, attack="autoattack"), DARK, 100)
    bold = [line.plain for line in lines if any("bold" in str(s.style) and line.plain[s.start : s.end].strip() in
            ("40.0", "60.0", "61.0") for s in line.spans)]  # fmt: skip
    assert len(bold) == 2


def test_the_attack_in_view_is_the_last_column_to_go():
    attacks = ["clean", "fgsm", "pgd_sat", "pgd_trades", "cw_inf", "autoattack", "worst"]
    sides = [side(run, [cell(a, 50 + k) for a in attacks]) for k, run in enumerate("ab")]
    found = summarize(sides, ComparisonPlan())
    text = plain(result_grid.lines(found, View(colours={}, attack="fgsm"), DARK, 62))
    assert "FGSM \u2212 a" in text
    assert "FGSM" not in text.partition("not shown")[2]


def test_nothing_is_worked_out_again_until_something_said_changes():
    finder, sides = SummaryCache(), two()
    first = finder.of(sides, ComparisonPlan())
    assert finder.of(list(sides), ComparisonPlan()) is first
    assert finder.of(sides, first.plan) is first  # as it was settled
    assert finder.of(sides, ComparisonPlan(baseline="other")) is not first
    grown = [sides[0], replace(sides[1], status="running")]
    assert finder.of(grown, ComparisonPlan()) is not first


def test_a_gap_or_an_end_that_is_not_there_says_what_makes_it():
    found = summarize([side("a", [cell("clean", 50)]), side("b", [cell("clean", 51)])], ComparisonPlan())
    assert "CW-inf" in plain(finding_sheets.gap(found, {}, DARK, 60))
    assert "best and at its last" in plain(finding_sheets.ends(found, {}, DARK, 60)).replace("\n ", "")


def test_labels_have_the_colour_of_their_rows():
    found = summarize(two(), ComparisonPlan())
    lines = finding_sheets.tests(found, "autoattack", {"other": "#123456"}, DARK, 100)
    (line,) = [line for line in lines if line.plain.startswith("  other ")]
    assert ("#123456", "other") in {(str(s.style), line.plain[s.start : s.end]) for s in line.spans}


@pytest.mark.parametrize("width", [20, 40, 76, 116, 176])
def test_pages_never_are_wider_than_their_panel(width):
    for sides in (two(), seeds()):
        found = summarize(sides, ComparisonPlan())
        for lines in (
            finding_sheets.tests(found, "autoattack", {}, DARK, width),
            finding_sheets.gap(found, {}, DARK, width),
            finding_sheets.ends(found, {}, DARK, width),
            result_grid.lines(found, View(colours={}, attack="autoattack"), DARK, width),
        ):
            assert width < 40 or max(line.cell_len for line in lines) <= width


def test_rows_of_a_grid_are_those_of_the_command_line():
    sides = seeds()
    found, known = summarize(sides, ComparisonPlan()).comparison, compare(sides, grouped=True)
    assert (found.cells, found.contrasts, found.notes) == (known.cells, known.contrasts, known.notes)


def test_a_struck_number_has_a_line_through_it_and_is_never_bold():
    base, other = two()
    warned = (Warned(code="constant_output", message="", checkpoint="best"),)
    red = replace(other, state=replace(other.state, warnings=warned))
    made = result_grid.lines(summarize([base, red], ComparisonPlan()), View(colours={}, attack="autoattack"), DARK, 116)
    (line,) = [line for line in made if line.plain.strip(" \u2501").startswith("other") and "60.0!!" in line.plain]
    place = line.plain.index("60.0")
    looks = [str(span.style) for span in line.spans if span.start <= place < span.end]
    assert any("strike" in look for look in looks) and all("bold" not in look.replace("not bold", "") for look in looks)
    assert "struck out: not believed" in plain(made) and "+20.0!!" in plain(made)
