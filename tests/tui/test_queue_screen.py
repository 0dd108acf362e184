"""The Queue screen: every key. Engines and workers are no processes here."""

import asyncio
import json
from pathlib import Path

import pytest

from crdnd_tui.queue import actions, worker
from crdnd_tui.queue.tickets import Queue
from crdnd_tui.tui.app import LabApp
from crdnd_tui.tui.dialogs.question import Question
from crdnd_tui.tui.screens.queue.screen import QueueScreen
from crdnd_tui.tui.widgets.queue_list import QueueList
from engine.spec.rundir import RunDir
from tests.tui.busy_queue import (  # noqa: F401  two are fixtures
    ATWORK,
    FIRST,
    SECOND,
    THIRD,
    busy_queue,
    cursor,
    keys,
    order,
    past,
    put,
    state,
    still_machine,
    text,
    told,
)
from tests.tui.pilot import drive, settle


def test_the_cursor_begins_on_the_next_run_and_walks_from_panel_to_panel(busy: Path) -> None:
    done, failed = past(busy, "crdnd-small_cnn-s0").id, past(busy, "natural-").id
    stopped = past(busy, "cnn-s1").id
    above = [FIRST, SECOND, FIRST, ATWORK, ATWORK, FIRST, SECOND, THIRD]
    below = [stopped, failed, done, done, ATWORK, done, failed, stopped]
    pressed = [*("down", "up", "up", "up", "j", "j", "end", "j"), *["down"] * 3, *("tab", "shift+tab", "k", "g")]
    assert drive(walk(*pressed), busy) == [*above, *below]


def walk(*pressed: str):
    """The run under the cursor at first and after each of these keys."""

    async def story(app, pilot):
        await pilot.press("6")
        await settle(pilot)
        seen = [app.screen._run]
        for key in pressed:
            await pilot.press(key)
            await pilot.pause()
            seen.append(app.screen._run)
        return seen

    return story


def test_j_and_k_reorder_and_the_cursor_stays_on_its_run(busy: Path) -> None:
    orders = []

    def look(app):
        orders.append("".join(name[-1] for name in order(busy)) + cursor(app)[-1])

    drive(keys("J", "J", "J", "K", "T", "shift+down", "shift+up", on=FIRST, each=look), busy)
    assert orders == ["2131", "2311", "2311", "2131", "1231", "2131", "1231"]


