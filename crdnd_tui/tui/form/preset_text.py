"""A preset that is being written: what its text says so far, what lies beneath it, and every mistake with its key."""

from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.spec import toml, toml_text
from engine.spec.config import RunConfig
from engine.spec.errors import ConfigError

UNSAVED = Path("preset")  # what messages call a text that lies nowhere yet


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One mistake of a preset, as `load` would tell it."""

    line: str  # file:line: key.path: message
    key: str = ""  # dotted path; empty when the text cannot be read at all
    message: str = ""  # without file, line and key


@dataclass(frozen=True, kw_only=True)
class Understanding:
    """The text of a preset, understood as far as it can be."""

    config: RunConfig | None = None  # None while there are problems
    table: dict[str, Any] = field(default_factory=dict)  # merged with all that it extends
    own: dict[str, Any] = field(default_factory=dict)  # the text's own keys alone
    extended: dict[str, Any] = field(default_factory=dict)  # what it is laid over
    beneath: dict[str, Any] = field(default_factory=dict)  # of that, what would hold without single keys of its own
    problems: tuple[Problem, ...] = ()


def understand(text: str, path: Path | None = None) -> Understanding:
    """Never raises for what a text says. `path` is where it lies, or will: relative presets are sought beside it."""
    where, own = path or UNSAVED, dict[str, Any]()
    try:
        own = toml.parse(where, text)
        base = own.pop("extends", None)
        draft = toml.merged(where, text=text)
        extended = toml.merged(where.resolve().parent / base).table if isinstance(base, str) else {}
    except ConfigError as error:
        return Understanding(table=own, own=own, problems=tuple(map(_problem, error.problems)))
    table, config = deepcopy(draft.table), draft.validated()
    return Understanding(
        config=config,
        table=table,
        own=own,
        extended=extended,
        beneath=_beneath(extended, own),
        problems=tuple(map(_problem, draft.problems)),
    )


def _problem(line: str) -> Problem:
    """A whole line taken apart: `file:line: key: message`, some without a key."""
    _, _, rest = line.partition(": ")
    key, _, message = rest.partition(": ")
    if message and " " not in key:
        return Problem(line=line, key="" if key == "preset" else key, message=message)
    return Problem(line=line, message=rest or line)


def _beneath(below: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """What is extended, less the tables of which the text names another kind."""
    kept = dict(below)
    for key, value in own.items():
        found = below.get(key)
        if isinstance(value, dict) and isinstance(found, dict):
            kept[key] = {} if toml.is_other_kind(found, value, key) else _beneath(found, value)
    return kept


def key_of(dotted: str) -> toml_text.KeyPath:
    """The path of a key as messages write it."""
    return tuple(int(part) if part.isdecimal() else part for part in dotted.split("."))


def line_of(text: str, key: toml_text.KeyPath) -> int | None:
    """Where a key, or the nearest table around it, is written; counted from 1."""
    where = toml_text.lines_of(text)
    return next((where[key[:end]] for end in range(len(key), 0, -1) if key[:end] in where), None)
