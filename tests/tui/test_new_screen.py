"""The New screen under keys: every binding, every kind of row, mistakes, launching, and how it looks."""

import json
import stat
import sys
from contextlib import nullcontext

import pytest
from textual.widgets import Input, Static

from crdnd_tui import launch, presets
from crdnd_tui.dialogs.question import Ask, Question
from crdnd_tui.queueing import worker
from crdnd_tui.screens.new import screen as new
from crdnd_tui.screens.new.desk import Desk
from crdnd_tui.setup import forecast, form, kinds
from crdnd_tui.widgets.control import Choice, Line, Tick
from crdnd_tui.widgets.form_pane import FormPane
from crdnd_tui.widgets.sheets import Pick, Sheet
from crdnd_tui.widgets.tabs import TabLine
from engine.spec import attacks, data, methods, models, toml
from engine.spec.rundir import RunDir
from tests.tui.pilot import HERE, drive, recorded, same_picture

FAKE = HERE.parent / "cli" / "fake_engine.py"
QUICK = presets.shipped()["quickstart"]


async def rest(pilot):
    """Until nothing is being read, asked or drawn."""
    for _ in range(200):
        await pilot.pause(0.02)
        if not [w for w in pilot.app.workers if not w.is_finished and w.group in ("resume", "look", "launch")]:
            break
    await pilot.pause()


def story(runs, steps, **flags):
    """The New screen, at rest; `steps(screen, pilot)` goes on."""

    async def go(app, pilot):
        await pilot.press("2")
        await rest(pilot)
        return await steps(app.screen, pilot)

    return drive(go, runs, **flags)


async def to(screen, pilot, dotted):
    """The row of this key has the focus."""
    tab = form.tab_of(dotted)
    if screen.query_one(TabLine).front != tab:
        screen.query_one(TabLine).post_message(TabLine.Chosen(tab))
        await rest(pilot)
    pane = await screen.front()
    field = next(f for f in pane.fields if f.entry.dotted == dotted)
    field.control.focus()
    await pilot.pause()
    return field


async def row(screen, dotted):
    return next(f for f in (await screen.front()).fields if f.entry.dotted == dotted)


def words(screen, of):
    return screen.query_one(of, Static).render().plain


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs"


@pytest.fixture
def fake_engine(monkeypatch):
    monkeypatch.setattr(launch, "engine_command", lambda run: [sys.executable, str(FAKE), str(run.path)])
    monkeypatch.setenv("FAKE_ENGINE", json.dumps({"epochs": 1, "step_seconds": 0.0}))


def test_it_opens_with_the_quickstart_and_everything_that_follows(runs):
    async def steps(screen, pilot):
        assert isinstance(screen, Desk)
        assert screen.editing.config == toml.load(QUICK)
        assert not screen.editing.draft.changed
        assert "student 12 forward" in words(screen, "#estimate")
        assert "no past run like this on this machine" in words(screen, "#estimate")
        assert screen.query_one("#preset", Choice).value == "quickstart"
        assert len(screen.query_one("#preset", Choice).options) == 43

    story(runs, steps)


def test_tabs_are_made_when_they_are_shown_and_go_round(runs):
    async def steps(screen, pilot):
        assert [pane.tab for pane in screen.query(FormPane)] == ["Pair"]
        for tab in [*list(form.TABS)[1:], "Pair"]:
            await pilot.press("right_square_bracket")
            await rest(pilot)
            assert screen.query_one(TabLine).front == tab
            assert [p.tab for p in screen.query(FormPane) if p.display] == [tab]
        await pilot.press("left_square_bracket")
        assert screen.query_one(TabLine).front == "Run"
        screen.query_one(TabLine).focus()
        await pilot.press("right", "right")
        assert screen.query_one(TabLine).front == "Data"
        await pilot.click(TabLine, offset=(1, 0))
        assert screen.query_one(TabLine).front == "Pair"

    story(runs, steps)


def test_keys_walk_through_the_fields_and_escape_leaves(runs):
    async def steps(screen, pilot):
        pane = await screen.front()
        pane.focus()
        await pilot.press("down")
        assert screen.focused is pane.fields[0].control
        await pilot.press("down", "j")
        assert isinstance(screen.focused, Line)
        assert "student.width" in words(screen, "#help")
        await pilot.press("up", "k")
        assert screen.focused is pane.fields[0].control
        await pilot.press("down", "down", "escape")
        assert screen.focused is pane
        await pilot.press("enter")
        assert isinstance(screen.focused, Line)  # where it was
        await pilot.press("enter")
        assert screen.focused is pane.fields[3].control
        await pilot.press("escape", "escape")
        assert pilot.app.screen.NAME == "Runs"

    story(runs, steps)


