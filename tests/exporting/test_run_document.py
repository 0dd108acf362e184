"""A run as a document: its own numbers, and a document also of runs that failed, live, or are damaged."""

import fcntl
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from crdnd_tui.write import data, render
from crdnd_tui.write.document import Document, Figure, Table
from crdnd_tui.write.run_document import run_document, run_origins
from engine.spec import outcomes
from engine.spec.rundir import RunDir
from tests.compare.runs import judged
from tests.tui import pilot, shelves

CRDND, FAILED, KILLED, STOPPED, TEACHER = "ea68", "6568", "3cba", "8322", "d1fb"


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, RunDir]:
    folder = pilot.recorded(tmp_path_factory.mktemp("runs"))
    return {path.name[-4:]: RunDir(path) for path in folder.iterdir()}


@pytest.fixture
def run(runs, tmp_path) -> RunDir:
    """A copy of the crdnd run that may be spoiled."""
    shutil.copytree(runs[CRDND].path, tmp_path / runs[CRDND].id)
    return RunDir(tmp_path / runs[CRDND].id)


def table(document: Document, key: str) -> Table:
    return next(one for one in document.tables if one.key == key)


def figure(document: Document, key: str) -> Figure:
    return next(one for one in document.figures if one.key == key)


def test_every_accuracy_is_the_record_s(runs):
    results = table(run_document(runs[CRDND]), "results")
    measured = {}
    for path in (runs[CRDND].evaluation / "best").glob("*.json"):
        if path.stem not in ("gallery", "suspect"):
            record = outcomes.decode(path.read_bytes())
            measured[path.stem] = (100 * record.accuracy, 100 * record.low, 100 * record.high, record.n)
    assert len(measured) == 9
    cells = [row.cells[0] for row in results.rows]
    assert sorted((c.value, c.low, c.high, c.n) for c in cells) == sorted(measured.values())
    assert [row.label for row in results.rows][:3] == ["clean", "FGSM", "PGD-SAT"]
    assert {row.label for row in results.rows if row.rule} == {"worst of L-inf", "CW-2, L2 0.5"}


def test_marks_have_letters_and_letters_sentences(runs):
    results = table(run_document(runs[CRDND]), "results")
    marked = {row.label: row.cells[0].marks for row in results.rows if row.cells[0].marks}
    assert marked == {"PGD-SAT": "ab", "PGD-TRADES": "ab"}
    assert [letter for letter, _ in results.notes if letter] == ["a", "b"]
    assert "Believe the worst case" in results.notes[0][1]


def test_the_lead_says_what_the_numbers_say(runs):
    lead = " ".join(run_document(runs[CRDND]).lead).replace("\N{NO-BREAK SPACE}", " ")
    for words in ("97.2 % of 597 test images", "45.4 % under the worst", "interval 41.4 to 49.4", "AutoAttack +9.7",
                  "99.0 % clean, 84.0 % under PGD-10", "Epoch 32 of 40"):  # fmt: skip
        assert words in lead


def test_the_worst_class_is_the_one_of_the_table_of_classes(runs):
    document = run_document(runs[CRDND])
    results, classes = table(document, "results"), table(document, "classes")
    place = [column.title for column in classes.columns].index("AutoAttack")
    least = min(classes.rows, key=lambda row: row.cells[place].value)
    attack = next(row for row in results.rows if row.label == "AutoAttack")
    assert (attack.cells[1].value, attack.cells[2].text) == (
        least.cells[place].value, f"class {least.label}, n {least.cells[0].value:.0f}",
    )  # fmt: skip
    assert sum(row.cells[0].value for row in classes.rows) == 597


def test_figures_are_those_of_the_events(runs):
    document = run_document(runs[CRDND])
    assert [one.key for one in document.figures] == [
        "loss", "validation", "teacher-clean", "teacher-adversarial", "classes", "confusion-clean", "confusion-worst",
        "acm-clean", "acm-adversarial",
    ]  # fmt: skip
    events = [json.loads(line) for line in runs[CRDND].events.read_bytes().splitlines()]
    epochs = [event for event in events if event["event"] == "epoch_done"]
    assert figure(document, "loss").series[0].y == tuple(event["loss"] for event in epochs)
    assert figure(document, "acm-adversarial").matrix == tuple(map(tuple, epochs[-1]["acm_robust"]))
    assert len(figure(document, "teacher-clean").series) == 10
    confusion = figure(document, "confusion-clean").matrix
    assert sum(confusion[k][k] for k in range(10)) == 580  # of 597: 97.2 %


