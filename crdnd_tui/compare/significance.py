"""Tests between rows of a comparison, and between attacks or checkpoints of one row: the strongest that runs allow.

Two runs on the same images are pairs of outcomes; several runs of each are pairs of seeds, and then the images play no
part: what is asked is whether the methods differ, not whether two networks do.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from crdnd_tui.compare import stats
from crdnd_tui.compare.rows import ComparisonRow, refusal
from crdnd_tui.compare.runs import (
    ComparedRun,
    ScoredRun,
    by_draw,
    incomparable,
    other_attack,
    other_ball,
    other_images,
)  # fmt: skip
from crdnd_tui.core.attack_names import attack_title, is_within
from engine.spec.statistics import mcnemar_p


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """One row against the baseline under one attack: row minus baseline, fractions; None where there is none.

    paired: one run each, the same images: exact McNemar test, Agresti-Min interval of the difference.
    seeds: runs paired by seed: mean difference, t interval, exact sign-flip test.
    welch: several runs each whose seeds are not the same: Welch's t interval, exact permutation test.
    unpaired: one run each, whose outcomes per image are not both at hand: Newcombe interval, no test; or one run
        against several with other seeds, where nothing but the difference can be given.
    refused: epsilon, norm, data, test subset, attack or its version differ: `why` says which.
    missing: one of them has no number yet.

    A gap within runs, of two attacks or two checkpoints, is one, too: paired or seeds, without tests.
    """

    attack: str
    kind: Literal["paired", "seeds", "welch", "unpaired", "refused", "missing"]
    difference: float | None = None
    std: float | None = None  # sample standard deviation over seeds, of gaps
    low: float | None = None  # 95 % interval
    high: float | None = None
    p: float | None = None  # two-sided
    t_p: float | None = None  # of the t test that the interval over seeds belongs to: it trusts in normality
    adjusted: float | None = None  # Holm, over the rows that are compared with the baseline under this attack
    smallest: float | None = None  # that an exact test of so many pairs can give: 0.25 with three seeds
    only_row: int = 0  # images right in the row alone (b), of paired runs
    only_baseline: int = 0  # images right in the baseline alone (c)
    n: int = 0  # images
    pairs: int = 0  # seeds that both rows have
    apart: int | None = None  # of those pairs, networks that differ the same way: McNemar by image, Holm over the pairs
    family: int = 1  # comparisons that Holm's correction was over
    why: str = ""  # of a refusal, or of a weaker test than the best
    is_struck: bool = False  # one of the two figures is not believed, and so neither is this

    @property
    def is_of_one_network(self) -> bool:
        """Whether a row of several seeds is tested by one of them, which says nothing of the methods."""
        return self.kind == "paired" and self.pairs == 1

    @property
    def is_significant(self) -> bool:
        return self.adjusted is not None and self.adjusted < stats.LEVEL and not self.is_struck

    @property
    def deciding_p(self) -> float | None:
        """The p by which rows are told apart; over seeds the t test's: the exact test of three pairs never could."""
        return None if self.is_of_one_network else self.p if self.t_p is None else self.t_p


def contrasts(
    rows: Sequence[ComparisonRow], base: ComparisonRow, attacks: Sequence[str]
) -> dict[tuple[str, str], Contrast]:
    """(row id, attack) -> the row against the baseline, for every other row; p is adjusted within each attack.

    Holm's correction is over tests of whole rows: one seed of several says nothing of its row.
    """
    others = [row for row in rows if row.id != base.id]
    found: dict[tuple[str, str], Contrast] = {}
    for attack in attacks:
        these = {row.id: contrast(row, base, attack) for row in others}
        tested = {row: one.p for row, one in these.items() if one.p is not None and not one.is_of_one_network}
        adjusted = dict(zip(tested, stats.holm(list(tested.values())), strict=True))
        for row in others:
            one = replace(these[row.id], is_struck=row.is_struck(attack) or base.is_struck(attack))
            if row.id in adjusted:
                one = replace(one, adjusted=adjusted[row.id], family=len(tested))
            found[row.id, attack] = one
    return found


