"""crdnd runs, show, tables: what there is, and how it is."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from crdnd_tui.cli import output
from crdnd_tui.cli.options import Data, Json, Run, Runs
from crdnd_tui.cli.output import OK
from crdnd_tui.core import complete
from crdnd_tui.core.format import count, duration, percent, size
from crdnd_tui.core.text import grid_lines, one_line
from engine.spec import files, rundir
from engine.spec.errors import ConfigError, RunFolderError
from engine.spec.rundir import RunDir

if TYPE_CHECKING:
    from crdnd_tui.core.run_status import Summary
    from crdnd_tui.core.state import RunState
    from engine.spec.tables import ListedTable, TableMeta

WIDEST = 30  # cells of a teacher's name


def list_runs(
    state: Annotated[
        list[str] | None, typer.Option(help="Only runs in this state.", autocompletion=complete.states)
    ] = None,
    as_json: Json = False,
    runs: Runs = Path("runs"),
) -> int:
    """List the runs and how they are."""
    from crdnd_tui.core import pages, run_status

    states = state or []
    unknown = [each for each in states if each not in run_status.STATES]
    if unknown:
        raise ConfigError([f"no state `{unknown[0]}`; it may be one of {', '.join(run_status.STATES)}"])
    found = (row for row in run_status.runs(runs) if not states or row.state in states)
    rows = [run_status.check_records(row, whole=as_json) for row in found]  # scripts are told every figure
    if as_json:
        output.show_json([row.to_json() for row in rows])
    elif rows:
        console = output.data()
        output.show(pages.run_list(rows, console.width, ascii_only=output.is_ascii(console)))
    else:
        for line in pages.empty_list(str(runs)):
            output.say(line.plain)
    return OK


def show(
    run: Run,
    provenance: Annotated[
        bool, typer.Option("--provenance", help="Where its numbers come from, and the line that repeats the run.")
    ] = False,
    as_json: Json = False,
    runs: Runs = Path("runs"),
) -> int:
    """Show one run: how it is, its robustness table, its warnings."""
    from crdnd_tui.core import fast_path, pages, provenance_lines, report, run_reader, run_status
    from crdnd_tui.core.attack_names import TITLES

    found = _find(runs, run)
    row = run_status.summary(found)
    if row is None:
        raise RunFolderError(f"{found.path} holds no run")
    origin = provenance_lines.read(found) if provenance else None
    state = run_reader.load(found)
    row = _as_told(row, state)
    if as_json:
        more = {"provenance": origin.to_json()} if origin else {}
        output.show_json(row.to_json() | _details(state, run_reader.result_rows(state)) | more)
        return OK
    lines = pages.facts(row, TITLES)
    if origin:
        output.show([*lines, Text(), *provenance_lines.lines(origin)])
        return OK
    console = output.data()
    if state.teacher is not None:
        t = state.teacher
        figures = f"clean {percent(t.clean)}  PGD-10 {percent(t.robust)}"
        lines.insert(-1, Text(f"  teacher     {figures}  {t.model} on {t.n} images"))
    for label, words in fast_path.facts(state.training, state.steps):
        lines.insert(-1, Text(f"  {label:<11} {words}"))
    table = report.table(state, min(console.width, 100), ascii_only=output.is_ascii(console))
    lines += [Text(), *table] if table else []
    if state.flaws:
        lines.append(Text(f"  events.jsonl: {', '.join(state.flaws)}", "yellow"))
    output.show(lines)
    return OK


def _as_told(row: "Summary", state: "RunState") -> "Summary":
    """With the last validation as the log tells it, once nothing is written any more that one of both may lack."""
    if row.status is None or row.state != "done" or not state.validations:
        return row
    from msgspec import structs

    return replace(row, status=structs.replace(row.status, validation=state.validations[-1].accuracy))


def _find(folder: Path, name: str) -> RunDir:
    """A run, damaged or not: one without its config is in the list, so it has a page, too."""
    from crdnd_tui.core import run_status

    try:
        return rundir.find(folder, name)
    except RunFolderError:
        run = RunDir(folder / name)
        if rundir.RUN_ID.fullmatch(name) and run_status.summary(run) is not None:
            return run
        raise


def _details(state: "RunState", cells: list[dict[str, Any]]) -> dict[str, Any]:
    """What only the log knows."""
    from crdnd_tui.core import fast_path

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


def list_tables(
    remove: Annotated[
        str, typer.Option(metavar="ID", help="Take this one away; its beginning is enough. Refused while in use.")
    ] = "",
    as_json: Json = False,
    data: Data = Path("data"),
) -> int:
    """List the tables of teachers' logits in the data folder, which runs share, or remove one."""
    from engine.spec import tables

    where = tables.tables_folder(data)
    if remove:
        removed, freed = tables.remove(where, remove)
        if as_json:
            output.show_json({"removed": removed, "freed": freed})
        else:
            output.say(f"{removed} is removed; {size(freed)} are free again.")
        return OK
    found = tables.listed(where)
    if as_json:
        output.show_json([_table_json(table) for table in found])
    elif not found:
        output.say(f"No tables in {where}. A run with a teacher makes one where it pays, but for --machine table=off.")
    else:
        output.show(_table_lines(found, time.time()))
        taken, full = sum(table.bytes_on_disk for table in found), sum(table.bytes for table in found)
        output.say(f"{size(taken)} on disk, {size(full)} when all are filled, in {where}")
    return OK


def _table_lines(found: Sequence["ListedTable"], now: float) -> Iterator[Text]:
    head = ("", "table", "teacher", "data", "images x views", "filled %", "on disk", "last used")
    lines = grid_lines([head, *(_table_row(table, now) for table in found)], right=(4, 5, 6))
    lines[0].stylize("bold")
    yield lines[0]
    for table, line in zip(found, lines[1:], strict=True):
        yield line
        if table.trouble:
            hint = f"`crdnd tables --remove {table.id}` takes it away"
            yield Text(f"    no run uses it: {one_line(table.trouble)}; {hint}", "red")


def _table_row(table: "ListedTable", now: float) -> list[str | Text]:
    """Sign, id, teacher, data set, number of views, how many of them are there, room on the disk, last use."""
    sign = Text("!", "red") if table.trouble else Text("\u25cf", "green") if table.in_use else ""
    data, views = "?", "?"
    if table.meta is not None:
        key = table.meta.key
        data, views = one_line(table.meta.data or key.data_sha256[:8], 10), f"{count(key.images)} x {key.views}"
    full = table.meta is not None and table.filled is not None
    filled = int(1000 * (table.filled or 0)) / 1000 if full else None  # 100.0 only when nothing is missing
    teacher, room = one_line(_teacher(table.meta), WIDEST), size(table.bytes_on_disk)
    return [sign, table.id, teacher, data, views, percent(filled), room, _when(table, now)]


def _teacher(meta: "TableMeta | None") -> str:
    """As the run that made the table called it, else its architecture."""
    return "?" if meta is None else meta.teacher or str(_model(meta).get("name", "?"))


def _model(meta: "TableMeta") -> dict[str, Any]:
    try:
        return files.json_table(meta.key.model.encode())
    except files.MalformedError:
        return {}


def _when(table: "ListedTable", now: float) -> str:
    if table.in_use:
        return "in use"
    return "?" if table.last_used is None else f"{duration(now - table.last_used)} ago"


def _table_json(table: "ListedTable") -> dict[str, Any]:
    facts = asdict(table) | {"path": str(table.path)}
    if table.meta is not None:
        facts["meta"]["key"]["model"] = _model(table.meta)
        facts["meta"]["key"]["views"] = table.meta.key.views
    return facts
