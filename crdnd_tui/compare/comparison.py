"""The robustness tables of several runs as one: rows, columns, means over seeds, and what they say. Pure."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, product

from crdnd_tui.compare.comparison_side import Side, across, by_draw, equal_weights, reason
from crdnd_tui.compare.comparison_verdict import CE, SUITE, Judged
from crdnd_tui.core import fast_path, marks, report
from crdnd_tui.core.marks import UNMARKED, Marked
from crdnd_tui.core.text import one_line
from engine.spec.attacks import KINDS
from engine.spec.events import Evaluated
from engine.spec.outcomes import wilson

DROP = "drop"  # the column AutoAttack minus PGD-SAT
_ORDER = [report.CLEAN, *(name for name, kind in KINDS.items() if kind.bounded)]


@dataclass(frozen=True, kw_only=True)
class Scored:
    """One run that has a number under an attack."""

    side: Side
    cell: Evaluated

    @property
    def struck(self) -> bool:
        """Whether the number is not believed."""
        return self.side.state.severity(self.cell.checkpoint, self.cell.attack) == "red"


@dataclass(frozen=True, kw_only=True)
class Row:
    """A run, or all seeds of one experiment."""

    sides: tuple[Side, ...]
    label: str

    @property
    def id(self) -> str:
        """Of the run that lends its colour."""
        return self.sides[0].id

    @property
    def draws(self) -> int:
        """How many seeds: fewer than runs where one of them ran twice."""
        return len({side.draw for side in self.sides})

    def scored(self, wanted: str, attack: str) -> list[Scored]:
        """Its runs that have been through this attack."""
        found = ((side, side.cell(wanted, attack)) for side in self.sides)
        return [Scored(side=side, cell=cell) for side, cell in found if cell is not None]

    def struck(self, wanted: str, attack: str) -> bool:
        """Whether one of its runs is not believed under this attack."""
        return any(run.struck for run in self.scored(wanted, attack))


@dataclass(frozen=True, kw_only=True)
class Value:
    """One cell: a fraction, over how many seeds, and what bears it. A seed that ran twice is one, by its runs' mean."""

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
    def struck(self) -> bool:
        """Whether it is not believed, because one of its runs is not."""
        return self.marked.struck


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The robustness tables side by side, ready to draw."""

    rows: tuple[Row, ...]
    columns: tuple[str, ...]
    apart: tuple[str, ...]  # the last columns: another threat model
    values: Mapping[tuple[str, str], Value]  # (row id, column)
    reasons: Mapping[tuple[str, str], str]  # why a cell is no number to compare with the baseline's
    baseline: str
    badges: Mapping[str, str]  # row id -> why the whole row cannot be compared
    notes: tuple[tuple[str, str], ...]  # letter, its sentence; no letter where it is of whole rows
    empty: Mapping[str, str]  # row id -> why it has no numbers
    letters: "Letters" = field(compare=False)  # of all marks


def rows(sides: Sequence[Side], *, grouped: bool) -> list[Row]:
    """One row for each run; or one for all that share a group hash, where the first of them stands."""
    if not grouped:
        return [Row(sides=(side,), label=side.label) for side in sides]
    gathered: dict[str, list[Side]] = {}
    for side in sides:
        gathered.setdefault(side.group or side.id, []).append(side)
    names = [_common(group) for group in gathered.values()]
    return [
        Row(sides=tuple(group), label=_common(group, apart=names.count(name) > 1))
        for name, group in zip(names, gathered.values(), strict=True)
    ]


def grouping(sides: Sequence[Side]) -> bool:
    """Whether seeds make one row where nobody has said: some are of one experiment, and rows to compare remain."""
    return 1 < len(rows(sides, grouped=True)) < len(sides)


def _common(group: Sequence[Side], *, apart: bool = False) -> str:
    """`crdnd (3)`: what the seeds share, and how many there are; the end of an id where two groups share the words.

    Where a seed ran more than once the runs are counted, too: `crdnd (1 seed, 2 runs)`.
    """
    if len(group) == 1:
        return group[0].label
    words = group[0].label.rpartition(" s")[0] or group[0].label
    seeds = len({side.draw for side in group})
    many = f"{seeds} seed{'s' if seeds > 1 else ''}, {len(group)} runs" if seeds < len(group) else f"{seeds}"
    return f"{words}{f' {group[0].id[-4:]}' if apart else ''} ({many})"


def columns(sides: Sequence[Side], wanted: str) -> tuple[list[str], list[str]]:
    """Attacks within the ball, the worst case last; and those of another threat model, which stand apart."""
    seen = {a: c for s in sides for a, c in s.state.table.get(s.judged(wanted), {}).items()}
    known = [name for name in _ORDER if name in seen]
    others = [name for name in seen if name not in known and name != report.WORST]
    within = [*known, *(name for name in others if report.is_within(name, seen[name]))]
    apart = [name for name in others if not report.is_within(name, seen[name])]
    return [*within, *([report.WORST] if report.WORST in seen else [])], apart


def _unmarked(_side: Side, _attack: str) -> Marked:
    return UNMARKED


def value(
    row: Row, wanted: str, attack: str, marked: Callable[[Side, str], Marked] = _unmarked
) -> Value | None:  # fmt: skip
    """Mean over the row's seeds that have the cell, if all their runs answer the same question.

    Where one of them is not believed, neither is the mean.
    """
    have = row.scored(wanted, attack)
    if not have or mixed(row, wanted, attack):
        return None
    means, n = list(by_seed(have).values()), have[0].cell.n
    mean = statistics.fmean(means)
    std = statistics.stdev(means) if len(means) > 1 else None
    if std is not None:
        low, high = mean - std, mean + std
    elif len(have) > 1:
        low, high = wilson(round(mean * n), n)
    else:
        low, high = have[0].cell.low, have[0].cell.high
    return Value(
        mean=mean, std=std, runs=len(means), of=row.draws, low=low, high=high, n=n,
        marked=marks.joined(marked(run.side, attack) for run in have), ids=tuple(run.side.id for run in have),
    )  # fmt: skip


def by_seed(have: Sequence[Scored]) -> dict[str, float]:
    """One accuracy for each seed. A run without a seed stands for itself."""
    return by_draw((run.side, run.cell.accuracy) for run in have)


def mixed(row: Row, wanted: str, attack: str) -> str:
    """Why the row's own runs have no mean under this attack; empty when they answer one question."""
    pairs = combinations([run.side for run in row.scored(wanted, attack)], 2)
    why = next((w for one, two in pairs if (w := reason(two, one, wanted, attack))), "")
    return f"runs of {row.label} among themselves: {why}" if why else ""


