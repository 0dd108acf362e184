"""A figure that its record, its count, its interval or its neighbours contradict is never shown as it stands."""

import json
import os
import re
from pathlib import Path

import msgspec
import pytest

from crdnd_tui.cli import export, show
from crdnd_tui.cli.follow import JsonView, PlainView
from crdnd_tui.compare.runs import read_runs
from crdnd_tui.core import confusion, consistency, gallery, result_files, run_reader, run_status
from crdnd_tui.core.gallery import GalleryError
from crdnd_tui.core.scan import Scanner
from crdnd_tui.tui.monitor.tracking import Tracker
from crdnd_tui.write import tables
from crdnd_tui.write.formats import ExportRequest
from crdnd_tui.write.run_tables import state_document
from crdnd_tui.write.trackers import scalars, tracked_run
from engine.spec import marks
from engine.spec.attacks import KINDS
from engine.spec.outcomes import decode
from engine.spec.rundir import RunDir
from engine.spec.statistics import wilson
from engine.spec.status import Status
from tests.tui.forging import judge_otherwise, tell_otherwise
from tests.tui.pilot import NOW, recorded

CRDND = "20261122-215714-crdnd-small_cnn-s0-ea68"
RSLAD = "20261122-215930-rslad-small_cnn-s0-6622"
ATTACK = "pgd_trades"


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    return recorded(tmp_path_factory.mktemp("agreement") / "runs", CRDND)


@pytest.fixture
def run(tmp_path) -> RunDir:
    return RunDir(recorded(tmp_path / "runs", CRDND) / CRDND)


def shown(run: RunDir) -> str:
    state = run_reader.load(run)
    return "\n".join(line.plain for line in tables.document_lines(state_document(state), 400))


def forget(run: RunDir, attack: str = ATTACK) -> None:
    run.result("best", attack).unlink()


def test_a_run_that_nobody_touched_agrees_with_itself(original, capsys):
    state = run_reader.load(RunDir(original / CRDND))
    assert not state.disputed and not state.flaws and len(state.table["best"]) == 9
    assert not run_status.summary(RunDir(original / CRDND)).disputed
    show.list_runs(as_json=False, runs=original)
    assert "\u2260" not in capsys.readouterr().out


FORGED = {
    "accuracy": 0.9, "low": 0.015, "high": 0.354, "n": 598, "of": 598, "per_class": [0.5] * 10, "seconds": 1e6,
    "details": {"largest_change": 0.3}, "spec": {"name": "pgd_trades", "epsilon": "1/255"}, "split": "train",
}  # fmt: skip


@pytest.mark.parametrize("field", FORGED)
def test_what_a_line_of_the_log_says_otherwise_than_its_record_is_the_record_s_with_a_red_mark(run, field):
    before = run_reader.load(run)
    tell_otherwise(run.path, ATTACK, **{field: FORGED[field]})
    state = run_reader.load(run)
    assert set(state.disputed) == {("best", ATTACK)}
    told, truth = state.table["best"][ATTACK], before.table["best"][ATTACK]
    assert all(getattr(told, key) == getattr(truth, key) for key in ("accuracy", "low", "high", "n", "of", "split"))
    assert "does_not_agree" in [mark.code for mark in state.marks("best", ATTACK)]
    assert marks.severity("does_not_agree") == "red"
    assert "does not agree" in shown(run)


def test_one_changed_digit_is_shown_nowhere(run, capsys):
    record = decode(run.result("best", ATTACK).read_bytes())
    tell_otherwise(run.path, ATTACK, accuracy=0.9012)
    assert show.show(run.id, as_json=False, runs=run.path.parent) == 0
    assert show.show(run.id, as_json=True, runs=run.path.parent) == 0
    source = run_reader.RunReader(run)
    news = run_reader.believed_events(source.read(), source.state)
    for view in (PlainView(), JsonView()):
        view.show(source.state, news)
    assert (
        "0.9012" not in (said := "".join(capsys.readouterr()))
        and not re.search(r"90\.1( |$)", said)
        and "does not agree" in said
    )
    (side,) = read_runs([run], NOW)
    look = Tracker(run).poll(NOW, force=True)
    for state in (side.state, look.state, tracked_run(run).log):
        assert state.table["best"][ATTACK].accuracy == record.accuracy
        assert ("best", ATTACK) in state.disputed
    assert 0.9012 not in [one.value for one in scalars(tracked_run(run).log)]


