"""Runs side by side, by values that are worked out by hand."""

from dataclasses import replace

import pytest

from crdnd_tui.comparing import comparison, comparison_config, comparison_curves
from crdnd_tui.comparing.comparison import DROP, Value, verdict
from crdnd_tui.comparing.comparison_side import Side, across, labels, reason
from crdnd_tui.comparing.comparison_view import Look, Shown
from crdnd_tui.palette import DARK
from crdnd_tui.state import RunState
from crdnd_tui.widgets import differences, result_grid
from crdnd_tui.widgets.result_grid import View, signed
from engine.spec.events import EpochDone, Evaluated, StepDone, TrainingStarted, Validated, Warned
from engine.spec.outcomes import wilson

BALL = {"norm": "linf", "epsilon": "8/255", "seed": 0, "batch_size": 500}


def cell(attack, right, n=100, checkpoint="best", **more):
    low, high = wilson(right, n)
    spec = {"name": attack} | BALL | more.pop("spec", {})
    fields = {"checkpoint": checkpoint, "attack": attack, "accuracy": right / n, "n": n, "of": 100, "low": low}
    return Evaluated(**fields | {"high": high, "seconds": 1.0, "spec": spec} | more)


def side(run, cells=(), *, epsilon="8/255", data="cifar10", group="", seed=0, **more):
    table = {}
    for one in cells:
        table.setdefault(one.checkpoint, {})[one.attack] = one
    config = {
        "seed": seed, "data": {"name": data}, "method": {"name": run.partition("-")[0]},
        "threat_model": {"norm": "linf", "epsilon": epsilon},
    }  # fmt: skip
    state = more.pop("state", RunState(table=table))
    return Side(id=run, label=run, word="done", config=config, group=group, state=state, **more)


def judged(run, pgd, suite, **more):
    return side(run, [cell("clean", 90), cell("pgd_sat", pgd), cell("autoattack", suite)], **more)


def test_labels_are_method_and_seed_and_longer_only_where_they_must_differ():
    def table(method, seed, student="resnet18"):
        return {"method": {"name": method}, "seed": seed, "student": {"name": student}}

    assert labels([("a", table("crdnd", 0)), ("b", table("rslad", 1))]) == ["crdnd s0", "rslad s1"]
    students = [("a", table("crdnd", 0)), ("b", table("crdnd", 0, "mobilenet_v2"))]
    assert labels(students) == ["crdnd resnet18 s0", "crdnd mobilenet_v2 s0"]
    same = [("run-1111", table("crdnd", 0)), ("run-2222", table("crdnd", 0))]
    assert labels(same) == ["crdnd s0 1111", "crdnd s0 2222"]
    assert labels([("run-abcd", {"kind": "evaluation"}), ("some-damaged-run", {})]) == ["judged abcd", "-damaged-run"]


def test_nested_tables_become_dotted_paths_and_attacks_go_by_their_names():
    table = {
        "name": "mine", "seed": 0, "method": {"name": "crdnd", "tau": 1.0},
        "evaluation": {"attacks": [{"name": "fgsm"}, {"name": "pgd", "label": "pgd50", "steps": 50}], "at": []},
        "teacher": {"preset": "t.toml", "config": {"name": "t", "seed": 3}},
    }  # fmt: skip
    assert comparison_config.flatten(table) == {
        "seed": "0", "method.name": "crdnd", "method.tau": "1.0", "evaluation.attacks.fgsm.name": "fgsm",
        "evaluation.attacks.pgd50.name": "pgd", "evaluation.attacks.pgd50.label": "pgd50",
        "evaluation.attacks.pgd50.steps": "50", "evaluation.at": "[]", "teacher.config.seed": "3",
    }  # fmt: skip


def test_the_order_of_attacks_is_no_difference_and_a_missing_key_is_a_dash():
    one = {"attacks": [{"name": "a", "steps": 1}, {"name": "b", "steps": 2}], "x": {"y": 1}}
    two = {"attacks": [{"name": "b", "steps": 2}, {"name": "a", "steps": 1}], "x": {}}
    differing = [key for key in comparison_config.keys([one, two]) if key.differs]
    assert [(key.path, key.values) for key in differing] == [("x.y", ("1", "\u2013")), ("x", ("\u2013", "{}"))]


