"""Reading a preset: what lies over what, and every mistake at once with its exact line."""

from pathlib import Path

import pytest

from engine.spec import files, toml
from engine.spec.config import PresetTeacher, RunConfig
from engine.spec.errors import ConfigError
from engine.spec.methods import CRDND, TRADES
from tests.spec.preset_files import PLAIN, TAUGHT, mistakes, write


def test_a_preset_lies_over_the_one_it_extends_key_by_key(tmp_path: Path) -> None:
    write(tmp_path, "low/er.toml", PLAIN + "[training]\nepochs = 7\nbatch_size = 32\n")
    write(tmp_path, "middle.toml", 'extends = "low/er.toml"\n[training]\nepochs = 8\n')
    config = toml.load(write(tmp_path, "top.toml", 'extends = "middle.toml"\nseed = 5\n'))
    assert (config.training.epochs, config.training.batch_size, config.seed) == (8, 32, 5)


def test_arrays_are_replaced_and_not_joined(tmp_path: Path) -> None:
    write(tmp_path, "a.toml", PLAIN + "[training]\nschedule = { name = 'multistep', milestones = [1, 2, 3] }\n")
    top = write(tmp_path, "b.toml", "extends = 'a.toml'\n[training.schedule]\nmilestones = [9]\n")
    assert toml.load(top).training.schedule.model_dump()["milestones"] == (9,)


def test_a_table_that_names_another_kind_starts_afresh(tmp_path: Path) -> None:
    write(tmp_path, "a.toml", PLAIN.replace("natural", "crdnd") + "temperature_clean = 0.1\n[teacher]\nrun = 'x'\n")
    method = toml.load(write(tmp_path, "b.toml", "extends = 'a.toml'\n[method]\nname = 'rslad'\n")).method
    assert method.name == "rslad"
    same = toml.load(
        write(tmp_path, "c.toml", "extends = 'a.toml'\n[method]\nname = 'crdnd'\nspace = 'probs'\n")
    ).method
    assert isinstance(same, CRDND)
    assert (same.temperature_clean, same.space) == (0.1, "probs")
    teacher = "extends = 'a.toml'\n[teacher]\nrobustbench = 'y'\n"
    assert toml.load(write(tmp_path, "d.toml", teacher)).teacher_title == "y"


def test_a_circle_of_presets_is_named(tmp_path: Path) -> None:
    write(tmp_path, "a.toml", 'extends = "b.toml"\n')
    write(tmp_path, "b.toml", 'extends = "a.toml"\n')
    assert mistakes(tmp_path / "a.toml") == ["a.toml: presets lead in a circle: a.toml -> b.toml -> a.toml"]
    own = write(tmp_path, "c.toml", TAUGHT + "[teacher]\npreset = 'c.toml'\n")
    assert mistakes(own) == ["c.toml: presets lead in a circle: c.toml -> c.toml"]


@pytest.mark.parametrize("base", ["'gone.toml'", "'.'", f"'{'a' * 5000}'", r'"a\u0000b"'])
def test_a_base_that_is_no_file_is_said_to_be_none(tmp_path: Path, base: str) -> None:
    (problem,) = mistakes(write(tmp_path, "a.toml", f"\nextends = {base}\n"))
    assert problem.startswith("a.toml:2: extends: there is no preset ")
    taught = write(tmp_path, "b.toml", TAUGHT + f"[teacher]\npreset = {base}\n")
    assert mistakes(taught)[0].startswith("b.toml:10: teacher.preset: no such file ")


def test_a_preset_of_no_name_is_one_mistake(tmp_path: Path) -> None:
    assert mistakes(write(tmp_path, "a.toml", TAUGHT + "[teacher]\npreset = ''\n")) == [
        "a.toml:10: teacher.preset: should not be empty"
    ]


def test_a_base_that_changes_is_read_again(tmp_path: Path) -> None:
    base, preset = tmp_path / "base.toml", write(tmp_path, "a.toml", 'extends = "base.toml"\n')
    for epochs in (7, 8):
        base.write_text(PLAIN + f"[training]\nepochs = {epochs}\n")
        assert toml.load(preset, ["seed=4"]).seed == 4  # whose override stays out of what is kept
        assert (toml.load(preset).training.epochs, toml.load(preset).seed) == (epochs, 0)
    base.unlink()
    assert mistakes(preset) == ["a.toml:1: extends: there is no preset 'base.toml'"]


