"""Rows of a robustness table: a run, or all seeds of one experiment, with the cells that their results make. Pure."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, product

from crdnd_tui.compare.runs import (
    ComparedRun,
    ScoredRun,
    by_draw,
    equal_weights,
    incomparable,
    runs_incomparable,
)  # fmt: skip
from crdnd_tui.core import fast_path, marks, per_class
from crdnd_tui.core.attack_names import CLEAN, WORST, attack_title, is_within
from crdnd_tui.core.marks import UNMARKED, Footnotes, Marked, Note
from engine.spec.attacks import KINDS
from engine.spec.statistics import Interval, wilson

_ORDER = [CLEAN, *(name for name, kind in KINDS.items() if kind.bounded)]
_TIE = 1e-9  # accuracies as near as that are the same


@dataclass(frozen=True, kw_only=True)
class RobustnessCell:
    """One number of the table: a fraction with what bears it. A seed that ran twice is one, by its runs' mean."""

    mean: float
    std: float | None = None  # sample standard deviation, of two seeds and more
    runs: int = 1  # seeds
    of: int = 1  # seeds of the row
    low: float = 0.0  # Wilson 95 % interval of one seed; mean - std and mean + std of several
    high: float = 1.0
    n: int = 0  # images of each run
    marked: Marked = UNMARKED
    ids: tuple[str, ...] = ()  # of the runs behind it

    @property
    def is_struck(self) -> bool:
        return self.marked.struck


@dataclass(frozen=True, kw_only=True)
class WorstClass:
    """The class that fares worst, by the mean over a row's seeds."""

    name: str
    index: int
    values: tuple[float, ...]  # of each seed, fractions
    count: int  # images of the class; 0 where no file tells
    tied: int = 1  # classes that fare as badly
    marked: Marked = UNMARKED

    @property
    def title(self) -> str:
        """Its name, and how many fare no better: `cat, 3 tied`."""
        return f"{self.name}, {self.tied} tied" if self.tied > 1 else self.name

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values)

    @property
    def std(self) -> float | None:
        return statistics.stdev(self.values) if len(self.values) > 1 else None

    @property
    def interval(self) -> Interval | None:
        """Wilson's, of one run whose images are counted."""
        return wilson(round(self.mean * self.count), self.count) if len(self.values) == 1 and self.count else None


