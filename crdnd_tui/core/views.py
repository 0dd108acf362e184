"""Three ways to show a run that is followed: a live picture, plain lines, or its events as JSON lines."""

import json
import sys
import time
from collections.abc import Sequence
from typing import Protocol

import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from crdnd_tui.core import live
from crdnd_tui.core.narrate import Narrator
from crdnd_tui.core.state import RunState
from crdnd_tui.core.text import display, encodes_unicode, plain
from engine.spec.events import Event

FRAME_SECONDS = 0.25


class View(Protocol):
    """Is told what happened, and draws it."""

    def show(self, state: RunState, events: Sequence[Event], *, living: bool) -> None:
        """New events of the run, which `state` has in it already; none when time has passed."""

    def show_teacher(self, state: RunState, events: Sequence[Event]) -> None:
        """The same of the teacher's run, while it is worked on."""

    def say(self, words: str) -> None:
        """A word of the program itself."""

    def close(self) -> None:
        """Give the terminal back."""


class LiveView:
    """A picture on the terminal, redrawn four times a second; it leaves nothing behind."""

    def __init__(self, console: Console, title: str, keys: str) -> None:
        self._console, self._title, self._keys = console, display(title), keys
        self._ascii = not encodes_unicode(console.encoding)
        self._live = Live(console=console, auto_refresh=False, transient=True, vertical_overflow="crop")
        self._live.start()
        self._drawn = 0.0
        self._said = ""
        self._state, self._living = RunState(), True
        self._teacher: RunState | None = None

    def show(self, state: RunState, events: Sequence[Event], *, living: bool) -> None:
        self._state, self._living = state, living
        if not state.teacher_run:
            self._teacher = None
        if time.monotonic() - self._drawn >= FRAME_SECONDS:
            self._draw()

    def show_teacher(self, state: RunState, events: Sequence[Event]) -> None:
        self._teacher = state

    def say(self, words: str) -> None:
        self._said = words
        self._draw()

    def close(self) -> None:
        self._live.stop()

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        width, height = self._console.size
        room, now = height - 3, time.time()
        if self._teacher is not None:
            title = f"the teacher comes first; then {self._title}"
            lines = live.frame(self._teacher, title, width, room, ascii_only=self._ascii, now=now)
        else:
            lines = live.frame(
                self._state, self._title, width, room, ascii_only=self._ascii, living=self._living, now=now
            )
        words = self._said or self._keys
        footer = Text(words if not self._ascii else plain(words), "yellow" if self._said else "dim")
        footer.truncate(width)
        self._live.update(Group(*lines, Text(), footer), refresh=True)


class PlainView:
    """One line for each thing worth telling."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._ascii = not encodes_unicode(console.encoding)
        self._narrator, self._teacher = Narrator(), Narrator(prefix="teacher: ")
        self._flaws: list[str] = []

    def show(self, state: RunState, events: Sequence[Event], *, living: bool) -> None:
        for line in self._narrator.lines(events, state):
            self.say(line)
        if state.flaws != self._flaws:
            self._flaws = state.flaws
            self.say(f"warning: events.jsonl: {', '.join(self._flaws)}")

    def show_teacher(self, state: RunState, events: Sequence[Event]) -> None:
        for line in self._teacher.lines(events, state):
            self.say(line)

    def say(self, words: str) -> None:
        shown = plain(display(words)) if self._ascii else display(words)
        self._console.print(Text(shown), soft_wrap=True)

    def close(self) -> None:
        self._console.file.flush()


class JsonView:
    """The run's own events on stdout, one JSON object per line, in ASCII; words of the program go to stderr."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def show(self, state: RunState, events: Sequence[Event], *, living: bool) -> None:
        for event in events:
            line = json.dumps(msgspec.to_builtins(event), allow_nan=False)
            sys.stdout.write(line.replace("\x7f", "\\u007f") + "\n")
        if events:
            sys.stdout.flush()

    def show_teacher(self, state: RunState, events: Sequence[Event]) -> None:
        """A teacher's run has events of its own; whoever wants them watches that run."""

    def say(self, words: str) -> None:
        self._console.print(Text(display(words)), soft_wrap=True)

    def close(self) -> None:
        sys.stdout.flush()
