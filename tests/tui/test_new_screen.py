"""The form of the New screen under keys: tabs, fields, choices, attacks, mistakes."""

import pytest

from crdnd_tui.tui.form import form, kinds
from crdnd_tui.tui.screens.new.desk import Desk
from crdnd_tui.tui.widgets.control import Choice, Line, Tick
from crdnd_tui.tui.widgets.foot import Foot
from crdnd_tui.tui.widgets.form_pane import FormPane
from crdnd_tui.tui.widgets.sheets import Pick
from crdnd_tui.tui.widgets.tabs import TabLine
from engine.spec import attacks, data, methods, models, toml
from tests.tui.new_desk import QUICK, rest, row, story, to, words


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs"


def test_it_opens_with_the_quickstart_and_everything_that_follows(runs):
    async def steps(screen, pilot):
        assert isinstance(screen, Desk)
        assert screen.editing.config == toml.load(QUICK)
        assert not screen.editing.draft.changed
        assert "student 12 forward" in words(screen, "#estimate")
        assert "no past run like this on this machine" in words(screen, "#estimate")
        assert screen.query_one("#preset", Choice).value == "quickstart"
        assert len(screen.query_one("#preset", Choice).options) == 52

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
        foot = screen.query_one(Foot)
        assert "? Help" in foot.render().plain
        await pilot.press("down", "j")
        assert isinstance(screen.focused, Line)
        await pilot.pause()
        assert "? Help" not in foot.render().plain  # a question mark is text now
        await pilot.hover(Foot, offset=(3, 0))
        assert foot.tooltip == "Launch"
        await pilot.click(Foot, offset=(foot.render().plain.index("TOML"), 0))
        await rest(pilot)
        assert not screen.query_one("#toml").display
        await pilot.press("f3")
        assert "student.width" in words(screen, "#help")
        await pilot.press("up", "k")
        assert screen.focused is pane.fields[0].control
        await pilot.press("down", "down", "escape")
        assert screen.focused is pane
        await pilot.press("enter")
        assert isinstance(screen.focused, Line)  # where it was
        await pilot.press("enter")
        assert screen.focused is pane.fields[3].control
        await pilot.press("]")  # no part of a number: it turns the tab here, too
        await rest(pilot)
        assert screen.query_one(TabLine).front == "Data"
        assert not screen.editing.draft.changed
        await pilot.press("down", "up", "up")  # above the first field is the preset
        assert screen.focused is screen.query_one("#preset")
        assert "ctrl+s launches this run" in words(screen, "#help")
        await pilot.press("down", "escape", "escape")
        assert pilot.app.screen.NAME == "Runs"

    story(runs, steps)


def test_every_key_press_is_checked_and_the_message_stands_under_its_field(runs):
    async def steps(screen, pilot):
        await to(screen, pilot, "training.epochs")
        for key in "12x":
            await pilot.press(key)
        await pilot.pause()
        field = await row(screen, "training.epochs")
        assert field.message == "should be a whole number, not '12x'"
        assert field.size.height == 2
        assert "1 mistake before this can be launched" in words(screen, "#estimate")
        assert "Training 1\u2717" in screen.query_one(TabLine).render().plain
        height = screen.query_one("#estimate").size.height
        await pilot.press("ctrl+s")
        await rest(pilot)
        assert not runs.exists()
        await pilot.press("backspace")
        await rest(pilot)
        assert (await row(screen, "training.epochs")).message == ""
        assert screen.editing.config.training.epochs == 12
        assert "epochs = 12" in words(screen, "#toml-text")
        assert screen.query_one("#estimate").size.height == height  # nothing jumps
        assert "whole number, 1 to 100,000   default 40" in words(screen, "#help")
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


MEMBERS = {
    "method": [kinds.tag(s) for s in kinds.shape_of(methods.MethodSpec).specs],
    "data": [kinds.tag(s) for s in kinds.shape_of(data.DataSpec).specs],
    "student": [kinds.tag(s) for s in kinds.shape_of(models.ModelSpec).specs],
    "teacher": ["checkpoint", "robustbench", "run", "preset", ""],
    "training.schedule": ["constant", "multistep", "cosine"],
}


def test_every_member_of_a_union_is_shown(runs):
    async def steps(screen, pilot):
        for table, names in MEMBERS.items():
            field = await to(screen, pilot, table)
            for name in names:
                await screen.change(screen.editing.enter, (await row(screen, table)).entry, name)
                await pilot.pause()
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


def test_an_attack_is_listed_twice_under_a_label_of_its_own(runs):
    async def steps(screen, pilot):
        await to(screen, pilot, "evaluation.attacks.1")
        assert "+ once more" in words(screen, "#help")
        await pilot.press("plus")
        await rest(pilot)
        labels = [attack.label for attack in screen.editing.config.evaluation.attacks]
        assert labels == ["", "", "pgd_sat_2", "", "", "", "", ""]
        here = screen.focused.parent.entry
        assert (here.dotted, screen.focused.opened) == ("evaluation.attacks.2", True)
        await pilot.press("down", "9")
        await rest(pilot)
        assert [attack.steps for attack in screen.editing.config.evaluation.attacks[1:3]] == [20, 9]
        await pilot.press("up", "minus")
        await rest(pilot)
        assert screen.editing.draft.text == QUICK.read_text()
        assert isinstance(screen.focused, Tick) and screen.focused.label == "PGD-SAT"
        await to(screen, pilot, "evaluation.attacks.pgd")
        await pilot.press("minus")  # it is not in
        assert screen.editing.draft.text == QUICK.read_text()
        await pilot.press("plus")
        await rest(pilot)
        assert screen.editing.config.evaluation.attacks[-1].key == "pgd"

    story(runs, steps)
