"""The resolved config, its hash and its schema; and any text at all is a config or a ConfigError."""

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from engine.spec import toml
from engine.spec.attacks import AutoAttack, CWInf
from engine.spec.base import Pixels
from engine.spec.config import JudgeConfig, RunConfig, RunTeacher
from engine.spec.data import Digits
from engine.spec.errors import ConfigError
from engine.spec.methods import Natural
from engine.spec.models import SmallCNN
from engine.spec.training import Evaluation

FOLDER = Path(__file__).parents[2] / "presets"
FILES = sorted(FOLDER.glob("*.toml"))
TAUGHT_BY_PRESET = FOLDER / "quickstart.toml"
every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


@every_file
def test_what_is_dumped_reads_back_as_the_same_config(path: Path, tmp_path: Path) -> None:
    config = toml.load(path)
    written = tmp_path / "config.toml"
    written.write_text(toml.dump(config), encoding="utf-8")
    again = toml.read(written)
    assert again == config and again.config_hash == config.config_hash
    assert toml.dump(again) == toml.dump(config)


def test_every_default_is_written_out() -> None:
    text = toml.dump(RunConfig(data=Digits(), student=SmallCNN(), method=Natural()))
    for line in ("seed = 0", 'epsilon = "8/255"', "momentum = 0.9", "split_seed = 0", "suspect = true", "gallery = 20"):
        assert line in text.splitlines()


def test_an_evaluation_reads_back_as_an_evaluation(tmp_path: Path) -> None:
    judged = JudgeConfig(data=Digits(), subject=RunTeacher(run="x"), evaluation=Evaluation(attacks=(AutoAttack(),)))
    (tmp_path / "config.toml").write_text(toml.dump(judged), encoding="utf-8")
    assert toml.read(tmp_path / "config.toml") == judged


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=40))
def test_any_name_survives_the_file(name: str) -> None:
    config = RunConfig(name=name, data=Digits(), student=SmallCNN(), method=Natural())
    assert tomli.loads(toml.dump(config))["name"] == name


def test_names_and_places_of_presets_do_not_change_the_hash(tmp_path: Path) -> None:
    config = toml.load(TAUGHT_BY_PRESET)
    assert toml.load(TAUGHT_BY_PRESET, ["name=other"]).config_hash == config.config_hash
    assert toml.load(TAUGHT_BY_PRESET, ["teacher.config.name=other"]).config_hash == config.config_hash
    (tmp_path / "base").mkdir()
    for name in ("quickstart.toml", "quickstart_teacher.toml", "base/digits.toml"):
        (tmp_path / name).write_bytes((FOLDER / name).read_bytes())
    (tmp_path / "quickstart_teacher.toml").rename(tmp_path / "elsewhere.toml")
    moved = (tmp_path / "quickstart.toml").read_text().replace("quickstart_teacher", "elsewhere")
    (tmp_path / "quickstart.toml").write_text(moved)
    assert toml.load(tmp_path / "quickstart.toml").config_hash == config.config_hash


def test_the_way_a_number_is_written_does_not_change_the_hash() -> None:
    hashes = {
        toml.load(TAUGHT_BY_PRESET, [f"threat_model.epsilon={e}", f"training.learning_rate={r}"]).config_hash
        for e in ("8/255", repr(8 / 255))
        for r in ("1", "1.0", "10e-1")
    }
    assert len(hashes) == 1


def test_only_the_seed_tells_runs_of_a_group_apart() -> None:
    one, other = (toml.load(TAUGHT_BY_PRESET, seed=seed) for seed in (1, 2))
    assert one.config_hash != other.config_hash and one.group_hash == other.group_hash
    assert toml.load(TAUGHT_BY_PRESET, ["training.epochs=3"]).group_hash != one.group_hash


