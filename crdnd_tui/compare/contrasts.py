"""Rows of a comparison against its baseline, attack by attack, with the strongest test that the runs allow. Pure.

Two runs on the same images are pairs of outcomes; several runs of each are pairs of seeds, and then the images play no
part: what is asked is whether the methods differ, not whether two networks do.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace

from crdnd_tui.compare import stats
from crdnd_tui.compare.comparison import Row, Scored, by_seed, refusal
from crdnd_tui.compare.contrast import Contrast
from crdnd_tui.core import report
from engine.spec.events import Evaluated
from engine.spec.outcomes import mcnemar_p


def contrasts(rows: Sequence[Row], base: Row, wanted: str, attacks: Sequence[str]) -> dict[tuple[str, str], Contrast]:
    """(row id, attack) -> the row against the baseline, for every other row; p is adjusted within each attack."""
    others = [row for row in rows if row.id != base.id]
    found: dict[tuple[str, str], Contrast] = {}
    for attack in attacks:
        these = [_contrast(row, base, wanted, attack) for row in others]
        struck = [row.struck(wanted, attack) or base.struck(wanted, attack) for row in others]
        found |= {
            (row.id, attack): replace(one, struck=is_struck)
            for row, one, is_struck in zip(others, _adjusted(these), struck, strict=True)
        }
    return found


def leaders(rows: Sequence[Row], base: Row, wanted: str, attack: str) -> frozenset[str]:
    """Ids of the best row under this attack and of those below it, down to the first that is told from one above.

    Over seeds it is the t test that tells them apart: the exact test of three pairs never could. Holm's correction is
    over the rows above. Nothing is said of a row that no test compares with the best, of those that are not comparable
    with the baseline or not believed, and of fewer than two.
    """
    fair = [row for row in rows if not refusal(row, base, wanted, attack) and not row.struck(wanted, attack)]
    means = [_mean(row, wanted, attack) for row in fair]
    known = [(mean, place) for place, mean in enumerate(means) if mean is not None]
    if len(known) < 2:
        return frozenset()
    order = [fair[place] for _, place in sorted(known, key=lambda entry: (-entry[0], entry[1]))]
    tied = {order[0].id}
    for place, row in enumerate(order[1:], 1):
        beside = [_contrast(row, above, wanted, attack) for above in order[:place]]
        if _is_beaten(beside):
            break
        if not beside[0].is_of_one_network and beside[0].low is not None:
            tied.add(row.id)
    return frozenset(tied)


def told_apart(row: Row, other: Row, wanted: str, attack: str, among: int) -> bool | None:
    """Whether a test tells two rows apart that were picked from so many; None where there is no test of both rows.

    As Bonferroni has it, each of the `among` - 1 comparisons of one row with the others must pay for all.
    """
    p = _tested(_contrast(row, other, wanted, attack))
    return None if p is None else p * max(1, among - 1) < stats.LEVEL


def _tested(one: Contrast) -> float | None:
    """The p by which rows are told apart; over seeds the t test's."""
    if one.is_of_one_network:
        return None
    return one.p if one.t_p is None else one.t_p


def _is_beaten(beside: Sequence[Contrast]) -> bool:
    """Whether one of the rows above is told from it."""
    tested = [p for one in beside if (p := _tested(one)) is not None]
    if not all(p >= stats.LEVEL for p in stats.holm(tested)):
        return True
    return any(one.kind == "unpaired" and one.low is not None and not _holds_zero(one) for one in beside)


def _holds_zero(one: Contrast) -> bool:
    """Where there is no test: whether the interval leaves room for no difference."""
    return one.difference == 0 or (one.low is not None and one.high is not None and one.low <= 0 <= one.high)


def _mean(row: Row, wanted: str, attack: str) -> float | None:
    have = row.scored(wanted, attack)
    return statistics.fmean(by_seed(have).values()) if have else None


def _adjusted(these: Sequence[Contrast]) -> list[Contrast]:
    """With Holm's correction over those that are tests of whole rows: one seed of several says nothing of its row."""
    tested = [place for place, one in enumerate(these) if one.p is not None and not one.is_of_one_network]
    values = stats.holm([p for place in tested if (p := these[place].p) is not None])
    known = dict(zip(tested, values, strict=True))
    return [
        replace(one, adjusted=known[place], family=len(tested)) if place in known else one
        for place, one in enumerate(these)
    ]


def _contrast(row: Row, base: Row, wanted: str, attack: str) -> Contrast:
    here, there = row.scored(wanted, attack), base.scored(wanted, attack)
    if why := refusal(row, base, wanted, attack):
        return Contrast(attack=attack, kind="refused", why=why)
    if not here or not there:
        lacking = " and ".join(r.label for r, have in ((row, here), (base, there)) if not have)
        return Contrast(attack=attack, kind="missing", why=f"no {report.title(attack)} of {lacking} yet")
    ones, others = by_seed(here), by_seed(there)
    if len(here) == len(there) == 1:
        return _images(here[0], there[0], wanted, attack)
    if len(ones) == len(others) == 1:
        return _repeated(ones, others, here[0].cell)
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


