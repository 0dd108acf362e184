"""One run of a comparison, what it is called, and what of it may be laid beside another. Pure.

Two numbers are compared only when both answer the same question: else there is a reason in place of a difference.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from crdnd_tui import report
from crdnd_tui.state import RunState
from crdnd_tui.text import one_line
from engine.spec.events import Evaluated

_ANY = frozenset({"seed", "batch_size", "label"})  # of a specification: they ask no other question


@dataclass(frozen=True, kw_only=True)
class Side:
    """One run of a comparison: what was asked for, what it says, and how it is."""

    id: str
    label: str = ""
    sign: str = ""  # of its state
    word: str = ""  # its state
    why: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)  # the resolved table
    group: str = ""  # hash that all seeds of one experiment share
    state: RunState = field(default_factory=RunState)
    indices: Mapping[tuple[str, str], str] = field(default_factory=dict)  # (checkpoint, attack) -> which images

    @property
    def data(self) -> str:
        """The data set's name."""
        return _word(self.config, "data", "name")

    @property
    def is_evaluation(self) -> bool:
        """Whether nothing was trained: saved weights were judged."""
        return self.config.get("kind") == "evaluation"

    def judged(self, wanted: str) -> str:
        """The checkpoint whose cells are shown: the wanted one, or the only one there is."""
        return wanted if wanted in self.state.table or not self.state.table else next(iter(self.state.table))

    def cell(self, wanted: str, attack: str) -> Evaluated | None:
        """One number of its robustness table."""
        return self.state.table.get(self.judged(wanted), {}).get(attack)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One run that may be taken into a comparison."""

    id: str
    sign: str
    state: str
    words: str  # method, pair and data
    result: str = ""  # its worst case


def _word(table: Mapping[str, Any], *path: str) -> str:
    value: Any = table
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return "" if value is None else str(value)


def labels(sides: Sequence[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """Short names that differ: method and seed, the student or the id's end where these are shared."""

    def seed(table: Mapping[str, Any]) -> str:
        word = _word(table, "seed")
        return f" s{word}" if word else ""

    def plain(run: str, table: Mapping[str, Any]) -> str:
        if table.get("kind") == "evaluation":
            return f"judged {run[-4:]}"
        return f"{_word(table, 'method', 'name')}{seed(table)}" if _word(table, "method", "name") else run[-12:]

    def longer(run: str, table: Mapping[str, Any]) -> str:
        student = _word(table, "student", "name")
        return f"{_word(table, 'method', 'name')} {student}{seed(table)}" if student else plain(run, table)

    names = [plain(*side) for side in sides]
    fuller = [longer(*side) for side in sides]
    names = [full if names.count(name) > 1 else name for name, full in zip(names, fuller, strict=True)]
    if len(set(names)) < len(names):
        plainer = [plain(*side) for side in sides]
        ends = [f"{name} {run[-4:]}" for name, (run, _) in zip(plainer, sides, strict=True)]
        names = [end if names.count(name) > 1 else name for name, end in zip(names, ends, strict=True)]
    return [one_line(name, 40) for name in names]


def across(first: Side, second: Side, wanted: str) -> str:
    """Why no number of one run may be laid beside the other's; empty when some may."""
    if first.data != second.data and first.data and second.data:
        return f"data {first.data}, not {second.data}"
    for key in ("epsilon", "norm"):
        one, two = (_word(side.config, "threat_model", key) for side in (first, second))
        if one != two and one and two:
            return f"{key} {one}, not {two}"
    one, two = first.judged(wanted), second.judged(wanted)
    if one != two and first.state.table and second.state.table:
        return f"checkpoint {one}, not {two}"
    return ""


def reason(first: Side, second: Side, wanted: str, attack: str) -> str:
    """Why these two cells are not comparable; empty when they are, or when one is missing."""
    whole = across(first, second, wanted)
    one, two = first.cell(wanted, attack), second.cell(wanted, attack)
    if whole or one is None or two is None:
        return whole
    for key in ("epsilon", "norm"):
        if one.spec.get(key) != two.spec.get(key):
            return f"{key} {one.spec.get(key)}, not {two.spec.get(key)}"
    if (one.n, one.of, one.split) != (two.n, two.of, two.split):
        return f"{_images(one)}, not {_images(two)}"
    images = (first.indices.get((one.checkpoint, attack)), second.indices.get((two.checkpoint, attack)))
    if None not in images and images[0] != images[1]:
        return f"other {one_line(one.split, 20)} images, though as many"
    for key in sorted({*one.spec, *two.spec} - _ANY, key=lambda key: (key != "name", key)):
        if one.spec.get(key) != two.spec.get(key):
            asked, other = (_short(spec.get(key, "\u2013")) for spec in (one.spec, two.spec))
            return f"{report.title(attack)}: {key} {asked}, not {other}"
    return ""


def _images(cell: Evaluated) -> str:
    return f"{cell.n} of {cell.of} {one_line(cell.split, 20)} images"


def _short(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(report.title(str(item)) for item in value)
    return one_line(str(value), 30)
