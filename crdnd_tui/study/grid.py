"""The axes of a study: labels, the keys that each sets, and their product. Pure."""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import product
from typing import Any

from crdnd_tui.core.text import display
from crdnd_tui.study.written import Source

MOST_RUNS, MOST_AXES = 2000, 8
MAX_LABEL = 60
_KEY = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+){0,7}")
_IN_A_PATH = re.compile(r"[A-Za-z0-9_+-][A-Za-z0-9_.+-]*")
_SLOT = re.compile(r"\{([^{}]*)\}")
_CASE = {"label", "set", "preset"}


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A key of the config, its value as TOML, and where that was written."""

    key: str
    value: str
    origin: str  # file:line

    @property
    def text(self) -> str:
        """As --set takes it."""
        return f"{self.key}={self.value}"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One label on an axis."""

    label: str
    settings: tuple[Setting, ...] = ()
    preset: str = ""  # in place of the study's


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One dimension of the grid."""

    name: str
    cases: tuple[Case, ...]
    origin: str  # file:line

    @property
    def labels(self) -> tuple[str, ...]:
        """In order."""
        return tuple(case.label for case in self.cases)


def slots(template: str) -> list[str]:
    """Names in braces."""
    return _SLOT.findall(template)


def fill(template: str, place: Mapping[str, str]) -> str:
    """The template with each `{axis}` replaced by the label on it."""
    return _SLOT.sub(lambda slot: place.get(slot[1], slot[0]), template)


def combinations(axes: Sequence[Axis]) -> Iterator[tuple[Case, ...]]:
    """All of them, the last axis fastest."""
    return product(*(axis.cases for axis in axes))


def settings(
    table: Mapping[str, Any], source: Source, key: tuple[str | int, ...], problems: list[str]
) -> list[Setting]:
    """Dotted keys and nested tables alike, in order; a table's name before the rest of it."""
    found = []
    for name, value, raw in _flat(table, (), key):
        try:
            if not _KEY.fullmatch(name):
                raise ValueError("is no key of a preset, as in training.epochs")
            found.append(Setting(key=name, value=written(value), origin=source.at(*raw)))
        except ValueError as error:
            problems.append(f"{source.at(*raw)}: {_dotted(raw)}: {error}")
    return found


def axes(table: Mapping[str, Any], templates: Sequence[str], source: Source, problems: list[str]) -> list[Axis]:
    """Those that could be understood; what could not is added to `problems`."""
    named = {slot for template in templates for slot in slots(template)}
    found = []
    for name, value, raw in _flat(table, (), ("grid",)):
        origin, key = source.at(*raw), _dotted(raw)
        if not isinstance(value, list) or not value:
            problems.append(f"{origin}: {key}: should be an array of labels or cases")
            continue
        cases = [_case(name, item, name in named, source, (*raw, k), problems) for k, item in enumerate(value)]
        labels = [case.label for case in cases if case]
        twice = sorted({label for label in labels if labels.count(label) > 1})
        problems += [f"{origin}: {key}: the label {display(label)!r} stands there twice" for label in twice]
        found.append(Axis(name=name, cases=tuple(case for case in cases if case), origin=origin))
    if len(found) > MOST_AXES:
        problems.append(f"{source.at('grid')}: grid: has {len(found)} axes; at most {MOST_AXES} can be read in a table")
    many = math.prod(len(axis.cases) for axis in found)
    if many > MOST_RUNS:
        problems.append(f"{source.at('grid')}: grid: asks for {many:,} runs; at most {MOST_RUNS:,} are possible")
    return found