def test_pictures_are_few_fooled_first_and_of_different_classes(run):
    folder = run.evaluation / "best"
    examples = [shelves.example(0, 1, 1), shelves.example(1, 2, 2, before=3), *(
        shelves.example(k, k % 2, 3, place=k - 2) for k in range(2, 6)
    )]  # fmt: skip
    shelves.hang(folder, {"pgd_sat": examples, "autoattack": examples})
    document = run_document(run, pictures=5)
    captions = [picture.caption for picture in document.pictures]
    assert [caption.partition(",")[0] for caption in captions] == ["cat", "dog", "cat", "dog", "dog"]
    assert "read as ship under AutoAttack" in captions[0]
    assert "still read so" in captions[4]
    for picture in document.pictures:
        assert {len(picture.clean), len(picture.perturbation), len(picture.adversarial)} == {3 * 2 * 2}
    assert run_document(run, pictures=0).pictures == ()


def test_where_nothing_changed_the_perturbation_is_grey(run):
    examples = [shelves.example(0, 1, 2)]
    shelves.hang(run.evaluation / "best", {"autoattack": examples}, values=[0.25] * 8)
    (picture,) = run_document(run).pictures
    assert picture.clean == picture.adversarial == bytes([64] * 12)
    assert picture.perturbation == bytes([128] * 12)


@pytest.mark.parametrize(
    ("name", "says"),
    [(FAILED, "The run is failed: the loss is not a finite number"), (STOPPED, "The run is stopped: stop file"),
     (KILLED, "The run is killed")],
)  # fmt: skip
def test_a_run_that_did_not_end_well_says_so(runs, name, says):
    document = run_document(runs[name])
    assert document.warnings[0].startswith(says)
    assert document.lead[0] == "The checkpoint best has not been judged on the test images yet."
    assert says[:12] in render.html(document)


def test_a_running_run_shows_what_there_is(run):
    shutil.rmtree(run.evaluation)
    lines = run.events.read_bytes().splitlines(keepends=True)
    run.events.write_bytes(b"".join(lines[:200]))
    status = json.loads(run.status.read_bytes()) | {"phase": "training", "results": {}}
    run.status.write_text(json.dumps(status))
    with run.lock.open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        document = run_document(run, made=status["heartbeat"])
    assert document.warnings == ("The run is running: numbers and curves are as far as it is.",)
    assert [one.key for one in document.figures][:2] == ["loss", "validation"]
    assert document.tables == ()


def test_a_teacher_s_own_run_has_no_teacher(runs):
    document = run_document(runs[TEACHER])
    assert not any("teacher" in sentence for sentence in document.lead)
    assert document.title == "SAT: small_resnet on digits, seed 0"


def spoil_results(run: RunDir) -> None:
    (run.evaluation / "best" / "worst.json").write_bytes(b"{]")


def spoil_events(run: RunDir) -> None:
    run.events.write_bytes(b"\xff\x00 nonsense\n" * 3)


def spoil_gallery(run: RunDir) -> None:
    (run.evaluation / "best" / "gallery.json").write_text("[[[")


def spoil_config(run: RunDir) -> None:
    run.config.write_text("name = ")


def spoil_provenance(run: RunDir) -> None:
    run.provenance.unlink()
    run.provenance.symlink_to("/etc/passwd")


def take_all(run: RunDir) -> None:
    shutil.rmtree(run.path)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [(spoil_results, "worst.json is damaged"), (spoil_events, "3 damaged lines"), (spoil_gallery, "gallery.json is"),
     (spoil_config, ""), (spoil_provenance, ""), (take_all, "The run is")],
)  # fmt: skip
def test_damage_is_said_and_the_rest_is_shown(run, spoil, says):
    spoil(run)
    document = run_document(run)
    assert says in " ".join(document.warnings)
    assert "root:" not in render.html(replace(document, figures=document.figures[:1]))


def test_results_without_events_are_shown(run):
    run.events.unlink()
    document = run_document(run)
    assert len(table(document, "results").rows) == 9
    assert [one.key for one in document.figures] == ["classes", "confusion-clean", "confusion-worst"]


def test_a_checkpoint_that_was_not_judged_is_not_replaced_in_silence(run):
    document = run_document(run, checkpoint="last")
    assert "No results of the checkpoint last; there are results of best." in document.warnings