def _images(one: Scored, two: Scored, wanted: str, attack: str) -> Contrast:
    """Two runs: on the images that both were judged on, one by one where that is known."""
    here, there = one.side.record(wanted, attack), two.side.record(wanted, attack)
    n = one.cell.n
    counts = here.only(there) if here and there else None
    if counts is not None:
        b, c = counts
        low, high = stats.agresti_min(b, c, n)
        return Contrast(
            attack=attack, kind="paired", difference=(b - c) / n, low=low, high=high, p=mcnemar_p(b, c),
            only_row=b, only_baseline=c, n=n,
        )  # fmt: skip
    right, other = (round(run.cell.accuracy * run.cell.n) for run in (one, two))
    low, high = stats.newcombe(right, n, other, two.cell.n)
    blind = " and ".join(
        run.side.label or run.side.id for run, known in ((one, here), (two, there)) if not known or known.right is None
    )
    why = f"no outcome of each image of {blind}" if blind else "the files do not say that the images are the same"
    return Contrast(
        attack=attack, kind="unpaired", difference=one.cell.accuracy - two.cell.accuracy, low=low, high=high, n=n,
        why=f"{why}: unpaired interval, no test",
    )  # fmt: skip


def _repeated(ones: Mapping[str, float], others: Mapping[str, float], cell: Evaluated) -> Contrast:
    """One seed each, of which one at least ran more than once: the means of its runs are no outcomes of images."""
    (mean,), (other,) = ones.values(), others.values()
    n = cell.n
    low, high = stats.newcombe(round(mean * n), n, round(other * n), n)
    return Contrast(
        attack=cell.attack, kind="unpaired", difference=mean - other, low=low, high=high, n=n,
        why="the mean of a seed that ran more than once: unpaired interval, no test",
    )  # fmt: skip


def _seeds(ones: Mapping[str, float], others: Mapping[str, float], shared: Sequence[str], cell: Evaluated) -> Contrast:
    """Seed by seed: the t interval of the mean difference, and the exact test."""
    differences = [ones[seed] - others[seed] for seed in shared]
    test = stats.paired_t(differences)
    flips = stats.sign_flip(differences) if len(shared) <= stats.MAX_PAIRS else None
    left = len({*ones, *others}) - len(shared)
    said = [f"only the {len(shared)} seeds that both have; {left} left out"] if left else []
    said += [] if flips else [f"t test: the exact test takes {stats.MAX_PAIRS} seeds at most"]
    return Contrast(
        attack=cell.attack, kind="seeds", difference=test.difference, low=test.low, high=test.high,
        p=flips.p if flips else test.t_p, t_p=test.t_p, smallest=flips.smallest if flips else None, n=cell.n,
        pairs=len(shared), why="; ".join(said),
    )  # fmt: skip


def _apart(found: Contrast, here: Sequence[Scored], there: Sequence[Scored], wanted: str, attack: str) -> int | None:
    """How many pairs of seeds differ in the direction of the mean, image by image; None without all their outcomes."""
    pairs = {one.side.draw: (one, two) for one in here for two in there if one.side.draw == two.side.draw}
    by_image = [_images(*pair, wanted, attack) for pair in pairs.values()]
    tested = [one.p for one in by_image if one.p is not None]
    if len(tested) < len(by_image):
        return None
    upward = (found.difference or 0.0) > 0
    alike = [((one.difference or 0.0) > 0) == upward for one in by_image]
    return sum(p < stats.LEVEL and same for p, same in zip(stats.holm(tested), alike, strict=True))


def _welch(ones: Mapping[str, float], others: Mapping[str, float], cell: Evaluated) -> Contrast:
    """Several runs of each that share one seed at most: Welch's interval, and the exact permutation test."""
    first, second = list(ones.values()), list(others.values())
    test, exact = stats.welch_t(first, second), stats.permutation(first, second)
    found = Contrast(
        attack=cell.attack, kind="welch", difference=statistics.fmean(first) - statistics.fmean(second), n=cell.n,
        p=exact.p if exact else None, smallest=exact.smallest if exact else None, why="the seeds are not the same",
    )  # fmt: skip
    if test is None:
        return found
    return replace(found, low=test.low, high=test.high, t_p=test.t_p, p=exact.p if exact else test.t_p)


def _one_network(pair: tuple[Scored, Scored], few: str, wanted: str, attack: str) -> Contrast:
    """One seed against several, itself among them: two networks may be compared, two methods may not."""
    found = _images(*pair, wanted, attack)
    said = f"{pair[0].side.draw} alone, image by image, for {few} has no other: says nothing of the methods"
    return replace(found, pairs=1, why="; ".join(filter(None, (said, found.why))))
