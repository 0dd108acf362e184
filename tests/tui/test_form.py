"""The form is made from the spec: every member of every union has its rows, and edits mean what they say."""

import itertools
from typing import Annotated, ClassVar, Literal

import pytest
from pydantic import Field

from crdnd_tui.tui.form import form, kinds
from crdnd_tui.tui.form.editing import Editing
from crdnd_tui.tui.form.form import NONE, TABS, Form, Sources
from crdnd_tui.tui.form.kinds import Option
from crdnd_tui.tui.form.preset_text import understand
from engine.spec import attacks, data, methods, models, toml
from engine.spec.base import Spec
from engine.spec.config import RunConfig
from tests.tui.pilot import HERE

PRESETS = HERE.parents[1] / "presets"
QUICK = PRESETS / "quickstart.toml"
BARE = '[data]\nname = "digits"\n[student]\nname = "small_cnn"\n[method]\nname = "natural"\n'


def members(union):
    return [kinds.tag(spec) for spec in kinds.shape_of(union).specs]


def edit(text=None, path=None):
    return Editing(QUICK.read_text(), QUICK) if text is None else Editing(text, path)


def row(editing, dotted):
    tab = form.tab_of(dotted)
    return next(row for row in editing.tab(tab) if row.dotted == dotted)


def test_every_field_of_a_run_stands_on_one_tab():
    placed = [name for tab in TABS for name in form.fields_of(tab)]
    assert sorted(placed) == sorted(RunConfig.model_fields)


def test_a_field_that_no_tab_names_stands_on_the_last(monkeypatch):
    monkeypatch.setitem(form.TABS, "Data", ())
    assert "data" in form.fields_of("Run")


@pytest.mark.parametrize("kind", [
    *itertools.product(["method"], members(methods.MethodSpec)),
    *itertools.product(["data"], members(data.DataSpec)),
    *itertools.product(["student"], members(models.ModelSpec)),
])  # fmt: skip
def test_every_member_of_a_union_has_a_row_for_each_of_its_keys(kind):
    table, name = kind
    editing = edit()
    editing.enter(row(editing, table), name)
    assert editing.reading.table[table]["name"] == name
    spec = next(s for s in kinds.shape_of(RunConfig.model_fields[table].annotation).specs if kinds.tag(s) == name)
    keys = {r.key[1] for r in editing.tab(form.tab_of(table)) if r.key[0] == table and len(r.key) == 2}
    assert keys == set(spec.model_fields) - {"name"}


@pytest.mark.parametrize("source", ["checkpoint", "robustbench", "run", "preset", NONE])
def test_every_source_of_a_teacher_can_be_chosen(source):
    editing = edit((PRESETS / "rslad_cifar10_resnet18.toml").read_text(), PRESETS / "x.toml")
    saved, shipped = Option(value="20260101-a", title="a"), Option(value="quickstart_teacher.toml", title="q")
    editing.sources = Sources(runs=[saved], presets=[shipped])
    editing.enter(row(editing, "teacher"), source)
    if source:
        chosen = row(editing, f"teacher.{source}")
        assert (chosen.kind == "choice") == (source != "checkpoint")
    value = editing.reading.table.get("teacher", {}).get(source)
    first = "Zhang2019Theoretically"
    assert value == {"run": "20260101-a", "preset": "quickstart_teacher.toml", "robustbench": first,
                     "checkpoint": "", NONE: None}[source]  # fmt: skip


def test_a_new_method_appears_by_itself(monkeypatch):
    class Fresh(Spec):
        """A method of tomorrow."""

        title: ClassVar[str] = "FRESH"
        paper: ClassVar[str] = "Somebody 2030"
        needs_teacher: ClassVar[bool] = True
        name: Literal["fresh"] = "fresh"
        strength: Annotated[float, Field(ge=0.0, le=2.0)] = 0.25
        """How fresh."""

    annotation = methods.CRDND | Fresh
    monkeypatch.setattr(RunConfig.model_fields["method"], "annotation", annotation)
    table = {"method": {"name": "fresh"}}
    rows = Form(merged=table, own=table, beneath={}).tab("Method")
    assert rows[0].options[1] == Option(
        value="fresh", title="FRESH", note="Somebody 2030. A method of tomorrow.", aside="Somebody 2030"
    )
    assert (rows[1].label, rows[1].kind, rows[1].default, rows[1].help) == ("strength", "number", 0.25, "How fresh.")
    assert rows[1].allowed == "number, 0 to 2"