def unlike(row: Row, base: Row, wanted: str) -> str:
    """Why no run of one row may be laid beside any of the other; empty when some may."""
    whys = [across(one, two, wanted) for one, two in product(row.sides, base.sides)]
    return whys[0] if whys and all(whys) else ""


def refusal(row: Row, base: Row, wanted: str, attack: str) -> str:
    """Why the numbers of these rows are not comparable, by all runs that have one; empty when they are."""
    pairs = list(product(row.scored(wanted, attack), base.scored(wanted, attack)))
    return (
        unlike(row, base, wanted)
        or mixed(row, wanted, attack)
        or mixed(base, wanted, attack)
        or next((why for one, two in pairs if (why := reason(one.side, two.side, wanted, attack))), "")
        or (next((why for o, t in pairs if (why := equal_weights(o.side, t.side))), "") if row is not base else "")
    )


def drop(row: Row, wanted: str, marked: Callable[[Side, str], Marked] = _unmarked) -> Value | None:
    """AutoAttack minus PGD-SAT, over the runs that have been through both; with the marks of both."""
    both = [side for side in row.sides if side.cell(wanted, SUITE) and side.cell(wanted, CE)]
    whole = Row(sides=tuple(both), label=row.label)
    one, two = (value(whole, wanted, attack, marked) if both else None for attack in (SUITE, CE))
    if one is None or two is None:
        return None
    found = marks.joined((one.marked, two.marked))
    return Value(mean=one.mean - two.mean, runs=one.runs, of=row.draws, n=min(one.n, two.n), marked=found)


