"""What is wrong with a value, in words that need no knowledge of pydantic."""

import json
import re
from typing import Annotated

import pytest
from pydantic import Field, ValidationError

from engine.spec.base import Many, Spec
from engine.spec.config import JudgeConfig, RunConfig
from engine.spec.explain import _PATTERNS, message
from engine.spec.machine import Machine


class _Kinds(Spec):
    whole: Annotated[int, Field(ge=1, le=100_000)] = 1
    share: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.1
    on: bool = False
    text: Annotated[str, Field(min_length=1, max_length=5)] = "x"
    word: Annotated[str, Field(pattern="^(best|last)$")] = "best"
    label: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.+-]*$")] = ""
    sha: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    odd: Annotated[str, Field(pattern="^a+$")] = "a"
    several: Annotated[Many[int], Field(min_length=1, max_length=2)] = (1,)


def told(**values: object) -> str:
    with pytest.raises(ValidationError) as caught:
        _Kinds.model_validate(values)
    (detail,) = caught.value.errors()
    return message(detail)


@pytest.mark.parametrize(("key", "value", "says"), [
    ("whole", "many", "should be a whole number, not 'many'"),
    ("whole", "", "should be a whole number, not empty"),
    ("whole", 1.5, "should be a whole number, not 1.5"),
    ("whole", 0, "should be at least 1, not 0"),
    ("whole", 200_000, "should be at most 100,000, not 200000"),
    ("share", "x", "should be a number, not 'x'"),
    ("share", 0.0, "should be above 0, not 0.0"),
    ("share", 0.5, "should be below 0.5, not 0.5"),
    ("share", float("nan"), "should be a finite number, not nan"),
    ("share", [1], "should be a number"),
    ("on", "perhaps", "should be true or false, not 'perhaps'"),
    ("text", "", "should not be empty"),
    ("text", "long words", "should have at most 5 characters"),
    ("text", 3, "should be text, not 3"),
    ("word", "first", "'first' is not one of best or last"),
    ("label", "a b", "may hold letters, digits and _ . + - only, not 'a b'"),
    ("sha", "beef", "should be 64 hexadecimal digits"),
    ("odd", "b", "should match ^a+$, not 'b'"),
    ("several", [], "should list at least one"),
    ("several", [1, 2, 3], "should list at most 2"),
])  # fmt: skip
def test_a_mistake_is_told_in_plain_words(key: str, value: object, says: str) -> None:
    assert told(**{key: value}) == says


def test_a_device_is_told_with_its_number() -> None:
    with pytest.raises(ValidationError) as caught:
        Machine.model_validate({"device": "gpu"})
    (detail,) = caught.value.errors()
    assert message(detail) == "'gpu' is not one of auto, cpu or cuda (cuda:0 for one of several)"


@pytest.mark.parametrize("kind", [RunConfig, JudgeConfig, Machine])
def test_every_pattern_that_a_text_must_have_is_told_in_words(kind: type[Spec]) -> None:
    patterns = re.findall(
        r'"pattern": ("(?:[^"\\]|\\.)*"), "(?:title|type)": ', json.dumps(kind.model_json_schema(), sort_keys=True)
    )
    found = {json.loads(pattern) for pattern in patterns}
    assert found and not {pattern for pattern in found if not pattern.startswith("^([0-9]{1,20}")} - _PATTERNS.keys()
