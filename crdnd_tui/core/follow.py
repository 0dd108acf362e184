"""events.jsonl -> events, as they are written. A half-written last line waits for its end.

A resumed engine cuts the log back to its checkpoint: the follower notices, starts again, and says `reset`.
"""

import os
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from crdnd_tui.core.text import display
from engine.spec.events import MAX_LINE, Event, decode
from engine.spec.files import open_regular

CHUNK = 8 << 20  # bytes of one read, so that a huge log cannot fill the memory at once
_ANCHOR = 96  # bytes before our place that must not change


class Batch(NamedTuple):
    """What one read found."""

    events: list[Event]
    reset: bool  # the log was cut or replaced: forget what you know, these events start from the beginning
    unknown: int
    damaged: int
    more: bool  # the log holds more already


class Follower:
    """Reads what is new in a growing event log. One instance may outlive many reads, engines and resumes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._forget()

    def _forget(self) -> None:
        self._offset = 0  # of the first byte that no line was made of yet
        self._inode = 0
        self._anchor = b""
        self._skipping = False  # inside a line that is too long to be an event

    def read(self) -> Batch:
        """Events since the last read. Nothing in the file can raise; strings in the events are safe to show."""
        descriptor = open_regular(self._path)
        if descriptor is None:
            return Batch([], False, 0, 0, False)
        try:
            reset = self._was_cut(descriptor)
            if reset:
                self._forget()
            self._inode = os.fstat(descriptor).st_ino
            chunk = os.pread(descriptor, CHUNK, self._offset)
        except OSError:
            return Batch([], False, 0, 0, False)
        finally:
            os.close(descriptor)
        events, unknown, damaged = self._take(chunk)
        return Batch(events, reset, unknown, damaged, more=len(chunk) == CHUNK)

    def _was_cut(self, descriptor: int) -> bool:
        if not self._offset:
            return False
        facts = os.fstat(descriptor)
        if facts.st_ino != self._inode or facts.st_size < self._offset:
            return True
        return os.pread(descriptor, len(self._anchor), self._offset - len(self._anchor)) != self._anchor

    def _take(self, chunk: bytes) -> tuple[list[Event], int, int]:
        """Complete lines become events; the rest stays in the file for the next read."""
        complete, newline, rest = chunk.rpartition(b"\n")
        taken = complete + newline
        lost = 0
        if len(rest) > MAX_LINE:  # no event is so long: pass over it without keeping it
            taken, lost = chunk, int(not (self._skipping and not newline))
        lines = (complete if newline else b"").split(b"\n") if taken else []
        if self._skipping and newline:
            lines = lines[1:]
        self._skipping = len(rest) > MAX_LINE or (self._skipping and not newline)
        self._offset += len(taken)
        self._anchor = (self._anchor + taken)[-_ANCHOR:]
        decoded = decode(map(_shown, lines))
        return decoded.events, decoded.unknown, decoded.damaged + lost


def _shown(line: bytes) -> bytes:
    """The line with its strings made safe to show; a line of plain ASCII without escapes already is."""
    if line.isascii() and b"\\" not in line and b"\x7f" not in line:
        return line
    if len(line) > MAX_LINE:
        return line
    try:
        return msgspec.json.encode(safe(msgspec.json.decode(line)))
    except (ValueError, RecursionError):
        return line  # damaged: it will be counted


def safe(value: Any) -> Any:  # noqa: ANN401  any JSON
    """The same with all its words safe to show."""
    match value:
        case str():
            return display(value)
        case list():
            return [safe(item) for item in value]
        case dict():
            return {display(key): safe(item) for key, item in value.items()}
        case _:
            return value
