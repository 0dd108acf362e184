"""Runs with a teacher's table: equal to the bit whoever filled it, and to rounding to runs that ask at every step."""

import json
from pathlib import Path

import pytest
import torch

from engine.fast import table as table_file
from engine.fast.filling import fill
from engine.fast.plan import Plan
from engine.fast.table import Table, chunks_of
from engine.spec import tables
from engine.spec.events import StepDone
from engine.spec.machine import Machine
from engine.spec.methods import ARD, CRDND, IAD, RSLAD
from engine.spec.rundir import RunDir
from engine.spec.tables import tables_folder
from engine.train import Trainer
from tests.engine.broken_runs import (
    FINISHED,
    STOPPED,
    Nursery,
    assert_equal,
    make,
    newest,
    said,
    short,
    write_data,
    write_teacher,
)
from tests.engine.broken_runs import state as state_of
from tests.engine.fast_bench import CLASSES, stopped, trainer
from tests.engine.table_bench import all_of, missing, opened, scribbled
from tests.engine.test_trainer import Journal, label, same

TAUGHT = [ARD(alpha=1.0), ARD(alpha=0.5), IAD(begin=1), RSLAD(), CRDND(), CRDND(off_diagonal="learned")]
FAST = Plan(folded=True, paired=True)
IMAGES = 40


def small_table(folder: Path) -> Table:
    return opened(folder, images=IMAGES, classes=CLASSES, image=(2, 5, 5))


def laid(spec, journal: Journal, folder: Path | None, *, plan: Plan = FAST, first: list[int] | None = None) -> Trainer:
    """A run; with a folder, on a table there, which is filled before: for the images `first`, then for all."""
    made = trainer(spec, journal, plan)
    if folder is not None:
        table, shown = small_table(folder), made.feed._padded[:, :, 1:-1, 1:-1]
        for chunks in ([] if first is None else [chunks_of(table.key, torch.tensor(first))]) + [all_of(table)]:
            fill(table, made.fast.teacher.compute, shown, chunks, lambda: None, lambda _: None)
        assert missing(table) == 0
        made.fast.with_table(table, made.feed)
    return made


def whole(spec, folder: Path | None, **changes) -> Journal:
    journal = Journal()
    made = laid(spec, journal, folder, **changes)
    made.run()
    made.fast.close()
    return journal


def losses(journal: Journal) -> list[float]:
    return [event.loss for event in journal.events if isinstance(event, StepDone)]


@pytest.mark.parametrize("plan", [FAST, Plan()], ids=["fast", "exact but for the table"])
@pytest.mark.parametrize("spec", TAUGHT, ids=label)
def test_a_run_is_the_same_whoever_filled_its_table(spec, plan, tmp_path: Path):
    """To the bit with any table. Without one to rounding, 1e-7 at first, which signs of gradients make larger."""
    own, anothers = (whole(spec, tmp_path / "a", plan=plan) for _ in range(2))
    piecewise = whole(spec, tmp_path / "b", plan=plan, first=[3, 17, 39])
    for other in (anothers, piecewise):
        assert other.facts() == own.facts()
        assert same(other.state(), own.state())
    without = losses(whole(spec, None, plan=plan))
    assert losses(own)[:1] == pytest.approx(without[:1], rel=1e-5)
    assert losses(own) == pytest.approx(without, rel=1e-2)


def asked(made: Trainer) -> list[int]:
    """How many images the teacher is shown, each time."""
    seen: list[int] = []
    made.fast.teacher._asked[0].register_forward_pre_hook(lambda _net, x: seen.append(len(x[0])))
    return seen


@pytest.mark.parametrize(("spec", "each"), [(RSLAD(), []), (CRDND(), [6, 6, 6, 6, 6, 6, 4])], ids=["rslad", "crdnd"])
def test_with_a_table_the_teacher_is_asked_about_adversarial_images_alone(spec, each, tmp_path: Path):
    made = laid(spec, Journal(), tmp_path)
    seen = asked(made)
    made.run()
    assert seen == 2 * each


