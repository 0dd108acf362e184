"""Run folders: made whole, found by id or by config, and never outside their folder by name alone."""

import os
import re
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer

from crdnd_tui.cli import app
from crdnd_tui.core import complete, provenance, run_status
from crdnd_tui.core.scan import Scanner
from crdnd_tui.tui.runs.run_rows import NEWEST, ordered
from engine.spec import folders, status, toml
from engine.spec.config import CheckpointTeacher, JudgeConfig, RobustBenchTeacher, RunConfig, RunTeacher, TeacherSpec
from engine.spec.data import Digits
from engine.spec.errors import RunFolderError
from engine.spec.machine import Machine
from engine.spec.methods import Natural
from engine.spec.models import SmallCNN
from engine.spec.rundir import RUN_ID, RunDir, check, created, dated, find, newest_first
from engine.spec.status import Status
from engine.teachers import saved_run

CONFIG = RunConfig(name="mine", data=Digits(), student=SmallCNN(), method=Natural(), seed=4)
OTHER = CONFIG.model_copy(update={"seed": 5})


def made(
    runs: Path, config: RunConfig = CONFIG, phase: str = "", config_hash: str | None = None, created: float = 0.0
) -> RunDir:
    run = folders.create(config, "# mine\n", Machine(runs=str(runs), data=str(runs.parent / "data")))
    if phase:
        hashed = config.config_hash if config_hash is None else config_hash
        said = Status(run=run.id, phase=phase, config_hash=hashed, created=created)  # type: ignore[arg-type]
        run.status.write_bytes(status.encode(said))
    return run


def test_a_new_run_holds_preset_config_and_machine_and_nothing_else(tmp_path: Path) -> None:
    run = made(tmp_path / "deep" / "runs")
    assert sorted(path.name for path in run.path.iterdir()) == ["config.toml", "machine.json", "preset.toml"]
    assert run.preset.read_text() == "# mine\n"
    assert toml.read(run.config) == CONFIG
    machine = Machine.model_validate_json(run.machine.read_text())
    assert Path(machine.runs).is_absolute() and machine.runs_folder == (tmp_path / "deep" / "runs").resolve()
    assert [path.name for path in run.path.parent.iterdir()] == [run.id]  # no half-made folder is left


def test_an_id_tells_date_method_student_and_seed(tmp_path: Path) -> None:
    run = made(tmp_path)
    assert re.fullmatch(r"\d{8}-\d{6}-natural-small_cnn-s4-[0-9a-f]{4}", run.id)
    assert RUN_ID.fullmatch(run.id)
    assert len({folders.new_id(CONFIG) for _ in range(20)}) > 15


@pytest.mark.parametrize(
    ("subject", "word"),
    [
        (RunTeacher(run="20260101-120000-rslad-resnet18-s0-ab12"), "rslad-resnet18-s0-ab12"),
        (RunTeacher(run="/x/../20260101-120000-ard-s0-ab12/"), "ard-s0-ab12"),
        (CheckpointTeacher(checkpoint="../../a b.pt", model=SmallCNN()), "small_cnn"),
        (RobustBenchTeacher(robustbench="Wang2023Better_WRN-28-10"), "wang2023better_wrn-28-10"),
        (RobustBenchTeacher(robustbench="../" * 50 + "\x1b[31m"), "31m"),
        (RobustBenchTeacher(robustbench="\u8001\u5e08"), ""),
        (RobustBenchTeacher(robustbench="x" * 300), "x" * 55),
    ],
)
def test_an_evaluation_is_named_after_its_subject_and_stays_a_plain_name(subject: TeacherSpec, word: str) -> None:
    name = folders.new_id(JudgeConfig(data=Digits(), subject=subject))
    assert RUN_ID.fullmatch(name)
    assert f"-eval-{word}-s0-" in name.replace("eval-s0", "eval--s0")


def test_a_file_where_the_runs_should_lie_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(RunFolderError, match="no run folder can be made here"):
        made(tmp_path / "runs")


def test_equal_runs_are_those_of_this_very_config_newest_first(tmp_path: Path) -> None:
    second = made(tmp_path, phase="done", created=2.0)
    third = made(tmp_path, phase="failed", created=3.0)
    first = made(tmp_path, CONFIG.model_copy(update={"name": "other words"}), phase="done", created=1.0)
    unborn = made(tmp_path)  # its engine has said nothing yet
    unborn.path.rename(tmp_path / "renamed-by-hand")
    made(tmp_path, OTHER, phase="done")
    found = [run.id for run, _ in folders.equal_runs(tmp_path, CONFIG)]
    assert found == [third.id, second.id, first.id, "renamed-by-hand"]


