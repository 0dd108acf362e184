"""One run as a document: how robust its student is, how it got there, what fools it, and what all that rests on.

A run that is damaged, lives, or was never judged makes a document, too: it says so, and shows what there is.
"""

import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import get_args

from crdnd_tui.compare.runs import ComparedRun, read_runs, word
from crdnd_tui.core import confusion, gallery, per_class, report
from crdnd_tui.core.attack_names import CLEAN, WORST, attack_title, is_within
from crdnd_tui.core.confusion import Bounds, CheckpointRecords
from crdnd_tui.core.format import count, percent
from crdnd_tui.core.gallery import GalleryError
from crdnd_tui.core.marks import Marked
from crdnd_tui.core.run_status import LIVING
from crdnd_tui.core.state import RunState
from crdnd_tui.core.text import one_line
from crdnd_tui.write.comparison_tables import mark_fields
from crdnd_tui.write.document import Cell, Column, Document, Picture, Row, Table
from crdnd_tui.write.origins import run_origins
from crdnd_tui.write.run_figures import PREFERRED, run_figures
from engine.spec import methods
from engine.spec.events import Evaluated
from engine.spec.gallery import Example
from engine.spec.rundir import RunDir

PICTURES = 8
_METHODS = {
    str(kind.model_fields["name"].default): str(kind.title) for kind in get_args(get_args(methods.MethodSpec)[0])
}
_ELSEWHERE = frozenset({"name", "norm", "epsilon", "seed", "batch_size", "label", "attacks"})  # keys of a spec
_VERDICTS = ("fooled", "stands", "wrong before")
_GLUE = "\N{NO-BREAK SPACE}"


def run_document(run: RunDir, *, checkpoint: str = "", pictures: int = PICTURES, made: float = 0.0) -> Document:
    """What is known of the run now. `checkpoint` is best, last, or empty: the best that was judged.

    `made` is when, in unix seconds: 0 for a document that bears no date. Nothing in the folder can raise.
    """
    (read,) = read_runs([run], made or time.time())
    state = read.state
    chosen = checkpoint or ("best" if "best" in state.table else next(iter(state.table), "best"))
    folder = run.evaluation / chosen
    records = confusion.load(folder)
    examples, trouble = _examples(folder, records, pictures)
    tables = (_results_table(state, chosen), _classes_table(state, chosen, records))
    return Document(
        title=_title(read),
        lead=tuple(_lead(state, chosen)),
        tables=tuple(table for table in tables if table is not None),
        figures=tuple(run_figures(state, chosen, records)),
        pictures=tuple(examples),
        origins=run_origins([read], {read.id: run.path}, reproduce=True),
        made=made,
        version=metadata.version("crdnd-tui"),
        warnings=tuple(_warnings(read, chosen, records, trouble)),
    )


def _title(run: ComparedRun) -> str:
    """Method, student and data by their names in papers, and the seed."""
    method, student, data = (word(run.config, key, "name") for key in ("method", "student", "data"))
    if not method:
        return f"Run {run.id}"
    on, seed = f" on {data}" if data else "", f", seed {run.seed}" if run.seed else ""
    return one_line(f"{_METHODS.get(method, method)}: {student or 'a student'}{on}{seed}", 120)


def _lead(state: RunState, chosen: str) -> list[str]:
    row, notes = state.table.get(chosen, {}), report.Notes(state)
    signs = {attack: notes.of(chosen, attack).signs for attack in row}
    said = [_accuracies(state, chosen, signs)]
    if gaps := report.gaps(row, signs=signs):
        said.append(f"{gaps}: how far the cross-entropy attack reads too high.")
    if (teacher := state.teacher) is not None:
        robust = f"{percent(teacher.clean)}{_GLUE}% clean, {percent(teacher.robust)}{_GLUE}%"
        said.append(f"Its teacher {teacher.model} reaches {robust} under PGD-10 on {count(teacher.n)} images.")
    if (best := state.best) is not None and state.training is not None:
        by = f"by {attack_title(best.by)} on {count(best.n)} validation images"
        said.append(f"Epoch {best.epoch} of {state.training.epochs} was the best, {by}.")
    return [sentence for sentence in said if sentence]


