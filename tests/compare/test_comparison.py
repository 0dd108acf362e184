"""Runs side by side, by values that are worked out by hand."""

from dataclasses import replace

import pytest

from crdnd_tui.compare import config
from crdnd_tui.compare.comparison import DROP, compare
from crdnd_tui.compare.rows import ClassDifference, class_differences, make_rows
from crdnd_tui.compare.runs import incomparable, labels, runs_incomparable
from crdnd_tui.core import format
from crdnd_tui.core.marks import Marked
from crdnd_tui.core.palette import DARK
from crdnd_tui.core.result_files import Images
from crdnd_tui.core.state import RunState
from crdnd_tui.tui.comparison_view import ComparisonLook, ComparisonView
from crdnd_tui.tui.widgets import differences, result_grid
from crdnd_tui.tui.widgets.result_grid import View
from crdnd_tui.write.comparison_summary import ComparisonPlan, summarize
from engine.spec.events import Warned
from tests.compare.runs import cell, judged, side, trained


def test_labels_are_method_and_seed_and_longer_only_where_they_must_differ():
    def table(method, seed, student="resnet18"):
        return {"method": {"name": method}, "seed": seed, "student": {"name": student}}

    assert labels([("a", table("crdnd", 0)), ("b", table("rslad", 1))]) == ["crdnd s0", "rslad s1"]
    students = [("a", table("crdnd", 0)), ("b", table("crdnd", 0, "mobilenet_v2"))]
    assert labels(students) == ["crdnd resnet18 s0", "crdnd mobilenet_v2 s0"]
    same = [("run-1111", table("crdnd", 0)), ("run-2222", table("crdnd", 0))]
    assert labels(same) == ["crdnd s0 1111", "crdnd s0 2222"]
    assert labels([("run-abcd", {"kind": "evaluation"}), ("some-damaged-run", {})]) == ["judged abcd", "-damaged-run"]


def test_runs_of_one_method_are_called_as_their_presets_call_them():
    def config(name, method, seed=0):
        return {"name": name, "seed": seed, "method": {"name": method}, "student": {"name": "small_cnn"}}

    study = [("1", config("CRDND, digits", "crdnd")), ("2", config("CRDND without ACM, digits", "crdnd", 1)),
             ("3", config("CRDND+, digits", "crdnd")), ("4", config("RSLAD, digits", "rslad"))]  # fmt: skip
    assert labels(study) == ["CRDND s0", "CRDND without ACM s1", "CRDND+ s0", "RSLAD s0"]
    other = [*study[:1], ("5", config("CRDND+, cifar", "crdnd"))]
    assert labels(other) == ["CRDND, digits s0", "CRDND+, cifar s0"]


def test_two_experiments_never_share_a_name():
    one = [judged(f"run-a{k}", 1, 1, group="a", seed=k) for k in (0, 1)]
    two = [judged(f"run-b{k}", 1, 1, group="b", seed=k) for k in (2, 3)]
    sides = [replace(run, label=f"crdnd s{k}") for k, run in enumerate([*one, *two])]
    assert [row.label for row in make_rows(sides, grouped=True)] == ["crdnd n-a0 (2)", "crdnd n-b2 (2)"]
    names = [
        (f"run-{k}", {"name": f"{'very ' * 20}long name {k}", "seed": 0, "method": {"name": "m"}}) for k in range(2)
    ]
    assert len(set(labels(names))) == 2


def test_nested_tables_become_dotted_paths_and_attacks_go_by_their_names():
    table = {
        "name": "mine", "seed": 0, "method": {"name": "crdnd", "tau": 1.0},
        "evaluation": {"attacks": [{"name": "fgsm"}, {"name": "pgd", "label": "pgd50", "steps": 50}], "at": []},
        "teacher": {"preset": "t.toml", "config": {"name": "t", "seed": 3}},
    }  # fmt: skip
    assert config.flatten(table) == {
        "seed": "0", "method.name": "crdnd", "method.tau": "1.0", "evaluation.attacks.fgsm.name": "fgsm",
        "evaluation.attacks.pgd50.name": "pgd", "evaluation.attacks.pgd50.label": "pgd50",
        "evaluation.attacks.pgd50.steps": "50", "evaluation.at": "[]", "teacher.config.seed": "3",
    }  # fmt: skip