def test_every_key_press_is_checked_and_the_message_stands_under_its_field(runs):
    async def steps(screen, pilot):
        await to(screen, pilot, "training.epochs")
        for key in "12x":
            await pilot.press(key)
        await pilot.pause()
        field = await row(screen, "training.epochs")
        assert field.message == "should be integer, not '12x'"
        assert field.size.height == 2
        assert "1 mistake before this can be launched" in words(screen, "#estimate")
        assert "Training 1\u2717" in screen.query_one(TabLine).render().plain
        await pilot.press("ctrl+s")
        await rest(pilot)
        assert not runs.exists()
        await pilot.press("backspace")
        await rest(pilot)
        assert (await row(screen, "training.epochs")).message == ""
        assert screen.editing.config.training.epochs == 12
        assert "epochs = 12" in words(screen, "#toml-text")
        await pilot.press("ctrl+r")
        await rest(pilot)
        assert screen.editing.draft.text == QUICK.read_text()
        assert (await row(screen, "training.epochs")).control.value == ""

    story(runs, steps)


def test_choices_step_list_and_narrow(runs):
    async def steps(screen, pilot):
        await to(screen, pilot, "method")
        await pilot.press("left")
        await rest(pilot)
        assert screen.editing.config.method.name == "rslad"
        assert any(f.entry.dotted == "method.loss_scale" for f in (await screen.front()).fields)
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(pilot.app.screen, Pick)
        await pilot.press(*"crd", "enter")
        await rest(pilot)
        assert screen.editing.draft.text == QUICK.read_text()
        await to(screen, pilot, "method.compensate")
        await pilot.press("space")
        await rest(pilot)
        assert screen.editing.config.method.compensate is False
        await pilot.press("right")
        await rest(pilot)
        assert screen.editing.config.method.compensate is True
        await to(screen, pilot, "method.space")
        await pilot.press("enter", "down", "down", "up", "enter")
        await rest(pilot)
        assert screen.editing.config.method.space == "logits_centered"
        await pilot.press("enter", "escape")
        assert screen.editing.config.method.space == "logits_centered"

    story(runs, steps)


def test_a_teacher_may_be_typed(runs):
    async def steps(screen, pilot):
        await to(screen, pilot, "teacher.preset")
        await pilot.press("enter", *"else/here.toml", "enter")
        await rest(pilot)
        assert (await row(screen, "teacher.preset")).message == "no such file 'else/here.toml'"

    story(runs, steps)


@pytest.mark.parametrize(("table", "names"), [
    ("method", [kinds.tag(s) for s in kinds.shape_of(methods.MethodSpec).specs]),
    ("data", [kinds.tag(s) for s in kinds.shape_of(data.DataSpec).specs]),
    ("student", [kinds.tag(s) for s in kinds.shape_of(models.ModelSpec).specs]),
    ("teacher", ["checkpoint", "robustbench", "run", "preset", ""]),
    ("training.schedule", ["constant", "multistep", "cosine"]),
])  # fmt: skip
def test_every_member_of_a_union_is_shown(runs, table, names):
    async def steps(screen, pilot):
        field = await to(screen, pilot, table)
        for name in names:
            await screen.change(screen.editing.enter, (await row(screen, table)).entry, name)
            await rest(pilot)
            assert (await row(screen, table)).control.value == name
            assert [f.entry for f in (await screen.front()).fields] == screen.editing.tab(form.tab_of(table))
        assert field.is_attached

    story(runs, steps)


def test_attacks_are_ticked_and_opened(runs):
    async def steps(screen, pilot):
        await to(screen, pilot, "evaluation.attacks.1")
        await pilot.press("space")
        await rest(pilot)
        assert len(screen.editing.config.evaluation.attacks) == 6
        assert isinstance(screen.focused, Tick) and screen.focused.label == "PGD-SAT"
        await pilot.press("space")
        await rest(pilot)
        assert screen.editing.draft.text == QUICK.read_text()
        await to(screen, pilot, "evaluation.attacks.4")
        await pilot.press("enter")
        await rest(pilot)
        assert screen.editing.draft.text == QUICK.read_text()  # to look at settings changes none
        await pilot.press("enter")
        await to(screen, pilot, "evaluation.attacks.1")
        await pilot.press("enter", "down", "7")
        await rest(pilot)
        assert screen.editing.config.evaluation.attacks[1].steps == 7
        await to(screen, pilot, "evaluation.attacks.pgd")
        await pilot.press("enter")
        await rest(pilot)
        names = [attack.name for attack in screen.editing.config.evaluation.attacks]
        assert set(names) == set(attacks.KINDS)
        await to(screen, pilot, "evaluation.attacks.7")
        await pilot.press("ctrl+r")
        assert screen.editing.draft.text == QUICK.read_text()

    story(runs, steps)


