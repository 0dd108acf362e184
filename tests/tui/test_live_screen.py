"""The Live screen, driven by its keys."""

import pytest

from crdnd_tui.core import engine_process
from crdnd_tui.tui.dialogs.question import Question
from crdnd_tui.tui.widgets.chart import Chart
from crdnd_tui.tui.widgets.status_line import Notice
from tests.tui.live_runs import cut, events, held, legend, look, one, places, said, standing, step, until, write_events
from tests.tui.pilot import settle


@pytest.fixture
def training(tmp_path):
    """A run at work, at step 400 of 680."""
    run = cut(one(tmp_path / "runs"), step(400))
    with held(run):
        yield run


@pytest.fixture
def finished(tmp_path):
    return one(tmp_path / "runs")


def test_what_is_written_appears(training):
    told = events(training)

    async def story(app, pilot):
        later = told[-1] | {"seq": told[-1]["seq"] + 1, "step": 401, "loss": 7.25}
        write_events(training, [*told, later])
        app.screen.look_again()
        await until(pilot, lambda: app.screen.look.state.step == 401)
        await pilot.pause()
        assert app.screen._curves.loss.last == (401.0, 7.25)
        write_events(training, told[:40])
        app.screen.look_again()
        left = sum(event["event"] == "step_done" for event in told[:40])
        await until(pilot, lambda: len(app.screen._curves.loss) == left)

    look(training, story, frames=50.0)


def test_nothing_is_read_behind_another_screen(training):
    async def story(app, pilot):
        live = app.screen
        await pilot.press("1")
        await pilot.pause(0.2)
        told = events(training)
        write_events(training, [*told, told[-1] | {"seq": told[-1]["seq"] + 1, "step": 401}])
        await pilot.pause(0.2)
        assert live.look.state.step == 400 and not live._front.is_set()
        await pilot.press("3")
        await until(pilot, lambda: live.look.state.step == 401)

    look(training, story, frames=50.0)


def border(app, panel):
    return str(app.screen.query_one(f"#{panel}").border_title)


def test_keys_of_panels_and_curves(training):
    async def story(app, pilot):
        await pilot.press("z")
        assert places(app) == {"loss"}
        await pilot.press("z")
        assert len(places(app)) == 7
        await pilot.press("tab", "tab", "z")
        assert places(app) == {"accuracy"}
        await pilot.press("escape", "l")
        assert places(app) == {"log"}
        await pilot.press("l")
        assert "adversarial" in border(app, "bars")
        await pilot.press("a")
        assert "clean" in border(app, "bars")
        await pilot.press("M")
        assert "matrix" in places(app) and "M1" in border(app, "matrix")
        await pilot.press("M", "u")
        assert "map" in places(app) and "learning rate" in legend(app, "pace")
        await pilot.press("u")
        assert "images/s" in legend(app, "pace")
        await _curves(app, pilot)
        await pilot.press("p")
        assert "VIEW PAUSED" in standing(app)
        await pilot.press("p")
        assert "VIEW PAUSED" not in standing(app)
        await pilot.press("escape", "escape")
        assert app.screen.NAME == "Runs"

    look(training, story)


async def _curves(app, pilot):
    """They reach the loss while it is not in focus, and otherwise the chart that is."""
    loss = app.screen.query_one("#loss", Chart)
    before = loss.smoothing
    app.screen.query_one("#log").focus()
    await pilot.press("y", "x", "s")
    assert loss.log_y and loss.log_x and loss.smoothing != before
    await pilot.press("x", "plus", "comma")
    assert loss.cursor is not None
    await pilot.press("0")
    assert loss.cursor is None
    await pilot.press("minus", "equals_sign", "left_square_bracket", "right_square_bracket", "full_stop")
    app.screen.query_one("#accuracy").focus()
    await pilot.press("y")
    assert app.screen.query_one("#accuracy", Chart).log_y and loss.log_y


def test_a_narrow_terminal_has_pages_and_a_flat_one_a_page_for_each_panel(training):
    async def story(app, pilot):
        assert places(app) == {"loss", "accuracy", "pace"}
        for expected in ({"bars", "map"}, {"table"}, {"log"}, {"loss", "accuracy", "pace"}):
            await pilot.press("w")
            assert places(app) == expected
        await pilot.press("W")
        assert places(app) == {"log"}
        await pilot.resize_terminal(40, 10)
        seen = []
        for _ in range(8):
            await pilot.press("w")
            seen += places(app)
        assert seen == ["loss", "accuracy", "pace", "bars", "map", "matrix", "table", "log"]
        await pilot.resize_terminal(180, 50)
        assert {"matrix", "log"} <= places(app)
        await pilot.resize_terminal(20, 6)

    look(training, story, size=(80, 24))


def test_a_run_that_ended_is_neither_stopped_nor_killed_and_turns_its_classes_in_one_place(finished):
    async def story(app, pilot):
        for name in ("map", "matrix", "bars"):
            await pilot.press("M")
            assert name in places(app)
        await pilot.press("ctrl+s", "ctrl+k", "r")
        await settle(pilot)
        assert not (finished / "stop").exists() and "it is done already" in said(app)

    look(finished, story)


def test_stopping_asks_and_a_second_time_kills(training, monkeypatch):
    killed = []
    monkeypatch.setattr(engine_process, "kill", lambda run, **_: killed.append(run.id) or True)
    monkeypatch.setattr(engine_process, "kill_teacher", lambda *_: False)

    async def story(app, pilot):
        await pilot.press("ctrl+s")
        assert isinstance(app.screen, Question)
        await pilot.press("escape")
        assert not (training / "stop").exists()
        await pilot.press("ctrl+s", "s")
        await until(pilot, lambda: "stopping" in standing(app))
        assert (training / "stop").exists() and "asked to stop" in app.screen.query_one(Notice).render().plain
        await pilot.press("ctrl+s")
        assert "Kill" in str(app.screen.query(".dialog").first().border_title)
        await pilot.press("k")
        await until(pilot, lambda: killed)
        assert killed == [training.name]
        await pilot.press("X", "escape", "ctrl+k", "escape")
        assert killed == [training.name]

    look(training, story, frames=50.0)


def test_clone_examples_and_detach(training):
    async def story(app, pilot):
        await pilot.press("C")
        await settle(pilot)
        assert app.screen.NAME == "New" and 'name = "crdnd"' in (app.draft[0] if app.draft else 'name = "crdnd"')
        await pilot.press("escape", "3", "E")
        assert app.screen.NAME == "Examples" and app.current == training.name
        await pilot.press("3", "D")
        assert app.screen.NAME == "Runs"

    look(training, story)


def test_read_only_changes_nothing(training):
    async def story(app, pilot):
        await pilot.press("ctrl+s", "s", "ctrl+k", "k", "X", "r")
        await settle(pilot)
        assert not isinstance(app.screen, Question) and not (training / "stop").exists()

    look(training, story, readonly=True)