def contrast(row: ComparisonRow, base: ComparisonRow, attack: str) -> Contrast:
    """Of two rows, with p as it is before any correction."""
    if why := refusal(row, base, attack):
        return Contrast(attack=attack, kind="refused", why=why)
    here, there = row.scored(attack), base.scored(attack)
    if not here or not there:
        lacking = " and ".join(r.label for r, have in ((row, here), (base, there)) if not have)
        return Contrast(attack=attack, kind="missing", why=f"no {attack_title(attack)} of {lacking} yet")
    ones, others, n = row.by_seed(attack), base.by_seed(attack), here[0].cell.n
    shared = [seed for seed in ones if seed in others]
    difference = statistics.fmean(ones.values()) - statistics.fmean(others.values())
    if len(here) == len(there) == 1:
        return _by_image(here[0], there[0], attack)
    if len(ones) == len(others) == 1:
        right, other = (round(mean * n) for means in (ones, others) for mean in means.values())
        low, high = stats.newcombe(right, n, other, n)
        why = "the mean of a seed that ran more than once: unpaired interval, no test"
        return Contrast(attack=attack, kind="unpaired", difference=difference, low=low, high=high, n=n, why=why)
    if len(shared) >= 2:
        found = _by_seed(ones, others, shared, attack, n)
        return replace(found, apart=_networks_apart(found, here, there, attack))
    if min(len(ones), len(others)) >= 2:
        return _welch(list(ones.values()), list(others.values()), attack, n)
    many, few = (row.label, base.label) if len(ones) > len(others) else (base.label, row.label)
    pair = next(((one, two) for one in here for two in there if one.run.draw == two.run.draw), None)
    if pair is not None:
        found = _by_image(*pair, attack)
        why = f"{pair[0].run.draw} alone, image by image, for {few} has no other: says nothing of the methods"
        return replace(found, pairs=1, why="; ".join(filter(None, (why, found.why))))
    why = f"one seed of {few} against {max(len(ones), len(others))} of {many}, none of them the same: no test"
    return Contrast(attack=attack, kind="unpaired", difference=difference, n=n, why=why)


def _by_image(one: ScoredRun, two: ScoredRun, attack: str) -> Contrast:
    """Two runs: on the images that both were judged on, one by one where that is known."""
    here, there, n = one.record, two.record, one.cell.n
    counts = here.only(there) if here and there else None
    if counts is not None:
        b, c = counts
        low, high = stats.agresti_min(b, c, n)
        return Contrast(
            attack=attack, kind="paired", difference=(b - c) / n, low=low, high=high, p=mcnemar_p(b, c),
            only_row=b, only_baseline=c, n=n,
        )  # fmt: skip
    right, other = (round(scored.cell.accuracy * scored.cell.n) for scored in (one, two))
    low, high = stats.newcombe(right, n, other, two.cell.n)
    records = ((one.run, here), (two.run, there))
    blind = " and ".join(run.label or run.id for run, known in records if not known or known.right is None)
    why = f"no outcome of each image of {blind}" if blind else "the files do not say that the images are the same"
    return Contrast(
        attack=attack, kind="unpaired", difference=one.cell.accuracy - two.cell.accuracy, low=low, high=high, n=n,
        why=f"{why}: unpaired interval, no test",
    )  # fmt: skip


def _by_seed(
    ones: Mapping[str, float], others: Mapping[str, float], shared: Sequence[str], attack: str, n: int
) -> Contrast:
    """Seed by seed: the t interval of the mean difference, and the exact test."""
    differences = [ones[seed] - others[seed] for seed in shared]
    test = stats.paired_t(differences)
    exact = stats.sign_flip(differences) if len(differences) <= stats.MAX_PAIRS else None
    left = len({*ones, *others}) - len(shared)
    said = [f"only the {len(shared)} seeds that both have; {left} left out"] if left else []
    return Contrast(
        attack=attack, kind="seeds", difference=test.difference, low=test.low, high=test.high, n=n, pairs=len(shared),
        p=exact.p if exact else test.t_p, t_p=test.t_p, smallest=exact.smallest if exact else None,
        why="; ".join(said if exact else [*said, f"t test: the exact test takes {stats.MAX_PAIRS} seeds at most"]),
    )  # fmt: skip


def _networks_apart(
    found: Contrast, here: Sequence[ScoredRun], there: Sequence[ScoredRun], attack: str
) -> int | None:  # fmt: skip
    """How many pairs of seeds differ in the direction of the mean, image by image; None without all their outcomes."""
    pairs = {one.run.draw: (one, two) for one in here for two in there if one.run.draw == two.run.draw}
    by_image = [_by_image(*pair, attack) for pair in pairs.values()]
    tested = [one.p for one in by_image if one.p is not None]
    if len(tested) < len(by_image):
        return None
    alike = [((one.difference or 0.0) > 0) == ((found.difference or 0.0) > 0) for one in by_image]
    return sum(p < stats.LEVEL and same for p, same in zip(stats.holm(tested), alike, strict=True))


def _welch(first: Sequence[float], second: Sequence[float], attack: str, n: int) -> Contrast:
    """Several runs of each that share one seed at most."""
    test, exact = stats.welch_t(first, second), stats.permutation(first, second)
    return Contrast(
        attack=attack, kind="welch", difference=statistics.fmean(first) - statistics.fmean(second), n=n,
        low=test.low if test else None, high=test.high if test else None, t_p=test.t_p if test else None,
        p=exact.p if exact else test.t_p if test else None, smallest=exact.smallest if exact else None,
        why="the seeds are not the same",
    )  # fmt: skip


