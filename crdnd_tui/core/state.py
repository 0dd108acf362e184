"""Events -> what is shown of a run. Pure: the same events give the same state, live or saved.

Series grow once a batch and facts once an event, so that a log of 100,000 steps opens at once.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, assert_never

from crdnd_tui.core import marks
from crdnd_tui.core.format import count
from engine.spec.events import (
    AttackProgressed,
    AttackStarted,
    CheckpointSaved,
    DeviceSampled,
    EpochDone,
    Evaluated,
    EvaluationStarted,
    Event,
    Probed,
    RunFailed,
    RunFinished,
    RunResumed,
    RunStarted,
    RunStopped,
    StageStarted,
    StepDone,
    TableFilled,
    TeacherChecked,
    TeacherRunStarted,
    TrainingStarted,
    Validated,
    Warned,
)
from engine.spec.marks import Severity

Phase = Literal["waiting", "running", "finished", "stopped", "failed"]
ENGINES = 64  # of one run, whose switches are kept
ENDED = frozenset({"finished", "stopped", "failed"})
GAPS = 8  # places in a log's numbering that are told one by one
Table = Mapping[str, Mapping[str, Evaluated]]  # checkpoint -> attack -> cell
_SERIES = {StepDone: "steps", EpochDone: "epochs", Validated: "validations", Warned: "warnings"}
_IDLE: Mapping[str, Any] = {"attack": None, "teacher_run": "", "filled": None}  # nothing is under way


class Gap(NamedTuple):
    """A place where the numbering of a log jumps: forwards, events are missing; else it goes back."""

    after: int
    before: int

    @property
    def missing(self) -> int:
        """Events that are not there; 0 or less where the numbering goes back."""
        return self.before - self.after - 1

    @property
    def text(self) -> str:
        if self.missing <= 0:
            return f"the numbering goes back from {count(self.after)} to {count(self.before)}"
        return f"{count(self.missing)} event{' is' if self.missing == 1 else 's are'} missing after {self.after}"


@dataclass(frozen=True, kw_only=True, slots=True)
class RunState:
    """Everything that is known of a run from its events. Times are unix seconds."""

    phase: Phase = "waiting"
    run: str = ""
    name: str = ""
    config_hash: str = ""
    pid: int = 0
    stage: str = ""
    started: float = 0.0  # of the first engine
    since: float = 0.0  # of the engine at work
    last: float = 0.0  # of the latest event
    seconds: float | None = None  # that the engine which finished took
    reason: str = ""  # why it stopped or failed
    hint: str = ""
    resumes: int = 0

    teacher_run: str = ""  # a run that is worked on first, while it is
    teacher_waiting: bool = False
    teacher: TeacherChecked | None = None

    filled: float | None = None  # fraction of the teacher's table, while it is computed before the first step
    training: TrainingStarted | None = None
    engines: tuple[Mapping[str, str], ...] = ()  # switches of those that trained, in turn, where they changed
    steps: tuple[StepDone, ...] = ()
    epochs: tuple[EpochDone, ...] = ()
    validations: tuple[Validated, ...] = ()
    device: DeviceSampled | None = None

    evaluation: EvaluationStarted | None = None
    attack: AttackStarted | AttackProgressed | None = None  # the one under way
    attack_since: float = 0.0
    table: Table = field(default_factory=dict)
    warnings: tuple[Warned, ...] = ()
    probed: Mapping[str, Probed] = field(default_factory=dict)  # checkpoint -> checks that were made
    counts: Mapping[str, tuple[int, ...]] = field(default_factory=dict)  # checkpoint -> judged images of each class
    disputed: Mapping[tuple[str, str], str] = field(default_factory=dict)  # (checkpoint, attack) -> what disagrees

    seq: int = 0  # of the latest event
    gaps: tuple[Gap, ...] = ()  # the first of them
    missing: int = 0  # events that the numbering misses
    unknown: int = 0  # events of a newer engine
    damaged: int = 0  # lines that are no event

    @property
    def step(self) -> int:
        """The last step that is known to be done."""
        return max((series[-1].step for series in (self.steps, self.epochs) if series), default=0)

    @property
    def total_steps(self) -> int:
        """Of the whole training; 0 before it is known."""
        return self.training.epochs * self.training.steps_per_epoch if self.training else 0

    @property
    def best(self) -> Validated | None:
        """The validation of the best epoch so far."""
        return next((v for v in reversed(self.validations) if v.best), None)

    @property
    def eta_seconds(self) -> float | None:
        """Of the training, at the mean pace of the last steps."""
        paces = [event.images_per_second for event in self.steps[-20:] if event.images_per_second > 0]
        if self.training is None or not paces:
            return None
        images_per_step = self.training.images / max(1, self.training.steps_per_epoch)
        return max(0, self.total_steps - self.step) * images_per_step * sum(1 / pace for pace in paces) / len(paces)

    @property
    def attacks(self) -> list[str]:
        """Rows of the table in the order of the suite: clean first, the worst case last."""
        suite = list(self.evaluation.attacks) if self.evaluation else []
        seen = [*(attack for row in self.table.values() for attack in row), *(attack for _, attack in self.disputed)]
        inner = [a for a in dict.fromkeys([*suite, *seen]) if a not in ("clean", "worst")]
        has_worst = "worst" in seen or (suite and self.phase not in ENDED)
        return [*(["clean"] if suite or "clean" in seen else []), *inner, *(["worst"] if has_worst else [])]

    @property
    def checkpoints(self) -> list[str]:
        """Columns of the table."""
        named = self.evaluation.checkpoints if self.evaluation else []
        return list(dict.fromkeys([*named, *self.table, *(checkpoint for checkpoint, _ in self.disputed)]))

    @property
    def flaws(self) -> list[str]:
        """What is wrong with the log itself, in words."""
        said = [f"{self.damaged} damaged line{'s' * (self.damaged > 1)}"] if self.damaged else []
        said += [f"{self.unknown} event{'s' * (self.unknown > 1)} of a newer engine"] if self.unknown else []
        explained = self.missing <= self.unknown + self.damaged
        return [*said, *(gap.text for gap in self.gaps if gap.missing <= 0 or not explained)]

    def marks(self, checkpoint: str, attack: str) -> list[Warned]:
        """Of one figure: those of its own, and those of the whole run that concern this attack, each once.

        An empty checkpoint is that of validation: only what holds for all of them is a mark of it.
        """
        found = [w for w in self.warnings if marks.is_of(w.code, w.checkpoint, w.attack, checkpoint, attack)]
        checks = self.probed.get(checkpoint)
        if checks is not None and not checks.done and attack:
            why = "; ".join(dict.fromkeys(checks.left_out.values()))
            said = f"Not probed{f' ({why})' if why else ''}: no check was made that could have marked this figure."
            found.append(Warned(code=marks.NOT_PROBED, message=said, checkpoint=checkpoint))
        return list({(w.code, w.message): w for w in found}.values())

    def severity(self, checkpoint: str, attack: str) -> Severity | None:
        """Of one figure: red where it is not believed; None without a mark."""
        return marks.worst(w.code for w in self.marks(checkpoint, attack))

    def images_of(self, checkpoint: str, index: int) -> int:
        """Judged images of this class; 0 where no result file told."""
        counts = self.counts.get(checkpoint, ())
        return counts[index] if index < len(counts) else 0

    def checks(self, checkpoint: str) -> str:
        """What a figure without a mark has passed: `12 of 12 checks`, `not probed (suspect = false)`, `not known`."""
        known = self.probed.get(checkpoint)
        if known is None:
            return "not known" if self.phase in ENDED or self.phase == "waiting" else "not made yet"
        names: dict[str, list[str]] = {}
        for name, why in known.left_out.items():
            names.setdefault(why, []).append(name)
        if not known.done:
            return f"not probed ({'; '.join(names)})" if names else "not probed"
        said = "; ".join(f"{', '.join(left_out)} ({why})" for why, left_out in names.items())
        return f"{known.done} of {known.of} checks" + (f"; not made: {said}" if said else "")


def fold(events: Iterable[Event], state: RunState | None = None, *, unknown: int = 0, damaged: int = 0) -> RunState:
    """The state after these events; `unknown` and `damaged` count lines that were passed over."""
    state = state or RunState()
    series: dict[str, list[Event]] = {name: [] for name in _SERIES.values()}
    rows: dict[str, dict[str, Evaluated]] = {}
    last, seq, gaps, missing = state.last, state.seq, list(state.gaps), state.missing
    for event in events:
        last = event.time
        if event.seq != seq + 1 and event.seq:  # 0: it was never in a log
            gap = Gap(seq, event.seq)
            missing += max(0, gap.missing)
            gaps += [gap] if len(gaps) < GAPS else []
        seq = event.seq or seq
        name = _SERIES.get(type(event))
        if name is not None:
            series[name].append(event)
        elif isinstance(event, Evaluated):
            rows.setdefault(event.checkpoint, dict(state.table.get(event.checkpoint, {})))[event.attack] = event
            state = replace(state, attack=None)
        else:
            state = _after(state, event)
    grown: dict[str, Any] = {name: (*getattr(state, name), *found) for name, found in series.items() if found}
    return replace(
        state, **grown, table={**state.table, **rows} if rows else state.table, last=last, seq=seq, gaps=tuple(gaps),
        missing=missing, unknown=state.unknown + unknown, damaged=state.damaged + damaged,
    )  # fmt: skip


def _after(state: RunState, event: Event) -> RunState:  # noqa: PLR0912  one case for each kind of event
    match event:
        case RunStarted():
            return replace(
                state, phase="running", run=event.run, name=event.name, config_hash=event.config_hash,
                pid=event.pid, started=state.started or event.time, since=event.time,
            )  # fmt: skip
        case RunResumed():
            return replace(
                state, phase="running", pid=event.pid, resumes=state.resumes + 1, reason="", hint="", since=event.time,
                **_IDLE,
            )  # fmt: skip
        case StageStarted():
            first = state.teacher_run if event.stage == "teacher" else ""
            return replace(state, stage=event.stage, teacher_run=first, filled=None)
        case TeacherRunStarted():
            return replace(state, teacher_run=event.run, teacher_waiting=event.waiting)
        case TeacherChecked():
            return replace(state, teacher=event, teacher_run="")
        case TableFilled():
            return replace(state, filled=event.filled)
        case TrainingStarted():
            known = state.engines
            known = known if known and known[-1] == event.switches else (*known[1 - ENGINES :], event.switches)
            return replace(state, training=event, engines=known, teacher_run="", filled=None)
        case EvaluationStarted():
            return replace(state, evaluation=event, teacher_run="")
        case AttackStarted():
            return replace(state, attack=event, attack_since=event.time)
        case AttackProgressed():
            same = state.attack is not None and state.attack.attack == event.attack
            return replace(state, attack=event, attack_since=state.attack_since if same else event.time)
        case DeviceSampled():
            return replace(state, device=event)
        case Probed():
            return replace(state, probed={**state.probed, event.checkpoint: event})
        case RunFinished():
            return replace(state, phase="finished", seconds=event.seconds, **_IDLE)
        case RunStopped():
            return replace(state, phase="stopped", reason=event.reason, **_IDLE)
        case RunFailed():
            return replace(state, phase="failed", reason=event.message or event.kind, hint=event.hint, **_IDLE)
        case StepDone() | EpochDone() | Validated() | Warned() | Evaluated() | CheckpointSaved():
            return state  # `fold` gathers the series, for they may be long
        case _:
            assert_never(event)
