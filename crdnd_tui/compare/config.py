"""The keys of config in which compared rows differ. Pure."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crdnd_tui.compare.rows import ComparisonRow
from crdnd_tui.core.text import one_line

MISSING = "\u2013"
MAX_DEPTH = 12
_FOLD = 3  # keys at least that become one line
_DECIMAL = re.compile(r"-?\d+\.\d{5,}|-?\d{7,}\.\d+")
_WORDS = frozenset({"name", "teacher.preset", "teacher.config.name"})  # what things are called; no number hangs on it


@dataclass(frozen=True, kw_only=True)
class ConfigKey:
    path: str
    values: tuple[str, ...]

    @property
    def differs(self) -> bool:
        return len(set(self.values)) > 1


def leaves(
    value: Any,  # noqa: ANN401  any TOML
    key: Callable[[str], str], items: Callable[[Sequence[Any]], Sequence[str]], at: str = "", depth: int = 0,
) -> Iterator[tuple[str, Any]]:  # fmt: skip
    """(dotted path, value) of all that is no table; `key` words a key, `items` name the tables of a list."""
    is_deep = depth >= MAX_DEPTH
    if not is_deep and isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        value = dict(zip(items(value), value, strict=True))
    if not is_deep and isinstance(value, Mapping) and value:
        for name, inner in value.items():
            part = key(str(name))
            yield from leaves(inner, key, items, f"{at}.{part}" if at else part, depth + 1)
    else:
        yield at, value


def flatten(table: Mapping[str, Any]) -> dict[str, str]:
    """Nested tables as dotted paths; tables in a list go by their label or name, so that their order says nothing."""
    found = leaves(table, lambda key: one_line(key, 60), _item_names)
    return {path: _text(value) for path, value in found if path not in _WORDS}


def _item_names(tables: Sequence[Mapping[str, Any]]) -> list[str]:
    names: list[str] = []
    for place, item in enumerate(tables):
        name = one_line(str(item.get("label") or item.get("name") or place), 60)
        names.append(f"{name}[{place}]" if name in names else name)
    return names


def _text(value: Any) -> str:  # noqa: ANN401  any TOML
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return one_line(value, 80) or '""'
        case list():
            return one_line(", ".join(_text(item) for item in value), 80) or "[]"
        case Mapping():
            return "{}" if not value else "{...}"
        case _:
            return one_line(str(value), 80)


def all_keys(tables: Sequence[Mapping[str, Any]]) -> list[ConfigKey]:
    """All keys of all runs: first those that every run has, then those that some lack."""
    flat = [flatten(table) for table in tables]
    paths = list(dict.fromkeys(path for table in flat for path in table))
    shared = [path for path in paths if all(path in table for table in flat)]
    order = [path.partition(".")[0] for path in paths]
    some = [path for path in paths if not all(path in table for table in flat)]
    some.sort(key=lambda path: order.index(path.partition(".")[0]))  # one table's keys stay together
    return [ConfigKey(path=p, values=_short([table.get(p, MISSING) for table in flat])) for p in [*shared, *some]]


def _short(values: Sequence[str]) -> tuple[str, ...]:
    """Long decimal fractions in four digits, as long as what differs still does."""
    short = tuple(f"{float(v):.4g}" if _DECIMAL.fullmatch(v) else v for v in values)
    return short if len(set(short)) == len(set(values)) else tuple(values)


def config_keys(rows: Sequence[ComparisonRow]) -> list[ConfigKey]:
    """The same with one value for each row; the runs of a group that differ are listed: `0, 1, 2`."""
    known = all_keys([run.config for row in rows for run in row.runs])
    merged: list[ConfigKey] = []
    for key in known:
        place, values = 0, []
        for row in rows:
            inner = key.values[place : place + len(row.runs)]
            numbers = all(value.isdecimal() for value in inner)
            values.append(", ".join(dict.fromkeys(sorted(inner, key=int) if numbers else inner)))
            place += len(row.runs)
        merged.append(ConfigKey(path=key.path, values=tuple(values)))
    return merged


def fold_keys(known: Sequence[ConfigKey]) -> list[ConfigKey]:
    """Keys of one table that the same rows lack, and the others agree on, as one: `method.*`, `18 keys`, a dash.

    What differs among those that have it stays on its own.
    """
    homes: dict[tuple[str, tuple[bool, ...]], list[ConfigKey]] = {}
    for key in known:
        homes.setdefault(_home(key), []).append(key)
    shown: list[ConfigKey] = []
    for key in known:
        together = homes[_home(key)]
        if not _agree(key) or sum(map(_agree, together)) < _FOLD:
            shown.append(key)
            continue
        alike = [one for one in together if _agree(one)]
        if key is alike[0]:
            counted = tuple(MISSING if value == MISSING else f"{len(alike)} keys" for value in key.values)
            shown.append(ConfigKey(path=f"{key.path.partition('.')[0]}.*", values=counted))
    return shown


def _home(key: ConfigKey) -> tuple[str, tuple[bool, ...]]:
    return key.path.partition(".")[0], tuple(value == MISSING for value in key.values)


def _agree(key: ConfigKey) -> bool:
    """Whether somebody lacks the key, and all others have the same value."""
    return MISSING in key.values and len(set(key.values)) == 2