def test_space_holds_and_releases(busy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ensured, seen = [], []
    monkeypatch.setattr(worker, "ensure", ensured.append)
    drive(keys("space", "space", on=FIRST, each=lambda app: seen.append((state(busy, FIRST), len(ensured)))), busy)
    assert seen[0][0] == "held"
    assert seen[1] == ("waiting", seen[0][1] + 1)  # released: a worker is seen to
    said = drive(keys("space", on=ATWORK, then=told), busy)
    assert "Only a waiting run can be held" in said
    assert state(busy, ATWORK) == "running"


def test_x_asks_and_takes_a_waiting_run_off(busy: Path) -> None:
    seen = []

    def look(app):
        seen.append((isinstance(app.screen, Question), state(busy, FIRST)))

        if len(seen) == 1:
            assert "RSLAD" in text(app) and "seed 4" in text(app) and "Never started" in text(app)

    drive(keys("x", "escape", "x", "y", on=FIRST, each=look), busy)
    assert seen == [(True, "waiting"), (False, "waiting"), (True, "waiting"), (False, "gone")]
    assert (busy / ".trash" / FIRST).is_dir()
    said = drive(keys("x", on=ATWORK, then=told), busy)
    assert "x on Runs stops it" in said
    assert state(busy, ATWORK) == "running"


def test_r_retries_what_failed_or_stopped(busy: Path) -> None:
    failed = past(busy, "natural-").id
    drive(keys("R", on=failed), busy)
    assert order(busy)[-1] == failed
    said = drive(keys("R", on=FIRST, then=told), busy)
    assert "can be retried" in said


def test_enter_opens_on_live_and_n_is_new(busy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(LabApp, "open_run", lambda app, run, screen="live": seen.append((run, screen)))
    shown = LabApp.show
    monkeypatch.setattr(LabApp, "show", lambda app, name: shown(app, name) if name == "queue" else seen.append(name))
    drive(keys("enter", "n", on=FIRST), busy)
    assert seen == [(FIRST, "live"), "new"]


def test_plus_and_minus_set_how_many_run_at_once(busy: Path) -> None:
    seen = []

    def look(app):
        seen.append(Queue(busy).at_once)
        assert f"{seen[-1]} at once" in text(app)

    drive(keys("plus", "plus", "minus", "minus", "minus", each=look), busy)
    assert seen == [2, 3, 2, 1, 1]


def test_c_forgets_those_that_ended(busy: Path) -> None:
    assert "Ended" not in drive(keys("c", then=text), busy)
    assert len(Queue(busy).tickets()) == 4


def test_a_dead_worker_is_said_and_w_starts_one(busy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ensured, seen = [], []
    monkeypatch.setattr(worker, "ensure", lambda runs: ensured.append(runs) or True)
    monkeypatch.setattr(worker, "alive", lambda runs: False)
    said = drive(keys("space", "W", on=ATWORK, each=lambda app: seen.append(len(ensured)), then=text), busy)
    assert "W starts one" in said
    assert set(ensured) == {busy}  # coming here wakes it
    assert seen[1] == seen[0] + 1


def test_only_reading_changes_nothing(busy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "wake", lambda runs: pytest.fail("a worker was started"))
    before = {path: path.stat().st_mtime_ns for path in busy.rglob("*")}
    pressed = ("J", "K", "T", "space", "x", "R", "plus", "minus", "c", "W")
    questions = []

    def look(app):
        questions.append(isinstance(app.screen, Question))

    drive(keys(*pressed, "end", "down", *pressed, on=FIRST, each=look), busy, readonly=True)
    assert not any(questions)
    assert {path: path.stat().st_mtime_ns for path in busy.rglob("*")} == before


def test_a_click_puts_the_cursor(busy: Path) -> None:
    async def story(app, pilot):
        await pilot.press("6")
        await settle(pilot)
        await pilot.click("#waiting", offset=(6, 3))
        await settle(pilot)
        return app.screen._run

    assert drive(story, busy) == THIRD


def test_the_cursor_goes_to_the_place_of_a_run_that_left(busy: Path) -> None:
    async def story(app, pilot):
        await pilot.press("6")
        await settle(pilot)
        app.screen._go_to(SECOND)
        actions.cancel(busy, SECOND)
        app.screen.look()
        await settle(pilot)
        return app.screen._run

    assert drive(story, busy) == THIRD


def test_every_key_is_in_the_help(busy: Path) -> None:
    said = drive(keys("question_mark", then=text), busy, size=(150, 70))
    for words in ("Hold", "Cancel", "Retry", "Later", "Earlier", "More at once", "Clear ended", "Start worker"):
        assert words in said
    assert sum(binding.show for binding in QueueScreen.BINDINGS) <= 6


def test_hostile_names_and_damaged_tickets_are_shown_not_obeyed(busy: Path) -> None:
    config = RunDir(busy / FIRST).config
    config.write_text('name = "[red]x\\u001b[2J"\n' + "\n".join(config.read_text().splitlines()[1:]))
    folder = busy / ".queue" / "tickets"
    (folder / "[bold]evil.json").write_text("{")
    (RunDir(busy / SECOND).config).write_text("[" * 1000)
    said = drive(keys(then=text), busy)
    assert "\x1b" not in said
    assert "[bold]evil.json" in said
    assert SECOND in said  # its id, for its config cannot be read


def test_when_all_is_over_the_cursor_and_the_room_go_to_what_ended(busy: Path) -> None:
    failed = past(busy, "natural-").id

    async def story(app, pilot):
        await pilot.press("6")
        await settle(pilot)
        for run in (FIRST, SECOND, THIRD, ATWORK):
            Queue(busy).change(run, ("waiting", "held", "running"), lambda _: None)
        RunDir(busy / ATWORK).lock.unlink()
        app.screen.look()
        await settle(pilot)
        seen = [app.focused.id]
        app.screen._go_to(failed)
        await pilot.press("x")
        await settle(pilot)
        assert "It has ended" in told(app)
        await pilot.resize_terminal(40, 10)
        await settle(pilot)
        seen.append(text(app))
        await pilot.press("R")
        await settle(pilot)
        return seen

    focused, small = drive(story, busy)
    assert focused == "ended"
    assert "failed" in small and "Nothing waits" not in small
    assert state(busy, failed) == "waiting"


def test_tickets_of_no_time_are_damaged(busy: Path) -> None:
    folder = busy / ".queue" / "tickets"
    for name, words in ((FIRST, {"state": "waiting", "added": -1e308}), (past(busy, "natural-").id, {"ended": 1e308})):
        (folder / f"{name}.json").write_text(json.dumps({"run": name, "state": "done"} | words))
    assert "2 damaged" in drive(keys(then=text), busy)


def test_only_lines_that_changed_are_drawn(busy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def looked(app):
        drawn = []
        shown = QueueList.render_line
        with monkeypatch.context() as patch:
            patch.setattr(QueueList, "render_line", lambda of, y: drawn.append((of.id, y)) or shown(of, y))
            app.screen.look()
            await app.workers.wait_for_complete([w for w in app.workers if w.group == "look"])
            await asyncio.sleep(0.3)
        return drawn

    async def story(app):
        still = await looked(app)
        status = RunDir(busy / ATWORK).status
        status.write_bytes(status.read_bytes().replace(b'"epoch":11', b'"epoch":12'))
        return still, await looked(app)

    assert drive(keys(then=story), busy) == ([], [("devices", 1)])


def test_the_start_of_the_app_wakes_the_queue(busy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a restart of the machine nobody need look at the Queue screen."""
    woken = []
    monkeypatch.setattr(LabApp, "DEFAULT_MODE", "runs")
    monkeypatch.setattr(worker, "alive", lambda runs: False)
    monkeypatch.setattr(worker, "ensure", lambda runs: woken.append(runs) or True)

    async def story(app, pilot):
        await settle(pilot)
        assert app.screen.NAME == "Runs"

    drive(story, busy, readonly=True)
    assert woken == []
    drive(story, busy)
    assert woken == [busy]
    for run in (FIRST, SECOND, THIRD, ATWORK):
        put(Queue(busy), run, state="held")
    drive(story, busy)
    assert woken == [busy]  # nothing waits, nothing is woken