@pytest.mark.parametrize(
    "forged",
    [
        {"accuracy": 0.9}, {"accuracy": 0.5762}, {"low": 0.1}, {"high": 0.9}, {"n": 0}, {"n": 10**12}, {"of": 1},
        {"per_class": [0.5, 0.5]}, {"per_class": [0.0] * 10}, {"per_class": [1.0] * 10},
        {"accuracy": 0.0, "low": 0.0, "high": wilson(0, 597)[1]}, {"details": {"after_square": 7.0}},
        {"accuracy": 590 / 597, "low": wilson(590, 597)[0], "high": wilson(590, 597)[1], "per_class": []},
    ],
    ids=str,
)  # fmt: skip
def test_without_its_record_a_figure_that_contradicts_itself_or_the_others_is_not_shown(run, forged):
    forget(run)
    tell_otherwise(run.path, ATTACK, **forged)
    state = run_reader.load(run)
    assert ("best", ATTACK) in state.disputed and ATTACK not in state.table["best"]
    (line,) = [line for line in shown(run).splitlines() if line.startswith("  PGD-TRADES ")]
    assert "does not agree" in line
    (row,) = [row for row in run_reader.result_rows(state) if row["attack"] == ATTACK]
    assert row["accuracy"] is None and row["marks"][-1]["code"] == "does_not_agree"


@pytest.mark.parametrize(
    "forged", [{"accuracy": 1.5}, {"accuracy": -0.1}, {"accuracy": None}, {"n": -1}, {"n": 10**30}]
)
def test_a_line_whose_numbers_are_out_of_range_is_damaged(run, forged):
    forget(run)
    tell_otherwise(run.path, ATTACK, **forged)
    state = run_reader.load(run)
    assert state.damaged == 1 and ATTACK not in state.table["best"]


def damage(content: dict, name: str) -> bytes:
    changes = {
        "accuracy": {"accuracy": content["accuracy"] + 1 / 597}, "negative n": {"n": -1}, "large n": {"n": 10**30},
        "too few classes": {"per_class": [0.5]}, "a class beyond 1": {"per_class": [7.0, *content["per_class"][1:]]},
        "long words": {"attack": "x" * 10**6}, "low": {"low": 0.0}, "high": {"high": 1.0}, "of": {"of": 5},
        "bits": {"robust": "ff" + content["robust"][2:]}, "no bits": {"robust": "zz"}, "counts": {"counts": [597]},
        "predicted": {"predicted": [99] * 597}, "another attack": {"attack": "fgsm"},
    }  # fmt: skip
    if name in changes:
        return json.dumps(content | changes[name]).encode()
    return {"NaN": json.dumps(content | {"accuracy": float("nan")}).encode(), "deep": b"[" * 10**5, "empty": b"",
            "long number": b'{"n": ' + b"9" * 5000 + b"}"}[name]  # fmt: skip


@pytest.mark.parametrize(
    "name",
    ["accuracy", "negative n", "large n", "too few classes", "a class beyond 1", "long words", "low", "high", "of",
     "bits", "no bits", "counts", "predicted", "another attack", "NaN", "deep", "empty", "long number", "link", "pipe"],
)  # fmt: skip
def test_a_damaged_record_is_no_figure_and_no_crash(run, name, tmp_path):
    path = run.result("best", ATTACK)
    content = json.loads(path.read_bytes())
    path.unlink()
    if name == "pipe":
        os.mkfifo(path)
    elif name == "link":
        path.symlink_to(run.result("best", "fgsm"))
    else:
        path.write_bytes(damage(content, name))
    state = run_reader.load(run)
    assert set(state.disputed) == {("best", ATTACK)} and ATTACK not in state.table["best"]
    assert "does not agree" in shown(run)


@pytest.mark.parametrize("alone", ["clean", "fgsm", ATTACK])
def test_where_one_record_is_of_other_weights_than_all_others_it_is_that_one(run, alone):
    path = run.result("best", alone)
    path.write_bytes(path.read_bytes().replace(b'"weights_sha256":"', b'"weights_sha256":"0'))
    state = run_reader.load(run)
    assert set(state.disputed) == {("best", alone)}
    assert len(state.table["best"]) == 8 and alone not in state.table["best"]


def test_where_as_many_records_are_of_one_network_as_of_another_none_is_believed(run):
    for path in run.evaluation.glob("best/*.json"):
        if path.stem not in ("clean", ATTACK):
            path.unlink()
    run.events.write_text("".join(line for line in lines(run) if '"event":"evaluated"' not in line))
    path = run.result("best", ATTACK)
    path.write_bytes(path.read_bytes().replace(b'"weights_sha256":"', b'"weights_sha256":"0'))
    state = run_reader.load(run)
    assert set(state.disputed) == {("best", "clean"), ("best", ATTACK)} and not state.table.get("best")


