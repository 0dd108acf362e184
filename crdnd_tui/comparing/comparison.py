"""The robustness tables of several runs as one: rows, columns, means over seeds, and what they say. Pure."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from crdnd_tui import report
from crdnd_tui.comparing.comparison_side import Side, across, reason
from crdnd_tui.comparing.comparison_verdict import CE, SUITE, Verdict, verdict
from crdnd_tui.text import one_line
from engine.spec.attacks import KINDS
from engine.spec.marks import MARKS

DROP = "drop"  # the column AutoAttack minus PGD-SAT
_ORDER = [report.CLEAN, *(name for name, kind in KINDS.items() if kind.bounded)]
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, kw_only=True)
class Row:
    """A run, or all seeds of one experiment."""

    sides: tuple[Side, ...]
    label: str

    @property
    def id(self) -> str:
        """Of the run that lends its colour."""
        return self.sides[0].id


@dataclass(frozen=True, kw_only=True)
class Value:
    """One cell: a fraction, over how many runs, and what bears it."""

    mean: float
    std: float | None = None  # sample standard deviation, of two runs and more
    runs: int = 1
    of: int = 1  # runs of the row
    low: float = 0.0  # Wilson 95 % interval of one run; mean - std and mean + std of several
    high: float = 1.0
    n: int = 0
    letters: str = ""


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
    notes: tuple[tuple[str, str], ...]  # letter, its sentence
    verdict: Verdict  # what PGD-SAT and AutoAttack say of the order
    empty: Mapping[str, str]  # row id -> why it has no numbers


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


def _common(group: Sequence[Side], *, apart: bool = False) -> str:
    """`crdnd (3)`: what the seeds share, and how many there are; the end of an id where two groups share the words."""
    if len(group) == 1:
        return group[0].label
    words = group[0].label.rpartition(" s")[0] or group[0].label
    return f"{words}{f' {group[0].id[-4:]}' if apart else ''} ({len(group)})"


def columns(sides: Sequence[Side], wanted: str) -> tuple[list[str], list[str]]:
    """Attacks within the ball, the worst case last; and those of another threat model, which stand apart."""
    seen = {a: c for s in sides for a, c in s.state.table.get(s.judged(wanted), {}).items()}
    known = [name for name in _ORDER if name in seen]
    others = [name for name in seen if name not in known and name != report.WORST]
    within = [*known, *(name for name in others if report.is_within(name, seen[name]))]
    apart = [name for name in others if not report.is_within(name, seen[name])]
    return [*within, *([report.WORST] if report.WORST in seen else [])], apart


def value(row: Row, wanted: str, attack: str, letters: Callable[[Side, str], str] = lambda *_: "") -> Value | None:
    """Mean over the row's runs that have the cell, if all of them answer the same question."""
    have = [(side, cell) for side in row.sides if (cell := side.cell(wanted, attack)) is not None]
    if not have or any(reason(side, have[0][0], wanted, attack) for side, _ in have[1:]):
        return None
    marked = "".join(sorted({letter for side, _ in have for letter in letters(side, attack)}))
    accuracies = [cell.accuracy for _, cell in have]
    first = have[0][1]
    if len(have) == 1:
        low, high = first.low, first.high
        return Value(mean=first.accuracy, of=len(row.sides), low=low, high=high, n=first.n, letters=marked)
    mean, std = statistics.fmean(accuracies), statistics.stdev(accuracies)
    return Value(
        mean=mean, std=std, runs=len(have), of=len(row.sides), low=mean - std, high=mean + std,
        n=sum(c.n for _, c in have), letters=marked,
    )  # fmt: skip


def drop(row: Row, wanted: str) -> Value | None:
    """AutoAttack minus PGD-SAT, over the runs that have been through both."""
    both = [side for side in row.sides if side.cell(wanted, SUITE) and side.cell(wanted, CE)]
    whole = Row(sides=tuple(both), label=row.label)
    one, two = (value(whole, wanted, attack) if both else None for attack in (SUITE, CE))
    if one is None or two is None:
        return None
    return Value(mean=one.mean - two.mean, runs=one.runs, of=len(row.sides), n=min(one.n, two.n))


