"""Driving the list of runs: recorded runs, one that lives, and what the table says."""

import fcntl
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.spec import status as spec_status
from engine.spec.rundir import RunDir
from engine.spec.status import Status
from tests.tui.pilot import NOW, drive, settle

CRDND, RSLAD = "20261122-215714-crdnd-small_cnn-s0-ea68", "20261122-215930-rslad-small_cnn-s0-6622"


@contextmanager
def living(runs: Path, name: str = "20261122-230000-crdnd-small_cnn-s3-0001", **facts) -> Iterator[RunDir]:
    """A run whose engine is this process."""
    run = RunDir(runs / name)
    run.path.mkdir(parents=True)
    run.config.write_text("")
    status = {
        "phase": "training", "method": "crdnd", "student": "small_cnn", "teacher": "SmallResNet-8x16", "data": "digits",
        "seed": 3, "epsilon": "40/255", "name": "quickstart", "epoch": 12, "epochs": 40, "eta_seconds": 4092.0,
        "images_per_second": 951.0, "host": platform.node(), "created": NOW - 600, "heartbeat": NOW - 1,
    }  # fmt: skip
    run.status.write_bytes(spec_status.encode(Status(run=run.id, **status | facts)))
    with run.lock.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield run


def shown(app) -> list[str]:
    return list(app.screen.table._keys)


def text(app) -> str:
    width = app.screen.table.size.width
    lines = (app.screen.table.render_line(y).text for y in range(app.screen.table.size.height))
    return "\n".join(line[:width].rstrip() for line in lines)


def caption(app) -> str:
    return str(app.screen.table.border_subtitle)


async def ready(app, pilot, key: str = "") -> None:
    """The list is whole, and the preview of the run under the cursor is read."""
    screen = app.get_screen_stack("runs")[0]
    if key:
        screen.table.go(key)
    for _ in range(100):
        await settle(pilot)
        seen = screen._glance
        if seen is not None and seen.whole and screen._previewed is not None and seen.run.id == screen._previewed.id:
            return
        await pilot.pause(0.03)


def play(runs: Path, *keys: str, then=lambda app: None, **flags):
    async def story(app, pilot):
        await ready(app, pilot)
        for key in keys:
            await pilot.press(key)
            await settle(pilot)
        return then(app)

    return drive(story, runs, **flags)
