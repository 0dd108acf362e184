"""The grid of a study: a file's axes, the labels on each, the keys that a label sets, and the run of a combination."""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from crdnd_tui.core import presets
from crdnd_tui.core.text import display
from crdnd_tui.study.study import StudyCell
from engine.spec import files, toml, toml_text
from engine.spec.config import RunConfig
from engine.spec.errors import ConfigError
from engine.spec.explain import explain

MOST_RUNS, MOST_AXES = 2000, 8
MAX_LABEL = 60
Key = tuple[str | int, ...]  # path of a key in the file
_KEY = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+){0,7}")
_IN_A_PATH = re.compile(r"[A-Za-z0-9_+-][A-Za-z0-9_.+-]*")
_SLOT = re.compile(r"\{([^{}]*)\}")
_CASE = {"label": (str, "text"), "preset": (str, "text"), "set": (dict, "a table")}
_BY_SET = "--set"  # how the spec calls the origin of an override


class StudySource:
    """The file of a study: its text, where each key stands, and the mistakes that were found in it so far."""

    def __init__(self, path: Path, text: str) -> None:
        self.path, self.text = path, text
        self.lines = toml_text.lines_of(text)
        self.problems: list[str] = []

    def at(self, *key: str | int) -> str:
        """`file:line` of this key, or of the nearest table around it."""
        known = next((key[:end] for end in range(len(key), 0, -1) if key[:end] in self.lines), None)
        return f"{self.path}:{self.lines[known]}" if known else str(self.path)

    def complain(self, key: Key, problem: str) -> None:
        self.problems.append(f"{self.at(*key)}: {display('.'.join(map(str, key)), 120)}: {problem}")


@dataclass(frozen=True, kw_only=True)
class GridSetting:
    """A key of the config, its value as TOML, and where that was written."""

    key: str
    value: str
    origin: str  # file:line

    @property
    def text(self) -> str:
        return f"{self.key}={self.value}"


@dataclass(frozen=True, kw_only=True)
class GridCase:
    """One label on an axis."""

    label: str
    settings: tuple[GridSetting, ...] = ()
    preset: str = ""  # in place of the study's


@dataclass(frozen=True, kw_only=True)
class GridAxis:
    name: str
    key: Key
    cases: tuple[GridCase, ...]


def slots(template: str) -> list[str]:
    """Names in braces."""
    return _SLOT.findall(template)


def settings(table: Mapping[str, Any], source: StudySource, key: Key) -> tuple[GridSetting, ...]:
    """Dotted keys and nested tables alike, in order; a table's name before the rest of it."""
    found = []
    for name, value, raw in flat(table, key):
        try:
            if not _KEY.fullmatch(name):
                raise ValueError("is no key of a preset, as in training.epochs")
            found.append(GridSetting(key=name, value=written(value), origin=source.at(*raw)))
        except ValueError as error:
            source.complain(raw, str(error))
    return tuple(found)


def axes(table: Mapping[str, Any], in_paths: set[str], source: StudySource) -> list[GridAxis]:
    """Those that could be understood; labels of the axes `in_paths` become parts of names of presets."""
    found = []
    for name, value, raw in flat(table, ("grid",)):
        if not isinstance(value, list) or not value:
            source.complain(raw, "should be an array of labels or cases")
            continue
        tried = [_case(name, item, name in in_paths, source, (*raw, k)) for k, item in enumerate(value)]
        cases = tuple(case for case in tried if case)
        labels = [case.label for case in cases]
        for label in sorted({label for label in labels if labels.count(label) > 1}):
            source.complain(raw, f"the label {display(label)!r} stands there twice")
        found.append(GridAxis(name=name, key=raw, cases=cases))
    if len(found) > MOST_AXES:
        source.complain(("grid",), f"has {len(found)} axes; at most {MOST_AXES} can be read in a table")
    many = math.prod(len(axis.cases) for axis in found)
    if many > MOST_RUNS:
        source.complain(("grid",), f"asks for {many:,} runs; at most {MOST_RUNS:,} are possible")
    return found


def _case(axis: str, item: object, in_path: bool, source: StudySource, raw: Key) -> GridCase | None:
    """None for what makes no sense, which is told."""
    before = len(source.problems)
    if isinstance(item, dict):
        for unknown in sorted(set(item) - set(_CASE)):
            source.complain((*raw, unknown), "unknown key" + near(unknown, list(_CASE)))
        parts = {"label": item.get("label"), "preset": item.get("preset", ""), "set": item.get("set", {})}
        for key, (kind, word) in _CASE.items():
            if not isinstance(parts[key], kind):
                source.complain((*raw, key), f"should be {word}")
        label, preset = parts["label"], str(parts["preset"])
        if isinstance(label, str) and (mistake := _label_mistake(label, in_path and not preset)):
            source.complain((*raw, "label"), mistake)
        if len(source.problems) > before:
            return None
        return GridCase(label=str(label), settings=settings(parts["set"], source, (*raw, "set")), preset=preset)
    if not isinstance(item, str | int | float):
        source.complain(raw, "should be a text, a number, or a case { label = ..., set = { ... } }")
        return None
    label = named(item)
    mistake = _label_mistake(label, in_path)
    if not mistake and not in_path and not _KEY.fullmatch(axis):
        mistake = f"{display(axis, 60)!r} is neither in `preset`, in braces, nor a key of presets, as training.epochs"
    if mistake:
        source.complain(raw, mistake)
        return None
    set_ = () if in_path else (GridSetting(key=axis, value=written(item), origin=source.at(*raw)),)
    return GridCase(label=label, settings=set_)