def test_a_base_is_named_by_a_text(tmp_path: Path) -> None:
    assert mistakes(write(tmp_path, "a.toml", "extends = 3\n")) == ["a.toml:1: extends: should be the path of a preset"]


def test_a_teacher_s_preset_is_laid_in_with_its_own_base_and_lines(tmp_path: Path) -> None:
    write(tmp_path, "t/base.toml", PLAIN)
    write(tmp_path, "t/teacher.toml", 'extends = "base.toml"\n[training]\nepochs = 4\n')
    config = toml.load(write(tmp_path, "a.toml", TAUGHT + "[teacher]\npreset = 't/teacher.toml'\n"))
    assert isinstance(config.teacher, PresetTeacher)
    assert config.teacher.config == toml.load(tmp_path / "t/teacher.toml")

    write(tmp_path, "t/teacher.toml", 'extends = "base.toml"\n[training]\nepoch = 4\n')
    assert mistakes(tmp_path / "a.toml") == [
        "t/teacher.toml:3: teacher.config.training.epoch: unknown key, did you mean `epochs`?"
    ]


def test_a_base_s_teacher_is_found_beside_the_base(tmp_path: Path) -> None:
    write(tmp_path, "low/teacher.toml", PLAIN)
    write(tmp_path, "low/base.toml", TAUGHT + "[teacher]\npreset = 'teacher.toml'\n")
    assert toml.load(write(tmp_path, "a.toml", "extends = 'low/base.toml'\n")).teacher is not None


def test_all_mistakes_are_reported_at_once_in_the_order_of_lines(tmp_path: Path) -> None:
    write(
        tmp_path,
        "a.toml",
        'nam = "x"\nseed = "a"\n[data]\nname = "cifar11"\n[student]\nname = "resnet18"\ndepth = 3\n'
        '[method]\nname = "crdnd"\ntemperture_clean = 1\nspace = "prob"\n[threat_model]\nepsilon = 8\n'
        '[training]\nepochs = 0\nschedule = "cosine"\n[selection]\nby = "aa"\n'
        '[[evaluation.attacks]]\nname = "pgd"\nsteps = 1.5\n[[evaluation.attacks]]\nname = "zzz"\n'
        "[[evaluation.attacks]]\nstep = 3\n",
    )
    assert mistakes(tmp_path / "a.toml") == [
        "a.toml:1: nam: unknown key, did you mean `name`?",
        "a.toml:2: seed: should be a whole number, not 'a'",
        "a.toml:3: data: unknown name 'cifar11'; did you mean `cifar10`? "
        "Allowed are cifar10, cifar100, digits, folder, npz",
        "a.toml:7: student.depth: unknown key, known are name, normalization",
        "a.toml:10: method.temperture_clean: unknown key, did you mean `temperature_clean`?",
        "a.toml:11: method.space: 'prob' is not one of 'logits', 'logits_centered' or 'probs'",
        "a.toml:13: threat_model.epsilon: 8 lies outside the image range [0, 1]; 8 grey levels are '8/255'",
        "a.toml:15: training.epochs: should be at least 1, not 0",
        "a.toml:16: training.schedule: should be a table",
        "a.toml:17: selection: by = 'aa' is not measured; it may be one of clean, pgd, cw_inf",
        "a.toml:21: evaluation.attacks.0.steps: should be a whole number, not 1.5",
        "a.toml:22: evaluation.attacks.1: unknown name 'zzz'; allowed are fgsm, pgd, pgd_sat, pgd_trades, cw_inf, "
        "pgd_rescaled, cw_2, autoattack",
        "a.toml:24: evaluation.attacks.2: needs a `name` that says which one it is",
    ]


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    path = write(tmp_path, "a.toml", '[data]\nname = "digits"\n')
    assert mistakes(path) == ["a.toml: student: is missing", "a.toml: method: is missing"]


