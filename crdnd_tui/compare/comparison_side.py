"""One run of a comparison, what it is called, and what of it may be laid beside another. Pure.

Two numbers are compared only when both answer the same question: else there is a reason in place of a difference.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any

from crdnd_tui.core import report
from crdnd_tui.core.result_files import Images
from crdnd_tui.core.state import RunState
from crdnd_tui.core.text import one_line
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
    records: Mapping[tuple[str, str], Images] = field(default_factory=dict)  # (checkpoint, attack) -> its images
    twin: str = ""  # draw of an earlier run with equal weights, which is the same network

    @property
    def data(self) -> str:
        """The data set's name."""
        return _word(self.config, "data", "name")

    @property
    def is_evaluation(self) -> bool:
        """Whether nothing was trained: saved weights were judged."""
        return self.config.get("kind") == "evaluation"

    @property
    def seed(self) -> str:
        """Of its training; empty where nothing was trained, or no config tells."""
        return "" if self.is_evaluation else _word(self.config, "seed")

    @property
    def draw(self) -> str:
        """What chance it stands for: a seed that ran twice is no second draw, nor are equal weights.

        A run without a seed is its own.
        """
        return self.twin or self.named_draw

    @property
    def named_draw(self) -> str:
        """The same by its seed alone, whatever its weights are."""
        return f"seed {self.seed}" if self.seed else f"run {self.id}"

    @property
    def weights(self) -> frozenset[str]:
        """Hashes of the weights that were judged, as far as its records tell."""
        return frozenset(found.weights for found in self.records.values() if found.weights)

    def judged(self, wanted: str) -> str:
        """The checkpoint whose cells are shown: the wanted one, or the only one there is."""
        return wanted if wanted in self.state.table or not self.state.table else next(iter(self.state.table))

    def cell(self, wanted: str, attack: str) -> Evaluated | None:
        """One number of its robustness table."""
        return self.state.table.get(self.judged(wanted), {}).get(attack)

    def record(self, wanted: str, attack: str) -> Images | None:
        """Which images that number is about, and which are right; None unless the file agrees with the number."""
        cell, found = self.cell(wanted, attack), self.records.get((self.judged(wanted), attack))
        if cell is None or found is None or found.n != cell.n:
            return None
        return found if found.right is None or abs(found.count / cell.n - cell.accuracy) < 1e-6 else None


def by_draw(values: Iterable[tuple[Side, float]]) -> dict[str, float]:
    """One number for each draw, the mean of its runs: a seed that ran twice is no second seed."""
    gathered: dict[str, list[float]] = {}
    for side, value in values:
        gathered.setdefault(side.draw, []).append(value)
    return {draw: fmean(found) for draw, found in gathered.items()}


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
    """Short names that differ: method and seed; where these are shared the student, what a run is called, its id's end.

    Runs of one method that differ in a key are all called as their presets call them, but for what all share at the
    end: `CRDND, digits` beside `CRDND without ACM, digits`.
    """

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
        called = _called([table for _, table in sides])
        titled = [f"{one_line(name, 30)}{seed(table)}" for name, (_, table) in zip(called, sides, strict=True)]
        names = titled if all(called) and len(set(titled)) == len(titled) else names
    if len(set(names)) < len(names):
        plainer = [plain(*side) for side in sides]
        ends = [f"{name} {run[-4:]}" for name, (run, _) in zip(plainer, sides, strict=True)]
        names = [end if names.count(name) > 1 else name for name, end in zip(names, ends, strict=True)]
    return [one_line(name, 40) for name in names]


def _called(tables: Sequence[Mapping[str, Any]]) -> list[str]:
    """What presets call the runs, without what follows the last comma where that is the same for all."""
    names = [_word(table, "name") if table.get("kind") != "evaluation" else "" for table in tables]
    ends = {name.rpartition(",")[2] for name in names if "," in name}
    return [name.rpartition(",")[0] for name in names] if len(ends) == 1 and all("," in n for n in names) else names