def test_controls_follow_the_types():
    rows = {r.dotted: r for tab in TABS for r in edit().tab(tab)}
    kinds_of = {key: rows[key].kind for key in (
        "method.compensate", "method.space", "threat_model.epsilon", "training.epochs", "evaluation.checkpoints",
        "teacher.weights", "name", "training.schedule", "teacher", "evaluation.attacks.0",
    )}  # fmt: skip
    assert list(kinds_of.values()) == ["switch", "choice", "radius", "number", "list", "choice", "text", "kind",
                                       "source", "attack"]  # fmt: skip
    assert rows["training.epochs"].allowed == "whole number, 1 to 100,000"
    assert rows["method.clean_share"].help.startswith("lambda of eq. (8)")
    assert rows["student"].options[-1].title == "SmallCNN-24"
    assert f"{form.MACHINE}.device" in rows
    assert [o.value for o in rows[f"{form.MACHINE}.device"].options] == ["auto", "cpu", "cuda"]
    assert f"{form.MACHINE}.runs" not in rows


def test_what_is_extended_counts_as_the_default():
    epochs = row(edit(), "training.epochs")
    assert (epochs.value, epochs.default) == (None, 40)


def test_only_what_differs_is_written():
    editing, text = edit(), QUICK.read_text()
    editing.enter(row(editing, "training.epochs"), "40")
    assert editing.draft.text == text
    editing.enter(row(editing, "training.epochs"), "4")
    assert editing.config.training.epochs == 4
    assert editing.draft.text == text + "\n[training]\nepochs = 4\n"
    editing.enter(row(editing, "training.epochs"), "")
    assert editing.draft.text == text


def test_what_the_author_wrote_stays_written():
    editing = edit(BARE + "[training]\nepochs = 300  # as in the paper\n")
    editing.enter(row(editing, "training.epochs"), "30")
    editing.enter(row(editing, "training.epochs"), "300")
    assert "epochs = 300  # as in the paper" in editing.draft.text
    editing.reset(row(editing, "training.epochs"))
    assert "epochs" not in editing.draft.text


@pytest.mark.parametrize(("key", "text", "says"), [
    ("training.epochs", "many", "a whole number, not 'many'"),
    ("training.epochs", "0", "at least 1"),
    ("threat_model.epsilon", "300/255", "outside the image range"),
    ("training.learning_rate", "0", "above 0"),
    ("selection.by", "nothing", "is not measured"),
    ("evaluation.checkpoints", "best, worst", "'worst' is not one of"),
    ("(machine).device", "tpu", "is not one of auto, cpu or cuda"),
])  # fmt: skip
def test_a_mistake_is_told_beside_its_row_and_counted_on_its_tab(key, text, says):
    editing, tab = edit(), form.tab_of(key)
    editing.enter(row(editing, key), text)
    assert editing.config is None
    assert editing.mistakes() == {tab: 1}
    (told,) = editing.told(editing.tab(tab)).values()
    assert says in told
    editing.enter(row(editing, key), "")
    assert editing.config == toml.load(QUICK)


def test_what_has_no_row_is_listed():
    editing = edit(BARE + "\n[nonsense]\na = 1\n")
    assert [problem.key for problem in editing.homeless()] == ["nonsense"]
    assert edit("[method").homeless()[0].message.startswith("not valid TOML")


def test_a_suite_is_a_checklist_that_can_be_undone():
    editing, text = edit(), QUICK.read_text()
    editing.tick(row(editing, "evaluation.attacks.2"))
    names = [attack.name for attack in editing.config.evaluation.attacks]
    assert names == ["fgsm", "pgd_sat", "cw_inf", "cw_2", "pgd_rescaled", "autoattack"]
    editing.tick(row(editing, "evaluation.attacks.pgd_trades"))
    assert editing.draft.text == text
    assert editing.config == toml.load(QUICK)


def test_settings_of_an_attack_can_be_opened_and_changed():
    editing = edit()
    editing.unfold(row(editing, "evaluation.attacks.3"))
    steps = row(editing, "evaluation.attacks.3.steps")
    assert (steps.value, steps.default) == (None, 30)
    assert row(editing, "evaluation.attacks.3.step_size").default == "10/255"
    editing.enter(steps, "50")
    assert editing.config.evaluation.attacks[3].steps == 50
    assert str(editing.config.evaluation.attacks[1].step_size) == "10/255"
    editing.enter(row(editing, "evaluation.attacks.3.steps"), "")
    assert editing.draft.text == QUICK.read_text()