def test_runs_stand_in_the_order_of_their_creation_whatever_their_ids_say(tmp_path: Path) -> None:
    """Tokyo, nine hours ahead, was first; the repeated hour of autumn; a run that never spoke, whose id is UTC."""
    tokyo = named(tmp_path, "20260101-190000-a", created=utc(10))
    later = named(tmp_path, "20260101-110000-b", created=utc(11))
    twice = named(tmp_path, "20260101-110000-a", created=utc(11, 30))
    silent = named(tmp_path, "20260101-120000-a")
    other = named(tmp_path, "by-hand")
    expected = [run.id for run in (silent, twice, later, tokyo, other)]
    assert newest_first(tmp_path, reversed(expected)) == expected
    assert [row.id for row in run_status.runs(tmp_path)] == expected
    *_, scan = Scanner(tmp_path).look(utc(13))
    assert [row.id for row in scan.rows] == expected
    assert [row.id for row in ordered(reversed(scan.rows), NEWEST, falling=True)] == expected
    ctx = typer.Context(typer.main.get_command(app.app))
    ctx.params = {"runs": tmp_path}
    assert complete.runs(ctx, "2026") == expected[:-1]


def test_a_damaged_status_does_not_move_a_run(tmp_path: Path) -> None:
    run = named(tmp_path, "20260101-120000-a")
    for content in (b"{half", b'{"created":-1.0}', b'{"created":1e400}', b"[" * 100_000):
        run.status.write_bytes(content)
        assert created(run.path) == utc(12)
    assert dated("20261301-120000-a") == 0.0


def test_a_new_id_is_of_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert abs(dated(folders.new_id(CONFIG)) - time.time()) < 5
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()


def utc(hour: int, minute: int = 0) -> float:
    return datetime(2026, 1, 1, hour, minute, tzinfo=UTC).timestamp()


def named(runs: Path, name: str, created: float | None = None) -> RunDir:
    run = RunDir(runs / name)
    run.path.mkdir()
    run.config.write_text("")
    if created is not None:
        run.status.write_bytes(status.encode(Status(run=name, phase="done", created=created)))
    return run


def test_a_moved_run_is_computed_where_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CRDND_DATA", raising=False)
    old, new = tmp_path / "old", tmp_path / "new"
    told = Machine(runs=str(old / "runs"), data=str(old / "sets"), device="cuda:1", threads=3)
    assert told.beside(old / "runs" / "a") is told
    moved = told.beside(new / "runs" / "a")
    assert (moved.runs, moved.data, moved.device, moved.threads) == (
        str(new / "runs"), str(new / "sets"), "cuda:1", 3,
    )  # fmt: skip
    far = told.model_copy(update={"data": "/somewhere/cifar"}).beside(new / "runs" / "a")
    assert far.data == str(new / "data")
    monkeypatch.setenv("CRDND_DATA", "/of/this/machine")
    assert told.beside(new / "runs" / "a").data == "/of/this/machine"
    (old / "sets").mkdir(parents=True)
    assert told.beside(new / "runs" / "a").data == str(old / "sets")  # it is here: all runs may share it


def test_engine_and_terminal_agree_on_where_a_moved_run_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CRDND_DATA", raising=False)
    run = made(tmp_path / "old" / "runs")
    (tmp_path / "old").rename(tmp_path / "new")
    run = RunDir(tmp_path / "new" / "runs" / run.id)
    for machine in (folders.machine_of(run), saved_run.machine_of(run), provenance.machine_of(run)):
        assert machine is not None and machine.runs_folder == tmp_path / "new" / "runs"
        assert machine.data_folder == tmp_path / "new" / "data"
    assert not (tmp_path / "old").exists()


def test_the_hash_in_a_status_is_only_a_hint(tmp_path: Path) -> None:
    made(tmp_path, OTHER, phase="done", config_hash=CONFIG.config_hash)  # a status that lies
    assert folders.equal_runs(tmp_path, CONFIG) == []
    run = made(tmp_path, phase="done", config_hash="")
    assert [found.id for found, _ in folders.equal_runs(tmp_path, CONFIG)] == [run.id]


def test_damaged_runs_are_nobody_s_equal(tmp_path: Path) -> None:
    for name, content in (("1-empty", None), ("2-broken", b"[[["), ("3-strange", b"seed = 'x'"), ("4-bytes", b"\xff")):
        folder = tmp_path / name
        folder.mkdir()
        if content is not None:
            (folder / "config.toml").write_bytes(content)
    run = made(tmp_path)
    run.status.write_bytes(b"{half")
    assert [(found.id, status) for found, status in folders.equal_runs(tmp_path, CONFIG)] == [(run.id, None)]