class Letters:
    """One letter for each sentence on marks, in the order in which columns and rows meet it, the same for all runs.

    Those of the other checkpoint, and of validation, come behind.
    """

    def __init__(self, sides: Sequence[Side], wanted: str, attacks: Sequence[str]) -> None:
        self._wanted = wanted
        self._said: dict[str, str] = {}  # sentence -> its letter
        for attack in attacks:
            for side in sides:
                self._note(side, side.judged(wanted), attack)
        for side in sides:
            for checkpoint, attack in product(("", *side.state.table), (*attacks, *side.state.attacks)):
                self._note(side, checkpoint, attack)

    def _note(self, side: Side, checkpoint: str, attack: str) -> None:
        for warning in side.state.marks(checkpoint, attack):
            self._said.setdefault(marks.sentence(warning), marks.letter(len(self._said)))

    def of(self, side: Side, attack: str, checkpoint: str | None = None) -> Marked:
        """Beside one figure of the checkpoint, an empty one for validation; None: of the wanted one."""
        found = side.state.marks(side.judged(self._wanted) if checkpoint is None else checkpoint, attack)
        letters = {self._said.get(marks.sentence(w), "") for w in found}
        return marks.joined([Marked("".join(letters), marks.worst(w.code for w in found))])

    def notes(self, letters: str) -> list[tuple[str, str]]:
        """These letters with their sentences."""
        return [(letter, one_line(said, 400)) for said, letter in self._said.items() if letter in letters]


def grid(sides: Sequence[Side], *, wanted: str = "best", baseline: str = "", grouped: bool = False) -> Grid:
    """The whole table; `baseline` is the id of any run of the row to compare with, the first row otherwise."""
    shown = rows(sides, grouped=grouped)
    within, apart = columns(sides, wanted)
    letters = Letters(sides, wanted, [*within, *apart])
    base = next((row for row in shown if any(side.id == baseline for side in row.sides)), shown[0] if shown else None)
    values: dict[tuple[str, str], Value] = {}
    reasons: dict[tuple[str, str], str] = {}
    badges: dict[str, str] = {}
    for row in shown:
        if base and row is not base and (why := unlike(row, base, wanted)):
            badges[row.id] = why
        for attack in [*within, *apart]:
            if found := value(row, wanted, attack, letters.of):
                values[row.id, attack] = found
            if base and (why := refusal(row, base, wanted, attack)):
                reasons[row.id, attack] = why
        if (row.id, CE) in values and (found := drop(row, wanted, letters.of)):
            values[row.id, DROP] = found
            part = next((attack for attack in (SUITE, CE) if (row.id, attack) in reasons), "")
            if part and row.id not in badges:
                reasons[row.id, DROP] = reasons[row.id, part]
    used = "".join(found.marked.letters for found in values.values())
    return Grid(
        letters=letters, rows=tuple(shown), columns=(*within, *([DROP] if any(c == DROP for _, c in values) else [])),
        apart=tuple(apart), values=values, reasons=reasons,
        baseline=base.id if base else "", badges=badges, notes=(*letters.notes(used), *of_rows(shown, wanted)),
        empty={row.id: why for row in shown if (why := _emptiness(row))},
    )  # fmt: skip


def of_rows(shown: Sequence[Row], wanted: str) -> list[tuple[str, str]]:
    """What holds for whole rows: seeds that are not believed, one network twice, which checks were made, precision."""
    apart = [*_disagreeing(shown, wanted), *_seeds_struck(shown, wanted)]
    return [*apart, *_twins(shown), *checked(shown, wanted), *computed(shown)]


def _disagreeing(shown: Sequence[Row], wanted: str) -> list[tuple[str, str]]:
    """Figures that are not shown, since what the files of their runs say of them contradicts itself."""
    said = []
    for row in shown:
        lost = dict.fromkeys(attack for side in row.sides for attack in disputed(side, wanted))
        titles = ", ".join(map(report.title, lost))
        words = f"{row.label}: what its files say of {titles} does not agree; `crdnd verify` tells more."
        said += [("", words)] if lost else []
    return said


def disputed(side: Side, wanted: str) -> list[str]:
    """Attacks whose figure is not shown, for it does not agree with its own files."""
    judged = side.judged(wanted)
    return [a for (name, a) in side.state.disputed if name == judged and a not in side.state.table.get(name, {})]


