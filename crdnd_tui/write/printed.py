"""Numbers in print beside ours: which belong to a row, and how far ours are from them. Pure, in per cent and points."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from crdnd_tui.compare.comparison_verdict import CE, SUITE, Verdict, verdict
from crdnd_tui.core.marks import UNMARKED, Marked
from crdnd_tui.study.study import Published
from engine.spec.attacks import KINDS
from engine.spec.outcomes import wilson

AS_PRINTED = 10_000  # images behind a printed number, where its decimals say so


@dataclass(frozen=True, kw_only=True)
class Printed:
    """One source's numbers for one row: attack -> per cent, and attack -> what is to be said of that number."""

    source: str
    values: Mapping[str, float]
    notes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class _Mean:
    """A printed number as a verdict takes it: a fraction, with the Wilson interval that so many images would give."""

    mean: float
    low: float
    high: float
    n: int
    runs: int = 1
    marked: Marked = UNMARKED


@dataclass(frozen=True, kw_only=True)
class Apart:
    """Ours minus theirs in points, with the 95 % interval of ours; the printed number is taken as exact."""

    difference: float
    low: float | None
    high: float | None

    @property
    def outside(self) -> bool:
        """Whether the printed number lies outside our interval."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


def of_row(published: Sequence[Published], place: Mapping[str, str]) -> list[Printed]:
    """The sources that print something for this place, each once; a note stands at the values of its own entry."""
    found: dict[str, tuple[dict[str, float], dict[str, str]]] = {}
    for entry in published:
        if all(place.get(axis) == label for axis, label in entry.where.items()):
            values, notes = found.setdefault(entry.source, ({}, {}))
            values.update(entry.values)
            notes.update(dict.fromkeys(entry.values, entry.note) if entry.note else {})
    return [Printed(source=source, values=values, notes=notes) for source, (values, notes) in found.items()]


def apart(ours: float, low: float | None, high: float | None, theirs: float) -> Apart:
    """A measured number with its interval, and a printed one; all in per cent."""
    return Apart(
        difference=ours - theirs,
        low=None if low is None else low - theirs,
        high=None if high is None else high - theirs,
    )


def is_same_attack(attack: str) -> bool:
    """Whether a printed number can be of our attack: one without the ball of the threat model depends on its budget.

    No source states the budget of CW-2 (constant, steps, distance), so nothing is claimed of how far ours is from it.
    """
    return attack not in KINDS or KINDS[attack].bounded


def images(printed: Sequence[Printed]) -> int:
    """So many that a second decimal is shown, if any of these numbers has one."""
    values = [value for one in printed for value in one.values.values()]
    return AS_PRINTED if any(round(value, 1) != value for value in values) else 0


def order(rows: Sequence[tuple[str, Sequence[Printed]]]) -> Verdict:
    """What is printed of the order under PGD-SAT and under AutoAttack; `rows` are titles and sources.

    Each row stands with its first source that has both numbers and no note at either.
    """
    n = images([one for _, sources in rows for one in sources])
    first = [(title, one) for title, sources in rows for one in [s for s in sources if _undisputed(s)][:1]]
    return verdict(
        [
            (f"{title} ({one.source})", {attack: _mean(value / 100, n) for attack, value in one.values.items()})
            for title, one in first
        ]
    )


def _mean(share: float, n: int) -> _Mean:
    low, high = wilson(round(share * n), n) if n else (share, share)
    return _Mean(mean=share, low=low, high=high, n=n)


def _undisputed(source: Printed) -> bool:
    return all(attack in source.values and attack not in source.notes for attack in (CE, SUITE))
