"""The form of a preset, made from the types of engine.spec: a new method, model, data set or attack appears by itself.

Nothing here knows a name of the spec but the tabs; what no tab names stands on the last one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pydantic.fields import FieldInfo

from crdnd_tui.tui.form import kinds
from crdnd_tui.tui.form.draft import Key
from crdnd_tui.tui.form.kinds import Option, Shape
from engine.spec.base import Spec
from engine.spec.config import SOURCES, RunConfig
from engine.spec.robustbench import models

TABS: dict[str, tuple[str, ...]] = {
    "Pair": ("student", "teacher"),
    "Data": ("data",),
    "Method": ("method",),
    "Threat": ("threat_model", "inner"),
    "Training": ("training", "selection"),
    "Attacks": ("evaluation",),
    "Run": ("name", "seed"),
}
NONE = ""  # the value of "no teacher"
MACHINE = "(machine)"  # the first part of keys that no preset has
ELSEWHERE = frozenset({"data", "runs"})  # folders are flags of the program

Kind = Literal["heading", "text", "number", "radius", "list", "switch", "choice", "kind", "source", "attack"]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One row of the form. `value` is what the preset itself says, `default` what holds when it says nothing."""

    key: Key
    kind: Kind
    label: str
    help: str = ""
    allowed: str = ""  # limits, in words
    value: Any = None
    default: Any = None
    options: tuple[Option, ...] = ()
    required: bool = False
    free: bool = False  # options are proposals; another value may be typed
    depth: int = 0
    note: str = ""  # beside an attack: how it differs from its kind
    items: Shape | None = None  # of a list

    @property
    def dotted(self) -> str:
        """The key as messages write it."""
        return ".".join(str(part) for part in self.key)


@dataclass(frozen=True, kw_only=True)
class Sources:
    """What a teacher may be made of, here and now."""

    runs: Sequence[Option] = ()
    presets: Sequence[Option] = ()


@dataclass(frozen=True, kw_only=True)
class _Place:
    """A table in the making, seen three ways: merged, as the text has it, as it would be without the text."""

    merged: Any = None
    own: Any = None
    beneath: Any = None
    given: Any = None  # the spec's own default, an instance

    def at(self, key: str | int) -> "_Place":
        return _Place(
            merged=_get(self.merged, key),
            own=_get(self.own, key),
            beneath=_get(self.beneath, key),
            given=getattr(self.given, str(key), None) if isinstance(self.given, Spec) else _get(self.given, key),
        )