@dataclass(frozen=True, kw_only=True)
class ComparisonRow:
    """A run, or all seeds of one experiment."""

    runs: tuple[ComparedRun, ...]
    label: str

    @property
    def id(self) -> str:
        """Of the run that lends its colour."""
        return self.runs[0].id

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(run.id for run in self.runs)

    @cached_property
    def draws(self) -> int:
        """How many seeds: fewer than runs where one of them ran twice."""
        return len({run.draw for run in self.runs})

    @property
    def evaluated(self) -> int:
        """How many of its seeds have numbers."""
        return len({run.draw for run in self.runs if run.state.table})

    def scored(self, attack: str) -> list[ScoredRun]:
        return [one for run in self.runs if (one := run.scored(attack))]

    def by_seed(self, attack: str) -> dict[str, float]:
        return by_draw((one.run, one.cell.accuracy) for one in self.scored(attack))

    def is_struck(self, attack: str) -> bool:
        return any(one.is_struck for one in self.scored(attack))

    def mixed(self, attack: str) -> str:
        """Why its own runs have no mean under this attack; empty when they answer one question."""
        pairs = combinations([one.run for one in self.scored(attack)], 2)
        return next((why for one, two in pairs if (why := incomparable(two, one, attack))), "")

    def duplicates(self) -> str:
        """Which of its runs have equal weights, though they are called different seeds; empty when none have."""
        pairs = ((one, two) for one, two in combinations(self.runs, 2) if one.named_draw != two.named_draw)
        return next((why for one, two in pairs if (why := equal_weights(two, one))), "")

    def cell(self, attack: str, footnotes: Footnotes | None = None) -> RobustnessCell | None:
        """Mean over its seeds that have a number, if all their runs answer the same question, with their marks."""
        have, means = self.scored(attack), list(self.by_seed(attack).values())
        if not have or self.mixed(attack):
            return None
        mean, n = statistics.fmean(means), have[0].cell.n
        std = statistics.stdev(means) if len(means) > 1 else None
        low, high = have[0].cell.low, have[0].cell.high
        if std is not None:
            low, high = mean - std, mean + std
        elif len(have) > 1:
            low, high = wilson(round(mean * n), n)
        found = [footnotes.marked(one.run.state.marks(one.cell.checkpoint, attack)) for one in have if footnotes]
        return RobustnessCell(
            mean=mean, std=std, runs=len(means), of=self.draws, low=low, high=high, n=n, marked=marks.joined(found),
            ids=tuple(one.run.id for one in have),
        )  # fmt: skip

    def per_class(self, attack: str) -> list[dict[str, float]]:
        """Of each class the accuracy of each seed; nothing where the runs do not have the same classes."""
        known = [(one.run, one.cell.per_class) for one in self.scored(attack) if one.cell.per_class]
        if not known or len({len(accuracies) for _, accuracies in known}) > 1:
            return []
        return [by_draw((run, accuracies[k]) for run, accuracies in known) for k in range(len(known[0][1]))]

    def worst_class(self, attack: str, marked: Marked = UNMARKED) -> WorstClass | None:
        """The first of those that fare equally badly; None where no run has accuracies per class."""
        known = self.per_class(attack)
        if not known:
            return None
        means = [statistics.fmean(values.values()) for values in known]
        index = min(range(len(known)), key=means.__getitem__)
        records = (one.record for one in self.scored(attack))
        return WorstClass(
            name=self.class_name(index, 20), index=index, values=tuple(known[index].values()), marked=marked,
            count=next((found.counts[index] for found in records if found and index < len(found.counts)), 0),
            tied=sum(abs(mean - means[index]) < _TIE for mean in means),
        )  # fmt: skip

    def class_name(self, index: int, width: int) -> str:
        """As the first run that was trained calls it."""
        state = next((run.state for run in self.runs if run.state.training), self.runs[0].state)
        return per_class.class_name(state, index, width)


def make_rows(runs: Sequence[ComparedRun], *, grouped: bool) -> list[ComparisonRow]:
    """One row for each run; or one for all that share a group hash, where the first of them stands."""
    if not grouped:
        return [ComparisonRow(runs=(run,), label=run.label) for run in runs]
    gathered: dict[str, list[ComparedRun]] = {}
    for run in runs:
        gathered.setdefault(run.group or run.id, []).append(run)
    names = [_group_label(group) for group in gathered.values()]
    return [
        ComparisonRow(runs=tuple(group), label=_group_label(group, apart=names.count(name) > 1))
        for name, group in zip(names, gathered.values(), strict=True)
    ]


def has_seeds(runs: Sequence[ComparedRun]) -> bool:
    """Whether seeds make one row where nobody has said: some are of one experiment, and rows to compare remain."""
    return 1 < len(make_rows(runs, grouped=True)) < len(runs)


def _group_label(group: Sequence[ComparedRun], *, apart: bool = False) -> str:
    """`crdnd (3)`: what the seeds share, and how many there are; the end of an id where two groups share the words.

    Where a seed ran more than once the runs are counted, too: `crdnd (1 seed, 2 runs)`.
    """
    if len(group) == 1:
        return group[0].label
    words = group[0].label.rpartition(" s")[0] or group[0].label
    seeds = len({run.draw for run in group})
    many = f"{seeds} seed{'s' if seeds > 1 else ''}, {len(group)} runs" if seeds < len(group) else f"{seeds}"
    return f"{words}{f' {group[0].id[-4:]}' if apart else ''} ({many})"


def columns(runs: Sequence[ComparedRun]) -> tuple[list[str], list[str]]:
    """Attacks within the ball, the worst case last; and those of another threat model, which stand apart."""
    seen = {attack: cell for run in runs for attack, cell in run.cells.items()}
    order = [name for name in _ORDER if name in seen]
    order += [name for name in seen if name not in order and name != WORST]
    within = [name for name in order if name in _ORDER or is_within(name, seen[name])]
    return [*within, *([WORST] if WORST in seen else [])], [name for name in order if name not in within]


