"""The form of the New screen under keys: tabs, fields, choices, attacks, mistakes, undo."""

import pytest
from textual.widgets import Input, Tabs

from crdnd_tui.tui.form import form, kinds
from crdnd_tui.tui.screens.new import NewScreen
from crdnd_tui.tui.widgets.field_list import FieldList
from crdnd_tui.tui.widgets.foot import Foot
from crdnd_tui.tui.widgets.sheets import Pick
from engine.spec import attacks, data, methods, models, toml
from tests.tui.new_form import QUICK, row, story, to, words
from tests.tui.pilot import settle


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs"


def test_it_opens_with_the_quickstart_and_everything_that_follows(runs):
    async def steps(screen, pilot):
        assert isinstance(screen, NewScreen)
        assert screen.editing.config == toml.load(QUICK)
        assert not screen.editing.draft.changed
        assert "student 12 forward" in words(screen, "#estimate")
        assert "no past run like this on this machine" in words(screen, "#estimate")
        assert "quickstart" in words(screen, "#preset")
        assert isinstance(screen.focused, FieldList)
        await pilot.press("o")
        await pilot.pause()
        assert len(pilot.app.screen._options) == 52

    story(runs, steps)


def test_tabs_go_round_by_keys_and_by_clicks_and_stand_side_by_side_where_there_is_room(runs):
    async def steps(screen, pilot):
        tabs = screen.query_one(Tabs)
        for tab in [*list(form.TABS)[1:], "Pair"]:
            await pilot.press("right_square_bracket")
            await settle(pilot)
            assert tabs.active == tab.lower()
            assert [e.dotted for e in screen.form.fields.entries] == [e.dotted for e in screen.editing.tab(tab)]
        await pilot.press("left_square_bracket")
        assert tabs.active == "run"
        await pilot.click("#method")
        await settle(pilot)
        assert screen.form.fields.entries[0].dotted == "method"
        assert not screen.query_one("#beside").display
        await pilot.resize_terminal(180, 50)
        await settle(pilot)
        beside = screen.query_one("#beside", FieldList)
        assert beside.entries[0].dotted == "threat_model"
        beside.focus()
        await pilot.press("down", "enter", *"1/255", "enter")
        await settle(pilot)
        assert str(screen.editing.config.threat_model.epsilon) == "1/255"
        assert screen.focused is beside

    story(runs, steps)


def test_no_key_changes_a_field_that_was_not_entered(runs):
    async def steps(screen, pilot):
        await to(screen, pilot, "training.epochs")
        await pilot.press(*"12", "a", "w", "s", "backspace", "delete")
        await settle(pilot)
        assert screen.editing.draft.text == QUICK.read_text()
        assert pilot.app.screen.NAME in ("Runs", "New")  # digits show screens
        assert not runs.exists()

    story(runs, steps)


def test_keys_walk_through_the_fields_and_escape_leaves(runs):
    async def steps(screen, pilot):
        foot = screen.query_one(Foot)
        assert "? Help" in foot.render().plain
        assert screen.form.entry.dotted == "student"
        await pilot.press("down", "j")
        assert screen.form.entry.dotted == "student.width"
        assert "student.width" in words(screen, "#help")
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(screen.focused, Input)
        assert "? Help" not in foot.render().plain  # a question mark is text now
        await pilot.press("9", "escape")
        await settle(pilot)
        assert isinstance(screen.focused, FieldList)
        assert screen.editing.draft.text == QUICK.read_text()
        await pilot.press("up", "k")
        assert screen.form.entry.dotted == "student"
        await pilot.hover(Foot, offset=(3, 0))
        assert foot.tooltip == "Launch"
        await pilot.click(Foot, offset=(foot.render().plain.index("TOML"), 0))
        await settle(pilot)
        assert not screen.query_one("#toml").display
        await pilot.press("f3", "escape")
        assert pilot.app.screen.NAME == "Runs"

    story(runs, steps)


def test_every_key_press_is_checked_and_the_message_stands_under_its_field(runs):
    async def steps(screen, pilot):
        await to(screen, pilot, "training.epochs")
        await pilot.press("enter", *"12x")
        await pilot.pause()
        assert "\n    should be a whole number, not '12x'" in row(screen, "training.epochs")
        assert "1 mistake before this can be launched" in words(screen, "#estimate")
        assert "Training 1\u2717" in screen.query_one("#training").render().plain
        height = screen.query_one("#estimate").size.height
        await pilot.press("ctrl+s")
        await settle(pilot)
        assert not runs.exists()
        await pilot.press("enter", "end", "backspace")
        await settle(pilot)
        assert "\n" not in row(screen, "training.epochs")
        assert screen.editing.config.training.epochs == 12
        assert "epochs = 12" in words(screen, "#toml-text")
        assert screen.query_one("#estimate").size.height == height  # nothing jumps
        assert "whole number, 1 to 100,000   default 40" in words(screen, "#help")
        await pilot.press("enter")
        await settle(pilot)
        assert "default 40" in row(screen, "training.epochs")
        await pilot.press("ctrl+r")
        await settle(pilot)
        assert screen.editing.draft.text == QUICK.read_text()

    story(runs, steps)


