"""A study file becomes runs, or a list of all its mistakes, each with file, line and key."""

import tempfile
from math import prod
from pathlib import Path

import pytest
import tomli
from hypothesis import given, settings
from hypothesis import strategies as st

from crdnd_tui.core import presets
from crdnd_tui.study import grid
from crdnd_tui.study.file import read_study
from engine.spec import toml
from engine.spec.errors import ConfigError
from tests.studies.study_files import GRID, HEAD, PLAIN, mistakes, study

PLACES = [("natural", "0"), ("natural", "1"), ("rslad", "0"), ("rslad", "1")]


def test_a_grid_is_the_product_of_its_axes_in_their_order(tmp_path: Path) -> None:
    found = study(tmp_path, HEAD + GRID)
    assert dict(found.axes) == {"method": ("natural", "rslad"), "seed": ("0", "1")}
    assert [tuple(cell.place.values()) for cell in found.cells] == PLACES
    assert [(cell.config.method.name, str(cell.config.seed)) for cell in found.cells] == PLACES
    assert found.cells[3].text == "method rslad, seed 1"
    assert found.title == "small"


def test_a_cell_is_the_run_that_its_preset_and_overrides_make(tmp_path: Path) -> None:
    text = HEAD + 'set = { "training.epochs" = 3 }\n' + GRID + '"training.learning_rate" = [0.1, 1e-3]\n'
    found = study(tmp_path, text)
    assert len(found.cells) == 8
    for cell in found.cells:
        assert cell.config_hash == toml.load(cell.preset, cell.overrides).config_hash
        assert cell.config.training.epochs == 3
        assert cell.preset_text == cell.preset.read_text()
    assert found.cells[1].overrides == ("training.epochs=3", "seed=0", "training.learning_rate=0.001")


def test_tables_mean_what_dotted_keys_mean(tmp_path: Path) -> None:
    dotted = study(tmp_path, HEAD + 'set = { "training.epochs" = 3, "training.batch_size" = 8 }\n' + GRID)
    tables = study(tmp_path, HEAD + GRID + "[set.training]\nbatch_size = 8\nepochs = 3\n")
    assert [c.config_hash for c in dotted.cells] == [c.config_hash for c in tables.cells]


def test_another_kind_in_a_table_is_named_before_its_keys(tmp_path: Path) -> None:
    text = 'name = "s"\npreset = "natural.toml"\n[grid]\nschedule = [{ label = "steps", set = { '
    text += '"training.schedule" = { milestones = [5], name = "multistep" } } }]\n'
    assert study(tmp_path, text).cells[0].config.training.schedule.name == "multistep"


def test_cases_have_labels_keys_and_presets_of_their_own(tmp_path: Path) -> None:
    text = """name = "s"
preset = "{method}.toml"
[grid]
method = ["rslad"]
how = [{ label = "short", set = { training.epochs = 1 } }, { label = "plain", preset = "natural.toml" }]
"""
    short, plain = study(tmp_path, text).cells
    assert (short.config.method.name, short.config.training.epochs, short.place["how"]) == ("rslad", 1, "short")
    assert (plain.config.method.name, plain.preset.name) == ("natural", "natural.toml")


def test_a_bare_name_may_be_a_shipped_preset(tmp_path: Path) -> None:
    found = study(tmp_path, 'name = "s"\npreset = "{method}_digits"\n[grid]\nmethod = ["crdnd"]\n')
    assert found.cells[0].preset == presets.shipped()["crdnd_digits"]


def test_a_teacher_is_sought_beside_the_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    text = 'name = "s"\npreset = "rslad.toml"\nset = { teacher.preset = "teacher.toml" }\n[grid]\nseed = [0]\n'
    (name, config), *rest = study(tmp_path, text).cells[0].teachers
    assert (config.method.name, name, rest) == ("pgd_at", config.config_hash, [])


def test_what_is_left_out_is_no_run(tmp_path: Path) -> None:
    found = study(tmp_path, HEAD + GRID + '[[leave_out]]\nmethod = "natural"\nseed = [1]\n')
    assert [tuple(cell.place.values()) for cell in found.cells] == [PLACES[0], *PLACES[2:]]
    assert mistakes(tmp_path, HEAD + GRID + "[[leave_out]]\nseed = [0, 1]\n") == [
        "study.toml:6: leave_out: leaves no run of the grid"
    ]


