"""preset.toml <-> RunConfig. All mistakes of a preset are found at once, each with its file, line and key.

`extends = "other.toml"` lays a preset over another: tables merge, all else is replaced; a table that names
another kind (`[method] name = ...`) starts afresh.
"""

import errno
import os
import re
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import tomli
import tomlkit
from pydantic import ValidationError

from engine.spec import files, toml_text
from engine.spec.config import SOURCES, JudgeConfig, RunConfig, name_protocol
from engine.spec.errors import ConfigError
from engine.spec.explain import explain, in_file_order

MAX_BYTES = 64 * 1024
TOO_LARGE = f"larger than {MAX_BYTES >> 10} KiB"
MAX_KEY_PARTS = 8  # of an override
MAX_CHAIN = 16  # presets that lie over each other, or are the teachers of each other
SHOWN = 200  # characters of a value in a message
_INDEX = re.compile("[0-9]{1,4}")
_TEACHERS = "teacher.config."  # begins the overrides of a teacher's preset


@dataclass
class MergedPreset:
    """A preset on its way: the merged table, where each key was written, and what is wrong so far."""

    table: dict[str, Any] = field(default_factory=dict)
    origins: dict[toml_text.KeyPath, str] = field(default_factory=dict)
    folder: Path = field(default_factory=Path.cwd)  # that the path of the teacher's preset is relative to
    problems: list[str] = field(default_factory=list)

    def drop_origins(self, *replaced: toml_text.KeyPath) -> None:
        """Drop where these keys, and those below them, were written: their values are replaced."""
        gone = set(replaced)
        for key in [key for key in self.origins if any(key[:end] in gone for end in range(len(key) + 1))]:
            del self.origins[key]

    def validated(self) -> RunConfig | None:
        """The config; None when anything is wrong, all of which then stands in `problems`, in the order of lines."""
        config = None
        try:
            config = RunConfig.model_validate(self.table)
        except ValidationError as error:
            self.problems += explain(error, RunConfig, self.origins)
        self.problems = in_file_order(self.problems)
        return None if self.problems else config


def load(path: Path, overrides: Sequence[str] = (), seed: int | None = None) -> RunConfig:
    """Read the run that a preset asks for, with `key.path=value` overrides; ConfigError with every mistake."""
    draft = merged(path, [*overrides, *([] if seed is None else [f"seed={seed}"])])
    config = draft.validated()
    if config is None:
        raise ConfigError(draft.problems)
    return config


def config_of(text: str, path: Path) -> RunConfig | None:
    """Read a preset's text as if it were the content of `path`; None when anything is wrong with it."""
    try:
        return merged(path, text=text).validated()
    except ConfigError:
        return None


def read(path: Path) -> RunConfig | JudgeConfig:
    """Read the resolved config of a run folder; ConfigError, too, where it is a link."""
    table = parse(path, text_of(path, link=False))
    name_protocol(table)
    kind = JudgeConfig if table.get("kind") == "evaluation" else RunConfig
    try:
        return kind.model_validate(table)
    except ValidationError as error:
        raise ConfigError(explain(error, kind, {(): str(path)})) from error


def dump(config: RunConfig | JudgeConfig) -> str:
    return tomlkit.dumps(_names_first(config.to_table()))


