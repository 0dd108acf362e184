"""The home screen: its keys and the mouse."""

from pathlib import Path

import pytest
from textual.widgets import SelectionList, Static

from crdnd_tui.home import notes
from tests.tui.lab_runs import CRDND, RSLAD, caption, living, play, ready, shown, text
from tests.tui.pilot import drive, recorded, settle


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)  # so that no picture shows where it was taken
    return recorded(tmp_path / "runs")


def test_moving(runs: Path) -> None:
    order = play(runs, then=shown)
    for keys, place in (
        (["down", "down"], 2), (["j", "j", "j", "k"], 2), (["end"], -1), (["end", "home"], 0), (["pagedown"], -1),
        (["end", "pageup"], 0), (["up"], 0),
    ):  # fmt: skip
        assert play(runs, *keys, then=lambda app: app.screen.table.key) == order[place]


def test_the_cursor_stays_on_its_run(runs: Path) -> None:
    async def story(app, pilot):
        await ready(app, pilot, RSLAD)
        with living(runs):
            app.screen.rescan()
            await settle(pilot)
            await pilot.pause(0.1)
            assert len(shown(app)) == 11
            assert app.screen.table.key == RSLAD
        await pilot.press("s", "s", "s")
        assert app.screen.table.key == RSLAD

    drive(story, runs)


def test_enter_opens(runs: Path) -> None:
    order = play(runs, then=shown)
    assert play(runs, "j", "enter", then=lambda app: (app.current, app.current_mode)) == (order[1], "live")


def test_other_screens(runs: Path) -> None:
    assert play(runs, "n", then=lambda app: app.current_mode) == "new"
    assert play(runs, "E", then=lambda app: (app.current_mode, bool(app.current))) == ("examples", True)


def test_sorting(runs: Path) -> None:
    def by(app):
        screen = app.screen
        return screen._list.column, screen._list.falling, shown(app)

    assert play(runs, "s", then=by)[:2] == ("state", True)
    column, falling, keys = play(runs, *"ssss", then=by, size=(80, 24))
    assert (column, falling) == ("clean", True)
    assert "pgd_at" in keys[0] and "rslad" in keys[1]
    turned = play(runs, *"ssss", "S", then=by, size=(80, 24))
    assert turned[1] is False and "crdnd-small_cnn-s1" in turned[2][0]
    assert "s7" in turned[2][-3] + turned[2][-2] + turned[2][-1]  # not judged: last, either way
    assert play(runs, "S", then=by)[0] == ""


def test_groups(runs: Path) -> None:
    said = play(runs, "g", then=text, size=(120, 36))
    head = next(line for line in said.splitlines() if "3 seeds" in line)
    assert "rslad" in head and "97.4\u00b10.2" in head and "54.5\u00b11.3" in head
    whole = play(runs, "g", then=shown)
    group = next(key for key in whole if key.startswith("group:"))

    async def story(app, pilot):
        await ready(app, pilot)
        await pilot.press("g")
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
        return lengths

    lengths = drive(story, runs)
    full = len(whole)
    assert lengths == [lengths[0], full, lengths[0], full, lengths[0], full] and lengths[0] < full


def test_filter(runs: Path) -> None:
    async def story(app, pilot):
        await ready(app, pilot)
        await pilot.press("slash", *"method:rslad aa>54")
        await settle(pilot)
        assert len(shown(app)) == 2
        assert caption(app) == "2 of 10 shown"
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
        await pilot.pause(0.2)
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
    from crdnd_tui.app import LabApp

    asked = []
    monkeypatch.setattr(LabApp, "start_demo", lambda self: asked.append(True))
    play(runs, "D")
    assert asked == [True]
