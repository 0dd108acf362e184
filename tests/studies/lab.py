"""A folder of runs for studies: run folders in any state, without an engine; or with fake ones."""

import json
import os
import time
from pathlib import Path

from crdnd_tui.queue.tickets import Queue, Ticket
from crdnd_tui.study.study import Study, StudyCell
from engine.spec import folders
from engine.spec import status as spec_status
from engine.spec.config import RunConfig
from engine.spec.machine import Machine
from engine.spec.rundir import RunDir
from engine.spec.status import Status
from tests.studies.study_files import study

HOST = os.uname().nodename


def machine(runs: Path) -> Machine:
    return Machine(device="cpu", data=str(runs.parent / "data"), runs=str(runs))


def small(folder: Path, *, seeds: int = 2) -> Study:
    text = 'name = "small"\ntitle = "A small study"\npreset = "{method}.toml"\n[grid]\nmethod = ["natural", "rslad"]\n'
    return study(folder, text + f"seed = {list(range(seeds))}\n")


def cell(of: Study, method: str, seed: int) -> StudyCell:
    return next(c for c in of.cells if c.place == {"method": method, "seed": str(seed)})


def made(runs: Path, config: RunConfig) -> RunDir:
    """Never started."""
    return folders.create(config, "", machine(runs))


def spoke(runs: Path, config: RunConfig, phase: str, *, hint: bool = True, **more) -> RunDir:
    """A run whose engine said this and is gone."""
    run = made(runs, config)
    now = time.time()
    fields = {"run": run.id, "phase": phase, "host": HOST, "created": now - 100, "heartbeat": now - 50} | more
    fields["config_hash"] = config.config_hash if hint else ""
    run.status.write_bytes(spec_status.encode(Status(**fields)))
    run.events.write_text("")
    return run


def queued(runs: Path, run: RunDir, state: str = "waiting", **more) -> Ticket:
    queue = Queue(runs)
    queue.add(run.id, "cpu", 1.0)
    ticket = queue.change(run.id, ("waiting",), lambda t: type(t)(run=run.id, rank=t.rank, state=state, **more))
    assert ticket is not None
    return ticket


def plan(run: Path, **how) -> None:
    """What its fake engine will do."""
    (run / "fake.json").write_text(json.dumps({"epochs": 1, "seconds": 0.0} | how))
