"""crdnd compare: runs laid side by side as a careful reviewer would."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.text import Text

from crdnd_tui.cli.report import origins_lines, scatter_plot
from crdnd_tui.compare.comparison import Comparison
from crdnd_tui.compare.order import CE, SUITE
from crdnd_tui.core.attack_names import CLEAN, WORST
from crdnd_tui.write import tables
from crdnd_tui.write.comparison_tables import compact_differences
from crdnd_tui.write.document import Document, Table
from crdnd_tui.write.gathering import compare_runs, find_runs
from engine.spec import rundir
from engine.spec.errors import ConfigError

_LINES = 24  # of the differences, at most
_MATTERS = (CLEAN, CE, SUITE, WORST)
_CLASSES = 20  # lines of a table of classes


@dataclass(frozen=True)
class ComparisonResult:
    """Runs that were laid side by side."""

    ids: list[str]
    comparison: Comparison
    document: Document
    refusals: list[str]  # why nothing can be compared; empty when something can


def compare(
    names: Sequence[str], folder: Path, baseline: str, checkpoint: str, grouped: bool | None
) -> ComparisonResult:
    """Compare each run once, in this order; a baseline that is none of them stands first."""
    runs = find_runs(names, folder)
    base = rundir.find(folder, baseline) if baseline else runs[0]
    if base.path not in [run.path for run in runs]:
        runs = find_runs([baseline, *names], folder)
    ids = [run.id for run in runs]
    if len(ids) < 2:
        raise ConfigError(["one run is nothing to compare", f"`crdnd show {ids[0]}` shows it; name two and more here"])
    comparison, document = compare_runs(runs, checkpoint=checkpoint, baseline=base.id, grouped=grouped)
    return ComparisonResult(ids, comparison, document, _refusals(comparison))


def unjudged(comparison: Comparison, checkpoint: str) -> str:
    """What is shown instead when no run was judged at this checkpoint."""
    judged = {run.checkpoint for run in comparison.runs if run.state.table}
    other = f"no run was judged at `{checkpoint}`: {' and '.join(sorted(judged))} is shown"
    return other if judged and checkpoint not in judged else ""


def _refusals(comparison: Comparison) -> list[str]:
    """Why nothing can be compared, row by row below a head line; empty when something can."""
    whys = [f"  {row.label}: {why}" for row in comparison.rows if (why := row.duplicates())]
    if whys:
        return ["refused as seeds, for equal weights are no second draw:", *whys]
    if not comparison.others or any(one.difference is not None for one in comparison.contrasts.values()):
        return []
    whys = [f"  {row.label}: {comparison.whole_refusal(row)}" for row in comparison.others]
    return [f"nothing can be compared with {comparison.base.label}:", *whys]


def page(compared: ComparisonResult, width: int) -> list[Text]:
    """All of it, in lines of at most `width` cells; what would fill screens is shortened, and said to be."""
    document, comparison = compared.document, compared.comparison
    short = tuple(
        replace(t, caption=comparison.bare(t.caption)) for t in (_shortened(t, comparison) for t in document.tables)
    )
    lead = (*([f"{comparison.conditions}."] if comparison.conditions else []), *document.lead)
    shown = replace(document, lead=lead, tables=short, origins=(), made=0.0, version="")
    made = tables.document_lines(shown, width)
    trade = next((figure for figure in document.figures if figure.key == "tradeoff"), None)
    if trade is not None:
        made += [
            Text(),
            *scatter_plot(trade, width, caption=comparison.bare(trade.caption)),
        ]
    return [*made, *origins_lines(document, width)]


def _shortened(table: Table, comparison: Comparison) -> Table:
    more = "the rest is in every file that --to writes"
    if table.key == "differences":
        matter = [a for a in comparison.attacks if a in _MATTERS or len(table.rows) <= _LINES]
        short = compact_differences(comparison, matter)
        left = [comparison.title(attack) for attack in comparison.attacks if attack not in matter]
        if not left:
            return short
        return replace(short, notes=(*short.notes, ("", f"Left out here: {', '.join(left)}; {more}.")))
    if table.key == "classes" and len(table.rows) > _CLASSES:
        spread = sorted(table.rows, key=lambda row: -max(abs(cell.value or 0.0) for cell in row.cells[1:]))
        note = f"The {_CLASSES} of {len(table.rows)} classes that differ most; {more}."
        return replace(table, rows=tuple(spread[:_CLASSES]), notes=(*table.notes, ("", note)))
    return table