def test_keys_that_all_runs_have_come_first():
    found = comparison_config.keys([{"only": 1, "both": 1}, {"both": 2}])
    assert [key.path for key in found] == ["both", "only"]


def test_long_fractions_are_shortened_only_while_they_differ():
    third = comparison_config.keys([{"x": 1 / 6}, {"x": 0.2}])[0]
    assert third.values == ("0.1667", "0.2")
    near = comparison_config.keys([{"x": 0.123456}, {"x": 0.123457}])[0]
    assert near.values == ("0.123456", "0.123457")


def test_a_group_lists_the_values_in_which_its_runs_differ():
    sides = [side("a", seed=0, group="g"), side("b", seed=1, group="g"), side("c", seed=0, group="h")]
    rows = comparison.rows(sides, grouped=True)
    keys = {key.path: key.values for key in comparison_config.of_rows(rows)}
    assert keys["seed"] == ("0, 1", "0")


def test_three_seeds_are_their_mean_and_sample_deviation():
    sides = [judged(f"crdnd-{k}", pgd, 40, group="g") for k, pgd in enumerate((50, 52, 57))]
    grid = comparison.grid(sides, grouped=True)
    value = grid.values["crdnd-0", "pgd_sat"]
    assert (value.mean, value.runs) == (pytest.approx(0.53), 3)
    assert value.std == pytest.approx((((-3) ** 2 + 1 + 4**2) / 2) ** 0.5 / 100)  # n - 1
    assert grid.rows[0].label == "crdnd-0 (3)"
    assert grid.values["crdnd-0", "autoattack"].std == 0.0


def test_one_seed_has_an_interval_and_no_deviation():
    grid = comparison.grid([judged("a", 50, 40, group="g"), judged("b", 50, 40, group="h")], grouped=True)
    value = grid.values["a", "pgd_sat"]
    assert (value.std, value.low, value.high) == (None, *wilson(50, 100))


def test_a_difference_is_in_points_and_has_the_sign_of_the_gain():
    grid = comparison.grid([judged("a", 50, 40), judged("b", 55, 38)])
    assert comparison.delta(grid, "b", "pgd_sat") == pytest.approx(5.0)
    assert comparison.delta(grid, "b", "autoattack") == pytest.approx(-2.0)
    assert grid.values["b", DROP].mean == pytest.approx(-0.17)
    assert comparison.delta(grid, "b", DROP) == pytest.approx(-7.0)
    assert [signed(x) for x in (5.04, -2.0, 0.04, -0.04)] == ["+5.0", "\u22122.0", "0.0", "0.0"]


def test_another_baseline_turns_the_sign():
    grid = comparison.grid([judged("a", 50, 40), judged("b", 55, 38)], baseline="b")
    assert grid.baseline == "b"
    assert comparison.delta(grid, "a", "pgd_sat") == pytest.approx(-5.0)


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
    assert across(other, base, "best") == why
    grid = comparison.grid([base, other])
    assert grid.badges == {"b": why}
    assert comparison.delta(grid, "b", "pgd_sat") is None
    assert not grid.best
    assert grid.verdict == ""


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
    assert reason(run, base, "best", "pgd_sat") == why
    grid = comparison.grid([base, run])
    assert (comparison.delta(grid, "b", "pgd_sat") is None) == bool(why)
    assert comparison.delta(grid, "b", "clean") == pytest.approx(1.0)


def test_as_many_but_other_images_are_no_pair():
    one, two = (
        side(run, [cell("clean", 90)], indices={("best", "clean"): digest}) for run, digest in (("a", "1"), ("b", "2"))
    )
    assert reason(one, two, "best", "clean") == "other test images, though as many"
    assert reason(one, replace(two, indices={}), "best", "clean") == ""  # unknown is no difference


def test_the_best_of_a_column_is_bold_unless_all_are_equal_or_alone():
    grid = comparison.grid([judged("a", 50, 40), judged("b", 55, 40), side("c", [cell("fgsm", 60)])])
    assert grid.best == {("b", "pgd_sat")}


def test_the_worst_case_is_the_last_column_of_the_ball_and_another_threat_model_stands_apart():
    cells = [cell("worst", 30), cell("cw_2", 70), cell("autoattack", 31), cell("clean", 90)]
    grid = comparison.grid([side("a", cells)])
    assert (grid.columns, grid.apart) == (("clean", "autoattack", "worst"), ("cw_2",))


