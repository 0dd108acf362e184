"""What the rest of a study will take, and the words and lines about it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from crdnd_tui.core.runtime_estimate import RuntimeEstimate
from crdnd_tui.study import progress as progress_module
from crdnd_tui.study import text as study_text
from crdnd_tui.study.progress import CostEstimator, CostSummary, ProgressReader, StudyProgress, read_progress
from engine.spec.estimate import estimate
from tests.studies.lab import cell, made, queued, small, spoke

TAKES = {"natural": 10.0, "rslad": 30.0, "pgd_at": 20.0}


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine on which each method is known to take so long."""

    def told(config, pasts, device):
        takes = TAKES.get(config.method.name)
        return takes and RuntimeEstimate(seconds=takes, low=takes, high=takes, training=takes, evaluation=0.0, runs=3)

    monkeypatch.setattr(progress_module.runtime_estimate, "estimate_runtime", told)
    folder = tmp_path / "runs"
    folder.mkdir()
    return folder


def seen(progress: StudyProgress, runs: Path, now: float = 1000.0) -> CostSummary:
    return CostEstimator(runs, "cpu").estimate(progress, now)


def test_teachers_are_counted_once_and_runs_share_the_device(tmp_path: Path, runs: Path) -> None:
    progress = read_progress(small(tmp_path), runs)
    one = seen(progress, runs)
    assert (one.runs, one.teachers, one.seconds, one.wall) == (4, 1, 2 * 10 + 2 * 30 + 20, 100)
    two = seen(replace(progress, at_once=2), runs)
    # the teacher 0-20, natural 0-10 and 10-20, rslad 20-50 and 20-50
    assert (two.seconds, two.wall) == (100, 50)
    assert one.flops == sum(
        estimate(c.config).flops or 0 for c in progress.study.cells
    ) + sum(estimate(t.config).flops or 0 for t in progress.missing)  # fmt: skip


def test_what_is_done_costs_nothing_and_what_runs_costs_its_rest(tmp_path: Path, runs: Path) -> None:
    study = small(tmp_path)
    (_, teacher), *_ = cell(study, "rslad", 0).teachers
    spoke(runs, teacher, "done")
    spoke(runs, cell(study, "natural", 0).config, "done")
    run = made(runs, cell(study, "rslad", 0).config)
    queued(runs, run, "running", started=990.0)
    found = seen(read_progress(study, runs, 1000.0), runs)
    assert found.left == {
        cell(study, "natural", 1).config_hash: 10.0,
        cell(study, "rslad", 0).config_hash: 20.0,
        cell(study, "rslad", 1).config_hash: 30.0,
    }
    assert (found.runs, found.teachers) == (3, 0)


def test_what_nobody_knows_is_said(tmp_path: Path, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    progress = read_progress(small(tmp_path), runs)
    monkeypatch.delitem(TAKES, "rslad")
    some = seen(progress, runs)
    assert (some.unknown, some.seconds) == (2, 40.0)
    assert some.lines[1].startswith("time    at least 40 s, 40 s of work; from 0 past runs")
    assert "2 of them are like no past run here" in some.lines[2]
    monkeypatch.setattr(progress_module.runtime_estimate, "estimate_runtime", lambda config, pasts, device: None)
    assert seen(progress, runs).lines[1] == "time    unknown: no past run on this machine is like these"
    assert CostSummary().lines == ["nothing is left to do"]


def test_the_past_is_read_again_only_when_a_run_has_ended(
    tmp_path: Path, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, looks = small(tmp_path), []
    monkeypatch.setattr(progress_module.runtime_estimate, "past_runs", lambda *_: looks.append(1) or {})
    estimator, reader = CostEstimator(runs), ProgressReader(runs)
    for _ in range(3):
        estimator.estimate(reader.read(study), 0.0)
    assert len(looks) == 1
    spoke(runs, cell(study, "natural", 0).config, "done")
    estimator.estimate(reader.read(study), 0.0)
    assert len(looks) == 2


def test_a_line_for_each_cell(tmp_path: Path, runs: Path) -> None:
    study = small(tmp_path)
    run = spoke(runs, cell(study, "natural", 1).config, "failed", reason="bad \x1b[2J word")
    lines = [line.plain for line in study_text.cells(read_progress(study, runs), 200)]
    assert lines[0].split() == ["method", "seed", "state"]
    assert len(lines) == 5
    assert lines[1].split() == ["\u00b7", "natural", "0", "absent"]
    assert lines[2].split()[:5] == ["\u2717", "natural", "1", "failed", run.id]
    assert "\x1b" not in "".join(lines)
    assert all(line.cell_len <= 40 for line in study_text.cells(read_progress(study, runs), 40))


def test_news_are_the_changes(tmp_path: Path, runs: Path) -> None:
    study = small(tmp_path)
    before = read_progress(study, runs)
    assert study_text.news(None, before) == []
    spoke(runs, cell(study, "natural", 0).config, "done", results={"best": {"clean": 0.9, "worst": 0.5}})
    spoke(runs, cell(study, "natural", 1).config, "failed", reason="why")
    after = read_progress(study, runs)
    assert study_text.news(before, after) == [
        "1/4  method natural, seed 0: done  clean 90.0  worst 50.0",
        "1/4  method natural, seed 1: failed: why",
    ]
    assert study_text.news(after, after) == []


def test_what_is_at_work_is_told_with_what_is_left(tmp_path: Path, runs: Path) -> None:
    study = small(tmp_path, seeds=8)
    for seed in range(8):
        run = made(runs, cell(study, "natural", seed).config)
        queued(runs, run, "running", started=990.0)
    spoke(runs, cell(study, "rslad", 0).config, "failed", reason="bad \x1b[2J word")
    progress = read_progress(study, runs, 1000.0)
    lines = [line.plain for line in study_text.at_work(progress, seen(progress, runs))]
    assert lines[0] == "0 of 16 done, 8 running, 1 failed, 7 absent"
    assert [line.endswith("starting  ~0 s left") for line in lines[1:9]] == [True] * 8
    assert lines[9] == "\u2717 method rslad, seed 0  bad \ufffd[2J word"
    assert progress.share == 0.0


def test_scripts_get_all_of_it(tmp_path: Path, runs: Path) -> None:
    progress = read_progress(small(tmp_path), runs)
    found = json.loads(json.dumps(study_text.to_json(progress, seen(progress, runs))))
    assert found["counts"]["absent"] == len(found["runs"]) == 4
    assert found["runs"][3]["place"] == {"method": "rslad", "seed": "1"}
    assert found["runs"][3]["overrides"] == ["seed=1"]
    assert found["estimate"]["wall"] == 100
