"""Whole engines and their teacher's table: chosen, filled, gone, damaged, on a full disk, and kept by a resumed run."""

import json
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from engine.fast.teacher_logits import open_table
from engine.run.fast_path import TeacherLogitsOpener
from engine.spec import teacher_logits
from engine.spec.machine import Machine
from engine.spec.rundir import RunDir
from engine.spec.teacher_logits import tables_folder
from tests.engine.broken_runs import (
    FINISHED,
    STOPPED,
    ForkServer,
    assert_equal,
    make,
    newest,
    said,
    short,
    write_data,
    write_teacher,
)
from tests.engine.broken_runs import state as state_of
from tests.engine.logits_bench import scribbled
from tests.engine.tampering import rewrite

ENDS = {"": FINISHED, "SIGTERM": STOPPED, "full": FINISHED, "die": -signal.SIGKILL}


def worked(fork_server: ForkServer, folder: Path, data: Path, fault: dict | None = None, **machine) -> RunDir:
    """A run of two epochs of two batches of 16, on a machine with these switches."""
    run = make(folder, data, short())
    said_before = Machine.model_validate_json(run.machine.read_bytes())
    run.machine.write_text(said_before.model_copy(update=machine).model_dump_json())
    code = fork_server.work(run, **(fault or {}))
    assert code == ENDS[fault["do"] if fault else ""], fork_server.screen.read_text()
    return run


@pytest.fixture(scope="module")
def unbroken(fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunDir]:
    """Runs that nothing happened to: without a table, and with a complete one."""
    folder = tmp_path_factory.mktemp("unbroken")
    data = folder / "data"
    data.mkdir()
    write_data(data)
    write_teacher(data)
    return {table: worked(fork_server, folder / table, data, table=table) for table in ("off", "complete")}


def told(run: RunDir) -> list[float]:
    return [event["loss"] for event in said(run, "step_done")]


def tables_of(data: Path) -> list[str]:
    return teacher_logits.names(tables_folder(data))


def tabled(run: RunDir) -> list[str]:
    """What each engine of the run said of its table."""
    return [began["switches"]["table"] for began in said(run, "training_started")]


def warnings(run: RunDir) -> list[dict]:
    return [event for event in said(run, "warned") if "table" in event["code"]]


def cut(fork_server: ForkServer, folder: Path, data: Path, **machine) -> RunDir:
    """A run that was stopped in its second epoch."""
    return worked(fork_server, folder, data, {"at": "step", "k": 3, "do": "SIGTERM"}, **machine)


def test_engines_without_with_an_empty_and_with_anothers_table(
    fork_server: ForkServer, own: Path, tmp_path, unbroken: dict[str, RunDir]
):
    first, second = (worked(fork_server, tmp_path / name, own, table="complete") for name in ("first", "second"))
    assert len(tables_of(own)) == 1
    assert told(second) == told(first) == pytest.approx(told(unbroken["off"]), rel=1e-6)  # seen: equal
    assert_equal(state_of(newest(second)), state_of(newest(first)))
    (began,) = said(first, "training_started")
    assert began["switches"] == json.loads(first.provenance.read_text())["switches"]
    assert (began["switches"]["table"], began["switches"]["folded"]) == ("complete", "on")
    assert all(sum(step["shares"].values()) == pytest.approx(1.0) for step in said(first, "step_done"))
    assert said(first, "table_filled")[-1]["filled"] == 1.0 and not said(second, "table_filled")


def test_auto_has_no_table_where_asking_is_cheaper_one_where_a_study_pays_for_it_and_any_that_is_there(
    fork_server: ForkServer, own: Path, tmp_path
):
    alone = worked(fork_server, tmp_path / "alone", own)  # two epochs, where an image has more views
    assert tabled(alone) == ["off"] and tables_of(own) == []
    (began,) = said(alone, "training_started")
    assert any(note.startswith("no teacher table: 64 teacher forwards are planned") for note in began["notes"])
    assert tabled(worked(fork_server, tmp_path / "study", own, table_epochs=1000)) == ["complete"]
    assert tabled(worked(fork_server, tmp_path / "later", own)) == ["complete"]