def test_all_mistakes_are_told_at_once_with_their_lines(tmp_path: Path) -> None:
    text = """name = "s"
preset = "{metod}.toml"
[set]
"bad key" = 1
[grid]
method = ["natural", "natural"]
seed = 3
"training.epochs" = [2021-01-01]
how = [{ label = 3, sat = {} }]
other = ["x"]
[[leave_out]]
methods = "natural"
[report]
rows = ["method", "seed"]
"""
    assert mistakes(tmp_path, text) == [
        "study.toml:2: preset: {metod} is no axis, did you mean `method`?",
        "study.toml:4: set.bad key: is no key of a preset, as in training.epochs",
        "study.toml:6: grid.method: the label 'natural' stands there twice",
        "study.toml:7: grid.seed: should be an array of labels or cases",
        "study.toml:8: grid.training.epochs.0: should be a text, a number, or a case { label = ..., set = { ... } }",
        "study.toml:9: grid.how.0.sat: unknown key, did you mean `set`?",
        "study.toml:9: grid.how.0.label: should be text",
        "study.toml:12: leave_out.0.methods: is no axis, did you mean `method`?",
        "study.toml:14: report.rows: seeds are always averaged, so they make no rows and no tables",
    ]


def test_unknown_keys_of_the_file_are_told_with_the_nearest(tmp_path: Path) -> None:
    told = mistakes(tmp_path, HEAD.replace("preset", "pressed") + GRID + "[report]\nrow = []\ncheckpoint = 1\n")
    assert told[0].startswith("study.toml:2: pressed: unknown key, did you mean `preset`?")
    assert told[1].startswith("study.toml:7: report.row: unknown key, did you mean `rows`?")
    assert told[2].startswith("study.toml:8: report.checkpoint: 1 is not one of")


def test_a_mistake_in_a_cell_is_told_once_with_the_line_of_its_axis_and_the_combination(tmp_path: Path) -> None:
    text = HEAD + GRID.replace("seed = [0, 1]", "seed = [0, -1]") + '"training.epocs" = [1, 2]\n'
    assert mistakes(tmp_path, text) == [
        "study.toml:5: seed: should be at least 0, not -1 (method natural, seed -1, training.epocs 1)",
        "study.toml:6: training.epocs: unknown key, did you mean `epochs`? (method natural, seed 0, training.epocs 1)",
    ]


def test_a_mistake_in_a_preset_is_the_presets(tmp_path: Path) -> None:
    study(tmp_path)
    (tmp_path / "broken.toml").write_text(PLAIN + "temperature = 3\n")
    told = mistakes(tmp_path, HEAD + '[grid]\nmethod = ["broken", "brokn"]\nseed = [0, 1]\n')
    assert len(told) == 2
    assert told[0].startswith("broken.toml:7: method.temperature: unknown key")
    assert told[0].endswith("(method broken, seed 0)")
    assert told[1] == (
        "study.toml:4: grid.method: there is no preset 'brokn.toml', did you mean `broken.toml`? (method brokn, seed 0)"
    )


def test_a_key_that_leads_nowhere_is_told_at_its_line(tmp_path: Path) -> None:
    text = 'name = "s"\npreset = "natural.toml"\nset = { "evaluation.attacks.7.steps" = 3 }\n[grid]\nseed = [0]\n'
    (told,) = mistakes(tmp_path, text)
    assert told.startswith("study.toml:3: evaluation.attacks.7.steps: ")
    assert told.endswith("(seed 0)")


def test_two_equal_runs_are_a_mistake(tmp_path: Path) -> None:
    text = HEAD + GRID + 'how = [{ label = "as it is" }, { label = "same", set = { name = "other words" } }]\n'
    told = mistakes(tmp_path, text)
    assert len(told) == 4
    assert told[0] == (
        "study.toml:3: grid: (method natural, seed 0, how same) is the very same run as "
        "(method natural, seed 0, how as it is); leave one out"
    )


def test_of_many_equal_runs_a_few_are_told(tmp_path: Path) -> None:
    names = ", ".join(f'{{ label = "{k}", set = {{ name = "{k}" }} }}' for k in range(9))
    told = mistakes(tmp_path, f'name = "s"\npreset = "natural.toml"\n[grid]\nhow = [{names}]\n')
    assert (len(told), told[-1]) == (6, "study.toml:3: grid: and 3 more runs are the same as others")