def test_a_draft_is_taken_with_its_comments(runs, tmp_path):
    text = '# mine\n[data]\nname = "digits"  # small\n[student]\nname = "small_cnn"\n[method]\nname = "natural"\n'

    async def steps(screen, pilot):
        await pilot.press("1")
        pilot.app.edit_preset(text, tmp_path / "mine.toml")
        await rest(pilot)
        assert screen.editing.draft.text == text
        await to(screen, pilot, "data.validation")
        await pilot.press("9", "9")
        await rest(pilot)
        assert screen.editing.draft.text == text.replace("# small\n", "# small\nvalidation = 99\n")
        await pilot.press("escape", "1", "2")
        await rest(pilot)
        assert "validation = 99" in screen.editing.draft.text  # the same draft is not taken twice
        await pilot.press("1")
        pilot.app.edit_preset("[broken", None)
        await rest(pilot)
        assert "not valid TOML" in words(screen, "#homeless")
        assert (await screen.front()).fields

    story(runs, steps)


def test_another_preset_is_opened_and_changes_are_not_lost_unasked(runs):
    async def steps(screen, pilot):
        await pilot.press("o", *"rslad_cifar10_resnet18", "enter")
        await rest(pilot)
        assert screen.editing.config.method.name == "rslad"
        screen.query_one("#preset", Choice).focus()
        await pilot.press("enter", *"quickstart_natural", "enter")
        await rest(pilot)
        assert screen.editing.config.method.name == "natural"
        await to(screen, pilot, "seed")
        await pilot.press("3", "ctrl+o", *"nowhere", "enter")
        await rest(pilot)
        assert isinstance(pilot.app.screen, Question)
        await pilot.press("escape")
        await rest(pilot)
        assert screen.editing.config.seed == 3
        await pilot.press("ctrl+o", *"nowhere", "enter", "d")
        await rest(pilot)
        assert screen.editing.config.seed == 3  # there is no such preset
        await pilot.press("ctrl+o", *"quickstart", "enter", "d")
        await rest(pilot)
        assert screen.editing.draft.text == QUICK.read_text()

    story(runs, steps)


def test_a_preset_is_written_and_replaced_only_when_that_is_wanted(runs, tmp_path):
    async def steps(screen, pilot):
        await to(screen, pilot, "seed")
        await pilot.press("5", "f2")
        await pilot.pause()
        assert isinstance(pilot.app.screen, Ask)
        assert pilot.app.screen.query_one(Input).value == "presets/quickstart.toml"
        await pilot.press("enter")
        await rest(pilot)
        path = tmp_path / "presets" / "quickstart.toml"
        assert toml.load(path) == screen.editing.config
        assert not screen.editing.draft.changed
        await pilot.press("6", "ctrl+w", "enter")
        await pilot.pause()
        assert isinstance(pilot.app.screen, Question)
        await pilot.press("escape", "f2", "enter", "r")
        await rest(pilot)
        assert toml.load(path).seed == 56
        installed = tmp_path / "site-packages" / "a.toml"
        await pilot.press("escape", "w", *["backspace"] * 60, *str(installed), "enter")
        await rest(pilot)
        assert not installed.exists()
        await pilot.press("w", "escape")

    story(runs, steps)


