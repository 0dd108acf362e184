"""The runs of a comparison: how they are read while they grow, what they are called, and which numbers are comparable.

Two numbers are compared only when both answer the same question: else there is a reason in place of a difference.
Nothing in a folder can raise: one that is gone, damaged or no run at all is a run without numbers that says so.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from statistics import fmean
from typing import Any, NamedTuple

from crdnd_tui.core import run_status
from crdnd_tui.core.attack_names import WORST, attack_title
from crdnd_tui.core.format import percent
from crdnd_tui.core.result_files import Images
from crdnd_tui.core.run_reader import RunReader
from crdnd_tui.core.run_status import SIGNS
from crdnd_tui.core.session import Session
from crdnd_tui.core.state import RunState
from crdnd_tui.core.text import display, one_line, word
from engine.spec import files
from engine.spec.events import Evaluated
from engine.spec.rundir import RUN_ID, RunDir

MAX_RUNS = 60  # of which seeds make one row: a study of a dozen methods
_NO_QUESTION = frozenset({"seed", "batch_size", "label"})  # keys of an attack's specification that ask no other one


@dataclass(frozen=True, kw_only=True)
class ComparedRun:
    """One run: its config, its log, its records, and whether it is at work."""

    id: str
    label: str = ""
    sign: str = ""  # of its status
    status: str = ""
    why: str = ""  # it failed, or cannot be read
    config: Mapping[str, Any] = field(default_factory=dict)  # the resolved table
    group: str = ""  # hash that all seeds of one experiment share
    state: RunState = field(default_factory=RunState)
    records: Mapping[tuple[str, str], Images] = field(default_factory=dict)  # (checkpoint, attack) -> its images
    duplicate_of: str = ""  # draw of an earlier run with equal weights, which is the same network
    wanted: str = "best"  # the checkpoint whose numbers are compared, if there is one

    @cached_property
    def checkpoint(self) -> str:
        """The wanted one, or the only one that was judged."""
        known = self.state.table
        return self.wanted if self.wanted in known or not known else next(iter(known))

    @cached_property
    def data(self) -> str:
        return word(self.config, "data", "name")

    @cached_property
    def seed(self) -> str:
        """Of its training; empty where nothing was trained, or no config tells."""
        return "" if self.config.get("kind") == "evaluation" else word(self.config, "seed")

    @property
    def draw(self) -> str:
        """The random draw it stands for: neither a seed that ran twice nor equal weights are a second one."""
        return self.duplicate_of or self.named_draw

    @property
    def named_draw(self) -> str:
        """The same by its seed alone, whatever its weights are; a run without a seed is its own."""
        return f"seed {self.seed}" if self.seed else f"run {self.id}"

    @cached_property
    def weights(self) -> frozenset[str]:
        """Hashes of the weights that were judged, as far as its records tell."""
        return frozenset(found.weights for found in self.records.values() if found.weights)

    @cached_property
    def cells(self) -> Mapping[str, Evaluated]:
        return self.state.table.get(self.checkpoint, {})

    def scored(self, attack: str) -> "ScoredRun | None":
        """Its result under this attack, if it has one."""
        return ScoredRun(self, self.cells[attack]) if attack in self.cells else None

    @property
    def facts(self) -> tuple[object, ...]:
        """All that is not large, for comparisons of two readings."""
        return self.id, self.label, self.status, self.why, self.group, self.duplicate_of, self.wanted, self.records


class ScoredRun(NamedTuple):
    run: ComparedRun
    cell: Evaluated

    @property
    def is_struck(self) -> bool:
        return self.run.state.severity(self.cell.checkpoint, self.cell.attack) == "red"

    @property
    def record(self) -> Images | None:
        """Which images the result is about, and which are right; None unless the file agrees with the number."""
        cell, found = self.cell, self.run.records.get((self.cell.checkpoint, self.cell.attack))
        if found is None or found.n != cell.n:
            return None
        return found if found.right is None or abs(found.count / cell.n - cell.accuracy) < 1e-6 else None


def by_draw(values: Iterable[tuple[ComparedRun, float]]) -> dict[str, float]:
    """One number for each draw, the mean of its runs."""
    gathered: dict[str, list[float]] = {}
    for run, value in values:
        gathered.setdefault(run.draw, []).append(value)
    return {draw: fmean(found) for draw, found in gathered.items()}


# Reading


class _RunFollower:
    def __init__(self, run: RunDir) -> None:
        self._run = run
        self._reader = RunReader(run)
        self._config: tuple[object, Mapping[str, Any]] = (None, {})

    def read(self, now: float) -> ComparedRun:
        """How the run is at `now` (unix seconds)."""
        there = files.is_folder(self._run.path)
        summary = run_status.summary(self._run, now=now) if there else None
        if summary is None:
            return _missing(self._run.id, "the folder holds no run" if there else "the folder is gone")
        self._reader.read()
        state = self._reader.state if summary.state in run_status.LIVING else self._reader.final()
        return ComparedRun(
            id=display(self._run.id), sign=SIGNS[summary.state][0], status=summary.state, why=summary.why,
            config=self._table(), group=summary.status.group_hash if summary.status else "", state=state,
            records=self._reader.images(state),
        )  # fmt: skip

    def _table(self) -> Mapping[str, Any]:
        """The config, the same object while the file is the same; no keys where it cannot be parsed."""
        content = files.read(self._run.config)
        if self._config[0] != content:
            try:
                self._config = content, files.toml_table(content or b"")
            except files.MalformedError:
                self._config = content, {}
        return self._config[1]


def _missing(run: str, why: str) -> ComparedRun:
    return ComparedRun(id=display(run), sign="!", status="missing", why=why)


def read_runs(runs: Sequence[RunDir], now: float) -> list[ComparedRun]:
    """These runs at `now`, read once, with names that tell them apart."""
    return _named([_RunFollower(run).read(now) for run in runs])


def _named(read: Sequence[ComparedRun]) -> list[ComparedRun]:
    names = labels([(run.id, run.config) for run in read])
    return mark_duplicates([replace(run, label=name) for run, name in zip(read, names, strict=True)])


class ComparedRuns:
    """The runs on the screen, read again and again; runs that come and go keep what was read of the others."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._followers: dict[str, _RunFollower] = {}
        self._before: list[ComparedRun] = []

    def read(self, ids: Sequence[str]) -> tuple[list[ComparedRun], bool]:
        """The first `MAX_RUNS` in this order, and whether anything changed since the last call."""
        folder, ids = self._session.runs, ids[:MAX_RUNS]
        known = self._followers
        self._followers = {
            run: known.get(run) or _RunFollower(RunDir(folder / run)) for run in ids if RUN_ID.fullmatch(run)
        }
        read = _named([
            self._followers[run].read(self._session.now()) if run in self._followers
            else _missing(run, "no run has such an id")
            for run in ids
        ])  # fmt: skip
        changed = len(read) != len(self._before) or not all(map(_is_same, read, self._before))
        self._before = read
        return read, changed


