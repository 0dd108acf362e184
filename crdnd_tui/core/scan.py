"""The runs folder, looked at again and again: only what has changed is read anew.

A run that ended is known by the times of its folder and its status; one that lives is asked every time.
"""

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from crdnd_tui.core import notes, result_files, run_status
from crdnd_tui.core.notes import RunNotes
from crdnd_tui.core.run_status import State, Summary
from engine.spec.rundir import RunDir

FIRST = 200  # rows that are shown before the rest is read
_ENDED: frozenset[State] = frozenset({"done", "stopped", "failed", "preempted"})
_SETTLED = 5.0  # seconds after which an ended run's folder is believed to stay as it is

_Stamp = tuple[int, ...]  # changes with every file that is made or replaced in a folder


@dataclass(frozen=True, slots=True)
class ListedRun:
    """A run and what a person said of it."""

    summary: Summary
    notes: RunNotes

    @property
    def id(self) -> str:
        return self.summary.id


@dataclass(frozen=True, slots=True)
class Scan:
    """What a look at the folder found, newest first; `problem` when it could not be listed."""

    rows: tuple[ListedRun, ...]
    problem: str = ""
    whole: bool = True  # all runs, not just the first


class Scanner:
    """Remembers what it saw. One look at a time, others wait; so none may be asked for on the event loop."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: dict[str, tuple[_Stamp, ListedRun]] = {}
        self._digests: dict[str, tuple[_Stamp, str]] = {}
        self._looking = threading.RLock()
        self._last: tuple[float, Scan] | None = None  # by the monotonic clock

    def look(self, now: float) -> Iterator[Scan]:
        """The newest rows at once when nothing is known yet; then all."""
        with self._looking:
            for scan in self._look(now):
                if scan.whole:
                    self._last = time.monotonic(), scan
                yield scan

    def recent(self, now: float, seconds: float) -> Scan:
        """All rows as somebody saw them so many seconds ago or later; else as they are."""
        with self._looking:
            if self._last is not None and time.monotonic() - self._last[0] <= seconds:
                return self._last[1]
            *_, scan = self.look(now)
            return scan

    def _look(self, now: float) -> Iterator[Scan]:
        before, self._seen = self._seen, {}
        try:
            names = run_status.names(self._folder)
        except FileNotFoundError:
            names = []
        except OSError as error:
            yield Scan((), error.strerror or "it cannot be read")
            return
        rows: list[ListedRun] = []
        for name in names:
            row = self._row(name, now, before.get(name))
            if row is not None:
                rows.append(row)
                if not before and len(rows) == FIRST:
                    yield Scan(tuple(rows), whole=False)
        rows.sort(key=lambda row: run_status.by_age(row.summary), reverse=True)
        copies = self._copies(rows)
        yield Scan(tuple(
            replace(row, summary=replace(row.summary, same_weights_as=copies[row.id])) if row.id in copies else row
            for row in rows
        ))  # fmt: skip

    def _copies(self, rows: list[ListedRun]) -> dict[str, str]:
        """Each run of a group that is one network with an earlier one -> that one; looked at where results agree."""
        alike: dict[tuple[str, str], list[ListedRun]] = {}
        for row in reversed(rows):
            status = row.summary.status
            if status is not None and status.group_hash and status.results:
                alike.setdefault((status.group_hash, repr(status.results)), []).append(row)
        copies: dict[str, str] = {}
        for group in (found for found in alike.values() if len(found) > 1):
            first: dict[str, str] = {}
            for row in group:
                digest = self._weights(row)
                if digest and first.setdefault(digest, row.id) != row.id:
                    copies[row.id] = first[digest]
        return copies

    def _weights(self, row: ListedRun) -> str:
        """Hash of the weights that were judged; read once for each state of the run's folder."""
        stamp = self._stamp(row.id)
        if row.id not in self._digests or self._digests[row.id][0] != stamp:
            place = row.summary.checkpoint, "clean"
            record = result_files.read(RunDir(row.summary.path), place, result_files.decode_list_record)
            self._digests[row.id] = stamp, record.weights_sha256 if isinstance(record, result_files.ListRecord) else ""
        return self._digests[row.id][1]

    def _row(self, name: str, now: float, known: tuple[_Stamp, ListedRun] | None) -> ListedRun | None:
        stamp, path = self._stamp(name), self._folder / name
        same = known[1] if known is not None and stamp == known[0] else None
        if same is not None and stamp and same.summary.state in _ENDED and same.summary.age > _SETTLED:
            self._seen[name] = stamp, same
            return same
        summary = run_status.summary(RunDir(path), now=now)
        if summary is None:
            return None
        row = ListedRun(run_status.check_records(summary), same.notes if same is not None else notes.read(path))
        self._seen[name] = stamp, row
        return row

    def _stamp(self, name: str) -> _Stamp:
        base = f"{self._folder}/{name}"
        try:
            folder, status = os.lstat(base).st_mtime_ns, os.lstat(f"{base}/status.json")
        except OSError:
            return ()
        return folder, status.st_mtime_ns, status.st_size  # a status may be written in place


_shared: dict[Path, Scanner] = {}  # of the folder that was asked for last
_choosing = threading.Lock()


def shared(folder: Path) -> Scanner:
    """One for all who look at this folder: 10,000 ended runs are read once."""
    with _choosing:
        if folder not in _shared:
            _shared.clear()
            _shared[folder] = Scanner(folder)
        return _shared[folder]
