"""crdnd compare: runs laid side by side as a careful reviewer would."""

import time
from collections.abc import Sequence
from pathlib import Path

from crdnd_tui.cli import compare_page, outlet, output
from crdnd_tui.compare import comparison as comparing
from crdnd_tui.compare.comparison import Comparison
from crdnd_tui.compare.rows import has_seeds
from crdnd_tui.compare.runs import read_runs
from crdnd_tui.write.comparison_document import comparison_document
from crdnd_tui.write.document import Document
from crdnd_tui.write.origins import run_origins
from engine.spec import rundir
from engine.spec.errors import ConfigError
from engine.spec.rundir import RunDir

NOT_COMPARABLE = 4
CHECKPOINTS = ("best", "last")


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
    outlet.check(to, out, as_json=as_json)
    runs, base = _runs(names, folder, baseline)
    document, comparison = _document(runs, base, checkpoint, grouped)
    code = _verdict(comparison, checkpoint)
    if to or as_json:
        outlet.put(document, to or "json", out, names=[run.id for run in runs], force=force)
    else:
        console = output.data()
        ascii_only = output.is_ascii(console)
        output.show(compare_page.page(document, comparison, console.width, ascii_only=ascii_only))
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
        return 0
    output.say(f"nothing can be compared with {comparison.base.label}:")
    for row in comparison.others:
        output.say(f"  {row.label}: {comparison.whole_refusal(row)}")
    return NOT_COMPARABLE