def _accuracies(state: RunState, chosen: str, signs: Mapping[str, str]) -> str:
    """Clean and the worst that was tried, with its interval and its marks; and which of them is not believed."""
    row = state.table.get(chosen, {})
    if not row:
        return f"The checkpoint {chosen} has not been judged on the test images yet."
    inside = [cell for attack, cell in row.items() if attack != CLEAN and is_within(attack, cell)]
    clean = row.get(CLEAN)
    worst = row.get(WORST) or min(inside, key=lambda cell: cell.accuracy, default=None)

    def accuracy(cell: Evaluated) -> str:
        sign = f" ({signs[cell.attack]})" if signs.get(cell.attack) else ""
        return f"{percent(cell.accuracy, cell.n)}{_GLUE}%{sign}"

    parts = []
    if clean is not None:
        parts.append(f"{accuracy(clean)} of {count(clean.n)} {one_line(clean.split, 20)} images as they are")
    if worst is not None:
        is_joint, ends = (
            worst.attack == WORST,
            f"{percent(worst.low, worst.n)} to {percent(worst.high, worst.n)}",
        )
        name = "the worst of all attacks within the threat model" if is_joint else attack_title(worst.attack, worst)
        parts.append(f"{accuracy(worst)} under {name} (95{_GLUE}% interval {ends})")
    if not parts:
        return ""
    struck = [cell for cell in (clean, worst) if cell is not None and state.severity(chosen, cell.attack) == "red"]
    beware = f" Not believed: {' and '.join(attack_title(cell.attack, cell) for cell in struck)}." if struck else ""
    return f"The student ({chosen}) is right on {', and on '.join(parts)}.{beware}"


def _warnings(run: ComparedRun, chosen: str, records: CheckpointRecords, trouble: str) -> list[str]:
    """How the run is, unless it is done; what was never judged; lines and files that were passed over."""
    said, table = [], run.state.table
    if run.status in LIVING:
        said.append(f"The run is {run.status}: numbers and curves are as far as it is.")
    elif run.status != "done":
        said.append(f"The run is {run.status or 'unknown'}{f': {one_line(run.why, 300)}' if run.why else ''}.")
    if table and chosen not in table:
        there = f"there are results of {', '.join(table)}"
        said.append(f"No results of the checkpoint {one_line(chosen, 40)}; {there}.")
    said += [f"{words}." for words in records.troubles.values()]
    said += [f"events.jsonl: {', '.join(run.state.flaws)}."] if run.state.flaws else []
    return [*said, *([trouble] if trouble else [])]


def _results_table(state: RunState, chosen: str) -> Table | None:
    """Attacks as rows; a column for each checkpoint, the chosen one first; None without results."""
    checkpoints = sorted((name for name, row in state.table.items() if row), key=lambda name: name != chosen)
    known = {attack for c in checkpoints for attack in state.table[c]} | {attack for _, attack in state.disputed}
    attacks = [attack for attack in state.attacks if attack in known]
    if not attacks:
        return None
    notes, title = report.Notes(state), "accuracy, {}" if len(checkpoints) > 1 else "accuracy, %"
    first = {a: next((state.table[c][a] for c in checkpoints if a in state.table[c]), None) for a in attacks}
    within = [attack for attack in attacks if is_within(attack, first[attack])]
    beyond = [attack for attack in attacks if attack not in within]
    rows = [
        Row(
            label=attack_title(attack, cell), runs=(state.run,) if state.run else (),
            rule=attack == WORST or attack in beyond[:1],
            cells=(
                *(_accuracy_cell(state, checkpoint, attack, notes) for checkpoint in checkpoints),
                *_worst_class_cells(state, cell, notes),
                Cell(value=cell.seconds if cell else None), Cell(text=_settings(cell) if cell else ""),
            ),
        )
        for attack in (*within, *beyond)
        for cell in [first[attack]]
    ]  # fmt: skip
    checked = report.checked(state)
    basis = [report.detail(cell) for cell in state.table.get(chosen, {}).values() if cell.spec.get("name") != "pgd"]
    if beyond:
        named = ", ".join(map(attack_title, beyond))
        basis.append(f"{named}: another threat model, left out of the worst case")
    lettered = [(letter if letter != "!" else "", sentence) for letter, sentence in notes.sentences()]
    below = [f"{checked[0].upper()}{checked[1:]}", *filter(None, basis)]
    return Table(
        key="results", title="Robustness", head="attack", rows=tuple(rows), caption=report.conditions(state) + ".",
        columns=(
            *(Column(key=f"accuracy-{c}", title=title.replace("{}", c)) for c in checkpoints),
            Column(key="worst-class", title="worst class, %"),
            Column(key="worst-class-name", title="which", unit="words"),
            Column(key="seconds", title="time", unit="seconds"),
            Column(key="settings", title="settings", unit="words"),
        ),
        notes=(*lettered, *(("", f"{words}.") for words in below)),
    )  # fmt: skip


def _accuracy_cell(state: RunState, checkpoint: str, attack: str, notes: report.Notes) -> Cell:
    cell, found = state.table[checkpoint].get(attack), notes.of(checkpoint, attack)
    if cell is None:
        is_disputed = (checkpoint, attack) in state.disputed
        return Cell(text="does not agree", **mark_fields(found)) if is_disputed else Cell()
    low, high = 100 * cell.low, 100 * cell.high
    return Cell(value=100 * cell.accuracy, low=low, high=high, n=cell.n, **mark_fields(found))


def _worst_class_cells(state: RunState, cell: Evaluated | None, notes: report.Notes) -> tuple[Cell, Cell]:
    """Its accuracy; its name, its images, and how many classes fare no better."""
    if cell is None or not cell.per_class:
        return Cell(), Cell()
    place, tied = per_class.worst_class(cell.per_class)
    n = state.images_of(cell.checkpoint, place)
    words = per_class.class_name(state, place, 24) + (f", n {n}" if n else "") + (f", {tied} tied" if tied > 1 else "")
    return _share(cell.per_class, place, notes.of(cell.checkpoint, cell.attack)), Cell(text=words)