def values(pgd, suite, n=100):
    def one(right):
        return Value(mean=right / n, low=wilson(right, n).low, high=wilson(right, n).high, n=n)

    return {"pgd_sat": one(pgd), "autoattack": one(suite)}


def test_a_lead_that_does_not_survive_autoattack_is_said():
    said = verdict([("CRDND", values(5500, 4000, 10_000)), ("RSLAD", values(5000, 4500, 10_000))])
    assert said == "CRDND leads under PGD-SAT, RSLAD under AutoAttack"


def test_leads_within_the_intervals_are_said_to_overlap():
    said = verdict([("CRDND", values(55, 40)), ("RSLAD", values(50, 45))])
    assert said.endswith("; under PGD-SAT and AutoAttack the 95 % intervals of the first two overlap")
    said = verdict([("A", values(70, 41)), ("B", values(40, 40))])
    assert said == (
        "A leads under PGD-SAT and under AutoAttack; under AutoAttack the 95 % intervals of the first two overlap"
    )


def test_another_order_behind_the_first_is_said_and_one_run_alone_leads_nothing():
    rows = [("A", values(9000, 8000, 10_000)), ("B", values(7000, 5000, 10_000)), ("C", values(6000, 6000, 10_000))]
    assert verdict(rows) == "A leads under both; below it the order is another under AutoAttack"
    assert verdict(rows[:1]) == ""


def test_marks_have_one_letter_for_all_runs():
    warned = (
        Warned(code="subset", message="", attack="clean"),
        Warned(code="steps_help", message="", attack="pgd_sat"),
    )
    table = {"best": {"clean": cell("clean", 90), "pgd_sat": cell("pgd_sat", 50)}}
    one = side("a", state=RunState(table=table, warnings=warned[1:]))
    two = side("b", state=RunState(table=table, warnings=warned))
    grid = comparison.grid([one, two])
    assert {key: v.letters for key, v in grid.values.items() if v.letters} == {
        ("b", "clean"): "a", ("a", "pgd_sat"): "b", ("b", "pgd_sat"): "b",
    }  # fmt: skip
    assert [letter for letter, _ in grid.notes] == ["a", "b"]


def test_classes_are_subtracted_only_where_both_answer_the_same_question():
    one = side("a", [cell("clean", 90, per_class=[0.5, 0.25])])
    two = side("b", [cell("clean", 80, per_class=[0.75, 0.20])])
    rows = comparison.rows([one, two], grouped=False)
    known, why = comparison_config.classes(rows[1], rows[0], "best", "clean")
    assert ([round(c.points, 6) for c in known], why) == ([25.0, -5.0], "")
    assert comparison_config.classes(rows[0], rows[0], "best", "clean")[0] == []
    other = comparison.rows([side("c", [cell("clean", 80, per_class=[1.0])], data="digits")], grouped=False)
    assert comparison_config.classes(other[0], rows[0], "best", "clean")[1].startswith("Not comparable: data digits")


def trained(accuracies, losses=()):
    training = TrainingStarted(
        epochs=9, steps_per_epoch=1, images=1, classes=["cat", "dog"], device="cpu", student_parameters=1
    )
    validations = tuple(
        Validated(epoch=k, step=k, n=1, accuracy={"clean": 0.9, "pgd": a}, by="pgd", best=True, seconds=0.0)
        for k, a in enumerate(accuracies, 1)
    )
    steps = tuple(
        StepDone(step=k, epoch=1, loss=loss, terms={"kd": loss, "ce": 0.0}, learning_rate=0.1, images_per_second=1.0)
        for k, loss in enumerate(losses, 1)
    )
    epochs = (EpochDone(epoch=1, step=1, loss=1.0, terms={}, learning_rate=0.1, seconds=1.0, teacher_clean=[1.0, 0.5]),)
    return RunState(training=training, validations=validations, steps=steps, epochs=epochs)