def test_a_finished_run_is_the_newest_that_is_done_and_has_its_weights(tmp_path: Path) -> None:
    assert folders.finished_run(tmp_path / "nowhere", CONFIG) is None
    runs = [made(tmp_path, phase=phase, created=9.0) for phase in ("stopped", "failed", "training")]
    older, newer, bare = (made(tmp_path, phase="done", created=created) for created in (1.0, 2.0, 3.0))
    for run in (*runs, older, newer):
        run.weights.mkdir()
        run.weights_of("best").touch()
    for run in (*runs, older):
        run.weights_of("last").touch()
    assert bare.id and folders.finished_run(tmp_path, CONFIG).path == older.path  # type: ignore[union-attr]
    newer.weights_of("last").touch()
    assert folders.finished_run(tmp_path, CONFIG).path == newer.path  # type: ignore[union-attr]
    assert folders.finished_run(tmp_path, OTHER) is None


def folder(runs: Path, name: str) -> Path:
    (runs / name).mkdir(parents=True)
    (runs / name / "config.toml").write_text("")
    return runs / name


def test_a_run_is_found_by_its_id_by_its_beginning_and_by_its_path(tmp_path: Path) -> None:
    path = folder(tmp_path, "20260101-a")
    for name in ("20260101-ab", "20260202-c"):
        folder(tmp_path, name)
    assert find(tmp_path, "20260101-a").path == path  # the whole id, though another begins with it
    assert find(tmp_path, "20260202").id == "20260202-c"
    assert find(tmp_path / "elsewhere", str(path)).path == path.resolve()
    with pytest.raises(RunFolderError, match=r"`2026` may mean 3 runs: 20260101-a, 20260101-ab, 20260202-c"):
        find(tmp_path, "2026")


@pytest.mark.parametrize(
    "name",
    ["gone", "20260101-no-config", "", ".", "*", "2026*", "[0-9]", "a\x00b", "a" * 5000, "~nobody-at-all/x", "-",
     "../secret", "..", "x/../../secret"],
)  # fmt: skip
def test_what_is_no_run_is_not_found_nor_anything_outside_of_the_folder_of_runs(tmp_path: Path, name: str) -> None:
    folder(tmp_path, "secret")
    folder(tmp_path / "runs", "20260101-a")
    (tmp_path / "runs" / "20260101-no-config").mkdir()
    with pytest.raises(RunFolderError, match="no run"):
        find(tmp_path / "runs", name)


@pytest.mark.parametrize("config", ["missing", "link", "folder"])
def test_a_damaged_run_is_told_as_one_with_its_reason(tmp_path: Path, config: str) -> None:
    run = RunDir(folder(tmp_path, "20260101-a"))
    run.events.write_bytes(b"")
    run.config.unlink()
    if config == "link":
        run.config.symlink_to("nowhere")
    elif config == "folder":
        run.config.mkdir()
    row = run_status.summary(run)
    assert row is not None and row.state == "damaged"
    for name in (run.id, "20260101", str(run.path)):
        with pytest.raises(RunFolderError) as refused:
            find(tmp_path, name)
        assert refused.value.what == f"run {run.id} is damaged: {row.why}"
        assert refused.value.where == str(run.path)
    whole = folder(tmp_path, "20260101-b")
    assert find(tmp_path, "20260101").path == whole  # as before: a damaged one is meant by nobody else


def test_every_file_of_a_run_lies_in_its_folder(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "r")
    names = [name for name in vars(RunDir) if isinstance(getattr(run, name), Path)]
    paths = [getattr(run, name) for name in names]
    paths += [run.weights_of("best"), run.result("best", "cw_inf"), run.gallery("last"), run.partial("last", "x")]
    assert len(set(paths)) == len(paths) > 12
    assert all(path.is_relative_to(run.path) for path in paths)


@pytest.mark.parametrize("part", ["checkpoints", "weights", "evaluation", ".ranks"])
def test_a_part_that_is_a_link_is_refused_without_a_walk_through_what_lies_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    run, looked = RunDir(folder(tmp_path / "runs", "20260101-a")), list[str]()
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    (run.path / part).symlink_to(tmp_path / "elsewhere")
    scan = os.scandir

    def noted(path: str) -> object:
        looked.append(path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", noted)
    with pytest.raises(RunFolderError, match=f"{part} is a link"):
        check(run)
    assert not looked
