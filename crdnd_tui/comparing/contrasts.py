"""Rows of a comparison against its baseline, attack by attack, with the strongest test that the runs allow. Pure.

Two runs on the same images are pairs of outcomes; several runs of each are pairs of seeds, and then the images play no
part: what is asked is whether the methods differ, not whether two networks do.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from crdnd_tui import report
from crdnd_tui.comparing.comparison import Row
from crdnd_tui.comparing.comparison_side import Side, across, reason
from crdnd_tui.comparing.contrast import Contrast
from crdnd_tui.stats import multiple, proportions, seeds
from engine.spec.events import Evaluated


def contrasts(rows: Sequence[Row], base: Row, wanted: str, attacks: Sequence[str]) -> dict[tuple[str, str], Contrast]:
    """(row id, attack) -> the row against the baseline, for every other row; p is adjusted within each attack."""
    others = [row for row in rows if row.id != base.id]
    found: dict[tuple[str, str], Contrast] = {}
    for attack in attacks:
        these = [_contrast(row, base, wanted, attack) for row in others]
        found |= {(row.id, attack): one for row, one in zip(others, _adjusted(these), strict=True)}
    return found


def leaders(rows: Sequence[Row], base: Row, wanted: str, attack: str) -> frozenset[str]:
    """Ids of the rows that cannot be told from the best under this attack: no row above them is surely better.

    Over seeds it is the t test that tells them apart, or that the networks of all seeds differ image by image: the
    exact test of three pairs never could. Holm's correction is over the rows above. Rows that are not comparable with
    the baseline do not take part, and nothing is said of fewer than two.
    """
    fair = [row for row in rows if not _why(row, base, wanted, attack)]
    means = [_mean(row, wanted, attack) for row in fair]
    known = [(mean, place) for place, mean in enumerate(means) if mean is not None]
    if len(known) < 2:
        return frozenset()
    order = [fair[place] for _, place in sorted(known, key=lambda entry: (-entry[0], entry[1]))]
    tied = {row.id for place, row in enumerate(order) if not _is_beaten(row, order[:place], wanted, attack)}
    return frozenset(tied)


def _is_beaten(row: Row, above: Sequence[Row], wanted: str, attack: str) -> bool:
    """Whether one of the rows above it is told from it."""
    beside = [_contrast(row, other, wanted, attack) for other in above]
    tested = [p for one in beside if (p := one.p if one.t_p is None else one.t_p) is not None]
    if not all(multiple.undecided(tested)) or any(one.kind == "seeds" and one.apart == one.pairs for one in beside):
        return True
    untested = [one for one in beside if one.p is None and one.t_p is None]
    return any(not _holds_zero(one) for one in untested)


def _holds_zero(one: Contrast) -> bool:
    """Where there is no test: whether the interval leaves room for no difference."""
    return one.difference == 0 or (one.low is not None and one.high is not None and one.low <= 0 <= one.high)


def _mean(row: Row, wanted: str, attack: str) -> float | None:
    have = _judged(row, wanted, attack)
    return statistics.fmean(_by_seed(have).values()) if have else None


def _adjusted(these: Sequence[Contrast]) -> list[Contrast]:
    tested = [place for place, one in enumerate(these) if one.p is not None]
    values = multiple.holm([one.p for one in these if one.p is not None])
    known = dict(zip(tested, values, strict=True))
    return [
        replace(one, adjusted=known[place], family=len(tested)) if place in known else one
        for place, one in enumerate(these)
    ]


@dataclass(frozen=True, kw_only=True)
class _Run:
    """One run that has a number under the attack."""

    side: Side
    cell: Evaluated


def _judged(row: Row, wanted: str, attack: str) -> list[_Run]:
    return [_Run(side=side, cell=cell) for side in row.sides if (cell := side.cell(wanted, attack)) is not None]


def _mixed(row: Row, have: Sequence[_Run], wanted: str, attack: str) -> str:
    """Why the row's own runs have no mean; empty when they answer one question."""
    why = next((w for run in have[1:] if (w := reason(run.side, have[0].side, wanted, attack))), "")
    return f"runs of {row.label} among themselves: {why}" if why else ""


def _why(row: Row, base: Row, wanted: str, attack: str) -> str:
    """Why these rows are not comparable; empty when they are, or when a number is missing."""
    here, there = _judged(row, wanted, attack), _judged(base, wanted, attack)
    return (
        across(row.sides[0], base.sides[0], wanted)
        or _mixed(row, here, wanted, attack)
        or _mixed(base, there, wanted, attack)
        or next((w for run in here for other in there[:1] if (w := reason(run.side, other.side, wanted, attack))), "")
    )