def test_the_order_of_attacks_is_no_difference_and_a_missing_key_is_a_dash():
    one = {"attacks": [{"name": "a", "steps": 1}, {"name": "b", "steps": 2}], "x": {"y": 1}}
    two = {"attacks": [{"name": "b", "steps": 2}, {"name": "a", "steps": 1}], "x": {}}
    differing = [key for key in config.all_keys([one, two]) if key.differs]
    assert [(key.path, key.values) for key in differing] == [("x.y", ("1", "\u2013")), ("x", ("\u2013", "{}"))]


def test_keys_that_all_runs_have_come_first():
    found = config.all_keys([{"only": 1, "both": 1}, {"both": 2}])
    assert [key.path for key in found] == ["both", "only"]


def test_long_fractions_are_shortened_only_while_they_differ():
    third = config.all_keys([{"x": 1 / 6}, {"x": 0.2}])[0]
    assert third.values == ("0.1667", "0.2")
    near = config.all_keys([{"x": 0.123456}, {"x": 0.123457}])[0]
    assert near.values == ("0.123456", "0.123457")


def test_a_group_lists_the_values_in_which_its_runs_differ():
    sides = [side("a", seed=0, group="g"), side("b", seed=1, group="g"), side("c", seed=0, group="h")]
    rows = make_rows(sides, grouped=True)
    keys = {key.path: key.values for key in config.config_keys(rows)}
    assert keys["seed"] == ("0, 1", "0")


def test_three_seeds_are_their_mean_and_sample_deviation():
    sides = [judged(f"crdnd-{k}", pgd, 40, group="g", seed=k) for k, pgd in enumerate((50, 52, 57))]
    grid = compare(sides, grouped=True)
    value = grid.cells["crdnd-0", "pgd_sat"]
    assert (value.mean, value.runs) == (pytest.approx(0.53), 3)
    assert value.std == pytest.approx((((-3) ** 2 + 1 + 4**2) / 2) ** 0.5 / 100)  # n - 1
    assert grid.rows[0].label == "crdnd-0 (3)"
    assert grid.cells["crdnd-0", "autoattack"].std == 0.0


def test_a_difference_is_in_points_and_has_the_sign_of_the_gain():
    grid = compare([judged("a", 50, 40), judged("b", 55, 38)])
    assert grid.delta("b", "pgd_sat") == pytest.approx(5.0)
    assert grid.delta("b", "autoattack") == pytest.approx(-2.0)
    assert grid.cells["b", DROP].mean == pytest.approx(-0.17)
    assert grid.delta("b", DROP) == pytest.approx(-7.0)
    assert [format.points(x) for x in (5.04, -2.0, 0.04, -0.04)] == ["+5.0", "\u22122.0", "0.0", "0.0"]


def test_another_baseline_turns_the_sign():
    grid = compare([judged("a", 50, 40), judged("b", 55, 38)], baseline="b")
    assert grid.base.id == "b"
    assert grid.delta("a", "pgd_sat") == pytest.approx(-5.0)


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (judged("b", 50, 40, data="cifar100"), "data cifar100, not cifar10"),
        (judged("b", 50, 40, epsilon="4/255"), "epsilon 4/255, not 8/255"),
        (side("b", [cell("pgd_sat", 50, checkpoint="last")]), "checkpoint last, not best"),
    ],
)
def test_runs_that_answer_other_questions_are_not_comparable_at_all(other, why):
    base = judged("a", 50, 40)
    assert runs_incomparable(other, base) == why
    grid = compare([base, other])
    assert grid.badges == {"b": why}
    assert grid.delta("b", "pgd_sat") is None
    assert grid.order.text == ""  # it has no part in any


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (cell("pgd_sat", 25, n=50), "50 of 100 test images, not 100 of 100 test images"),
        (cell("pgd_sat", 50, spec={"steps": 10}), "PGD-SAT: steps 10, not \u2013"),
        (cell("pgd_sat", 50, spec={"epsilon": "4/255"}), "epsilon 4/255, not 8/255"),
        (cell("pgd_sat", 50, spec={"seed": 7, "batch_size": 1, "label": "mine"}), ""),
    ],
)
def test_a_cell_of_another_attack_or_other_images_has_a_reason_in_place_of_a_difference(other, why):
    base = side("a", [cell("pgd_sat", 40), cell("clean", 90)])
    run = side("b", [other, cell("clean", 91)])
    assert incomparable(run, base, "pgd_sat") == why
    grid = compare([base, run])
    assert (grid.delta("b", "pgd_sat") is None) == bool(why)
    assert grid.delta("b", "clean") == pytest.approx(1.0)


