"""engine.log -> short lines: events are told in words, other lines are shown as they are, made safe.

The engine cuts long lines of its log: such an event is looked up among those of the run, by its number.
"""

import re
from typing import Literal, NamedTuple

from crdnd_tui.core.narrate import Narrator
from crdnd_tui.core.run_reader import believed_events
from crdnd_tui.core.state import RunState
from crdnd_tui.core.text import display
from engine.spec.crashes import MODULES
from engine.spec.events import Event, Warned, decode

Weight = Literal["event", "plain", "warning", "error"]
KEEP = 400  # lines

_SEQ = re.compile(r'^\{"event":"[a-z_]+","v":\d+,"seq":(\d+),')
_LEFT = re.compile(r"  [\d:]+( [a-z]+( [\d:]+)?)? left$")  # no news in an old line; the newest stands above the panels
_HEAD = re.compile(r"^\d{4}-\d\d-\d\d (\d\d:\d\d:\d\d),\d{3} (DEBUG|INFO|WARNING|ERROR|CRITICAL) (.*)$")


class LogLine(NamedTuple):
    """One line, safe to show."""

    time: str  # empty where the log gives none
    words: str
    weight: Weight


def told(content: bytes, *, whole: bool, state: RunState) -> tuple[LogLine, ...]:
    """The last lines of a log; its first is dropped when the file begins before `content`."""
    lines = content.decode("utf-8", "replace").splitlines()
    narrator, shown, failed = Narrator(), list[LogLine](), False
    known = _by_number(state)
    for line in lines if whole else lines[1:]:
        if not line.strip() or line.startswith(MODULES):
            continue
        head = _HEAD.match(line)
        if head is None:
            failed = failed or line.startswith("Traceback")
            shown.append(LogLine("", display(line, 1000).rstrip(), "error" if failed else "plain"))
            continue
        failed = False
        time, level, words = head.groups()
        if not words.startswith('{"event"'):
            shown.append(_plain(time, level, words))
            continue
        for event in decode([words.encode("utf-8", "replace")]).events or _found(words, known):
            weight: Weight = "warning" if isinstance(event, Warned) else "event"
            told_now = narrator.lines(believed_events([event], state), state)
            shown += [LogLine(time, display(_LEFT.sub("", line), 1000), weight) for line in told_now]
    return tuple(shown[-KEEP:])


def _plain(time: str, level: str, words: str) -> LogLine:
    weight: Weight = "error" if level in ("ERROR", "CRITICAL") else "warning" if level == "WARNING" else "plain"
    return LogLine(time, display(words, 1000), weight)


def _by_number(state: RunState) -> dict[int, Event]:
    """The events of a run that may be too long for a line of the log."""
    cells = [cell for row in state.table.values() for cell in row.values()]
    known: list[Event] = [*state.epochs, *state.validations, *state.warnings, *cells]
    if state.training is not None:
        known.append(state.training)
    return {event.seq: event for event in known}


def _found(words: str, known: dict[int, Event]) -> list[Event]:
    number = _SEQ.match(words)
    event = known.get(int(number.group(1)[:18])) if number else None
    return [event] if event is not None else []
