"""A preset that is being written: what its text says so far, what lies beneath it, and every mistake with its key."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from engine.spec import lines, toml
from engine.spec.config import RunConfig
from engine.spec.errors import ConfigError
from engine.spec.explain import explain, in_file_order

UNSAVED = Path("preset")  # what messages call a text that lies nowhere yet


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One mistake, as `toml.load` would tell it."""

    line: str  # file:line: key.path: message
    key: str = ""  # dotted path; empty when the text cannot be read at all
    message: str = ""  # without file, line and key


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A text, understood as far as it can be."""

    config: RunConfig | None = None  # None while there are problems
    table: dict[str, Any] = field(default_factory=dict)  # merged with all that it extends
    own: dict[str, Any] = field(default_factory=dict)  # the text's own keys alone
    extended: dict[str, Any] = field(default_factory=dict)  # what it is laid over
    beneath: dict[str, Any] = field(default_factory=dict)  # of that, what would hold without single keys of its own
    problems: tuple[Problem, ...] = ()


def understand(text: str, path: Path | None = None) -> Reading:
    """Never raises for what a text says. `path` is where it lies, or will: relative presets are sought beside it."""
    where = path or UNSAVED
    try:
        own = toml.parse(where, text)
    except ConfigError as error:
        return Reading(problems=_told(error.problems))
    base = own.pop("extends", None)
    try:
        draft = toml.merged(where, text=text)
        extended = toml.merged(where.resolve().parent / base).table if isinstance(base, str) else {}
    except ConfigError as error:
        return Reading(table=own, own=own, problems=_told(error.problems))
    table = deepcopy(draft.table)
    found = _told(draft.problems)
    config = None
    try:
        config = RunConfig.model_validate(draft.table)
    except ValidationError as error:
        found += _told(explain(error, RunConfig, draft.table, draft.origins))
    order = {text: place for place, text in enumerate(in_file_order([problem.line for problem in found]))}
    return Reading(
        config=None if found else config,
        table=table,
        own=own,
        extended=extended,
        beneath=_beneath(extended, own),
        problems=tuple(sorted(found, key=lambda problem: order[problem.line])),
    )


def _told(problems: Sequence[str]) -> tuple[Problem, ...]:
    """Whole lines taken apart: `file:line: key: message`, some without a key."""
    found = []
    for line in problems:
        _, _, rest = line.partition(": ")
        key, _, message = rest.partition(": ")
        if message and " " not in key:
            found.append(Problem(line=line, key="" if key == "preset" else key, message=message))
        else:
            found.append(Problem(line=line, message=rest or line))
    return tuple(found)


def _beneath(below: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """What is extended, less the tables of which the text names another kind."""
    kept = dict(below)
    for key, value in own.items():
        found = below.get(key)
        if isinstance(value, dict) and isinstance(found, dict):
            kept[key] = {} if toml.other_kind(found, value, key) else _beneath(found, value)
    return kept


def key_of(dotted: str) -> lines.Path:
    """The path of a key as messages write it."""
    return tuple(int(part) if part.isdecimal() else part for part in dotted.split("."))


def line_of(text: str, key: lines.Path) -> int | None:
    """Where a key, or the nearest table around it, is written; counted from 1."""
    where = lines.lines_of(text)
    return next((where[key[:end]] for end in range(len(key), 0, -1) if key[:end] in where), None)
