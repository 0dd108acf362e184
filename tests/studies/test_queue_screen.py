"""The Queue screen says which studies its runs belong to, and how far they are."""

from pathlib import Path

import pytest

from crdnd_tui.queue import devices, snapshot, worker
from crdnd_tui.queue.snapshot import StudyNote
from crdnd_tui.queue.tickets import Queue, Ticket
from crdnd_tui.tui.app import LabApp
from crdnd_tui.tui.widgets.queue_list import QueueList
from tests.studies.lab import cell, made, small, spoke
from tests.tui.pilot import drive, settle


def test_a_study_stands_in_the_border_with_its_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "default_device", lambda: "cpu")
    monkeypatch.setattr(worker, "alive", lambda runs: True)
    monkeypatch.setattr(LabApp, "DEFAULT_MODE", "queue")
    runs, study = tmp_path / "runs", small(tmp_path)
    runs.mkdir()
    snapshot.note_study(runs, StudyNote(study="small", hashes=tuple(c.config_hash for c in study.cells)))
    spoke(runs, cell(study, "natural", 0).config, "done")
    waits = made(runs, cell(study, "rslad", 0).config)
    Queue(runs).add_all([Ticket(run=waits.id, device="cpu", study="small")])

    async def story(app, pilot):
        await settle(pilot)
        return str(app.screen.query_one("#devices", QueueList).border_title)

    assert drive(story, runs) == "Devices \u00b7 small 1/4"