def twinned(sides: Sequence[Side]) -> list[Side]:
    """The same, each with the draw of the first run that judged equal weights."""
    first: dict[str, str] = {}
    made = []
    for side in sides:
        twin = next((first[digest] for digest in side.weights if digest in first), "")
        first |= {digest: twin or side.named_draw for digest in side.weights if digest not in first}
        made.append(replace(side, twin=twin))
    return made


def equal_weights(first: Side, second: Side) -> str:
    """That two runs are one network, which is no comparison; empty when they are not, or nobody knows."""
    shared = sorted(first.weights & second.weights)
    if first.id == second.id or not shared:
        return ""
    return f"equal weights, SHA-256 {shared[0][:8]}: {second.id} and {first.id} are one network"


def across(first: Side, second: Side, wanted: str) -> str:
    """Why no number of one run may be laid beside the other's; empty when some may."""
    return _otherwise(first, second, wanted) or equal_weights(first, second)


def _otherwise(first: Side, second: Side, wanted: str) -> str:
    """What was asked for differs, so that the two answer different questions."""
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
    whole = _otherwise(first, second, wanted)
    one, two = first.cell(wanted, attack), second.cell(wanted, attack)
    if whole or one is None or two is None:
        return whole
    for key in ("epsilon", "norm"):
        if one.spec.get(key) != two.spec.get(key):
            return f"{key} {one.spec.get(key)}, not {two.spec.get(key)}"
    if (one.n, one.of, one.split) != (two.n, two.of, two.split):
        return f"{_images(one)}, not {_images(two)}"
    records = (first.records.get((one.checkpoint, attack)), second.records.get((two.checkpoint, attack)))
    return (
        _other_images(*records, one_line(one.split, 20))
        or other_attack(one, two, attack)
        or _other_parts(first, second, wanted, attack)
    )


def _other_images(one: Images | None, two: Images | None, split: str) -> str:
    """What is unknown is no difference."""
    if one is None or two is None:
        return ""
    if one.data and two.data and one.data != two.data:
        return f"the {split} images are not the same data: SHA-256 {one.data[:8]}, not {two.data[:8]}"
    if one.indices and two.indices and one.indices != two.indices:
        return f"other {split} images, though as many"
    return ""


def other_attack(one: Evaluated, two: Evaluated, attack: str) -> str:
    """A key in which the specifications differ: steps, restarts, AutoAttack's version or package."""
    if one.spec == two.spec:
        return ""
    for key in sorted({*one.spec, *two.spec} - _ANY, key=lambda key: (key != "name", key)):
        asked, other = (_plain(spec.get(key, "\u2013")) for spec in (one.spec, two.spec))
        if asked != other:
            return f"{report.title(attack)}: {_unlike(key, asked, other)}"
    return ""


def _other_parts(first: Side, second: Side, wanted: str, attack: str) -> str:
    """The worst case is as good as the attacks it is made of: a reason that holds for one of them."""
    cell = first.cell(wanted, attack) if attack == report.WORST else None
    listed = cell.spec.get("attacks") if cell else None
    parts = set(map(str, listed)) - {report.WORST} if isinstance(listed, list) else set()
    known = first.state.table.get(first.judged(wanted), {})
    return next((why for part in known if part in parts and (why := reason(first, second, wanted, part))), "")


def _images(cell: Evaluated) -> str:
    return f"{cell.n} of {cell.of} {one_line(cell.split, 20)} images"


def _plain(value: object) -> object:
    """Attacks that make up a worst case, in any order: it is the same one."""
    return sorted(map(str, value)) if isinstance(value, list) else value


def _unlike(key: str, asked: object, other: object) -> str:
    """`steps 50, not 20`; of a worst case what one has and the other lacks: `without AutoAttack`."""
    if key == "attacks" and isinstance(asked, list) and isinstance(other, list):
        parts = (("with", sorted({*asked} - {*other})), ("without", sorted({*other} - {*asked})))
        said = [f"{word} {', '.join(map(report.title, names))}" for word, names in parts if names]
        return one_line(" and ".join(said), 160)
    return f"{key} {_short(asked)}, not {_short(other)}"


def _short(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(report.title(str(item)) for item in value)
    return one_line(str(value), 30)
