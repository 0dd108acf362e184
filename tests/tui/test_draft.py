"""A preset under the form's hands: keys change, comments stay."""

import pytest
import tomli

from crdnd_tui.tui.form.draft import Draft, DraftError, number
from tests.tui.pilot import HERE

TEXT = """# why this run
extends = "base/digits.toml"  # the recipe

[method]  # of the paper
name = "crdnd"
clean_share = 0.2  # lambda

[training]
epochs = 40
schedule = { name = "cosine" }  # half a wave
"""


def test_a_value_changes_and_its_comment_stays():
    draft = Draft(TEXT)
    draft.set(("method", "clean_share"), 0.5)
    draft.set(("training", "epochs"), number("7"))
    assert draft.text == TEXT.replace("clean_share = 0.2", "clean_share = 0.5").replace("40", "7")
    assert draft.changed


def test_a_number_stays_as_it_was_typed():
    draft = Draft(TEXT)
    draft.set(("training", "weight_decay"), number("5e-4"))
    assert "weight_decay = 5e-4" in draft.text
    for text in ("five", "", "1_", "true", "[1]", "9" * 5000):
        with pytest.raises(ValueError):
            number(text)


def test_a_new_key_of_the_top_stands_before_the_tables():
    draft = Draft(TEXT)
    draft.set(("seed",), 3)
    assert draft.text.index("seed = 3") < draft.text.index("[method]")
    assert tomli.loads(draft.text)["seed"] == 3


def test_a_table_that_was_made_goes_when_it_is_empty_again():
    draft = Draft(TEXT)
    draft.set(("inner", "steps"), 7)
    assert draft.text.endswith("\n\n[inner]\nsteps = 7\n")
    draft.unset(("inner", "steps"))
    assert draft.text == TEXT
    draft.unset(("inner", "steps"))
    draft.unset(("nothing", "at", "all"))
    assert draft.text == TEXT


def test_a_table_with_a_comment_stays_though_it_is_empty():
    draft = Draft("[inner]\n# nothing yet\nsteps = 3\n")
    draft.unset(("inner", "steps"))
    assert draft.text == "[inner]\n# nothing yet\n"


def test_another_kind_drops_the_keys_of_the_old_one():
    draft = Draft(TEXT)
    draft.switch(("method",), "name", "ard")
    assert tomli.loads(draft.text)["method"] == {"name": "ard"}
    assert "# of the paper" in draft.text
    draft.switch(("training", "schedule"), "name", "constant")
    assert tomli.loads(draft.text)["training"]["schedule"] == {"name": "constant"}
    assert "# half a wave" in draft.text


def test_attacks_are_listed_added_and_removed():
    draft = Draft(TEXT)
    draft.listing(("evaluation", "attacks"), [{"name": "fgsm"}, {"name": "pgd", "step_size": "2/255"}])
    draft.insert(("evaluation", "attacks"), 9, {"name": "cw_inf"})
    draft.insert(("evaluation", "attacks"), 0, {"name": "pgd_sat"})
    draft.set(("evaluation", "attacks", 2, "steps"), 30)
    draft.unset(("evaluation", "attacks", 1))
    attacks = tomli.loads(draft.text)["evaluation"]["attacks"]
    assert attacks == [{"name": "pgd_sat"}, {"name": "pgd", "step_size": "2/255", "steps": 30}, {"name": "cw_inf"}]
    draft.listing(("evaluation", "attacks"), [])
    assert tomli.loads(draft.text)["evaluation"] == {"attacks": []}
    draft.unset(("evaluation", "attacks"))
    assert draft.text == TEXT


def test_attacks_on_one_line_stay_on_one_line():
    draft = Draft('[selection]\nattacks = [{ name = "pgd", steps = 10 }, { name = "fgsm" }]  # two\n')
    draft.insert(("selection", "attacks"), 2, {"name": "cw_inf"})
    draft.set(("selection", "attacks", 0, "steps"), 5)
    draft.unset(("selection", "attacks", 1))
    assert tomli.loads(draft.text)["selection"]["attacks"] == [{"name": "pgd", "steps": 5}, {"name": "cw_inf"}]
    assert "# two" in draft.text
    assert draft.text.count("\n") == 2


@pytest.mark.parametrize("text", ["[method", "a = 1\na = 2\n", "x = [[[[", "a.b = 1\n[a.b]\n"])
def test_what_is_no_toml_cannot_be_edited_and_stays_as_it_is(text):
    draft = Draft(text)
    with pytest.raises(DraftError):
        draft.set(("seed",), 1)
    assert draft.text == text


def test_a_key_inside_a_value_is_refused():
    draft = Draft("training = 3\n")
    with pytest.raises(DraftError):
        draft.set(("training", "epochs"), 1)
    assert draft.text == "training = 3\n"


@pytest.mark.parametrize("path", sorted((HERE.parents[1] / "presets").rglob("*.toml")), ids=lambda path: path.stem)
def test_every_shipped_preset_keeps_its_words_through_an_edit(path):
    text = path.read_text()
    draft = Draft(text, path)
    draft.set(("training", "momentum"), 0.5)
    draft.set(("evaluation", "images"), 100)
    draft.unset(("evaluation", "images"))
    kept = [line for line in text.splitlines() if line.startswith("#")]
    assert [line for line in draft.text.splitlines() if line.startswith("#")] == kept
    assert tomli.loads(draft.text)["training"]["momentum"] == 0.5


def test_a_preset_is_written_whole_and_knows_it(tmp_path):
    draft = Draft("seed = 1\n")
    draft.set(("seed",), 2)
    draft.save(tmp_path / "new" / "a.toml")
    assert (tmp_path / "new" / "a.toml").read_text() == "seed = 2\n"
    assert not draft.changed
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.toml"]


def test_what_a_preset_names_is_found_from_its_new_folder(tmp_path):
    (tmp_path / "old").mkdir()
    draft = Draft('extends = "base.toml"\n[teacher]\npreset = "t.toml"\n', tmp_path / "old" / "a.toml")
    draft.save(tmp_path / "new" / "b.toml")
    table = tomli.loads((tmp_path / "new" / "b.toml").read_text())
    assert table == {"extends": "../old/base.toml", "teacher": {"preset": "../old/t.toml"}}


def test_a_table_that_is_inserted_has_blank_lines_around_it():
    text = '[[a.b]]\nname = "x"\n\n[[a.b]]\nname = "y"\n'
    for place in range(3):
        draft = Draft(text)
        draft.insert(("a", "b"), place, {"name": "new"})
        blocks = text.rstrip("\n").split("\n\n")
        blocks.insert(place, '[[a.b]]\nname = "new"')
        assert draft.text == "\n\n".join(blocks) + "\n"


def test_a_preset_that_is_far_away_is_named_by_its_whole_path(tmp_path):
    draft = Draft('extends = "base/low.toml"\n', tmp_path / "one" / "two" / "a.toml")
    assert draft.rebased(tmp_path / "one").text == 'extends = "two/base/low.toml"\n'
    far = draft.rebased(tmp_path / "x" / "y").text
    assert far == f'extends = "{(tmp_path / "one/two/base/low.toml").resolve()}"\n'
