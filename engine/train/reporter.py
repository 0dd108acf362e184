"""The only writer of events.jsonl and status.json. One write per line; a full disk never leaves half of one."""

import contextlib
import errno
import logging
import os
import socket
import time
from collections.abc import Callable
from itertools import pairwise

import msgspec

from engine.spec import events
from engine.spec import status as status_file
from engine.spec.config import JudgeConfig, RunConfig
from engine.spec.events import Decoded, Event, StepDone, Warned
from engine.spec.files import LOG_CAP, content_of, open_log, sync, write_atomically
from engine.spec.rundir import RunDir
from engine.spec.status import Phase, Status

STATUS_SECONDS = 2.0
MAX_LOGGED = 400  # characters of an event in engine.log; events.jsonl has it whole
LOG_DAMAGED = "log_damaged"  # code of the warning
RESERVE_BYTES = 64 * 1024  # given up when the disk is full, so that the failure itself can be written

_AT_ONCE = (
    events.RunStarted,
    events.RunResumed,
    events.StageStarted,
    events.TrainingStarted,
    events.Validated,
    events.AttackStarted,
    events.Evaluated,
)
log = logging.getLogger("crdnd")
_PHASES: dict[str, Phase] = {"teacher": "teacher", "training": "training", "evaluation": "evaluation"}


