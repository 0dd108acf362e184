"""Following a run until its engine leaves. The engine never needs us: our death does not reach it.

Ctrl-C once touches `stop`, twice kills. Whoever only watches just leaves.
"""

import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import FrameType

from crdnd_tui.core import engine_process
from crdnd_tui.core.run_reader import RunReader, believed_events
from crdnd_tui.core.state import RunState
from engine.spec.events import Event
from engine.spec.rundir import RUN_ID, RunDir

POLL_SECONDS = 0.1
LOCK_SECONDS = 1.0  # between looks at a lock that is not our child's

DONE, FAILED, USAGE, STOPPED, INTERRUPTED = 0, 1, 2, 3, 130


@dataclass(frozen=True)
class RunExit:
    """How it ended: the last state, and the exit code that says so."""

    state: RunState
    code: int
    killed: bool = False  # the engine died without a word


class RunView:
    """Is told what happened, and shows it; by itself it shows nothing."""

    def show(self, state: RunState, events: Sequence[Event]) -> None:
        """New events of the run, which `state` has in it already; none when time has passed."""

    def show_teacher(self, state: RunState, events: Sequence[Event]) -> None:
        """The same of the teacher's run, while it is worked on."""

    def say(self, words: str) -> None:
        """A word of the program itself."""

    def close(self) -> None:
        """Give the terminal back."""


class Attachment:
    """A viewer on a run. With `process` it is the run's owner: Ctrl-C stops the run, not just the view."""

    def __init__(
        self, run: RunDir, view: RunView, process: subprocess.Popen[bytes] | None = None, *, from_start: bool = True
    ) -> None:
        self._run, self._view, self._process = run, view, process
        self._reader = RunReader(run)
        if not from_start:
            self._reader.read()  # history is no news
        self._teacher: RunReader | None = None
        self._presses = 0
        self._handled = 0
        self._looked, self._locked = 0.0, True

    def follow(self) -> RunExit:
        """Until the engine has left, or the user has."""
        before = signal.signal(signal.SIGINT, self._pressed)
        try:
            return self._follow()
        finally:
            signal.signal(signal.SIGINT, before)
            self._view.close()

    def _pressed(self, _number: int, _frame: FrameType | None) -> None:
        self._presses += 1

    def _follow(self) -> RunExit:
        while True:
            living = self._living()  # asked before the last read, so that no last word is missed
            news = self._reader.read()
            self._view.show(self._reader.state, believed_events(news, self._reader.state))
            self._follow_teacher()
            if not living:
                return self._outcome()
            if self._presses > self._handled:
                self._handled += 1
                if self._process is None:
                    return RunExit(self._reader.state, INTERRUPTED)
                self._interrupt()
            if self._handled == 1 and not self._run.stop.exists():
                engine_process.ask_to_stop(self._run)  # an engine that was just starting cleared it away
            time.sleep(POLL_SECONDS)

    def _living(self) -> bool:
        if self._process is not None:
            return self._process.poll() is None
        if time.monotonic() - self._looked >= LOCK_SECONDS:
            self._looked, self._locked = time.monotonic(), engine_process.alive(self._run)
        return self._locked

    def _follow_teacher(self) -> None:
        state = self._reader.state
        if not RUN_ID.fullmatch(state.teacher_run):
            self._teacher = None
            return
        if self._teacher is None or state.teacher_run != self._teacher.run.id:
            self._teacher = RunReader(RunDir(self._run.path.parent / state.teacher_run))
            if state.teacher_waiting:
                self._teacher.read()
        news = self._teacher.read()
        self._view.show_teacher(self._teacher.state, believed_events(news, self._teacher.state))

    def _interrupt(self) -> None:
        if self._handled == 1:
            engine_process.ask_to_stop(self._run)
            self._view.say("Stopping after this step, then saving. Ctrl-C again kills.")
        else:
            self._view.say("Killing the engine.")
            if not engine_process.kill(self._run, patience=0.0) and self._process is not None:
                self._process.kill()
            engine_process.kill_teacher(self._run, self._reader.state)

    def _outcome(self) -> RunExit:
        state = self._reader.state
        spoken = {"finished": DONE, "stopped": STOPPED, "failed": FAILED}.get(state.phase)
        if self._process is None:
            return RunExit(state, FAILED if spoken is None else spoken, killed=spoken is None)
        code = engine_process.ended(self._run, self._process)
        killed = code not in (DONE, FAILED, USAGE, STOPPED)
        if self._presses and (code == STOPPED or killed):
            return RunExit(state, INTERRUPTED, killed=killed)
        return RunExit(state, FAILED if killed else code, killed=killed)