def test_the_text_goes_through_an_editor(runs, tmp_path, monkeypatch):
    editor = tmp_path / "editor.sh"
    editor.write_text('#!/bin/sh\nprintf "# edited\\nseed = 9\\n%s" "$(cat "$1")" > "$1.new" && mv "$1.new" "$1"\n')
    editor.chmod(editor.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("VISUAL", "")
    monkeypatch.setenv("EDITOR", str(editor))

    async def steps(screen, pilot):
        await pilot.press("ctrl+e")  # a headless app cannot be suspended, and says so
        await rest(pilot)
        assert screen.editing.draft.text == QUICK.read_text()
        monkeypatch.setattr(type(pilot.app), "suspend", lambda app: nullcontext())
        await pilot.press("ctrl+e")
        await rest(pilot)
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
        await pilot.press("x", "f5")
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
        await rest(pilot)
        (run,) = [path for path in runs.iterdir() if not path.name.startswith(".")]
        assert pilot.app.current == run.name
        assert pilot.app.screen.NAME == "Live"
        assert (run / "preset.toml").read_text() == QUICK.read_text()
        machine = json.loads((run / "machine.json").read_text())
        assert (machine["device"], machine["runs"]) == ("cpu", str(runs))
        await pilot.press("2")
        await rest(pilot)
        assert f"equal run  {run.name}" in words(screen, "#estimate")
        launch.kill(RunDir(run), patience=0.0)

    story(runs, steps)


def test_an_engine_that_dies_at_once_is_told_with_its_last_words(runs, monkeypatch):
    program = "import sys; print('no teacher here', file=sys.stderr); sys.exit(2)"
    monkeypatch.setattr(launch, "engine_command", lambda run: [sys.executable, "-c", program])

    async def steps(screen, pilot):
        await pilot.press("ctrl+s")
        await rest(pilot)
        text = pilot.app.screen.query_one("VerticalScroll Static", Static).render().plain
        assert "no teacher here" in text and "exit code 2" in text and "crdnd resume" in text
        await pilot.press("escape")
        assert pilot.app.screen is screen

    story(runs, steps)


def test_a_folder_that_cannot_be_written_is_told(runs, tmp_path):
    runs.write_text("in the way")

    async def steps(screen, pilot):
        await pilot.press("ctrl+s")
        await rest(pilot)
        assert "no run folder can be made" in pilot.app.screen.query_one("VerticalScroll Static").render().plain

    story(runs, steps)


@pytest.mark.parametrize("key", ["f6", "a"])
def test_a_run_is_queued_without_being_started(runs, monkeypatch, key):
    queued = []
    monkeypatch.setattr(worker, "enqueue", queued.append)

    async def steps(screen, pilot):
        await pilot.press(key)
        await rest(pilot)
        (run,) = queued
        assert (run.config.is_file(), run.events.exists()) == (True, False)
        assert pilot.app.screen is screen

    story(runs, steps)


def test_reading_only_changes_nothing(runs, tmp_path):
    async def steps(screen, pilot):
        await to(screen, pilot, "seed")
        await pilot.press("5", "ctrl+s", "f6", "f2", "ctrl+w", "ctrl+e", "escape", "a", "w")
        await rest(pilot)
        assert pilot.app.screen is screen
        assert screen.editing.config.seed == 5
        assert list(tmp_path.iterdir()) == []

    story(runs, steps, readonly=True)


@pytest.mark.parametrize("size", [(40, 10), (80, 24), (240, 60)])
def test_any_size_will_do(runs, size):
    async def steps(screen, pilot):
        for _ in range(2):
            await pilot.press("left_square_bracket")
            await rest(pilot)
        await pilot.press("f3", "f5", "escape", "f3")
        await pilot.resize_terminal(44, 12)
        await pilot.resize_terminal(120, 40)
        assert screen.query_one("#toml").display

    story(runs, steps, size=size)


def test_f3_turns_the_page(runs):
    async def steps(screen, pilot):
        narrow = screen.has_class("-narrow")
        before = screen.query_one("#toml").display
        assert before != narrow
        await pilot.press("f3")
        assert screen.query_one("#toml").display == narrow
        assert screen.query_one("#form").display != narrow

    story(runs, steps, size=(80, 24))
    story(runs, steps, size=(120, 36))


@pytest.fixture
def pictured(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runs = recorded(tmp_path / "runs")
    host = json.loads(next(runs.glob("*crdnd-small_cnn-s0*/status.json")).read_text())["host"]
    monkeypatch.setattr(forecast, "this_host", lambda: host)
    return runs


@pytest.mark.parametrize(("name", "size", "theme", "dotted"), [
    ("80x24", (80, 24), "crdnd-dark", "teacher"),
    ("120x36", (120, 36), "crdnd-dark", "student"),
    ("180x50", (180, 50), "crdnd-dark", "training.learning_rate"),
    ("light", (120, 36), "crdnd-light", "threat_model.epsilon"),
    ("method", (120, 36), "crdnd-dark", "method.matrix_convention"),
])  # fmt: skip
def test_it_looks_as_it_did(pictured, name, size, theme, dotted):
    async def steps(screen, pilot):
        await to(screen, pilot, dotted)
        await rest(pilot)
        await same_picture(pilot.app, f"new-{name}")

    story(pictured, steps, size=size, theme=theme)


def test_attacks_and_mistakes_look_as_they_did(pictured):
    async def steps(screen, pilot):
        await to(screen, pilot, "evaluation.attacks.2")
        await pilot.press("space")
        await rest(pilot)
        await to(screen, pilot, "evaluation.attacks.3")
        await pilot.press("enter", "down", *"60")
        await rest(pilot)
        await same_picture(pilot.app, "new-attacks")
        await to(screen, pilot, "training.epochs")
        await pilot.press(*"40x")
        await to(screen, pilot, "threat_model.epsilon")
        await pilot.press(*"400/255")
        await rest(pilot)
        await same_picture(pilot.app, "new-mistake")

    story(pictured, steps)