def _case(
    axis: str, item: object, in_path: bool, source: Source, raw: tuple[str | int, ...], problems: list[str]
) -> Case | None:
    origin, key = source.at(*raw), _dotted(raw)
    if isinstance(item, dict):
        return _long_case(item, in_path, source, raw, problems)
    if not isinstance(item, str | int | float):
        problems.append(f"{origin}: {key}: should be a text, a number, or a case {{ label = ..., set = {{ ... }} }}")
        return None
    label = named(item)
    mistake = _label_mistake(label, in_path) or ("" if in_path or _KEY.fullmatch(axis) else _no_key(axis))
    if mistake:
        problems.append(f"{origin}: {key}: {mistake}")
        return None
    if in_path:
        return Case(label=label)
    try:
        return Case(label=label, settings=(Setting(key=axis, value=written(item), origin=origin),))
    except ValueError as error:
        problems.append(f"{origin}: {key}: {error}")
        return None


def _long_case(
    item: Mapping[str, Any], in_path: bool, source: Source, raw: tuple[str | int, ...], problems: list[str]
) -> Case | None:
    origin, key = source.at(*raw), _dotted(raw)
    before = len(problems)
    for unknown in sorted(set(item) - _CASE):
        problems.append(f"{origin}: {key}.{display(unknown, 60)}: unknown key" + near(unknown, sorted(_CASE)))
    label, table, preset = item.get("label"), item.get("set", {}), item.get("preset", "")
    if not isinstance(label, str):
        problems.append(f"{origin}: {key}.label: should be text")
    elif mistake := _label_mistake(label, in_path and not preset):
        problems.append(f"{origin}: {key}.label: {mistake}")
    if not isinstance(table, dict):
        problems.append(f"{origin}: {key}.set: should be a table")
    if not isinstance(preset, str):
        problems.append(f"{origin}: {key}.preset: should be text")
    if len(problems) > before:
        return None
    inside = settings(table, source, (*raw, "set"), problems)
    return Case(label=str(label), settings=tuple(inside), preset=preset)


def named(value: object) -> str:
    """The label of a plain value."""
    if isinstance(value, bool):
        return ("false", "true")[value]
    if isinstance(value, float):
        return short if float(short := f"{value:g}") == value else repr(value)
    return str(value)


def written(value: object) -> str:
    """A value as TOML on one line; ValueError for dates, which no preset has."""
    match value:
        case bool():
            return named(value)
        case str():
            return _quoted(value)
        case int() | float():
            return repr(value)
        case list():
            return f"[{', '.join(written(item) for item in value)}]"
        case dict():
            inside = (f"{_quoted(key)} = {written(item)}" for key, item in value.items())
            return f"{{ {', '.join(inside)} }}"
        case _:
            raise ValueError("is no value that a preset could have")


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def near(word: str, known: Sequence[str]) -> str:
    """`, did you mean ...?`, or what there is."""
    close = get_close_matches(word, known, n=1, cutoff=0.6)
    return f", did you mean `{close[0]}`?" if close else f"; known are {', '.join(known[:20])}"


def _label_mistake(label: str, in_path: bool) -> str:
    if not label or label != label.strip() or len(label) > MAX_LABEL or not label.isprintable():
        return f"a label has 1 to {MAX_LABEL} characters that can be printed, and no space at its ends"
    if in_path and not _IN_A_PATH.fullmatch(label):
        return f"{label!r} becomes a part of a preset's name: letters, digits and _ . + - only"
    return ""


def _no_key(axis: str) -> str:
    return f"{display(axis, 60)!r} is neither in `preset`, in braces, nor a key of a preset as in training.epochs"


def _flat(
    table: Mapping[str, Any], above: tuple[str, ...], raw: tuple[str | int, ...]
) -> Iterator[tuple[str, Any, tuple[str | int, ...]]]:
    """Dotted name, value, and path in the file, of all that is no table; the name of a thing comes first."""
    for key in sorted(table, key=lambda key: key != "name"):
        value = table[key]
        if isinstance(value, dict) and value:
            yield from _flat(value, (*above, key), (*raw, key))
        else:
            yield ".".join((*above, key)), value, (*raw, key)


def _dotted(raw: tuple[str | int, ...]) -> str:
    return display(".".join(map(str, raw)), 120)