def _is_same(now: ComparedRun, before: ComparedRun) -> bool:
    """By identity where contents are large."""
    return now.state is before.state and now.config is before.config and now.facts == before.facts


@dataclass(frozen=True, kw_only=True)
class RunChoice:
    """One run that may be taken into a comparison."""

    id: str
    sign: str
    state: str
    text: str  # method, pair and data
    result: str = ""  # its worst case


def choices(rows: Iterable[run_status.Summary]) -> list[RunChoice]:
    """Runs that have something to compare, in this order; not those that wait or cannot be read."""
    made = []
    for row in (row for row in rows if row.state not in ("queued", "damaged")):
        text, result, status = row.id, "", row.status
        if status is not None:
            teacher = f" from {status.teacher}" if status.teacher not in ("", "-") else ""
            pair = f"{status.student}{teacher} on {status.data}, seed {status.seed}"
            text = one_line(f"{status.method or 'judged'}: {pair}", 160)
            known = (a for a in (WORST, "autoattack", "pgd_sat", "clean") if a in row.accuracies)
            if attack := next(known, ""):
                title = "worst" if attack == WORST else attack_title(attack)
                result = f"{title} {percent(row.accuracies[attack]):>5} %{row.sign(attack)}"
        made.append(RunChoice(id=row.id, sign=SIGNS[row.state][0], state=row.state, text=text, result=result))
    return made


# Names