def test_method_and_teacher_must_fit(tmp_path: Path) -> None:
    assert mistakes(write(tmp_path, "a.toml", TAUGHT)) == [
        "a.toml: preset: the method rslad learns from a teacher: add a [teacher] table"
    ]
    extra = write(tmp_path, "b.toml", PLAIN + "[teacher]\nrun = 'x'\n")
    assert mistakes(extra) == ["b.toml: preset: the method natural has no teacher: remove the [teacher] table"]
    both = write(tmp_path, "c.toml", TAUGHT + "[teacher]\nrun = 'x'\nrobustbench = 'y'\n")
    assert mistakes(both) == ["c.toml:9: teacher: name exactly one of checkpoint, robustbench, run, preset"]


def test_a_mistake_in_a_base_has_the_base_s_file_and_line(tmp_path: Path) -> None:
    write(tmp_path, "base.toml", PLAIN + "[training]\nepochs = 0\n")
    path = write(tmp_path, "top.toml", 'extends = "base.toml"\nsed = 1\n')
    assert mistakes(path) == [
        "base.toml:10: training.epochs: should be at least 1, not 0",
        "top.toml:2: sed: unknown key, did you mean `seed`?",
    ]


def test_what_replaces_a_base_s_value_is_never_blamed_on_the_base(tmp_path: Path) -> None:
    write(tmp_path, "base.toml", PLAIN + '[[evaluation.attacks]]\nname = "pgd"\nsteps = 3\n')
    path = write(tmp_path, "top.toml", 'extends = "base.toml"\n[evaluation]\nattacks = [{ name = "pgd", steps = 0 }]\n')
    wrong = "evaluation.attacks.0.steps: should be at least 1, not 0"
    assert mistakes(path) == [f"top.toml:3: {wrong}"]
    assert mistakes(tmp_path / "base.toml", 'evaluation.attacks=[{name="pgd",steps=0}]') == [f"--set: {wrong}"]


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("abc", "--set: 'abc' should read key.path=value"),
        ("=3", "--set: '=3' should read key.path=value"),
        ("a..b=2", "--set: 'a..b=2' should read key.path=value"),
        ("a.b.c.d.e.f.g.h.i=2", "--set: 'a.b.c.d.e.f.g.h.i=2' should read key.path=value"),
        ("data.name.x=3", "--set: data.name.x: there is no such place"),
        ("data.name.x.y=3", "--set: data.name.x.y: there is no data.name.x to go into"),
        (
            "evaluation.attacks.1.steps=3",
            "--set: evaluation.attacks.1.steps: there is no evaluation.attacks.1 to go into",
        ),
        ("evaluation.attacks.2=3", "--set: evaluation.attacks.2: there is no such place"),
        ("evaluation.attacks.-1=3", "--set: evaluation.attacks.-1: there is no such place"),
        ("selection.attacks.0.steps=3", "--set: selection.attacks.0.steps: the preset lists no selection.attacks"),
        ("training.epoch=3", "--set: training.epoch: unknown key, did you mean `epochs`?"),
        ("training.epochs=abc", "--set: training.epochs: should be a whole number, not 'abc'"),
        ("seed=1\nfoo=2", "--set: seed: should be a whole number, not '1\\nfoo=2'"),
        (
            "extends=b.toml",
            "--set: extends: unknown key, known are data, evaluation, inner, method, name, seed, "
            "selection, student, teacher, threat_model, training",
        ),
    ],
)
def test_an_override_that_cannot_be_meant_is_refused(tmp_path: Path, override: str, problem: str) -> None:
    path = write(tmp_path, "a.toml", PLAIN + '[[evaluation.attacks]]\nname = "pgd"\n')
    assert mistakes(path, override) == [problem]


