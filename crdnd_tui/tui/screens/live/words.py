"""What the Live screen says of a run: its standing, what is up, and why it does not go on. Pure, in words."""

from crdnd_tui.core import fast_path
from crdnd_tui.core.fast_path import TrainingProfile
from crdnd_tui.core.format import count, duration, number, size
from crdnd_tui.core.run_status import ENDED_BADLY, SIGNS
from crdnd_tui.core.state import ENDED, RunState
from crdnd_tui.core.text import one_line
from crdnd_tui.tui.monitor.live_plan import Kind
from crdnd_tui.tui.monitor.run_curves import eta
from crdnd_tui.tui.monitor.tracking import Look
from crdnd_tui.tui.widgets.fate import Reason
from crdnd_tui.tui.widgets.status_line import Standing
from engine.spec.crashes import AGAIN

_GO_ON = frozenset({"stopped", "preempted", "failed", "killed"})
_ROLES = {"green": "good", "cyan": "accent", "yellow": "warn", "red": "bad"}
ON_REQUEST = "stop file"  # the engine's word for it
LATE = 30.0  # seconds without an event after which its age is a worry
_STAGES = {
    "teacher": "getting the teacher",
    "data": "reading the data",
    "check": "checking the teacher",
    "table": "filling the teacher's table",
    "training": "building the student",
    "evaluation": "beginning to judge",
}
_HIDE = frozenset({"suite_below_pgd", "subset", "few_images"})  # said below the table


def kind(look: Look) -> Kind:
    """Which panels tell most."""
    if state_of(look) in ENDED_BADLY:
        return "trouble"
    judged = look.state.evaluation is not None or look.state.table or look.facts.is_evaluation
    return "judging" if judged else "training"


def state_of(look: Look) -> str:
    """The run's state; starting before anything was read."""
    return look.summary.state if look.summary else "lost"


def can_go_on(look: Look | None) -> bool:
    """Whether an engine may be started on it."""
    return look is not None and look.summary is not None and state_of(look) in _GO_ON


def shown_state(look: Look) -> RunState:
    """Whose curves are shown: the teacher's while it comes first."""
    first = look.state.teacher_run and look.state.training is None
    return look.teacher if first and look.teacher is not None else look.state


def standing(look: Look, now: float, *, paused: bool) -> Standing:
    """The two lines above the panels."""
    facts = look.facts
    pair = facts.name if facts.is_evaluation else facts.pair
    words = [
        pair,
        facts.data,
        f"L-inf {facts.epsilon}" if facts.epsilon else "",
        f"seed {facts.seed}" if facts.seed is not None else "",
    ]
    right, late = _right(look, now)
    meter, share, after = _progress(look, now)
    return Standing(
        state=state_of(look), sign=SIGNS[state_of(look)][0], role=role_of(state_of(look)),
        head=facts.method,
        facts=[word for word in words if word] or [one_line(look.id, 60)], right=right, late=late,
        meter=meter, share=share, after=after, spent=_spent(look), paused=paused,
    )  # fmt: skip


def _right(look: Look, now: float) -> tuple[tuple[str, ...], bool]:
    """Device, process and the age of the last event."""
    state = look.state
    if not state.last:
        return (), False
    age = max(0.0, now - state.last)
    if not look.living:
        return (f"{'ended' if state.phase in ENDED else 'last event'} {duration(age)} ago",), False
    late = state_of(look) == "stalled" or age > LATE
    device = one_line(state.training.device, 16) if state.training else ""
    words = (device, f"pid {state.pid}" if state.pid else "", f"last event {duration(age)} ago")
    return tuple(word for word in words if word), late


def _spent(look: Look) -> TrainingProfile | None:
    """Of the training that the bar is about; nothing while the run is judged."""
    state = shown_state(look)
    return None if _judges(look) else fast_path.training_profile(state.training, state.steps)


