"""What the Compare screen shows of runs beside their curves: worked out at once, in a thread, and kept while it holds.

It is what `crdnd compare` prints, by the same functions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from crdnd_tui.compare.comparison import Comparison, compare
from crdnd_tui.compare.rows import has_seeds
from crdnd_tui.compare.runs import ComparedRun
from crdnd_tui.write.comparison_details import masking_table, overfitting_table
from crdnd_tui.write.comparison_document import lead
from crdnd_tui.write.comparison_figures import tradeoff
from crdnd_tui.write.document import Figure, Table


class ComparisonPlan(NamedTuple):
    """What a user may change that every number hangs on."""

    checkpoint: str = "best"
    baseline: str = ""
    grouped: bool | None = None  # None: as `has_seeds` says


@dataclass(frozen=True, kw_only=True, eq=False)
class ComparisonSummary:
    """One is only equal to itself: who has drawn it need not draw it again."""

    plan: ComparisonPlan  # with `grouped` settled
    comparison: Comparison
    sentences: tuple[str, ...]  # on the tests; the order is in `comparison.order`
    masking: Table | None
    overfitting: Table | None
    tradeoff: Figure | None


def summarize(runs: Sequence[ComparedRun], plan: ComparisonPlan) -> ComparisonSummary:
    """Of at least one run."""
    grouped = has_seeds(runs) if plan.grouped is None else plan.grouped
    comparison = compare(runs, checkpoint=plan.checkpoint, baseline=plan.baseline, grouped=grouped)
    said = lead(comparison)
    return ComparisonSummary(
        plan=plan._replace(grouped=grouped),
        comparison=comparison,
        sentences=said[1:] if comparison.order.text else said,
        masking=masking_table(comparison),
        overfitting=overfitting_table(comparison),
        tradeoff=tradeoff(comparison),
    )


class SummaryCache:
    """Works out anew only what may have changed: a training that goes on changes no table until it is judged."""

    def __init__(self) -> None:
        self._plan = ComparisonPlan()
        self._runs: tuple[ComparedRun, ...] = ()
        self._found: ComparisonSummary | None = None

    def of(self, runs: Sequence[ComparedRun], plan: ComparisonPlan) -> ComparisonSummary:
        """The same object as before where nothing that it tells of has changed."""
        known = self._found
        is_same = known is not None and len(runs) == len(self._runs) and plan in (self._plan, known.plan)
        if known is None or not is_same or not all(map(_is_alike, runs, self._runs)):
            known = summarize(runs, plan)
        self._plan, self._runs, self._found = plan, tuple(runs), known
        return known


def _is_alike(one: ComparedRun, two: ComparedRun) -> bool:
    """Whether two readings of a run say the same in every table."""
    here, there = one.state, two.state
    large = (
        (run.config, run.state.table, run.state.training, run.state.warnings, run.state.probed) for run in (one, two)
    )
    return (
        all(a is b for a, b in zip(*large, strict=True))
        and (len(here.epochs), len(here.validations)) == (len(there.epochs), len(there.validations))
        and one.facts == two.facts
    )
