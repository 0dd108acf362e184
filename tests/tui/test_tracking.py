"""A run is looked at again and again: what is new is found, and nothing in its folder can raise."""

import json
import os
import shutil

import pytest

from crdnd_tui.core.state import RunState
from crdnd_tui.tui.monitor import log_lines
from crdnd_tui.tui.monitor.tracking import Tracker, newest
from engine.spec.rundir import RunDir
from tests.tui.live_runs import CRDND, NATURAL, TEACHER, cut, events, held, one, step, write_events
from tests.tui.pilot import NOW


def test_a_look_is_given_once(tmp_path):
    tracker = Tracker(RunDir(one(tmp_path)))
    look = tracker.poll(NOW)
    assert look is not None and look.state.phase == "finished" and look.summary.state == "done" and not look.living
    assert look.facts.method == "CRDND" and look.facts.teacher and look.facts.epsilon == "40/255"
    assert look.facts.suite[0] == "clean" and look.facts.suite[-1] == "worst"
    assert tracker.poll(NOW + 0.1) is None and tracker.poll(NOW + 5) is None
    assert tracker.poll(NOW, force=True) is not None


def test_what_is_written_is_found_and_a_log_that_was_cut_begins_again(tmp_path):
    run = one(tmp_path)
    told = events(run)
    write_events(run, told[:100])
    tracker = Tracker(RunDir(run))
    first = tracker.poll(NOW)
    with (run / "events.jsonl").open("a") as log:
        log.write(json.dumps(told[100]) + "\n" + json.dumps(told[101])[:40])
    second = tracker.poll(NOW)
    assert second is not None and second.state.last == told[100]["time"] and first.state.last == told[99]["time"]
    write_events(run, told[:50])
    assert tracker.poll(NOW).state.last == told[49]["time"]
    write_events(run, [told[0]])
    assert tracker.poll(NOW).state.steps == ()


def test_the_lock_tells_who_is_at_work(tmp_path):
    run = cut(one(tmp_path), step(400))
    tracker = Tracker(RunDir(run))
    with held(run):
        assert tracker.poll(NOW).living
        (run / "stop").touch()
        assert tracker.poll(NOW + 2).summary.state == "stopping"
    assert not tracker.poll(NOW + 4).living


def test_the_teacher_that_comes_first_is_followed(tmp_path):
    one(tmp_path, TEACHER)
    run = cut(one(tmp_path / "b"), lambda event: event["event"] == "teacher_run_started", phase="teacher")
    shutil.move(run, tmp_path / run.name)
    look = Tracker(RunDir(tmp_path / run.name)).poll(NOW)
    assert look.teacher is not None and look.teacher.steps and look.state.training is None


def test_results_that_no_event_told_of_are_found_when_the_run_has_ended(tmp_path):
    run = one(tmp_path)
    write_events(run, [event for event in events(run) if event["event"] != "evaluated"])
    look = Tracker(RunDir(run)).poll(NOW)
    assert "autoattack" in look.state.table["best"]


@pytest.mark.parametrize("name", ["events.jsonl", "status.json", "config.toml", "engine.log"])
@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00[", b"{" * 5000, b'{"event":"epoch_done"}\n' * 3, None])
def test_no_file_can_raise(tmp_path, name, content):
    run = one(tmp_path, NATURAL)
    if content is None:
        (run / name).unlink()
        (run / name).mkdir()
    else:
        (run / name).write_bytes(content)
    look = Tracker(RunDir(run)).poll(NOW, force=True)
    assert look is not None and look.id == run.name


def test_a_folder_that_goes_away_is_no_error(tmp_path):
    run = one(tmp_path, NATURAL)
    tracker = Tracker(RunDir(run))
    tracker.poll(NOW)
    shutil.rmtree(run)
    look = tracker.poll(NOW + 5)
    assert look is not None and look.summary is None


def test_a_pipe_in_place_of_the_log_does_not_block(tmp_path):
    run = one(tmp_path, NATURAL)
    (run / "engine.log").unlink()
    os.mkfifo(run / "engine.log")
    assert Tracker(RunDir(run)).poll(NOW).log == ()


def test_the_newest_living_run_is_picked_else_the_newest(tmp_path):
    assert newest(tmp_path / "none", NOW) is None
    first = cut(one(tmp_path), step(10))
    one(tmp_path, NATURAL)
    assert NATURAL in newest(tmp_path, NOW).id
    with held(first):
        assert CRDND in newest(tmp_path, NOW).id


def test_facts_come_from_the_status_where_the_config_is_lost(tmp_path):
    run = one(tmp_path)
    (run / "config.toml").write_text("nonsense = [")
    look = Tracker(RunDir(run)).poll(NOW)
    assert look.facts.method == "crdnd" and look.facts.data == "digits"


def line(words, level="INFO"):
    return f"2026-11-22 21:58:27,142 {level} {words}\n".encode()


def test_events_in_the_log_are_told_in_words(tmp_path):
    run = one(tmp_path)
    look = Tracker(RunDir(run)).poll(NOW)
    said = [line.words for line in look.log]
    assert any(words.startswith("epoch 36/40") and "loss" in words and "CW-inf" in words for words in said)
    assert not any("{" in words for words in said)
    assert sum(line.weight == "warning" for line in look.log) == 4 and look.log[-1].words.startswith("finished")


def test_other_lines_are_shown_made_safe():
    content = (
        line("\x1b[2Jloading", "WARNING") + b"Traceback (most recent call last):\n  File x\n" + line("oh", "ERROR")
    )
    shown = log_lines.told(content, whole=True, state=RunState())
    assert [entry.weight for entry in shown] == ["warning", "error", "error", "error"]
    assert shown[0].time == "21:58:27" and "\x1b" not in shown[0].words and shown[2].words == "  File x"
    assert log_lines.told(content, whole=False, state=RunState())[0].weight == "error"
    assert len(log_lines.told(b"x\n" * 10_000, whole=True, state=RunState())) == log_lines.KEEP
