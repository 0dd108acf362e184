"""preset.toml <-> RunConfig. All mistakes of a preset are found at once, each with its file, line and key.

`extends = "other.toml"` lays a preset over another: tables merge, all else is replaced; a table that names
another kind (`[method] name = ...`) starts afresh.
"""

import errno
import os
import re
import time
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
_TOO_LARGE = f": larger than {MAX_BYTES // 1024} KiB, so it is no preset"
MAX_DEPTH = 8  # a preset has no more levels, and deep nesting is how a file attacks its reader
MAX_KEYS = 2000  # of all tables together; a resolved config has a hundred
MAX_CHAIN = 16  # presets that lie over each other, or are the teachers of each other
SHOWN = 200  # characters of a value in a message
SETTLED = 2 * 10**9  # nanoseconds after which a file counts as written
_INDEX = re.compile("[0-9]{1,4}")


@dataclass
class Draft:
    """A preset on its way: the merged table, where each key was written, and what is wrong so far."""

    table: dict[str, Any] = field(default_factory=dict)
    origins: dict[toml_text.Path, str] = field(default_factory=dict)
    folders: dict[toml_text.Path, Path] = field(default_factory=dict)  # that a key's path is relative to
    problems: list[str] = field(default_factory=list)

    def drop_origins(self, *replaced: toml_text.Path) -> None:
        """Drop where these keys, and those below them, were written: their values are replaced."""
        gone = set(replaced)
        for noted in (self.origins, self.folders):
            for key in [key for key in noted if any(key[:end] in gone for end in range(len(key) + 1))]:
                del noted[key]

    def note(self, key: toml_text.Path, origin: str, folder: Path) -> None:
        """Where a key is written, and what folder its paths are relative to."""
        self.origins[key], self.folders[key] = origin, folder

    def validated(self) -> RunConfig | None:
        """The config; None when anything is wrong, all of which then stands in `problems`, in the order of lines."""
        config = None
        try:
            config = RunConfig.model_validate(self.table)
        except (ValidationError, ArithmeticError, RecursionError) as error:
            self.problems += _explained(error, RunConfig, self.origins)
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
    except (ValidationError, ArithmeticError, RecursionError) as error:
        raise ConfigError(_explained(error, kind, {(): str(path)})) from error


def _explained(error: Exception, kind: type[RunConfig | JudgeConfig], origins: dict[toml_text.Path, str]) -> list[str]:
    """Return the mistakes in words; pydantic lets through what numbers and nestings without end raise."""
    if isinstance(error, ValidationError):
        return explain(error, kind, origins)
    return [f"{origins.get((), 'preset')}: a value is out of all proportion: {str(error)[:100]}"]


def dump(config: RunConfig | JudgeConfig) -> str:
    """Write TOML with every default."""
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


def merged(path: Path, overrides: Sequence[str] = (), above: tuple[Path, ...] = (), text: str | None = None) -> Draft:
    """Merge a preset with those it extends and its overrides, and insert its teacher's preset.

    With `text`, that stands in place of the file's content: a preset that is being written.
    """
    draft = _with_base(path, above, text)
    for setting in overrides:
        if not setting.startswith("teacher.config."):
            _override(draft, setting)
    teacher = draft.table.get("teacher")
    named = isinstance(teacher, dict) and isinstance(teacher.get("preset"), str) and teacher["preset"]
    if isinstance(teacher, dict) and named and not _has_teacher_inside(draft, teacher.get("config")):
        _insert_teacher(draft, teacher, (*above, _real(path)))
    for setting in overrides:
        if setting.startswith("teacher.config."):
            _override(draft, setting)
    return draft


def _with_base(path: Path, above: tuple[Path, ...], text: str | None = None) -> Draft:
    """Lay a preset over the one that it extends; `above` are the presets that led here."""
    resolved = _real(path)
    if len(above) >= MAX_CHAIN:
        raise ConfigError([f"{path}: more than {MAX_CHAIN} presets lead to each other"])
    if resolved in above:
        chain = " -> ".join(p.name for p in (*above[above.index(resolved) :], resolved))
        raise ConfigError([f"{path}: presets lead in a circle: {chain}"])
    table, where = _file(path) if text is None else (parse(path, text), toml_text.lines_of(text))
    base = table.pop("extends", None)
    if base is None:
        draft = Draft()
    elif isinstance(base, str):
        below = resolved.parent / base
        if not files.is_file(below):
            raise ConfigError([f"{path}:{where.get(('extends',), 1)}: extends: there is no preset {base[:SHOWN]!r}"])
        draft = _with_base(below, (*above, resolved))
    else:
        raise ConfigError([f"{path}:{where.get(('extends',), 1)}: extends: should be the path of a preset"])
    draft.origins[()] = str(path)
    draft.drop_origins(*_merge(draft.table, table, ()))
    for key, line in where.items():
        draft.note(key, f"{path}:{line}", resolved.parent)
    return draft


def _merge(below: dict[str, Any], above: dict[str, Any], at: toml_text.Path) -> list[toml_text.Path]:
    """Lay one table over another, in place; `at` is where both lie. Returns the paths that were replaced."""
    replaced: list[toml_text.Path] = []
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