def test_measures_begin_with_the_selecting_attack_and_name_every_term():
    run = side("a", state=trained([0.5], [2.0]))
    keys = [measure.key for measure in comparison_curves.measures([run])]
    assert keys == [
        "selecting",
        "val:clean",
        "val:pgd",
        "loss",
        "term:kd",
        "term:ce",
        "teacher_clean",
        "teacher_robust",
    ]
    assert comparison_curves.points(run, "selecting") == [(1, 0.5)]
    assert comparison_curves.points(run, "teacher_clean") == [(1, 0.75)]
    assert comparison_curves.points(run, "term:kd") == [(1, 2.0)]


def test_a_group_is_drawn_as_its_mean_where_all_of_it_has_been():
    sides = [side(run, group="g", state=trained(a)) for run, a in (("a", [0.2, 0.4, 0.6]), ("b", [0.4, 0.5]))]
    (row,) = comparison.rows(sides, grouped=True)
    assert comparison_curves.of_row(row, "selecting") == [(1, pytest.approx(0.3)), (2, pytest.approx(0.45))]


def test_a_growing_curve_keeps_its_series_and_one_that_went_back_starts_again():
    growing = comparison_curves.Growing()

    def after(losses):
        (row,) = comparison.rows([side("a", state=trained([], losses))], grouped=False)
        return growing.of(row, "loss").series

    first = after([1.0])
    assert after([1.0, None]) is first
    assert len(first) == 2
    assert after([3.0]) is not first


def test_a_run_without_numbers_says_why():
    waiting = replace(side("a", state=trained([0.5])), word="running")
    failed = replace(side("b"), word="failed", why="no memory")
    grid = comparison.grid([waiting, failed])
    assert grid.empty == {"a": "running, epoch 1 of 9; nothing judged yet", "b": "failed: no memory; no results"}


def test_seeds_that_are_not_judged_yet_are_counted_apart():
    grid = comparison.grid([judged("a", 50, 40, group="g"), side("b", group="g")], grouped=True)
    assert grid.empty == {"a": "1 of 2 seeds are judged"}
    assert grid.values["a", "pgd_sat"].runs == 1


def test_the_view_finds_its_rows_again():
    shown = Shown([judged("a", 50, 40, group="g"), judged("b", 50, 41, group="g"), judged("c", 1, 2)], Look())
    assert (shown.base.id, shown.row.id, shown.beside(5).id, shown.beside(-5).id) == ("a", "b", "c", "a")
    shown = Shown(shown.sides, Look(grouped=True, cursor="b", baseline="c"))
    assert (shown.row.id, shown.base.id, shown.attack) == ("a", "c", "autoattack")


@pytest.mark.parametrize("width", [1, 20, 40, 76, 95, 114, 176])
@pytest.mark.parametrize("grouped", [False, True])
def test_the_table_fits_any_width_and_names_what_it_leaves_out(width, grouped):
    attacks = ["clean", "fgsm", "pgd_sat", "pgd_trades", "cw_inf", "pgd_rescaled", "autoattack", "worst", "cw_2"]
    groups = ("g", "g", "g", "alone")
    sides = [side(f"run-{k}", [cell(a, 50 + k) for a in attacks], group=group) for k, group in enumerate(groups)]
    grid = comparison.grid(sides, grouped=grouped)
    lines = result_grid.lines(grid, View(colours={}, cursor="run-0"), DARK, width)
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
        comparison_config.ClassDifference(name=f"c{k}", baseline=0.5, here=0.5 + points / 100)
        for k, points in enumerate((-20, 0, 10))
    ]
    lines = differences.class_lines(known, "", DARK, width, 3)
    if width >= 30:
        assert max(line.cell_len for line in lines) <= width
        left, zero, right = (line.plain for line in lines)
        assert left.index("\u2588") < left.index("\u2502")
        assert "\u2588" not in zero
        assert right.index("\u2502") < right.index("\u2588")


def test_eight_runs_whose_values_find_no_columns_are_listed_below_each_key():
    sides = [side(f"run-{k}", epsilon=f"{k % 2}/255") for k in range(8)]
    rows = comparison.rows(sides, grouped=False)
    keys = [key for key in comparison_config.of_rows(rows) if key.path == "threat_model.epsilon"]
    lines = [line.plain for line in differences.key_lines(keys, rows, {}, DARK, 76)]
    assert lines[0] == "threat_model.epsilon"
    assert lines[1].split() == ["0/255", "run-0", "run-2", "run-4", "run-6"]
