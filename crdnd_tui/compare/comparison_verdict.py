"""What the tables say of the order: a lead under PGD-SAT that AutoAttack does not leave standing is none. Pure.

Leads are differences of means, in points. Whether a lead is one is a matter of tests where there are any; of
numbers in print only intervals are known, and whether these overlap is said.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from crdnd_tui.core import marks
from crdnd_tui.core.format import MINUS, points
from crdnd_tui.core.marks import Marked

CE, SUITE = "pgd_sat", "autoattack"
Kind = Literal["holds", "close", "lost", "open"]
_TITLES = {CE: "PGD-SAT", SUITE: "AutoAttack"}
_EQUAL = 1e-9


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
    @property
    def marked(self) -> Marked: ...


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One sentence, and what kind of news it is."""

    kind: Kind = "open"
    words: str = ""


Judged = tuple[str, Mapping[str, Mean]]
Apart = Callable[[str, str, str], bool | None]  # (label, label, attack): told apart by a test; None without one


def _untested(_one: str, _two: str, _attack: str) -> None:
    return None


def verdict(cells: Sequence[Judged], apart: Apart = _untested) -> Verdict:
    """Whether the leader under PGD-SAT leads under AutoAttack, too, and whether those behind it keep their order.

    A lead that is lost is news only if it was one: told apart from its rival under PGD-SAT.
    """
    whole = [entry for entry in cells if CE in entry[1] and SUITE in entry[1]]
    if len(whole) < 2:
        return _unsettled(cells, whole)
    order = sorted(whole, key=lambda entry: (-entry[1][CE].mean, -entry[1][SUITE].mean))
    first = order[0]
    rival = max(order[1:], key=lambda entry: entry[1][SUITE].mean)
    near = _Near(apart)
    if _gap(first, rival, SUITE) <= _EQUAL < _gap(first, rival, CE):
        if near(first, rival, CE):  # no news that is to be shouted
            return Verdict(kind="close", words=_turns(first, rival) + near.words((first, rival), (first, rival)))
        return Verdict(kind="lost", words=_lost(first, rival) + near.words((first, rival), (first, rival)))
    second = order[1]
    words = _kept(first, second, rival, alone=len(order) == 2)
    turned = _turned(order[1:], near)
    if turned:
        others = f"; so it is with {len(turned) - 1} more" if len(turned) > 1 else ""
        return Verdict(kind="lost", words=f"{words}; but {_lost(*turned[0])}{others}")
    kind: Kind = "close" if near(first, rival, SUITE) else "holds"
    return Verdict(kind=kind, words=words + near.words((first, second), (first, rival)))


def _unsettled(judged: Sequence[Judged], whole: Sequence[Judged]) -> Verdict:
    """Of two runs and more only PGD-SAT is known."""
    if sum(CE in cells for _, cells in judged) < 2:
        return Verdict()
    which = f"only {whole[0][0]}" if whole else "none of these runs"
    if sum(SUITE in cells for _, cells in judged) > len(whole):  # a figure that is not believed is not among them
        return Verdict(words=f"PGD-SAT and AutoAttack settle no order: both are known and believed of {which}")
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


def _turns(ahead: Judged, behind: Judged) -> str:
    """An order that is another one under AutoAttack, where there may have been none under PGD-SAT."""
    one, two = _points(ahead, behind, CE), _points(ahead, behind, SUITE)
    return f"{ahead[0]} minus {behind[0]} is {one} under PGD-SAT and {two} under AutoAttack"


def _turned(order: Sequence[Judged], near: "_Near") -> list[tuple[Judged, Judged]]:
    """Pairs behind the leader whose order AutoAttack turns, the widest first; not those that are near under PGD-SAT."""
    pairs = [(a, b) for place, a in enumerate(order) for b in order[place + 1 :]]
    turned = [
        (a, b) for a, b in pairs if _gap(a, b, SUITE) < -_EQUAL and _gap(a, b, CE) > _EQUAL and not near(a, b, CE)
    ]
    return sorted(turned, key=lambda pair: -_gap(pair[0], pair[1], CE))


def _gap(one: Judged, two: Judged, attack: str) -> float:
    return one[1][attack].mean - two[1][attack].mean


def _points(one: Judged, two: Judged, attack: str) -> str:
    """`+5.0`, or `level`, with the sign of both marks; with two decimals where 10,000 images carry them."""
    shown = points(100 * _gap(one, two, attack), min(one[1][attack].n, two[1][attack].n))
    words = shown if shown[0] in f"+{MINUS}" else "level"
    return words + marks.joined((one[1][attack].marked, two[1][attack].marked)).sign


class _Near:
    """Which two cannot be told apart: by a test, or else by their intervals."""

    def __init__(self, apart: Apart) -> None:
        self._apart = apart

    def __call__(self, one: Judged, two: Judged, attack: str) -> bool:
        """Not told apart; without a test, whether the intervals share a point."""
        tested = self._apart(one[0], two[0], attack)
        here, there = one[1][attack], two[1][attack]
        return not tested if tested is not None else here.high >= there.low and there.high >= here.low

    def words(self, by_ce: tuple[Judged, Judged], by_suite: tuple[Judged, Judged]) -> str:
        """Where the first pair, under PGD-SAT, and the second, under AutoAttack, are not told apart."""
        asked = ((*by_ce, CE), (*by_suite, SUITE))
        near = [attack for one, two, attack in asked if self(one, two, attack)]
        if not near:
            return ""
        where = "both" if len(near) == 2 else _TITLES[near[0]]
        if all(self._apart(one[0], two[0], attack) is not None for one, two, attack in asked):
            return f"; no test tells them apart under {'either' if len(near) == 2 else where}"
        several = any(cell.runs > 1 for one, two, _ in asked for entry in (one, two) for cell in entry[1].values())
        what = "mean \u00b1 std" if several else "95 % intervals"
        return f"; {what} overlap under {where}"