def _label_mistake(label: str, in_path: bool) -> str:
    if not label or label != label.strip() or len(label) > MAX_LABEL or not label.isprintable():
        return f"a label has 1 to {MAX_LABEL} characters that can be printed, and no space at its ends"
    if in_path and not _IN_A_PATH.fullmatch(label):
        return f"{label!r} becomes a part of a preset's name: letters, digits and _ . + - only"
    return ""


def named(value: object) -> str:
    """The label of a plain value."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return short if float(short := f"{value:g}") == value else repr(value)
    return str(value)


def written(value: object) -> str:
    """A value as TOML on one line; ValueError for dates, which no preset has."""
    match value:
        case bool():
            return named(value)
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case int() | float():
            return repr(value)
        case list():
            return f"[{', '.join(written(item) for item in value)}]"
        case dict():
            return f"{{ {', '.join(f'{written(str(key))} = {written(item)}' for key, item in value.items())} }}"
        case _:
            raise ValueError("is no value that a preset could have")


def near(word: str, known: Sequence[str]) -> str:
    """`, did you mean ...?`, or what there is."""
    close = get_close_matches(word, known, n=1, cutoff=0.6)
    return f", did you mean `{close[0]}`?" if close else f"; known are {', '.join(known[:20])}"


def flat(table: Mapping[str, Any], raw: Key, above: str = "") -> Iterator[tuple[str, Any, Key]]:
    """Dotted name, value, and path in the file, of all that is no table; the name of a thing comes first."""
    for key in sorted(table, key=lambda key: key != "name"):
        value = table[key]
        if isinstance(value, dict) and value:
            yield from flat(value, (*raw, key), f"{above}{key}.")
        else:
            yield above + key, value, (*raw, key)


class CellResolver:
    """A combination of the grid -> the config of its run. Reads each preset once.

    A mistake is told at the study's own line; one that many combinations share with the first of them.
    """

    def __init__(self, source: StudySource) -> None:
        self._source = source
        self._folder = source.path.resolve().parent
        self._told: set[str] = set()
        self._texts: dict[Path, str] = {}
        self._paths: dict[str, Path | None] = {}

    def cell(
        self, place: Mapping[str, str], template: str, key: Key, wanted: Sequence[GridSetting]
    ) -> StudyCell | None:
        """The run at this place, by the preset that `key` asks for; None when something is wrong with it."""
        name = _SLOT.sub(lambda slot: place.get(slot[1], slot[0]), template)
        path = self._find(name)
        if path is None:
            where = f"{self._source.at(*key)}: {'.'.join(map(str, key))}"
            self._tell([f"{where}: there is no preset {display(name, 200)!r}{self._near(name)}"], place)
            return None
        wanted = [self._beside(setting) for setting in wanted]
        overrides = tuple(setting.text for setting in wanted)
        try:
            draft = toml.merged(path, overrides)
        except ConfigError as error:
            self._tell(error.problems, place)
            return None
        origins = {_path(setting.key): setting.origin for setting in wanted}
        draft.problems = [_relined(problem, wanted) for problem in draft.problems]
        for at, by in draft.origins.items():
            if by == _BY_SET:
                draft.origins[at] = next((origins[k] for k in origins if k[: len(at)] == at), by)
        try:
            config = RunConfig.model_validate(draft.table)
        except ValidationError as error:
            draft.problems += explain(error, RunConfig, draft.origins)
        if draft.problems:
            self._tell(draft.problems, place)
            return None
        if path not in self._texts:
            content = files.read(path.resolve(), toml.MAX_BYTES) or b""
            self._texts[path] = content.decode("utf-8-sig", "replace")
        return StudyCell(place=place, config=config, preset=path, preset_text=self._texts[path], overrides=overrides)

    def _tell(self, problems: Sequence[str], place: Mapping[str, str]) -> None:
        combination = ", ".join(f"{axis} {label}" for axis, label in place.items())
        fresh = [problem for problem in dict.fromkeys(problems) if problem not in self._told]
        self._told.update(fresh)
        self._source.problems += [f"{problem} ({combination})" for problem in fresh]

    def _find(self, name: str) -> Path | None:
        """Beside the study, else among the shipped presets when it is a bare name."""
        if name not in self._paths:
            path, bare = self._folder / name, name.removesuffix(".toml")
            shipped = presets.shipped().get(bare) if "/" not in bare else None
            self._paths[name] = path if files.is_file(path) else shipped
        return self._paths[name]

    def _near(self, name: str) -> str:
        """Names of presets where this one was sought."""
        try:
            known = {path.name for path in (self._folder / name).parent.glob("*.toml")}
        except (OSError, ValueError):
            known = set()
        close = get_close_matches(Path(name).name, sorted(known), n=1, cutoff=0.6)
        return f", did you mean `{Path(name).parent / close[0]}`?" if close else ""

    def _beside(self, setting: GridSetting) -> GridSetting:
        """A teacher's preset is sought beside the study, not where the command was called."""
        if setting.key != "teacher.preset" or not setting.value.startswith('"'):
            return setting
        return replace(setting, value=f'"{(self._folder / setting.value.strip(chr(34))).resolve()}"')


def _path(key: str) -> Key:
    """As the spec takes a dotted key apart."""
    return tuple(int(part) if part.isdecimal() and len(part) < 5 else part for part in key.split("."))


def _relined(problem: str, wanted: Sequence[GridSetting]) -> str:
    """A mistake in an override, told at the line of the study that asked for it."""
    _, placed, rest = problem.partition(f"{_BY_SET}: ")
    key = rest.partition(":")[0]
    origin = next((setting.origin for setting in wanted if setting.key == key), None)
    return f"{origin}: {rest}" if placed and origin is not None and problem.startswith(_BY_SET) else problem
