"""What the queue says of studies: progress by configs, notes that are none."""

import os
from pathlib import Path

from crdnd_tui.queue import actions, snapshot
from crdnd_tui.queue.snapshot import SnapshotReader, StudyNote
from crdnd_tui.queue.tickets import Queue, Ticket
from tests.studies.lab import cell, made, small, spoke


def test_progress_is_counted_by_configs_and_survives_a_clearing(tmp_path: Path) -> None:
    runs, study = tmp_path / "runs", small(tmp_path)
    runs.mkdir()
    snapshot.note_study(runs, StudyNote(study="small", hashes=tuple(c.config_hash for c in study.cells)))
    done = spoke(runs, cell(study, "natural", 0).config, "done")  # before the study was queued: without a ticket
    other = spoke(runs, cell(study, "natural", 1).config, "done")
    waits = made(runs, cell(study, "rslad", 0).config)
    queue = Queue(runs)
    queue.add_all([Ticket(run=other.id, study="small"), Ticket(run=waits.id, study="small")])
    queue.change(
        other.id, ("waiting",), lambda t: type(t)(run=t.run, rank=t.rank, study="small", state="done", ended=2)
    )
    (found,) = SnapshotReader(runs).read(3.0).studies
    assert (found.text, found.done, found.of, found.waiting) == ("small 2/4", 2, 4, 1)
    queue.clear()
    assert SnapshotReader(runs).read(3.0).studies[0].text == "small 2/4"
    assert done.id not in {ticket.run for ticket in queue.tickets()}
    actions.change_study(runs, "small", "cancel")
    assert SnapshotReader(runs).read(3.0).studies == ()


def test_without_a_note_the_tickets_are_counted() -> None:
    tickets = [Ticket(run=f"r{k}", study="s", state=state) for k, state in enumerate(("done", "failed", "waiting"))]
    (found,) = snapshot.study_counts([], tickets, [])
    assert (found.text, found.failed) == ("s 1/3", 1)


def test_notes_that_are_none_are_passed_over(tmp_path: Path) -> None:
    snapshot.note_study(tmp_path, StudyNote(study="fine", title="a\x1b[2Jtitle", hashes=("a",)))
    folder = tmp_path / ".queue" / "studies"
    (folder / "cut.json").write_text('{"study":"cut')
    (folder / "other.json").write_text('{"study":"fine"}')
    (folder / "deep.json").write_text("[" * 100_000)
    (folder / "link.json").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe.json")
    assert [(batch.study, batch.title) for batch in snapshot.study_notes(tmp_path)] == [("fine", "a\ufffd[2Jtitle")]
    assert snapshot.study_notes(tmp_path / "none") == []


def test_what_ended_comes_back_to_its_place_and_what_is_new_to_the_end(tmp_path: Path) -> None:
    queue = Queue(tmp_path)
    assert queue.add_all([Ticket(run=name, study="s") for name in "abc"]) == 3
    queue.change("a", ("waiting",), lambda t: type(t)(run="a", rank=t.rank, study="s", state="failed", ended=1.0))
    assert queue.add_all([Ticket(run=name, study="s") for name in "dab"]) == 2
    assert "".join(ticket.run for ticket in queue.tickets()) == "abcd"
    assert {ticket.state for ticket in queue.tickets()} == {"waiting"}


def test_a_run_that_is_retried_stays_a_run_of_its_study(tmp_path: Path) -> None:
    queue = Queue(tmp_path)
    queue.add_all([Ticket(run="a", study="s", stop_on_failure=True)])
    queue.change(
        "a", ("waiting",), lambda t: type(t)(run="a", study="s", stop_on_failure=True, state="failed", ended=1)
    )
    again = queue.add("a", "cpu", 2.0)
    assert (again.study, again.stop_on_failure) == ("s", True)