def _settings(cell: Evaluated) -> str:
    """What was asked for beyond ball and seed."""

    def plain(value: object) -> str:
        if isinstance(value, list):
            return "(" + ", ".join(map(plain, value[:12])) + ")"
        return f"{value:g}" if isinstance(value, float) else str(value)

    asked = {key: value for key, value in cell.spec.items() if key not in _ELSEWHERE and value != ""}
    said = (f"{k.replace('_', ' ')} {plain(v)}" for k, v in asked.items() if isinstance(v, str | int | float | list))
    return one_line(", ".join(said), 160)


def _classes_table(state: RunState, chosen: str, records: CheckpointRecords) -> Table | None:
    """Classes as rows, attacks as columns; None without accuracies per class."""
    row = {attack: cell for attack, cell in state.table.get(chosen, {}).items() if cell.per_class}
    attacks, notes = [attack for attack in state.attacks if attack in row], report.Notes(state)
    many = max((len(row[attack].per_class) for attack in attacks), default=0)
    if not many:
        return None
    counts = next((list(outcome.counts) for outcome in records.outcomes.values() if len(outcome.counts) == many), [])
    signs = {attack: notes.of(chosen, attack) for attack in attacks}
    letters = "".join(found.letters for found in signs.values())
    return Table(
        key="classes", title="Accuracy per class", head="class",
        columns=(
            *([Column(key="images", title="images", unit="count")] if counts else []),
            *(Column(key=attack, title=attack_title(attack, row[attack])) for attack in attacks),
        ),
        rows=tuple(
            Row(
                label=name,
                cells=(
                    *([Cell(value=float(counts[k]))] if counts else []),
                    *(_share(row[attack].per_class, k, signs[attack]) for attack in attacks),
                ),
            )
            for k, name in enumerate(per_class.names(state, many))
        ),
        caption=f"% right of each class's images, checkpoint {one_line(chosen, 40)}.",
        notes=tuple(note for note in notes.sentences() if note[0] in letters),
    )  # fmt: skip


def _share(values: Sequence[float], k: int, found: Marked) -> Cell:
    return Cell(value=100 * values[k], **mark_fields(found)) if k < len(values) else Cell()


def _examples(folder: Path, records: CheckpointRecords, most: int) -> tuple[list[Picture], str]:
    """Adversarial examples of the strongest attack that has any, and what is wrong with the gallery.

    Those that fool come first, the first of each class before the second of any.
    """
    if most < 1 or not (folder / "gallery.json").exists():
        return [], ""
    try:
        hall = gallery.load(folder)
        attack = next((a for a in (*PREFERRED, *hall.shelves) if a in hall.shelves), "")
        if not attack:
            return [], ""
        pixels = gallery.pixels(hall, attack)
    except GalleryError as error:
        return [], f"Adversarial examples: {error}."
    seen: dict[int, int] = {}
    ranked = []
    for example in sorted(hall.examples(attack), key=lambda e: (_VERDICTS.index(gallery.verdict(e)), e.index)):
        turn = seen[example.label] = seen.get(example.label, 0) + 1
        ranked.append((_VERDICTS.index(gallery.verdict(example)), turn, example.label, example.index, example))
    chosen = [row[-1] for row in sorted(ranked, key=lambda row: row[:-1])[:most]]
    bounds = confusion.bounds(records, attack)
    return [_picture(hall, attack, example, pixels.pair(example), bounds) for example in chosen], ""


def _picture(
    hall: gallery.Examples, attack: str, example: Example, pair: tuple[gallery.Image, gallery.Image], bounds: Bounds
) -> Picture:
    clean, adversarial = pair
    linf = gallery.linf(clean, adversarial)
    k, title, label = gallery.fitting(linf), attack_title(attack), hall.name(example.label)
    before, after = hall.name(example.predicted_clean), hall.name(example.predicted_adversarial)
    verdict = {
        "fooled": f"{label}, read as {after} under {title}",
        "stands": f"{label}, still read so under {title}",
        "wrong before": f"{label}, read as {before} before any attack, as {after} under it",
    }[gallery.verdict(example)]
    share = f", {linf / bounds.epsilon:.2f} epsilon" if bounds.bounded and bounds.epsilon else ""
    images = (gallery.raster(clean), gallery.amplified(clean, adversarial, k), gallery.raster(adversarial))
    first, amplified, second = (bytes(part for row in rows for pixel in row for part in pixel) for rows in images)
    return Picture(
        height=hall.shape[1], width=hall.shape[2], clean=first, perturbation=amplified, adversarial=second,
        caption=f"{verdict}; L-inf {255 * linf:.1f}/255{share}; perturbation times {k}",
    )  # fmt: skip
