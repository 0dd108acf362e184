"""The only writer of events.jsonl and status.json. One write per line; a full disk never leaves half of one."""

import errno
import logging
import os
import socket
import time
from collections.abc import Callable

import msgspec

from engine.spec import status as status_file
from engine.spec.events import (
    AttackProgressed,
    AttackStarted,
    Evaluated,
    Event,
    RunResumed,
    RunStarted,
    StageStarted,
    StepDone,
    TrainingStarted,
    Validated,
    Warned,
    encode,
)
from engine.spec.files import write_atomically
from engine.spec.rundir import RunDir
from engine.spec.status import Phase, Status

STATUS_SECONDS = 2.0
MAX_LOGGED = 400  # characters of an event in engine.log; events.jsonl has it whole
RESERVE_BYTES = 64 * 1024  # given up when the disk is full, so that the failure itself can be written

log = logging.getLogger("crdnd")
_PHASES: dict[str, Phase] = {"teacher": "teacher", "training": "training", "evaluation": "evaluation"}


class Reporter:
    """Says events, and keeps the status that follows from them. Open it only while holding the engine's lock."""

    def __init__(self, run: RunDir, status: Status, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._run = run
        self._clock = clock
        self._written = float("-inf")
        self._timed = (0, 0.0)  # the last step and when it was said
        self.status = status
        self._reserve = run.path / ".reserve"
        if not self._reserve.exists():
            self._reserve.write_bytes(b"\0" * RESERVE_BYTES)
        self._log = os.open(run.events, os.O_CREAT | os.O_APPEND | os.O_RDWR, 0o644)
        self._seq = 0

    @property
    def position(self) -> tuple[int, int]:
        """Bytes and events said so far: what a checkpoint remembers, and `cut_back` returns to."""
        return os.fstat(self._log).st_size, self._seq

    def cut_back(self, size: int, seq: int) -> int:
        """Forget all that was said after this position, keeping a copy; returns how many events that were."""
        content = _read(self._log, size)
        discarded = content.count(b"\n")
        if content:
            with self._run.discarded.open("ab") as kept:
                kept.write(content if content.endswith(b"\n") else content + b"\n")
        os.ftruncate(self._log, size)
        os.fsync(self._log)
        self._seq = seq
        return discarded

    def say(self, event: Event) -> None:
        """Append one event. OSError when the disk is full, with no half line left behind."""
        self._seq += 1
        line = encode(msgspec.structs.replace(event, seq=self._seq))
        before = os.fstat(self._log).st_size
        try:
            _write_whole(self._log, line)
        except OSError as error:
            os.ftruncate(self._log, before)
            self._seq -= 1
            if error.errno not in (errno.ENOSPC, errno.EDQUOT) or not self._give_up_reserve():
                raise
            self.say(event)
            raise OSError(error.errno, "the disk is full", str(self._run.events)) from error
        self._follow(event)
        if not isinstance(event, StepDone | AttackProgressed):
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
        os.fsync(self._log)

    def close(self) -> None:
        """Write the last status and let go of the log."""
        self.sync()
        self._reserve.unlink(missing_ok=True)
        self.update(now=True)
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

    def _give_up_reserve(self) -> bool:
        if not self._reserve.exists():
            return False
        self._reserve.unlink()
        return True

    def _follow(self, event: Event) -> None:
        """The status after this event."""
        status = self.status
        match event:
            case RunStarted() | RunResumed():
                self.update(now=True, phase="starting", pid=event.pid, host=event.host, reason="")
            case StageStarted():
                self.update(now=True, phase=_PHASES.get(event.stage, "starting"), attack="")
            case TrainingStarted():
                total = event.epochs * event.steps_per_epoch
                self.update(now=True, epochs=event.epochs, total_steps=total)
            case StepDone():
                self._time(event.step)
                self.update(step=event.step, loss=event.loss, images_per_second=event.images_per_second)
            case Validated():
                best = event.epoch if event.best else status.best_epoch
                self.update(now=True, epoch=event.epoch, validation=event.accuracy, best_epoch=best)
            case AttackStarted():
                self.update(now=True, attack=f"{event.checkpoint} {event.attack}")
            case AttackProgressed():
                where = " ".join(filter(None, (event.checkpoint, event.attack, event.part)))
                self.update(attack=f"{where} {event.done}/{event.total}")
            case Evaluated():
                table = {**status.results, event.checkpoint: {**status.results.get(event.checkpoint, {})}}
                table[event.checkpoint][event.attack] = event.accuracy
                self.update(now=True, results=table, results_n=event.n)
            case Warned():
                self.update(warnings=status.warnings + 1)
            case _:
                self.beat()


def host() -> str:
    """This machine's name, to tell a lost run from one that runs elsewhere."""
    return socket.gethostname()


def _write_whole(log: int, line: bytes) -> None:
    written = os.write(log, line)
    if written < len(line):  # a full disk takes what fits
        raise OSError(errno.ENOSPC, "the disk is full")


def _read(log: int, start: int) -> bytes:
    size = os.fstat(log).st_size
    return os.pread(log, max(0, size - start), start)