def test_an_exact_engine_switches_nothing_on(fork_server: ForkServer, own: Path, tmp_path):
    run = worked(fork_server, tmp_path, own, exact=True, table="complete")
    (began,) = said(run, "training_started")
    assert began.get("switches", {}) == {} and json.loads(run.provenance.read_text())["switches"] == {}
    assert tables_of(own) == []


def test_a_run_resumed_where_its_table_is_gone_makes_it_again_and_ends_as_the_unbroken_one(
    fork_server: ForkServer, own: Path, tmp_path, unbroken: dict[str, RunDir]
):
    run = cut(fork_server, tmp_path, own, table_epochs=1000)
    teacher_logits.remove(tables_folder(own), tables_of(own)[0])
    rewrite(run.machine, lambda text: text.replace('"table_epochs":1000', '"table_epochs":0'))
    assert fork_server.work(run) == FINISHED
    assert told(run) == told(unbroken["complete"]) and tabled(run) == ["complete"] * 2
    assert said(run, "run_resumed")[0]["step"] == 3
    assert_equal(state_of(newest(run)), state_of(newest(unbroken["complete"])))
    stages = [event["stage"] for event in said(run, "stage_started")]  # the status shows the last one
    assert stages == ["data", "check", "table", "training", "table", "training", "evaluation"]


def test_a_run_that_began_without_a_table_goes_on_without_though_there_is_one_by_now(
    fork_server: ForkServer, own: Path, tmp_path, unbroken: dict[str, RunDir]
):
    run = cut(fork_server, tmp_path / "b", own)
    worked(fork_server, tmp_path / "other", own, table="complete")
    assert fork_server.work(run) == FINISHED
    assert told(run) == told(unbroken["off"]) and tabled(run) == ["off"] * 2


def test_a_run_whose_table_cannot_be_had_any_more_goes_on_and_says_how_equal_it_is(
    fork_server: ForkServer, own: Path, tmp_path, unbroken: dict[str, RunDir]
):
    run = cut(fork_server, tmp_path, own, table_epochs=1000)
    teacher_logits.remove(tables_folder(own), tables_of(own)[0])
    machine = Machine.model_validate_json(run.machine.read_bytes())
    run.machine.write_text(machine.model_copy(update={"table_gib": 1e-9}).model_dump_json())
    assert fork_server.work(run) == FINISHED
    (warned,) = warnings(run)
    assert warned["code"] == "table_unwritable" and "are allowed" in warned["message"]
    assert "agrees to rounding" in warned["message"]
    assert told(run) == pytest.approx(told(unbroken["complete"]), rel=1e-6) and tabled(run) == ["complete", "off"]


def test_a_machine_file_of_before_is_read_and_its_run_goes_on_with_a_complete_table(
    fork_server: ForkServer, own: Path, tmp_path
):
    run = cut(fork_server, tmp_path, own, table="complete")
    rewrite(run.machine, lambda text: text.replace('"table":"complete"', '"table":"lazy"'))
    rewrite(run.provenance, lambda text: text.replace('"table": "complete"', '"table": "lazy"'))
    assert fork_server.work(run) == FINISHED and tabled(run) == ["complete"] * 2


def test_a_disk_that_fills_up_while_the_table_is_filled_leaves_a_run_that_asks_at_every_step(
    fork_server: ForkServer, own: Path, tmp_path, unbroken: dict[str, RunDir]
):
    run = worked(fork_server, tmp_path, own, {"at": "table", "k": 5, "do": "full"}, table="complete")
    (warned,) = warnings(run)
    assert warned["code"] == "table_unwritable" and "No space left" in warned["message"]
    assert tabled(run) == ["off"] and json.loads(run.provenance.read_text())["switches"]["table"] == "off"
    assert told(run) == told(unbroken["off"])


