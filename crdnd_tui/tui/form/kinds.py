"""What the annotations of engine.spec mean to a form: which control, which limits, which choices."""

import re
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from crdnd_tui.tui.form.draft import number
from engine.spec.base import Pixels, Spec

Kind = Literal["text", "number", "radius", "list", "switch", "choice"]
_OPEN = r"(:\d+)?"  # of a pattern: an alternative that may go on
_ALTERNATIVES = re.compile(rf"\^\(((?:\w+(?:{re.escape(_OPEN)})?)(?:\|\w+(?:{re.escape(_OPEN)})?)+)\)\$")
_LIMITS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}


@dataclass(frozen=True, kw_only=True)
class Option:
    """One of several values: what is written, what people read, and a remark."""

    value: str
    title: str
    note: str = ""
    aside: str = ""  # a few words to stand beside the title: the name in a preset, the paper


@dataclass(frozen=True, kw_only=True)
class Shape:
    """An annotation, understood."""

    kind: Kind = "text"
    specs: tuple[type[Spec], ...] = ()
    listed: bool = False
    nullable: bool = False
    options: tuple[Option, ...] = ()
    free: bool = False  # another value than the options may be typed
    allowed: str = ""


def shape_of(annotation: object, metadata: Sequence[object] = ()) -> Shape:
    """Of a field's annotation, whatever Annotated and None surround it."""
    inner, found, nullable = _bare(annotation)
    limits = [*metadata, *found]
    if typing.get_origin(inner) is tuple:
        item = shape_of(typing.get_args(inner)[0])
        each = f"any of {', '.join(option.value for option in item.options)}" if item.options else item.allowed
        allowed = f"{each}; commas between them" if each else ""
        return Shape(kind="list", specs=item.specs, listed=True, options=item.options, allowed=allowed)
    specs = _specs(inner)
    if specs:
        return Shape(specs=specs, nullable=nullable)
    if typing.get_origin(inner) is Literal:
        return Shape(kind="choice", options=tuple(Option(value=str(v), title=str(v)) for v in typing.get_args(inner)))
    allowed = _allowed(limits)
    if inner is bool:
        return Shape(kind="switch")
    if isinstance(inner, type) and issubclass(inner, Pixels):
        return Shape(kind="radius", allowed="as 8/255 or 0.031")
    if inner in (int, float):
        word = "whole number" if inner is int else "number"
        return Shape(kind="number", nullable=nullable, allowed=f"{word}{', ' if allowed else ''}{allowed}")
    for limit in limits:
        alternatives = _ALTERNATIVES.fullmatch(str(getattr(limit, "pattern", None) or ""))
        if alternatives:
            words = alternatives[1].replace(_OPEN, "").split("|")
            options = tuple(Option(value=word, title=word) for word in words)
            return Shape(kind="choice", options=options, free=_OPEN in alternatives[1])
    return Shape(nullable=nullable, allowed=allowed)


def _bare(annotation: object) -> tuple[object, list[object], bool]:
    """Without Annotated and None; with the metadata found on the way."""
    metadata: list[object] = []
    nullable = False
    while True:
        origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
        if origin is typing.Annotated:
            metadata += parts[1:]
            annotation = parts[0]
            continue
        if origin in (typing.Union, types.UnionType) and type(None) in parts:
            rest = [part for part in parts if part is not type(None)]
            if len(rest) == 1:
                nullable, annotation = True, rest[0]
                continue
        return annotation, metadata, nullable


def _specs(annotation: object) -> tuple[type[Spec], ...]:
    inner, _, _ = _bare(annotation)
    if isinstance(inner, type) and not isinstance(inner, types.GenericAlias):
        return (inner,) if issubclass(inner, Spec) else ()
    if typing.get_origin(inner) in (typing.Union, types.UnionType):
        return tuple(spec for part in typing.get_args(inner) for spec in _specs(part))
    return ()


def _allowed(metadata: Sequence[object]) -> str:
    """Limits in words; pydantic keeps them as attributes of annotated-types, or within a FieldInfo."""
    limits: dict[str, str] = {}
    for item in metadata:
        for part in item.metadata if isinstance(item, FieldInfo) else [item]:
            limits |= {name: _limit(getattr(part, name)) for name in _LIMITS if hasattr(part, name)}
    if limits.keys() == {"ge", "le"}:
        return f"{limits['ge']} to {limits['le']}"
    return ", ".join(f"{word} {limits[name]}" for name, word in _LIMITS.items() if name in limits)


def _limit(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def is_tag(name: str, info: FieldInfo) -> bool:
    """Whether a field only says of which kind its table is."""
    inner, _, _ = _bare(info.annotation)
    return name == "name" and typing.get_origin(inner) is Literal and len(typing.get_args(inner)) == 1


def tag(spec: type[Spec]) -> str:
    """The `name` by which a preset chooses this kind; empty when it is chosen otherwise."""
    return str(spec.model_fields["name"].default) if "name" in spec.model_fields else ""


def option(name: str, spec: type[Spec], table: object = None) -> Option:
    """A kind as a choice: its title, its paper, its first sentence. `table` is what is known of the chosen one."""
    first = doc(spec).partition("\n")[0]
    paper = str(getattr(spec, "paper", "")).strip("-")
    known = f"{paper}. " if paper and paper not in first else ""
    title = _title(name, spec, table)
    aside = [*([name] if name not in (title, title.lower()) else []), *([paper] if paper else [])]
    return Option(value=name, title=title, note=known + first, aside=", ".join(aside))


def _title(name: str, spec: type[Spec], table: object) -> str:
    title = getattr(spec, "title", name)
    if not isinstance(title, property):
        return str(title)
    known = table if isinstance(table, Mapping) else {}
    try:
        return str(spec.model_validate({**known, "name": name}).title)  # type: ignore[attr-defined]
    except ValidationError:  # of such a table nothing is known but its name
        return name


def doc(spec: type[Spec] | None) -> str:
    """The words of a kind."""
    return "\n".join(line.strip() for line in ((spec.__doc__ if spec else "") or "").strip().splitlines())


def table_of(value: object) -> dict[str, Any] | None:
    """A spec as the shortest table that says it: its name, and what differs from its kind."""
    if not isinstance(value, Spec):
        return None
    name = {"name": tag(type(value))} if tag(type(value)) else {}
    return name | value.model_dump(mode="json", exclude_defaults=True)


def same(one: object, other: object) -> bool:
    """Whether two values mean the same to a preset; nearly equal numbers do not."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, int | float) and isinstance(other, int | float):
        return float(one) == float(other)
    return shown(one) == shown(other)


def shown(value: object, *, short: bool = False) -> str:
    """A value as it is typed into the form; `short` rounds numbers that are only looked at."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case Pixels():
            return str(value)
        case float():
            return f"{value:.6g}" if short else repr(float(value))
        case list() | tuple():
            return ", ".join(shown(part, short=short) for part in value)
        case Mapping():
            return str(value.get("name", ""))
    return str(value)[:200]


def read(kind: str, text: str, items: Shape | None = None) -> Any:  # noqa: ANN401  any TOML value
    """What was typed, as a TOML value. What makes no sense is kept as text, for the spec to complain about."""
    text = text.strip()
    if kind == "list":
        parts = [part.strip() for part in text.strip("[]").split(",")]
        inner = items.options if items else ()
        return [part if inner else read("number", part) for part in parts if part]
    if kind == "switch":
        return text == "true"
    if kind in ("number", "radius"):
        try:
            return number(text)
        except ValueError:
            return text
    return text