@dataclass(frozen=True, kw_only=True)
class Form:
    """Builds the rows of a tab from the tables of a Reading."""

    merged: Mapping[str, Any]
    own: Mapping[str, Any]
    beneath: Mapping[str, Any]
    extended: Mapping[str, Any] = field(default_factory=dict)  # the same, with kinds that the preset changed
    sources: Sources = field(default_factory=Sources)
    opened: frozenset[Key] = frozenset()  # attacks whose settings are shown

    def tab(self, name: str) -> list[Entry]:
        """The rows of one tab."""
        root = _Place(merged=self.merged, own=self.own, beneath=self.beneath)
        entries: list[Entry] = []
        for part in fields_of(name):
            info = RunConfig.model_fields[part]
            place = root.at(part)
            default = None if info.is_required() else info.get_default()
            entries += self._entries((part,), info, replace(place, given=default), 0)
        return entries

    def machine(self, spec: type[Spec], own: Mapping[str, Any], beneath: Mapping[str, Any]) -> list[Entry]:
        """Rows for what is no part of a preset: where it is computed."""
        place = _Place(merged=own, own=own, beneath=beneath)
        rows = [row for row in self._inside((MACHINE,), spec, place, 0) if row.key[-1] not in ELSEWHERE]
        return [Entry(key=(MACHINE,), kind="heading", label="machine", help=kinds.doc(spec)), *rows]

    def _entries(self, key: Key, info: FieldInfo, place: _Place, depth: int) -> Iterator[Entry]:
        shape = kinds.shape_of(info.annotation, info.metadata)
        if shape.specs and shape.listed:
            yield from self._suite(key, info, shape, place, depth)
        elif shape.specs and len(shape.specs) > 1:
            yield from self._union(key, info, shape, place, depth)
        elif shape.specs:
            if shape.specs[0] is not RunConfig:
                yield Entry(key=key, kind="heading", label=_words(key), help=kinds.doc(shape.specs[0]), depth=depth)
                yield from self._inside(key, shape.specs[0], place, depth)
        else:
            yield self._plain(key, info, shape, place, depth)

    def _inside(self, key: Key, spec: type[Spec], place: _Place, depth: int) -> Iterator[Entry]:
        given = place.given if isinstance(place.given, spec) else None
        for name, info in spec.model_fields.items():
            if kinds.is_tag(name, info):
                continue
            inner = place.at(name)
            default = getattr(given, name) if given is not None else None if info.is_required() else info.get_default()
            yield from self._entries((*key, name), info, replace(inner, given=default), depth)

    def _plain(self, key: Key, info: FieldInfo, shape: Shape, place: _Place, depth: int) -> Entry:
        options = self._proposals(key) if key[0] == "teacher" else ()
        return Entry(
            key=key,
            kind="choice" if options else shape.kind,
            label=_words(key[-1:]),
            help=info.description or "",
            allowed=shape.allowed,
            value=place.own if not isinstance(place.own, Mapping) else None,
            default=place.given if place.beneath is None else place.beneath,
            options=options or shape.options,
            required=info.is_required(),
            free=bool(options) or shape.free,
            depth=depth,
            items=shape if shape.kind == "list" else None,
        )

    def _proposals(self, key: Key) -> tuple[Option, ...]:
        """Teachers to choose from."""
        data = _get(self.merged.get("data"), "name")
        match key[-1]:
            case "robustbench":
                return tuple(
                    Option(value=name, title=name, note=words, aside=words)
                    for (of, name), model in models().items()
                    if of == data
                    for words in [f"{model.title}, AutoAttack {100 * model.autoattack:.1f} %"]
                )
            case "run":
                return tuple(self.sources.runs)
            case "preset":
                return tuple(self.sources.presets)
        return ()

    def _union(self, key: Key, info: FieldInfo, shape: Shape, place: _Place, depth: int) -> Iterator[Entry]:
        tagged = {kinds.tag(spec): spec for spec in shape.specs}
        by_source = not all(tagged)
        if by_source:
            tagged = {next(s for s in SOURCES if s in spec.model_fields): spec for spec in shape.specs}
        chosen, own, default = (
            _chosen(table, tuple(tagged), by_source)
            for table in (place.merged, place.own, self._extended(key) or kinds.table_of(place.given))
        )
        if chosen is None and place.merged is None:
            chosen = default
        options = tuple(
            kinds.option(name, spec, place.merged if name == chosen else None) for name, spec in tagged.items()
        )
        if shape.nullable:
            options = (Option(value=NONE, title="none", note="the method learns from the labels alone"), *options)
        spec = tagged.get(chosen or "")
        yield Entry(
            key=key,
            kind="source" if by_source else "kind",
            label=_words(key[-1:]),
            help=kinds.doc(spec) if spec else info.description or "",
            value=own if own is not None else chosen if chosen != default else None,
            default=default if default is not None or not shape.nullable else NONE,
            options=options,
            required=info.is_required(),
            depth=depth,
        )
        if spec is not None:
            inner = place if isinstance(place.given, spec) else replace(place, given=None)
            rows = list(self._inside(key, spec, inner, depth + 1))
            yield from sorted(rows, key=lambda row: row.key != (*key, chosen))  # what the source names comes first

    def _extended(self, key: Key) -> Any:  # noqa: ANN401  any TOML value
        node: Any = self.extended
        for part in key:
            node = _get(node, part)
        return node

    def _suite(self, key: Key, info: FieldInfo, shape: Shape, place: _Place, depth: int) -> Iterator[Entry]:
        """A checklist: what is listed, in its order, then what could be."""
        tagged = {kinds.tag(spec): spec for spec in shape.specs}
        listed = listing(place.merged, place.given)
        yield Entry(key=key, kind="heading", label=_words(key), help=info.description or "", depth=depth)
        for number, item in enumerate(listed):
            name = str(_get(item, "name"))
            spec = tagged.get(name)
            at = (*key, number)
            options = (kinds.option(name, spec),) if spec else ()
            note = ", ".join(f"{_words([k])} {kinds.shown(v, short=True)}" for k, v in item.items() if k != "name")
            label = options[0].title if options else name
            yield Entry(
                key=at,
                kind="attack",
                label=label,
                help=kinds.doc(spec),
                value=True,
                options=options,
                note=note,
                depth=1,
            )
            if at in self.opened and spec is not None:
                own = _get(place.own, number)
                inner = _Place(merged=item, own=own, beneath=None if own else item)
                yield from sorted(self._inside(at, spec, inner, depth + 2), key=lambda row: row.key[-1] == "label")
        names = {str(_get(item, "name")) for item in listed}
        for name, spec in tagged.items():
            if name not in names:
                option = kinds.option(name, spec)
                yield Entry(
                    key=(*key, name), kind="attack", label=option.title, help=kinds.doc(spec), value=False,
                    options=(option,), depth=1,
                )  # fmt: skip


def fields_of(tab: str) -> tuple[str, ...]:
    """Fields of RunConfig that a tab holds; the last tab takes what no other has."""
    named = [name for names in TABS.values() for name in names]
    more = [name for name in RunConfig.model_fields if name not in named] if tab == next(reversed(TABS)) else []
    return (*TABS[tab], *more)


def tab_of(key: str) -> str | None:
    """The tab on which a dotted key stands; None when it stands on none."""
    first = key.partition(".")[0]
    if first == MACHINE:
        return next(reversed(TABS))
    return next((tab for tab in TABS if first in fields_of(tab)), None)


def listing(merged: object, given: object) -> list[dict[str, Any]]:
    """A suite as the text has it, or as the spec has it by itself; tables of what differs from each kind."""
    if isinstance(merged, list):
        return [dict(item) if isinstance(item, Mapping) else {"name": str(item)} for item in merged]
    if isinstance(given, tuple):
        return [kinds.table_of(item) or {} for item in given]
    return []


def _chosen(table: object, names: Sequence[str], by_source: bool) -> str | None:
    if not isinstance(table, Mapping):
        return None
    if by_source:
        return next((name for name in names if name in table), None)
    name = table.get("name")
    return str(name) if isinstance(name, str) else None


def _get(node: object, key: object) -> Any:  # noqa: ANN401  any TOML value
    if isinstance(node, Mapping):
        return node.get(key)
    if isinstance(node, list) and isinstance(key, int) and key < len(node):
        return node[key]
    return None


def _words(key: Sequence[str | int]) -> str:
    """A key as people say it."""
    return " ".join(str(part) for part in key).replace("_", " ")