def leaves(value: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(item, (*at, key))
    else:
        yield at, value


def changed(value: Any) -> list[Any]:
    """Values of the same type nearby, of which one will be allowed."""
    match value:
        case bool():
            return [not value]
        case int():
            return [value + 1, value - 1]
        case float():
            return [value * 0.99 or 0.001, value + 0.001]
        case str() if re.fullmatch(r"\d+/255", value):
            return [f"{int(value.split('/')[0]) - 1}/255", "7/255"]
        case _:
            return []


def test_the_hash_changes_with_every_number_of_the_config() -> None:
    config = toml.load(TAUGHT_BY_PRESET)
    table = config.to_table()
    numbers = [(at, value) for at, value in leaves(table) if changed(value)]
    assert len(numbers) > 60
    for at, value in numbers:
        for other in changed(value):
            copy = json.loads(json.dumps(table))
            node = copy
            for key in at[:-1]:
                node = node[key]
            node[at[-1]] = other
            try:
                hashed = RunConfig.model_validate(copy).config_hash
            except ValidationError:
                continue
            assert hashed != config.config_hash, at
            break
        else:
            pytest.fail(f"no other value is allowed at {at}")


CORPUS = [path.read_bytes() for path in [*FILES[:3], *FILES[-3:], *sorted((FOLDER / "base").glob("*.toml"))]]
PIECES = [b"[", b"]]", b"{", b'"', b"'''", b"\n", b".", b"=", b"\x00", b"\xff", b"1e999", b"nan", b"-1", b"true", b"#"]
PIECES += [b"extends = 'rslad.toml'\n", b"[teacher]\npreset = 'fuzz.toml'\n", b"name = 'crdnd'\n", b"attacks = [{}]\n"]


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(CORPUS), st.integers(0, 2**32), st.integers(1, 6))
def test_a_mutated_preset_is_a_config_or_a_config_error(tmp_path: Path, text: bytes, seed: int, times: int) -> None:
    draws, mutated = random.Random(seed), bytearray(text)
    for _ in range(times):
        start = draws.randrange(len(mutated) + 1)
        end = min(len(mutated), start + draws.choice([0, 0, 1, 2, 5, 40]))
        mutated[start:end] = draws.choice([*PIECES, b"", bytes([draws.randrange(256)]), mutated[end : end + 30]])
    path = tmp_path / "fuzz.toml"
    path.write_bytes(mutated)
    try:
        config = toml.load(path)
    except ConfigError as error:
        assert error.problems and all(isinstance(problem, str) and problem for problem in error.problems)
    else:
        assert isinstance(config, RunConfig)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=30), st.text(max_size=30))
def test_any_override_is_taken_or_a_config_error(key: str, value: str) -> None:
    for text in (f"{key}={value}", f"training.{key}={value}", f"evaluation.attacks.0.{key}={value}", key):
        try:
            toml.load(TAUGHT_BY_PRESET, [text])
        except ConfigError as error:
            assert error.problems


def fits(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> bool:  # noqa: PLR0912  one case per keyword
    """JSON Schema, as far as ours goes; a keyword that is not known here is an error of this test."""
    kinds = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}
    for keyword, rule in schema.items():
        match keyword:
            case "$schema" | "$defs" | "title" | "description" | "default" | "discriminator" | "additionalProperties":
                good = True
            case "$ref":
                good = fits(value, root["$defs"][rule.rsplit("/", 1)[1]], root)
            case "anyOf" | "oneOf":
                found = sum(fits(value, one, root) for one in rule)
                good = found == 1 if keyword == "oneOf" else found > 0
            case "type" if rule in ("integer", "number"):
                good = isinstance(value, int | float if rule == "number" else int) and not isinstance(value, bool)
            case "type":
                good = isinstance(value, kinds[rule])
            case "const" | "enum":
                good = value in (rule if keyword == "enum" else [rule])
            case "pattern":
                good = re.search(rule, value) is not None
            case "required":
                good = all(key in value for key in rule)
            case "properties":
                good = all(fits(value[key], rule[key], root) for key in value if key in rule)
                good = good and (schema.get("additionalProperties", True) or set(value) <= set(rule))
            case "items":
                good = all(fits(item, rule, root) for item in value)
            case "minimum" | "exclusiveMinimum":
                good = value >= rule if keyword == "minimum" else value > rule
            case "maximum" | "exclusiveMaximum":
                good = value <= rule if keyword == "maximum" else value < rule
            case "minItems" | "minLength":
                good = len(value) >= rule
            case "maxItems" | "maxLength":
                good = len(value) <= rule
            case _:
                raise AssertionError(f"unknown keyword {keyword}")
        if not good:
            return False
    return True


@every_file
def test_the_schema_accepts_every_shipped_preset_as_written_and_as_resolved(path: Path) -> None:
    schema = toml.schema()
    assert json.loads(json.dumps(schema)) == schema
    assert fits(tomli.loads(path.read_text(encoding="utf-8")), schema, schema)
    assert fits(toml.load(path).to_table(), schema, schema)


@pytest.mark.parametrize(
    ("key", "value"),
    [("sed", 1), ("seed", -1), ("method", {"name": "magic"}), ("threat_model", {"epsilon": "8/255/1"})],
)
def test_the_schema_refuses_what_the_reader_refuses(key: str, value: object) -> None:
    schema = toml.schema()
    assert not fits(toml.load(TAUGHT_BY_PRESET).to_table() | {key: value}, schema, schema)
    assert not fits({"seed": 1}, schema, schema)  # neither whole nor laid over another


def test_two_attacks_of_one_name_need_a_label() -> None:
    with pytest.raises(ValidationError, match="two attacks are called `cw_inf`"):
        Evaluation(attacks=(CWInf(), CWInf(step_size=Pixels(0.001))))
    assert [a.key for a in Evaluation(attacks=(CWInf(), CWInf(label="slow"))).attacks] == ["cw_inf", "slow"]
