"""What state a run is in, from its folder alone; a damaged run is a row that says so."""

import fcntl
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from crdnd_tui.core import run_status
from engine.spec import status as spec_status
from engine.spec.events import RunFinished, RunStopped, encode
from engine.spec.rundir import RunDir
from engine.spec.status import Status

NOW = 1_000_000.0
HERE = platform.node()


def make(folder: Path, run_id: str, phase: str | None = "training", **facts) -> RunDir:
    run = RunDir(folder / run_id)
    run.path.mkdir()
    run.config.write_text("")
    if phase is not None:
        status = Status(run=run_id, phase=phase, **{"host": HERE, "heartbeat": NOW, **facts})
        run.status.write_bytes(spec_status.encode(status))
    return run


@contextmanager
def engine(run: RunDir) -> Iterator[None]:
    with run.lock.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def state(run: RunDir, now: float = NOW) -> str:
    row = run_status.summary(run, now=now)
    assert row is not None
    return row.state


def test_a_held_lock_is_a_running_engine_and_a_free_one_without_a_last_word_a_killed_one(tmp_path: Path) -> None:
    run = make(tmp_path, "a")
    with engine(run):
        assert state(run) == "running"
        run.stop.touch()
        assert state(run) == "stopping"
        assert state(run, NOW + 91) == "stalled"
    assert state(run) == "killed"


@pytest.mark.parametrize(
    ("phase", "reason", "expected"),
    [
        ("done", "", "done"),
        ("failed", "no memory", "failed"),
        ("stopped", "stop file", "stopped"),
        ("stopped", "SIGTERM", "stopped"),
        ("stopped", "SIGUSR1", "preempted"),
        ("stopped", "SIGUSR2", "preempted"),
    ],
)
def test_last_words_are_believed(tmp_path: Path, phase: str, reason: str, expected: str) -> None:
    assert state(make(tmp_path, "a", phase, reason=reason)) == expected


def test_old_last_words_under_a_held_lock_are_a_resumed_engine_that_starts(tmp_path: Path) -> None:
    run = make(tmp_path, "a", "stopped")
    with engine(run):
        assert state(run, NOW + 60) == "starting"


def test_the_log_has_the_last_word_when_the_status_came_too_late(tmp_path: Path) -> None:
    done, stopped = make(tmp_path, "a"), make(tmp_path, "b")
    done.events.write_bytes(encode(RunFinished(seconds=1.0)))
    stopped.events.write_bytes(b"torn\n" + encode(RunStopped(reason="SIGUSR2", step=1)))
    assert (state(done), state(stopped)) == ("done", "preempted")


def test_another_host_is_judged_by_its_heartbeat(tmp_path: Path) -> None:
    run = make(tmp_path, "a", host="elsewhere-1")
    assert [state(run, NOW + age) for age in (10, 91, 601)] == ["running", "stalled", "lost"]


def test_before_the_first_status(tmp_path: Path) -> None:
    queued, dead = make(tmp_path, "a", None), make(tmp_path, "b", None)
    assert state(queued) == "queued"
    dead.log.write_text("ImportError")
    assert state(dead, time.time() + 60) == "killed"
    with engine(queued):
        assert state(queued) == "starting"


def test_one_damaged_run_leaves_the_others_shown(tmp_path: Path) -> None:
    for index in range(20):
        make(tmp_path, f"good-{index:02}", "done")
    damage = {
        "torn": b'{"run": "x", "pha', "binary": os.urandom(200), "deep": b"[" * 100_000, "huge": b"x" * (2 << 20),
        "types": b'{"run": 3, "phase": "training"}', "empty": b"",
    }  # fmt: skip
    for name, content in damage.items():
        make(tmp_path, f"bad-{name}", "done").status.write_bytes(content)
    os.mkfifo(make(tmp_path, "bad-pipe", None).status)
    make(tmp_path, "bad-link", None).status.symlink_to("/dev/zero")
    (tmp_path / "bad-config").mkdir()
    (tmp_path / "bad-config" / "status.json").write_text("{}")
    (tmp_path / "no-run").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to(tmp_path)
    rows = {row.id: row.state for row in run_status.runs(tmp_path)}
    assert sum(row == "done" for row in rows.values()) == 20
    assert {name for name in rows if not name.startswith(("good", "bad"))} == set()
    assert {
        rows[f"bad-{name}"] for name in ("torn", "binary", "deep", "types", "empty", "huge", "pipe", "link", "config")
    } == {"damaged"}


def test_words_of_a_status_are_safe_to_show(tmp_path: Path) -> None:
    run = make(
        tmp_path, "a", "failed", reason="\x1b[2J", name="n\u202e", attack="\x9b", results={"best\x1b": {"x\x07": 0.5}}
    )
    row = run_status.summary(run, now=NOW)
    assert row is not None and row.status is not None
    shown = row.why + row.name + row.status.attack + str(row.status.results)
    assert not set("\x1b\u202e\x9b\x07") & set(shown)


def test_the_newest_run_comes_first_and_an_absent_folder_holds_none(tmp_path: Path) -> None:
    assert run_status.runs(tmp_path / "none") == []
    for name in ("20260101-000000-a", "20260301-000000-c", "20260201-000000-b"):
        make(tmp_path, name)
    assert [row.id[-1] for row in run_status.runs(tmp_path)] == ["c", "b", "a"]
