"""What the Examples screen reads of the disk: which runs keep examples, and all there is to show of one of them."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from crdnd_tui.core import confusion, gallery, run_status
from crdnd_tui.core.confusion import CheckpointRecords
from crdnd_tui.core.gallery import Examples, GalleryError
from crdnd_tui.core.text import one_line
from engine.spec import files
from engine.spec.rundir import RUN_ID, RunDir, newest_first

CHECKPOINTS = ("best", "last")
_MOST = 500  # runs that a list offers
_SEED = re.compile(r"^\d{8}-\d{6}-(.+)-[0-9a-f]{4}$")


@dataclass(frozen=True, kw_only=True)
class Show:
    """One checkpoint of one run. Without a hall, `why` says what is missing and `how` what helps."""

    run: str = ""
    checkpoint: str = ""
    checkpoints: tuple[str, ...] = ()  # that have examples or records
    epsilon: str = ""
    hall: Examples | None = None
    judged: CheckpointRecords = field(default_factory=CheckpointRecords)
    why: str = ""
    how: str = ""
    damaged: bool = False
    signature: tuple[int, ...] = ()


def short(run: str) -> str:
    """A run's id without its date and its tail."""
    found = _SEED.match(run)
    return found.group(1) if found else run


def runs_with_examples(folder: Path) -> list[str]:
    """Ids of the runs that keep examples, newest first."""
    try:
        with os.scandir(folder) as entries:
            names = [e.name for e in entries if RUN_ID.fullmatch(e.name) and e.is_dir(follow_symlinks=False)]
    except OSError:
        return []
    found: list[str] = []
    for name in newest_first(folder, names):
        run = RunDir(folder / name)
        if any(files.is_file(run.gallery(checkpoint)) for checkpoint in CHECKPOINTS):
            found.append(name)
            if len(found) == _MOST:
                break
    return found


def signature(folder: Path, name: str) -> tuple[int, ...]:
    """Changes whenever an attack of the run has been judged."""
    run, seen = RunDir(folder / name), []
    for checkpoint in CHECKPOINTS:
        for path in (run.gallery(checkpoint), run.evaluation / checkpoint):
            try:
                facts = path.stat(follow_symlinks=False)
                seen += [facts.st_mtime_ns, facts.st_size]
            except OSError:
                seen += [0, 0]
    return tuple(seen)


def load(folder: Path, name: str, checkpoint: str, now: float) -> Show:
    """The named run, or the newest with examples; the named checkpoint, or the first that has examples."""
    if not name:
        name = next(iter(runs_with_examples(folder)), "")
        if not name:
            return Show(
                why="No run keeps adversarial examples yet.",
                how="Runs gather them while they are judged.\n2 launches one: its gallery is to be above 0.",
            )
    if not RUN_ID.fullmatch(name):
        return Show(run=one_line(name, 60), why="There is no run of this name.", how="o chooses another run.")
    run = RunDir(folder / name)
    present = tuple(c for c in CHECKPOINTS if files.is_file(run.gallery(c)) or files.is_file(run.result(c, "clean")))
    if checkpoint not in present:
        checkpoint = next((c for c in present if files.is_file(run.gallery(c))), present[0] if present else "")
    base = Show(
        run=name,
        checkpoint=checkpoint,
        checkpoints=present,
        epsilon=_epsilon(run),
        judged=confusion.load(run.evaluation / checkpoint) if checkpoint else CheckpointRecords(),
        signature=signature(folder, name),
    )
    if checkpoint and os.path.lexists(run.gallery(checkpoint)):
        try:
            hall = gallery.load(run.evaluation / checkpoint)
        except GalleryError as error:
            how = "o chooses another run; m shows the matrices, which are kept apart."
            return _with(base, str(error), how, damaged=True)
        if hall.sets:
            return _with(base, hall=hall)
    return _with(base, *_why(run, base, now))


def _with(base: Show, why: str = "", how: str = "", *, hall: Examples | None = None, damaged: bool = False) -> Show:
    return Show(
        run=base.run, checkpoint=base.checkpoint, checkpoints=base.checkpoints, epsilon=base.epsilon, hall=hall,
        judged=base.judged, why=why, how=how, damaged=damaged, signature=base.signature,
    )  # fmt: skip


def _why(run: RunDir, base: Show, now: float) -> tuple[str, str]:
    """Why a run has no examples, and what helps."""
    row = run_status.summary(run, now=now)
    if row is None:
        return "This run is not here any more.", "o chooses another run."
    if _gallery_size(run) == 0:
        matrices = "; m shows its confusion matrices" if base.judged.outcomes else ""
        return (
            "This run keeps no examples: its preset says gallery = 0.",
            f"o chooses another run{matrices}. A run with [evaluation] gallery = 20 keeps 20.",
        )
    status = row.status
    if row.state in run_status.LIVING:
        epoch = f" in epoch {status.epoch} of {status.epochs}" if status and status.epochs else ""
        attack = f", {one_line(status.attack, 20)} is under way" if status and status.attack else ""
        says = f"Not judged yet: the run is {row.state}{epoch}{attack}."
        return says, "Examples appear attack by attack; 3 watches it."
    if row.state == "queued":
        return "Not judged yet: the run has not started.", "6 shows the queue; o chooses another run."
    return f"Never judged: the run is {row.state}.", "o chooses another run; a resumed run is judged at its end."


def _gallery_size(run: RunDir) -> int | None:
    table = _config(run).get("evaluation")
    size = table.get("gallery") if isinstance(table, dict) else None
    return size if isinstance(size, int) else None


def _epsilon(run: RunDir) -> str:
    table = _config(run).get("threat_model")
    return one_line(str(table.get("epsilon", "")), 12) if isinstance(table, dict) else ""


def _config(run: RunDir) -> dict[str, object]:
    return files.decoded(run.config, files.toml_table) or {}  # damaged: nothing is known