def test_edits_are_undone_and_made_again(runs):
    async def steps(screen, pilot):
        texts = [screen.editing.draft.text]
        await to(screen, pilot, "seed")
        await pilot.press("enter", *"77", "enter")  # one edit, however many keys
        texts.append(screen.editing.draft.text)
        await to(screen, pilot, "method.compensate")
        await pilot.press("space")
        await settle(pilot)
        texts.append(screen.editing.draft.text)
        await to(screen, pilot, "(machine).device")
        await pilot.press("right")
        await settle(pilot)
        assert screen.editing.machine == {"device": "cpu"}
        await pilot.press("u")
        assert (screen.editing.machine, screen.editing.draft.text) == ({}, texts[2])
        await pilot.press("u", "u")
        assert screen.editing.draft.text == texts[0]
        await pilot.press("u", "U", "U")
        await settle(pilot)
        assert screen.editing.draft.text == texts[2]
        assert screen.editing.config.seed == 77

    story(runs, steps)


def test_a_value_that_is_being_typed_is_taken_when_something_else_is_done(runs):
    async def steps(screen, pilot):
        await to(screen, pilot, "training.epochs")
        await pilot.press("enter", "9")
        screen.form.focus_fields()  # as a click would
        await to(screen, pilot, "training.batch_size")
        await pilot.press("enter", "3", "enter", "escape")
        await settle(pilot)
        training = screen.editing.config.training
        assert (training.epochs, training.batch_size) == (9, 3)
        await pilot.press("2")
        await to(screen, pilot, "training.epochs")
        await pilot.press("enter", "8")
        screen.form.focus_fields()
        await pilot.press("u")
        await settle(pilot)
        assert screen.editing.config.training.epochs == 9

    story(runs, steps)


def test_choices_step_list_and_narrow(runs):
    async def steps(screen, pilot):
        await to(screen, pilot, "method")
        await pilot.press("left")
        await settle(pilot)
        assert screen.editing.config.method.name == "rslad"
        assert row(screen, "method.loss_scale")
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(pilot.app.screen, Pick)
        await pilot.press(*"crd", "enter")
        await settle(pilot)
        assert screen.editing.draft.text == QUICK.read_text()
        await to(screen, pilot, "method.compensate")
        await pilot.press("space")
        await settle(pilot)
        assert screen.editing.config.method.compensate is False
        await pilot.press("right")
        await settle(pilot)
        assert screen.editing.config.method.compensate is True
        await to(screen, pilot, "method.space")
        await pilot.press("enter", "down", "down", "up", "enter")
        await settle(pilot)
        assert screen.editing.config.method.space == "logits_centered"
        await pilot.press("enter", "escape")
        assert screen.editing.config.method.space == "logits_centered"

    story(runs, steps)


def test_a_teacher_may_be_typed(runs):
    async def steps(screen, pilot):
        await to(screen, pilot, "teacher.preset")
        await pilot.press("enter", *"else/here.toml", "enter")
        await settle(pilot)
        assert "no such file 'else/here.toml'" in row(screen, "teacher.preset")

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
            await to(screen, pilot, table)
            for name in names:
                screen.form.change(screen.editing.enter, screen.form.entry, name)
                await pilot.pause()
                option = next(option for option in screen.form.entry.options if option.value == name)
                assert option.title in row(screen, table)
                assert screen.form.fields.entries == screen.editing.tab(form.tab_of(table))

    story(runs, steps)


def test_attacks_are_ticked_and_opened(runs):
    async def steps(screen, pilot):
        await to(screen, pilot, "evaluation.attacks.1")
        await pilot.press("space")
        await settle(pilot)
        assert len(screen.editing.config.evaluation.attacks) == 6
        assert screen.form.entry.label == "PGD-SAT"
        await pilot.press("space")
        await settle(pilot)
        assert screen.editing.draft.text == QUICK.read_text()
        await to(screen, pilot, "evaluation.attacks.4")
        await pilot.press("enter")
        await settle(pilot)
        assert screen.editing.draft.text == QUICK.read_text()  # to look at settings changes none
        await pilot.press("enter")
        await to(screen, pilot, "evaluation.attacks.1")
        await pilot.press("enter", "down", "enter", "7", "enter")
        await settle(pilot)
        assert screen.editing.config.evaluation.attacks[1].steps == 7
        await to(screen, pilot, "evaluation.attacks.pgd")
        await pilot.press("enter")
        await settle(pilot)
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
        await settle(pilot)
        labels = [attack.label for attack in screen.editing.config.evaluation.attacks]
        assert labels == ["", "", "pgd_sat_2", "", "", "", "", ""]
        assert screen.form.entry.dotted == "evaluation.attacks.2"
        assert row(screen, "evaluation.attacks.2.steps")  # its settings are open
        await pilot.press("down", "enter", "9", "enter")
        await settle(pilot)
        assert [attack.steps for attack in screen.editing.config.evaluation.attacks[1:3]] == [20, 9]
        await pilot.press("up", "minus")
        await settle(pilot)
        assert screen.editing.draft.text == QUICK.read_text()
        assert screen.form.entry.label == "PGD-SAT"
        await to(screen, pilot, "evaluation.attacks.pgd")
        await pilot.press("minus")  # it is not in
        assert screen.editing.draft.text == QUICK.read_text()
        await pilot.press("plus")
        await settle(pilot)
        assert screen.editing.config.evaluation.attacks[-1].key == "pgd"

    story(runs, steps)
