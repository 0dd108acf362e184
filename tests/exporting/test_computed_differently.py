"""Runs of other precisions are compared all the same, and every table says so: screen, files, and a study's report."""

import json
from dataclasses import replace

import pytest

from crdnd_tui.compare.comparison import compare
from crdnd_tui.core.palette import DARK
from crdnd_tui.core.state import RunState
from crdnd_tui.tui.widgets import result_plan, result_words
from crdnd_tui.write import render, tables
from crdnd_tui.write.run_document import run_document
from engine.spec.rundir import RunDir
from tests.compare.runs import cell, compared_document, side
from tests.studies.test_tables import plan, run, table
from tests.tui import pilot

FAST = {"teacher": "float32", "inner": "bfloat16", "outer": "float32", "folded": "on", "table": "lazy"}
TOLD = "Computed differently: a exact; b inner bfloat16."
CHECKS = "Checks for figures that mislead: not known."  # of runs without a word on them; always the first
study = plan  # the fixture, by another name


def one(name, *engines, **more):
    table_ = {"best": {"clean": cell("clean", 90), "pgd_sat": cell("pgd_sat", 50)}}
    return side(name, state=RunState(table=table_, engines=engines), **more)


def notes(*sides, **how):
    (_, checks), *others = compare(sides, **how).notes
    assert checks == CHECKS
    return [sentence for letter, sentence in others if not letter]


def test_the_note_is_there_where_precisions_differ_and_bars_no_number():
    grid = compare([one("a", {}), one("b", FAST)])
    assert grid.notes == (("", CHECKS), ("", TOLD)) and not grid.reasons and not grid.badges
    assert notes(one("a", FAST), one("b", FAST)) == notes(one("a", {}), one("b")) == []


def test_runs_without_numbers_and_judgements_of_saved_weights_are_no_part_of_it():
    waiting = side("b", state=RunState(engines=(FAST,)))
    assert notes(one("a", {}), waiting) == notes(one("a", {}), one("b")) == []


def test_seeds_of_one_row_are_named_by_their_row_while_they_agree():
    seeds = [one(f"a{k}", {}, group="g", seed=k) for k in range(2)]
    (told,) = notes(*seeds, one("b", FAST), grouped=True)
    assert told == "Computed differently: a0 (2) exact; b inner bfloat16."
    (told,) = notes(*seeds, one("c", FAST, group="g", seed=2), grouped=True)
    assert told == "Computed differently: a0, a1 exact; c inner bfloat16."


def test_the_screen_shows_it_below_the_letters():
    grid = compare([one("a", {}), one("b", FAST)])
    checks, line = result_words.notes(grid, result_plan.plan(grid, 80), DARK, 80)
    assert (checks.plain, line.plain) == (f" {CHECKS}", f" {TOLD}")
    assert not [span for span in line.spans if span.style == DARK.warn and span]  # a letter's colour


def test_every_file_says_it():
    document = compared_document([one("a", {}), one("b", FAST)])
    (results,) = (t for t in document.tables if t.key == "results")
    assert ("", TOLD) in results.notes
    assert TOLD in render.markdown(document)
    assert TOLD in "\n".join(line.plain for line in tables.document_lines(document, 100))


def test_a_study_s_report_says_it_of_each_table(study):
    def computed(at, right, *engines):
        cell_status, made = run(at, right)
        return cell_status, replace(made, state=replace(made.state, engines=engines))

    right = (840, 540, 500)
    found = [computed(at, right, FAST if at.place["method"] == "rslad" else {}) for at in study.cells]
    assert ("", "Computed differently: natural exact; rslad inner bfloat16.") in table(study, found).notes
    alike = [computed(at, right, FAST) for at in study.cells]
    assert [told for letter, told in table(study, alike).notes if not letter] == [CHECKS]


@pytest.fixture
def recorded(tmp_path):
    (found,) = pilot.recorded(tmp_path / "runs", "crdnd-small_cnn-s0").iterdir()
    return RunDir(found)


def test_a_report_says_how_its_run_was_computed_and_the_line_repeats_it(recorded):
    facts = json.loads(recorded.provenance.read_text()) | {"switches": FAST}
    recorded.provenance.write_text(json.dumps(facts))
    machine = json.loads(recorded.machine.read_text()) | {"table": "complete", "data": "/of/this/machine", "nodes": 2}
    recorded.machine.write_text(json.dumps(machine | {"rendezvous": "node1:29400"}))
    told = dict(run_document(recorded).origins[0].facts)
    assert told["computed"] == "inner bfloat16, table lazy, folded"
    assert "--machine inner_precision=bfloat16" in told["reproduce"] and "--machine table=complete" in told["reproduce"]
    assert "--nodes 2 --rendezvous HOST:PORT" in told["reproduce"]
    assert "/of/this/machine" not in told["reproduce"] and "node1" not in told["reproduce"]


def test_an_old_run_s_report_claims_nothing(recorded):
    told = dict(run_document(recorded).origins[0].facts)
    assert "computed" not in told and "--machine" not in told["reproduce"]
    assert told["device"].startswith("cpu")
