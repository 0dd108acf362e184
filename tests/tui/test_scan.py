"""Looking at the runs folder again and again: every change is seen, and what did not change is not read."""

import fcntl
import json
import platform
from pathlib import Path

import pytest

from crdnd_tui.core import notes, run_status
from crdnd_tui.core.notes import RunNotes
from crdnd_tui.core.scan import FIRST, Scan, Scanner, shared
from engine.spec import status as spec_status
from engine.spec.rundir import RunDir
from engine.spec.status import Status

NOW = 1_000_000.0


def make(folder: Path, name: str, phase: str = "done", **facts) -> RunDir:
    run = RunDir(folder / name)
    run.path.mkdir(parents=True, exist_ok=True)
    run.config.write_text("")
    say(run, phase, **facts)
    return run


def say(run: RunDir, phase: str, **facts) -> None:
    status = Status(run=run.id, phase=phase, **{"host": platform.node(), "heartbeat": NOW - 60} | facts)
    run.status.write_bytes(spec_status.encode(status))


def states(scan: Scan) -> dict[str, str]:
    return {row.id: row.summary.state for row in scan.rows}


def look(scanner: Scanner, now: float = NOW) -> Scan:
    return list(scanner.look(now))[-1]


def test_every_change_is_seen(tmp_path: Path) -> None:
    first, scanner = make(tmp_path, "a"), Scanner(tmp_path)
    assert states(look(scanner)) == {"a": "done"}
    make(tmp_path, "b", "training")
    assert states(look(scanner)) == {"b": "killed", "a": "done"}
    say(first, "failed", reason="no memory")
    assert look(scanner).rows[1].summary.why == "no memory"
    notes.write(first.path, RunNotes(tags=("x",)))
    assert look(scanner).rows[1].notes.tags == ("x",)
    first.path.rename(tmp_path / "c")
    assert list(states(look(scanner))) == ["c", "b"]


def test_a_run_that_lives_and_dies(tmp_path: Path) -> None:
    run, scanner = make(tmp_path, "a", "training"), Scanner(tmp_path)
    with run.lock.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert states(look(scanner)) == {"a": "running"}
        run.stop.touch()
        assert states(look(scanner)) == {"a": "stopping"}
    assert states(look(scanner)) == {"a": "killed"}


def test_an_ended_run_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "a")
    make(tmp_path, "b", "training")
    scanner, asked, summary = Scanner(tmp_path), [], run_status.summary
    before = look(scanner)
    monkeypatch.setattr(run_status, "summary", lambda run, now: asked.append(run.id) or summary(run, now=now))
    after = look(scanner)
    assert asked == ["b"]
    assert before.rows[1] is after.rows[1]


def test_last_words_that_are_fresh_are_read_again(tmp_path: Path) -> None:
    """An engine that was resumed a moment ago holds the lock beside the last words of the one before."""
    run, scanner = make(tmp_path, "a", "stopped", heartbeat=NOW - 1), Scanner(tmp_path)
    assert states(look(scanner)) == {"a": "stopped"}
    with run.lock.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert states(look(scanner, NOW + 60)) == {"a": "starting"}


def test_what_somebody_just_saw_is_not_looked_at_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "a", "training")
    scanner, asked, summary = shared(tmp_path), [], run_status.summary
    assert shared(tmp_path) is scanner
    seen = look(scanner)
    monkeypatch.setattr(run_status, "summary", lambda run, now: asked.append(run.id) or summary(run, now=now))
    assert scanner.recent(NOW, 60.0) is seen and not asked
    assert states(scanner.recent(NOW, 0.0)) == {"a": "killed"} and asked == ["a"]
    assert states(Scanner(tmp_path).recent(NOW, 60.0)) == {"a": "killed"}


def test_absent_and_unreadable_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert look(Scanner(tmp_path / "none")) == Scan(())

    def refuse(_folder: Path) -> list[str]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(run_status, "names", refuse)
    assert look(Scanner(tmp_path)) == Scan((), "Permission denied")
    (tmp_path / "file").write_text("")
    monkeypatch.undo()
    assert look(Scanner(tmp_path / "file")).problem == "Not a directory"


def test_the_newest_are_there_before_the_rest(tmp_path: Path) -> None:
    for k in range(FIRST + 50):
        make(tmp_path, f"run-{k:04}")
    scanner = Scanner(tmp_path)
    parts = list(scanner.look(NOW))
    assert [(len(part.rows), part.whole) for part in parts] == [(FIRST, False), (FIRST + 50, True)]
    assert parts[0].rows[0].id == f"run-{FIRST + 49:04}"
    assert len(list(scanner.look(NOW))) == 1


def test_a_copy_with_another_seed_is_known_by_its_weights(tmp_path: Path) -> None:
    results = {"best": {"clean": 0.5}}
    for name, digest in (("a", "x"), ("b", "x"), ("c", "y")):
        made = make(tmp_path, name, group_hash="g", results=results, results_n=10)
        made.result("best", "clean").parent.mkdir(parents=True)
        record = {"checkpoint": "best", "attack": "clean", "accuracy": 0.5, "weights_sha256": digest}
        made.result("best", "clean").write_text(json.dumps(record))
    twins = {row.id: row.summary.same_weights_as for row in look(Scanner(tmp_path)).rows}
    assert (sorted(filter(None, twins.values())), twins["c"]) in ((["a"], ""), (["b"], ""))
