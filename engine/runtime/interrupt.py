"""How an engine is asked to stop: signals and the stop file. A handler sets a flag and does nothing else."""

import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from engine.spec.process import BLOCKED_SIGNALS, STOP_SIGNALS

POLL_SECONDS = 0.25  # between looks at the stop file
_early: list[str] = []  # signals that came before anybody could act on them


def listen_early() -> None:
    """Note signals from now on; the first Interrupt that listens acts on them.

    Whoever started this process may have held them back until now.
    """
    for number in STOP_SIGNALS:
        signal.signal(number, _note)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a closed terminal means nothing to an engine
    signal.pthread_sigmask(signal.SIG_UNBLOCK, BLOCKED_SIGNALS)


def _note(number: int, _frame: FrameType | None) -> None:
    _early.append(signal.Signals(number).name)


class Stopped(BaseException):
    """The user, or the scheduler, asked the engine to stop."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Interrupt:
    """Whether somebody wants the engine to stop, and why."""

    def __init__(self, stop_file: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stop_file = stop_file
        self._clock = clock
        self._looked = -POLL_SECONDS
        self._reason = ""

    def listen(self) -> None:
        """Take over the signals, and those that came early. A closed terminal (SIGHUP) means nothing to an engine."""
        for number in STOP_SIGNALS:
            signal.signal(number, self._handle)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self._reason = self._reason or next(iter(_early), "")

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self._reason = self._reason or signal.Signals(number).name

    @property
    def reason(self) -> str:
        """Empty while nobody asked."""
        if not self._reason and self._clock() - self._looked >= POLL_SECONDS:
            self._looked = self._clock()
            if self._stop_file.exists():
                self._reason = "stop file"
        return self._reason

    def pause(self) -> None:
        """Raise Stopped if somebody asked."""
        if self.reason:
            raise Stopped(self.reason)