def test_a_run_cut_in_the_middle_of_an_epoch_ends_as_the_unbroken_one_though_its_table_is_gone(tmp_path: Path):
    unbroken, first, second = whole(CRDND(), tmp_path / "a"), Journal(4), Journal()
    cut = laid(CRDND(), first, tmp_path / "b")
    assert stopped(cut)
    cut.fast.close()
    resumed = laid(CRDND(), second, tmp_path / "c", first=[5])
    resumed.load_state_dict(first.state())
    resumed.run()
    assert first.facts() + second.facts() == unbroken.facts()
    assert same(second.state(), unbroken.state())


# --- whole engines ---------------------------------------------------------------------------------------------------


def worked(nursery: Nursery, folder: Path, data: Path, fault: dict | None = None, **machine) -> RunDir:
    """A run of two epochs of two batches of 16, on a machine with these switches."""
    run = make(folder, data, short())
    said_before = Machine.model_validate_json(run.machine.read_bytes())
    run.machine.write_text(said_before.model_copy(update=machine).model_dump_json())
    code = nursery.work(run, **(fault or {}))
    assert code == (STOPPED if fault else FINISHED), nursery.screen.read_text()
    return run


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Data of this test alone, so that nobody else's table lies there."""
    folder = tmp_path / "data"
    folder.mkdir()
    write_data(folder)
    write_teacher(folder)
    return folder


def told(run: RunDir) -> list[float]:
    return [event["loss"] for event in said(run, "step_done")]


def shelf(data: Path) -> list[str]:
    return tables.names(tables_folder(data))


def tabled(run: RunDir) -> list[str]:
    """What each engine of the run said of its table."""
    return [began["switches"]["table"] for began in said(run, "training_started")]


def warnings(run: RunDir) -> list[dict]:
    return [event for event in said(run, "warned") if "table" in event["code"]]


def cut(nursery: Nursery, folder: Path, data: Path, **machine) -> RunDir:
    """A run that was stopped in its second epoch."""
    return worked(nursery, folder, data, {"at": "step", "k": 3, "do": "SIGTERM"}, **machine)


def test_engines_without_with_an_empty_and_with_anothers_table(nursery: Nursery, own: Path, tmp_path):
    without = worked(nursery, tmp_path / "off", own, table="off")
    assert shelf(own) == []
    first, second = (worked(nursery, tmp_path / name, own, table="complete") for name in ("first", "second"))
    assert len(shelf(own)) == 1
    assert told(second) == told(first) == pytest.approx(told(without), rel=1e-5)
    assert_equal(state_of(newest(second)), state_of(newest(first)))
    (began,) = said(first, "training_started")
    assert began["switches"] == json.loads(first.provenance.read_text())["switches"]
    assert (began["switches"]["table"], began["switches"]["folded"]) == ("complete", "on")
    assert all(sum(step["shares"].values()) == pytest.approx(1.0) for step in said(first, "step_done"))
    assert said(first, "table_filled")[-1]["filled"] == 1.0 and not said(second, "table_filled")


def test_auto_has_no_table_where_asking_is_cheaper_one_where_a_study_pays_for_it_and_any_that_is_there(
    nursery: Nursery, own: Path, tmp_path
):
    alone = worked(nursery, tmp_path / "alone", own)  # two epochs, where an image has more views
    assert tabled(alone) == ["off"] and shelf(own) == []
    (began,) = said(alone, "training_started")
    assert any(note.startswith("no teacher table: 64 teacher forwards are planned") for note in began["notes"])
    assert tabled(worked(nursery, tmp_path / "study", own, table_epochs=1000)) == ["complete"]
    assert tabled(worked(nursery, tmp_path / "later", own)) == ["complete"]


def test_an_exact_engine_switches_nothing_on(nursery: Nursery, own: Path, tmp_path):
    run = worked(nursery, tmp_path, own, exact=True, table="complete")
    (began,) = said(run, "training_started")
    assert began.get("switches", {}) == {} and json.loads(run.provenance.read_text())["switches"] == {}
    assert shelf(own) == []


