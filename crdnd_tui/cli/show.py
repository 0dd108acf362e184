"""crdnd runs, show: what there is, and how it is."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from msgspec import structs
from rich.text import Text

from crdnd_tui.cli import output
from crdnd_tui.core import fast_path, library, pages
from crdnd_tui.core.state import RunState
from engine.spec import rundir
from engine.spec.errors import ConfigError, RunFolderError
from engine.spec.rundir import RunDir


def runs(folder: Path, states: Sequence[str], *, as_json: bool) -> int:
    """All runs of the folder, newest first."""
    unknown = [state for state in states if state not in library.STATES]
    if unknown:
        raise ConfigError([f"no state `{unknown[0]}`; it may be one of {', '.join(library.STATES)}"])
    found = (row for row in library.runs(folder) if not states or row.state in states)
    rows = [library.held(row, whole=as_json) for row in found]  # scripts are told every figure
    if as_json:
        output.show_json([row.to_json() for row in rows])
    elif rows:
        console = output.data()
        output.show(pages.run_list(rows, console.width, ascii_only=output.is_ascii(console)))
    else:
        for line in pages.empty_list(str(folder)):
            output.say(line.plain)
    return 0


def show(name: str, folder: Path, *, as_json: bool, provenance: bool = False) -> int:
    """One run: how it is, its table, its warnings; or where its numbers come from."""
    from crdnd_tui.core import provenance_lines, report, run_reader

    run = _find(folder, name)
    row = library.summary(run)
    if row is None:
        raise RunFolderError(f"{run.path} holds no run")
    origin = provenance_lines.read(run) if provenance else None
    state = run_reader.load(run)
    row = _as_told(row, state)
    if as_json:
        more = {"provenance": origin.to_json()} if origin else {}
        output.show_json(row.to_json() | _details(state, run_reader.result_rows(state)) | more)
        return 0
    if origin:
        output.show([*pages.facts(row, report.TITLES), Text(), *provenance_lines.lines(origin)])
        return 0
    console = output.data()
    lines = pages.facts(row, report.TITLES)
    if state.teacher is not None:
        t = state.teacher
        clean, robust = f"{100 * t.clean:.1f}", f"{100 * t.robust:.1f}"
        lines.insert(-1, Text(f"  teacher     clean {clean}  PGD-10 {robust}  {t.model} on {t.n} images"))
    for label, words in fast_path.facts(state.training, state.steps):
        lines.insert(-1, Text(f"  {label:<11} {words}"))
    table = report.table(state, min(console.width, 100), ascii_only=output.is_ascii(console))
    lines += [Text(), *table] if table else []
    if state.flaws:
        lines.append(Text(f"  events.jsonl: {', '.join(state.flaws)}", "yellow"))
    output.show(lines)
    return 0


def _as_told(row: library.Summary, state: RunState) -> library.Summary:
    """With the last validation as the log tells it, once nothing is written any more that one of both may lack."""
    if row.status is None or row.state != "done" or not state.validations:
        return row
    return replace(row, status=structs.replace(row.status, validation=state.validations[-1].accuracy))


def _find(folder: Path, name: str) -> RunDir:
    """A run, damaged or not: one without its config is in the list, so it has a page, too."""
    try:
        return rundir.find(folder, name)
    except RunFolderError:
        run = RunDir(folder / name)
        if rundir.RUN_ID.fullmatch(name) and library.summary(run) is not None:
            return run
        raise


def _details(state: RunState, cells: list[dict[str, Any]]) -> dict[str, Any]:
    """What only the log knows."""
    return {
        "results": cells,
        "warned": [
            {"code": w.code, "message": w.message, "checkpoint": w.checkpoint, "attack": w.attack}
            for w in state.warnings
        ],
        "checks": {checkpoint: state.checks(checkpoint) for checkpoint in state.table},
        "validations": [
            {"epoch": v.epoch, "n": v.n, "accuracy": v.accuracy, "by": v.by, "best": v.best} for v in state.validations
        ],
        "shares": fast_path.shares(state.steps),
        "switches": dict(state.training.switches) if state.training else {},
        "classes": state.training.classes if state.training else [],
        "resumes": state.resumes,
        "does_not_agree": [
            {"checkpoint": checkpoint, "attack": attack, "why": why}
            for (checkpoint, attack), why in state.disputed.items()
        ],
        "gaps": [{"after": gap.after, "missing": gap.missing} for gap in state.gaps],
        "missing_events": state.missing,
        "damaged_lines": state.damaged,
        "unknown_events": state.unknown,
    }
