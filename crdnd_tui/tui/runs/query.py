"""The filter language of lists of runs: `method:rslad aa>48 not tag:debug`. Pure; never raises.

Words that stand side by side must all hold; a text that cannot be read keeps nothing back and says what is wrong.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from crdnd_tui.core.notes import NONE, RunNotes
from crdnd_tui.core.run_status import ACCURACIES, LIVING, STATES, Summary

MAX_LENGTH = 500  # characters
MAX_DEPTH = 30  # of parentheses and `not`

Test = Callable[[Summary, RunNotes], bool]

_TOKEN = re.compile(
    r"\s*(?:(?P<bracket>[()])|(?P<field>[A-Za-z_]+)(?P<sign><=|>=|!=|[:=<>])(?P<value>\"[^\"]*\"?|[^\s()\"]*)"
    r"|\"(?P<quoted>[^\"]*)\"?|(?P<word>[^\s()\"]+))"
)
_TEXTS: Mapping[str, Callable[[Summary], str]] = {
    "id": lambda row: row.id,
    "name": lambda row: row.name,
    "method": lambda row: row.status.method if row.status else "",
    "data": lambda row: row.status.data if row.status else "",
    "student": lambda row: row.status.student if row.status else "",
    "teacher": lambda row: row.status.teacher if row.status else "",
    "host": lambda row: row.status.host if row.status else "",
    "why": lambda row: row.why,
}
_WORDS = ("id", "name", "method", "data", "student", "teacher")  # where a bare word is looked for
_NUMBERS: Mapping[str, Callable[[Summary], float | None]] = {
    "seed": lambda row: row.status.seed if row.status else None,
    "epoch": lambda row: row.status.epoch if row.status else None,
    "n": lambda row: (row.status.results_n or None) if row.status else None,
    "loss": lambda row: row.status.loss if row.status else None,
    "warnings": lambda row: row.status.warnings if row.status else None,
    "eps": lambda row: _fraction(row.status.epsilon) if row.status else None,
}
_HAS: Mapping[str, Test] = {
    **{name: (lambda row, _, name=name: row.accuracy(name) is not None) for name in ACCURACIES},  # type: ignore[misc]
    "tag": lambda _, notes: bool(notes.tags),
    "note": lambda _, notes: bool(notes.note),
    "pin": lambda _, notes: notes.pinned,
    "warnings": lambda row, _: bool(row.status and row.status.warnings),
}
_ALIASES = {"epsilon": "eps", "autoattack": "aa", "tags": "tag", "is": "state", "reason": "why"}
FIELDS = (*_TEXTS, *ACCURACIES, *_NUMBERS, "state", "tag", "note", "has")
_ALLOWED = "state: method: data: student: teacher: name: tag: note: has: seed= eps= clean> pgd> aa> worst> epoch> n>"


@dataclass(frozen=True, slots=True)
class Query:
    """What is let through; `problem` and `hint` say why a text was not understood, and then all is let through."""

    matches: Test
    problem: str = ""
    hint: str = ""


class _Token(NamedTuple):
    kind: str  # bracket, field, word, quoted
    text: str
    sign: str = ""
    value: str = ""


class _ProblemError(Exception):
    def __init__(self, problem: str, hint: str = "") -> None:
        super().__init__(problem)
        self.problem, self.hint = problem, hint


def parse(text: str) -> Query:
    """The query that this text means."""
    if len(text) > MAX_LENGTH:
        return Query(_everything, "that is too long for a filter", f"at most {MAX_LENGTH} characters")
    try:
        tokens = _tokens(text)
        if not tokens:
            return Query(_everything)
        test, place = _either(tokens, 0, 0)
        if place < len(tokens):
            raise _ProblemError("a `)` without its `(`")
    except _ProblemError as problem:
        return Query(_everything, problem.problem, problem.hint)
    return Query(test)


def _everything(_row: Summary, _notes: RunNotes = NONE) -> bool:
    return True


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    place, end = 0, len(text.rstrip())
    while place < end:
        match = _TOKEN.match(text, place)
        if match is None:  # cannot be: every character begins a token
            raise _ProblemError(f"`{text[place : place + 10].strip()}` cannot be read")
        place = match.end()
        kind = match.lastgroup or "word"
        if match["field"] is not None:
            found.append(_Token("field", match["field"].lower(), match["sign"], match["value"].strip('"')))
        else:
            found.append(_Token(kind, match[kind]))
    return found


def _either(tokens: Sequence[_Token], place: int, depth: int) -> tuple[Test, int]:
    tests = []
    while True:
        test, place = _all(tokens, place, depth)
        tests.append(test)
        if not _is_word(tokens, place, "or"):
            break
        place += 1
    if len(tests) == 1:
        return tests[0], place
    return (lambda row, notes: any(test(row, notes) for test in tests)), place


def _all(tokens: Sequence[_Token], place: int, depth: int) -> tuple[Test, int]:
    tests: list[Test] = []
    while place < len(tokens) and not _is_end(tokens, place):
        if _is_word(tokens, place, "and"):
            place += 1
            if not tests or place >= len(tokens) or _is_end(tokens, place):
                raise _missing(tokens, place - (not tests))
        test, place = _one(tokens, place, depth)
        tests.append(test)
    if not tests:
        raise _missing(tokens, place)
    if len(tests) == 1:
        return tests[0], place
    return (lambda row, notes: all(test(row, notes) for test in tests)), place


def _is_end(tokens: Sequence[_Token], place: int) -> bool:
    return tokens[place] == _Token("bracket", ")") or _is_word(tokens, place, "or")


def _missing(tokens: Sequence[_Token], place: int) -> _ProblemError:
    side, word = ("after", tokens[place - 1].text) if place else ("before", tokens[0].text)
    return _ProblemError(f"something is missing {side} `{word}`", "e.g. method:rslad aa>48")


def _one(tokens: Sequence[_Token], place: int, depth: int) -> tuple[Test, int]:
    if depth > MAX_DEPTH:
        raise _ProblemError("too many parentheses", f"at most {MAX_DEPTH} deep")
    if place >= len(tokens):
        raise _ProblemError(f"something is missing after `{tokens[-1].text}`", "e.g. not state:failed")
    token = tokens[place]
    if _is_word(tokens, place, "not"):
        inner, place = _one(tokens, place + 1, depth + 1)
        return (lambda row, notes: not inner(row, notes)), place
    if token.kind == "bracket":
        test, place = _either(tokens, place + 1, depth + 1)
        if place >= len(tokens):
            raise _ProblemError("a `(` without its `)`")
        return test, place + 1
    return (_field(token) if token.kind == "field" else _word(token.text)), place + 1


def _is_word(tokens: Sequence[_Token], place: int, word: str) -> bool:
    return place < len(tokens) and tokens[place].kind == "word" and tokens[place].text.lower() == word


def _word(text: str) -> Test:
    wanted = text.lower()
    getters = [_TEXTS[name] for name in _WORDS]
    return lambda row, _: any(wanted in get(row).lower() for get in getters)


def _field(token: _Token) -> Test:
    name, sign, value = _ALIASES.get(token.text, token.text), token.sign, token.value.lower()
    if name not in FIELDS:
        raise _ProblemError(f"there is no `{token.text}` to filter by", _ALLOWED)
    if not value:
        raise _ProblemError(f"`{token.text}{sign}` of what?", _example(name))
    numeric = name in ACCURACIES or name in _NUMBERS
    if not numeric and sign not in (":", "=", "!="):
        raise _ProblemError(f"`{token.text}` is no number, so {sign} does not work", f"{name}: {name}= {name}!=")
    test = _numeric(name, sign, value) if numeric else _textual(name, sign, value)
    return (lambda row, notes: not test(row, notes)) if sign == "!=" else test


def _example(name: str) -> str:
    if name == "state":
        return "one of live, " + ", ".join(STATES)
    if name == "has":
        return "one of " + ", ".join(_HAS)
    return {"eps": "e.g. eps=8/255", "seed": "e.g. seed=0"}.get(name, f"e.g. {name}>48" if name in ACCURACIES else "")


def _textual(name: str, sign: str, value: str) -> Test:
    whole = sign == "="
    match name:
        case "state":
            wanted = LIVING if "live".startswith(value) else {s for s in STATES if s == value or s.startswith(value)}
            if not wanted:
                raise _ProblemError(f"no state is called `{value}`", _example(name))
            return lambda row, _: row.state in wanted
        case "has":
            if value not in _HAS:
                raise _ProblemError(f"`has:{value}` is not known", _example(name))
            return _HAS[value]
        case "tag":
            tag = value.removeprefix("#")
            return lambda _, notes: any((tag == t.lower()) if whole else (tag in t.lower()) for t in notes.tags)
        case "note":
            return lambda _, notes: value in notes.note.lower()
        case _:
            get = _TEXTS[name]
            return lambda row, _: (value == get(row).lower()) if whole else (value in get(row).lower())


def _numeric(name: str, sign: str, value: str) -> Test:
    wanted = _fraction(value.rstrip("%"))
    if wanted is None:
        raise _ProblemError(f"`{value}` is no number", _example(name) or f"e.g. {name}=10")
    get = _NUMBERS.get(name) or (lambda row: _points(row.accuracy(name)))
    tolerance = 0.05 if name in ACCURACIES else 1e-9  # accuracies are shown, and so compared, to one decimal

    def test(row: Summary, _notes: RunNotes) -> bool:
        found = get(row)
        if found is None:
            return False
        match sign:
            case "<":
                return found < wanted
            case ">":
                return found > wanted
            case "<=":
                return found <= wanted
            case ">=":
                return found >= wanted
            case _:
                return abs(found - wanted) < tolerance

    return test


def _points(fraction: float | None) -> float | None:
    return None if fraction is None else 100 * fraction


def _fraction(text: str) -> float | None:
    """`8/255`, `0.5` or `2`; None for anything else, and for what is not finite."""
    above, _, below = text.partition("/")
    try:
        value = float(above) / (float(below) if below else 1.0)
    except (ValueError, ZeroDivisionError):
        return None
    return value if math.isfinite(value) else None