def test_a_run_resumed_where_its_table_is_gone_makes_it_again_and_ends_as_the_unbroken_one(
    nursery: Nursery, own: Path, tmp_path
):
    unbroken = worked(nursery, tmp_path / "a", own, table_epochs=1000)
    run = cut(nursery, tmp_path / "b", own, table_epochs=1000)
    tables.remove(tables_folder(own), shelf(own)[0])
    run.machine.write_text(run.machine.read_text().replace('"table_epochs": 1000', '"table_epochs": 0'))
    assert nursery.work(run) == FINISHED
    assert told(run) == told(unbroken) and tabled(run) == ["complete"] * 2
    assert said(run, "run_resumed")[0]["step"] == 3
    assert_equal(state_of(newest(run)), state_of(newest(unbroken)))
    stages = [event["stage"] for event in said(run, "stage_started")]  # the status shows the last one
    assert stages == ["data", "check", "training", "table", "training", "evaluation"]


def test_a_run_that_began_without_a_table_goes_on_without_though_there_is_one_by_now(
    nursery: Nursery, own: Path, tmp_path
):
    unbroken = worked(nursery, tmp_path / "a", own)
    run = cut(nursery, tmp_path / "b", own)
    worked(nursery, tmp_path / "other", own, table="complete")
    assert nursery.work(run) == FINISHED
    assert told(run) == told(unbroken) and tabled(run) == ["off"] * 2


def test_a_run_whose_table_cannot_be_had_any_more_goes_on_and_says_how_equal_it_is(
    nursery: Nursery, own: Path, tmp_path
):
    unbroken = worked(nursery, tmp_path / "a", own, table="complete")
    run = cut(nursery, tmp_path / "b", own, table_epochs=1000)
    tables.remove(tables_folder(own), shelf(own)[0])
    machine = Machine.model_validate_json(run.machine.read_bytes())
    run.machine.write_text(machine.model_copy(update={"table_gib": 1e-9}).model_dump_json())
    assert nursery.work(run) == FINISHED
    (warned,) = warnings(run)
    assert warned["code"] == "table_unwritable" and "are allowed" in warned["message"]
    assert "agrees to rounding" in warned["message"]
    assert told(run) == pytest.approx(told(unbroken), rel=1e-5) and tabled(run) == ["complete", "off"]


def test_a_machine_file_of_before_is_read_and_its_run_goes_on_with_a_complete_table(
    nursery: Nursery, own: Path, tmp_path
):
    run = cut(nursery, tmp_path, own, table="complete")
    run.machine.write_text(run.machine.read_text().replace('"table":"complete"', '"table":"lazy"'))
    assert '"lazy"' in run.machine.read_text()
    run.provenance.write_text(run.provenance.read_text().replace('"table": "complete"', '"table": "lazy"'))
    assert nursery.work(run) == FINISHED and tabled(run) == ["complete"] * 2


def test_a_cut_off_table_is_set_aside_and_a_new_one_begun(nursery: Nursery, own: Path, tmp_path):
    first = worked(nursery, tmp_path / "first", own, table="complete")
    (name,) = shelf(own)
    records = tables_folder(own) / name / tables.RECORDS
    records.write_bytes(records.read_bytes()[:-4])
    second = worked(nursery, tmp_path / "second", own, table="complete")
    assert [warned["code"] for warned in warnings(second)] == ["table_damaged"]
    assert shelf(own) == [name, f"{name}.damaged"]
    assert told(second) == told(first)


def test_a_table_that_holds_other_logits_is_set_aside_and_a_new_one_begun(nursery: Nursery, own: Path, tmp_path):
    first = worked(nursery, tmp_path / "first", own, table="complete")
    (name,) = shelf(own)
    folder = tables_folder(own)
    key = tables.read_meta(folder / name).key
    tables.remove(folder, name)
    scribbled(table_file.open_table(folder, key, 1 << 30)[0]).close()
    second = worked(nursery, tmp_path / "second", own, table="complete")
    (warned,) = warnings(second)
    assert warned["code"] == "table_damaged" and "from what the teacher answers" in warned["message"]
    assert shelf(own) == [name, f"{name}.damaged"]
    assert told(second) == told(first)
