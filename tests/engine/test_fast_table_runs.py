"""Runs with a teacher's table end as runs without one: filled as they go, filled before, damaged, or on a full disk."""

import errno
import json
from pathlib import Path

import pytest

from engine.crew import Crew
from engine.fast import table as table_file
from engine.fast.filling import fill
from engine.fast.natural import Natural
from engine.fast.plan import Plan
from engine.fast.table import Table, Views
from engine.spec import tables
from engine.spec.events import StepDone, Warned
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
from tests.engine.table_bench import every, opened, random_logits
from tests.engine.test_trainer import Journal, label, same

TAUGHT = [ARD(alpha=1.0), ARD(alpha=0.5), IAD(begin=1), RSLAD(), CRDND(), CRDND(off_diagonal="learned")]
FAST = Plan(folded=True, paired=True)
IMAGES = 40


def small_table(folder: Path) -> Table:
    return opened(folder, images=IMAGES, classes=CLASSES, image=(2, 5, 5))


def laid(spec, journal: Journal, folder: Path | None, *, chunk: int = 16, plan: Plan = FAST) -> Trainer:
    made = trainer(spec, journal, plan)
    if folder is not None:
        natural = Natural(
            table=small_table(folder), teacher=made.fast.teacher, feed=made.feed, crew=Crew(), chunk=chunk
        )
        made.fast.with_table(natural, "lazy")
    return made


def whole(spec, folder: Path | None, **changes) -> Journal:
    journal = Journal()
    made = laid(spec, journal, folder, **changes)
    made.run()
    made.fast.close()
    return journal


def complete(folder: Path, plan: Plan = FAST, chunk: int = 16) -> None:
    """All views of the images, as the run's own teacher answers."""
    made = laid(RSLAD(), Journal(), folder, plan=plan)
    shown = made.feed._padded[:, :, 1:-1, 1:-1]
    fill(made.fast.natural.table, made.fast.teacher.compute, shown, None, chunk, lambda: None, lambda _: None)
    assert made.fast.natural.table.filled == 1.0
    made.fast.close()


def losses(journal: Journal) -> list[float]:
    return [event.loss for event in journal.events if isinstance(event, StepDone)]


@pytest.mark.parametrize("plan", [FAST, Plan()], ids=["fast", "exact but for the table"])
@pytest.mark.parametrize("spec", TAUGHT, ids=label)
def test_a_run_is_the_same_without_a_table_with_an_empty_one_with_one_of_another_run_and_with_a_full_one(
    spec, plan, tmp_path: Path
):
    without, first, second = (whole(spec, folder, plan=plan) for folder in (None, tmp_path / "a", tmp_path / "a"))
    complete(tmp_path / "b", plan)
    full = whole(spec, tmp_path / "b", plan=plan)
    assert losses(first) == pytest.approx(losses(without), rel=1e-6)
    for other in (second, full):
        assert other.facts() == first.facts()
        assert same(other.state(), first.state())


def asked(made: Trainer) -> list[int]:
    """How many images the teacher is shown, each time."""
    seen: list[int] = []
    made.fast.teacher._asked[0].register_forward_pre_hook(lambda _net, x: seen.append(len(x[0])))
    return seen


@pytest.mark.parametrize(("spec", "each"), [(RSLAD(), []), (CRDND(), [6, 6, 6, 6, 6, 6, 4])], ids=["rslad", "crdnd"])
def test_of_a_complete_table_the_teacher_is_asked_about_adversarial_images_alone(spec, each, tmp_path: Path):
    complete(tmp_path)
    journal = Journal()
    made = laid(spec, journal, tmp_path)
    seen = asked(made)
    made.run()
    assert seen == 2 * each


def test_views_of_coming_batches_are_computed_in_one_go(tmp_path: Path):
    made = laid(RSLAD(), Journal(7), tmp_path, chunk=24)
    seen = asked(made)
    assert stopped(made)
    assert seen == [24, 24]  # batches 1 to 4, then 5 to 7
    draws = made.feed.draw(made.config.seed, 1)
    assert not any(bool(made.fast.natural.table.missing(Views(*made.feed.views(draws, k))).any()) for k in range(7))


def test_a_run_cut_in_the_middle_of_an_epoch_ends_as_the_unbroken_one_with_a_table_half_filled(tmp_path: Path):
    unbroken, first, second = whole(CRDND(), tmp_path / "a"), Journal(4), Journal()
    cut = laid(CRDND(), first, tmp_path / "b")
    assert stopped(cut)
    assert 0 < cut.fast.natural.table.filled < 1
    cut.fast.close()
    resumed = laid(CRDND(), second, tmp_path / "b")
    resumed.load_state_dict(first.state())
    resumed.run()
    assert first.facts() + second.facts() == unbroken.facts()
    assert same(second.state(), unbroken.state())