@pytest.mark.parametrize("name", list(attacks.KINDS))
def test_every_attack_has_its_settings(name):
    editing = edit(BARE)
    if name not in [a.name for a in editing.config.evaluation.attacks]:
        editing.tick(row(editing, f"evaluation.attacks.{name}"))
    place = [a.name for a in editing.config.evaluation.attacks].index(name)
    editing.unfold(row(editing, f"evaluation.attacks.{place}"))
    shown = {r.key[3] for r in editing.tab("Attacks") if len(r.key) == 4}
    assert shown == set(attacks.KINDS[name].model_fields) - {"name"}


def test_a_method_without_a_teacher_takes_it_off_and_the_next_brings_it_back():
    editing = edit()
    editing.enter(row(editing, "method"), "trades")
    assert editing.config.teacher is None
    editing.enter(row(editing, "method"), "rslad")
    assert editing.config.teacher.preset == "quickstart_teacher.toml"
    assert editing.config.teacher.expected_clean == 0.97


def test_a_list_of_numbers_is_typed_with_commas():
    editing = edit()
    editing.enter(row(editing, "training.schedule"), "multistep")
    editing.enter(row(editing, "training.schedule.milestones"), "10, 20,30")
    assert editing.config.training.schedule.milestones == (10, 20, 30)
    editing.enter(row(editing, "training.schedule"), "cosine")
    assert editing.draft.text == QUICK.read_text()


@pytest.mark.parametrize("path", sorted(PRESETS.glob("*.toml")), ids=lambda path: path.stem)
def test_every_shipped_preset_is_understood_as_it_is_loaded(path):
    reading = understand(path.read_text(), path)
    assert reading.config == toml.load(path)
    editing = Editing(path.read_text(), path)
    assert all(editing.tab(tab) for tab in TABS)
    assert not editing.draft.changed


def test_messages_are_those_of_load(tmp_path):
    path = tmp_path / "a.toml"
    text = 'extends = "b.toml"\n[method]\nname = "crdn"\n[traning]\n[training]\nepochs = 0\n'
    (tmp_path / "b.toml").write_text(BARE.replace("16", "x") + "[evaluation]\nimages = -1\n")
    path.write_text(text)
    with pytest.raises(toml.ConfigError) as error:
        toml.load(path)
    assert [problem.line for problem in understand(text, path).problems] == list(error.value.problems)


def test_nearly_the_default_is_not_the_default():
    editing = edit((PRESETS / "rslad_cifar10_resnet18.toml").read_text(), PRESETS / "x.toml")
    share = row(editing, "method.clean_share")
    for text, written in (("0.166667", True), ("", False), (repr(1 / 6), False)):
        editing.enter(share, text)
        assert ("clean_share" in editing.draft.text) == written
    assert kinds.same([1, 2.0], (1.0, 2)) and not kinds.same(True, 1) and not kinds.same("a", "b")


def test_a_kind_is_told_by_its_title_its_name_and_its_paper():
    options = {option.value: option for option in row(edit(), "method").options}
    assert (options["pgd_at"].title, options["pgd_at"].aside) == ("SAT", "pgd_at, Madry et al. 2018")
    assert (options["natural"].title, options["natural"].aside) == ("Natural", "")


def test_an_attack_may_be_listed_again_and_again():
    editing = edit(path=QUICK)
    at = editing.copy(row(editing, "evaluation.attacks.0"))
    assert at == ("evaluation", "attacks", 1)
    assert editing.copy(row(editing, "evaluation.attacks.0")) == at
    assert [attack.key for attack in editing.config.evaluation.attacks[:3]] == ["fgsm", "fgsm_3", "fgsm_2"]
    assert editing.opened == {at}
    editing.tick(row(editing, "evaluation.attacks.1"))
    editing.tick(row(editing, "evaluation.attacks.1"))
    assert editing.draft.text == QUICK.read_text()


def test_lists_say_what_they_may_hold():
    assert row(edit(), "evaluation.checkpoints").allowed == "any of best, last; commas between them"
