"""The demo: a recorded run that is played as if an engine were at work, and leaves nothing behind."""

import gzip
import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from crdnd_tui.core import engine_process, run_reader, run_status
from crdnd_tui.core.session import Session
from crdnd_tui.tui.demo import recording
from crdnd_tui.tui.demo import replay as demo
from crdnd_tui.tui.demo.playing import LONGEST, _pauses
from crdnd_tui.tui.demo.recording import Recording
from crdnd_tui.tui.demo.replay import demonstration, start_replay
from engine.spec import gallery, toml
from engine.spec.rundir import RUN_ID, RunDir, find
from tests.tui.lab_runs import ready, shown
from tests.tui.pilot import drive, recorded

AT_ONCE = 1e6  # times as fast as recorded


@pytest.fixture
def session(tmp_path):
    return Session(runs=tmp_path / "runs", data=tmp_path / "data")


def wait_until(happened, seconds=30.0):
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.02)


def rows(session):
    return {row.id: row for row in run_status.runs(session.runs)}


def test_what_is_shipped_is_small_and_holds_no_weights():
    files = [path for path in recording.FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 400_000
    assert {path.suffix for path in files} == {".toml", ".json", ".gz"}


def test_what_is_shipped_tells_nothing_of_the_machine_it_was_recorded_on():
    for path in recording.FOLDER.rglob("*.*"):
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        if ".f32" in path.name:
            continue
        text = content.decode()
        assert re.findall(r"\"(?:/|~)[^\"]*\"|/(?:home|root|tmp|work|Users)\b", text) == [], path
        assert socket.gethostname() not in re.findall(r'"host": ?"([^"]*)"', text)
        assert set(re.findall(r'"host": ?"([^"]*)"', text)) <= {recording.HOST}
        assert set(re.findall(r'"pid": ?(\d+)', text)) <= {"0"}


@pytest.mark.parametrize("name", [demo.PLAYED, *demo.FINISHED])
def test_what_is_shipped_is_whole(name):
    shipped = Recording(name)
    status, events = shipped.status, shipped.events("some-run", "demo")
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert status.name.startswith("demo ")
    assert toml.read(shipped.path / "config.toml").config_hash == status.config_hash
    found = shipped.results()
    assert {f"evaluation/best/{attack}.json" for attack in status.results["best"]} <= set(found)
    index = gallery.decode(found["evaluation/best/gallery.json"])
    for shelf in index.attacks.values():
        ends = [example.adversarial_offset for example in shelf.examples]
        assert max(ends) < len(found[f"evaluation/best/{shelf.file}"])


def test_it_lasts_between_one_and_one_and_a_half_minutes():
    pauses = _pauses(Recording(demo.PLAYED).events("some-run", "demo"))
    assert max(pauses) == LONGEST
    assert 60 <= sum(pauses) <= 90


def test_a_finished_run_is_there_at_once_and_one_is_at_work(session):
    with demonstration(session, 0.1) as (shown, playing):
        assert shown.runs != session.runs and shown.data == session.data
        found = rows(shown)
        [finished] = [row for row in found.values() if row.id != playing]
        assert (finished.state, finished.name) == ("done", "demo rslad-digits")
        assert finished.status.results["best"]["autoattack"] == pytest.approx(0.5595, abs=1e-4)
        wait_until(lambda: rows(shown)[playing].state in ("starting", "running"))
        assert found[playing].name == "demo quickstart"
        assert all(RUN_ID.fullmatch(name) for name in found)
        assert max(found) == playing  # newest first
        assert abs(run_reader.load(RunDir(shown.runs / playing)).started - time.time()) < 20
        assert find(shown.runs, playing[:20]).id == playing


def test_it_grows_to_a_whole_table_and_ends(session):
    with demonstration(session, AT_ONCE) as (shown, playing):
        run = RunDir(shown.runs / playing)
        wait_until(lambda: rows(shown)[playing].state == "done" and not engine_process.alive(run))
        state, status = run_reader.load(run), rows(shown)[playing].status
        assert (state.phase, state.unknown, state.damaged) == ("finished", 0, 0)
        assert len(state.table["best"]) == len(status.results["best"]) == 9
        assert (status.epoch, status.epochs, status.step, status.total_steps) == (40, 40, 680, 680)
        assert status.warnings == len(state.warnings) > 0
        recorded = Recording(demo.PLAYED)
        assert status.results == recorded.status.results
        for place, content in recorded.results().items():
            assert (run.path / place).read_bytes() == content
        assert "run_finished" in run.log.read_text()


def test_no_result_is_told_of_before_its_file_is_there(session):
    with demonstration(session, 100.0) as (shown, playing):
        run = RunDir(shown.runs / playing)
        while (row := rows(shown)[playing]).state != "done":
            for attack in (row.status.results if row.status else {}).get("best", {}):
                assert run.result("best", attack).is_file()
            time.sleep(0.01)
        assert run.gallery("best").is_file()


def test_the_stop_file_stops_it_as_an_engine(session):
    with demonstration(session, 0.5) as (shown, playing):
        run = RunDir(shown.runs / playing)
        engine_process.ask_to_stop(run)
        wait_until(lambda: rows(shown)[playing].state == "stopped" and not engine_process.alive(run))
        state = run_reader.load(run)
        assert (state.phase, state.reason) == ("stopped", "stop file")


def test_killing_it_does_not_kill_the_terminal(session):
    with demonstration(session, 0.5) as (shown, playing):
        run = RunDir(shown.runs / playing)
        assert json.loads(run.lock.read_bytes())["pid"] == os.getpid()
        assert engine_process.alive(run) and engine_process.holder(run) is None
        assert engine_process.kill(run, patience=0.0) is False
        assert engine_process.alive(run)


def test_nothing_is_left_behind_whatever_was_done_meanwhile(session):
    replay = start_replay(session)
    folder = replay.folder
    (folder / ".trash").mkdir()
    (folder / "stray").write_text("")
    assert replay.close() is None
    assert replay.close() is None  # again
    assert not folder.exists()


def test_a_run_that_was_started_in_its_folder_is_kept(session):
    replay = start_replay(session)
    own = replay.folder / "20260101-000000-mine"
    own.mkdir()
    (own / "config.toml").write_text("")
    assert replay.close() == replay.folder
    assert [path.name for path in replay.folder.iterdir()] == [own.name]
    own.joinpath("config.toml").unlink()
    own.rmdir()
    replay.folder.rmdir()


def test_a_folder_that_is_taken_away_ends_the_playing_without_a_word(session, capfd):
    replay = start_replay(session, 50.0)
    replay.run.path.rename(session.runs.parent / "away")
    wait_until(lambda: not replay._playing._thread.is_alive())
    replay.close()
    assert capfd.readouterr().err == ""


def test_an_interpreter_that_ends_takes_the_folder_along(tmp_path):
    program = (
        "from pathlib import Path; from crdnd_tui.tui.demo.replay import start_replay; "
        "from crdnd_tui.core.session import Session; "
        f"print(start_replay(Session(runs=Path({str(tmp_path)!r}), data=Path({str(tmp_path)!r}))).folder)"
    )
    root = Path(demo.__file__).parents[3]
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60, check=True)
    assert not Path(done.stdout.strip()).exists()


