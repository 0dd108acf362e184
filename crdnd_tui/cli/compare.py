"""crdnd compare: runs laid side by side as a careful reviewer would."""

import time
from collections.abc import Sequence
from pathlib import Path

from crdnd_tui.cli import compare_page, outlet, output
from crdnd_tui.compare import compared, comparison
from crdnd_tui.write import of_comparison, of_differences, of_origins
from crdnd_tui.write.document import Document
from crdnd_tui.write.laid import Laid
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
    document, laid = _document(runs, base, checkpoint, grouped)
    code = _verdict(laid, checkpoint)
    if to or as_json:
        outlet.put(document, to or "json", out, names=[run.id for run in runs], force=force)
    else:
        console = output.data()
        ascii_only = output.is_ascii(console)
        output.show(compare_page.page(document, laid, console.width, ascii_only=ascii_only))
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


def _document(runs: Sequence[RunDir], base: str, checkpoint: str, grouped: bool | None) -> tuple[Document, Laid]:
    now = time.time()
    sides = compared.sides(runs, now)
    if grouped is None:
        grouped = comparison.grouping(sides)
    laid = of_comparison.lay(sides, wanted=checkpoint, baseline=base, grouped=grouped)
    behind = of_origins.origins(sides, {run.id: run.path for run in runs})
    return of_comparison.told(laid, origins=behind, made=now), laid


def _verdict(laid: Laid, checkpoint: str) -> int:
    """Whether something could be compared; if nothing, why, row by row."""
    judged = {side.judged(checkpoint) for side in laid.sides if side.state.table}
    if judged and checkpoint not in judged:
        output.say(f"no run was judged at `{checkpoint}`: {' and '.join(sorted(judged))} is shown")
    whys = [f"{row.label}: {why}" for row in laid.rows if (why := comparison.one_network(row))]
    if whys:
        output.say("refused as seeds, for equal weights are no second draw:")
        for why in whys:
            output.say(f"  {why}")
        return NOT_COMPARABLE
    if not laid.others or any(one.difference is not None for one in laid.contrasts.values()):
        return 0
    output.say(f"nothing can be compared with {laid.base.label}:")
    for row in laid.others:
        output.say(f"  {row.label}: {of_differences.whole_refusal(laid, row)}")
    return NOT_COMPARABLE
