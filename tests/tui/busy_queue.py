"""A queue in the middle of its work, without a process: this one holds the lock of the run at work."""

import fcntl
import inspect
import json
import os
import platform
import shutil
import time
from pathlib import Path

import msgspec
import pytest

from crdnd_tui.queue import devices, worker
from crdnd_tui.queue.tickets import Queue
from crdnd_tui.tui.app import LabApp
from engine.spec import status as spec_status
from engine.spec import toml  # noqa: F401  imported here, for jaxtyping's import hook fails now and then in a thread
from engine.spec.rundir import RunDir
from tests.tui.pilot import NOW, recorded, settle

PAST = ("crdnd-small_cnn-s0", "rslad-small_cnn-s0", "rslad-small_cnn-s1", "rslad-small_cnn-s2", "natural", "pgd_at")
ATWORK, FIRST, SECOND, THIRD = (f"20261124-1200{k}0-waits-{k}" for k in range(4))


@pytest.fixture(name="still", autouse=True)
def still_machine(monkeypatch: pytest.MonkeyPatch):
    """A machine without GPUs, a worker that is there and starts nothing, clocks in UTC."""
    monkeypatch.setattr(devices, "default_device", lambda: "cpu")
    monkeypatch.setattr(worker, "alive", lambda runs: True)
    monkeypatch.setattr(LabApp, "DEFAULT_MODE", "queue")  # other screens have tests of their own
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def past(runs: Path, word: str) -> RunDir:
    return RunDir(next(path for path in runs.iterdir() if word in path.name))


def another(runs: Path, like: str, name: str, seed: int) -> RunDir:
    """A run that was made and not started."""
    old, run = past(runs, like), RunDir(runs / name)
    run.path.mkdir()
    old_seed = int(old.id.split("-s")[-1].split("-")[0])
    run.config.write_text(old.config.read_text().replace(f"\nseed = {old_seed}\n", f"\nseed = {seed}\n", 1))
    shutil.copy(old.machine, run.machine)
    return run


def at_work(run: RunDir, like: RunDir, **more) -> int:
    """As if an engine was there: this process holds its lock."""
    status = spec_status.decode(like.status.read_bytes())
    more["host"] = platform.node()
    changes = {"run": run.id, "phase": "training", "epoch": 11, "step": 200, "heartbeat": NOW - 1, "created": NOW - 60,
               "seed": 3, "results": {}} | more  # fmt: skip
    run.status.write_bytes(spec_status.encode(msgspec.structs.replace(status, **changes)))
    lock = os.open(run.lock, os.O_CREAT | os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.write(lock, json.dumps({"pid": 1}).encode())
    return lock


@pytest.fixture(name="busy")
def busy_queue(tmp_path: Path):
    """One run at work, three that wait, of which one is held, and three that ended."""
    runs = recorded(tmp_path / "runs", *PAST)
    queue = Queue(runs)
    lock = at_work(another(runs, "rslad-small_cnn-s0", ATWORK, 3), past(runs, "rslad-small_cnn-s0"))
    another(runs, "rslad-small_cnn-s0", FIRST, 4)
    another(runs, "crdnd-small_cnn-s0", SECOND, 5)
    another(runs, "natural", THIRD, 6)
    for k, name in enumerate((ATWORK, FIRST, SECOND, THIRD)):
        queue.add(name, "cpu", NOW - 900 + k)
    queue.hold(SECOND)
    put(queue, ATWORK, state="running", started=NOW - 60, pid=0)
    ended = (("crdnd", "done", ""), ("natural", "failed", "DivergedError: the loss `robust` is not finite at step 81"),
             ("rslad-small_cnn-s1", "stopped", "stop file"))  # fmt: skip
    for k, (word, state, note) in enumerate(ended):
        run = past(runs, word)
        queue.add(run.id, "cpu", NOW - 2000)
        put(queue, run.id, state=state, started=NOW - 1000 + 200 * k, ended=NOW - 900 + 230 * k, note=note)
    yield runs
    os.close(lock)


def put(queue: Queue, run: str, **changes) -> None:
    queue.change(run, ("waiting", "held", "running"), lambda t: msgspec.structs.replace(t, **changes))


def keys(*pressed: str, on: str = "", each=None, then=None):
    """A story: the Queue screen, the cursor on a run, these keys; `each` looks after each key, `then` at the end."""

    async def story(app, pilot):
        await pilot.press("6")
        await settle(pilot)
        if on:
            app.screen._go_to(on)
            await pilot.pause()
        for key in pressed:
            await pilot.press(key)
            await settle(pilot)
            if each:
                each(app)
        said = then(app) if then else None
        return await said if inspect.isawaitable(said) else said

    return story


def order(runs: Path) -> list[str]:
    return [ticket.run for ticket in Queue(runs).tickets() if ticket.place]


def cursor(app) -> str:
    return app.screen._run


def state(runs: Path, run: str) -> str:
    found = Queue(runs).ticket(run)
    return found.state if found else "gone"


def told(app) -> str:
    """What the screen notified."""
    return "\n".join(notification.message for notification in app._notifications)


def text(app) -> str:
    return "\n".join("".join(s.text for s in strip) for strip in app.screen._compositor.render_strips())