def test_the_app_shows_it_and_takes_it_along(tmp_path):
    async def story(app, pilot):
        for key in "3621":
            await pilot.press(key)
        app.start_demo()
        for _ in range(200):
            await pilot.pause(0.02)
            if app.current:
                break
        first = app.session.runs
        assert (app.current_mode, app.session.runs) == ("live", app._replay.folder)
        await pilot.press("1")
        await pilot.pause()
        app.start_demo()  # again: the same
        await pilot.pause(0.1)
        assert (app.session.runs, app.current) == (first, app._replay.id)
        for key in "123456":
            await pilot.press(key)
        return first

    assert not drive(story, tmp_path / "runs").exists()


def test_d_goes_there_and_back(tmp_path):
    runs = recorded(tmp_path / "runs", "rslad-small_cnn-s0")

    async def until(pilot, happened):
        for _ in range(300):
            await pilot.pause(0.02)
            if happened():
                return
        raise AssertionError

    async def story(app, pilot):
        await ready(app, pilot)
        mine = shown(app)
        await pilot.press("D")
        await until(pilot, lambda: app.current_mode == "live")
        folder = app.session.runs
        assert app.in_demo and folder != runs
        await pilot.press("1")
        await until(pilot, lambda: app.current_mode == "runs" and len(shown(app)) == 2)
        await pilot.press("D")
        await until(pilot, lambda: shown(app) == mine and not folder.exists())
        assert (app.session.runs, app.in_demo, app.current) == (runs, False, "")
        await pilot.press("D")  # a new one
        await until(pilot, lambda: app.current_mode == "live" and app.in_demo)

    drive(story, runs)
