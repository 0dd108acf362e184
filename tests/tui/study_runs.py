"""A study over the recorded runs: some are done, one stopped, one was killed, one failed, the rest was never made."""

import inspect
import os
import re
from pathlib import Path

import pytest

from crdnd_tui.core import presets, runtime_estimate
from crdnd_tui.queue import devices, worker
from crdnd_tui.queue.tickets import Queue, Ticket
from crdnd_tui.study.file import read_study
from crdnd_tui.tui.app import LabApp
from crdnd_tui.tui.widgets.study_matrix import StudyMatrix
from crdnd_tui.tui.widgets.text_sheet import TextSheet
from engine.spec import folders
from engine.spec.machine import Machine
from engine.spec.rundir import RunDir
from tests.tui.busy_queue import at_work, past
from tests.tui.pilot import NOW, recorded, settle

METHODS = ("natural", "ard", "iad", "rslad", "crdnd")
STUDY = """
name = "small"
title = "Five methods on the handwritten digits"
preset = "../presets/{method}.toml"
[grid]
method = ["natural", "ard", "iad", "rslad", "crdnd"]
seed = [0, 1, 2]
[report]
rows = ["method"]
attacks = ["clean", "pgd_sat", "autoattack", "worst"]
baseline = { method = "rslad" }
[[published]]
source = "paper"
where = { method = "crdnd" }
values = { clean = 97.0, autoattack = 50.0 }
"""
PAST = (
    "natural-",
    "ard-",
    "iad-",
    "rslad-small_cnn-s0",
    "rslad-small_cnn-s1",
    "rslad-small_cnn-s2",
    "crdnd-",
    "pgd_at",
)


@pytest.fixture(name="quiet", autouse=True)
def quiet_machine(monkeypatch: pytest.MonkeyPatch):
    """No shipped studies, no GPUs, a worker that is there and starts nothing; the past runs are this machine's."""
    monkeypatch.setattr(presets, "shipped_studies", dict)
    monkeypatch.setattr(devices, "default_device", lambda: "cpu")
    monkeypatch.setattr(worker, "alive", lambda runs: True)
    monkeypatch.setattr(LabApp, "DEFAULT_MODE", "studies")


@pytest.fixture(name="runs")
def studied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    runs = recorded(tmp_path / "runs", *PAST)
    host = host_of(runs)
    monkeypatch.setattr(runtime_estimate, "HOST", host)
    presets = tmp_path / "presets"
    presets.mkdir()
    for method in METHODS:
        (presets / f"{method}.toml").write_text(preset(past(runs, f"-{method}-small_cnn")))
    (presets / "quickstart_teacher.toml").write_text(named_protocol(past(runs, "pgd_at")))
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "small.toml").write_text(STUDY)
    return runs


def host_of(runs: Path) -> str:
    found = re.search(r'"host": ?"([^"]+)"', past(runs, "natural-").status.read_text())
    assert found
    return found[1]


def preset(run: RunDir) -> str:
    """A run's config as somebody would write it: without the teacher's own, which its preset names."""
    kept, inside = [], True
    for line in named_protocol(run).splitlines():
        if line.startswith("["):
            inside = not line.startswith("[teacher.config")
        kept += [line] if inside else []
    return "\n".join(kept) + "\n"


def named_protocol(run: RunDir) -> str:
    """The config of a run from before protocols had names; a preset's default is another one."""
    return run.config.read_text().replace("[selection]", '[selection]\nprotocol = "last_iterate"')


def study(runs: Path):
    return read_study(runs.parent / "studies" / "small.toml")


def cell(runs: Path, method: str, seed: int):
    return next(c for c in study(runs).cells if c.place == {"method": method, "seed": str(seed)})


def make(runs: Path, method: str, seed: int, state: str = "waiting", **more) -> str:
    """A run of the study in the queue."""
    machine = Machine(device="cpu", data=str(runs.parent / "data"), runs=str(runs))
    run = folders.create(cell(runs, method, seed).config, "", machine)
    queue = Queue(runs)
    queue.add_all([Ticket(run=run.id, device="cpu", added=NOW - 50, study="small")])
    fields = {"state": state, "study": "small", "added": NOW - 50, "device": "cpu"} | more
    queue.change(run.id, ("waiting",), lambda t: Ticket(run=run.id, rank=t.rank, **fields))
    return run.id


@pytest.fixture(name="busy")
def busy_study(runs: Path):
    """One run at work, two that wait, one that failed."""
    work = make(runs, "crdnd", 2, "running", started=NOW - 60)
    lock = at_work(
        RunDir(runs / work), past(runs, "rslad-small_cnn-s0"), config_hash=cell(runs, "crdnd", 2).config_hash
    )
    make(runs, "natural", 1)
    make(runs, "natural", 2)
    make(runs, "iad", 1, "failed", started=NOW - 300, ended=NOW - 200, note="DivergedError: the loss is not finite")
    yield runs
    os.close(lock)


def keys(*pressed: str, each=None, then=None):
    """A story on the Studies screen: these keys; `each` looks after each key, `then` at the end."""

    async def story(app, pilot):
        await settle(pilot)
        for key in pressed:
            await pilot.press(key)
            await settle(pilot)
            if each:
                each(app)
        said = then(app) if then else None
        return await said if inspect.isawaitable(said) else said

    return story


def words(app, panel: str) -> str:
    page = app.screen.query_one(f"#{panel}", TextSheet)._page
    return "\n".join(line.plain for line in page.lines(page.size.width or 100))


def under(app) -> dict[str, str]:
    cell_status = app.screen._cell_status
    return dict(cell_status.cell.place) if cell_status else {}


def matrix(app) -> str:
    """Signs, row by row; a hyphen for what has not run."""
    bands = app.screen.query_one(StudyMatrix)._plan.bands
    signs = " ".join("".join(spot.sign if spot else " " for spot in band.spots) for band in bands)
    return signs.replace("\u2013", "-")
