"""What goes wrong is said in one sentence, in the events and not on the screen, and nothing is lost by it."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.spec import files, folders
from engine.spec.config import RunConfig
from engine.spec.machine import Machine
from engine.spec.rundir import RunDir
from engine.spec.toml import dump
from tests.engine.broken_runs import (
    FAILED,
    FINISHED,
    KILLED,
    REFUSED,
    STOPPED,
    ForkServer,
    assert_same,
    failure,
    make,
    newest,
    said,
    short,
    status,
    write_data,
    write_teacher,
)


@pytest.mark.parametrize(("at", "k"), [("step", 2), ("forward", 30)])
def test_out_of_memory_is_one_sentence_and_the_run_goes_on_later(
    fork_server: ForkServer, data: Path, whole: RunDir, tmp_path: Path, at: str, k: int
) -> None:
    run = make(tmp_path, data)
    assert fork_server.work(run, at=at, do="out of memory", k=k) == FAILED
    event = failure(fork_server, run)
    assert event["kind"] == "OutOfMemory"
    assert event["message"] == "CUDA out of memory. Tried to allocate 2.00 GiB."
    assert "batch_size" in event["hint"]
    assert "Traceback" in run.log.read_text()
    assert fork_server.work(run) == FINISHED
    assert_same(run, whole)


def test_a_defect_leaves_its_traceback_in_the_log_alone(fork_server: ForkServer, data: Path, tmp_path: Path) -> None:
    run = make(tmp_path, data, short())
    assert fork_server.work(run, at="step", do="defect", k=1) == FAILED
    event = failure(fork_server, run)
    assert (event["kind"], event["message"]) == ("ZeroDivisionError", "planted")
    assert run.log.read_text().count("Traceback") == 1


@pytest.mark.slow
@pytest.mark.parametrize("do", ["full", "once"])
def test_a_full_disk_is_one_sentence_and_the_run_goes_on_with_room(
    fork_server: ForkServer, data: Path, whole_short: RunDir, disk_calls: int, tmp_path: Path, do: str
) -> None:
    kinds = set()
    for k in random.Random(do).sample(range(3, disk_calls), 3):
        run = make(tmp_path / str(k), data, short())
        code = fork_server.work(run, at="disk", do=do, k=k)
        screen = fork_server.screen.read_text()
        assert "Traceback" not in screen, (k, screen)
        if code == FAILED and do == "once" and (told := said(run, "run_failed")):
            kinds.add(told[-1]["kind"])
        if code != FINISHED:  # `once` may meet a call that writes nothing
            assert code in (FAILED, REFUSED)
            assert b"\0" not in run.events.read_bytes()
            assert fork_server.work(run) == FINISHED, (k, fork_server.screen.read_text())
        assert_same(run, whole_short)
    assert kinds <= {"DiskFull"}
    assert do == "full" or kinds


@pytest.mark.parametrize("limit", [3_000, 20_000])
def test_a_limit_on_file_sizes_is_a_full_disk(
    fork_server: ForkServer, data: Path, whole_short: RunDir, tmp_path: Path, limit: int
) -> None:
    run = make(tmp_path, data, short())
    assert fork_server.work(run, file_size=limit) == FAILED
    assert "Traceback" not in fork_server.screen.read_text()
    assert list(run.path.rglob(f"{files.TEMPORARY}*")) == []
    assert not run.weights_of("last").exists()
    assert fork_server.work(run) == FINISHED
    assert_same(run, whole_short)


def test_the_last_words_of_a_full_disk_are_the_failure(fork_server: ForkServer, data: Path, tmp_path: Path) -> None:
    run = make(tmp_path, data, short())
    assert fork_server.work(run, file_size=20_000) == FAILED  # the checkpoint is larger, the events are not
    event = failure(fork_server, run)
    assert event["kind"] == "DiskFull"
    assert "File too large" in event["message"]


def cut_off(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def test_a_damaged_checkpoint_is_kept_and_the_one_before_it_used(
    fork_server: ForkServer, data: Path, whole_short: RunDir, tmp_path: Path
) -> None:
    run = make(tmp_path, data, short())
    assert fork_server.work(run, at="step", do="SIGTERM", k=3) == STOPPED
    bad = newest(run)
    cut_off(bad)
    assert fork_server.work(run) == FINISHED
    (warning,) = [event for event in said(run, "warned") if event["code"] == "checkpoint_damaged"]
    assert bad.name in warning["message"]
    assert bad.with_suffix(".damaged").is_file()
    assert said(run, "run_resumed")[0]["step"] == 2
    assert_same(run, whole_short)


def test_a_run_without_a_whole_checkpoint_is_refused_each_time(
    fork_server: ForkServer, data: Path, tmp_path: Path
) -> None:
    run = make(tmp_path, data, short())
    assert fork_server.work(run, at="step", do="SIGTERM", k=3) == STOPPED
    for path in run.checkpoints.glob("*.pt"):
        cut_off(path)
    for _ in range(2):
        assert fork_server.work(run) == FAILED
        assert failure(fork_server, run)["kind"] == "Checkpoint"
        assert [event["step"] for event in said(run, "step_done")] == [1, 2, 3]
    assert len(list(run.checkpoints.glob("*.damaged"))) == 2


def change_config(run: RunDir, _data: Path) -> None:
    table = short().to_table()
    run.config.write_text(dump(RunConfig.model_validate({**table, "seed": 1})))


def change_data(_run: RunDir, data: Path) -> None:
    write_data(data, seed=6)


def change_teacher(_run: RunDir, data: Path) -> None:
    content = (data / "teacher.safetensors").read_bytes()
    (data / "teacher.safetensors").unlink()
    write_data(data, seed=6)
    write_teacher(data)
    write_data(data)
    assert (data / "teacher.safetensors").read_bytes() != content


def remove_data(_run: RunDir, data: Path) -> None:
    (data / "tiny.npz").unlink()


def damage_data(_run: RunDir, data: Path) -> None:
    cut_off(data / "tiny.npz")


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        (change_config, "Checkpoint", "belongs to a run with another config"),
        (change_data, "Data", "the data is not what this run began with"),
        (change_teacher, "Teacher", "the teacher is not what this run began with"),
        (remove_data, "Data", "tiny.npz"),
        (damage_data, "Data", "tiny.npz"),
    ],
)
def test_a_run_does_not_go_on_with_other_things(
    fork_server: ForkServer, tmp_path: Path, change: Callable[[RunDir, Path], None], kind: str, words: str
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    write_data(data)
    write_teacher(data)
    run = make(tmp_path, data, short())
    assert fork_server.work(run, at="step", do="die", k=3) == KILLED
    change(run, data)
    assert fork_server.work(run) == FAILED
    event = failure(fork_server, run)
    assert event["kind"] == kind
    assert words in event["message"]


@pytest.mark.parametrize("content", [None, "name = ", "nonsense = 1\n", '[data]\nname = "digits"\n'])
def test_a_folder_without_a_config_is_refused_with_exit_2(
    fork_server: ForkServer, data: Path, tmp_path: Path, content: str | None
) -> None:
    run = make(tmp_path, data)
    if content is None:
        run.config.unlink()
    else:
        run.config.write_text(content)
    before = sorted(run.path.iterdir())
    assert fork_server.work(run) == REFUSED
    screen = fork_server.screen.read_text()
    assert "config.toml" in screen
    assert "Traceback" not in screen
    assert sorted(run.path.iterdir()) == before


def test_an_unreadable_machine_is_refused_with_exit_2(fork_server: ForkServer, data: Path, tmp_path: Path) -> None:
    run = make(tmp_path, data)
    run.machine.write_text("{")
    assert fork_server.work(run) == REFUSED
    assert "machine.json" in fork_server.screen.read_text()
    assert "Traceback" not in fork_server.screen.read_text()


def test_a_machine_of_another_version_is_read_as_far_as_it_is_known(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    run.machine.write_text('{"threads": 3, "channels_last": true, "from_tomorrow": 1}')
    assert folders.machine_of(run) == Machine(threads=3, runs=str(tmp_path.parent))


def test_what_killed_writers_left_is_swept_and_nothing_else(
    fork_server: ForkServer, data: Path, tmp_path: Path
) -> None:
    run = make(tmp_path, data, short())
    ours, theirs = run.path / f"{files.TEMPORARY}x", run.path / "tmp-of-someone"
    for path in (ours, theirs):
        path.touch()
    link = run.path / f"{files.TEMPORARY}link"
    link.symlink_to(theirs)
    assert files.sweep(run.path) == 1
    assert [path.exists() for path in (ours, theirs, link)] == [False, True, True]


def test_half_a_line_of_a_killed_engine_is_cut_off(
    fork_server: ForkServer, data: Path, whole_short: RunDir, tmp_path: Path
) -> None:
    run = make(tmp_path, data, short())
    assert fork_server.work(run, at="step", do="die", k=3) == KILLED
    with run.events.open("ab") as log:
        log.write(b'{"event":"step_d')
    run.checkpoints.rename(tmp_path / "aside")
    run.checkpoints.mkdir()
    (run.checkpoints / f"000009-{32 * '0'}.pt").touch()
    assert fork_server.work(run) == FAILED  # said behind whole lines, though no position is known
    assert failure(fork_server, run)["kind"] == "Checkpoint"
    for path in run.checkpoints.iterdir():
        path.unlink()
    run.checkpoints.rmdir()
    (tmp_path / "aside").rename(run.checkpoints)
    assert fork_server.work(run) == FINISHED
    assert_same(run, whole_short)


def test_a_log_that_lost_events_is_never_filled_with_zeros(fork_server: ForkServer, data: Path, tmp_path: Path) -> None:
    run = make(tmp_path, data, short())
    assert fork_server.work(run, at="step", do="die", k=3) == KILLED
    content = run.events.read_bytes()
    run.events.write_bytes(content[: len(content) // 3])
    assert fork_server.work(run) == FINISHED
    told = [json.loads(line) for line in run.events.read_bytes().splitlines()]
    assert "events_lost" in [event["code"] for event in told if event["event"] == "warned"]
    assert status(run).phase == "done"
