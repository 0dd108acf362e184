"""The home screen: what is done to runs, what is asked first, and that reading only changes nothing."""

from pathlib import Path

import pytest
from textual.widgets import Static

from crdnd_tui.core import engine_process, notes, run_actions
from crdnd_tui.core.notes import RunNotes
from crdnd_tui.tui.dialogs.question import Ask, Question
from engine.spec import toml
from engine.spec.rundir import RunDir
from tests.tui.lab_runs import CRDND, RSLAD, living, play, ready, shown, text
from tests.tui.live_runs import until
from tests.tui.pilot import drive, recorded, settle


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)  # so that no picture shows where it was taken
    return recorded(tmp_path / "runs")


def test_tags_and_notes(runs: Path) -> None:
    async def story(app, pilot):
        await ready(app, pilot, RSLAD)
        await pilot.press("number_sign")
        await settle(pilot)
        assert isinstance(app.screen, Ask)
        await pilot.press(*"paper #x", "enter")
        await settle(pilot)
        await pilot.press("m")
        await settle(pilot)
        await pilot.press(*"for [b]table", "enter")
        await settle(pilot)
        await ready(app, pilot)
        assert notes.read(runs / RSLAD) == RunNotes(tags=("paper", "x"), note="for [b]table")
        await until(pilot, lambda: "for [b]table" in str(app.screen.query_one("#facts", Static).content))
        assert "#paper #x" in str(app.screen.query_one("#facts", Static).content)
        await pilot.press("slash", *"tag:paper")
        await settle(pilot)
        assert shown(app) == [RSLAD]

    drive(story, runs, size=(120, 36))


def test_stop_and_kill_ask_first(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed = []
    monkeypatch.setattr(engine_process, "kill", lambda run: bool(killed.append(run.id)) or True)
    with living(runs) as run:

        async def story(app, pilot):
            await ready(app, pilot, run.id)
            await pilot.press("x")
            await settle(pilot)
            assert isinstance(app.screen, Question) and not run.stop.exists()
            await pilot.press("escape")
            await pilot.press("x", "x")
            await settle(pilot)
            assert run.stop.exists()
            await settle(pilot)
            assert "stopping" in text(app)
            await pilot.press("X", "X")
            await settle(pilot)
            assert killed == [run.id]

        drive(story, runs)


def test_a_run_that_is_done_is_neither_stopped_nor_resumed(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = []
    monkeypatch.setattr(engine_process, "start", started.append)

    async def story(app, pilot):
        await ready(app, pilot, CRDND)
        for key in "xXr":
            await pilot.press(key)
            await settle(pilot)
            assert app.screen.NAME == "Runs"
        assert not started and not (runs / CRDND / "stop").exists()

    drive(story, runs)


def test_resume(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started, codes = [], [None, 2]
    monkeypatch.setattr(engine_process, "start", lambda run: started.append(run.id))
    monkeypatch.setattr(engine_process, "wait_started", lambda run, process: codes.pop(0))
    failed = next(path.name for path in runs.iterdir() if "s7" in path.name)

    async def story(app, pilot):
        await ready(app, pilot, failed)
        await pilot.press("r")
        await settle(pilot)
        assert started == [failed] and app.screen.NAME == "Runs"
        await pilot.press("r")
        await settle(pilot)
        assert isinstance(app.screen, Question)
        words = str(app.screen.query("Static").first(Static).content)
        assert "code 2" in words and f"crdnd resume {failed}" in words
        await pilot.press("escape")

    drive(story, runs)


def test_clone_stands_alone(runs: Path, tmp_path: Path) -> None:
    async def story(app, pilot):
        await ready(app, pilot, CRDND)
        await pilot.press("C")
        await settle(pilot)
        return app.draft, app.current_mode

    (written, path), mode = drive(story, runs)
    assert (path, mode) == (None, "new")
    (tmp_path / "clone.toml").write_text(written)
    assert toml.load(tmp_path / "clone.toml").config_hash == toml.read(runs / CRDND / "config.toml").config_hash


def test_trash_and_back(runs: Path) -> None:
    async def story(app, pilot):
        await ready(app, pilot, RSLAD)
        await pilot.press("d")
        await settle(pilot)
        assert isinstance(app.screen, Question)
        await pilot.press("d")
        await settle(pilot)
        assert (runs / ".trash" / RSLAD).is_dir() and RSLAD not in shown(app)
        await pilot.press("u")
        await settle(pilot)
        assert (runs / RSLAD).is_dir() and RSLAD in shown(app)
        await pilot.press("u")

    drive(story, runs)


def test_a_living_run_is_no_trash(runs: Path) -> None:
    with living(runs) as run:
        with pytest.raises(Exception, match="at work"):
            run_actions.trash(run.path)
        play(runs, "home", "d", "d")
        assert run.path.is_dir()


def test_nothing_changes_when_only_reading_is_allowed(runs: Path) -> None:
    before = sorted(path for path in runs.rglob("*"))
    with living(runs) as run:
        before += [run.path, run.config, run.status, run.lock]

        async def story(app, pilot):
            await ready(app, pilot, run.id)
            for key in ("x", "X", "p", "d", "u", "r", "number_sign", "m"):
                await pilot.press(key)
                await settle(pilot)
                assert app.screen.NAME == "Runs"

        drive(story, runs, readonly=True)
        assert sorted(runs.rglob("*")) == sorted(before)


def test_clone_of_a_preset_that_stands_alone_is_as_it_was_written(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    run.preset.write_text("# why\n[data]\nname = 'digits'\n[student]\nname = 'small_cnn'\n[method]\nname = 'natural'\n")
    run.config.write_text(toml.dump(toml.load(run.preset)))
    assert run_actions.clone(tmp_path).startswith("# why")
    run.config.write_text(toml.dump(toml.load(run.preset, ["method.name=trades", "name=by flags"])))
    assert 'name = "trades"' in run_actions.clone(tmp_path)  # flags had overridden what was written
    run.config.unlink()
    run.preset.write_text("extends = 'x.toml'")
    with pytest.raises(Exception, match="cannot be read"):
        run_actions.clone(tmp_path)
    run.config.write_text("[subject")
    with pytest.raises(Exception, match="damaged"):
        run_actions.clone(tmp_path)
    run.config.write_text("[subject]\nrun = 'a'")
    with pytest.raises(Exception, match="evaluation"):
        run_actions.clone(tmp_path)
