"""What happens, told in plain lines: one for each epoch, attack and warning. For pipes, logs and dumb terminals."""

from collections.abc import Sequence
from dataclasses import dataclass

from crdnd_tui.core import fast_path, marks
from crdnd_tui.core.attack_names import PARTS, attack_title
from crdnd_tui.core.format import count, duration, number, percent
from crdnd_tui.core.state import RunState
from crdnd_tui.core.text import one_line
from engine.spec.events import (
    AttackProgressed,
    EpochDone,
    Evaluated,
    EvaluationStarted,
    Event,
    RunFailed,
    RunFinished,
    RunResumed,
    RunStarted,
    RunStopped,
    TableFilled,
    TeacherChecked,
    TeacherRunStarted,
    TrainingStarted,
    Validated,
    Warned,
)


@dataclass
class Narrator:
    """Turns events into lines. An epoch waits for its validation, so that both stand on one line."""

    prefix: str = ""
    _epoch: EpochDone | None = None
    _part: str = ""
    _quarters: int = -1  # of the teacher's table

    def lines(self, events: Sequence[Event], state: RunState) -> list[str]:
        """Lines for these events, which `state` has in it already."""
        told: list[str] = []
        for event in events:
            if self._epoch is not None and not (isinstance(event, Validated) and event.epoch == self._epoch.epoch):
                told.append(_epoch_line(self._epoch, None, state))
                self._epoch = None
            told.append(self._line(event, state))
        return [self.prefix + line for line in told if line]

    def _line(self, event: Event, state: RunState) -> str:  # noqa: PLR0912  one case for each kind of event
        match event:
            case RunStarted():
                return f"{event.run} started"
            case RunResumed():
                again = f"; {count(event.discarded)} events are done again" if event.discarded else ""
                return f"resumed at step {count(event.step)}{again}"
            case TeacherRunStarted():
                return f"the teacher comes first: {'waiting for' if event.waiting else 'training'} {event.run}"
            case TeacherChecked():
                accuracies = f"clean {percent(event.clean)}, PGD-10 {percent(event.robust)}"
                return f"teacher {event.model}: {accuracies} on {count(event.n)} images"
            case TableFilled():
                before, self._quarters = self._quarters, int(4 * event.filled)
                return f"teacher's table {percent(event.filled)} %" if self._quarters != before else ""
            case TrainingStarted():
                length = f"{count(event.epochs)} epochs of {count(event.steps_per_epoch)} steps"
                computed = f"; {', '.join(fast_path.words(event.switches))}" if event.switches else ""
                return f"training: {length}, {count(event.student_parameters)} parameters, on {event.device}{computed}"
            case EpochDone():
                self._epoch = event
            case Validated():
                epoch, self._epoch = self._epoch, None
                return _epoch_line(epoch, event, state)
            case EvaluationStarted():
                some = f"{count(event.n)} of {count(event.of)}" if event.n != event.of else f"all {count(event.n)}"
                return f"judging {', '.join(event.checkpoints)} on {some} {event.split} images"
            case AttackProgressed():  # AutoAttack turns to its next part; how many images are done is for the live view
                same = self._part == (now := f"{event.checkpoint} {event.attack} {event.part}")
                if same or event.part in ("", event.attack):
                    return ""
                self._part = now
                part = PARTS.get(event.part, event.part)
                return f"{event.checkpoint:<4}  {attack_title(event.attack)}: {part} on {count(event.total)} images"
            case Evaluated():
                accuracy, low, high = (percent(share, event.n) for share in (event.accuracy, event.low, event.high))
                sign = marks.SIGNS[state.severity(event.checkpoint, event.attack)]
                seconds = f"   {duration(event.seconds)}" if event.seconds >= 1 else ""
                figure = f"{accuracy:>6} %{sign} [{low}, {high}]{seconds}"
                return f"{event.checkpoint:<4}  {attack_title(event.attack, event):<14} {figure}"
            case Warned():
                return f"warning: {one_line(event.message, 600)}"
            case RunFinished():
                return f"finished after {duration(event.seconds)}"
            case RunStopped() if self.prefix:  # of the run itself, the end tells more
                return f"stopped ({event.reason}) at step {count(event.step)}; everything is saved"
            case RunFailed() if self.prefix:
                hint = f" {one_line(event.hint, 400)}" if event.hint else ""
                return f"failed: {one_line(event.message or event.kind, 600)}{hint}"
        return ""


def validated(event: Validated, state: RunState) -> list[str]:
    """`PGD-10 51.2!` of each attack of a validation."""
    return [f"{attack_title(attack)} {percent(value)}{marks.SIGNS[state.severity('', attack)]}"
            for attack, value in event.accuracy.items()]  # fmt: skip


def _epoch_line(epoch: EpochDone | None, validation: Validated | None, state: RunState) -> str:
    at = epoch.epoch if epoch else validation.epoch if validation else 0
    total = state.training.epochs if state.training else 0
    words = [f"epoch {count(at):>{len(count(total))}}/{count(total)}" if total else f"epoch {count(at)}"]
    if epoch:
        words.append(f"loss {number(epoch.loss, fixed=True)}")
    if validation:
        words += [*validated(validation, state), *(["best"] if validation.best else [])]
    recent = [e.seconds for e in state.epochs if at - 10 < e.epoch <= at]
    if epoch and total > at and recent:
        words.append(f"{duration((total - at) * sum(recent) / len(recent))} left")
    return "  ".join(words)