def _names_first(value: Any) -> Any:  # noqa: ANN401  any TOML value
    """Order the keys of all tables: `kind` and `name` first, plain values before tables, as TOML wants them."""
    if isinstance(value, list):
        return [_names_first(item) for item in value]
    if not isinstance(value, dict):
        return value
    keys = sorted(value, key=lambda key: (isinstance(value[key], dict), key not in ("kind", "name")))
    return {key: _names_first(value[key]) for key in keys}


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a preset, for editors."""
    described = RunConfig.model_json_schema()
    root = described["$defs"]["RunConfig"]  # among the definitions, for a teacher's preset is one, too
    root["properties"]["extends"] = {"type": "string", "description": "another preset that this one is laid over"}
    root["anyOf"] = [{"required": root.pop("required")}, {"required": ["extends"]}]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "crdnd preset", **described}


def merged(
    path: Path, overrides: Sequence[str] = (), above: tuple[Path, ...] = (), text: str | None = None
) -> MergedPreset:
    """Merge a preset with those it extends and its overrides, and insert its teacher's preset.

    With `text`, that stands in place of the file's content: a preset that is being written.
    """
    draft = _with_base(path, above, text)
    for setting in overrides:
        if not setting.startswith(_TEACHERS):
            _override(draft, setting)
    teacher = draft.table.get("teacher")
    if isinstance(teacher, dict) and isinstance(teacher.get("preset"), str) and teacher["preset"]:
        _insert_teacher(draft, teacher, (*above, _real(path)))
    for setting in overrides:
        if setting.startswith(_TEACHERS):
            _override(draft, setting)
    return draft


def _with_base(path: Path, above: tuple[Path, ...], text: str | None = None) -> MergedPreset:
    """Lay a preset over the one that it extends; `above` are the presets that led here."""
    resolved = _real(path)
    if len(above) >= MAX_CHAIN:
        raise ConfigError([f"{path}: more than {MAX_CHAIN} presets lead to each other"])
    if resolved in above:
        chain = " -> ".join(p.name for p in (*above[above.index(resolved) :], resolved))
        raise ConfigError([f"{path}: presets lead in a circle: {chain}"])
    known, where = _parsed(path, text_of(path) if text is None else text)
    table = deepcopy(known)
    base = table.pop("extends", None)
    draft = MergedPreset()
    if base is not None:
        place = f"{path}:{where.get(('extends',), 1)}: extends"
        if not isinstance(base, str):
            raise ConfigError([f"{place}: should be the path of a preset"])
        if not files.is_file(resolved.parent / base):
            raise ConfigError([f"{place}: there is no preset {base[:SHOWN]!r}"])
        draft = _with_base(resolved.parent / base, (*above, resolved))
    draft.drop_origins(*_merge(draft.table, table, ()))
    draft.origins |= {key: f"{path}:{line}" for key, line in where.items()} | {(): str(path)}
    if ("teacher", "preset") in where:
        draft.folder = resolved.parent
    return draft


def _merge(below: dict[str, Any], above: dict[str, Any], at: toml_text.KeyPath) -> list[toml_text.KeyPath]:
    """Lay one table over another, in place; `at` is where both lie. Returns the paths that were replaced."""
    replaced: list[toml_text.KeyPath] = []
    for key, value in above.items():
        found = below.get(key)
        if isinstance(value, dict) and isinstance(found, dict) and not is_other_kind(found, value, key):
            replaced += _merge(found, value, (*at, key))
        else:
            below[key] = value
            replaced.append((*at, key))
    return replaced


def is_other_kind(below: dict[str, Any], above: dict[str, Any], key: str) -> bool:
    """Return whether a table names another kind than the one it is laid over, whose keys then do not apply."""
    if key == "teacher":
        return any(source in above for source in SOURCES)
    return "name" in above and above["name"] != below.get("name")


def _override(draft: MergedPreset, text: str) -> None:
    """Lay `key.path=value` over the preset; the value is TOML, or else a string."""
    name, equals, value = text.partition("=")
    path = tuple(int(part) if _INDEX.fullmatch(part) else part for part in name.strip().split("."))
    if not equals or "" in path or len(path) > MAX_KEY_PARTS:
        draft.problems.append(f"--set: {text[:SHOWN]!r} should read key.path=value")
        return
    node: Any = draft.table
    for end, key in enumerate(path[:-1], start=1):
        place = ".".join(map(str, path[:end]))
        if isinstance(node, list) and isinstance(key, int) and key < len(node):
            node = node[key]
        elif not isinstance(node, dict) or isinstance(key, int):
            draft.problems.append(f"--set: {name}: there is no {place} to go into")
            return
        elif key not in node and isinstance(path[end], int):
            draft.problems.append(f"--set: {name}: the preset lists no {place}")
            return
        else:
            node = node.setdefault(key, {})
    above, last, parsed = path[:-1], path[-1], value_of(value.strip())
    if isinstance(node, dict) and isinstance(last, str):
        other_name = last == "name" and above and above[-1] != "config" and node.get("name") != parsed
        if other_name or (above == ("teacher",) and last in SOURCES and last not in node):
            node.clear()
            draft.drop_origins(above)
            draft.origins[above] = "--set"
    elif not (isinstance(node, list) and isinstance(last, int) and last < len(node)):
        draft.problems.append(f"--set: {name}: there is no such place")
        return
    node[last] = parsed
    draft.drop_origins(path)
    draft.origins[path] = "--set"
    if path in (("teacher",), ("teacher", "preset")):
        draft.folder = Path.cwd()


def value_of(text: str) -> Any:  # noqa: ANN401  any TOML value
    """Parse a value of the command line: TOML, or else the text itself."""
    try:
        table = toml_text.parse(f"value = {text}")
    except ValueError:  # tomli's errors are ValueErrors
        return text
    return table["value"] if len(table) == 1 else text


def _insert_teacher(draft: MergedPreset, teacher: dict[str, Any], above: tuple[Path, ...]) -> None:
    """Read the preset that [teacher] names into `teacher.config`, unless that is written beside it, as in a run."""
    config, named_in = teacher.get("config"), draft.origins.get(("teacher", "preset"), "")
    whole = isinstance(config, dict) and {"data", "student", "method"} <= config.keys()
    written_in = draft.origins.get(("teacher", "config"), "")
    if whole and written_in.rpartition(":")[0] == named_in.rpartition(":")[0]:
        return
    path, teacher["config"] = draft.folder / teacher["preset"], None
    if not files.is_file(path):
        name = teacher["preset"][:SHOWN]
        draft.problems.append(f"{named_in or 'preset'}: teacher.preset: no such file {name!r}")
        return
    try:
        of_teacher = merged(path, (), above)
    except ConfigError as error:
        draft.problems += error.problems
        return
    draft.problems += of_teacher.problems
    teacher["config"] = of_teacher.table
    draft.origins |= {("teacher", "config", *key): origin for key, origin in of_teacher.origins.items()}


@lru_cache(maxsize=32)  # a form asks at every key press, a study for each of its runs
def _parsed(path: Path, text: str) -> tuple[dict[str, Any], dict[toml_text.KeyPath, int]]:
    return parse(path, text), toml_text.lines_of(text)


def text_of(path: Path, *, link: bool = True) -> str:
    """Read a file's text; ConfigError when it cannot be read. Links are followed only for paths that the user named."""
    try:
        return toml_text.decode_utf8(files.content_of(_real(path) if link else path, MAX_BYTES))
    except OSError as error:
        why = TOO_LARGE if error.errno == errno.EOVERFLOW else error.strerror
        raise ConfigError([f"{path}: cannot be read: {why}"]) from error
    except ValueError as error:  # not UTF-8
        raise ConfigError([f"{path}: not valid TOML: {error}"]) from error


def parse(path: Path, text: str) -> dict[str, Any]:
    """Parse a text that messages call `path`; ConfigError when it is no preset."""
    try:
        if len(text) > MAX_BYTES:
            raise ValueError(TOO_LARGE)
        return toml_text.parse(text)
    except tomli.TOMLDecodeError as error:
        raise ConfigError([f"{path}:{error.lineno}:{error.colno}: not valid TOML: {error.msg}"]) from error
    except ValueError as error:
        raise ConfigError([f"{path}: cannot be read: {str(error)[:100]}"]) from error


def _real(path: Path) -> Path:
    """Resolve the links of a path that the user named; itself where they lead in a circle."""
    try:
        return Path(os.path.realpath(path))
    except ValueError:  # a zero byte
        return path