def _seeds_struck(shown: Sequence[Row], wanted: str) -> list[tuple[str, str]]:
    """Of means over seeds how many of these are not believed."""
    said = []
    for row in shown:
        found: dict[str, list[str]] = {}
        for attack in dict.fromkeys(a for side in row.sides for a in side.state.table.get(side.judged(wanted), {})):
            have = row.scored(wanted, attack)
            draws, struck = {run.side.draw for run in have}, {run.side.draw for run in have if run.struck}
            if struck and len(draws) > 1:
                found.setdefault(f"{len(struck)} of {len(draws)} seeds", []).append(report.title(attack))
        said += [f"{row.label}: {many} not believed under {', '.join(under)}." for many, under in found.items()]
    return [("", words) for words in said]


def _twins(shown: Sequence[Row]) -> list[tuple[str, str]]:
    """Runs of a row that are one network, which counts once."""
    return [("", f"{row.label}: {why}, and count once.") for row in shown if (why := one_network(row))]


def one_network(row: Row) -> str:
    """Which of its runs have equal weights, though they are called different draws; empty when none have."""
    pairs = ((one, two) for one, two in combinations(row.sides, 2) if one.named_draw != two.named_draw)
    return next((why for one, two in pairs if (why := equal_weights(two, one))), "")


def checked(shown: Sequence[Row], wanted: str) -> list[tuple[str, str]]:
    """How many checks the figures have been put to, and what was not probed."""
    found: dict[str, list[str]] = {}
    for row in shown:
        for side in row.sides:
            if side.state.table:
                labels = found.setdefault(side.state.checks(side.judged(wanted)), [])
                labels += [row.label] if row.label not in labels else []
    several = len(found) > 1
    told = "; ".join(f"{', '.join(labels)}: {words}" if several else words for words, labels in found.items())
    return [("", f"Checks for figures that mislead: {told}.")] if told else []


def computed(shown: Sequence[Row]) -> list[tuple[str, str]]:
    """That rows were trained in different precisions; their numbers are comparable all the same."""
    runs = [(row.label, [(side.label, side.state.engines) for side in row.sides if side.state.table]) for row in shown]
    said = fast_path.differently(runs)
    return [("", said)] if said else []


def judged(found: Grid) -> list[Judged]:
    """Rows by label, with the numbers that are comparable and believed: what a verdict on their order is made of."""
    fair = {key: cell for key, cell in found.values.items() if key not in found.reasons and not cell.struck}
    return [(row.label, _even({a: v for (i, a), v in fair.items() if i == row.id})) for row in found.rows]


def _even(cells: Mapping[str, Value]) -> Mapping[str, Value]:
    """Without AutoAttack where it has not judged the same runs as PGD-SAT: means of other runs have no difference."""
    if CE in cells and SUITE in cells and cells[CE].ids != cells[SUITE].ids:
        return {attack: cell for attack, cell in cells.items() if attack != SUITE}
    return cells


def _emptiness(row: Row) -> str:
    """Why a row shows no number at all, or fewer seeds than it has."""
    judged = len({side.draw for side in row.sides if side.state.table})
    if judged:
        return "" if judged == row.draws else f"{judged} of {row.draws} seeds are judged"
    side = row.sides[0]
    if side.word in ("running", "starting", "stopping") and side.state.training:
        epochs = f"epoch {len(side.state.epochs)} of {side.state.training.epochs}"
        return f"{side.word}, {epochs}; nothing judged yet"
    nothing = "nothing judged yet" if side.word in ("queued", "starting", "running", "stopping") else "no results"
    return f"{side.word}{f': {side.why}' if side.why else ''}; {nothing}"


def delta(grid_: Grid, row: str, attack: str) -> float | None:
    """A cell minus the baseline's, in points; None where there is none, or none that means anything."""
    one, two = grid_.values.get((row, attack)), grid_.values.get((grid_.baseline, attack))
    barred = (row, attack) in grid_.reasons or row in grid_.badges
    return None if one is None or two is None or barred else 100 * (one.mean - two.mean)