def _judges(look: Look) -> bool:
    """Whether the bar is about the judgement."""
    judges = look.living or look.state.phase not in ENDED or look.facts.is_evaluation
    return look.state.evaluation is not None and judges


def _progress(look: Look, now: float) -> tuple[str, float | None, tuple[tuple[str, bool], ...]]:
    """Words before the bar, the share, words behind it."""
    state = shown_state(look)
    teacher = "teacher  " if state is not look.state else ""
    if _judges(look):
        return _judgement(look, now)
    if look.living and (state.training is None or state.filled is not None):
        return _STAGES.get(state.stage, state.stage), state.filled, ()
    if state.training is None:
        return "", None, ()
    share = state.step / max(1, state.total_steps)
    per_epoch = max(1, state.training.steps_per_epoch)
    epoch = min(state.training.epochs, state.step // per_epoch + (share < 1))
    meter = f"{teacher}epoch {count(epoch)}/{count(state.training.epochs)}"
    last = state.steps[-1] if state.steps else None
    pace = f"{last.images_per_second:,.0f} images/s" if last else ""
    rate = f"lr {number(last.learning_rate)}" if last else ""
    if not look.living:
        return meter, share, ((_took(state), False), (f"best epoch {state.best.epoch}" if state.best else "", False))
    if state_of(look) == "stalled":  # what was foretold does not hold any more
        return meter, share, ((_elapsed(look, now), False),)
    after = ((_left(state), True), (pace, False), (_elapsed(look, now), False), (rate, False), (_gpu(state), False))
    return meter, share, after


def _gpu(state: RunState) -> str:
    """Use and memory at the last sample; nothing without a GPU."""
    device = state.device
    if device is None:
        return ""
    busy = f"{device.utilisation} %, " if device.utilisation is not None else ""
    return f"GPU {busy}{size(device.used)} of {size(device.total)}"


def _left(state: RunState) -> str:
    """Median, and the range of nine tenths of the paces."""
    time = eta(state)
    if time is None:
        return ""
    spread = f" ({duration(time.low)} to {duration(time.high)})" if time.low is not None else ""
    return f"{duration(time.median)} left{spread}"


def _took(state: RunState) -> str:
    seconds = state.seconds if state.seconds is not None else max(0.0, state.last - state.since)
    return f"took {duration(seconds)}{' since its resume' * bool(state.resumes)}" if state.since else ""


def _elapsed(look: Look, now: float) -> str:
    state, time = look.state, duration(max(0.0, now - look.state.since))
    return (f"resumed {time} ago" if state.resumes else f"elapsed {time}") if state.since else ""


def _judgement(look: Look, now: float) -> tuple[str, float, tuple[tuple[str, bool], ...]]:
    state = look.state
    whole = len(state.attacks) * len(state.checkpoints)
    done = sum(len(row) for row in state.table.values())
    images = f"{count(state.evaluation.n)} {one_line(state.evaluation.split, 20)} images" if state.evaluation else ""
    time = _elapsed(look, now) if look.living else _took(state)
    return f"judged {done}/{whole}", done / max(1, whole), ((time, False), (images, False))


def role_of(state: str) -> str:
    """The palette's word for the colour of a state."""
    return _ROLES.get(SIGNS[state][1], "")


def notice(look: Look, now: float, *, fate_shown: bool) -> tuple[str, str]:
    """The one thing that is up, and the role of its colour."""
    said, state = _notice(look, now, fate_shown)
    return said, role_of(state) if state else ""


def _notice(look: Look, now: float, fate_shown: bool) -> tuple[str, str]:
    """In words, and the state in whose colour they are said."""
    state, how = look.state, state_of(look)
    why = look.summary.why if look.summary else ""
    if how in ENDED_BADLY:
        return ("" if fate_shown else f"{how}: {one_line(_why(look), 400)}"), how
    if how == "stalled":
        silent = duration(
            max(0.0, now - (look.summary.status.heartbeat if look.summary and look.summary.status else now))
        )
        return f"! no sign of life for {silent}; the log may say why (l), ^k kills the engine, r resumes it then", how
    if how == "stopping":
        return "asked to stop: the engine finishes its step, saves and leaves; ^s again kills it", how
    if how in ("stopped", "preempted"):
        reason = f" ({one_line(state.reason, 60)})" if state.reason not in ("", ON_REQUEST) else ""
        return f"{how} at step {count(state.step)}{reason}, and all is saved: r goes on from there", how
    if how == "done" and why:
        return f"! {why}", "failed"
    if how == "queued":
        return "waiting to be started; 6 shows the queue", how
    if state.teacher_run and look.living:
        verb = "waiting for" if state.teacher_waiting else "training"
        return f"the teacher comes first: {verb} {one_line(state.teacher_run, 60)}; T opens it", "starting"
    return _odd(look, why)


def _odd(look: Look, why: str) -> tuple[str, str]:
    """What a reader must know while all is well."""
    state = look.state
    if state_of(look) == "done" and not state.last:
        return "! events.jsonl is gone or cannot be read: curves are not known, only results", "stalled"
    loose = [w for w in state.warnings if not w.attack and w.code not in _HIDE]
    if loose and not state.table:
        more = f"  ({len(loose)} warnings)" if len(loose) > 1 else ""
        return f"! {one_line(loose[-1].message, 400)}{more}", "stalled"
    if state.flaws:
        return f"! events.jsonl: {', '.join(state.flaws)}", "stalled"
    if why.startswith("on "):
        return f"at work {one_line(why, 80)}: only its heartbeat can be seen from here", "starting"
    return "", ""


def _why(look: Look) -> str:
    if look.summary is None:
        return "this folder is no run any more"
    if look.summary.state == "killed":
        return look.summary.why.partition("; ")[0]
    if look.summary.state == "failed" and look.state.reason:
        return look.state.reason
    return look.summary.why or look.state.reason or "it gave no reason"


def _next(*, gone: bool, can_resume: bool) -> tuple[tuple[str, str], ...]:
    if gone:
        return (("1", "runs"),)
    return (("r", "resume"), ("C", "clone"), ("l", "whole log")) if can_resume else (("1", "runs"), ("C", "clone"))


def reason(look: Look) -> Reason:
    """Of a run that does not go on by itself."""
    how, state = state_of(look), look.state
    log = tuple(f"{line.time} {line.words}".strip() if line.time else line.words for line in look.log)
    hints = {
        "killed": "A signal, or too little memory. What was saved is whole.",
        "lost": "Its machine may be off, or this folder is a copy that grows no more.",
        "damaged": "Nothing was changed. Restore the file, or start anew: C clones what can be read.",
        "failed": state.hint,
    }
    gone = look.summary is None
    can_resume = can_go_on(look)
    advised = look.summary.why.partition("; ")[2] if look.summary and how == "killed" else ""
    if AGAIN in _why(look):
        hints["killed"] = advised
    at = f" at step {count(state.step)} of {count(state.total_steps)}" if state.training else ""
    if how == "lost" and gone:
        hints["lost"] = "It was removed, moved or emptied. What was read of it is still shown here."
    return Reason(
        role=role_of(how),
        title=f"{how.title()}{at}",
        why=_why(look),
        hint=hints.get(how, ""),
        command=f"crdnd resume {look.id}" if can_resume and hints.get(how) != advised else "",
        next=_next(gone=gone, can_resume=can_resume),
        log=log[-60:],
    )


EMPTY = Reason(
    role="good",
    title="Live",
    why="No run yet",
    hint="This screen shows one run: curves while it trains, its classes, and its robustness table.",
    next=(("2", "new run"), ("1", "runs")),
)
"""What stands here while the folder has no run."""

READING = Reason(title="Live", why="Reading the run")
"""Before its log was read."""
