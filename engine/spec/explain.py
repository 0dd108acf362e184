"""Explain validation errors to the person who wrote the preset: file, line, key, what is allowed."""

import re
import typing
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from engine.spec.base import Spec
from engine.spec.config import SOURCES
from engine.spec.toml_text import KeyPath

Origins = Mapping[KeyPath, str]  # key path -> "file:line" or "--set"

_WANTED = {  # pydantic's kind of mistake, or its first word -> what should be there instead
    "int": "a whole number",
    "float": "a number",
    "finite": "a finite number",
    "bool": "true or false",
    "string": "text",
    "dict": "a table",
    "greater_than_equal": "at least {ge}",
    "greater_than": "above {gt}",
    "less_than_equal": "at most {le}",
    "less_than": "below {lt}",
}
_SAID = {  # whole sentences; those of limits take the limit
    "missing": "is missing",
    "union_tag_not_found": "needs a `name` that says which one it is",
    "tuple_type": "should be an array",
    "model_type": "should be a table",
    "model_attributes_type": "should be a table",
    "too_short": "should list at least {min_length}",
    "too_long": "should list at most {max_length}",
    "string_too_long": "should have at most {max_length} characters",
}
_PATTERNS = {  # of the specs -> what they ask for
    r"^(best|last)$": "{} is not one of best or last",
    r"^(auto|cpu|cuda(:\d+)?)$": "{} is not one of auto, cpu or cuda (cuda:0 for one of several)",
    r"^[A-Za-z0-9_.+-]*$": "may hold letters, digits and _ . + - only, not {}",
    r"^([0-9a-f]{64})?$": "should be 64 hexadecimal digits",
}


def explain(error: ValidationError, kind: type[Spec], origins: Origins) -> list[str]:
    """Return one line for each mistake: file and line of its key, the key, what is wrong."""
    problems: list[str] = []
    for detail in error.errors():
        path, specs = _walk(detail["loc"], kind)
        key = _printable(".".join(str(part) for part in path)) or "preset"
        origin = next((origins[path[:end]] for end in range(len(path), -1, -1) if path[:end] in origins), "preset")
        line = f"{origin}: {key}: {message(detail, specs)}"
        if line not in problems:
            problems.append(line)
    return problems


def in_file_order(problems: list[str]) -> list[str]:
    """Sort by file and line; what has no line stays last, in the order found."""

    def place(problem: str) -> tuple[str, int]:
        match = re.match(r"(.*?):(\d+):", problem)
        return (match[1], int(match[2])) if match else ("\uffff", 0)

    return sorted(problems, key=place)


def _walk(loc: tuple[str | int, ...], kind: type[Spec]) -> tuple[KeyPath, list[type[Spec]]]:
    """Return the key path without the tags of pydantic's unions, and the specs that may stand at its parent."""
    path: list[str | int] = []
    parents, specs = [kind], [kind]
    for part in loc:
        chosen = [spec for spec in specs if part in _tags(spec)] if len(specs) > 1 else []
        if chosen:
            specs = chosen
            continue
        path.append(part)
        if isinstance(part, str):  # an item of an array is of the same kinds
            parents = specs or parents
            fields = [spec.model_fields[part].annotation for spec in parents if part in spec.model_fields]
            specs = [spec for annotation in fields for spec in _specs(annotation)]
    return tuple(path), parents


def _specs(annotation: object) -> list[type[Spec]]:
    """Return the specs that an annotation names, inside Annotated, unions and arrays."""
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        return [annotation]
    return [spec for part in typing.get_args(annotation) for spec in _specs(part)]


def _tags(spec: type[Spec]) -> list[str]:
    """Return the tags of this kind in a union: its name, or the sources of a teacher."""
    fields = spec.model_fields
    return [str(fields["name"].default)] if "name" in fields else [source for source in SOURCES if source in fields]


def message(detail: ErrorDetails, parents: Sequence[type[Spec]] = ()) -> str:
    """Say one mistake in plain words; `parents` are the specs whose keys might have been meant."""
    given, limits = detail["input"], detail.get("ctx", {})
    shown, kind = f"{given!r:.60}", detail["type"]
    match kind:
        case "extra_forbidden":
            known = sorted({key for spec in parents for key in spec.model_fields})
            key = str(detail["loc"][-1])
            close = get_close_matches(key, known, n=1, cutoff=0.6) or [name for name in known if name.startswith(key)]
            return "unknown key, " + (f"did you mean `{close[0]}`?" if close else f"known are {', '.join(known)}")
        case "union_tag_invalid":
            allowed = [name.strip(" '") for name in str(limits["expected_tags"]).split(",")]
            close = get_close_matches(str(limits["tag"]), allowed, n=1, cutoff=0.5)
            hint = f"did you mean `{close[0]}`? Allowed" if close else "allowed"
            return f"unknown name {str(limits['tag'])!r:.60}; {hint} are {', '.join(allowed)}"
        case "literal_error":
            return f"{shown} is not one of {limits['expected']}"
        case "value_error":
            return str(limits["error"])
        case "teacher_source":
            return detail["msg"]
        case "string_too_short" if limits["min_length"] == 1:
            return "should not be empty"
        case "string_pattern_mismatch":
            pattern = str(limits["pattern"])
            return _PATTERNS.get(pattern, f"should match {pattern}, not {{}}").replace("{}", shown)
        case _ if kind in _SAID:
            return _SAID[kind].format_map({name: "one" if limit == 1 else limit for name, limit in limits.items()})
    wanted = _WANTED.get(kind) or _WANTED.get(kind.partition("_")[0])
    wanted = wanted or detail["msg"].removeprefix("Input should be ").removeprefix("a valid ")
    for name, limit in limits.items():
        number = f"{limit:,}" if isinstance(limit, int) else f"{limit:g}" if isinstance(limit, float) else str(limit)
        wanted = wanted.replace(f"{{{name}}}", number)
    if isinstance(given, dict | list):
        return f"should be {wanted}"
    return f"should be {wanted}, not {shown if given != '' else 'empty'}"


def _printable(key: str) -> str:
    """Escape a key, which may hold anything between quotes, to one printable line."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in key)[:200]
