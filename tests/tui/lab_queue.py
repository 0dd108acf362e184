"""Runs that wait, and a worker process whose engines are fake and whose clock ticks fast."""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from crdnd_tui.queue import devices, worker
from crdnd_tui.queue.tickets import Queue, Ticket
from engine.spec.rundir import RunDir

ROOT = Path(__file__).parent.parent.parent
ENGINE = ROOT / "tests" / "cli" / "fake_engine.py"
CONFIG = """
seed = {seed}
[data]
name = "digits"
[student]
name = "small_cnn"
[method]
name = "natural"
"""
DRIVER = f"""
import sys, json, os
from pathlib import Path
from crdnd_tui.core import engine_process
from crdnd_tui.queue import worker
def engine(run):
    plan = run.path / "fake.json"
    os.environ["FAKE_ENGINE"] = plan.read_text() if plan.exists() else "{{}}"
    return [sys.executable, {str(ENGINE)!r}, str(run.path)]
engine_process.engine_command = engine
worker.work(Path(sys.argv[1]), lambda words: print(words, flush=True), poll=0.05, idle=float(sys.argv[2]))
"""


def driver(runs: Path, idle: float = 0.5) -> list[str]:
    """A worker for tests."""
    return [sys.executable, "-c", DRIVER, str(runs), str(idle)]


def waiting_run(runs: Path, name: str, device: str = "cpu", **plan) -> RunDir:
    """A run folder that was made and not started; `plan` is what its fake engine will do."""
    run = RunDir(runs / name)
    run.path.mkdir(parents=True)
    run.config.write_text(CONFIG.format(seed=int(name[-1]) if name[-1].isdigit() else 0))
    run.preset.write_text("")
    run.machine.write_text(json.dumps({"device": device}))
    (run.path / "fake.json").write_text(json.dumps({"epochs": 1, "seconds": 0.0} | plan))
    return run


def until(what: Callable[[], object], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it never came to pass"
        time.sleep(0.02)


def states(runs: Path) -> dict[str, str]:
    return {ticket.run: ticket.state for ticket in Queue(runs).tickets()}


def ticket(runs: Path, name: str) -> Ticket:
    found = Queue(runs).ticket(name)
    assert found is not None
    return found


@pytest.fixture(name="runs")
def runs_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An empty folder of runs; whatever engine or worker is left at the end is killed by its lock's process id."""
    monkeypatch.setattr(worker, "worker_command", driver)
    monkeypatch.setattr(devices, "default_device", lambda: "cpu")
    folder = tmp_path / "runs"
    folder.mkdir()
    yield folder
    from crdnd_tui.core import engine_process

    for process, _ in worker._workers.values():
        process.kill()
        process.wait(10)
    worker._workers.clear()
    for path in folder.iterdir():
        engine_process.kill(RunDir(path), patience=0.0)
    os.environ.pop("FAKE_ENGINE", None)
