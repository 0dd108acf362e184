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

from engine.spec import files, lines
from engine.spec.config import SOURCES, JudgeConfig, RunConfig, name_protocol
from engine.spec.errors import ConfigError
from engine.spec.explain import explain, in_file_order
from engine.spec.written import MARK, decoded

MAX_BYTES = 64 * 1024
MAX_DEPTH = 8  # a preset has no more levels, and deep nesting is how a file attacks its reader
MAX_KEYS = 2000  # of all tables together; a resolved config has a hundred
MAX_CHAIN = 16  # presets that lie over each other, or are the teachers of each other
ENDLESS = 10**400  # stands for larger whole numbers: in hexadecimal any length is read, and some cannot be printed
SHOWN = 200  # characters of a value in a message
SETTLED = 2 * 10**9  # nanoseconds after which a file counts as written
_UNTOLD = (ArithmeticError, RecursionError)  # what pydantic lets through: numbers and nestings without end
_INDEX = re.compile("[0-9]{1,4}")


@dataclass
class Draft:
    """A preset on its way: the merged table, where each key was written, and what is wrong so far."""

    table: dict[str, Any] = field(default_factory=dict)
    origins: dict[lines.Path, str] = field(default_factory=dict)
    folders: dict[lines.Path, Path] = field(default_factory=dict)  # which file's folder a key's path is relative to
    problems: list[str] = field(default_factory=list)

    def forget(self, *replaced: lines.Path) -> None:
        """What lay inside values that are replaced was written nowhere any more."""
        gone = set(replaced)
        for noted in (self.origins, self.folders):
            for key in [key for key in noted if any(key[:end] in gone for end in range(len(key) + 1))]:
                del noted[key]


def load(path: Path, overrides: Sequence[str] = (), seed: int | None = None) -> RunConfig:
    """The run that a preset asks for, with `key.path=value` overrides; ConfigError with every mistake."""
    settings = [*overrides, *([] if seed is None else [f"seed={seed}"])]
    draft = merged(path, settings)
    try:
        config = RunConfig.model_validate(draft.table)
    except ValidationError as error:
        draft.problems += explain(error, RunConfig, draft.table, draft.origins)
    except _UNTOLD as error:
        draft.problems.append(f"{path}: a value is out of all proportion: {str(error)[:100]}")
    if draft.problems:
        raise ConfigError(in_file_order(draft.problems))
    return config


def read(path: Path) -> RunConfig | JudgeConfig:
    """The resolved config of a run folder; ConfigError, too, where it is a link."""
    table = parse(path, text_of(path, link=False))
    name_protocol(table)
    kind = JudgeConfig if table.get("kind") == "evaluation" else RunConfig
    try:
        return kind.model_validate(table)
    except ValidationError as error:
        raise ConfigError(explain(error, kind, table, {(): str(path)})) from error
    except _UNTOLD as error:
        raise ConfigError([f"{path}: a value is out of all proportion: {str(error)[:100]}"]) from error


def dump(config: RunConfig | JudgeConfig) -> str:
    """TOML with every default written out."""
    return tomlkit.dumps(_names_first(config.to_table()))


def _names_first(value: Any) -> Any:  # noqa: ANN401  any TOML value
    """Tables that say what they are before anything else; plain values before tables, as TOML wants them."""
    if isinstance(value, list):
        return [_names_first(item) for item in value]
    if not isinstance(value, dict):
        return value
    keys = sorted(value, key=lambda key: (isinstance(value[key], dict), key not in ("kind", "name")))
    return {key: _names_first(value[key]) for key in keys}


def schema() -> dict[str, Any]:
    """JSON Schema of a preset, for editors."""
    described = RunConfig.model_json_schema()
    root = described["$defs"]["RunConfig"]  # among the definitions, for a teacher's preset is one, too
    root["properties"]["extends"] = {"type": "string", "description": "another preset that this one is laid over"}
    root["anyOf"] = [{"required": root.pop("required")}, {"required": ["extends"]}]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "crdnd preset", **described}


def merged(path: Path, overrides: Sequence[str] = (), above: tuple[Path, ...] = (), text: str | None = None) -> Draft:
    """A preset merged with those it extends and its overrides, its teacher's preset laid in.

    With `text`, that stands in place of the file's content: a preset that is being written.
    """
    draft = _extended(path, above, text)
    for setting in overrides:
        if not setting.startswith("teacher.config."):
            _override(draft, setting)
    teacher = draft.table.get("teacher")
    named = isinstance(teacher, dict) and isinstance(teacher.get("preset"), str) and teacher["preset"]
    if isinstance(teacher, dict) and named and not _is_laid_in(draft, teacher.get("config")):
        _lay_in_teacher(draft, teacher, (*above, _real(path)))
    for setting in overrides:
        if setting.startswith("teacher.config."):
            _override(draft, setting)
    return draft