def leaders(rows: Sequence[ComparisonRow], attack: str) -> frozenset[str]:
    """Ids of the best of these comparable rows and of those below it, down to the first that is told from one above.

    Holm's correction is over the rows above. Nothing is said of a row that no test compares with the best, of those
    that are not believed, and of fewer than two.
    """
    means = {row.id: row.by_seed(attack) for row in rows if not row.is_struck(attack)}
    known = [row for row in rows if means.get(row.id)]
    if len(known) < 2:
        return frozenset()
    order = sorted(known, key=lambda row: -statistics.fmean(means[row.id].values()))
    tied = {order[0].id}
    for place, row in enumerate(order[1:], 1):
        above = [contrast(row, one, attack) for one in order[:place]]
        if _is_beaten(above):
            break
        if not above[0].is_of_one_network and above[0].low is not None:
            tied.add(row.id)
    return frozenset(tied)


def _is_beaten(above: Sequence[Contrast]) -> bool:
    """Whether one of these tells it apart: by a test, or else by an interval that leaves no room for 0."""
    tested = [p for one in above if (p := one.deciding_p) is not None]
    if any(p < stats.LEVEL for p in stats.holm(tested)):
        return True
    untested = [one for one in above if one.kind == "unpaired" and one.difference]
    return any(one.low is not None and one.high is not None and not one.low <= 0 <= one.high for one in untested)


def told_apart(row: ComparisonRow, other: ComparisonRow, attack: str, among: int) -> bool | None:
    """Whether a test tells two rows apart that were picked from so many; None where there is no test of both rows.

    As Bonferroni has it, each of the `among` - 1 comparisons of one row with the others must pay for all.
    """
    p = contrast(row, other, attack).deciding_p
    return None if p is None else p * max(1, among - 1) < stats.LEVEL


def attack_gap(runs: Sequence[ComparedRun], first: str, second: str) -> Contrast:
    """One attack minus another on the compared checkpoint, over one run or all runs of a row."""
    return _gap(first, [(run.scored(first), run.scored(second)) for run in runs])


def overfitting_gap(runs: Sequence[ComparedRun], attack: str) -> Contrast:
    """Best minus last checkpoint under one attack: above zero, the last epochs cost robustness."""
    ends = ([replace(run, wanted=checkpoint) for checkpoint in ("best", "last")] for run in runs)
    return _gap(attack, [(b.scored(attack), e.scored(attack)) for b, e in ends if b.checkpoint != e.checkpoint])


def _gap(attack: str, scored: Sequence[tuple[ScoredRun | None, ScoredRun | None]]) -> Contrast:
    """First minus second within each run: image by image of one, with a t interval over seeds of several."""
    both = [(one, two) for one, two in scored if one and two]
    if not both:
        return Contrast(attack=attack, kind="missing", why="no run has been through both")
    whys = [_other_results(one, two) for one, two in both]
    whys += [incomparable(s.run, o.run, s.cell.attack) for pair in both for s, o in zip(pair, both[0], strict=True)]
    if why := next(filter(None, whys), ""):
        return Contrast(attack=attack, kind="refused", why=why)
    n = both[0][0].cell.n
    differences = list(by_draw((one.run, one.cell.accuracy - two.cell.accuracy) for one, two in both).values())
    if len(differences) > 1:
        test, std = stats.paired_t(differences), statistics.stdev(differences)
        return Contrast(
            attack=attack, kind="seeds", difference=test.difference, std=std, low=test.low, high=test.high, n=n,
            pairs=len(differences),
        )  # fmt: skip
    found = _by_image(*both[0], attack)
    if len(both) == 1 and found.kind == "paired":
        return found
    what = "no outcome of each image is at hand" if len(both) == 1 else "the mean of a seed that ran more than once"
    return Contrast(attack=attack, kind="paired", difference=differences[0], n=n, why=f"{what}: no interval")


def _other_results(one: ScoredRun, two: ScoredRun) -> str:
    """Why two results of one run answer different questions; empty when they answer the same."""
    beyond = next((s.cell for s in (one, two) if not is_within(s.cell.attack, s.cell)), None)
    if beyond is not None:
        return f"{attack_title(beyond.attack, beyond)} is another threat model"
    if why := other_ball(one.cell, two.cell) or other_images(one.cell, two.cell):
        return why
    here, there = (s.run.records.get((s.cell.checkpoint, s.cell.attack)) for s in (one, two))
    if here and there and here.indices and there.indices and not here.same(there):
        return "they were judged on other images"
    if one.cell.checkpoint == two.cell.checkpoint and here and there and here.weights != there.weights:
        return "they were judged with other weights"
    return other_attack(one.cell, two.cell, one.cell.attack) if one.cell.attack == two.cell.attack else ""