class Reporter:
    """Says events, and keeps the status that follows from them. Open it only while holding the engine's lock."""

    damage = ""  # what is wrong with the events that are kept, in words

    def __init__(self, run: RunDir, status: Status, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._run = run
        self._clock = clock
        self._written = float("-inf")
        self._timed = (0, 0.0)  # the last step and when it was said
        self._first = status
        self._reserve = run.path / ".reserve"
        with contextlib.suppress(OSError), self._reserve.open("xb") as reserve:  # a full disk: the first event says so
            reserve.write(os.urandom(RESERVE_BYTES))  # zeros may take no room at all
        self._log = open_log(run.events, read=True)
        self._seq = 0
        self._take_up(os.fstat(self._log).st_size)

    @property
    def position(self) -> tuple[int, int]:
        """Bytes and events said so far: what a checkpoint remembers, and `cut_back` returns to."""
        return os.fstat(self._log).st_size, self._seq

    def cut_back(self, size: int, seq: int) -> int:
        """Forget all that was said after this position, keeping a copy; returns how many events that were.

        The status becomes what follows from the events that are left. A log that is shorter than that stays short.
        """
        content = content_of(self._run.events, LOG_CAP)[size:]
        if content:
            with os.fdopen(open_log(self._run.discarded), "ab") as kept:
                kept.write(content)
        self._take_up(size)
        sync(self._log)
        self._seq = seq
        return content.count(b"\n")

    def _take_up(self, size: int) -> None:
        """Go on behind the last whole line of the first `size` bytes: a killed engine may leave half of one."""
        content = content_of(self._run.events, LOG_CAP)[:size]
        whole = content.rfind(b"\n") + 1
        os.ftruncate(self._log, whole)
        self.status = self._first
        kept = events.decode(content[:whole].split(b"\n"))
        for event in kept.events:
            self._seq, self.status = event.seq, status_after(self.status, event)
        damage, told = log_damage(kept), {e.message for e in kept.events if isinstance(e, Warned)}
        self.damage = "" if damage in told else damage
        own = self._first
        self.status = msgspec.structs.replace(self.status, phase=own.phase, pid=own.pid, host=own.host, reason="")

    def say(self, event: Event) -> None:
        """Append one event. OSError when the disk is full: then nothing of it is in the log."""
        self._seq += 1
        line = events.encode(msgspec.structs.replace(event, seq=self._seq))
        before = os.fstat(self._log).st_size
        try:
            _write_whole(self._log, line)
        except OSError:
            os.ftruncate(self._log, before)
            self._seq -= 1
            raise
        self._follow(event)
        if not isinstance(event, StepDone | events.AttackProgressed):
            log.info("%s", line.decode().strip()[:MAX_LOGGED])

    def update(self, *, now: bool = False, **changes: object) -> None:
        """Change the status; it reaches the disk at most every two seconds, or `now`."""
        self.status = msgspec.structs.replace(self.status, **changes)
        if now or self._clock() - self._written >= STATUS_SECONDS:
            self._written = self._clock()
            snapshot = msgspec.structs.replace(self.status, heartbeat=time.time(), events_bytes=self.position[0])
            write_atomically(self._run.status, status_file.encode(snapshot))

    def beat(self) -> None:
        """Say that the engine lives, at most every two seconds."""
        if self._clock() - self._written >= STATUS_SECONDS:
            self.update()

    def sync(self) -> None:
        """Make all that was said survive a power cut."""
        sync(self._log)

    def give_up_reserve(self) -> None:
        """Free the reserved bytes, so that the failure can be written on a full disk."""
        self._reserve.unlink(missing_ok=True)

    def close(self) -> None:
        """Write the last status and let go of the log. OSError when the status cannot be written."""
        self.give_up_reserve()
        try:
            self.sync()
            self.update(now=True)
        finally:
            os.close(self._log)

    def _time(self, step: int) -> None:
        """Seconds per step, validations and all, as a running mean; the training's remaining time follows from it."""
        now, (before, earlier) = self._clock(), self._timed
        self._timed = (step, now)
        if before < step and earlier:
            latest = (now - earlier) / (step - before)
            mean = 0.95 * self.status.seconds_per_step + 0.05 * latest if self.status.seconds_per_step else latest
            left = max(0, self.status.total_steps - step) * mean
            self.status = msgspec.structs.replace(self.status, seconds_per_step=mean, eta_seconds=left)

    def _follow(self, event: Event) -> None:
        """The status after this event; what a viewer waits for reaches the disk at once."""
        if isinstance(event, StepDone):
            self._time(event.step)
        self.status = status_after(self.status, event)
        if isinstance(event, _AT_ONCE):
            self.update(now=True)
        else:
            self.beat()


class FollowerReporter(Reporter):
    """Of a rank that does not lead: the status follows what is said, and nothing is written."""

    position = (0, 0)

    def __init__(self, run: RunDir, status: Status) -> None:
        self._run, self.status = run, status

    def say(self, event: Event) -> None:
        self.status = status_after(self.status, event)

    def update(self, *, now: bool = False, **changes: object) -> None:
        self.status = msgspec.structs.replace(self.status, **changes)

    def cut_back(self, size: int, seq: int) -> int:
        return 0

    def _nothing(self) -> None:
        """The leading rank does it for all."""

    beat = sync = give_up_reserve = close = _nothing


def first_status(run: RunDir, config: RunConfig | JudgeConfig, created: float) -> Status:
    """What a list of runs shows of this one before anything has happened; `created` in unix seconds."""
    first = Status(
        run=run.id,
        phase="starting",
        name=config.name or "evaluation",
        method="evaluation",
        data=config.data.name,
        config_hash=config.config_hash,
        epsilon=str(config.threat_model.epsilon),
        created=created,
        pid=os.getpid(),
        host=socket.gethostname(),
    )
    if isinstance(config, JudgeConfig):
        return first
    return msgspec.structs.replace(
        first,
        name=config.title,
        method=config.method.name,
        student=config.student.name,
        teacher=config.teacher_title,
        seed=config.seed,
        group_hash=config.group_hash,
        epochs=config.training.epochs,
    )


def status_after(status: Status, event: Event) -> Status:  # noqa: PLR0912  one case for each kind of event
    """What follows for the status from one event."""
    change = msgspec.structs.replace
    match event:
        case events.RunStarted():
            return change(status, phase="starting", pid=event.pid, host=event.host, reason="")
        case events.RunResumed():  # there is a checkpoint, so training had begun
            return change(status, phase="training", pid=event.pid, host=event.host, reason="", attack="")
        case events.StageStarted():
            return change(status, phase=_PHASES.get(event.stage, "starting"), attack="")
        case events.TableFilled():
            return change(status, attack=f"teacher table {event.filled:.0%}")
        case events.TrainingStarted():
            return change(status, epochs=event.epochs, total_steps=event.epochs * event.steps_per_epoch)
        case StepDone():
            return change(status, step=event.step, loss=event.loss, images_per_second=event.images_per_second)
        case events.Validated():
            best = event.epoch if event.best else status.best_epoch
            return change(status, epoch=event.epoch, validation=event.accuracy, best_epoch=best)
        case events.AttackStarted():
            return change(status, attack=f"{event.checkpoint} {event.attack}")
        case events.AttackProgressed():
            where = " ".join(filter(None, (event.checkpoint, event.attack, event.part)))
            return change(status, attack=f"{where} {event.done}/{event.total}")
        case events.Evaluated():
            row = {**status.results.get(event.checkpoint, {}), event.attack: event.accuracy}
            return change(status, results={**status.results, event.checkpoint: row}, results_n=event.n)
        case Warned():
            mark = (event.code, event.checkpoint, event.attack)
            known = status.marks if mark in status.marks else [*status.marks, mark]
            return change(status, warnings=status.warnings + 1, marks=known)
        case events.Probed():
            return change(status, probed={**status.probed, event.checkpoint: (event.done, event.of)})
        case _:
            return status


def _write_whole(log: int, line: bytes) -> None:
    written = os.write(log, line)
    if written < len(line):  # a full disk takes what fits
        raise OSError(errno.ENOSPC, "the disk is full")


def log_damage(kept: Decoded) -> str:
    """What is wrong with the lines of a log, in words that do not change when more is said; empty when nothing is."""
    places = [0, *(event.seq for event in kept.events)]
    absent = sum(max(0, after - before - 1) for before, after in pairwise(places)) - kept.unknown - kept.damaged
    found = {
        "lines of the log of events are damaged": kept.damaged,
        "events are missing in it": absent,
        "events stand in it twice, or out of order": sum(after <= before for before, after in pairwise(places)),
    }
    return "; ".join(f"{count} {words}" for words, count in found.items() if count > 0)