def _extended(path: Path, above: tuple[Path, ...], text: str | None = None) -> Draft:
    resolved = _real(path)
    if len(above) >= MAX_CHAIN:
        raise ConfigError([f"{path}: more than {MAX_CHAIN} presets lead to each other"])
    if resolved in above:
        chain = " -> ".join(p.name for p in (*above[above.index(resolved) :], resolved))
        raise ConfigError([f"{path}: presets lead in a circle: {chain}"])
    table, where = _file(path) if text is None else (parse(path, text), lines.lines_of(text))
    base = table.pop("extends", None)
    if base is None:
        draft = Draft()
    elif isinstance(base, str):
        below = resolved.parent / base
        if not files.is_file(below):
            raise ConfigError([f"{path}:{where.get(('extends',), 1)}: extends: there is no preset {base[:SHOWN]!r}"])
        draft = _extended(below, (*above, resolved))
    else:
        raise ConfigError([f"{path}:{where.get(('extends',), 1)}: extends: should be the path of a preset"])
    draft.origins[()] = str(path)
    draft.forget(*_merge(draft.table, table, ()))
    for key, line in where.items():
        draft.origins[key] = f"{path}:{line}"
        draft.folders[key] = resolved.parent
    return draft


def _merge(below: dict[str, Any], above: dict[str, Any], at: lines.Path) -> list[lines.Path]:
    """Lay one table over another, in place; `at` is where both lie. Returns the paths that were replaced."""
    replaced: list[lines.Path] = []
    for key, value in above.items():
        found = below.get(key)
        if isinstance(value, dict) and isinstance(found, dict) and not other_kind(found, value, key):
            replaced += _merge(found, value, (*at, key))
        else:
            below[key] = value
            replaced.append((*at, key))
    return replaced


def other_kind(below: dict[str, Any], above: dict[str, Any], key: str) -> bool:
    """Whether a table names something else than the one it is laid over, whose keys then do not apply."""
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
        if isinstance(node, dict) and key not in node and isinstance(keys[position + 1], int):
            draft.problems.append(f"--set: {name}: the preset lists no {'.'.join(map(str, keys[: position + 1]))}")
            return
        if isinstance(node, list) and isinstance(key, int) and key < len(node):
            node = node[key]
        elif isinstance(node, dict) and isinstance(key, str):
            node = node.setdefault(key, {})
        else:
            where = ".".join(str(part) for part in keys[: position + 1])
            draft.problems.append(f"--set: {name}: there is no {where} to go into")
            return
    last, parsed = keys[-1], value_of(value.strip())
    if isinstance(node, dict) and isinstance(last, str):
        other_name = last == "name" and len(keys) > 1 and keys[-2] != "config" and node.get("name") != parsed
        other_source = keys[:-1] == ["teacher"] and last in SOURCES and last not in node
        if other_name or other_source:
            node.clear()
            draft.forget(tuple(keys[:-1]))
            draft.origins[tuple(keys[:-1])] = "--set"
        node[last] = parsed
    elif isinstance(node, list) and isinstance(last, int) and last < len(node):
        node[last] = parsed
    else:
        draft.problems.append(f"--set: {name}: there is no such place")
        return
    draft.forget(tuple(keys))
    draft.origins[tuple(keys)] = "--set"
    draft.folders[tuple(keys)] = Path.cwd()


def value_of(text: str) -> Any:  # noqa: ANN401  any TOML value
    """What was set on a command line: a TOML value, or else the text itself."""
    try:
        table = tomli.loads(f"value = {text}")
        _count_and_bound(table)
        return table["value"] if len(table) == 1 and _depth(table) <= MAX_DEPTH else text
    except (RecursionError, ValueError):  # tomli's errors are ValueErrors
        return text


def _is_laid_in(draft: Draft, config: object) -> bool:
    """Whether the teacher's whole config was written beside its preset's name, as a run folder has it."""
    whole = isinstance(config, dict) and {"data", "student", "method"} <= config.keys()
    files = {draft.origins.get(("teacher", key), "").rpartition(":")[0] for key in ("preset", "config")}
    return whole and len(files) == 1


