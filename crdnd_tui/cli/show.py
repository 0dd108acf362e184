"""crdnd runs, show, tables: what there is, and how it is."""

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from crdnd_tui.cli import output
from crdnd_tui.cli.options import Data, Json, Run, Runs
from crdnd_tui.cli.output import OK
from crdnd_tui.core import complete
from crdnd_tui.core.format import size
from crdnd_tui.core.text import display, one_line
from engine.spec import rundir
from engine.spec.errors import ConfigError, RunFolderError
from engine.spec.rundir import RunDir

if TYPE_CHECKING:
    from crdnd_tui.core.run_status import Summary
    from crdnd_tui.core.state import RunState


def list_runs(
    state: Annotated[
        list[str] | None, typer.Option(help="Only runs in this state.", autocompletion=complete.states)
    ] = None,
    as_json: Json = False,
    runs: Runs = Path("runs"),
) -> int:
    """List the runs and how they are."""
    from crdnd_tui.core import run_status

    states = state or []
    unknown = [each for each in states if each not in run_status.STATES]
    if unknown:
        raise ConfigError([f"no state `{unknown[0]}`; it may be one of {', '.join(run_status.STATES)}"])
    found = (row for row in run_status.runs(runs) if not states or row.state in states)
    rows = [run_status.check_records(row, whole=as_json) for row in found]  # scripts are told every figure
    if as_json:
        output.show_json([row.to_json() for row in rows])
    elif rows:
        from crdnd_tui.cli import run_pages

        output.show(run_pages.run_list(rows, output.data().width))
    else:
        output.say(f"No runs in {one_line(str(runs), 120)} yet.\nStart one:  crdnd run quickstart")
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
    from crdnd_tui.cli import run_pages
    from crdnd_tui.core import run_reader, run_status

    folder = _find(runs, run)
    row = run_status.summary(folder)
    if row is None:
        raise RunFolderError(f"{folder.path} holds no run")
    state = run_reader.load(folder)
    row = _as_told(row, state)
    told, lines = row.to_json() | run_pages.details(state), [*run_pages.head_lines(row, state), Text()]
    if provenance:
        from crdnd_tui.core.provenance import fact_lines, read

        origin = read(folder)
        told["provenance"], line = origin.to_json(), Text(f"  {display(origin.reproduce())}")
        lines += [Text("provenance", "bold"), *fact_lines(origin), Text(), Text("reproduce", "bold"), line]
        lines += [Text(f"  {words}", "yellow") for words in origin.warnings]
    elif not as_json:
        from crdnd_tui.write import run_tables, tables

        flaws = (f"events.jsonl: {', '.join(state.flaws)}",) if state.flaws else ()
        document = run_tables.shell_document(state, flaws=flaws)
        lines += tables.document_lines(document, output.data().width, spare=run_tables.SPARE)
    if as_json:
        output.show_json(told)
    else:
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


def list_tables(
    remove: Annotated[
        str, typer.Option(metavar="ID", help="Take this one away; its beginning is enough. Refused while in use.")
    ] = "",
    as_json: Json = False,
    data: Data = Path("data"),
) -> int:
    """List the tables of teachers' logits in the data folder, which runs share, or remove one."""
    from crdnd_tui.cli import logit_tables
    from engine.spec import teacher_logits

    where = teacher_logits.tables_folder(data)
    if remove:
        removed, freed = teacher_logits.remove(where, remove)
        if as_json:
            output.show_json({"removed": removed, "freed": freed})
        else:
            output.say(f"{removed} is removed; {size(freed)} are free again.")
        return OK
    found = teacher_logits.listed(where)
    if as_json:
        output.show_json([logit_tables.to_json(table) for table in found])
    elif not found:
        output.say(f"No tables in {where}. A run with a teacher makes one where it pays, but for --machine table=off.")
    else:
        output.show(logit_tables.table_lines(found, time.time()))
        taken, full = sum(table.bytes_on_disk for table in found), sum(table.bytes for table in found)
        output.say(f"{size(taken)} on disk, {size(full)} when all are filled, in {where}")
    return OK
