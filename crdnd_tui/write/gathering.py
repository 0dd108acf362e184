"""What is to be exported: runs by their names, or a study, and the document that tells of them. Reads."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from crdnd_tui.compare.comparison import Comparison, compare
from crdnd_tui.compare.rows import has_seeds
from crdnd_tui.compare.runs import read_runs
from crdnd_tui.core import presets
from crdnd_tui.study.file import read_study
from crdnd_tui.study.progress import read_progress
from crdnd_tui.study.study import Study
from crdnd_tui.write import run_document, study_document
from crdnd_tui.write.comparison_document import comparison_document
from crdnd_tui.write.document import Document
from crdnd_tui.write.formats import CHECKPOINTS
from crdnd_tui.write.run_document import run_origins
from engine.spec import rundir
from engine.spec.errors import ConfigError, RunFolderError
from engine.spec.rundir import RunDir


@dataclass(frozen=True, kw_only=True)
class ExportSources:
    """Runs, in the order in which they were named; of a study those that are done."""

    folder: Path  # of the runs
    runs: tuple[RunDir, ...]
    study: Study | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """What files are called by: the study, or the ids."""
        return (self.study.name,) if self.study else tuple(run.id for run in self.runs)


def gather(what: Sequence[str], folder: Path) -> ExportSources:
    """Runs, or one study: a run comes before a shipped study of the same name. CrdndError when there is neither."""
    if len(what) == 1 and (study := _study(what[0], folder)) is not None:
        found = read_progress(study, folder).statuses
        done = tuple(RunDir(folder / one.run) for one in found if one.state == "done")
        return ExportSources(folder=folder, runs=done, study=study)
    return ExportSources(folder=folder, runs=find_runs(what, folder))


def find_runs(names: Sequence[str], folder: Path) -> tuple[RunDir, ...]:
    """Each run once, in this order; ConfigError where two folders hold runs of one id."""
    runs = tuple({run.path: run for run in (rundir.find(folder, name) for name in names)}.values())
    ids = [run.id for run in runs]
    twice = next((run for run in ids if ids.count(run) > 1), "")
    if twice:
        raise ConfigError([f"two folders hold a run called {twice}; rename one of them"])
    return runs


def check_checkpoint(name: str) -> None:
    """ConfigError for a name that is neither empty nor a checkpoint's."""
    if name and name not in CHECKPOINTS:
        raise ConfigError([f"--checkpoint: no checkpoint `{name}`; it may be {' or '.join(CHECKPOINTS)}"])


def compare_runs(
    runs: Sequence[RunDir], *, checkpoint: str = "", baseline: str = "", grouped: bool | None = None
) -> tuple[Comparison, Document]:
    """Compare runs with the one whose id is `baseline`; `grouped` None: seeds are one row where rows remain."""
    now = time.time()
    read = read_runs(runs, now)
    grouped = has_seeds(read) if grouped is None else grouped
    comparison = compare(read, checkpoint=checkpoint or "best", baseline=baseline, grouped=grouped)
    behind = run_origins(read, {run.id: run.path for run in runs})
    return comparison, comparison_document(comparison, origins=behind, made=now)


def document(of: ExportSources, *, checkpoint: str = "", baseline: str = "", grouped: bool | None = None) -> Document:
    """A study's report; what is known of one run; several compared, as `crdnd compare` lays them side by side.

    `checkpoint` "" is the best one, or the last where the best was not judged. `baseline` is a run, the first
    otherwise; `grouped` is whether seeds are one row. A study's file says both itself.
    """
    check_checkpoint(checkpoint)
    if baseline and (of.study is not None or len(of.runs) < 2):
        raise ConfigError(["--baseline: only several runs are compared with one; a study's file names its own"])
    if grouped is not None and (of.study is not None or len(of.runs) < 2):
        raise ConfigError(["--seeds and --each: only several runs have rows to be made of; a study's file says which"])
    now = time.time()
    if of.study is not None:
        return study_document.study_document(of.study, of.folder, checkpoint=checkpoint, now=now)
    if len(of.runs) == 1:
        return run_document.run_document(of.runs[0], checkpoint=checkpoint, made=now)
    return compare_runs(of.runs, checkpoint=checkpoint, baseline=_baseline(of, baseline), grouped=grouped)[1]


def _study(name: str, folder: Path) -> Study | None:
    try:
        rundir.find(folder, name)
    except RunFolderError as trouble:
        if "may mean" in trouble.what:
            raise
        try:
            path = presets.resolve_study(name)
        except ConfigError:
            raise trouble from None
        return read_study(path)
    return None


def _baseline(of: ExportSources, name: str) -> str:
    run = rundir.find(of.folder, name) if name else of.runs[0]
    if run.id not in of.names:
        raise ConfigError([f"--baseline: {run.id} is none of the runs that are exported"])
    return run.id