def test_overrides_set_values_tables_and_items_of_arrays(tmp_path: Path) -> None:
    path = write(tmp_path, "a.toml", PLAIN + '[[evaluation.attacks]]\nname = "pgd"\nsteps = 3\n')
    config = toml.load(
        path,
        [
            "evaluation.attacks.0.steps=9",
            "threat_model.epsilon=4/255",
            "name=plain words",
            "method.name=trades",
            "method.beta=2",
            'training.schedule={name="cosine"}',
            "training.epochs = 2",
        ],
        seed=8,
    )
    assert config.evaluation.attacks[0].model_dump()["steps"] == 9
    assert config.threat_model.epsilon == 4 / 255
    assert (config.name, config.seed, config.method) == ("plain words", 8, TRADES(beta=2.0))
    assert (config.training.schedule.name, config.training.epochs) == ("cosine", 2)


def test_an_override_reaches_into_the_teacher_s_preset(tmp_path: Path) -> None:
    write(tmp_path, "t.toml", PLAIN)
    path = write(tmp_path, "a.toml", TAUGHT + "[teacher]\npreset = 't.toml'\n")
    config = toml.load(path, ["teacher.config.training.epochs=3"])
    assert isinstance(config.teacher, PresetTeacher)
    assert isinstance(config.teacher.config, RunConfig)
    assert (config.teacher.config.training.epochs, config.training.epochs) == (3, 300)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[data\nname = 1\n", "a.toml:1:6: not valid TOML: Expected ']' at the end of a table declaration"),
        ("a = 1\na = 2\n", "a.toml:2:6: not valid TOML: Cannot overwrite a value"),
        ("#" * 70_000, "a.toml: cannot be read: larger than 64 KiB"),
        (".".join("a" * 20_000) + " = 1", "a.toml: cannot be read: a line of more than 500 dots"),
        (".".join("a" * 300) + " = 1", "a.toml: cannot be read: nested too deeply"),
        ("a = " + "[" * 20_000 + "]" * 20_000, "a.toml: cannot be read: nested too deeply"),
        ("a = " + "{a=" * 5_000 + "1" + "}" * 5_000, "a.toml: cannot be read: nested too deeply"),
        ("seed = 0x" + "f" * 6_000, "a.toml: cannot be read: a whole number of more than 64 bits"),
        ("\n".join(f"a{k} = 1" for k in range(2_001)), "a.toml: cannot be read: more than 2000 keys"),
    ],
    ids=["bracket", "twice", "size", "dots", "depth", "arrays", "tables", "digits", "keys"],
)
def test_what_is_no_preset_is_refused_with_its_place(tmp_path: Path, text: str, problem: str) -> None:
    assert mistakes(write(tmp_path, "a.toml", text)) == [problem]


@pytest.mark.parametrize(
    "text", ["seed = " + "1" * 5_000, "[" + ".".join("a" * 400) + "]\n" + ".".join("b" * 400) + "=1", "\x00"]
)
def test_texts_that_attack_their_reader_are_one_short_mistake(tmp_path: Path, text: str) -> None:
    (problem,) = mistakes(write(tmp_path, "a.toml", text))
    assert len(problem) < 200


def test_a_file_that_cannot_be_read_is_a_config_error(tmp_path: Path) -> None:
    assert mistakes(tmp_path / "gone.toml") == ["gone.toml: cannot be read: No such file or directory"]


def test_no_key_writes_to_the_terminal_what_it_likes(tmp_path: Path) -> None:
    path = write(tmp_path, "a.toml", PLAIN + '"\\u001b[31m\\nred" = 1\n"[bold]" = 2\n')
    shown = mistakes(path)
    assert shown == [  # a key with escapes is shown at its table
        "a.toml:7: method.\\x1b[31m\\nred: unknown key, known are name",
        "a.toml:10: method.[bold]: unknown key, known are name",
    ]


@pytest.mark.parametrize("end", ["\u2028", "\x85", "\u2029"])
def test_no_other_end_of_a_line_than_that_of_toml_hides_a_long_key(end: str) -> None:
    key = f'."{end}".'.join(".".join("a" * 400) for _ in range(3))
    with pytest.raises(ConfigError, match="a line of more than 500 dots"):
        toml.parse(Path("a.toml"), f"{key} = 1")
    with pytest.raises(files.MalformedError, match="a line of more than 500 dots"):
        files.toml_table(f"{key} = 1".encode())
