"""What is said on leaving, and at the right of the head line."""

import os
from pathlib import Path

import pytest

from crdnd_tui.core import gpu
from crdnd_tui.core.notes import NONE
from crdnd_tui.core.run_status import Summary
from crdnd_tui.core.scan import ListedRun, Scan, Scanner
from crdnd_tui.core.session import Session
from crdnd_tui.queue.tickets import Queue
from crdnd_tui.tui import leaving, machine_note
from crdnd_tui.tui.at_work import at_work
from engine.spec.status import Status
from tests.tui.pilot import recorded


def row(name: str, state: str, pid: int = 1) -> Summary:
    return Summary(id=name, path=Path(name), state=state, status=Status(run=name, phase="training", name=name, pid=pid))


@pytest.fixture
def runs(monkeypatch):
    def there_are(*rows):
        found = Scan(tuple(ListedRun(row, NONE) for row in rows))
        monkeypatch.setattr(Scanner, "look", lambda self, now: iter([found]))

    monkeypatch.setattr(gpu, "cards", list)
    return there_are


def test_nothing_is_said_when_nothing_is_at_work(runs, tmp_path):
    runs(row("a", "done"), row("b", "failed"), row("c", "queued"))
    assert leaving.still_working(tmp_path) == []
    assert leaving.still_working(tmp_path / "absent") == []


def test_what_goes_on_is_named(runs, tmp_path):
    runs(row("a", "running"), row("b", "done"), row("c", "stalled"))
    head, *names = leaving.still_working(tmp_path)
    assert head == "2 runs go on in the background:"
    assert [name.strip() for name in names[:2]] == ["a-s0", "c-s0"]


def test_one_run_is_one(runs, tmp_path):
    runs(row("a", "starting"))
    assert leaving.still_working(tmp_path)[0] == "1 run goes on in the background:"


def test_many_are_counted_not_listed(runs, tmp_path):
    runs(*(row(f"r{place}", "running") for place in range(11)))
    words = leaving.still_working(tmp_path)
    assert words[0].startswith("11 runs")
    assert "  and 3 more" in words


def test_the_demo_ends_with_the_app_and_is_no_run_at_work(runs, tmp_path):
    runs(row("demo", "running", pid=os.getpid()), row("a", "running"))
    assert [line for line in leaving.still_working(tmp_path) if "demo" in line] == []
    assert machine_note.note(Session(runs=tmp_path, data=tmp_path)) == "demo   1 running"
    runs(row("demo", "done", pid=os.getpid()))
    assert leaving.still_working(tmp_path) == []


def test_a_run_that_has_not_spoken_yet_is_named_by_its_folder(runs, tmp_path):
    runs(Summary(id="20260101-000000-x", path=tmp_path, state="starting"))
    assert "  20260101-000000-x" in leaving.still_working(tmp_path)


def test_the_note_tells_cards_and_runs(runs, tmp_path, monkeypatch):
    runs(row("a", "running"), row("b", "starting"), row("c", "done"))
    gib = 1 << 30
    monkeypatch.setattr(
        gpu,
        "cards",
        lambda: [gpu.Card(0, "H200", 10 * gib, 141 * gib, 97, "u"), gpu.Card(1, "A100", 0, 5 * gib, None, "v")],
    )
    assert machine_note.note(Session(runs=tmp_path, data=tmp_path)) == (
        "gpu0 H200 97 %  10.0 GiB of 141 GiB   gpu1 A100  0 B of 5.0 GiB   2 running"
    )


def test_the_note_is_empty_without_cards_and_runs(runs, tmp_path):
    runs()
    assert machine_note.note(Session(runs=tmp_path, data=tmp_path)) == ""
    assert machine_note.note(Session(runs=tmp_path, data=tmp_path, readonly=True)) == "read only"


def test_what_waits_in_the_queue_is_counted(runs, tmp_path):
    runs(row("a", "running"))
    for name in ("one", "two", "three"):
        Queue(tmp_path).add(name, "auto", 0.0)
    Queue(tmp_path).hold("three")
    assert "2 wait in the queue, which goes on by itself." in leaving.still_working(tmp_path)
    runs()
    assert leaving.still_working(tmp_path)[0] == "2 wait in the queue, which goes on by itself."


def test_real_folders_are_looked_at(tmp_path):
    assert at_work(tmp_path / "absent") == ([], False)
    runs = recorded(tmp_path / "runs")
    assert at_work(runs) == at_work(runs) == ([], False)