def test_a_fill_that_was_killed_goes_on_behind_a_chunk_without_its_checksum(
    fork_server: ForkServer, own: Path, tmp_path, unbroken: dict[str, RunDir]
):
    run = worked(fork_server, tmp_path, own, {"at": "table", "k": 6, "do": "die"}, table="complete")
    (found,) = teacher_logits.listed(tables_folder(own))
    assert found.filled is not None and 0 < found.filled < 1 and not found.in_use
    assert fork_server.work(run) == FINISHED
    assert told(run) == told(unbroken["complete"])
    assert_equal(state_of(newest(run)), state_of(newest(unbroken["complete"])))


def damaged(data: Path, unbroken: dict[str, RunDir], damage: str) -> str:
    """Put the table of the unbroken run into this data folder, cut off or full of other logits; its name."""
    (whole,) = teacher_logits.listed(tables_folder(unbroken["complete"].path.parents[2] / "data"))
    folder = tables_folder(data)
    if damage == "cut off":
        folder.mkdir(parents=True)
        (folder / whole.id).write_bytes(whole.path.read_bytes()[:-4])
    else:
        assert whole.meta is not None
        scribbled(open_table(folder, whole.meta.key, 1 << 30)[0]).close()
    return whole.id


@pytest.mark.parametrize(
    ("damage", "words"), [("cut off", "bytes instead of"), ("other logits", "from what the teacher answers")]
)
def test_a_table_that_is_cut_off_or_holds_other_logits_is_set_aside_and_a_new_one_begun(
    fork_server: ForkServer, own: Path, tmp_path, unbroken: dict[str, RunDir], damage: str, words: str
):
    name = damaged(own, unbroken, damage)
    run = worked(fork_server, tmp_path, own, table="complete")
    (warned,) = warnings(run)
    assert warned["code"] == "table_damaged" and words in warned["message"]
    assert tables_of(own) == [name, f"{name}.damaged"]
    assert told(run) == told(unbroken["complete"])


def test_a_run_that_filled_its_table_as_it_went_does_not_have_to_fill_all_of_it(
    fork_server: ForkServer, own: Path, tmp_path: Path
) -> None:
    run = cut(fork_server, tmp_path, own)
    rewrite(run.provenance, lambda text: text.replace('"table": "off"', '"table": "lazy"'))
    assert fork_server.work(run) == FINISHED
    assert tabled(run) == ["off"] * 2 and tables_of(own) == [] and not warnings(run)


@pytest.mark.parametrize("wanted", ["complete", "auto"])
def test_a_run_does_without_a_table_that_lies_and_cannot_be_set_aside(
    fork_server: ForkServer, own: Path, tmp_path: Path, wanted: str, unbroken: dict[str, RunDir]
) -> None:
    name = damaged(own, unbroken, "other logits")
    run = worked(fork_server, tmp_path, own, {"at": "aside", "k": 1, "do": "full"}, table=wanted)
    assert tabled(run) == ["off"] and told(run) == told(unbroken["off"]) and tables_of(own) == [name]
    first = warnings(run)[0]
    assert first["code"] == "table_damaged" and "from what the teacher answers" in first["message"]
    assert "cannot be set aside" in first["message"] and "No space left" in first["message"]
    (began,) = said(run, "training_started")
    assert any(note.startswith("no teacher table: ") for note in began["notes"])


def test_the_images_of_a_table_are_brought_to_the_device_once() -> None:
    images = torch.zeros(4, 1, 8, 8, dtype=torch.uint8)
    laying = object.__new__(TeacherLogitsOpener)
    dataset, context = (
        SimpleNamespace(train=SimpleNamespace(images=images)),
        SimpleNamespace(device=torch.device("meta")),
    )
    vars(laying).update(dataset=dataset, context=context)
    assert laying._images.is_meta and laying._images is laying._images
