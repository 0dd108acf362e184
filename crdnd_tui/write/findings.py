"""What the Compare screen shows of runs beside their curves: worked out at once, in a thread, and kept while it holds.

It is what `crdnd compare` prints, by the same functions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from crdnd_tui.compare import comparison
from crdnd_tui.compare.comparison import Row
from crdnd_tui.compare.comparison_side import Side
from crdnd_tui.compare.contrast import Contrast
from crdnd_tui.write import of_comparison, of_curves, of_gaps, of_worst
from crdnd_tui.write.document import Figure, Table
from crdnd_tui.write.laid import Laid
from crdnd_tui.write.of_worst import Worst


class Plan(NamedTuple):
    """What a user may change that every number hangs on."""

    wanted: str = "best"
    baseline: str = ""
    grouped: bool | None = None  # None: as `comparison.grouping` says


@dataclass(frozen=True, kw_only=True, eq=False)
class Findings:
    """One is only equal to itself: who has drawn it need not draw it again."""

    plan: Plan  # with `grouped` settled
    laid: Laid
    said: tuple[str, ...]  # sentences on the tests; the order is in `laid.verdict`
    masking: Table | None
    overfitting: Table | None
    tradeoff: Figure | None

    def contrast(self, row: str, attack: str) -> Contrast | None:
        """The row against the baseline; None of the baseline itself."""
        return self.laid.contrasts.get((row, attack))

    def worst(self, row: Row, attack: str) -> Worst | None:
        """The class that fares worst; None where it cannot be compared, or no class is known."""
        return None if (row.id, attack) in self.laid.grid.reasons else of_worst.worst(self.laid, row, attack)


def findings(sides: Sequence[Side], plan: Plan) -> Findings:
    """Of at least one side."""
    grouped = comparison.grouping(sides) if plan.grouped is None else plan.grouped
    laid = of_comparison.lay(sides, wanted=plan.wanted, baseline=plan.baseline, grouped=grouped)
    lead = of_comparison.lead(laid)
    return Findings(
        plan=plan._replace(grouped=grouped),
        laid=laid,
        said=lead[1:] if laid.verdict.words else lead,
        masking=of_gaps.masking(laid),
        overfitting=of_gaps.overfitting(laid),
        tradeoff=of_curves.tradeoff(laid),
    )


class Finder:
    """Works out anew only what may have changed: a training that goes on changes no table until it is judged."""

    def __init__(self) -> None:
        self._plan = Plan()
        self._sides: tuple[Side, ...] = ()
        self._found: Findings | None = None

    def of(self, sides: Sequence[Side], plan: Plan) -> Findings:
        """The same object as before where nothing that it tells of has changed."""
        known = self._found
        told = known is not None and len(sides) == len(self._sides) and plan in (self._plan, known.plan)
        if known is None or not told or not all(map(_alike, sides, self._sides)):
            known = findings(sides, plan)
        self._plan, self._sides, self._found = plan, tuple(sides), known
        return known


def _alike(one: Side, two: Side) -> bool:
    """Whether two readings of a run say the same in every table."""
    here, there = one.state, two.state
    return (
        one.config is two.config
        and here.table is there.table
        and here.training is there.training
        and here.warnings is there.warnings
        and here.probed is there.probed
        and one.twin == two.twin
        and (len(here.epochs), len(here.validations)) == (len(there.epochs), len(there.validations))
        and (one.id, one.label, one.word, one.why, one.group, one.records)
        == (two.id, two.label, two.word, two.why, two.group, two.records)
    )
