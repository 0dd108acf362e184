"""How an engine is asked to stop: signals and the stop file. A handler sets a flag and does nothing else."""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from engine.spec.process import BLOCKED_SIGNALS, STOP_SIGNALS

POLL_SECONDS = 0.25  # between looks at the stop file
PARENT_SECONDS = 0.2  # between looks whether the parent lives


class Stopped(BaseException):
    """The user, or the scheduler, asked the engine to stop."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Interrupt:
    """Whether somebody wants the engine to stop, and why."""

    def __init__(self, stop_file: Path | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.stop_file = stop_file
        self._clock = clock
        self._looked = -POLL_SECONDS
        self._reason = ""

    def listen(self) -> None:
        """Take over the stop signals, also those that were blocked when this process was started."""
        for number in STOP_SIGNALS:
            signal.signal(number, self._handle)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a closed terminal means nothing to an engine
        signal.pthread_sigmask(signal.SIG_UNBLOCK, BLOCKED_SIGNALS)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self._reason = self._reason or signal.Signals(number).name

    @property
    def reason(self) -> str:
        """Empty while nobody asked."""
        if not self._reason and self._clock() - self._looked >= POLL_SECONDS:
            self._looked = self._clock()
            if self.stop_file is not None and self.stop_file.exists():
                self._reason = "stop file"
        return self._reason

    def pause(self) -> None:
        if self.reason:
            raise Stopped(self.reason)


def become_rank() -> None:
    """Ignore stop signals but SIGTERM, and die with the parent.

    The process that started torchrun takes stop requests, and touches the stop file; torchrun itself sends SIGTERM to
    all ranks when one has died, which ends a rank at once.
    """
    for number in BLOCKED_SIGNALS:
        signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.SIG_IGN)
    die_with_parent()


def die_with_parent() -> None:
    """Die when the parent dies: nobody would end this process, or say that it ended."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="parent", daemon=True).start()
