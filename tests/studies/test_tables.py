"""The report's tables: what was measured, what is in print under it, and rows that are never left out."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crdnd_tui.compare.runs import mark_duplicates
from crdnd_tui.study.progress import STATES, CellStatus, StudyProgress
from crdnd_tui.study.study import PublishedEntry, ReportLayout, row_blocks, table_blocks
from crdnd_tui.write import study_document, study_tables
from crdnd_tui.write.study_tables import StudyRuns, study_results
from engine.spec.events import Warned
from engine.spec.marks import MARKS
from tests.compare.runs import cell, seen, side, trained
from tests.studies import study_files

ATTACKS = ("clean", "pgd_sat", "autoattack")
HERE = {"method": "natural"}, {"method": "rslad"}


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    """Two methods, three seeds, the baseline rslad."""
    text = study_files.HEAD + '[grid]\nmethod = ["natural", "rslad"]\nseed = [0, 1, 2]\n'
    made = study_files.study(tmp_path_factory.mktemp("study"), text)
    return replace(made, layout=ReportLayout(rows=("method",), attacks=ATTACKS, baseline={"method": "rslad"}))


def run(cell_, right, n=1000, *, state="done", why="", attacks=ATTACKS, **more):
    """The run of a cell, judged with so many images right under each attack."""
    name = f"{cell_.place['method']}-{cell_.place['seed']}"
    cells = [cell(a, k, n, **more) for a, k in zip(ATTACKS, right, strict=True) if a in attacks]
    made = side(name, cells, data="digits", group=cell_.place["method"], seed=int(cell_.place["seed"]))
    return CellStatus(cell=cell_, state=state, run=name, why=why), made


def missing(cell_, state="absent", why=""):
    return CellStatus(cell=cell_, state=state, why=why), None


def reach(study, found):
    statuses = tuple(cell_status for cell_status, _ in found)
    runs = {cell_status.run: run for cell_status, run in found if run}
    return StudyRuns(progress=StudyProgress(study=study, statuses=statuses), runs=runs)


def table(study, found, wanted="best"):
    (block,), known = table_blocks(study), reach(study, found)
    known = replace(known, runs={name: replace(run, wanted=wanted) for name, run in known.runs.items()})
    compared = study_document.compare_blocks(study, row_blocks(study, block), known)
    return study_results(study, block, known, compared)


def printing(study, *entries):
    return replace(
        study, published=tuple(PublishedEntry(source=s, where=w, values=v, note=n) for s, w, v, n in entries)
    )


def line(made, label):
    return next(row for row in made.rows if row.label == label)


def shown(made, label):
    return dict(zip(("runs", *ATTACKS), line(made, label).cells, strict=True))


def notes(made, marks):
    return [sentence for letter, sentence in made.notes if letter and letter in marks]


def every(study, right, **more):
    return [run(one, right, **more) for one in study.cells]


def test_one_run_has_its_wilson_interval_and_so_has_its_difference(plan) -> None:
    one = printing(replace(plan, cells=plan.cells[3:4]), ("paper", HERE[1], {"pgd_sat": 54.26, "autoattack": 60.0}, ""))
    made = table(one, [run(one.cells[0], (8400, 5400, 5000), 10_000)])
    measured, apart = shown(made, "rslad"), shown(made, "ours \u2212 paper")
    assert measured["pgd_sat"].value == 54.0 and measured["pgd_sat"].std is None
    assert (measured["pgd_sat"].low, measured["pgd_sat"].high) == pytest.approx((53.0219, 54.9750), abs=1e-3)
    assert apart["pgd_sat"].value == pytest.approx(-0.26)
    assert (apart["pgd_sat"].low, apart["pgd_sat"].high) == pytest.approx((-1.2381, 0.7150), abs=1e-3)
    assert apart["pgd_sat"].marks == ""
    assert apart["autoattack"].value == pytest.approx(-10) and notes(made, apart["autoattack"].marks) == [
        study_tables.OUTSIDE
    ]
    assert apart["clean"].value is None and apart["pgd_sat"].n == 10_000
    assert line(made, "ours \u2212 paper").unit == "points" and "Wilson interval of our one run" in made.caption


def test_seeds_have_mean_deviation_and_the_t_interval_of_the_difference(plan) -> None:
    study = printing(plan, ("paper", HERE[1], {"clean": 49.0, "pgd_sat": 57.5}, ""))
    rights = [(500, 500, 500), (520, 520, 520), (540, 540, 540)]
    found = [run(c, right) for c, right in zip(plan.cells, rights * 2, strict=True)]
    made = table(study, found)
    measured, apart = shown(made, "rslad"), shown(made, "ours \u2212 paper")
    assert (measured["clean"].value, measured["clean"].std, measured["clean"].runs) == pytest.approx((52, 2, 3))
    assert measured["clean"].low is None  # the deviation bears it; the interval stands at the difference
    half = 4.302652729911275 * 2 / 3**0.5  # t(0.975; 2) s / sqrt(3)
    assert (apart["clean"].low, apart["clean"].high) == pytest.approx((3 - half, 3 + half))
    assert apart["clean"].marks == "" and apart["pgd_sat"].marks  # 57.5 is 5.5 away, more than 4.97
    assert "t interval over our seeds" in made.caption and "Wilson" not in made.caption
    assert shown(made, "rslad")["runs"].text == "3" and made.baseline == "rslad"


def test_what_has_not_run_says_so_and_its_printed_numbers_stand(plan) -> None:
    study = printing(plan, ("paper", HERE[0], {"clean": 94.65}, ""), ("repro", HERE[0], {"clean": 94.0}, "smudged"))
    made = table(study, [missing(one) for one in plan.cells])
    assert [row.label for row in made.rows] == ["natural", "paper", "repro", "rslad"]
    assert shown(made, "natural")["clean"].text == "not run" and shown(made, "natural")["runs"].text == "0 of 3"
    assert notes(made, shown(made, "natural")["runs"].marks) == ["0 of 3 seeds: 3 not run."]
    assert shown(made, "paper")["clean"].value == 94.65 and shown(made, "paper")["clean"].n == 10_000
    assert notes(made, shown(made, "repro")["clean"].marks) == ["Smudged."]
    assert line(made, "paper").quiet and not line(made, "natural").quiet
    assert made.caption == "Nothing has been measured yet."


def test_each_seed_tells_how_it_is(plan) -> None:
    cells = plan.cells
    learning = side("rslad-1", state=trained([0.3, 0.4]))
    epoch = replace(learning.state, epochs=learning.state.epochs * 4)
    found = [
        run(cells[0], (970, 500, 400)), missing(cells[1], "waiting"), (CellStatus(
            cell=cells[2], state="failed", run="x", why="CUDA out\nof memory \x1b[31m"), side("x")),
        run(cells[3], (970, 500, 400), state="running", attacks=("clean",)),
        (CellStatus(cell=cells[4], state="running", run="rslad-1"), replace(learning, state=epoch)), missing(cells[5]),
    ]  # fmt: skip
    made = table(plan, found)
    natural, rslad = shown(made, "natural"), shown(made, "rslad")
    assert natural["runs"].text == "1 of 3" and natural["pgd_sat"].value == 50.0 and natural["pgd_sat"].runs == 1
    (told,) = notes(made, natural["runs"].marks)
    assert told == "1 of 3 seeds: 1 waiting, 1 failed: CUDA out of memory \ufffd[31m."
    (told,) = notes(made, rslad["runs"].marks)
    assert told == "0 of 3 seeds: 1 running, 1 running, epoch 4 of 9, 1 not run."
    assert rslad["clean"].value == 97.0 and rslad["autoattack"].text == "running, not run"


def test_a_lone_seed_says_it_in_a_word_and_needs_no_note(plan) -> None:
    study = replace(plan, cells=(plan.cells[0], plan.cells[3]))
    made = table(study, [missing(study.cells[0], "waiting"), missing(study.cells[1], "killed", "no last word")])
    assert {cell.text for cell in line(made, "natural").cells} == {"waiting"}
    assert shown(made, "rslad")["runs"].text == "killed"
    assert [sentence for _, sentence in made.notes] == ["killed: no last word."]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(STATES), min_size=6, max_size=6), st.lists(st.integers(0, 100), min_size=6, max_size=6))
def test_no_row_is_ever_left_out_and_no_number_is_made_up(plan, states, rights) -> None:
    found = [
        run(one, (right,) * 3, 100) if state == "done" else missing(one, state)
        for one, state, right in zip(plan.cells, states, rights, strict=True)
    ]
    made = table(plan, found)
    assert [row.label for row in made.rows] == ["natural", "rslad"]
    for row, place in zip(made.rows, (slice(0, 3), slice(3, 6)), strict=True):
        here = [k for s, k in zip(states[place], rights[place], strict=True) if s == "done"]
        assert len(row.cells) == len(made.columns)
        for cell_ in row.cells[1:]:
            assert (cell_.value is None) == (not here)
            assert cell_.value == pytest.approx(sum(here) / len(here)) if here else cell_.text
        assert row.cells[0].text == ("3" if len(here) == 3 else f"{len(here)} of 3")


def test_another_recipe_is_not_the_printed_one(plan, tmp_path) -> None:
    text = study_files.HEAD + 'set = { "training.epochs" = 2 }\n' + study_files.GRID
    made = study_files.study(tmp_path, text)
    short = printing(replace(made, layout=plan.layout), ("paper", HERE[0], {"clean": 94.65}, ""))
    said = table(short, [missing(one) for one in short.cells]).caption
    assert "not the printed recipe: this study sets training.epochs=2" in said
    whole = printing(plan, ("paper", HERE[0], {"clean": 94.65}, ""))
    said = table(whole, [missing(one) for one in whole.cells]).caption
    assert "sets" not in said and "print" not in said
    remarked = replace(whole, layout=whole.layout.model_copy(update={"remark": "one run of each in print."}))
    said = table(remarked, [missing(one) for one in whole.cells]).caption
    assert said == "Nothing has been measured yet; one run of each in print."


def test_numbers_that_answer_another_question_say_so(plan) -> None:
    study = replace(plan, cells=(plan.cells[0], plan.cells[3]))
    found = [run(study.cells[0], (97, 50, 40), 100, spec={"epsilon": "4/255"}), run(study.cells[1], (97, 50, 40), 100)]
    made = table(study, found)
    (note,) = notes(made, shown(made, "natural")["pgd_sat"].marks)
    assert note == "Not comparable with the baseline: epsilon 4/255, not 8/255."
    mixed = [run(plan.cells[0], (97, 50, 40), 100, spec={"epsilon": "4/255"}), *every(plan, (97, 50, 40), n=100)[1:]]
    cell_ = shown(table(plan, mixed), "natural")["pgd_sat"]
    assert cell_.barred and cell_.value is None and "epsilon 8/255, not 4/255" in cell_.text


def test_marks_of_the_evaluation_stand_at_their_numbers(plan) -> None:
    found = every(plan, (970, 500, 400))
    state = found[0][1].state
    warned = Warned(code="margin_below_ce", message="...", checkpoint="best", attack="pgd_sat")
    found[0] = found[0][0], replace(found[0][1], state=replace(state, warnings=(warned,)))
    made = table(plan, found)
    assert notes(made, shown(made, "natural")["pgd_sat"].marks) == [MARKS["margin_below_ce"]]
    assert shown(made, "natural")["clean"].marks == shown(made, "rslad")["pgd_sat"].marks == ""


def test_a_struck_seed_strikes_its_row_s_mean_and_says_of_how_many(plan) -> None:
    found = every(plan, (970, 500, 400))
    warned = Warned(code="zero_gradient", message="...", checkpoint="best")
    found[0] = found[0][0], replace(found[0][1], state=replace(found[0][1].state, warnings=(warned,)))
    made = table(plan, found)
    cell_ = shown(made, "natural")["pgd_sat"]
    assert cell_.severity == "red" and not cell_.best and shown(made, "rslad")["pgd_sat"].best is False
    assert any("1 of 3 seeds not believed under" in sentence for _, sentence in made.notes)


def test_equal_weights_are_one_seed_of_a_row(plan) -> None:
    found = every(plan, (970, 500, 400))
    records = {("best", "clean"): seen("1" * 970 + "0" * 30, weights="x")}
    sides = mark_duplicates([replace(made, records=records) for _, made in found[:2]])
    made = table(plan, [(s, one) for (s, _), one in zip(found[:2], sides, strict=True)] + found[2:])
    assert shown(made, "natural")["clean"].runs == 2 and any("count once" in words for _, words in made.notes)


def test_bold_is_what_cannot_be_told_from_the_best(plan) -> None:
    rights = [(970, 500, 300), (972, 510, 301), (968, 490, 302), (970, 505, 600), (971, 500, 601), (969, 495, 602)]
    made = table(plan, [run(c, right) for c, right in zip(plan.cells, rights, strict=True)])
    best = {row.label: [cell_.best for cell_ in row.cells[1:]] for row in made.rows}
    assert best == {"natural": [True, True, False], "rslad": [True, True, True]}


def test_a_dagger_is_what_differs_from_the_baseline_after_holm_s_correction(plan) -> None:
    study = replace(plan, cells=(plan.cells[0], plan.cells[3]))
    bits = {"natural": "1" * 30 + "0" * 70, "rslad": "0" * 30 + "1" * 60 + "0" * 10}
    found = []
    for cell_ in study.cells:
        cell_status, made = run(cell_, (90, 50, bits[cell_.place["method"]].count("1")), 100)
        found.append((cell_status, replace(made, records={("best", "autoattack"): seen(bits[cell_.place["method"]])})))
    made = table(study, found)
    assert shown(made, "natural")["autoattack"].significant  # 30 against 60 images: p = 0.002
    assert not any(cell_.significant for cell_ in line(made, "rslad").cells)
    assert not shown(made, "natural")["pgd_sat"].significant
    several = replace(plan, cells=(plan.cells[0], *plan.cells[3:]))
    lone = table(several, [*found, *(run(c, (90, 50, 60), 100) for c in plan.cells[4:])])
    assert not any(cell_.significant for row in lone.rows for cell_ in row.cells)  # one network against three


def test_nothing_is_claimed_of_a_printed_attack_whose_budget_is_not_known(plan) -> None:
    copied = ("paper", HERE[1], {"cw_2": 77.0, "pgd_sat": 77.0}, "copied")
    study = printing(replace(plan, cells=plan.cells[3:4]), copied)
    study = replace(study, layout=study.layout.model_copy(update={"attacks": ("pgd_sat", "cw_2")}))
    cell_status, made = run(study.cells[0], (90, 50, 40), 100)
    found = replace(made, state=side("x", [cell("pgd_sat", 50), cell("cw_2", 50)]).state)
    made = table(study, [(cell_status, found)])
    paper, apart = line(made, "paper").cells, line(made, "ours \u2212 paper").cells
    assert notes(made, paper[1].marks) == ["Copied."]
    assert notes(made, paper[2].marks) == ["Copied.", f"{study_tables.UNSTATED}."]
    assert (apart[2].value, apart[2].low, apart[2].high) == (-27.0, None, None)
    assert notes(made, apart[1].marks) == [study_tables.OUTSIDE] and notes(made, apart[2].marks) == [
        f"{study_tables.UNSTATED}."
    ]


def test_columns_are_the_layout_s_or_what_was_judged_or_what_is_planned(plan) -> None:
    free = replace(plan, layout=plan.layout.model_copy(update={"attacks": ()}))
    nothing = reach(free, [missing(one) for one in free.cells])
    assert study_tables.attacks_of(free, free.cells, nothing)[0] == "clean"
    planned = [attack.key for attack in free.cells[0].config.evaluation.attacks]
    assert study_tables.attacks_of(free, free.cells, nothing)[1:] == planned
    judged = reach(free, every(free, (970, 500, 400), attacks=("clean", "pgd_sat")))
    assert study_tables.attacks_of(free, free.cells, judged) == ["clean", "pgd_sat"]
    assert study_tables.attacks_of(plan, plan.cells, judged) == list(ATTACKS)


def test_an_unjudged_attack_of_a_finished_run_is_not_said_to_be_missing_for_another_reason(plan) -> None:
    made = table(plan, every(plan, (970, 500, 400), attacks=("clean", "pgd_sat")))
    assert shown(made, "rslad")["autoattack"].text == "not judged"


def test_tables_and_rows_are_called_by_their_titles(tmp_path) -> None:
    text = (
        'name = "two"\npreset = "natural.toml"\n[grid]\n"training.learning_rate" = [0.1, 0.2]\n'
        'student = [{ label = "small", set = { "student.width" = 8 } }, '
        '{ label = "wide", set = { "student.width" = 16 } }]\n'
        '[report]\nrows = ["training.learning_rate"]\ntables = ["student"]\n'
    )
    study = study_files.study(tmp_path, text)
    assert [block.title for block in table_blocks(study)] == ["SmallCNN-8", "SmallCNN-16"]
    first = table_blocks(study)[0]
    assert [block.title for block in row_blocks(study, first)] == ["learning_rate 0.1", "learning_rate 0.2"]
    assert sorted(c.config_hash for t in table_blocks(study) for c in t.cells) == sorted(
        c.config_hash for c in study.cells
    )