def test_as_many_but_other_images_are_no_pair():
    one, two = (
        side(run, [cell("clean", 90)], records={("best", "clean"): Images(n=100, indices=digest)})
        for run, digest in (("a", "1"), ("b", "2"))
    )
    assert incomparable(one, two, "clean") == "other test images, though as many"
    assert incomparable(one, replace(two, records={}), "clean") == ""  # unknown is no difference


def test_the_worst_case_is_the_last_column_of_the_ball_and_another_threat_model_stands_apart():
    cells = [cell("worst", 30), cell("cw_2", 70), cell("autoattack", 31), cell("clean", 90)]
    grid = compare([side("a", cells)])
    assert (grid.columns, grid.apart) == (("clean", "autoattack", "worst"), ("cw_2",))


def test_marks_have_one_letter_for_all_runs():
    warned = (
        Warned(code="subset", message="", attack="clean"),
        Warned(code="steps_help", message="", attack="pgd_sat"),
    )
    table = {"best": {"clean": cell("clean", 90), "pgd_sat": cell("pgd_sat", 50)}}
    one = side("a", state=RunState(table=table, warnings=warned[1:]))
    two = side("b", state=RunState(table=table, warnings=warned))
    grid = compare([one, two])
    assert {key: v.marked for key, v in grid.cells.items() if v.marked.letters} == {
        ("b", "clean"): ("a", "amber"), ("a", "pgd_sat"): ("b", "amber"), ("b", "pgd_sat"): ("b", "amber"),
    }  # fmt: skip
    assert [letter for letter, _ in grid.notes] == ["a", "b", ""]  # the last one is on checks


def test_classes_are_subtracted_only_where_both_answer_the_same_question():
    one = side("a", [cell("clean", 90, per_class=[0.5, 0.25])])
    two = side("b", [cell("clean", 80, per_class=[0.75, 0.20])])
    rows = make_rows([one, two], grouped=False)
    known, why = class_differences(rows[1], rows[0], "clean")
    assert ([round(c.points, 6) for c in known], why) == ([25.0, -5.0], "")
    assert class_differences(rows[0], rows[0], "clean")[0] == []
    other = make_rows([side("c", [cell("clean", 80, per_class=[1.0])], data="digits")], grouped=False)
    assert class_differences(other[0], rows[0], "clean")[1].startswith("Not comparable: data digits")


def test_keys_that_the_same_runs_lack_are_one_line_unless_the_others_differ_in_them():
    one = {"method": {"name": "crdnd", "a": 1, "b": 2, "c": 3, "d": 4}, "teacher": {"x": 1}}
    two = {"method": {"name": "crdnd", "a": 1, "b": 2, "c": 3, "d": 5}, "teacher": {"x": 1}}
    found = config.fold_keys(config.all_keys([one, two, {"method": {"name": "natural"}}]))
    assert [(key.path, key.values) for key in found] == [
        ("method.name", ("crdnd", "crdnd", "natural")),
        ("method.*", ("3 keys", "3 keys", "\u2013")),
        ("method.d", ("4", "5", "\u2013")),
        ("teacher.x", ("1", "1", "\u2013")),
    ]


def test_a_run_without_numbers_says_why():
    waiting = replace(side("a", state=trained([0.5])), status="running")
    failed = replace(side("b"), status="failed", why="no memory")
    grid = compare([waiting, failed])
    assert grid.empty == {"a": "running, epoch 1 of 9; nothing judged yet", "b": "failed: no memory; no results"}


