"""What comes to the New screen and what goes from it: presets, files, an editor, launches, the queue."""

import json
import stat
import sys
from contextlib import nullcontext

import pytest
from textual.widgets import Input, Static

from crdnd_tui.core import engine_process, presets
from crdnd_tui.queue import actions
from crdnd_tui.tui.dialogs.question import Ask, Question
from crdnd_tui.tui.screens import new
from crdnd_tui.tui.widgets.foot import Foot
from crdnd_tui.tui.widgets.sheets import Pick, Sheet
from engine.spec import toml
from engine.spec.errors import ConfigError
from engine.spec.rundir import RunDir
from tests.tui.live_runs import until
from tests.tui.new_form import QUICK, story, to, words
from tests.tui.pilot import HERE, settle

FAKE = HERE.parent / "cli" / "fake_engine.py"


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs"


@pytest.fixture
def fake_engine(monkeypatch):
    monkeypatch.setattr(engine_process, "engine_command", lambda run: [sys.executable, str(FAKE), str(run.path)])
    monkeypatch.setenv("FAKE_ENGINE", json.dumps({"epochs": 1, "step_seconds": 0.0}))


async def asked(pilot, *parts):
    """A question stands in front that says all of this."""
    for _ in range(200):
        if isinstance(pilot.app.screen, Question):
            break
        await pilot.pause(0.02)
    text = pilot.app.screen.query_one("VerticalScroll Static", Static).render().plain
    assert all(part in text for part in parts), text


async def launched(pilot):
    """Launch, and say yes to whatever is asked."""
    await pilot.press("ctrl+s")
    await asked(pilot)
    await pilot.press("y")
    await settle(pilot)


def test_a_draft_is_taken_with_its_comments(runs, tmp_path):
    text = '# mine\n[data]\nname = "digits"  # small\n[student]\nname = "small_cnn"\n[method]\nname = "natural"\n'

    async def steps(screen, pilot):
        await pilot.press("1")
        pilot.app.edit_preset(text, tmp_path / "mine.toml")
        await settle(pilot)
        assert screen.editing.draft.text == text
        await to(screen, pilot, "data.validation")
        await pilot.press("enter", "9", "9")
        await settle(pilot)
        assert screen.editing.draft.text == text.replace("# small\n", "# small\nvalidation = 99\n")
        await pilot.press("enter", "1", "2")
        await settle(pilot)
        assert "validation = 99" in screen.editing.draft.text  # the same draft is not taken twice
        await pilot.press("1")
        pilot.app.edit_preset("[broken", None)
        await settle(pilot)
        assert isinstance(pilot.app.screen, Question)  # what was changed is written nowhere
        await pilot.press("escape")
        await settle(pilot)
        assert "validation = 99" in screen.editing.draft.text
        await pilot.press("1")
        pilot.app.edit_preset("[broken", None)
        await settle(pilot)
        await pilot.press("d")
        await settle(pilot)
        assert "not valid TOML" in words(screen, "#homeless")
        assert screen.form.fields.entries

    story(runs, steps)


def test_another_preset_is_opened_and_changes_are_not_lost_unasked(runs):
    async def steps(screen, pilot):
        await pilot.press("o", *"rslad 10_re", "enter")
        await settle(pilot)
        assert screen.editing.config.method.name == "rslad"
        await pilot.press("ctrl+o")
        await settle(pilot)
        assert isinstance(pilot.app.screen, Pick)
        await pilot.press(*"t_nat", "enter")
        await settle(pilot)
        assert screen.editing.config.method.name == "natural"
        await to(screen, pilot, "seed")
        await pilot.press("enter", "3", "enter", "ctrl+o", *"nowh", "enter")
        await settle(pilot)
        assert isinstance(pilot.app.screen, Question)
        await pilot.press("escape")
        await settle(pilot)
        assert screen.editing.config.seed == 3
        await pilot.press("ctrl+o", *"nowh", "enter", "d")
        await settle(pilot)
        assert screen.editing.config.seed == 3  # there is no such preset
        await pilot.press("ctrl+o", *"quickstart", "enter", "d")
        await settle(pilot)
        assert screen.editing.draft.text == QUICK.read_text()

    story(runs, steps)