def _lay_in_teacher(draft: Draft, teacher: dict[str, Any], above: tuple[Path, ...]) -> None:
    """Read the preset that a [teacher] names, and make it part of this one."""
    key: lines.Path = ("teacher", "preset")
    path = draft.folders.get(key, Path.cwd()) / teacher["preset"]
    if not files.is_file(path):
        draft.problems.append(
            f"{draft.origins.get(key, 'preset')}: teacher.preset: no such file {teacher['preset'][:SHOWN]!r}"
        )
        teacher["config"] = None
        return
    try:
        of_teacher = merged(path, (), above)
    except ConfigError as error:
        draft.problems += error.problems
        teacher["config"] = None
        return
    draft.problems += of_teacher.problems
    teacher["config"] = of_teacher.table
    for inner, origin in of_teacher.origins.items():
        draft.origins[("teacher", "config", *inner)] = origin


def _file(path: Path) -> tuple[dict[str, Any], dict[lines.Path, int]]:
    """What a file says, and where; one that is as it was is not read again, for a form asks at every key press."""
    try:
        found = path.stat()
    except (OSError, ValueError):  # reading it says why
        return _read(path, None)
    settled = time.time_ns() - found.st_mtime_ns > SETTLED  # two writes of one clock tick look alike
    stamp = (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    table, where = _known(path, stamp) if settled else _read(path, None)
    return deepcopy(table), where


def _read(path: Path, _stamp: object) -> tuple[dict[str, Any], dict[lines.Path, int]]:
    text = text_of(path)
    return parse(path, text), lines.lines_of(text)


_known = lru_cache(maxsize=32)(_read)


def text_of(path: Path, *, link: bool = True) -> str:
    """What a file holds, as it is written; ConfigError when it cannot be read. A link may be named by the user only."""
    try:
        return decoded(files.content_of(_real(path) if link else path, MAX_BYTES))
    except OSError as error:
        if error.errno == errno.EOVERFLOW:
            raise ConfigError([f"{path}: larger than {MAX_BYTES // 1024} KiB, so it is no preset"]) from error
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from error
    except ValueError as error:  # not UTF-8
        raise ConfigError([f"{path}: not valid TOML: {error}"]) from error


def parse(path: Path, text: str) -> dict[str, Any]:
    """The table that a text holds; ConfigError, which calls it `path`, when it is no preset."""
    if len(text) > MAX_BYTES:
        raise ConfigError([f"{path}: larger than {MAX_BYTES // 1024} KiB, so it is no preset"])
    if files.is_too_dotted(text):
        raise ConfigError([f"{path}: a line of more than {files.MAX_DOTS} dots, so it is no preset"])
    try:
        table = tomli.loads(text.removeprefix(MARK))
        too_deep, keys = _depth(table) > MAX_DEPTH * 2, _count_and_bound(table)
    except tomli.TOMLDecodeError as error:
        raise ConfigError([f"{path}:{error.lineno}:{error.colno}: not valid TOML: {error.msg}"]) from error
    except (ValueError, RecursionError) as error:  # endless digits, endless brackets
        raise ConfigError([f"{path}: not valid TOML: {str(error)[:100] or 'nested too deeply'}"]) from error
    if too_deep or keys > MAX_KEYS:
        what = "nested deeper than any preset" if too_deep else f"more than {MAX_KEYS} keys, so it is no preset"
        raise ConfigError([f"{path}: {what}"])
    return table


def _real(path: Path) -> Path:
    """Where the links of a path that the user named lead; itself where they lead in a circle."""
    try:
        return Path(os.path.realpath(path))
    except ValueError:  # a zero byte
        return path


def _count_and_bound(table: dict[str, Any]) -> int:
    """How many keys all tables in it have. Whole numbers that nobody can print become ENDLESS, in place."""
    keys, left = 0, list[Any]([table])
    while left:
        item = left.pop()
        keys += len(item) if isinstance(item, dict) else 0
        for place, value in list(item.items() if isinstance(item, dict) else enumerate(item)):
            if isinstance(value, dict | list):
                left.append(value)
            elif isinstance(value, int) and value.bit_length() > ENDLESS.bit_length():
                item[place] = ENDLESS if value > 0 else -ENDLESS
    return keys


def _depth(value: object) -> int:
    """Levels of tables and arrays; walked level by level, for a file may nest deeper than functions can."""
    depth, level = 0, [value]
    while any(isinstance(item, dict | list) for item in level):
        depth += 1
        inside = (item.values() if isinstance(item, dict) else item for item in level if isinstance(item, dict | list))
        level = [item for items in inside for item in items]
    return depth
