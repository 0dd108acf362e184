"""crdnd compare: runs laid side by side as a careful reviewer would."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.text import Text

from crdnd_tui.cli import output
from crdnd_tui.cli.output import NOT_COMPARABLE, OK
from crdnd_tui.cli.report import origins_lines, scatter_plot
from crdnd_tui.compare import comparison as comparing
from crdnd_tui.compare.comparison import Comparison
from crdnd_tui.compare.order import CE, SUITE
from crdnd_tui.compare.rows import has_seeds
from crdnd_tui.compare.runs import read_runs
from crdnd_tui.core import report
from crdnd_tui.write import tables
from crdnd_tui.write.comparison_document import comparison_document
from crdnd_tui.write.comparison_tables import compact_differences
from crdnd_tui.write.document import Document, Table
from crdnd_tui.write.origins import run_origins
from engine.spec import rundir
from engine.spec.errors import ConfigError
from engine.spec.rundir import RunDir

CHECKPOINTS = ("best", "last")
_LINES = 24  # of the differences, at most
_MATTERS = (report.CLEAN, CE, SUITE, report.WORST)
_CLASSES = 20  # lines of a table of classes


def compare(  # noqa: PLR0913  options of a command line
    names: Sequence[str],
    folder: Path,
    *,
    baseline: str = "",
    checkpoint: str = "best",
    grouped: bool | None = None,
    as_json: bool = False,
    to: str = "",
    out: str = "",
    force: bool = False,
) -> int:
    """Print the comparison, or write it down; `grouped` None: seeds are one row where rows to compare remain.

    4 when no row can be compared with the baseline, or runs of equal weights are called seeds: the reasons are on
    stderr.
    """
    if checkpoint not in CHECKPOINTS:
        raise ConfigError([f"--checkpoint: no checkpoint `{checkpoint}`; it may be {' or '.join(CHECKPOINTS)}"])
    output.check_target(to, out, as_json=as_json)
    runs, base = _runs(names, folder, baseline)
    document, comparison = _document(runs, base, checkpoint, grouped)
    code = _verdict(comparison, checkpoint)
    if to or as_json:
        output.put_document(document, to or "json", out, names=[run.id for run in runs], force=force)
    else:
        console = output.data()
        ascii_only = output.is_ascii(console)
        output.show(_page(document, comparison, console.width, ascii_only=ascii_only))
    return code


def _runs(names: Sequence[str], folder: Path, baseline: str) -> tuple[list[RunDir], str]:
    """Each run once, in this order, and the baseline's id: another run than those named stands first."""
    found = {run.path: run for run in (rundir.find(folder, name) for name in names)}
    base = next(iter(found.values())).id
    if baseline:
        run = rundir.find(folder, baseline)
        found = found if run.path in found else {run.path: run, **found}
        base = run.id
    ids = [run.id for run in found.values()]
    twice = next((run for run in ids if ids.count(run) > 1), "")
    if twice:
        raise ConfigError([f"two folders hold a run called {twice}; rename one of them"])
    if len(ids) < 2:
        raise ConfigError(["one run is nothing to compare", f"`crdnd show {ids[0]}` shows it; name two and more here"])
    return list(found.values()), base


def _document(runs: Sequence[RunDir], base: str, checkpoint: str, grouped: bool | None) -> tuple[Document, Comparison]:
    now = time.time()
    read = read_runs(runs, now)
    grouped = has_seeds(read) if grouped is None else grouped
    comparison = comparing.compare(read, checkpoint=checkpoint, baseline=base, grouped=grouped)
    behind = run_origins(read, {run.id: run.path for run in runs})
    return comparison_document(comparison, origins=behind, made=now), comparison


def _verdict(comparison: Comparison, checkpoint: str) -> int:
    """Whether something could be compared; if nothing, why, row by row."""
    judged = {run.checkpoint for run in comparison.runs if run.state.table}
    if judged and checkpoint not in judged:
        output.say(f"no run was judged at `{checkpoint}`: {' and '.join(sorted(judged))} is shown")
    whys = [f"{row.label}: {why}" for row in comparison.rows if (why := row.twins())]
    if whys:
        output.say("refused as seeds, for equal weights are no second draw:")
        for why in whys:
            output.say(f"  {why}")
        return NOT_COMPARABLE
    if not comparison.others or any(one.difference is not None for one in comparison.contrasts.values()):
        return OK
    output.say(f"nothing can be compared with {comparison.base.label}:")
    for row in comparison.others:
        output.say(f"  {row.label}: {comparison.whole_refusal(row)}")
    return NOT_COMPARABLE


def _page(document: Document, comparison: Comparison, width: int, *, ascii_only: bool) -> list[Text]:
    """All of it, in lines of at most `width` cells; what would fill screens is shortened, and said to be."""
    short = tuple(
        replace(t, caption=comparison.bare(t.caption)) for t in (_shortened(t, comparison) for t in document.tables)
    )
    lead = (*([f"{comparison.conditions}."] if comparison.conditions else []), *document.lead)
    shown = replace(document, lead=lead, tables=short, origins=(), made=0.0, version="")
    made = tables.document_lines(shown, width, ascii_only=ascii_only)
    trade = next((figure for figure in document.figures if figure.key == "tradeoff"), None)
    if trade is not None:
        made += [
            Text(),
            *scatter_plot(trade, width, caption=comparison.bare(trade.caption), ascii_only=ascii_only),
        ]
    return [*made, *origins_lines(document, width, ascii_only=ascii_only)]


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
