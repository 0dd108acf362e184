"""One run as a document: how robust its student is, how it got there, what fools it, and what all that rests on.

A run that is damaged, lives, or was never judged makes a document, too: it says so, and shows what there is.
"""

import time
from collections.abc import Mapping
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import get_args

from crdnd_tui.compare.runs import ComparedRun, read_runs, word
from crdnd_tui.core import judged, provenance_lines, report
from crdnd_tui.core.format import count, percent
from crdnd_tui.core.library import LIVING
from crdnd_tui.core.provenance_lines import Provenance
from crdnd_tui.core.state import RunState
from crdnd_tui.core.text import one_line
from crdnd_tui.write import of_origins, of_run_examples, of_run_figures, of_run_tables
from crdnd_tui.write.document import Document, Origin
from engine.spec import methods
from engine.spec.events import Evaluated
from engine.spec.rundir import RunDir

PICTURES = 8
_METHODS = {
    str(kind.model_fields["name"].default): str(kind.title) for kind in get_args(get_args(methods.MethodSpec)[0])
}


def run_document(run: RunDir, *, checkpoint: str = "", pictures: int = PICTURES, made: float = 0.0) -> Document:
    """What is known of the run now. `checkpoint` is best, last, or empty: the best that was judged.

    `made` is when, in unix seconds: 0 for a document that bears no date. Nothing in the folder can raise.
    """
    (side,) = read_runs([run], made or time.time())
    chosen = checkpoint or ("best" if "best" in side.state.table else next(iter(side.state.table), "best"))
    folder = run.evaluation / chosen
    records = judged.load(folder)
    shown = of_run_examples.examples(folder, records, pictures)
    return Document(
        title=_title(side),
        lead=tuple(_lead(side, chosen)),
        tables=tuple(of_run_tables.tables(side.state, chosen, records)),
        figures=tuple(of_run_figures.figures(side.state, chosen, records)),
        pictures=shown.pictures,
        origins=_origins(side, run),
        made=made,
        version=metadata.version("crdnd-tui"),
        warnings=(*_state_warnings(side, chosen), *_damage(side, records), *shown.troubles),
    )


def _origins(side: ComparedRun, run: RunDir) -> tuple[Origin, ...]:
    """With how it was computed, and the line that repeats the run, which names no folder of this machine."""
    found = of_origins.origins([side], {side.id: run.path})
    told = of_origins.provenance(run.path)
    if not told:
        return found
    known = Provenance(run=RunDir(Path(run.id)), facts=told, machine=provenance_lines.machine_of(run))
    line = provenance_lines.reproduce(known, folders=False)
    return tuple(replace(origin, facts=(*origin.facts, ("reproduce", one_line(line, 400)))) for origin in found)


def _title(side: ComparedRun) -> str:
    """Method, student and data by their names in papers, and the seed."""
    method, student, data = (word(side.config, key, "name") for key in ("method", "student", "data"))
    if not method:
        return f"Run {side.id}"
    named = _METHODS.get(method, method)
    on = f" on {data}" if data else ""
    seed = f", seed {side.seed}" if side.seed else ""
    return one_line(f"{named}: {student or 'a student'}{on}{seed}", 120)


def _lead(side: ComparedRun, chosen: str) -> list[str]:
    state = side.state
    notes = report.Notes(state)
    signs = {attack: notes.of(chosen, attack).signs for attack in state.table.get(chosen, {})}
    said = [_verdict(state, chosen, signs)]
    if gaps := report.gaps(state.table.get(chosen, {}), signs=signs):
        said.append(f"{gaps}: how far the cross-entropy attack reads too high.")
    if (teacher := state.teacher) is not None:
        robust = f"{percent(teacher.clean)}\N{NO-BREAK SPACE}% clean, {percent(teacher.robust)}\N{NO-BREAK SPACE}%"
        said.append(f"Its teacher {teacher.model} reaches {robust} under PGD-10 on {count(teacher.n)} images.")
    if (best := state.best) is not None and state.training is not None:
        by = report.title(best.by)
        said.append(
            f"Epoch {best.epoch} of {state.training.epochs} was the best, by {by} on {count(best.n)} validation images."
        )
    return [sentence for sentence in said if sentence]


def _verdict(state: RunState, chosen: str, signs: Mapping[str, str]) -> str:
    """Clean and the worst that was tried, with its interval and its marks; and which of them is not believed."""
    row = state.table.get(chosen, {})
    if not row:
        return f"The checkpoint {chosen} has not been judged on the test images yet."
    clean, last = row.get(report.CLEAN), row.get(report.WORST)
    inside = [cell for attack, cell in row.items() if attack != report.CLEAN and report.is_within(attack, cell)]
    last = last or min(inside, key=lambda cell: cell.accuracy, default=None)
    struck = [cell for cell in (clean, last) if cell is not None and state.severity(chosen, cell.attack) == "red"]
    first = clean or last
    if first is None:
        return ""
    parts = (
        [f"{_accuracy(clean)}{_signs(signs, clean)} of {count(clean.n)} {one_line(clean.split, 20)} images as they are"]
        if clean
        else []
    )
    if last is not None:
        name = "the worst of all attacks within the threat model" if last.attack == report.WORST else (
            report.title(last.attack, last)
        )  # fmt: skip
        ends = f"{percent(last.low, last.n)} to {percent(last.high, last.n)}"
        parts.append(f"{_accuracy(last)}{_signs(signs, last)} under {name} (95\N{NO-BREAK SPACE}% interval {ends})")
    beware = f" Not believed: {' and '.join(report.title(cell.attack, cell) for cell in struck)}." if struck else ""
    return f"The student ({chosen}) is right on {', and on '.join(parts)}.{beware}"


def _signs(signs: Mapping[str, str], cell: Evaluated) -> str:
    return f" ({signs[cell.attack]})" if signs.get(cell.attack) else ""


def _accuracy(cell: Evaluated) -> str:
    return f"{percent(cell.accuracy, cell.n)}\N{NO-BREAK SPACE}%"


def _state_warnings(side: ComparedRun, chosen: str) -> list[str]:
    """How the run is, unless it is done; what was never judged."""
    said = []
    if side.status in LIVING:
        said.append(f"The run is {side.status}: numbers and curves are as far as it is.")
    elif side.status != "done":
        why = f": {one_line(side.why, 300)}" if side.why else ""
        said.append(f"The run is {side.status or 'unknown'}{why}.")
    if side.state.table and chosen not in side.state.table:
        there = ", ".join(side.state.table)
        said.append(f"No results of the checkpoint {one_line(chosen, 40)}; there are results of {there}.")
    return said


def _damage(side: ComparedRun, records: judged.Judged) -> list[str]:
    """Lines and files that were passed over."""
    said = [f"{words}." for words in records.troubles.values()]
    if side.state.flaws:
        said.append(f"events.jsonl: {', '.join(side.state.flaws)}.")
    return said
