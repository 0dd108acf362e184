"""Recorded runs brought to any moment of their life: at work (its lock is held), stalled, killed, failed."""

import contextlib
import fcntl
import json
import platform
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from crdnd_tui.tui.screens.live.panels import Panels
from crdnd_tui.tui.widgets.chart import Chart
from crdnd_tui.tui.widgets.status_line import StatusLine
from tests.tui.pilot import NOW, drive, recorded

Event = dict[str, Any]
CRDND, TEACHER, RSLAD, NATURAL = "crdnd-small_cnn-s0", "pgd_at", "rslad-small_cnn-s0", "natural"


def one(folder: Path, name: str = CRDND) -> Path:
    """A copy of one recorded run, in `folder`."""
    recorded(folder, name)
    return next(path for path in folder.iterdir() if name in path.name)


def events(run: Path) -> list[Event]:
    return [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]


def write_events(run: Path, kept: list[Event]) -> None:
    (run / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in kept))


def cut(run: Path, after: Callable[[Event], bool], *, age: float = 1.0, phase: str = "training") -> Path:
    """As it was after the first event for which `after` holds, which is `age` seconds ago now."""
    told = events(run)
    last = next(place for place, event in enumerate(told) if after(event))
    shift = NOW - age - told[last]["time"]
    kept = [event | {"time": event["time"] + shift} for event in told[: last + 1]]
    write_events(run, kept)
    write_log(run, kept)
    steps = [event for event in kept if event["event"] == "step_done"]
    status = json.loads((run / "status.json").read_text())
    status |= {
        "phase": phase,
        "heartbeat": NOW - age,
        "step": steps[-1]["step"] if steps else 0,
        "results": {},
        "host": platform.node(),
    }
    (run / "status.json").write_text(json.dumps(status))
    shutil.rmtree(run / "evaluation", ignore_errors=True)
    return run


def write_log(run: Path, told: list[Event]) -> None:
    """As the engine writes it: no steps, and no line longer than 400 characters of event."""
    lines = []
    for event in told:
        if event["event"] not in ("step_done", "attack_progressed"):
            clock = datetime.fromtimestamp(event["time"], UTC).strftime("%Y-%m-%d %H:%M:%S,000")
            lines.append(f"{clock} INFO {json.dumps(event, separators=(',', ':'))[:400]}\n")
    (run / "engine.log").write_text("".join(lines))


FAST = {
    "teacher": "bfloat16", "inner": "bfloat16", "outer": "float32", "folded": "on", "paired": "on", "table": "lazy",
    "graphs": "off",
}  # fmt: skip
SHARES = {"data": 0.004, "teacher": 0.27, "inner": 0.54, "outer": 0.186}


def timed(run: Path, switches: dict[str, Any] = FAST, shares: dict[str, Any] = SHARES) -> Path:
    """As a newer engine tells it: what is switched on, and where the time goes."""
    more = {"training_started": {"switches": switches}, "step_done": {"shares": shares}}
    write_events(run, [event | more.get(event["event"], {}) for event in events(run)])
    return run


def step(number: int) -> Callable[[Event], bool]:
    return lambda event: event["event"] == "step_done" and event["step"] == number


def part(name: str) -> Callable[[Event], bool]:
    return lambda event: event["event"] == "attack_progressed" and event["part"] == name


@contextlib.contextmanager
def held(run: Path) -> Iterator[None]:
    """The lock of a living engine. Its number is this process, which nobody would kill."""
    with (run / "engine.lock").open("w") as lock:
        lock.write('{"pid": 1}')
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def fail(run: Path, message: str, hint: str = "") -> Path:
    """Its engine said that it cannot go on, after what it has said so far."""
    told = events(run)
    error = {"event": "run_failed", "v": 1, "seq": told[-1]["seq"] + 1, "time": told[-1]["time"] + 1}
    write_events(run, [*told, error | {"kind": "NotFinite", "message": message, "hint": hint}])
    status = json.loads((run / "status.json").read_text())
    (run / "status.json").write_text(json.dumps(status | {"phase": "failed", "reason": message}))
    with (run / "engine.log").open("a") as log:
        log.write("Traceback (most recent call last):\n")
        log.write('  File "engine/train/loop.py", line 88, in _step\n    raise NotFinite(step)\n')
        log.write(f"engine.errors.NotFinite: {message}\n")
    return run


def look(run, story, **flags):
    return drive(story, run.parent, run=flags.pop("run", run.name), **flags)


async def until(pilot, holds, patience=10.0):
    """A thread reads, and how long that takes is the machine's affair."""
    end = time.monotonic() + patience
    while not holds() and time.monotonic() < end:
        await pilot.pause(0.02)
    assert holds()


def places(app):
    return set(app.screen.query_one(Panels).places)


def offered(app):
    """The actions in the footer."""
    return {found.binding.action for found in app.screen.active_bindings.values() if found.binding.show}


def standing(app):
    return app.screen.query_one(StatusLine).render().plain


def words_of(app, name):
    widget = app.screen.query_one(f"#{name}")
    return "\n".join(widget.render_line(y).text.rstrip() for y in range(widget.size.height))


def legend(app, name):
    return str(app.screen.query_one(f"#{name}", Chart).border_subtitle)


def said(app):
    return [note.message for note in app._notifications]