def test_two_checkpoints_stand_side_by_side(run):
    shutil.copytree(run.evaluation / "best", run.evaluation / "last")
    for path in (run.evaluation / "last").glob("*.json"):
        path.write_bytes(path.read_bytes().replace(b'"checkpoint":"best"', b'"checkpoint":"last"'))
    results = table(run_document(run, checkpoint="last"), "results")
    assert [column.title for column in results.columns][:2] == ["accuracy, last", "accuracy, best"]
    assert results.rows[0].cells[0].value == results.rows[0].cells[1].value


def test_many_classes_are_drawn_as_the_worst_of_them(tmp_path):
    run = RunDir(tmp_path / "20300101-000000-crdnd-s0-abcd")
    run.path.mkdir()
    run.config.write_text('name = "x"\n')
    labels = [k for k in range(30) for _ in range(4)]
    for attack, wrong in (("clean", 1), ("fgsm", 3)):
        predicted = [(k + 1) % 30 if place % 4 < wrong and k % 2 else k for place, k in enumerate(labels)]
        shelves.judge(run.evaluation / "best", attack, labels, predicted, classes=30)
    document = run_document(run)
    bars = figure(document, "classes")
    assert len(bars.bars) == 2 * 20
    assert "20 of 30 classes" in bars.caption
    assert {bar.value for bar in bars.bars if bar.colour == 1} == {25.0, 100.0}
    assert len(table(document, "classes").rows) == 30


def test_the_origin_has_its_run_its_hash_and_facts(runs):
    (origin,) = run_document(runs[CRDND]).origins
    told = json.loads(runs[CRDND].provenance.read_bytes())
    assert (origin.run, origin.config_hash, origin.seed) == (runs[CRDND].id, told["config_hash"], 0)
    assert any("torch" in value for _, value in origin.facts)
    assert dict(origin.facts)["reproduce"] == (
        f"git checkout {told['git']['commit']} && crdnd run {origin.run}/config.toml --device cpu --threads 1"
    )


def test_the_folder_is_only_read_and_the_same_run_gives_the_same_bytes(runs):
    def state(path: Path) -> list[tuple[str, int]]:
        return sorted((str(p), p.stat().st_mtime_ns) for p in path.rglob("*"))

    before = state(runs[CRDND].path)
    one, two = (run_document(runs[CRDND], made=1e9) for _ in range(2))
    assert data.json_text(one) == data.json_text(two)
    html_one, html_two = (render.html(replace(each, figures=each.figures[:1])) for each in (one, two))
    assert html_one == html_two
    assert state(runs[CRDND].path) == before


def test_an_origin_tells_what_the_engine_wrote(tmp_path):
    told = {
        "config_hash": "a" * 64, "device": "cpu", "threads": 1, "git": {"commit": "c" * 40, "dirty": True},
        "packages": {"torch": "2.9", "numpy": "1"}, "data_sha256": {"test": "d" * 64},
    }  # fmt: skip
    (tmp_path / "provenance.json").write_text(json.dumps(told))
    (origin,) = run_origins([judged("crdnd-0", 1, 1, seed=7)], {"crdnd-0": tmp_path})
    assert (origin.run, origin.label, origin.state, origin.seed) == ("crdnd-0", "crdnd-0", "done", 7)
    assert origin.config_hash == "a" * 64
    assert dict(origin.facts) == {
        "versions": "torch 2.9", "device": "cpu, 1 thread", "commit": "cccccccccccc, with changes",
        "test data": "sha256 dddddddddddd",
    }  # fmt: skip


@pytest.mark.parametrize("content", ["", "{", "[]", '{"packages": 3, "git": [], "seed": {}}', "[" * 100_000])
def test_a_damaged_provenance_is_an_origin_with_fewer_facts(tmp_path, content):
    (tmp_path / "provenance.json").write_text(content)
    (origin,) = run_origins([judged("crdnd-0", 1, 1)], {"crdnd-0": tmp_path})
    assert (origin.run, origin.facts) == ("crdnd-0", ())


def test_a_link_is_no_provenance(tmp_path):
    (tmp_path / "elsewhere.json").write_text('{"device": "cpu"}')
    (tmp_path / "provenance.json").symlink_to(tmp_path / "elsewhere.json")
    (origin,) = run_origins([judged("crdnd-0", 1, 1)], {"crdnd-0": tmp_path})
    assert origin.facts == ()