def _contrast(row: Row, base: Row, wanted: str, attack: str) -> Contrast:
    here, there = _judged(row, wanted, attack), _judged(base, wanted, attack)
    if why := _why(row, base, wanted, attack):
        return Contrast(attack=attack, kind="refused", why=why)
    if not here or not there:
        lacking = " and ".join(r.label for r, have in ((row, here), (base, there)) if not have)
        return Contrast(attack=attack, kind="missing", why=f"no {report.title(attack)} of {lacking} yet")
    ones, others = _by_seed(here), _by_seed(there)
    if len(ones) == len(others) == 1:
        return _images(here[0], there[0], wanted, attack)
    shared = [seed for seed in ones if seed in others]
    if len(shared) >= 2:
        found = _seeds(ones, others, shared, here[0].cell)
        return replace(found, apart=_apart(found, here, there, wanted, attack))
    if min(len(ones), len(others)) >= 2:
        return _welch(ones, others, here[0].cell)
    many, few = (row.label, base.label) if len(ones) > len(others) else (base.label, row.label)
    pair = next(((one, two) for one in here for two in there if one.side.draw == two.side.draw), None)
    if pair is not None:
        return _one_network(pair, few, wanted, attack)
    difference = statistics.fmean(ones.values()) - statistics.fmean(others.values())
    why = f"one seed of {few} against {max(len(ones), len(others))} of {many}, none of them the same: no test"
    return Contrast(attack=attack, kind="unpaired", difference=difference, n=here[0].cell.n, why=why)


def _by_seed(have: Sequence[_Run]) -> dict[str, float]:
    """One accuracy for each seed: a seed that ran twice is no second seed. A run without a seed stands for itself."""
    gathered: dict[str, list[float]] = {}
    for run in have:
        gathered.setdefault(run.side.draw, []).append(run.cell.accuracy)
    return {seed: statistics.fmean(values) for seed, values in gathered.items()}


def _images(one: _Run, two: _Run, wanted: str, attack: str) -> Contrast:
    """Two runs: on the images that both were judged on, one by one where that is known."""
    here, there = one.side.record(wanted, attack), two.side.record(wanted, attack)
    n = one.cell.n
    counts = here.only(there) if here and there else None
    if counts is not None:
        b, c = counts
        low, high = proportions.agresti_min(b, c, n)
        return Contrast(
            attack=attack, kind="paired", difference=(b - c) / n, low=low, high=high, p=proportions.mcnemar(b, c),
            only_row=b, only_baseline=c, n=n,
        )  # fmt: skip
    right, other = (round(run.cell.accuracy * run.cell.n) for run in (one, two))
    low, high = proportions.newcombe(right, n, other, two.cell.n)
    blind = " and ".join(
        run.side.label or run.side.id for run, known in ((one, here), (two, there)) if not known or known.right is None
    )
    why = f"no outcome of each image of {blind}" if blind else "the files do not say that the images are the same"
    return Contrast(
        attack=attack, kind="unpaired", difference=one.cell.accuracy - two.cell.accuracy, low=low, high=high, n=n,
        why=f"{why}: unpaired interval, no test",
    )  # fmt: skip


def _seeds(ones: Mapping[str, float], others: Mapping[str, float], shared: Sequence[str], cell: Evaluated) -> Contrast:
    """Seed by seed: the t interval of the mean difference, and the exact test."""
    differences = [ones[seed] - others[seed] for seed in shared]
    test = seeds.paired(differences)
    flips = seeds.sign_flip(differences) if len(shared) <= seeds.MAX_PAIRS else None
    left = len({*ones, *others}) - len(shared)
    said = [f"only the {len(shared)} seeds that both have; {left} left out"] if left else []
    said += [] if flips else [f"t test: the exact test takes {seeds.MAX_PAIRS} seeds at most"]
    return Contrast(
        attack=cell.attack, kind="seeds", difference=test.difference, low=test.low, high=test.high,
        p=flips.p if flips else test.t_p, t_p=test.t_p, smallest=flips.smallest if flips else None, n=cell.n,
        pairs=len(shared), why="; ".join(said),
    )  # fmt: skip


def _apart(found: Contrast, here: Sequence[_Run], there: Sequence[_Run], wanted: str, attack: str) -> int | None:
    """How many pairs of seeds differ in the direction of the mean, image by image; None without all their outcomes."""
    pairs = {one.side.draw: (one, two) for one in here for two in there if one.side.draw == two.side.draw}
    by_image = [_images(*pair, wanted, attack) for pair in pairs.values()]
    tested = [one.p for one in by_image if one.p is not None]
    if len(tested) < len(by_image):
        return None
    upward = (found.difference or 0.0) > 0
    alike = [((one.difference or 0.0) > 0) == upward for one in by_image]
    return sum(p < multiple.LEVEL and same for p, same in zip(multiple.holm(tested), alike, strict=True))


def _welch(ones: Mapping[str, float], others: Mapping[str, float], cell: Evaluated) -> Contrast:
    """Several runs of each that share one seed at most."""
    test = seeds.welch(list(ones.values()), list(others.values()))
    if test is None:
        difference = statistics.fmean(ones.values()) - statistics.fmean(others.values())
        why = "no seed makes a difference in either: no test"
        return Contrast(attack=cell.attack, kind="welch", difference=difference, n=cell.n, why=why)
    return Contrast(
        attack=cell.attack, kind="welch", difference=test.difference, low=test.low, high=test.high, p=test.t_p,
        t_p=test.t_p, n=cell.n, why="the seeds are not the same: Welch's test",
    )  # fmt: skip


def _one_network(pair: tuple[_Run, _Run], few: str, wanted: str, attack: str) -> Contrast:
    """One seed against several, itself among them: two networks may be compared, two methods may not."""
    found = _images(*pair, wanted, attack)
    said = f"{pair[0].side.draw} alone, image by image, for {few} has no other: says nothing of the methods"
    return replace(found, pairs=1, why="; ".join(filter(None, (said, found.why))))