def test_a_preset_is_written_and_replaced_only_when_that_is_wanted(runs, tmp_path):
    async def steps(screen, pilot):
        await to(screen, pilot, "seed")
        await pilot.press("enter", "5", "f2")
        await pilot.pause()
        assert isinstance(pilot.app.screen, Ask)
        assert pilot.app.screen.query_one(Input).value == "presets/quickstart.toml"
        await pilot.press("enter")
        await settle(pilot)
        path = tmp_path / "presets" / "quickstart.toml"
        assert toml.load(path) == screen.editing.config
        assert not screen.editing.draft.changed
        await pilot.press("enter", "end", "6", "f2", "enter")
        await asked(pilot, "presets/quickstart.toml")
        await pilot.press("escape", "f2", "enter", "r")
        await settle(pilot)
        assert toml.load(path).seed == 56
        installed = tmp_path / "site-packages" / "a.toml"
        await pilot.press("f2")
        await pilot.pause()
        pilot.app.screen.query_one(Input).value = str(installed)
        await pilot.press("enter")
        await settle(pilot)
        assert not installed.exists()
        await pilot.press("f2", "escape")

    story(runs, steps)


def test_the_text_goes_through_an_editor(runs, tmp_path, monkeypatch):
    editor = tmp_path / "editor.sh"
    editor.write_text('#!/bin/sh\nprintf "# edited\\nseed = 9\\n%s" "$(cat "$1")" > "$1.new" && mv "$1.new" "$1"\n')
    editor.chmod(editor.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("VISUAL", "")
    monkeypatch.setenv("EDITOR", str(editor))

    async def steps(screen, pilot):
        await pilot.press("ctrl+e")  # a headless app cannot be suspended, and says so
        await settle(pilot)
        assert screen.editing.draft.text == QUICK.read_text()
        monkeypatch.setattr(type(pilot.app), "suspend", lambda app: nullcontext())
        await to(screen, pilot, "training.epochs")
        await pilot.press("enter", "9", "ctrl+e", "escape", "2")  # what was being typed is taken first
        assert screen.editing.config.training.epochs == 9
        await settle(pilot)
        assert screen.editing.draft.text.startswith("# edited\n")
        assert screen.editing.config.seed == 9
        monkeypatch.setenv("EDITOR", "false")
        await pilot.press("ctrl+e")
        monkeypatch.setenv("EDITOR", "")
        monkeypatch.setattr(new.shutil, "which", lambda name: None)
        await pilot.press("ctrl+e")
        assert screen.editing.config.seed == 9

    story(runs, steps)


def test_a_dry_run_shows_the_whole_config_and_its_cost(runs):
    async def steps(screen, pilot):
        await pilot.press("f5")
        await pilot.pause()
        text = pilot.app.screen.query_one("VerticalScroll Static", Static).render().plain
        assert isinstance(pilot.app.screen, Sheet)
        assert "passes per step" in text and "config hash" in text and "[evaluation]" in text
        await pilot.press("escape")
        await to(screen, pilot, "seed")
        await pilot.press("enter", "x", "f5")
        await pilot.pause()
        assert "seed: should be" in pilot.app.screen.query_one("VerticalScroll Static", Static).render().plain
        await pilot.press("escape")
        assert pilot.app.screen is screen

    story(runs, steps)


def test_a_launch_makes_one_run_and_goes_to_it(runs, fake_engine):
    async def steps(screen, pilot):
        await to(screen, pilot, "(machine).device")
        await pilot.press("right")
        await pilot.press("ctrl+s", "ctrl+s", "ctrl+s")
        await asked(pilot, "No past run tells how long it will take.", "Its teacher is trained first.")
        await pilot.press("y")
        await settle(pilot)
        if isinstance(pilot.app.screen, Question):  # one that came late asks on Live whether to stop
            await pilot.press("escape")
        (run,) = [path for path in runs.iterdir() if not path.name.startswith(".")]
        assert pilot.app.current == run.name
        assert pilot.app.screen.NAME == "Live"
        assert (run / "preset.toml").read_text() == QUICK.read_text()
        machine = json.loads((run / "machine.json").read_text())
        assert (machine["device"], machine["runs"]) == ("cpu", str(runs))
        await pilot.press("2")
        await settle(pilot)
        assert f"equal run  {run.name}" in words(screen, "#estimate")
        for key in ("ctrl+s", "f6"):  # it is there already: no second one unasked
            await pilot.press(key)
            await asked(pilot, f"An equal run is there: {run.name}, ")
            await pilot.press("escape")
        await settle(pilot)
        assert len([path for path in runs.iterdir() if not path.name.startswith(".")]) == 1
        engine_process.kill(RunDir(run), patience=0.0)

    story(runs, steps)


def test_an_engine_that_dies_at_once_is_told_with_its_last_words(runs, monkeypatch):
    program = "import sys; print('no teacher here', file=sys.stderr); sys.exit(2)"
    monkeypatch.setattr(engine_process, "engine_command", lambda run: [sys.executable, "-c", program])

    async def steps(screen, pilot):
        await launched(pilot)
        text = pilot.app.screen.query_one("VerticalScroll Static", Static).render().plain
        assert "no teacher here" in text and "exit code 2" in text and "crdnd resume" in text
        await pilot.press("escape")
        assert pilot.app.screen is screen

    story(runs, steps)


def test_several_nodes_must_meet_and_what_to_type_on_the_others_is_told(runs, fake_engine):
    async def steps(screen, pilot):
        screen.editing.machine |= {"nodes": 3}
        await launched(pilot)
        assert "HOST:PORT" in pilot.app.screen.query_one("VerticalScroll Static", Static).render().plain
        assert not runs.exists()
        await pilot.press("escape")
        screen.editing.machine |= {"rendezvous": "node1:29400"}
        await launched(pilot)
        (run,) = [path for path in runs.iterdir() if not path.name.startswith(".")]
        said = [notification.message for notification in pilot.app._notifications]
        assert f"On each of the other 2 nodes: crdnd join {run.name} --runs {runs}" in said
        engine_process.kill(RunDir(run), patience=0.0)

    story(runs, steps)


def test_a_run_is_made_of_what_was_launched_whatever_is_edited_meanwhile(runs, fake_engine, monkeypatch):
    async def steps(screen, pilot):
        editing, look = screen.editing, new.prospect.look
        entry = next(entry for entry in editing.tab("Training") if entry.dotted == "training.epochs")

        def edited_meanwhile(*arguments):
            found = look(*arguments)
            pilot.app.call_from_thread(screen.form.change, editing.enter, entry, "77")
            return found

        monkeypatch.setattr(new.prospect, "look", edited_meanwhile)
        await launched(pilot)
        (run,) = [path for path in runs.iterdir() if not path.name.startswith(".")]
        assert toml.read(run / "config.toml").training.epochs == 40
        assert (run / "preset.toml").read_text() == QUICK.read_text()
        assert editing.draft.changed and screen._launched != editing.draft.text
        engine_process.kill(RunDir(run), patience=0.0)

    story(runs, steps)


def test_undo_after_writing_elsewhere_keeps_the_paths_of_that_folder(runs, tmp_path):
    async def steps(screen, pilot):
        await to(screen, pilot, "seed")
        await pilot.press("enter", "5", "enter", "f2")
        await pilot.pause()
        pilot.app.screen.query_one(Input).value = str(tmp_path / "deep" / "er" / "mine.toml")
        await pilot.press("enter")
        await settle(pilot)
        assert screen.editing.config.seed == 5
        await pilot.press("enter", "escape", "u")
        await settle(pilot)
        assert screen.editing.problems == () and screen.editing.config.seed == 5

    story(runs, steps)


def test_a_folder_that_cannot_be_written_is_told(runs, tmp_path):
    runs.write_text("in the way")

    async def steps(screen, pilot):
        await launched(pilot)
        assert "no run folder can be made" in pilot.app.screen.query_one("VerticalScroll Static").render().plain

    story(runs, steps)


def test_a_run_is_queued_without_being_started(runs, monkeypatch):
    queued = []
    monkeypatch.setattr(actions, "enqueue", queued.append)

    async def steps(screen, pilot):
        for what in ("how long it will take", "An equal run is there"):
            await pilot.press("a", "f6")  # a letter queues nothing
            await asked(pilot, what)
            await pilot.press("y")
            await settle(pilot)
        assert [(run.config.is_file(), run.events.exists()) for run in queued] == [(True, False)] * 2
        assert pilot.app.screen is screen

    story(runs, steps)


def test_reading_only_changes_nothing(runs, tmp_path):
    async def steps(screen, pilot):
        await to(screen, pilot, "seed")
        await pilot.press("enter", "5", "ctrl+s", "f6", "f2", "ctrl+e", "enter")
        await settle(pilot)
        assert pilot.app.screen is screen
        assert screen.editing.config.seed == 5
        assert list(tmp_path.iterdir()) == []
        foot = screen.query_one(Foot)
        spans = {foot.render().plain[span.start : span.end].strip(): span.style for span in foot.render().spans}
        assert spans["Launch"].dim and not spans["Dry run"].dim
        await pilot.click(Foot, offset=(3, 0))  # as little as the key
        assert list(tmp_path.iterdir()) == []

    story(runs, steps, readonly=True)


def test_places_where_no_preset_can_be_written_are_told(runs):
    async def steps(screen, pilot):
        for name in ("/", ".", "~nosuch/x", "a" * 300, "x\0y", "/lib/site-packages/x"):
            pilot.app.clear_notifications()
            await pilot.press("f2")
            await settle(pilot)
            pilot.app.screen.query_one(Input).value = name
            await pilot.press("enter")
            await until(pilot, lambda: "Not written" in [note.title for note in pilot.app._notifications])

    story(runs, steps)


@pytest.mark.parametrize("name", ["~nosuch", "a" * 5000, "/", "/dev/null", "x\0y"])
def test_odd_names_are_no_presets(name):
    with pytest.raises(ConfigError):
        presets.resolve(name)
