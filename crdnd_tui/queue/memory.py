"""What runs need of a GPU's memory, by their configs, and what is in use there, by the driver.

A run on several devices counts on each as if that one held the whole batch. Of evaluations of saved students nothing
is known.
"""

from collections.abc import Iterable
from pathlib import Path

from crdnd_tui.core import engine_process, gpu
from crdnd_tui.queue.occupancy import Job
from crdnd_tui.queue.sharing import Space, need
from engine.spec import files
from engine.spec.config import PresetTeacher, RunConfig, RunTeacher
from engine.spec.errors import CrdndError
from engine.spec.estimate import estimate
from engine.spec.models import ModelSpec
from engine.spec.rundir import RunDir
from engine.spec.toml import read


class Needs:
    """Bytes of each run; a config never changes, so each is read once."""

    def __init__(self, runs: Path) -> None:
        self._runs = runs
        self._known: dict[str, int | None] = {}

    def of(self, run: str) -> int | None:
        """Of the run with this id, its teacher's training included; None when that cannot be known."""
        if run not in self._known:
            config = _config(RunDir(self._runs / run))
            self._known[run] = None if config is None else of_config(config, self._runs)
        return self._known[run]


def of_config(config: RunConfig, runs: Path) -> int | None:
    """Bytes of GPU memory; None where the data's size or the teacher's architecture is not known."""
    memory = estimate(config, teacher_model=_saved_teacher(config, runs)).memory
    if memory is None or memory.teacher is None:
        return None
    whole = need(memory.peak)
    if isinstance(config.teacher, PresetTeacher) and config.teacher.config is not None:
        first = of_config(config.teacher.config, runs)
        return None if first is None else max(whole, first)
    return whole


def spaces(runs: Path, jobs: Iterable[Job]) -> dict[str, Space]:
    """Of the GPUs that CUDA shows, by name. What the driver does not show as a run's counts as somebody else's."""
    ours = {pid for job in jobs if job.pid for pid in engine_process.family(RunDir(runs / job.run), job.pid)}
    found = {}
    for number, card in enumerate(gpu.visible()):
        if card is not None:
            held = sum(used for pid, used in gpu.held(card.index).items() if pid in ours)
            found[f"cuda:{number}"] = Space(card.total, max(0, card.used - held))
    return found


def _saved_teacher(config: RunConfig, runs: Path) -> ModelSpec | None:
    """The architecture of a teacher that is the student of a saved run."""
    if not isinstance(config.teacher, RunTeacher):
        return None
    taught = _config(RunDir(runs / config.teacher.run))  # an absolute path stays what it is
    return None if taught is None else taught.student


def _config(run: RunDir) -> RunConfig | None:
    """None when it cannot be read, or trains nothing."""
    if files.read(run.config) is None:  # gone, huge, a pipe
        return None
    try:
        config = read(run.config)
    except (CrdndError, OSError):
        return None
    return config if isinstance(config, RunConfig) else None
