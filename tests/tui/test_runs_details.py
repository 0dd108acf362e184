"""The home screen in the details: words that are not cut, keys that answer, a loss that is no number, typing ahead."""

import json
import time
from pathlib import Path

import pytest
from textual import events
from textual.widgets import Static

from crdnd_tui.core.run_status import Summary
from crdnd_tui.tui.app import SCREENS
from crdnd_tui.tui.at_work import at_work
from crdnd_tui.tui.runs.run_rows import why
from crdnd_tui.tui.widgets.head import Head
from crdnd_tui.tui.widgets.run_preview import LossCurve
from tests.tui.lab_runs import CRDND, living, ready, shown, text
from tests.tui.pilot import drive, recorded, settle


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return recorded(tmp_path / "runs", "crdnd-small_cnn", "rslad-small_cnn-s7")


def curve(app) -> str:
    """All that the middle panel of the preview shows."""
    panel = app.screen.query_one(LossCurve)
    lines = (panel.render_line(y).text for y in range(panel.size.height))
    return "\n".join([*lines, str(panel.border_subtitle)])


def test_a_loss_that_is_no_number_is_said(runs: Path) -> None:
    log = runs / CRDND / "events.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    number = max(k for k, line in enumerate(lines) if json.loads(line)["event"] == "step_done")
    last = json.loads(lines[number]) | {"loss": None}

    async def story(app, pilot):
        await ready(app, pilot, CRDND)
        return curve(app)

    log.write_bytes(b"".join([*lines[:number], json.dumps(last).encode() + b"\n", lines[-1]]))
    assert drive(story, runs).endswith("not finite")
    log.write_bytes(json.dumps(last).encode() + b"\n" + lines[-1])
    assert "no finite loss" in drive(story, runs)


def test_what_is_typed_at_once_goes_into_the_filter(runs: Path) -> None:
    """A busy machine reads several keys at a time: none of them may reach the table, where d is the trash."""

    async def story(app, pilot):
        await ready(app, pilot)
        for key in ["slash", *"method:crdnd"]:
            character = {"slash": "/"}.get(key, key)
            app.post_message(events.Key("colon" if key == ":" else key, character))
        await settle(pilot)
        assert (app.screen.field.value, len(app.screen_stack), len(shown(app))) == ("method:crdnd", 1, 2)
        await pilot.press("slash")  # now a letter
        assert app.screen.field.value == "method:crdnd/"
        commands = [(one.title, one.help) for one in app.get_system_commands(app.screen)]
        await pilot.press("escape")
        commands += [(one.title, one.help) for one in app.get_system_commands(app.screen)][len(SCREENS) :]
        names = {name for name, _ in commands}
        assert "Trash" in names and len(names) < len(commands)
        assert not any("left" in name or "selected text" in name for name in names)  # what Textual's input could do

    drive(story, runs)


def test_a_key_that_is_off_says_so(runs: Path) -> None:
    async def story(app, pilot):
        await ready(app, pilot)
        await pilot.press("d", "p", "j")
        said = [str(note.message) for note in app._notifications]
        assert said == ["Read only: Trash is off.", "Read only: Pin is off."]

    drive(story, runs, readonly=True)


def test_words_are_not_cut(runs: Path) -> None:
    async def story(app, pilot):
        await ready(app, pilot, run.id)
        facts, results = (str(app.screen.query_one(name, Static).content) for name in ("#facts", "#results"))
        assert "running  epoch 12/40\n" in facts  # what is left over is left out
        assert results == "Attacks come after the\ntraining."
        assert "the loss is not" in text(app)  # in place of the accuracies that are in sight
        await pilot.press("g")
        await settle(pilot)
        rows = text(app).splitlines()
        place = next(k for k, row in enumerate(rows) if "2 seeds" in row)
        assert [row[1] for row in rows[place : place + 3]] == [" ", "\u2502", "\u2575"]

    with living(runs) as run:
        drive(story, runs, size=(60, 24))


def test_nothing_is_offered_that_needs_a_run(tmp_path: Path) -> None:
    async def story(app, pilot):
        await settle(pilot)
        shown = [binding.binding.description for binding in app.screen.active_bindings.values()]
        assert "Filter" not in shown and "Stop" not in shown and "New" in shown

    drive(story, tmp_path / "runs")


def test_the_head_keeps_what_must_be_known(tmp_path: Path) -> None:
    async def story(app, pilot):
        said = []
        for width in (120, 80, 60, 40, 20):
            await pilot.resize_terminal(width, 20)
            await pilot.pause()
            app.screen.query_one(Head).note = "gpu0 H200 97 %   2 running   read only"
            said.append(app.screen.query_one(Head).render().plain[-38:].split("   ")[-3:])
        return said

    wide, usual, narrow, least, none = drive(story, tmp_path / "runs")
    assert wide[-3].endswith("gpu0 H200 97 %") and wide[-2:] == ["2 running", "read only"]
    assert usual[-1].endswith("read only") and "running" not in " ".join(usual)
    assert (
        [word.strip() for word in narrow[-2:]] == ["2 running", "read only"]
        and least[-1].endswith("read only")
        and "read" not in none[-1]
    )


def test_the_terminal_names_its_keys() -> None:
    run = Summary(id="a", path=Path("a"), state="killed", why="the engine died without a word; `crdnd resume` goes on")
    assert why(run) == "the engine died without a word; r resumes it"


def test_who_is_at_work_is_not_asked_twice(runs: Path) -> None:
    begin = time.monotonic()
    with living(runs, heartbeat=time.time()):
        assert [run.state for run in at_work(runs).engines] == ["running"]
        assert time.monotonic() - begin > 1.0 or [run.state for run in at_work(runs).engines] == ["running"]
    assert at_work(runs, recent=0.0).engines == []
