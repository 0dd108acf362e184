"""Differences inside of runs: two attacks on the same weights, and two checkpoints under the same attack. Pure.

The first exposes logits that blind the cross-entropy: PGD-SAT minus AutoAttack. The second is robust overfitting.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from crdnd_tui.compare import stats
from crdnd_tui.compare.comparison_side import Side, by_draw, other_attack, reason
from crdnd_tui.core import report
from engine.spec.events import Evaluated
from engine.spec.outcomes import mcnemar_p

Place = tuple[str, str]  # checkpoint, attack


@dataclass(frozen=True, kw_only=True)
class Gap:
    """First minus second, as fractions; None where there is none that means anything.

    paired: one run, image by image: exact McNemar test, Agresti-Min interval. seeds: the mean over runs, with its
    t interval and the exact sign-flip test. refused, missing: `why` says it.
    """

    kind: Literal["paired", "seeds", "refused", "missing"]
    difference: float | None = None
    std: float | None = None  # sample standard deviation over runs
    low: float | None = None  # 95 % interval
    high: float | None = None
    p: float | None = None  # two-sided
    smallest: float | None = None  # that the exact test of so many runs can give
    only_first: int = 0  # images right in the first only, of one run
    only_second: int = 0
    n: int = 0  # images of one run
    runs: int = 0
    why: str = ""


def gap(sides: Sequence[Side], wanted: str, first: str, second: str) -> Gap:
    """One attack minus another on the same checkpoint, over one run or all runs of a row."""
    return _gap([_Pair(side, (side.judged(wanted), first), (side.judged(wanted), second)) for side in sides])


def overfitting(sides: Sequence[Side], attack: str) -> Gap:
    """Best minus last checkpoint under one attack: above zero, the last epochs cost robustness."""
    return _gap([_Pair(side, ("best", attack), ("last", attack)) for side in sides])


class _Pair(NamedTuple):
    """Two cells of one run."""

    side: Side
    first: Place
    second: Place

    def cell(self, place: Place) -> Evaluated | None:
        return self.side.state.table.get(place[0], {}).get(place[1])

    @property
    def difference(self) -> float | None:
        one, two = self.cell(self.first), self.cell(self.second)
        return one.accuracy - two.accuracy if one and two else None

    @property
    def why(self) -> str:
        """Why these two answer different questions; empty when they answer the same, or one is missing."""
        one, two = self.cell(self.first), self.cell(self.second)
        if one is None or two is None:
            return ""
        for cell in (one, two):
            if not report.is_within(cell.attack, cell):
                return f"{report.title(cell.attack, cell)} is another threat model"
        for key in ("epsilon", "norm"):
            if one.spec.get(key) != two.spec.get(key):
                return f"{key} {one.spec.get(key)}, not {two.spec.get(key)}"
        if (one.n, one.of, one.split) != (two.n, two.of, two.split):
            return f"{one.n} of {one.of} images, not {two.n} of {two.of}"
        here, there = (self.side.records.get(place) for place in (self.first, self.second))
        if here and there and here.indices and there.indices and not here.same(there):
            return "they were judged on other images"
        if self.first[0] == self.second[0] and here and there and here.weights != there.weights:
            return "they were judged with other weights"
        return other_attack(one, two, one.attack) if one.attack == two.attack else ""


def _gap(pairs: Sequence[_Pair]) -> Gap:
    both = [pair for pair in pairs if pair.difference is not None]
    if not both:
        return Gap(kind="missing", why="no run has been through both")
    first = both[0]
    why = next((pair.why for pair in both if pair.why), "") or next(
        (why for pair in both for at in (pair.first, pair.second) if (why := reason(pair.side, first.side, *at))), ""
    )
    if why:
        return Gap(kind="refused", why=why)
    differences = by_draw((pair.side, pair.difference or 0.0) for pair in both)
    cell = first.cell(first.first)
    n = cell.n if cell else 0
    if len(both) == 1:
        return _one_run(first, n)
    if len(differences) == 1:
        why = "the mean of a seed that ran more than once: no interval, no test"
        return Gap(kind="paired", difference=next(iter(differences.values())), n=n, runs=1, why=why)
    return _several(list(differences.values()), n)


def _one_run(pair: _Pair, n: int) -> Gap:
    """Image by image."""
    one, two = pair.side.record(*pair.first), pair.side.record(*pair.second)
    counts = one.only(two) if one and two else None
    if counts is None:
        why = "no outcome of each image is at hand: no interval, no test"
        return Gap(kind="paired", difference=pair.difference, n=n, runs=1, why=why)
    low, high = stats.agresti_min(*counts, n)
    return Gap(
        kind="paired", difference=(counts[0] - counts[1]) / n, low=low, high=high, p=mcnemar_p(*counts),
        only_first=counts[0], only_second=counts[1], n=n, runs=1,
    )  # fmt: skip


def _several(differences: Sequence[float], n: int) -> Gap:
    """Seed by seed."""
    test, std = stats.paired_t(differences), statistics.stdev(differences)
    few = len(differences) <= stats.MAX_PAIRS
    flips = stats.sign_flip(differences) if few else None
    return Gap(
        kind="seeds", difference=test.difference, std=std, low=test.low, high=test.high,
        p=flips.p if flips else test.t_p, smallest=flips.smallest if flips else None, n=n, runs=len(differences),
        why="" if few else f"t test: the exact test takes {stats.MAX_PAIRS} seeds at most",
    )  # fmt: skip
