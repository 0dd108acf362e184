"""The home screen: its keys and the mouse."""

from pathlib import Path

import pytest
from textual.widgets import SelectionList, Static

from crdnd_tui.core import notes
from tests.tui.lab_runs import CRDND, RSLAD, caption, living, play, ready, shown, text
from tests.tui.pilot import drive, recorded, settle


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)  # so that no picture shows where it was taken
    return recorded(tmp_path / "runs")


def test_moving(runs: Path) -> None:
    async def story(app, pilot):
        await ready(app, pilot)
        order = shown(app)
        for keys, place in (
            (["down", "down"], 2), (["end"], -1), (["home", "j", "j", "j", "k"], 2), (["pagedown"], -1),
            (["pageup"], 0), (["up"], 0),
        ):  # fmt: skip
            await pilot.press(*keys)
            assert app.screen.table.key == order[place]
        await pilot.press("j", "enter")
        assert (app.current, app.current_mode) == (order[1], "live")
        await pilot.press("1", "E")
        assert (app.current, app.current_mode) == (order[1], "examples")
        await pilot.press("1", "n")
        assert app.current_mode == "new"

    drive(story, runs)


def test_the_cursor_stays_on_its_run(runs: Path) -> None:
    async def story(app, pilot):
        await ready(app, pilot, RSLAD)
        with living(runs):
            app.screen.rescan()
            await settle(pilot)
            assert len(shown(app)) == 11
            assert app.screen.table.key == RSLAD
        await pilot.press("s", "s", "s")
        assert app.screen.table.key == RSLAD

    drive(story, runs)


def test_sorting(runs: Path) -> None:
    async def story(app, pilot):
        await ready(app, pilot)
        runs = app.screen._list
        await pilot.press("S")
        assert runs.column == ""  # newest first is not turned round
        await pilot.press("s")
        assert (runs.column, runs.falling) == ("state", True)
        await pilot.press(*"sss")
        keys = shown(app)
        assert (runs.column, runs.falling) == ("clean", True) and "pgd_at" in keys[0] and "rslad" in keys[1]
        await pilot.press("S")
        keys = shown(app)
        assert not runs.falling and "crdnd-small_cnn-s1" in keys[0]
        assert "s7" in keys[-3] + keys[-2] + keys[-1]  # not judged: last, either way

    drive(story, runs, size=(80, 24))


def test_groups(runs: Path) -> None:
    async def story(app, pilot):
        await ready(app, pilot)
        await pilot.press("g")
        head = next(line for line in text(app).splitlines() if "3 seeds" in line)
        assert "rslad" in head and "97.4\u00b10.2" in head and "54.5\u00b11.3" in head
        full = len(shown(app))
        group = next(key for key in shown(app) if key.startswith("group:"))
        app.screen.table.go(group)
        lengths = []
        for key in ("enter", "enter", "h", "l", "left", "right"):
            await pilot.press(key)
            await settle(pilot)
            lengths.append(len(shown(app)))
        assert app.screen.table.key == group
        await pilot.press("j", "h")
        await settle(pilot)
        assert app.screen.table.key == group  # from one of its runs
        await pilot.press("space")
        assert len(app.screen._list.selected) in (2, 3)
        await pilot.press("g")
        assert len(shown(app)) == 10
        assert lengths == [lengths[0], full, lengths[0], full, lengths[0], full] and lengths[0] < full

    drive(story, runs, size=(120, 36))


def test_filter(runs: Path) -> None:
    async def story(app, pilot):
        await ready(app, pilot)
        await pilot.press("slash", *"method:rslad aa>54")
        await settle(pilot)
        assert len(shown(app)) == 2
        assert caption(app) == "2 of 10 shown · ! may mislead"
        await pilot.press("space", "(")
        await settle(pilot)
        problem = app.screen.query_one("#problem", Static)
        assert problem.display and "missing" in str(problem.content)
        assert len(shown(app)) == 2  # the words before the mistake count
        await pilot.press("backspace", "enter")
        assert app.screen.focused is app.screen.table
        assert not problem.display
        await pilot.press("slash", "escape")
        assert app.screen.focused is app.screen.table and len(shown(app)) == 2
        await pilot.press("escape")
        await settle(pilot)
        assert len(shown(app)) == 10 and not app.screen.has_class("filtering")
        await pilot.press("slash", *"nobody")
        await settle(pilot)
        card = app.screen.query_one("#card", Static)
        assert app.screen.query_one("#middle").display and "No run matches" in str(card.content)
        await pilot.press("escape", "escape")
        await settle(pilot)
        assert len(shown(app)) == 10 and app.screen.focused is app.screen.table

    drive(story, runs)


def test_selecting_and_comparing(runs: Path) -> None:
    async def story(app, pilot):
        await ready(app, pilot)
        order = shown(app)
        await pilot.press("c")
        assert app.current_mode == "runs"
        await pilot.press("space", "space", "c")
        assert app.current_mode == "compare" and set(app.compared) == set(order[:2])
        await pilot.press("1", "escape")
        assert not app.screen._list.selected
        app.screen.table.go(CRDND)
        await pilot.press("p")
        await settle(pilot)
        assert notes.read(runs / CRDND).pinned
        assert shown(app)[0] == CRDND
        app.screen.table.go(RSLAD)
        await pilot.press("c")
        assert app.compared == (RSLAD, CRDND)

    drive(story, runs)


def test_columns_can_be_hidden(runs: Path) -> None:
    async def story(app, pilot):
        await ready(app, pilot)
        await pilot.press("v")
        await settle(pilot)
        assert app.screen.query_one(SelectionList).selected
        await pilot.press("space", "enter")
        await settle(pilot)
        assert "student" not in text(app)
        await pilot.press("v", "escape")

    drive(story, runs)


def test_the_mouse(runs: Path) -> None:
    async def story(app, pilot):
        await ready(app, pilot)
        order = shown(app)
        await pilot.click("#table", offset=(8, 4))
        assert app.screen.table.key == order[2]
        await pilot.click("#table", offset=(6, 1))
        assert app.screen._list.column == "state"
        await pilot.click("#table", offset=(6, 1))
        assert not app.screen._list.falling
        first = shown(app)[0]
        await pilot.click("#table", offset=(8, 2), times=2)
        assert (app.current_mode, app.current) == ("live", first)

    drive(story, runs)


def test_demo(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from crdnd_tui.tui.app import LabApp

    asked = []
    monkeypatch.setattr(LabApp, "start_demo", lambda self: asked.append(True))
    play(runs, "D")
    assert asked == [True]