@pytest.mark.parametrize("label", ["", " x", "a/b", "../up", "a\\u001b[2J", "a\\nb", "x" * 61, ".hidden", "\\u202e"])
def test_labels_that_could_lead_or_steer_elsewhere_are_refused(tmp_path: Path, label: str) -> None:
    (told,) = mistakes(tmp_path, f'{HEAD}[grid]\nmethod = ["natural", "{label}"]\n')
    assert told.startswith("study.toml:4: grid.method.1: ")


def test_too_much_is_refused_before_it_is_made(tmp_path: Path) -> None:
    many = ", ".join(map(str, range(50)))
    text = HEAD + GRID + f'"training.epochs" = [{many}]\n"training.batch_size" = [{many}]\n'
    assert mistakes(tmp_path, text) == ["study.toml:3: grid: asks for 10,000 runs; at most 2,000 are possible"]
    nine = "".join(f"k{k} = [1]\n" for k in range(9))
    assert "grid: has 9 axes" in mistakes(tmp_path, f'name = "s"\npreset = "natural.toml"\n[grid]\n{nine}')[0]
    assert "of 64 KiB" in mistakes(tmp_path, HEAD + GRID + "#" * 70_000)[0]
    assert "dots" in mistakes(tmp_path, HEAD + GRID + ".".join("a" * 1000) + " = 1\n")[0]
    assert "nested" in mistakes(tmp_path, HEAD + "set = " + "[" * 2000 + "]" * 2000 + "\n" + GRID)[0]
    assert "not valid TOML" in mistakes(tmp_path, "name = ")[0]


def test_a_file_that_is_none_is_said(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "gone.toml", Path("/dev/zero")):
        with pytest.raises(ConfigError, match="no study"):
            read_study(path)


def test_shipped_studies_are_found_by_bare_names() -> None:
    assert {"digits", "table1", "table2"} <= set(presets.shipped_studies())
    assert presets.resolve_study("digits") == presets.shipped_studies()["digits"]
    with pytest.raises(ConfigError, match=r"Did you mean digits\?"):
        presets.resolve_study("digit")


@pytest.mark.parametrize("name", sorted(presets.shipped_studies()))
def test_every_shipped_study_can_be_read(name: str) -> None:
    found = read_study(presets.resolve_study(name))
    assert found.name == name
    left_out = tomli.loads(found.text).get("leave_out", [])
    assert left_out or len(found.cells) == prod(len(labels) for labels in found.axes.values())
    assert {*found.layout.rows, *found.layout.tables} == set(found.axes) - {"seed"}


def test_the_digits_study_has_nine_methods_and_three_seeds() -> None:
    found = read_study(presets.resolve_study("digits"))
    assert (len(found.axes["method"]), found.axes["seed"], len(found.cells)) == (7, ("0", "1", "2"), 21)
    assert len({name for cell in found.cells for name, _ in cell.teachers}) == 1


_VALUES = st.recursive(
    st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(_VALUES)
def test_any_value_is_written_so_that_it_is_read_again(value: object) -> None:
    line = grid.written(value)
    assert "\n" not in line
    assert tomli.loads(f"value = {line}")["value"] == value


_SHIPPED = {name: path for name, path in presets.shipped_studies().items() if name in ("digits", "table2")}


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_no_damage_to_a_file_is_more_than_a_mistake(data: st.DataObject) -> None:
    """Pieces cut out, doubled, or replaced by others: a study, or a ConfigError."""
    text = _SHIPPED[data.draw(st.sampled_from(sorted(_SHIPPED)))].read_text()
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 40)))
        pieces = [
            "",
            "[",
            "]",
            "{",
            "}",
            '"',
            "=",
            ".",
            "[[",
            "grid",
            "\x00",
            "{method}",
            "-1",
            "1e999",
            "true",
            "2021-01-01",
        ]
        text = text[:start] + data.draw(st.sampled_from([*pieces, text[start:end] * 2])) + text[end:]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "study.toml"
        path.write_text(text)
        try:
            assert read_study(path).cells
        except ConfigError as error:
            assert error.problems
            assert all(folder in problem or "presets" in problem for problem in error.problems)
