"""Writes a recorded run into a folder at its own pace, as its engine did: log, status, results, lock."""

import contextlib
import fcntl
import json
import os
import threading
import time
from collections.abc import Callable, Iterable
from itertools import pairwise

import msgspec

from crdnd_tui.core.state import RunState, fold
from crdnd_tui.tui.demo.recording import HOST, Recording
from engine.spec import status as status_file
from engine.spec.events import AttackProgressed, Evaluated, Event, RunFinished, RunStarted, RunStopped, StepDone, encode
from engine.spec.files import write_atomically
from engine.spec.rundir import RunDir
from engine.spec.status import Phase, Status

LONGEST = 5.0  # seconds of recorded silence that are kept
BEAT = 1.0  # seconds between two writings of the status
LOOK = 0.1  # seconds between two looks at the stop file
_PHASES: dict[str, Phase] = {"teacher": "teacher", "training": "training", "evaluation": "evaluation"}
_ENDS: dict[str, Phase] = {"finished": "done", "stopped": "stopped", "failed": "failed"}


class Playing:
    """A thread that plays. The stop file stops it as it stops an engine; `close` ends it at once, without a word."""

    def __init__(self, run: RunDir, recording: Recording, now: Callable[[], float], speed: float) -> None:
        self._run, self._now, self._speed = run, now, speed
        self._last = recording.status
        self._events = recording.events(run.id, self._last.name)
        self._results = recording.results()
        self._state = RunState()
        self._created = now()
        self._beaten = float("-inf")
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._play, name="demo", daemon=True)
        self._lock = os.open(run.lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        os.pwrite(self._lock, json.dumps({"pid": os.getpid()}).encode() + b"\n", 0)

    def start(self) -> None:
        """Say the first words at once, and the rest in time."""
        self._say(self._events[0])
        self._thread.start()

    def close(self) -> None:
        """End the playing; a second call does nothing."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(5.0)
        self._let_go()

    def _let_go(self) -> None:
        descriptor, self._lock = self._lock, -1
        if descriptor >= 0:
            os.close(descriptor)  # frees the lock

    def _play(self) -> None:
        with contextlib.suppress(OSError):  # somebody took the folder away, or the disk is full: nothing to play into
            self._play_all()
        if not self._closing.is_set():
            self._let_go()

    def _play_all(self) -> None:
        due = time.monotonic()
        for pause, event in zip(_pauses(self._events), self._events[1:], strict=True):
            due += pause / self._speed
            if not self._wait_until(due):
                return
            self._say(event)

    def _wait_until(self, due: float) -> bool:
        """False when the playing ends before; the stop file has then been obeyed."""
        while not self._closing.is_set():
            if self._run.stop.exists():
                self._say(RunStopped(reason="stop file", step=self._state.step))
                return False
            left = due - time.monotonic()
            if left <= 0:
                return True
            self._beat()
            self._closing.wait(min(left, LOOK))
        return False

    def _say(self, event: Event) -> None:
        """One line of the log, after the files that the event tells of."""
        if isinstance(event, Evaluated):
            self._put(f"evaluation/{event.checkpoint}/{event.attack}.json")
        if isinstance(event, RunFinished):
            self._put(*self._results)
        said = msgspec.structs.replace(event, time=self._now())
        if isinstance(said, RunStarted):
            said = msgspec.structs.replace(said, pid=os.getpid(), host=HOST)
        line = encode(said)
        with self._run.events.open("ab") as log:
            log.write(line)
        self._state = fold([said], self._state)
        if isinstance(said, StepDone | AttackProgressed):
            self._beat()
            return
        self._write_status()
        stamp = time.strftime("%Y-%m-%d %H:%M:%S,000", time.localtime(said.time))
        with self._run.log.open("ab") as log:
            log.write(f"{stamp} INFO ".encode() + line[:400].rstrip() + b"\n")

    def _put(self, *places: str) -> None:
        for place in places:
            content = self._results.pop(place, None) if place in self._results else None
            if content is not None:
                path = self._run.path / place
                path.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(path, content)

    def _beat(self) -> None:
        if time.monotonic() - self._beaten >= BEAT:
            self._write_status()

    def _write_status(self) -> None:
        self._beaten = time.monotonic()
        status = self._status(self._state)
        write_atomically(self._run.status, status_file.encode(status))

    def _status(self, state: RunState) -> Status:
        """What follows for the status from the events so far."""
        last, validated, best = self._last, state.validations[-1] if state.validations else None, state.best
        under_way = state.attack
        words = [under_way.checkpoint, under_way.attack] if under_way else []
        if isinstance(under_way, AttackProgressed):
            words += [under_way.part, f"{under_way.done}/{under_way.total}"]
        cells = {name: {attack: cell.accuracy for attack, cell in row.items()} for name, row in state.table.items()}
        pace = last.seconds_per_step / self._speed
        return msgspec.structs.replace(
            last,
            run=self._run.id, phase=_ENDS.get(state.phase) or _PHASES.get(state.stage, "starting"), reason=state.reason,
            epoch=validated.epoch if validated else 0, epochs=state.training.epochs if state.training else 0,
            step=state.step, total_steps=state.total_steps, loss=state.steps[-1].loss if state.steps else None,
            images_per_second=state.steps[-1].images_per_second if state.steps else 0.0,
            seconds_per_step=pace if state.steps else 0.0,
            eta_seconds=(state.total_steps - state.step) * pace if state.steps else None,
            best_epoch=best.epoch if best else 0, validation=dict(validated.accuracy) if validated else {},
            results=cells, results_n=state.evaluation.n if cells and state.evaluation else 0,
            warnings=len(state.warnings), attack=" ".join(filter(None, words)), pid=os.getpid(), host=HOST,
            created=self._created, heartbeat=self._now(), events_bytes=self._run.events.stat().st_size,
        )  # fmt: skip


def _pauses(events: Iterable[Event]) -> list[float]:
    """Seconds between each event and the next, the long ones cut short."""
    return [min(LONGEST, max(0.0, after.time - before.time)) for before, after in pairwise(events)]
