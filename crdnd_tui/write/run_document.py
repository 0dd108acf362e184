"""One run as a document: how robust its student is, how it got there, what fools it, and what all that rests on.

A run that is damaged, lives, or was never judged makes a document, too: it says so, and shows what there is.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import get_args

from crdnd_tui.compare.runs import ComparedRun, read_runs
from crdnd_tui.core import confusion, gallery, provenance
from crdnd_tui.core.attack_names import CLEAN, attack_title
from crdnd_tui.core.confusion import AttackBounds, CheckpointRecords
from crdnd_tui.core.gallery import GalleryError
from crdnd_tui.core.provenance import Provenance
from crdnd_tui.core.run_status import LIVING
from crdnd_tui.core.text import one_line, word
from crdnd_tui.write.document import Document, Origin, Picture
from crdnd_tui.write.run_figures import PREFERRED, run_figures
from crdnd_tui.write.run_tables import chosen_checkpoint, classes_table, state_document
from engine.spec import files, methods
from engine.spec.gallery import Example
from engine.spec.rundir import RunDir

PICTURES = 8
_METHODS = {
    str(kind.model_fields["name"].default): str(kind.title) for kind in get_args(get_args(methods.MethodSpec)[0])
}
_VERDICTS = ("fooled", "stands", "wrong before")
_DIGITS = 12  # of a hash


def run_document(run: RunDir, *, checkpoint: str = "", pictures: int = PICTURES, made: float = 0.0) -> Document:
    """What is known of the run now. `checkpoint` is best, last, or empty: the best that was judged.

    `made` is when, in unix seconds: 0 for a document that bears no date. Nothing in the folder can raise.
    """
    (read,) = read_runs([run], made or time.time())
    chosen = checkpoint or chosen_checkpoint(read.state)
    told, records = state_document(read.state, chosen, _title(read)), confusion.load(run.evaluation / chosen)
    examples, trouble = _examples(run.evaluation / chosen, records, pictures)
    classes = classes_table(read.state, chosen, (one.counts for one in records.outcomes.values()))
    return replace(
        told, tables=(*told.tables, *([classes] if classes else [])), made=made, version=metadata.version("crdnd-tui"),
        figures=tuple(run_figures(read.state, chosen, records)), pictures=tuple(examples),
        origins=run_origins([read], {read.id: run.path}, reproduce=True),
        warnings=(*_warnings(read, chosen, records), *filter(None, [trouble])),
    )  # fmt: skip


def run_origins(
    runs: Sequence[ComparedRun], folders: Mapping[str, Path], *, reproduce: bool = False
) -> tuple[Origin, ...]:
    """Where numbers come from; `folders` tells where each run lies. With the line that repeats it, if that is asked."""
    return tuple(_origin(run, folders.get(run.id), reproduce=reproduce) for run in runs)


def _origin(run: ComparedRun, folder: Path | None, *, reproduce: bool) -> Origin:
    told = files.read_table(RunDir(folder).provenance) if folder is not None else {}
    seed, facts = run.config.get("seed"), Provenance(run=RunDir(Path(run.id)), told=told).facts()
    for checkpoint in run.state.table:  # weights of the student, as each checkpoint's judgement recorded them
        record = run.records.get((checkpoint, CLEAN))
        if record is not None and record.weights:
            facts[f"{checkpoint} weights"] = f"sha256 {one_line(record.weights[:_DIGITS])}"
    if reproduce and folder is not None and told:
        machine = provenance.machine_of(RunDir(folder))
        known = Provenance(run=RunDir(Path(run.id)), told=told, machine=machine)
        facts["reproduce"] = one_line(known.reproduce(folders=False), 400)
    return Origin(
        run=run.id, label=run.label, state=run.status, seed=seed if isinstance(seed, int) else None,
        config_hash=one_line(word(told, "config_hash") or run.state.config_hash, 64), facts=tuple(facts.items()),
    )  # fmt: skip


def _title(run: ComparedRun) -> str:
    """Method, student and data by their names in papers, and the seed."""
    method, student, data = (word(run.config, key, "name") for key in ("method", "student", "data"))
    if not method:
        return f"Run {run.id}"
    on, seed = f" on {data}" if data else "", f", seed {run.seed}" if run.seed else ""
    return one_line(f"{_METHODS.get(method, method)}: {student or 'a student'}{on}{seed}", 120)


def _warnings(run: ComparedRun, chosen: str, records: CheckpointRecords) -> Iterator[str]:
    """How the run is, unless it is done; what was never judged; lines and files that were passed over."""
    if run.status in LIVING:
        yield f"The run is {run.status}: numbers and curves are as far as it is."
    elif run.status != "done":
        yield f"The run is {run.status or 'unknown'}{f': {one_line(run.why, 300)}' if run.why else ''}."
    if run.state.table and chosen not in run.state.table:
        there = f"there are results of {', '.join(run.state.table)}"
        yield f"No results of the checkpoint {one_line(chosen, 40)}; {there}."
    yield from (f"{words}." for words in records.troubles.values())
    if run.state.flaws:
        yield f"events.jsonl: {', '.join(run.state.flaws)}."


def _examples(folder: Path, records: CheckpointRecords, most: int) -> tuple[list[Picture], str]:
    """Adversarial examples of the strongest attack that has any, and what is wrong with the gallery.

    Those that fool come first, the first of each class before the second of any.
    """
    if most < 1 or not (folder / "gallery.json").exists():
        return [], ""
    try:
        index = gallery.load(folder)
        attack = next((a for a in (*PREFERRED, *index.sets) if a in index.sets), "")
        if not attack:
            return [], ""
        pixels = gallery.pixels(index, attack)
    except GalleryError as error:
        return [], f"Adversarial examples: {error}."
    seen: dict[int, int] = {}
    ranked = []
    for example in sorted(index.examples(attack), key=lambda e: (_VERDICTS.index(gallery.verdict(e)), e.index)):
        turn = seen[example.label] = seen.get(example.label, 0) + 1
        ranked.append((_VERDICTS.index(gallery.verdict(example)), turn, example.label, example.index, example))
    chosen = [row[-1] for row in sorted(ranked, key=lambda row: row[:-1])[:most]]
    bounds = confusion.bounds(records, attack)
    return [_picture(index, attack, example, pixels.pair(example), bounds) for example in chosen], ""


def _picture(
    index: gallery.Examples,
    attack: str,
    example: Example,
    pair: tuple[gallery.Image, gallery.Image],
    bounds: AttackBounds,
) -> Picture:
    clean, adversarial = pair
    linf = gallery.linf(clean, adversarial)
    k, title, label = gallery.fitting(linf), attack_title(attack), index.name(example.label)
    before, after = index.name(example.predicted_clean), index.name(example.predicted_adversarial)
    verdict = {
        "fooled": f"{label}, read as {after} under {title}",
        "stands": f"{label}, still read so under {title}",
        "wrong before": f"{label}, read as {before} before any attack, as {after} under it",
    }[gallery.verdict(example)]
    share = f", {linf / bounds.epsilon:.2f} epsilon" if bounds.bounded and bounds.epsilon else ""
    images = (gallery.raster(clean), gallery.amplified(clean, adversarial, k), gallery.raster(adversarial))
    first, amplified, second = (bytes(part for row in rows for pixel in row for part in pixel) for rows in images)
    return Picture(
        height=index.shape[1], width=index.shape[2], clean=first, perturbation=amplified, adversarial=second,
        caption=f"{verdict}; L-inf {255 * linf:.1f}/255{share}; perturbation times {k}",
    )  # fmt: skip