def test_a_record_that_no_event_tells_of_is_shown_and_a_damaged_one_is_marked(run):
    log = [line for line in run.events.read_text().splitlines() if f'"attack":"{ATTACK}"' not in line]
    run.events.write_text("\n".join(log) + "\n")
    assert ATTACK in run_reader.load(run).table["best"]
    run.result("best", ATTACK).write_bytes(b"{}")
    assert ("best", ATTACK) in run_reader.load(run).disputed


def test_a_worst_case_above_one_of_its_attacks_is_marked_also_where_both_have_records(run):
    judge_otherwise(run.path, "worst", 500)
    state = run_reader.load(run)
    assert ("best", "worst") in state.disputed and ("best", "clean") not in state.disputed


@pytest.mark.parametrize(
    ("place", "value", "column", "signed"),
    [("clean", 0.5, "clean", True), ("worst", 0.96, "worst", True), ("autoattack", 0.123, "aa", False),
     ("clean", 0.01005, "clean", True), ("pgd_sat", 594 / 597, "pgd", True)],  # signed: in a column that is printed
)  # fmt: skip
def test_a_status_that_contradicts_itself_is_no_figure_of_the_list(run, capsys, place, value, column, signed):
    status = json.loads(run.status.read_bytes())
    status["results"]["best"][place] = value
    run.status.write_text(json.dumps(status))
    row = run_status.summary(run)
    assert row.state == "done" and row.disputes(column) and row.accuracy(column) is None
    assert place not in row.status.results["best"]
    assert show.list_runs(as_json=False, runs=run.path.parent) == 0
    assert show.list_runs(as_json=True, runs=run.path.parent) == 0
    plain, _, told = capsys.readouterr().out.partition("[\n")
    assert ("\u2260" in plain) == signed
    assert [one["attack"] for one in json.loads("[" + told)[0]["does_not_agree"] if one["checkpoint"] == "best"]


@pytest.mark.parametrize("table", [{"results": {"best": {"clean": 90.0}}}, {"validation": {"clean": -0.1}}])
def test_a_status_with_an_accuracy_that_is_none_is_damaged(run, table):
    run.status.write_text(json.dumps(json.loads(run.status.read_bytes()) | table))
    row = run_status.summary(run)
    assert row.state == "damaged" and row.accuracy("clean") is None


def lines(run: RunDir) -> list[str]:
    return run.events.read_text().splitlines(keepends=True)


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        (lambda all_: all_[:17] + all_[20:], "3 events are missing after 17"),
        (lambda all_: all_[:17] + all_[18:], "1 event is missing after 17"),
        (lambda all_: all_[2:], "2 events are missing after 0"),
        (lambda all_: all_[:17] + all_[16:], "the numbering goes back from 17 to 17"),
        (lambda all_: [*all_[:17], "{}\n", *all_[20:]], "1 damaged line, 3 events are missing after 17"),
        (lambda all_: [*all_[:17], "{}\n", *all_[18:]], "1 damaged line"),
        (lambda all_: [*all_[:17], all_[17].replace('"event":"', '"event":"new_'), *all_[18:]],
         "1 event of a newer engine"),
    ],
)  # fmt: skip
def test_a_gap_in_the_numbering_is_said(run, capsys, kept, words):
    run.events.write_text("".join(kept(lines(run))))
    assert ", ".join(run_reader.load(run).flaws) == words
    assert show.show(run.id, as_json=False, runs=run.path.parent) == 0
    assert f"events.jsonl: {words}" in capsys.readouterr().out


def test_a_record_is_read_once_for_each_state_of_its_file(run, monkeypatch):
    asked = []
    read = result_files.record
    monkeypatch.setattr(result_files, "record", lambda run, place: asked.append(place) or read(run, place))
    all_ = lines(run)
    run.events.write_text("")
    reading = run_reader.RunReader(run)
    for line in all_:
        with run.events.open("a") as log:
            log.write(line)
        reading.read()
    assert len(asked) == len(set(asked)) == 9 and not reading.state.disputed
    path = run.result("best", ATTACK)
    whole, place = path.read_bytes(), ("best", ATTACK)
    for content, disputed in ((b"{}", [place]), (whole, []), (None, []), (whole, [])):
        path.unlink() if content is None else path.write_bytes(content)
        reading.read()
        before = reading.state
        assert not reading.read() and reading.state is before and list(reading.state.disputed) == disputed
    assert asked[9:] == [place] * 3


