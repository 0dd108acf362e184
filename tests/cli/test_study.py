"""crdnd study: what it lists, queues, follows and returns; and a queue that knows of studies."""

import json
import sys
import threading
from pathlib import Path

import pytest

from crdnd_tui.cli import app
from crdnd_tui.cli import study as command
from crdnd_tui.queue import worker
from crdnd_tui.queue.tickets import Queue
from engine.spec import toml
from tests.studies.lab import made, plan
from tests.tui.lab_queue import runs_folder, states, until  # noqa: F401  a fixture

STUDY = """name = "two"
title = "Two seeds"
preset = "natural.toml"
[grid]
seed = [0, 1]
"""
PRESET = '[data]\nname = "digits"\n[student]\nname = "small_cnn"\n[method]\nname = "natural"\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "natural.toml").write_text(PRESET)
    (tmp_path / "two.toml").write_text(STUDY)
    return tmp_path / "two.toml"


@pytest.fixture
def call(runs: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(command, "EVERY", 0.05)
    monkeypatch.setattr(command, "POLL", 0.02)

    def go(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["crdnd", *words, "--runs", str(runs)])
        capfd.readouterr()
        code = app._called()
        said = capfd.readouterr()
        return code, said.out, said.err

    return go


def prepared(path: Path, runs: Path, *ends: str) -> None:
    """Runs that exist; what their fake engines will do."""
    for seed, end in enumerate(ends):
        plan(made(runs, toml.load(path.parent / "natural.toml", (), seed)).path, **({"end": end} if end else {}))


def test_a_dry_run_lists_all_and_makes_nothing(call, runs: Path, path: Path) -> None:
    code, out, _ = call("study", str(path), "--dry-run")
    assert code == 0
    assert "Two seeds" in out and "0 of 2 done, 2 absent" in out
    assert "time    unknown: no past run on this machine is like these" in out
    assert list(runs.iterdir()) == []
    found = json.loads(call("study", str(path), "--dry-run", "--json")[1])
    assert [run["state"] for run in found["runs"]] == ["absent", "absent"]
    assert found["estimate"]["flops"] > 0
    many = json.loads(call("study", str(path), "--dry-run", "--json", "--at-once", "2")[1])
    assert (found["estimate"]["at_once"], many["estimate"]["at_once"]) == (1, 2)
    assert Queue(runs).at_once == 1


def test_it_follows_until_all_is_done(call, runs: Path, path: Path) -> None:
    prepared(path, runs, "", "")
    code, out, err = call("study", str(path), "--at-once", "2")
    assert (code, out) == (0, "")
    assert "2/2  seed " in err and "2 of 2 done" in err
    assert f"`crdnd report {path} --runs {runs}` prints the table" in err
    assert Queue(runs).at_once == 2
    again = call("study", str(path), "--json")
    assert again[0] == 0
    assert "2 done already" in again[2]
    assert json.loads(again[1])["counts"]["done"] == 2
    assert len(list(runs.glob("2*"))) == 2


def test_a_failure_is_told_and_returned(call, runs: Path, path: Path) -> None:
    prepared(path, runs, "fail", "")
    code, _, err = call("study", str(path))
    assert code == 1
    assert "seed 0: failed: the loss is not finite" in err
    assert "1 of 2 done, 1 failed" in err
    assert "--retry-failed" in err
    assert call("study", str(path), "--only", "seed=1")[0] == 0
    assert call("study", str(path))[0] == 1


def test_or_it_holds_the_rest(call, runs: Path, path: Path) -> None:
    prepared(path, runs, "fail", "")
    code, _, err = call("study", str(path), "--stop-on-failure")
    assert code == 1
    assert "0 of 2 done, 1 held, 1 failed" in err
    code, out, _ = call("queue", "list")
    assert "two 0/2 done, 1 held, 1 failed" in out
    assert "because this run failed" in out
    (one, other) = json.loads(call("queue", "list", "--json")[1])["tickets"]
    assert {one["study"], other["study"]} == {"two"}


def test_whoever_leaves_leaves_the_queue_at_work(call, runs: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handlers = []
    real = command.signal.signal
    monkeypatch.setattr(command.signal, "signal", lambda number, act: handlers.append(act) or real(number, act))
    for seed in (0, 1):
        plan(made(runs, toml.load(path.parent / "natural.toml", (), seed)).path, epochs=1000, seconds=0.05)

    def leave() -> None:
        until(lambda: "running" in states(runs).values() and handlers)
        handlers[0](2, None)

    thread = threading.Thread(target=leave)
    thread.start()
    code, _, err = call("study", str(path))
    thread.join()
    assert code == 130
    assert "The queue goes on without a watcher" in err
    assert sorted(states(runs).values()) == ["running", "waiting"]
    assert worker.alive(runs)


def test_detached_it_returns_at_once_and_a_study_is_held_released_cancelled(
    call, runs: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "ensure", lambda runs: True)
    code, out, err = call("study", str(path), "--detach")
    assert (code, out) == (0, "")
    assert "2 made and queued" in err and "The queue works on it" in err
    assert call("queue", "hold", "--study", "two")[::2] == (
        0,
        f"2 held; `crdnd queue release --study two --runs {runs}` lets them start.\n",
    )
    code, _, err = call("study", str(path))
    assert code == 3
    assert "2 held" in err
    assert call("queue", "release", "--study", "two")[0] == 0
    assert set(states(runs).values()) == {"waiting"}
    assert call("queue", "cancel", "--study", "two")[0] == 0
    assert states(runs) == {}


def test_what_makes_no_sense_is_refused(call, runs: Path, path: Path) -> None:
    for words, said in (
        (["study", "digit"], "Did you mean digits?"),
        (["study", str(path), "--only", "sed=0"], "did you mean `seed`?"),
        (["study", str(path), "--at-once", "0"], "--at-once"),
        (["study", str(path), "--at-once", "99", "--dry-run"], "--at-once: should be 1 to 64, not 99"),
        (["study", str(path), "--device", "gpu7"], "--device may be"),
        (["queue", "hold"], "name a run, or a study"),
        (["queue", "hold", "x", "--study", "two"], "not both"),
        (["queue", "release", "--study", "two"], "no run of the study"),
    ):
        code, _, err = call(*words)
        assert (code, said in err) == (2, True), err
    assert list(runs.glob("2*")) == []
    path.write_text(STUDY.replace("seed = [0, 1]", 'seed = [0, "x"]\nsteps = [1]'))
    code, _, err = call("study", str(path))
    assert code == 2
    assert "two.toml:5: seed: should be a whole number, not 'x' (seed x, steps 1)" in err
    assert "two.toml:6: steps: unknown key" in err
