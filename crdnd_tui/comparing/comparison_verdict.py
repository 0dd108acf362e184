"""What the tables say of the order: a lead under PGD-SAT that AutoAttack does not leave standing is none. Pure.

Leads are differences of means, in points. No probability is claimed, for the runs share their images: whether
intervals overlap is said, and that is all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

CE, SUITE = "pgd_sat", "autoattack"
Kind = Literal["holds", "close", "lost", "open"]
_TITLES = {CE: "PGD-SAT", SUITE: "AutoAttack"}
_EQUAL = 1e-9
_MANY = 10_000  # images that carry a second decimal


class Mean(Protocol):
    """A cell, as far as an order needs it."""

    @property
    def mean(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...
    @property
    def runs(self) -> int: ...
    @property
    def n(self) -> int: ...


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One sentence, and what kind of news it is."""

    kind: Kind = "open"
    words: str = ""


Judged = tuple[str, Mapping[str, Mean]]


def verdict(cells: Sequence[Judged]) -> Verdict:
    """Whether the leader under PGD-SAT leads under AutoAttack, too, and whether those behind it keep their order."""
    whole = [entry for entry in cells if CE in entry[1] and SUITE in entry[1]]
    if len(whole) < 2:
        return _unsettled([entry for entry in cells if CE in entry[1]], whole)
    order = sorted(whole, key=lambda entry: (-entry[1][CE].mean, -entry[1][SUITE].mean))
    first = order[0]
    rival = max(order[1:], key=lambda entry: entry[1][SUITE].mean)
    if _gap(first, rival, SUITE) <= _EQUAL < _gap(first, rival, CE):
        chance = _close(first, rival, CE) and _close(first, rival, SUITE)  # no news that is to be shouted
        words = _lost(first, rival) + _overlap(first, rival, first, rival)
        return Verdict(kind="close" if chance else "lost", words=words)
    second = order[1]
    words = _kept(first, second, rival, alone=len(order) == 2)
    turned = _turned(order[1:])
    if turned:
        others = f"; so it is with {len(turned) - 1} more" if len(turned) > 1 else ""
        return Verdict(kind="lost", words=f"{words}; but {_lost(*turned[0])}{others}")
    close = _close(first, rival, SUITE)
    return Verdict(kind="close" if close else "holds", words=words + _overlap(first, second, first, rival))


def _unsettled(by_ce: Sequence[Judged], whole: Sequence[Judged]) -> Verdict:
    """Of two runs and more only PGD-SAT is known."""
    if len(by_ce) < 2:
        return Verdict()
    which = f"only {whole[0][0]}" if whole else "none of these runs"
    return Verdict(words=f"PGD-SAT alone settles no order: AutoAttack has fully judged {which}")


def _kept(first: Judged, second: Judged, rival: Judged, *, alone: bool) -> str:
    """The leader and its two leads."""
    one, two = (_points(first, other, attack) for other, attack in ((second, CE), (rival, SUITE)))
    if all(abs(_gap(first, other, attack)) <= _EQUAL for other, attack in ((second, CE), (rival, SUITE))):
        return f"{first[0]} and {second[0]} are level under PGD-SAT and under AutoAttack"
    if alone:
        return f"{first[0]} leads {second[0]}: {one} under PGD-SAT, {two} under AutoAttack"
    if second is rival:
        return f"{first[0]} leads, {second[0]} next: {one} under PGD-SAT, {two} under AutoAttack"
    return f"{first[0]} leads: {one} over {second[0]} under PGD-SAT, {two} over {rival[0]} under AutoAttack"


def _lost(ahead: Judged, behind: Judged) -> str:
    """A lead that turned, with both its sizes."""
    one, two = _points(ahead, behind, CE), _points(ahead, behind, SUITE)
    return f"the lead of {ahead[0]} over {behind[0]} under PGD-SAT ({one}) does not survive AutoAttack ({two})"


def _turned(order: Sequence[Judged]) -> list[tuple[Judged, Judged]]:
    """Pairs behind the leader whose order AutoAttack turns, the widest first; not those that overlap under both."""
    pairs = [(a, b) for place, a in enumerate(order) for b in order[place + 1 :]]
    turned = [
        (a, b)
        for a, b in pairs
        if _gap(a, b, SUITE) < -_EQUAL
        and _gap(a, b, CE) > _EQUAL
        and not (_close(a, b, CE) and _close(b, a, SUITE))
    ]  # fmt: skip
    return sorted(turned, key=lambda pair: -_gap(pair[0], pair[1], CE))


def _gap(one: Judged, two: Judged, attack: str) -> float:
    return one[1][attack].mean - two[1][attack].mean


def _close(one: Judged, two: Judged, attack: str) -> bool:
    """Whether the intervals share a point."""
    here, there = one[1][attack], two[1][attack]
    return here.high >= there.low and there.high >= here.low


def _points(one: Judged, two: Judged, attack: str) -> str:
    """`+5.0`, or `level`; with two decimals where 10,000 images carry them."""
    digits = 2 if min(one[1][attack].n, two[1][attack].n) >= _MANY else 1
    shown = f"{100 * _gap(one, two, attack):+.{digits}f}"
    return "level" if float(shown) == 0 else shown.replace("-", "\u2212")


def _overlap(one: Judged, two: Judged, three: Judged, four: Judged) -> str:
    """Where the intervals of the first pair (PGD-SAT) and of the second (AutoAttack) overlap."""
    near = [CE] * _close(one, two, CE) + [SUITE] * _close(three, four, SUITE)
    if not near:
        return ""
    several = any(cell.runs > 1 for entry in (one, two, three, four) for cell in entry[1].values())
    range_ = "mean \u00b1 std" if several else "95 % intervals"
    return f"; {range_} overlap under {'both' if len(near) == 2 else _TITLES[near[0]]}"