def test_a_record_that_no_event_tells_of_is_read_again_when_it_is_mended(run):
    log = [line for line in run.events.read_text().splitlines() if f'"attack":"{ATTACK}"' not in line]
    run.events.write_text("\n".join(log) + "\n")
    path = run.result("best", ATTACK)
    whole, reading = path.read_bytes(), run_reader.RunReader(run)
    path.write_bytes(b"{}")
    reading.read()
    assert ("best", ATTACK) in reading.final().disputed and reading.final() is reading.final()
    path.write_bytes(whole)
    reading.read()
    assert ATTACK in reading.final().table["best"] and not reading.final().disputed


@pytest.mark.parametrize("to", ["markdown", "csv", "latex", "html", "json"])
def test_a_figure_that_does_not_agree_is_in_its_place_in_exports_and_comparisons(run, capsys, to):
    forget(run)
    tell_otherwise(run.path, ATTACK, accuracy=0.9012)
    recorded(run.path.parent, RSLAD)
    for runs in ((run.id,), (run.id, RSLAD)):
        assert export.export(ExportRequest(runs=runs, folder=run.path.parent, to=to, out="-")) == 0
        said = capsys.readouterr().out
        assert "does not agree" in said and not re.search(r"\b90\.1\b", said)


def test_a_status_that_its_records_contradict_is_no_figure_of_any_list(run, capsys):
    status = json.loads(run.status.read_bytes())
    forged = {"best": status["results"]["best"] | {"clean": 1.0}}
    changed = {"results": status["results"] | forged, "validation": status["validation"] | {"clean": 0.83}}
    run.status.write_text(json.dumps(status | changed))
    show.list_runs(as_json=False, runs=run.path.parent)
    told = capsys.readouterr().out
    assert "100.0" not in told and "\u2260 its files do not agree" in told
    show.list_runs(as_json=True, runs=run.path.parent)
    (row,) = json.loads(capsys.readouterr().out)
    assert "clean" not in row["results"]["best"] and row["does_not_agree"][0]["attack"] == "clean"
    *_, scan = Scanner(run.path.parent).look(NOW)
    assert scan.rows[0].summary.accuracy("clean") is None and scan.rows[0].summary.disputes("clean")
    show.show(run.id, as_json=False, runs=run.path.parent)
    assert "83.0" not in capsys.readouterr().out  # the log tells another validation


@pytest.mark.parametrize("part", ["evaluation", "evaluation/best"])
def test_records_behind_a_link_are_not_read(run, tmp_path, part):
    elsewhere = tmp_path / "elsewhere"
    (run.path / part).rename(elsewhere)
    (run.path / part).symlink_to(elsewhere)
    state = run_reader.load(run)
    assert len(state.disputed) == 9 and not state.table.get("best")
    (side,) = read_runs([run], NOW)
    assert not side.records
    assert not confusion.load(run.evaluation / "best").outcomes
    with pytest.raises(GalleryError):
        gallery.load(run.evaluation / "best")
    assert all(
        run_status.check_records(run_status.summary(run)).disputes(attack)
        for attack in ("clean", "autoattack", "worst")
    )


def test_a_list_holds_a_status_against_records_that_are_of_another_place(run):
    path = run.result("best", "clean")
    path.write_bytes(path.read_bytes().replace(b'"checkpoint":"best"', b'"checkpoint":"last"'))
    for whole in (False, True):
        found = run_status.check_records(run_status.summary(run), whole=whole)
        assert found.disputed == {("best", "clean"): "its record is of another attack or checkpoint"}


def test_only_who_shows_every_figure_holds_each_record_against_its_bits(run):
    path = run.result("best", "fgsm")
    path.write_bytes(path.read_bytes().replace(b'"robust":"', b'"robust":"0', 1))
    assert not run_status.check_records(run_status.summary(run)).disputed
    ((place, why),) = run_status.check_records(run_status.summary(run), whole=True).disputed.items()
    assert place == ("best", "fgsm") and "its record is damaged" in why


def test_the_attacks_that_bound_the_worst_case_are_those_of_the_registry_which_the_first_paint_does_not_wait_for():
    assert tuple(name for name, kind in KINDS.items() if kind.bounded) == consistency.BOUNDED


@pytest.mark.parametrize("off", [0.0, 3e-7, 8e-7, 1e-5])
def test_what_is_no_share_in_the_log_is_none_in_a_status(original, off):
    cell = run_reader.load(RunDir(original / CRDND)).table["best"]["clean"]
    cell = msgspec.structs.replace(cell, accuracy=(580 + off) / 597)
    told = Status(run=CRDND, phase="done", results={"best": {"clean": cell.accuracy}}, results_n=cell.n)
    assert bool(consistency.of_status(told)) == ("no share" in consistency.contradiction(cell)) == (off > 5e-7)