def rows_incomparable(row: ComparisonRow, base: ComparisonRow) -> str:
    """Why no run of one row may stand beside any of the other; empty when some may."""
    whys = [runs_incomparable(one, two) for one, two in product(row.runs, base.runs)]
    return whys[0] if whys and all(whys) else ""


def refusal(row: ComparisonRow, base: ComparisonRow, attack: str) -> str:
    """Why the numbers of these rows are not comparable, by all runs that have one; empty when they are."""
    if why := rows_incomparable(row, base):
        return why
    for one in (row, base):
        if why := one.mixed(attack):
            return f"runs of {one.label} among themselves: {why}"
    pairs = [(one.run, two.run) for one, two in product(row.scored(attack), base.scored(attack))]
    whys = [incomparable(one, two, attack) for one, two in pairs]
    whys += [equal_weights(one, two) for one, two in pairs if row is not base]
    return next(filter(None, whys), "")


@dataclass(frozen=True, kw_only=True)
class ClassDifference:
    """One class: accuracies as fractions, the difference in points."""

    name: str
    baseline: float
    here: float

    @property
    def points(self) -> float:
        return 100 * (self.here - self.baseline)


def class_differences(row: ComparisonRow, base: ComparisonRow, attack: str) -> tuple[list[ClassDifference], str]:
    """Class by class, the means over each row's seeds; or none, and why."""
    if row.id == base.id:
        return [], "This is the baseline itself: up and down choose another run."
    if why := refusal(row, base, attack):
        return [], f"Not comparable: {why}."
    here, there = ([statistics.fmean(of.values()) for of in one.per_class(attack)] for one in (row, base))
    if not here or not there:
        return [], f"{(base if here else row).label} has no accuracies per class under {attack_title(attack)} yet."
    if len(here) != len(there):
        return [], f"Not comparable: {len(here)} classes, not {len(there)}."
    whole = ComparisonRow(runs=(*row.runs, *base.runs), label=row.label)
    pairs = enumerate(zip(here, there, strict=True))
    return [ClassDifference(name=whole.class_name(k, 14), baseline=old, here=new) for k, (new, old) in pairs], ""


def row_notes(rows: Sequence[ComparisonRow]) -> list[Note]:
    """What holds for whole rows: figures not shown or not believed, one network twice, checks, precision."""
    said: list[str] = []
    for row in rows:
        lost = ", ".join(attack_title(a) for a in dict.fromkeys(a for run in row.runs for a in disputed(run)))
        said += [f"{row.label}: what its files say of {lost} does not agree; `crdnd verify` tells more."] * bool(lost)
    for row in rows:
        struck: dict[str, list[str]] = {}  # `1 of 3 seeds` -> attacks under which so many of a mean are not believed
        for attack in dict.fromkeys(attack for run in row.runs for attack in run.cells):
            bad = {one.run.draw for one in row.scored(attack) if one.is_struck}
            if bad and (draws := len(row.by_seed(attack))) > 1:
                struck.setdefault(f"{len(bad)} of {draws} seeds", []).append(attack_title(attack))
        said += [f"{row.label}: {many} not believed under {', '.join(of)}." for many, of in struck.items()]
    said += [f"{row.label}: {why}, and count once." for row in rows if (why := row.duplicates())]
    checks: dict[str, dict[str, None]] = {}  # how many checks figures were put to -> labels
    for row in rows:
        for run in (run for run in row.runs if run.state.table):
            checks.setdefault(run.state.checks(run.checkpoint), {})[row.label] = None
    told = "; ".join(f"{', '.join(of)}: {words}" if len(checks) > 1 else words for words, of in checks.items())
    said += [f"Checks for figures that mislead: {told}."] if told else []
    runs = [(row.label, [(run.label, run.state.engines) for run in row.runs if run.state.table]) for row in rows]
    return [("", words) for words in (*said, fast_path.differently(runs)) if words]


def disputed(run: ComparedRun) -> list[str]:
    """Attacks whose figure is not shown, for it does not agree with its own files."""
    return [attack for (name, attack) in run.state.disputed if name == run.checkpoint and attack not in run.cells]