@pytest.mark.parametrize("chunk", [16, 6], ids=["looking ahead", "batch by batch"])
def test_on_a_full_disk_the_run_goes_on_says_so_once_and_still_looks_up_what_is_there(
    chunk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    roomy, journal = whole(RSLAD(), tmp_path / "a", chunk=chunk), Journal()
    written, refused = [], []
    made = laid(RSLAD(), journal, tmp_path / "b", chunk=chunk)
    pwrite = table_file.os.pwrite

    def full(file: int, content: bytes, offset: int) -> int:
        if len(written) >= 15:
            refused.append(offset)
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(offset)
        return pwrite(file, content, offset)

    monkeypatch.setattr(table_file.os, "pwrite", full)
    made.run()
    (warned,) = [event for event in journal.events if isinstance(event, Warned)]
    assert warned.code == "table_unwritable" and "No space left" in warned.message
    assert len(refused) == 1  # and then nobody tries again
    journal.events.remove(warned)
    assert journal.facts() == roomy.facts()
    assert same(journal.state(), roomy.state())
    made.fast.close()
    monkeypatch.undo()
    seen = asked(again := laid(RSLAD(), Journal(1), tmp_path / "b", chunk=6))
    assert stopped(again)
    assert seen == []  # the first batch was kept


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


def test_engines_without_with_an_empty_with_anothers_and_with_a_complete_table(nursery: Nursery, own: Path, tmp_path):
    without = worked(nursery, tmp_path / "off", own, table="off")
    assert shelf(own) == []
    runs = [worked(nursery, tmp_path / name, own, table="lazy") for name in ("first", "second")]
    runs.append(worked(nursery, tmp_path / "complete", own, table="complete"))
    assert len(shelf(own)) == 1
    assert all(told(run) == told(runs[0]) == pytest.approx(told(without), rel=1e-6) for run in runs)
    for run in runs:
        assert_equal(state_of(newest(run)), state_of(newest(runs[0])))
    (began,) = said(runs[2], "training_started")
    assert began["switches"] == json.loads(runs[2].provenance.read_text())["switches"]
    assert (began["switches"]["table"], began["switches"]["folded"]) == ("complete", "on")
    assert all(sum(step["shares"].values()) == pytest.approx(1.0) for step in said(runs[2], "step_done"))
    assert said(runs[2], "table_filled")[-1]["filled"] == 1.0 and not said(runs[1], "table_filled")


def test_an_exact_engine_switches_nothing_on(nursery: Nursery, own: Path, tmp_path):
    run = worked(nursery, tmp_path, own, exact=True, table="complete")
    (began,) = said(run, "training_started")
    assert began.get("switches", {}) == {} and json.loads(run.provenance.read_text())["switches"] == {}
    assert shelf(own) == []


def test_an_engine_stopped_within_an_epoch_ends_as_the_unbroken_one(nursery: Nursery, own: Path, tmp_path):
    unbroken = worked(nursery, tmp_path / "a", own, table="off")
    run = worked(nursery, tmp_path / "b", own, {"at": "step", "k": 3, "do": "SIGTERM"}, table="lazy")
    machine = Machine.model_validate_json(run.machine.read_bytes())
    run.machine.write_text(machine.model_copy(update={"table": "complete"}).model_dump_json())
    assert nursery.work(run) == FINISHED
    assert told(run) == pytest.approx(told(unbroken), rel=1e-6)
    assert said(run, "run_resumed")[0]["step"] == 3
    stages = [event["stage"] for event in said(run, "stage_started")]  # the status shows the last one
    assert stages == ["data", "check", "training", "table", "training", "evaluation"]
    assert [began["switches"]["table"] for began in said(run, "training_started")] == ["lazy", "complete"]


def test_a_cut_off_table_is_set_aside_and_a_new_one_begun(nursery: Nursery, own: Path, tmp_path):
    first = worked(nursery, tmp_path / "first", own, table="lazy")
    (name,) = shelf(own)
    records = tables_folder(own) / name / tables.RECORDS
    records.write_bytes(records.read_bytes()[:-4])
    second = worked(nursery, tmp_path / "second", own, table="lazy")
    assert [warned["code"] for warned in said(second, "warned") if "table" in warned["code"]] == ["table_damaged"]
    assert shelf(own) == [name, f"{name}.damaged"]
    assert told(second) == told(first)


def test_a_table_that_holds_other_logits_is_set_aside_and_a_new_one_begun(nursery: Nursery, own: Path, tmp_path):
    first = worked(nursery, tmp_path / "first", own, table="lazy")
    (name,) = shelf(own)
    folder = tables_folder(own)
    key = tables.read_meta(folder / name).key
    tables.remove(folder, name)
    with table_file.open_table(folder, key, 1 << 30) as lying:
        lying.write(every(lying), random_logits(lying))
    second = worked(nursery, tmp_path / "second", own, table="lazy")
    (warned,) = [event for event in said(second, "warned") if event["code"] == "table_damaged"]
    assert "from what the teacher answers" in warned["message"]
    assert shelf(own) == [name, f"{name}.damaged"]
    assert told(second) == told(first)