def _override(draft: Draft, text: str) -> None:
    """Lay `key.path=value` over the preset; the value is TOML, or else a string."""
    name, equals, value = text.partition("=")
    keys = [int(part) if _INDEX.fullmatch(part) else part for part in name.strip().split(".")]
    if not equals or "" in keys or len(keys) > MAX_DEPTH:
        draft.problems.append(f"--set: {text[:SHOWN]!r} should read key.path=value")
        return
    node: Any = draft.table
    for position, key in enumerate(keys[:-1]):
        place = ".".join(map(str, keys[: position + 1]))
        if isinstance(node, dict) and key not in node and isinstance(keys[position + 1], int):
            draft.problems.append(f"--set: {name}: the preset lists no {place}")
            return
        if isinstance(node, list) and isinstance(key, int) and key < len(node):
            node = node[key]
        elif isinstance(node, dict) and isinstance(key, str):
            node = node.setdefault(key, {})
        else:
            draft.problems.append(f"--set: {name}: there is no {place} to go into")
            return
    last, parsed, path = keys[-1], value_of(value.strip()), tuple(keys)
    if isinstance(node, dict) and isinstance(last, str):
        other_name = last == "name" and len(keys) > 1 and keys[-2] != "config" and node.get("name") != parsed
        other_source = path[:-1] == ("teacher",) and last in SOURCES and last not in node
        if other_name or other_source:
            node.clear()
            draft.drop_origins(path[:-1])
            draft.origins[path[:-1]] = "--set"
    elif not (isinstance(node, list) and isinstance(last, int) and last < len(node)):
        draft.problems.append(f"--set: {name}: there is no such place")
        return
    node[last] = parsed
    draft.drop_origins(path)
    draft.note(path, "--set", Path.cwd())


def value_of(text: str) -> Any:  # noqa: ANN401  any TOML value
    """Parse a value of the command line: TOML, or else the text itself."""
    try:
        parsed = toml_text.parse(f"value = {text}")
        return parsed.table["value"] if len(parsed.table) == 1 and parsed.depth <= MAX_DEPTH else text
    except (RecursionError, ValueError):  # tomli's errors are ValueErrors
        return text


def _has_teacher_inside(draft: Draft, config: object) -> bool:
    """Return whether the teacher's whole config is written beside its preset's name, as in a run folder."""
    whole = isinstance(config, dict) and {"data", "student", "method"} <= config.keys()
    files = {draft.origins.get(("teacher", key), "").rpartition(":")[0] for key in ("preset", "config")}
    return whole and len(files) == 1


def _insert_teacher(draft: Draft, teacher: dict[str, Any], above: tuple[Path, ...]) -> None:
    """Read the preset that [teacher] names into `teacher.config`."""
    key: toml_text.Path = ("teacher", "preset")
    path, teacher["config"] = draft.folders.get(key, Path.cwd()) / teacher["preset"], None
    if not files.is_file(path):
        origin = draft.origins.get(key, "preset")
        draft.problems.append(f"{origin}: teacher.preset: no such file {teacher['preset'][:SHOWN]!r}")
        return
    try:
        of_teacher = merged(path, (), above)
    except ConfigError as error:
        draft.problems += error.problems
        return
    draft.problems += of_teacher.problems
    teacher["config"] = of_teacher.table
    for inner, origin in of_teacher.origins.items():
        draft.origins[("teacher", "config", *inner)] = origin


def _file(path: Path) -> tuple[dict[str, Any], dict[toml_text.Path, int]]:
    """Read a file and the lines of its keys; an unchanged file is not read again: a form asks at every key press."""
    try:
        found = path.stat()
    except (OSError, ValueError):  # reading it says why
        return _read(path, None)
    settled = time.time_ns() - found.st_mtime_ns > SETTLED  # two writes of one clock tick look alike
    stamp = (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    table, where = _known(path, stamp) if settled else _read(path, None)
    return deepcopy(table), where


def _read(path: Path, _stamp: object) -> tuple[dict[str, Any], dict[toml_text.Path, int]]:
    text = text_of(path)
    return parse(path, text), toml_text.lines_of(text)


_known = lru_cache(maxsize=32)(_read)


def text_of(path: Path, *, link: bool = True) -> str:
    """Read a file's text; ConfigError when it cannot be read. Links are followed only for paths that the user named."""
    try:
        return toml_text.decoded(files.content_of(_real(path) if link else path, MAX_BYTES))
    except OSError as error:
        why = _TOO_LARGE if error.errno == errno.EOVERFLOW else f": cannot be read: {error.strerror}"
        raise ConfigError([f"{path}{why}"]) from error
    except ValueError as error:  # not UTF-8
        raise ConfigError([f"{path}: not valid TOML: {error}"]) from error


def parse(path: Path, text: str) -> dict[str, Any]:
    """Parse a text that messages call `path`; ConfigError when it is no preset."""
    if len(text) > MAX_BYTES:
        raise ConfigError([f"{path}{_TOO_LARGE}"])
    try:
        parsed = toml_text.parse(text)
    except tomli.TOMLDecodeError as error:
        raise ConfigError([f"{path}:{error.lineno}:{error.colno}: not valid TOML: {error.msg}"]) from error
    except toml_text.TooDottedError as error:
        raise ConfigError([f"{path}: {error}, so it is no preset"]) from error
    except (ValueError, RecursionError) as error:  # endless digits, endless brackets
        raise ConfigError([f"{path}: not valid TOML: {str(error)[:100] or 'nested too deeply'}"]) from error
    if parsed.depth > MAX_DEPTH * 2:
        raise ConfigError([f"{path}: nested deeper than any preset"])
    if parsed.keys > MAX_KEYS:
        raise ConfigError([f"{path}: more than {MAX_KEYS} keys, so it is no preset"])
    return parsed.table


def _real(path: Path) -> Path:
    """Resolve the links of a path that the user named; itself where they lead in a circle."""
    try:
        return Path(os.path.realpath(path))
    except ValueError:  # a zero byte
        return path
