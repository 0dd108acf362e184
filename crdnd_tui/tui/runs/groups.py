"""Seeds of one experiment as one line: mean and sample deviation of what was measured. Pure.

A run belongs to the experiment of its group hash; one without a hash stands alone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from crdnd_tui.core.marks import gravest
from crdnd_tui.core.run_status import ACCURACIES, Summary
from engine.spec.marks import Severity


@dataclass(frozen=True, slots=True)
class Spread:
    """Over n seeds that were judged; `deviation` is None for a single one."""

    n: int
    mean: float
    deviation: float | None


@dataclass(frozen=True, slots=True)
class Group:
    """Runs that differ in their seeds only."""

    key: str
    runs: tuple[Summary, ...]

    @property
    def first(self) -> Summary:
        """The run that the group is called after."""
        return self.runs[0]

    def spread(self, column: str) -> Spread | None:
        """Of one of ACCURACIES over the seeds whose runs ended; None when none was judged.

        Runs of one seed are one draw, as in comparisons: their mean counts once.
        """
        by_seed: dict[int, list[float]] = {}
        for run in self._judged(column):
            if run.status is not None and (value := run.accuracy(column)) is not None:
                by_seed.setdefault(run.status.seed, []).append(value)
        return spread([fmean(values) for values in by_seed.values()])

    def struck(self, column: str) -> tuple[int, int]:
        """How many of these runs' figures are not believed, and of how many."""
        runs = self._judged(column)
        return sum(run.severity(run.attack_of(column)) == "red" for run in runs), len(runs)

    def severity(self, column: str) -> Severity | None:
        """Of the mean: red where one of its figures is not believed."""
        return gravest(run.severity(run.attack_of(column)) for run in self._judged(column))

    @property
    def twins(self) -> int:
        """Runs that are one network with another one of these: equal weights count once."""
        return sum(bool(run.same_weights_as) for run in self.runs)

    def _judged(self, column: str) -> list[Summary]:
        """Those that ended and have the figure, each network once."""
        return [r for r in self.runs if r.state == "done" and not r.same_weights_as and r.accuracy(column) is not None]


def spread(values: Sequence[float]) -> Spread | None:
    """Mean and sample standard deviation (n - 1)."""
    if not values:
        return None
    return Spread(len(values), fmean(values), stdev(values) if len(values) > 1 else None)


def grouped(runs: Iterable[Summary], column: str = "", *, falling: bool = True) -> list[Group]:
    """In the order in which their first runs come; by their mean when `column` is an accuracy, the unmeasured last."""
    found: dict[str, list[Summary]] = {}
    for run in runs:
        key = run.status.group_hash if run.status and run.status.group_hash else run.id
        found.setdefault(key, []).append(run)
    groups = [Group(key, tuple(members)) for key, members in found.items()]
    if column not in ACCURACIES:
        return groups
    means = {group.key: spread.mean for group in groups if (spread := group.spread(column)) is not None}
    known = sorted((g for g in groups if g.key in means), key=lambda g: means[g.key], reverse=falling)
    return known + [group for group in groups if group.key not in means]
