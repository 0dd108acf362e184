"""What the attacks did to all judged images: confusion matrices, clean, adversarial, and what lies between.

A record that is damaged, or that contradicts its own bits, becomes words beside the others, never a crash.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from crdnd_tui.core import result_files, run_reader
from crdnd_tui.core.text import display, one_line
from engine.spec import outcomes
from engine.spec.outcomes import Outcome
from engine.spec.rundir import RunDir

Mode = Literal["clean", "adversarial", "difference"]
MODES: tuple[Mode, ...] = ("clean", "adversarial", "difference")


@dataclass(frozen=True, kw_only=True)
class CheckpointRecords:
    """The records of one checkpoint by attack, and what is wrong with those that could not be read."""

    outcomes: Mapping[str, Outcome] = field(default_factory=dict)
    troubles: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ConfusionMatrix:
    """Counts, or differences of counts, by true class (rows) and predicted class (columns)."""

    mode: Mode
    rows: Sequence[Sequence[int]]
    counts: Sequence[int]  # images of each class; -1 predictions make them more than their row's sum

    @property
    def classes(self) -> int:
        return len(self.counts)

    @cached_property
    def largest(self) -> int:
        """The largest number in a cell, without its sign."""
        return max((abs(value) for row in self.rows for value in row), default=0)

    def share(self, true: int, predicted: int) -> float:
        """Of the row: in [0, 1], or in [-1, 1] for a difference."""
        return self.rows[true][predicted] / self.counts[true] if self.counts[true] else 0.0


def load(folder: Path) -> CheckpointRecords:
    """All records in `evaluation/<checkpoint>`; an absent folder, or a link, holds none."""
    run, found, troubles = RunDir(folder.parents[1]), dict[str, Outcome](), dict[str, str]()
    for attack in run_reader.names(folder):
        record = result_files.read(run, (folder.name, attack), outcomes.decode)
        if isinstance(record, Outcome):
            found[display(attack, 40)] = record
        elif record is not None:
            troubles[display(attack, 40)] = record.replace("its record", one_line(f"{attack}.json", 60), 1)
    return CheckpointRecords(outcomes=found, troubles=troubles)


def matrix(judged: CheckpointRecords, attack: str, mode: Mode) -> ConfusionMatrix | str:
    """One of the three matrices of an attack, or the reason why there is none."""
    needed = {"clean": ["clean"], "adversarial": [attack], "difference": ["clean", attack]}[mode]
    for name in needed:
        if name not in judged.outcomes:
            return judged.troubles.get(name, f"{one_line(name, 40)} has not been judged on this checkpoint")
    chosen = [judged.outcomes[name] for name in needed]
    last = chosen[-1]
    if mode != "difference":
        return ConfusionMatrix(mode=mode, rows=last.confusion, counts=last.counts)
    clean = chosen[0]
    if clean.indices_sha256 != last.indices_sha256 or clean.counts != last.counts:
        return "clean and adversarial were judged on different images: they have no difference"
    rows = [
        [b - a for a, b in zip(before, after, strict=True)]
        for before, after in zip(clean.confusion, last.confusion, strict=True)
    ]
    return ConfusionMatrix(mode=mode, rows=rows, counts=last.counts)


def coarse(matrix: ConfusionMatrix, group: int) -> list[list[int]]:
    """Sums over squares of `group` x `group` neighbouring classes, the last ones smaller."""
    starts = range(0, matrix.classes, group)
    return [
        [sum(sum(row[c : c + group]) for row in matrix.rows[r : r + group]) for c in starts]
        for r in starts
    ]  # fmt: skip


def worst(matrix: ConfusionMatrix, true: int, most: int = 5) -> list[tuple[int, int]]:
    """(predicted class, count) of the mistakes made of a class, the most frequent first."""
    row = matrix.rows[true]
    order = sorted((k for k in range(matrix.classes) if k != true and row[k]), key=lambda k: (-abs(row[k]), k))
    return [(k, row[k]) for k in order[:most]]


@dataclass(frozen=True, kw_only=True)
class AttackBounds:
    """How far an attack may go: epsilon in L-inf, and for CW-2 a radius in L2 that epsilon does not bind."""

    epsilon: float | None = None
    words: str = ""  # epsilon as it was written
    radius: float | None = None
    bounded: bool = True


def bounds(judged: CheckpointRecords, attack: str, epsilon: str = "") -> AttackBounds:
    """From the attack's own record, or from the run's epsilon as long as there is none."""
    record = judged.outcomes.get(attack)
    settings: Mapping[str, Any] = record.spec if record else {}
    written, radius = settings.get("epsilon", epsilon), settings.get("radius")
    return AttackBounds(
        epsilon=_fraction(written), words=one_line(str(written), 12) if written else "",
        bounded="radius" not in settings,
        radius=float(radius) if isinstance(radius, int | float) and 0 < radius < 1e6 else None,
    )  # fmt: skip


def _fraction(written: object) -> float | None:
    """`8/255` or 0.031, above 0 and at most 1; None for anything else."""
    try:
        value = float(Fraction(str(written)[:40])) if "e" not in str(written)[:40].lower() else 0.0
    except (ValueError, ZeroDivisionError):
        return None
    return value if 0 < value <= 1 else None
