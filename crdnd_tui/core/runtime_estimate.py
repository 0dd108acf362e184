"""How long a run will take, estimated from runs that this machine has finished.

Seconds per FLOP of like runs, times the FLOPs of the new one: training, validation and each attack by themselves.
Like means the same student, data and device; another student or image size has another pace, which nobody knows.
"""

import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from crdnd_tui.core import run_status
from crdnd_tui.core.format import duration
from crdnd_tui.core.run_reader import load
from engine.spec import files, folders, toml
from engine.spec.config import PresetTeacher, RunConfig
from engine.spec.errors import ConfigError
from engine.spec.estimate import Estimate, estimate
from engine.spec.rundir import RunDir, newest_first

HOST = platform.node()  # by which runs of this machine are known
MOST = 24  # past runs that are read; the newest
NOTHING = "no past run like this on this machine: time unknown"


@dataclass(frozen=True, kw_only=True)
class PastRun:
    """What a finished run took, beside what it was."""

    run: str
    config: RunConfig
    estimate: Estimate
    device: str  # as asked for: auto, cpu, cuda
    training: float  # seconds, likewise the next
    validation: float
    attacks: Mapping[str, float]
    other: float  # loading, probing, saving


@dataclass(frozen=True, kw_only=True)
class RuntimeEstimate:
    """Seconds of a run. `likeness` says how like it the past runs were; empty for the same method."""

    seconds: float
    low: float
    high: float
    training: float
    evaluation: float
    runs: int
    likeness: str = ""
    missing: tuple[str, ...] = ()  # attacks that no past run has run
    unseen: int = 0  # their FLOPs

    @property
    def words(self) -> str:
        """About how long, the shortest and longest of the like runs, and how many they were."""
        spread = f" ({duration(self.low)} \u2013 {duration(self.high)})" if self.runs > 1 else ""
        word = f"{self.runs} past runs" if self.runs > 1 else "one past run"
        least = "at least " if self.missing else "≈ "
        without = f", without {', '.join(self.missing)}" if self.missing else ""
        return f"{least}{duration(self.seconds)}{spread} from {word}{self.likeness} here{without}"


def past_runs(folder: Path, known: Mapping[str, PastRun | None] | None = None) -> dict[str, PastRun | None]:
    """The newest finished runs of this machine, by id; None for those that tell nothing. `known` is not read again."""
    found: dict[str, PastRun | None] = {}
    kept = 0
    try:
        names = run_status.names(folder)
    except OSError:
        return found
    for name in newest_first(folder, names):
        past = (known or {}).get(name) or _past(RunDir(folder / name))
        found[name] = past
        kept += past is not None
        if kept >= MOST:
            break
    return found


def estimate_runtime(config: RunConfig, pasts: Sequence[PastRun], device: str) -> RuntimeEstimate | None:
    """From those past runs that are most like it; None when none is like it at all."""
    pair = [p for p in pasts if p.device == device and p.config.student == config.student]
    near = [p for p in pair if p.config.data.name == config.data.name]
    same = [p for p in near if p.config.method.name == config.method.name]
    cost = estimate(config)
    for runs, likeness in ((same, ""), (near, " of other methods")):
        each = [scaled for past in runs if (scaled := _scaled(past, config, cost)) is not None]
        if each:
            least = min(one.unseen for one in each)  # of the past runs that had most of the attacks
            each = [one for one in each if one.unseen == least]
            seconds = [one.seconds for one in each]
            return replace(
                each[0], seconds=statistics.median(seconds), low=min(seconds), high=max(seconds), runs=len(each),
                training=statistics.median(one.training for one in each), likeness=likeness,
                evaluation=statistics.median(one.evaluation for one in each),
            )  # fmt: skip
    return None


def teacher_to_train(config: RunConfig, runs: Path) -> RunConfig | None:
    """The teacher that would be trained first: named by its preset, and not among the finished runs."""
    teacher = config.teacher
    if not isinstance(teacher, PresetTeacher) or teacher.config is None:
        return None
    return teacher.config if folders.finished_run(runs, teacher.config) is None else None


def _past(run: RunDir) -> PastRun | None:
    known = folders.status_of(run)
    if known is None or known.phase != "done" or known.host != HOST:
        return None
    try:
        config = toml.read(run.config)
    except ConfigError:  # damaged, or of a newer engine
        return None
    state = load(run)
    is_whole = state.phase == "finished" and not state.resumes and state.training is not None and state.epochs
    if not is_whole or not isinstance(config, RunConfig):
        return None
    training = sum(epoch.seconds for epoch in state.epochs)
    validation = sum(validated.seconds for validated in state.validations)
    attacks = {
        attack: sum(row[attack].seconds for row in state.table.values() if attack in row)
        for attack in state.attacks
        if attack != "worst"  # made of the others
    }
    spent = state.epochs[0].time - state.epochs[0].seconds + training + validation + sum(attacks.values())
    return PastRun(
        run=run.id, config=config, estimate=estimate(config), training=training, validation=validation,
        device=str(files.read_table(run.machine).get("device", "auto")), attacks=attacks,
        other=max(0.0, state.last - spent),
    )  # fmt: skip


def _scaled(past: PastRun, config: RunConfig, cost: Estimate) -> RuntimeEstimate | None:
    """A run at the pace of one past run; None where the work of one of the two is not known."""
    new, old = _works(config, cost), _works(past.config, past.estimate)
    if new is None or old is None or not old[0]:
        return None
    with_teacher = new[1] is not None and old[1]
    training = past.training * (new[1] / old[1] if with_teacher and new[1] and old[1] else new[0] / old[0])
    if cost.validation_flops and past.estimate.validation_flops:
        training += past.validation * cost.validation_flops / past.estimate.validation_flops
    flops = {row.attack: row.flops for row in past.estimate.evaluation if row.attack in past.attacks and row.flops}
    seen = [row for row in cost.evaluation if row.attack in flops]
    unseen = [row for row in cost.evaluation if row.attack not in flops]
    evaluation = sum(past.attacks[row.attack] * row.flops / flops[row.attack] for row in seen)
    seconds = training + evaluation + past.other
    return RuntimeEstimate(
        seconds=seconds, low=seconds, high=seconds, training=training, evaluation=evaluation, runs=1,
        missing=tuple(row.attack for row in unseen), unseen=sum(row.flops for row in unseen),
    )  # fmt: skip


def _works(config: RunConfig, cost: Estimate) -> tuple[int, int | None] | None:
    """FLOPs of the training: the student's alone, and with the teacher's where those are known."""
    if cost.student is None or cost.images is None:
        return None
    student = 2 * cost.passes.student_equivalents * cost.student.macs * cost.images * config.training.epochs
    return student, cost.training_flops
