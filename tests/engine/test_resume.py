"""What an engine believes of the folder that it goes on with, and what it says about the rest."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.spec import toml
from engine.spec.events import Warned
from engine.spec.folders import is_done
from engine.spec.rundir import RunDir
from engine.spec.status import Status
from engine.train.reporter import Reporter
from tests import hostile
from tests.engine.broken_runs import FINISHED, STOPPED, ForkServer, make, newest, said, short, status


def _changed(**changes: Any) -> Callable[[RunDir], object]:
    def change(run: RunDir) -> None:
        run.status.write_text(json.dumps(json.loads(run.status.read_bytes()) | changes))

    return change


def _cut(run: RunDir) -> None:
    run.events.write_bytes(b"".join(run.events.read_bytes().splitlines(keepends=True)[:-1]))


CONTRADICTIONS: dict[str, Callable[[RunDir], object]] = {
    "of another config": _changed(config_hash="0" * 64),
    "newer than the log": _changed(events_bytes=10**9),
    "a log that goes on": _cut,
    "no log": lambda run: run.events.unlink(),
    "no weights": lambda run: run.weights_of("last").unlink(),
    "linked weights": lambda run: hostile.plant(run.weights_of("best"), "dangling"),
    "steps below zero": _changed(step=-1),
    "epochs without end": _changed(epochs=10**30),
    "an accuracy of 900 %": _changed(results={"best": {"clean": 9.0}}),
    "a clock of nobody": _changed(heartbeat=1e300),
    "no object": lambda run: run.status.write_text("[]"),
}


@pytest.mark.parametrize("contradiction", CONTRADICTIONS)
def test_a_status_that_contradicts_its_folder_finishes_no_run(
    whole_short: RunDir, tmp_path: Path, contradiction: str
) -> None:
    run = RunDir(tmp_path / "tiny")
    shutil.copytree(whole_short.path, run.path)
    config = toml.read(run.config)
    assert is_done(run, config)
    CONTRADICTIONS[contradiction](run)
    assert not is_done(run, config)


def test_a_finished_run_that_was_moved_is_still_finished(whole_short: RunDir, tmp_path: Path) -> None:
    run = RunDir(tmp_path / "elsewhere")
    shutil.copytree(whole_short.path, run.path)
    assert is_done(run, toml.read(run.config))


def test_a_run_with_the_status_of_a_finished_one_is_gone_on_with(
    fork_server: ForkServer, data: Path, whole_short: RunDir, tmp_path: Path
) -> None:
    run = make(tmp_path, data, short())
    assert fork_server.work(run, at="step", do="SIGTERM", k=1) == STOPPED
    shutil.copy(whole_short.status, run.status)
    assert fork_server.work(run) == FINISHED
    assert said(run, "run_finished")
    assert status(run).phase == "done"
    for name in ("best", "last"):
        assert run.weights_of(name).read_bytes() == whole_short.weights_of(name).read_bytes()


@pytest.mark.parametrize(
    ("place", "damage"),
    [*(("gallery.json", how) for how in ("empty", "deep list", "pipe", "dangling", "folder")),
     ("fgsm.f32", "pipe"), ("fgsm.json", "folder")],
)  # fmt: skip
def test_what_is_damaged_of_an_evaluation_is_made_anew(
    fork_server: ForkServer, whole_short: RunDir, tmp_path: Path, place: str, damage: str
) -> None:
    run = RunDir(tmp_path / "tiny")
    shutil.copytree(whole_short.path, run.path)
    run.status.unlink()
    hostile.plant(run.evaluation / "last" / place, damage)
    assert fork_server.work(run) == FINISHED, fork_server.screen.read_text()
    made = run.evaluation / "last" / place
    kept = whole_short.evaluation / "last" / place
    if place == "fgsm.json":
        one, other = (json.loads(path.read_bytes()) for path in (made, kept))
        assert one["robust"] == other["robust"]
    else:
        assert made.read_bytes() == kept.read_bytes()
    told = [event["code"] for event in said(run, "warned") if "damaged" in event["code"]]
    assert told == ["record_damaged" if place == "fgsm.json" else "gallery_damaged"]


@pytest.mark.parametrize("place", ["clean.json", "fgsm.json", "suspect.json", "gallery.json", "fgsm.f32"])
def test_a_finished_run_with_damaged_records_is_gone_on_with(
    fork_server: ForkServer, whole_short: RunDir, tmp_path: Path, place: str
) -> None:
    run = RunDir(tmp_path / "tiny")
    shutil.copytree(whole_short.path, run.path)
    made, kept = (each.evaluation / "last" / place for each in (run, whole_short))
    hostile.plant(made, "zeros")
    assert not is_done(run, toml.read(run.config))
    assert fork_server.work(run) == FINISHED, fork_server.screen.read_text()
    if made.suffix == ".json":
        one, other = (json.loads(path.read_bytes()) | {"seconds": 0} for path in (made, kept))
        assert one == other
    else:
        assert made.read_bytes() == kept.read_bytes()
    assert [event["code"] for event in said(run, "warned") if "damaged" in event["code"]] == [
        "gallery_damaged" if place in ("gallery.json", "fgsm.f32") else "record_damaged"
    ]
    assert is_done(run, toml.read(run.config))


def _lines(run: RunDir) -> list[bytes]:
    return run.events.read_bytes().splitlines(keepends=True)


LOGS: dict[str, tuple[Callable[[list[bytes]], list[bytes]], str]] = {
    "damaged": (lambda lines: [*lines[:2], b"?" * len(lines[2][:-1]) + b"\n", *lines[3:]], "1 lines .* are damaged"),
    "gap": (lambda lines: [*lines[:2], *lines[4:]], "2 events are missing"),
    "twice": (lambda lines: [*lines[:3], *lines[2:]], "1 events stand in it twice"),
    "whole": (lambda lines: lines, ""),
}


@pytest.mark.parametrize("kind", LOGS)
def test_damage_in_the_kept_part_of_a_log_is_known_once(tmp_path: Path, kind: str) -> None:
    run = RunDir(tmp_path)
    reporter = Reporter(run, Status(run="r", phase="starting"))
    for k in range(6):
        reporter.say(Warned(code="x", message=str(k)))
    reporter.close()
    change, words = LOGS[kind]
    run.events.write_bytes(b"".join(change(_lines(run))))
    after = Reporter(run, Status(run="r", phase="starting"))
    after.cut_back(*after.position)
    assert bool(after.damage) == bool(words)
    if words:
        assert re.search(words, after.damage)
        after.say(Warned(code="log_damaged", message=after.damage))
        after.close()
        assert Reporter(run, Status(run="r", phase="starting")).damage == ""


def test_a_resumed_run_says_what_is_damaged_in_its_log(fork_server: ForkServer, data: Path, tmp_path: Path) -> None:
    run = make(tmp_path, data, short())
    assert fork_server.work(run, at="step", do="SIGTERM", k=3) == STOPPED
    lines = _lines(run)
    position = torch.load(newest(run), weights_only=True)["events"][0]
    assert len(b"".join(lines[:2])) < position
    run.events.write_bytes(b"".join([lines[0], b"?" * (len(lines[1]) - 1) + b"\n", *lines[2:]]))
    assert fork_server.work(run) == FINISHED
    found = [json.loads(line) for line in _lines(run) if line.startswith(b"{")]
    told = [event["message"] for event in found if event["event"] == "warned" and event["code"] == "log_damaged"]
    assert told == ["1 lines of the log of events are damaged"]