def labels(runs: Sequence[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """Short names that differ, of (id, config): method and seed; where these are shared the student, then what presets
    call the runs, then the end of the id.

    Runs of one method that differ in a key are all called as their presets call them, but for what all share at the
    end: `CRDND, digits` beside `CRDND without ACM, digits`.
    """  # fmt: skip
    tables = [table for _, table in runs]
    seeds = [f" s{seed}" if (seed := word(table, "seed")) else "" for table in tables]
    short, longer = [], []
    for (run, table), seed in zip(runs, seeds, strict=True):
        method, student = word(table, "method", "name"), word(table, "student", "name")
        is_judged = table.get("kind") == "evaluation"
        short.append(f"judged {run[-4:]}" if is_judged else f"{method}{seed}" if method else run[-12:])
        longer.append(f"{method} {student}{seed}" if student else short[-1])
    names = _replaced(short, longer)
    if len(set(names)) < len(names):
        called = _preset_names(tables)
        titled = [f"{one_line(name, 30)}{seed}" for name, seed in zip(called, seeds, strict=True)]
        names = titled if all(called) and len(set(titled)) == len(titled) else names
    if len(set(names)) < len(names):
        names = _replaced(names, [f"{name} {run[-4:]}" for name, (run, _) in zip(short, runs, strict=True)])
    return [one_line(name, 40) for name in names]


def _replaced(names: Sequence[str], others: Sequence[str]) -> list[str]:
    return [other if names.count(name) > 1 else name for name, other in zip(names, others, strict=True)]


def _preset_names(tables: Sequence[Mapping[str, Any]]) -> list[str]:
    """Without what follows the last comma where that is the same for all."""
    names = [word(table, "name") if table.get("kind") != "evaluation" else "" for table in tables]
    is_shared = all("," in name for name in names) and len({name.rpartition(",")[2] for name in names}) == 1
    return [name.rpartition(",")[0] for name in names] if is_shared else names


def mark_duplicates(runs: Sequence[ComparedRun]) -> list[ComparedRun]:
    """The same, each with the draw of the first run that judged equal weights."""
    first: dict[str, str] = {}
    made = []
    for run in runs:
        known = next((first[digest] for digest in run.weights if digest in first), "")
        first |= {digest: known or run.named_draw for digest in run.weights if digest not in first}
        made.append(replace(run, duplicate_of=known))
    return made


# What is comparable


def equal_weights(first: ComparedRun, second: ComparedRun) -> str:
    """That two runs are one network, which is no comparison; empty when they are not, or nobody knows."""
    shared = sorted(first.weights & second.weights)
    if first.id == second.id or not shared:
        return ""
    return f"equal weights, SHA-256 {shared[0][:8]}: {second.id} and {first.id} are one network"


def runs_incomparable(first: ComparedRun, second: ComparedRun) -> str:
    """Why no number of one run may stand beside the other's; empty when some may."""
    return _other_question(first, second) or equal_weights(first, second)


def _other_question(first: ComparedRun, second: ComparedRun) -> str:
    """What differs in what was asked for."""
    asked = [
        {
            "data": run.data, "epsilon": word(run.config, "threat_model", "epsilon"),
            "norm": word(run.config, "threat_model", "norm"), "checkpoint": run.checkpoint if run.state.table else "",
        }
        for run in (first, second)
    ]  # fmt: skip
    pairs = ((name, one, asked[1][name]) for name, one in asked[0].items())
    return next((f"{name} {one}, not {two}" for name, one, two in pairs if one and two and one != two), "")


def incomparable(first: ComparedRun, second: ComparedRun, attack: str) -> str:
    """Why these two results are not comparable; empty when they are, or when one is missing."""
    one, two = first.cells.get(attack), second.cells.get(attack)
    if (why := _other_question(first, second)) or one is None or two is None:
        return why
    here, there = (run.records.get((cell.checkpoint, attack)) for run, cell in ((first, one), (second, two)))
    return (
        other_ball(one, two)
        or other_images(one, two)
        or _other_data(here, there, one_line(one.split, 20))
        or other_attack(one, two, attack)
        or _other_parts(first, second, attack)
    )


def other_ball(one: Evaluated, two: Evaluated) -> str:
    pairs = ((key, one.spec.get(key), two.spec.get(key)) for key in ("epsilon", "norm"))
    return next((f"{key} {here}, not {there}" for key, here, there in pairs if here != there), "")


def other_images(one: Evaluated, two: Evaluated) -> str:
    if (one.n, one.of, one.split) == (two.n, two.of, two.split):
        return ""
    here, there = (f"{cell.n} of {cell.of} {one_line(cell.split, 20)} images" for cell in (one, two))
    return f"{here}, not {there}"


def _other_data(one: Images | None, two: Images | None, split: str) -> str:
    """What is unknown is no difference."""
    if one is None or two is None:
        return ""
    if one.data and two.data and one.data != two.data:
        return f"the {split} images are not the same data: SHA-256 {one.data[:8]}, not {two.data[:8]}"
    differ = one.indices and two.indices and one.indices != two.indices
    return f"other {split} images, though as many" if differ else ""


def other_attack(one: Evaluated, two: Evaluated, attack: str) -> str:
    """A key in which the specifications differ: steps, restarts, AutoAttack's version or package."""
    for key in sorted({*one.spec, *two.spec} - _NO_QUESTION, key=lambda key: (key != "name", key)):
        here, there = (_plain(cell.spec.get(key, "\u2013")) for cell in (one, two))
        if here != there:
            return f"{attack_title(attack)}: {_spec_difference(key, here, there)}"
    return ""


def _plain(value: object) -> object:
    """Attacks that make up a worst case, in any order: it is the same one."""
    return sorted(map(str, value)) if isinstance(value, list) else value


def _spec_difference(key: str, here: object, there: object) -> str:
    """`steps 50, not 20`; of a worst case what one has and the other lacks: `without AutoAttack`."""
    if key == "attacks" and isinstance(here, list) and isinstance(there, list):
        parts = (("with", sorted({*here} - {*there})), ("without", sorted({*there} - {*here})))
        said = [f"{word} {', '.join(map(attack_title, names))}" for word, names in parts if names]
        return one_line(" and ".join(said), 160)
    one, two = (
        ", ".join(attack_title(str(item)) for item in value) if isinstance(value, list) else one_line(str(value), 30)
        for value in (here, there)
    )
    return f"{key} {one}, not {two}"


def _other_parts(first: ComparedRun, second: ComparedRun, attack: str) -> str:
    """The worst case is as good as the attacks it is made of: a reason that holds for one of them."""
    cell = first.cells.get(attack) if attack == WORST else None
    listed = cell.spec.get("attacks") if cell else None
    parts = set(map(str, listed)) - {WORST} if isinstance(listed, list) else set()
    known = (part for part in first.cells if part in parts)
    return next((why for part in known if (why := incomparable(first, second, part))), "")
