"""What a robustness table says of the order: a lead under PGD-SAT that AutoAttack does not leave standing is none.

Leads are differences of means, in points. Whether a lead is one is a matter of tests where there are any; of
numbers in print only intervals are known, and whether these overlap is said. Pure.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from crdnd_tui.compare.rows import RobustnessCell
from crdnd_tui.core import marks
from crdnd_tui.core.format import MINUS, points

CE, SUITE = "pgd_sat", "autoattack"
_TITLES = {CE: "PGD-SAT", SUITE: "AutoAttack"}
_EQUAL = 1e-9
OrderKind = Literal["holds", "close", "lost", "open"]
ApartTest = Callable[[str, str, str], bool | None]  # (label, label, attack): told apart by a test; None without one


@dataclass(frozen=True, kw_only=True)
class OrderVerdict:
    kind: OrderKind = "open"
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class OrderedRow:
    """A row's label and its comparable, believed cells by attack."""

    label: str
    cells: Mapping[str, RobustnessCell]

    def gap(self, other: "OrderedRow", attack: str) -> float:
        """This mean minus the other's, a fraction."""
        return self.cells[attack].mean - other.cells[attack].mean

    def points(self, other: "OrderedRow", attack: str) -> str:
        """`+5.0`, or `level`, with the sign of both marks; with two decimals where 10,000 images carry them."""
        one, two = self.cells[attack], other.cells[attack]
        shown = points(100 * self.gap(other, attack), min(one.n, two.n))
        text = shown if shown[0] in f"+{MINUS}" else "level"
        return text + marks.joined((one.marked, two.marked)).sign


def order_verdict(rows: Sequence[OrderedRow], apart: ApartTest = lambda *_: None) -> OrderVerdict:
    """Whether the leader under PGD-SAT leads under AutoAttack, too, and whether those behind it keep their order.

    A lead that is lost is news only if it was one: told apart from its rival under PGD-SAT.
    """
    whole = [row for row in rows if CE in row.cells and SUITE in row.cells]
    if len(whole) < 2:
        return _unsettled(rows, whole)
    order = sorted(whole, key=lambda row: (-row.cells[CE].mean, -row.cells[SUITE].mean))
    first, second = order[:2]
    rival = max(order[1:], key=lambda row: row.cells[SUITE].mean)
    overlap = _overlap_text(apart, (first, rival), (first, rival))
    if first.gap(rival, SUITE) <= _EQUAL < first.gap(rival, CE):
        if _is_near(apart, first, rival, CE):  # no news that is to be shouted
            one, two = first.points(rival, CE), first.points(rival, SUITE)
            text = f"{first.label} minus {rival.label} is {one} under PGD-SAT and {two} under AutoAttack"
            return OrderVerdict(kind="close", text=text + overlap)
        return OrderVerdict(kind="lost", text=_lost(first, rival) + overlap)
    text = _kept(first, second, rival, alone=len(order) == 2)
    turned = [
        (a, b)
        for place, a in enumerate(order[1:], 2)
        for b in order[place:]
        if a.gap(b, SUITE) < -_EQUAL and a.gap(b, CE) > _EQUAL and not _is_near(apart, a, b, CE)
    ]
    if turned:
        others = f"; so it is with {len(turned) - 1} more" if len(turned) > 1 else ""
        widest = max(turned, key=lambda pair: pair[0].gap(pair[1], CE))
        return OrderVerdict(kind="lost", text=f"{text}; but {_lost(*widest)}{others}")
    kind: OrderKind = "close" if _is_near(apart, first, rival, SUITE) else "holds"
    return OrderVerdict(kind=kind, text=text + _overlap_text(apart, (first, second), (first, rival)))


def _unsettled(rows: Sequence[OrderedRow], whole: Sequence[OrderedRow]) -> OrderVerdict:
    """Of two rows and more only PGD-SAT is known."""
    if sum(CE in row.cells for row in rows) < 2:
        return OrderVerdict()
    which = f"only {whole[0].label}" if whole else "none of these runs"
    if sum(SUITE in row.cells for row in rows) > len(whole):  # a figure that is not believed is not among them
        return OrderVerdict(text=f"PGD-SAT and AutoAttack settle no order: both are known and believed of {which}")
    return OrderVerdict(text=f"PGD-SAT alone settles no order: AutoAttack has fully judged {which}")


def _kept(first: OrderedRow, second: OrderedRow, rival: OrderedRow, *, alone: bool) -> str:
    one, two = first.points(second, CE), first.points(rival, SUITE)
    if max(abs(first.gap(second, CE)), abs(first.gap(rival, SUITE))) <= _EQUAL:
        return f"{first.label} and {second.label} are level under PGD-SAT and under AutoAttack"
    if alone:
        return f"{first.label} leads {second.label}: {one} under PGD-SAT, {two} under AutoAttack"
    if second is rival:
        return f"{first.label} leads, {second.label} next: {one} under PGD-SAT, {two} under AutoAttack"
    return f"{first.label} leads: {one} over {second.label} under PGD-SAT, {two} over {rival.label} under AutoAttack"


def _lost(ahead: OrderedRow, behind: OrderedRow) -> str:
    one, two = ahead.points(behind, CE), ahead.points(behind, SUITE)
    return f"the lead of {ahead.label} over {behind.label} under PGD-SAT ({one}) does not survive AutoAttack ({two})"


def _is_near(apart: ApartTest, one: OrderedRow, two: OrderedRow, attack: str) -> bool:
    """Not told apart by a test; without one, whether the intervals share a point."""
    tested, here, there = apart(one.label, two.label, attack), one.cells[attack], two.cells[attack]
    return not tested if tested is not None else here.high >= there.low and there.high >= here.low


def _overlap_text(
    apart: ApartTest, by_ce: tuple[OrderedRow, OrderedRow], by_suite: tuple[OrderedRow, OrderedRow]
) -> str:  # fmt: skip
    """Where the first pair, under PGD-SAT, and the second, under AutoAttack, are not told apart."""
    asked = ((*by_ce, CE), (*by_suite, SUITE))
    near = [attack for one, two, attack in asked if _is_near(apart, one, two, attack)]
    if not near:
        return ""
    where = "both" if len(near) == 2 else _TITLES[near[0]]
    if all(apart(one.label, two.label, attack) is not None for one, two, attack in asked):
        return f"; no test tells them apart under {'either' if len(near) == 2 else where}"
    several = any(cell.runs > 1 for one, two, _ in asked for row in (one, two) for cell in row.cells.values())
    what = "mean \u00b1 std" if several else "95 % intervals"
    return f"; {what} overlap under {where}"
