"""What a run is: method, student, teacher, data, radius, seed; by its config, which is there before its engine starts,
or by its status where that cannot be read."""

from dataclasses import dataclass, replace

from crdnd_tui.core.text import one_line
from engine.spec import files
from engine.spec.rundir import RunDir
from engine.spec.status import Status


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFacts:
    """Safe to show; empty words for what nothing tells."""

    method: str = ""  # `evaluation`, of saved weights
    student: str = ""
    teacher: str = ""
    data: str = ""
    epsilon: str = ""
    seed: int | None = None
    name: str = ""
    is_evaluation: bool = False
    suite: tuple[str, ...] = ()  # attacks that the run will be judged by

    @property
    def pair(self) -> str:
        """The teacher and its student."""
        return f"{self.teacher} \u2192 {self.student}" if self.teacher else self.student

    @property
    def title(self) -> str:
        """All in one line; empty where nothing tells it."""
        if not self.data:
            return ""
        if self.is_evaluation:
            parts = [f"evaluation of {self.name}" if self.name else "evaluation"]
        else:
            parts = [self.method, f"{self.student} \u2190 {self.teacher}" if self.teacher else self.student]
        seed = [f"seed {self.seed}"] if not self.is_evaluation else []
        return one_line(" \u00b7 ".join([*parts, self.data, f"epsilon {self.epsilon}", *seed]), 160)


def read_facts(run: RunDir, status: Status | None = None) -> RunFacts:
    """By its config, else by this status."""
    from engine.spec import toml  # noqa: PLC0415  pydantic; only a thread, or a queue with runs, waits for it
    from engine.spec.config import JudgeConfig  # noqa: PLC0415
    from engine.spec.errors import ConfigError  # noqa: PLC0415

    if files.read(run.config) is None:  # gone, huge, a pipe
        return _of_status(status)
    try:
        config = toml.read(run.config)
    except (ConfigError, OSError):
        return _of_status(status)
    suite = ("clean", *(attack.label or attack.name for attack in config.evaluation.attacks), "worst")
    facts = RunFacts(
        method="evaluation", data=one_line(config.data.title, 40), epsilon=str(config.threat_model.epsilon),
        name=one_line(config.name, 80), seed=config.evaluation.seed, suite=suite, is_evaluation=True,
    )  # fmt: skip
    if isinstance(config, JudgeConfig):
        return facts
    return replace(
        facts, method=one_line(config.method.title, 30), student=one_line(config.student.title, 40), seed=config.seed,
        teacher=one_line(config.teacher_title, 60) if config.teacher else "", is_evaluation=False,
    )  # fmt: skip


def _of_status(status: Status | None) -> RunFacts:
    if status is None:
        return RunFacts()
    return RunFacts(
        method=one_line(status.method, 30), student=one_line(status.student, 40), data=one_line(status.data, 30),
        teacher="" if status.teacher == "-" else one_line(status.teacher, 60), epsilon=one_line(status.epsilon, 20),
        seed=status.seed, name=one_line(status.name, 80),
    )  # fmt: skip