class Letters:
    """One letter for each kind of mark, in the order in which columns and rows meet it, the same for all runs."""

    def __init__(self, sides: Sequence[Side], wanted: str, attacks: Sequence[str]) -> None:
        self._wanted = wanted
        self._codes: dict[str, str] = {}
        for attack in attacks:
            for side in sides:
                for warning in side.state.marks(side.judged(wanted), attack):
                    self._codes.setdefault(warning.code, warning.message)

    def of(self, side: Side, attack: str) -> str:
        """Beside one cell."""
        order = list(self._codes)
        places = {order.index(w.code) for w in side.state.marks(side.judged(self._wanted), attack)}
        return "".join(_LETTERS[place % len(_LETTERS)] for place in sorted(places))

    def notes(self) -> list[tuple[str, str]]:
        """Each letter with its sentence."""
        said = enumerate(self._codes.items())
        return [(_LETTERS[k % len(_LETTERS)], one_line(MARKS.get(code, words), 400)) for k, (code, words) in said]


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
        if base and row is not base and (why := across(row.sides[0], base.sides[0], wanted)):
            badges[row.id] = why
        for attack in [*within, *apart]:
            found = value(row, wanted, attack, letters.of)
            why = next((w for s in row.sides if (w := reason(s, row.sides[0], wanted, attack))), "")
            if base and not why:
                why = reason(row.sides[0], base.sides[0], wanted, attack)
            if found:
                values[row.id, attack] = found
            if why:
                reasons[row.id, attack] = why
    for row in shown:
        if (row.id, CE) in values and (found := drop(row, wanted)):
            values[row.id, DROP] = found
    fair = {key: cell for key, cell in values.items() if key not in reasons}
    return Grid(
        rows=tuple(shown), columns=(*within, *([DROP] if any(c == DROP for _, c in values) else [])),
        apart=tuple(apart), values=values, reasons=reasons,
        baseline=base.id if base else "", badges=badges, notes=tuple(letters.notes()),
        verdict=verdict([(row.label, _even({a: v for (i, a), v in fair.items() if i == row.id})) for row in shown]),
        empty={row.id: why for row in shown if (why := _emptiness(row))},
    )  # fmt: skip


def _even(cells: Mapping[str, Value]) -> Mapping[str, Value]:
    """Without AutoAttack where it has not judged as many seeds as PGD-SAT: means of other runs have no difference."""
    if CE in cells and SUITE in cells and cells[CE].runs != cells[SUITE].runs:
        return {attack: cell for attack, cell in cells.items() if attack != SUITE}
    return cells


def _emptiness(row: Row) -> str:
    """Why a row shows no number at all, or fewer seeds than it has."""
    judged = sum(bool(side.state.table) for side in row.sides)
    if judged:
        return "" if judged == len(row.sides) else f"{judged} of {len(row.sides)} seeds are judged"
    side = row.sides[0]
    if side.word in ("running", "starting", "stopping") and side.state.training:
        epochs = f"epoch {len(side.state.epochs)} of {side.state.training.epochs}"
        return f"{side.word}, {epochs}; nothing judged yet"
    nothing = "nothing judged yet" if side.word in ("queued", "starting", "running", "stopping") else "no results"
    return f"{side.word}{f': {side.why}' if side.why else ''}; {nothing}"


def delta(grid_: Grid, row: str, attack: str) -> float | None:
    """A cell minus the baseline's, in points; None where there is none, or none that means anything."""
    one, two = grid_.values.get((row, attack)), grid_.values.get((grid_.baseline, attack))
    barred = row in grid_.badges if attack == DROP else (row, attack) in grid_.reasons
    return None if one is None or two is None or barred else 100 * (one.mean - two.mean)
