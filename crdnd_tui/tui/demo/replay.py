"""A recorded run, played again as if an engine were at work, so that all screens can be tried without a GPU.

It plays in a runs folder of its own, which is removed at the end. Nothing is computed.
"""

import atexit
import contextlib
import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec

from crdnd_tui.core import engine_process
from crdnd_tui.core.session import Session
from crdnd_tui.tui.demo.playing import Playing
from crdnd_tui.tui.demo.recording import Recording
from engine.spec import status as status_file
from engine.spec.events import encode
from engine.spec.rundir import RunDir

PLAYED, FINISHED = "crdnd", ("rslad",)
EARLIER = 900.0  # seconds between the end of the finished run and now
SPEED = 1.0  # at which the demo takes about 75 s


_open: list["Replay"] = []


class Replay:
    """A folder with finished runs and one that is being played. `close` ends it and removes what it made."""

    def __init__(self, session: Session, speed: float = SPEED) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="crdnd-demo-"))
        self.session = replace(session, runs=self.folder)
        self._ours = [_finished(self.folder, Recording(name), session.now() - EARLIER) for name in FINISHED]
        self.run = _new(self.folder, Recording(PLAYED), session.now())
        self._ours.append(self.run)
        self._playing = Playing(self.run, Recording(PLAYED), session.now, speed)
        self._playing.start()
        _open.append(self)

    @property
    def id(self) -> str:
        """Of the run that is being played."""
        return self.run.id

    def close(self) -> Path | None:
        """Stop playing and remove the folder; where it lies when an engine was started in it, which is then kept."""
        if self in _open:
            _open.remove(self)
        self._playing.close()
        for run in self._ours:
            if not engine_process.alive(run):
                shutil.rmtree(run.path, ignore_errors=True)
        kept = any(self.folder.glob("[a-z0-9]*/config.toml"))
        if not kept:
            shutil.rmtree(self.folder, ignore_errors=True)
        return self.folder if kept else None


def start_replay(session: Session, speed: float = SPEED) -> Replay:
    """Begin to play; the screens are shown `replay.session`."""
    return Replay(session, speed)


@atexit.register
def close_all() -> None:
    """Put away all that is being played."""
    for replay in list(_open):
        replay.close()


@contextlib.contextmanager
def demonstration(session: Session, speed: float = SPEED) -> Iterator[tuple[Session, str]]:
    """The session with the demo's runs folder, and the id of the run that is being played in it."""
    replay = start_replay(session, speed)
    try:
        yield replay.session, replay.id
    finally:
        replay.close()


def _new(folder: Path, recording: Recording, now: float) -> RunDir:
    """A run folder as it is before its engine starts."""
    run = RunDir(folder / f"{time.strftime('%Y%m%d-%H%M%S', time.localtime(now))}-demo-{recording.id}")
    run.path.mkdir()
    for name, content in recording.before():
        (run.path / name).write_bytes(content)
    return run


def _finished(folder: Path, recording: Recording, end: float) -> RunDir:
    """A run that ended at this time, all files at their places."""
    last = recording.status
    shift = end - last.heartbeat
    run = _new(folder, recording, last.created + shift)
    events = [msgspec.structs.replace(event, time=event.time + shift) for event in recording.events(run.id, last.name)]
    run.events.write_bytes(b"".join(map(encode, events)))
    for place, content in recording.results().items():
        (run.path / place).parent.mkdir(parents=True, exist_ok=True)
        (run.path / place).write_bytes(content)
    run.lock.write_text(json.dumps({"pid": 0}) + "\n", encoding="ascii")
    status = msgspec.structs.replace(
        last, run=run.id, created=last.created + shift, heartbeat=end, events_bytes=run.events.stat().st_size
    )
    run.status.write_bytes(status_file.encode(status))
    return run
