"""Which run belongs to which cell of a study, and how far the study is."""

import time
from pathlib import Path

import pytest

from crdnd_tui.core import run_status
from crdnd_tui.queue import worker
from crdnd_tui.study.progress import ProgressReader, StudyProgress, read_progress
from engine.spec import status as spec_status
from engine.spec import toml
from tests.studies.lab import cell, made, queued, small, spoke


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    folder = tmp_path / "runs"
    folder.mkdir()
    return folder


def states(progress: StudyProgress) -> list[str]:
    return [s.state for s in progress.statuses]


def test_nothing_is_there_at_first_and_nothing_is_made_by_looking(tmp_path: Path) -> None:
    progress = read_progress(small(tmp_path), tmp_path / "none")
    assert states(progress) == ["absent"] * 4
    assert not (tmp_path / "none").exists()
    assert [(t.config.method.name, t.state, t.cells) for t in progress.missing] == [("pgd_at", "absent", 2)]
    assert not progress.busy


def test_each_cell_finds_its_run_and_the_run_its_state(tmp_path: Path, runs: Path) -> None:
    study = small(tmp_path, seeds=4)
    spoke(runs, cell(study, "natural", 0).config, "done")
    spoke(runs, cell(study, "natural", 1).config, "stopped", reason="stop file")
    spoke(runs, cell(study, "natural", 2).config, "failed", reason="the loss is not finite")
    spoke(runs, cell(study, "natural", 3).config, "training")
    queued(runs, made(runs, cell(study, "rslad", 0).config))
    queued(runs, made(runs, cell(study, "rslad", 1).config), "held", note="because")
    made(runs, cell(study, "rslad", 2).config)
    progress = read_progress(study, runs)
    assert states(progress) == ["done", "stopped", "failed", "killed", "waiting", "held", "stopped", "absent"]
    assert [s.why for s in progress.statuses][:3] == ["", "stop file", "the loss is not finite"]
    assert [s.why for s in progress.statuses][4:] == ["", "because", "made, but not queued", ""]
    assert progress.counts["stopped"] == 2
    assert progress.busy


def test_what_is_silent_on_another_machine_is_lost_and_a_run_that_can_go_on_here_comes_first(
    tmp_path: Path, runs: Path
) -> None:
    study = small(tmp_path)
    config = cell(study, "natural", 0).config
    spoke(runs, config, "training", host="another-machine", heartbeat=time.time() - 2 * run_status.LOST_AFTER)
    progress = read_progress(study, runs)
    assert states(progress)[0] == "lost"
    assert progress.statuses[0].why.startswith("on another-machine, silent for ")
    assert not progress.busy
    spoke(runs, config, "stopped")
    assert states(read_progress(study, runs))[0] == "stopped"


def test_a_run_of_another_name_is_the_same_run_and_one_of_another_config_is_not(tmp_path: Path, runs: Path) -> None:
    study = small(tmp_path)
    mine = cell(study, "natural", 0).config
    spoke(runs, mine.model_copy(update={"name": "called otherwise"}), "done")
    spoke(runs, mine.model_copy(update={"seed": 7}), "done")
    assert states(read_progress(study, runs)) == ["done", "absent", "absent", "absent"]


def test_the_hash_in_a_status_is_a_hint_only(tmp_path: Path, runs: Path) -> None:
    study = small(tmp_path)
    liar = spoke(runs, cell(study, "natural", 1).config, "done")
    said = spec_status.decode(liar.status.read_bytes())
    fields = {name: getattr(said, name) for name in said.__struct_fields__}
    claimed = {"config_hash": cell(study, "natural", 0).config_hash}
    liar.status.write_bytes(spec_status.encode(type(said)(**fields | claimed)))
    assert states(read_progress(study, runs))[0] == "absent"  # what it claims
    spoke(runs, cell(study, "rslad", 0).config, "done", hint=False)
    assert states(read_progress(study, runs))[2] == "done"


def test_of_several_runs_the_one_that_is_done_counts(tmp_path: Path, runs: Path) -> None:
    study = small(tmp_path)
    config = cell(study, "natural", 0).config
    for phase in ("failed", "stopped"):
        spoke(runs, config, phase)
    assert states(read_progress(study, runs))[0] == "stopped"
    waits = made(runs, config)
    queued(runs, waits)
    assert read_progress(study, runs).statuses[0].run == waits.id
    done = spoke(runs, config, "done")
    assert read_progress(study, runs).statuses[0].run == done.id


def test_a_ticket_at_work_counts_while_someone_follows_it(
    tmp_path: Path, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = small(tmp_path)
    run = spoke(runs, cell(study, "natural", 0).config, "stopped", reason="stop file")
    ticket = queued(runs, run, "running", started=1.0, pid=4_000_000, born=1.0)
    assert ticket.state == "running"
    assert states(read_progress(study, runs))[0] == "stopped"
    monkeypatch.setattr(worker, "alive", lambda runs: True)
    assert states(read_progress(study, runs))[0] == "running"


def test_a_run_that_was_started_a_moment_ago_is_at_work(tmp_path: Path, runs: Path) -> None:
    study = small(tmp_path)
    queued(runs, made(runs, cell(study, "natural", 0).config), "running", started=time.time())
    assert states(read_progress(study, runs))[0] == "running"
    assert states(read_progress(study, runs, time.time() + 100))[0] == "stopped"


def test_a_run_whose_engine_never_came_to_be_has_failed(tmp_path: Path, runs: Path) -> None:
    study = small(tmp_path)
    queued(runs, made(runs, cell(study, "natural", 0).config), "failed", note="no room", ended=2.0)
    (first, *_) = read_progress(study, runs).statuses
    assert (first.state, first.why) == ("failed", "no room")


def test_a_teacher_that_is_trained_is_not_trained_again(tmp_path: Path, runs: Path) -> None:
    study = small(tmp_path)
    (_, teacher), *_ = cell(study, "rslad", 0).teachers
    spoke(runs, teacher, "done")
    progress = read_progress(study, runs)
    assert progress.missing == ()
    assert [(t.state, t.cells) for t in progress.teachers] == [("done", 2)]
    for seed in (0, 1):
        spoke(runs, cell(study, "rslad", seed).config, "done")
    assert read_progress(study, runs).teachers == ()


def test_a_config_is_read_once(tmp_path: Path, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = small(tmp_path)
    for seed in (0, 1):
        made(runs, cell(study, "natural", seed).config)
    others = spoke(runs, cell(study, "natural", 0).config.model_copy(update={"seed": 99}), "done")
    read: list[str] = []
    real = toml.read
    monkeypatch.setattr(toml, "read", lambda path: (read.append(path.parent.name), real(path))[1])
    reader = ProgressReader(runs)
    first = reader.read(study)
    assert len(read) == 2
    assert others.id not in read
    assert reader.read(study) == first
    assert len(read) == 2


def test_what_is_damaged_belongs_to_no_cell(tmp_path: Path, runs: Path) -> None:
    study = small(tmp_path)
    run = made(runs, cell(study, "natural", 0).config)
    run.config.write_text("seed = [")
    (runs / "20260101-000000-odd-s0-0000").mkdir()
    (runs / "file").write_text("")
    assert states(read_progress(study, runs)) == ["absent"] * 4