def test_seeds_that_are_not_judged_yet_are_counted_apart():
    grid = compare([judged("a", 50, 40, group="g"), side("b", group="g", seed=1)], grouped=True)
    assert grid.empty == {"a": "1 of 2 seeds are judged"}
    assert grid.cells["a", "pgd_sat"].runs == 1


def test_the_view_finds_its_rows_again():
    sides = [judged("a", 50, 40, group="g"), judged("b", 50, 41, group="g"), judged("c", 1, 2)]
    shown = ComparisonView(sides, ComparisonLook(), compare(sides))
    assert (shown.base.id, shown.row.id, shown.beside(5).id, shown.beside(-5).id) == ("a", "b", "c", "a")
    assert shown.attack == "autoattack"
    look = ComparisonLook(grouped=True, cursor="b", baseline="c", attack="clean")
    shown = ComparisonView(sides, look, compare(sides, grouped=True, baseline="c"))
    assert (shown.row.id, shown.base.id, shown.attack) == ("a", "c", "clean")


@pytest.mark.parametrize("width", [1, 20, 40, 76, 95, 114, 176])
@pytest.mark.parametrize("grouped", [False, True])
def test_the_table_fits_any_width_and_names_what_it_leaves_out(width, grouped):
    attacks = ["clean", "fgsm", "pgd_sat", "pgd_trades", "cw_inf", "pgd_rescaled", "autoattack", "worst", "cw_2"]
    groups = ("g", "g", "g", "alone")
    sides = [side(f"run-{k}", [cell(a, 50 + k) for a in attacks], group=g, seed=k) for k, g in enumerate(groups)]
    found = summarize(sides, ComparisonPlan(grouped=grouped))
    lines = result_grid.lines(found, View(colours={}, cursor="run-0", attack="worst"), DARK, width)
    text = "\n".join(line.plain for line in lines)
    if width >= 40:
        assert max(line.cell_len for line in lines) <= width
    if width == 40:
        assert "not shown for want of room" in text
    if width == 176:
        assert "not shown" not in text
        assert ("\u00b1" in text) if grouped else ("40.4\u201359.6" in text)


@pytest.mark.parametrize("width", [1, 12, 30, 56, 86])
def test_bars_of_classes_fit_and_lie_on_their_side(width):
    known = [
        ClassDifference(name=f"c{k}", baseline=0.5, here=0.5 + points / 100) for k, points in enumerate((-20, 0, 10))
    ]
    lines = differences.class_lines(known, "", DARK, width, 3)
    if width >= 30:
        assert max(line.cell_len for line in lines) <= width
        left, zero, right = (line.plain for line in lines)
        assert left.index("\u2588") < left.index("\u2502")
        assert "\u2588" not in zero
        assert right.index("\u2502") < right.index("\u2588")


@pytest.mark.parametrize("width", [30, 56, 86])
@pytest.mark.parametrize(("marked", "signs"), [(Marked("ab", "amber"), "ab"), (Marked("c", "red"), "!!c")])
def test_differences_of_classes_bear_the_marks_of_what_they_are_made_of(width, marked, signs):
    known = [ClassDifference(name=f"c{k}", baseline=0.5, here=0.5 + k / 10) for k in range(3)]
    lines = differences.class_lines(known, "", DARK, width, 3, marked)
    assert max(line.cell_len for line in lines) <= width
    for line, points in zip(lines, ("0.0", "+10.0", "+20.0"), strict=True):
        assert f"{points}{signs}" in line.plain
        assert any("strike" in str(span.style) for span in line.spans) == marked.struck


def test_eight_runs_whose_values_find_no_columns_are_listed_below_each_key():
    sides = [side(f"run-{k}", epsilon=f"{k % 2}/255") for k in range(8)]
    rows = make_rows(sides, grouped=False)
    keys = [key for key in config.config_keys(rows) if key.path == "threat_model.epsilon"]
    lines = [line.plain for line in differences.key_lines(keys, rows, {}, DARK, 76)]
    assert lines[0] == "threat_model.epsilon"
    assert lines[1].split() == ["0/255", "run-0", "run-2", "run-4", "run-6"]
