"""A real worker process with fake engines: order, one at a time, and what deaths leave behind."""

import fcntl
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from crdnd_tui.core import engine_process
from crdnd_tui.queue import actions, devices, worker
from crdnd_tui.queue.snapshot import SnapshotReader
from crdnd_tui.queue.tickets import Queue
from engine.spec.errors import RunFolderError
from engine.spec.rundir import RunDir
from tests.tui.lab_queue import ENGINE, driver, runs_folder, states, ticket, until, waiting_run  # noqa: F401  a fixture

LONG = {"epochs": 1000, "seconds": 0.02}


def pid_of(runs: Path) -> int:
    lock = runs / ".queue" / "worker.lock"
    until(lambda: worker.alive(runs) and psutil.pid_exists(int(lock.read_text() or 0)))
    return int(lock.read_text())


def by_hand(run: RunDir) -> subprocess.Popen:
    plan = (run.path / "fake.json").read_text()
    process = subprocess.Popen([sys.executable, str(ENGINE), str(run.path)], env={**os.environ, "FAKE_ENGINE": plan},
                               start_new_session=True)  # fmt: skip
    until(lambda: engine_process.alive(run))
    return process


def test_runs_go_one_after_another_in_order_and_then_the_worker_leaves(runs: Path) -> None:
    made = [waiting_run(runs, f"r{k}", seconds=0.005) for k in range(3)]
    queue = Queue(runs)
    for run in made:
        queue.add(run.id, "cpu", 1.0)
    queue.move("r2", "top")
    assert worker.wake(runs)
    until(lambda: set(states(runs).values()) == {"done"})
    spans = sorted((ticket(runs, run.id).started, ticket(runs, run.id).ended, run.id) for run in made)
    assert [name for _, _, name in spans] == ["r2", "r0", "r1"]
    assert all(spans[k][1] <= spans[k + 1][0] for k in range(2))  # never two at a time
    until(lambda: not worker.alive(runs))
    assert not worker.wake(runs)  # nothing to do
    log = (runs / ".queue" / "worker.log").read_text()
    assert "r2: started on cpu" in log
    assert "r1: done" in log


def test_a_new_run_brings_a_worker_and_how_each_ends_is_told(runs: Path) -> None:
    for name, plan in {"fail1": {"end": "fail"}, "mute1": {"end": "mute"}, "die1": {"end": "die"},
                       "refuse1": {"end": "refuse"}, "fine1": {}}.items():  # fmt: skip
        actions.enqueue(waiting_run(runs, name, **plan))
    until(lambda: "waiting" not in states(runs).values() and "running" not in states(runs).values())
    assert states(runs) == {
        "fail1": "failed",
        "mute1": "failed",
        "die1": "failed",
        "refuse1": "failed",
        "fine1": "done",
    }
    assert ticket(runs, "fail1").note == "the loss is not finite"
    assert "\x1b" not in ticket(runs, "refuse1").note
    assert "no such thing" in ticket(runs, "refuse1").note
    assert ticket(runs, "mute1").note
    assert ticket(runs, "die1").note.startswith("the engine died of SIGKILL (killed from outside")


def test_a_stopped_run_does_not_stop_the_queue_and_can_be_retried(runs: Path) -> None:
    first, second = waiting_run(runs, "first1", **LONG), waiting_run(runs, "second1")
    actions.enqueue(first)
    actions.enqueue(second)
    until(first.events.exists)
    with pytest.raises(RunFolderError, match="is at work"):
        actions.cancel(runs, "first1")
    engine_process.ask_to_stop(first)
    until(lambda: states(runs) == {"first1": "stopped", "second1": "done"})
    assert ticket(runs, "first1").note == "stop file"
    (first.path / "fake.json").write_text(json.dumps({"epochs": 1}))
    actions.retry(runs, "first1")
    until(lambda: states(runs)["first1"] == "done")
    assert b"run_resumed" in first.events.read_bytes()
    with pytest.raises(RunFolderError, match="stopped or failed"):
        actions.retry(runs, "second1")


def test_a_held_run_waits_until_it_is_released(runs: Path) -> None:
    held, other = waiting_run(runs, "held1"), waiting_run(runs, "other1")
    Queue(runs).add("held1", "cpu", 1.0)
    Queue(runs).hold("held1")
    actions.enqueue(other)
    until(lambda: states(runs)["other1"] == "done")
    until(lambda: not worker.alive(runs))  # nobody is kept for a held run
    assert not held.events.exists()
    actions.release(runs, "held1")
    until(lambda: states(runs)["held1"] == "done")


def test_cancelling_moves_a_folder_that_was_never_started_to_the_trash(runs: Path) -> None:
    run, again = waiting_run(runs, "never1"), waiting_run(runs, "begun1")
    again.events.write_text("")
    for made in (run, again):
        Queue(runs).add(made.id, "cpu", 1.0)
        actions.cancel(runs, made.id)
    assert states(runs) == {}
    assert not run.path.exists()
    assert (runs / ".trash" / "never1" / "config.toml").is_file()
    assert again.path.is_dir()


def test_a_run_whose_folder_is_gone_is_cancelled(runs: Path) -> None:
    waiting_run(runs, "here1", **LONG)
    Queue(runs).add("gone1", "cpu", 1.0)
    Queue(runs).add("here1", "cpu", 1.0)
    worker.wake(runs)
    until(lambda: states(runs).get("gone1") == "cancelled")
    assert ticket(runs, "gone1").note == "its folder is gone"


def test_a_killed_worker_loses_nothing(runs: Path) -> None:
    long, short = waiting_run(runs, "long1", **LONG), waiting_run(runs, "short1")
    for run in (long, short):
        Queue(runs).add(run.id, "cpu", 1.0)
    worker.wake(runs)
    until(long.events.exists)
    os.kill(pid_of(runs), signal.SIGKILL)
    until(lambda: not worker.alive(runs))
    assert engine_process.alive(long)  # the engine goes on
    assert worker.wake(runs)
    until(lambda: worker.alive(runs))
    assert states(runs) == {"long1": "running", "short1": "waiting"}
    os.kill(pid_of(runs), signal.SIGKILL)
    until(lambda: not worker.alive(runs))
    engine_process.ask_to_stop(long)
    until(lambda: not engine_process.alive(long))  # while no worker looks
    worker.wake(runs)
    until(lambda: states(runs) == {"long1": "stopped", "short1": "done"})


def test_a_worker_that_died_between_mark_and_start_left_a_mark_that_is_understood(runs: Path) -> None:
    run = waiting_run(runs, "marked1")
    queue = Queue(runs)
    queue.add(run.id, "cpu", 1.0)
    queue.change(run.id, ("waiting",), lambda t: type(t)(run=t.run, state="running", started=2.0, rank=t.rank))
    worker.wake(runs)
    until(lambda: states(runs) == {"marked1": "done"})


def test_sigterm_ends_the_worker_and_leaves_engines_alone(runs: Path) -> None:
    run = waiting_run(runs, "long1", **LONG)
    actions.enqueue(run)
    until(run.events.exists)
    os.kill(pid_of(runs), signal.SIGTERM)
    until(lambda: not worker.alive(runs))
    assert engine_process.alive(run)


def test_of_two_workers_the_second_leaves(runs: Path) -> None:
    run = waiting_run(runs, "long1", **LONG)
    actions.enqueue(run)
    until(lambda: worker.alive(runs))
    assert not worker.ensure(runs)
    second = subprocess.run(driver(runs), timeout=20, check=False)
    assert second.returncode == 0
    assert worker.alive(runs)
    assert states(runs) == {"long1": "running"}


def test_a_run_that_was_started_by_hand_occupies_the_device(runs: Path) -> None:
    hand = waiting_run(runs, "hand1", "auto", **LONG)
    process = by_hand(hand)
    elsewhere, here = waiting_run(runs, "elsewhere1", "cuda:3"), waiting_run(runs, "here1", "cpu")
    actions.enqueue(here)
    actions.enqueue(elsewhere)
    until(lambda: states(runs)["elsewhere1"] == "done")  # another device is free
    assert states(runs)["here1"] == "waiting"
    Queue(runs).set_at_once(2)
    until(lambda: states(runs)["here1"] == "done")
    assert engine_process.alive(hand)
    engine_process.ask_to_stop(hand)
    process.wait(20)


def test_a_run_on_two_gpus_waits_for_both(runs: Path) -> None:
    first, both, later = (waiting_run(runs, f"{word}1", "cuda:1", **LONG) for word in ("first", "both", "later"))
    both.machine.write_text(json.dumps({"device": "cuda:0", "devices": 2}))
    other = waiting_run(runs, "other1", "cuda:2")
    for run in (first, both, later, other):
        actions.enqueue(run)
    until(lambda: states(runs)["other1"] == "done")  # another device is free
    assert states(runs) == {"first1": "running", "both1": "waiting", "later1": "waiting", "other1": "done"}
    first.stop.touch()
    until(lambda: states(runs)["both1"] == "running")
    until(both.events.exists)
    found = {of.name: of for of in SnapshotReader(runs).read(2e9).devices}
    assert [job.run for job in found["cuda:0"].jobs] == [job.run for job in found["cuda:1"].ranks] == ["both1"]
    assert states(runs)["later1"] == "waiting"
    both.stop.touch()
    until(lambda: states(runs)["later1"] == "running")


def test_a_waiting_run_that_is_started_by_hand_is_followed(runs: Path) -> None:
    run = waiting_run(runs, "hand1", **LONG)
    Queue(runs).add(run.id, "cpu", 1.0)
    process = by_hand(run)
    worker.wake(runs)
    until(lambda: ticket(runs, "hand1").pid == process.pid)
    engine_process.ask_to_stop(run)
    process.wait(20)
    until(lambda: states(runs) == {"hand1": "stopped"})


def test_an_engine_at_work_cannot_be_queued(runs: Path) -> None:
    run = waiting_run(runs, "hand1", **LONG)
    process = by_hand(run)
    with pytest.raises(RunFolderError, match="at work"):
        actions.enqueue(run)
    engine_process.ask_to_stop(run)
    process.wait(20)


def test_the_worker_needs_neither_torch_nor_textual() -> None:
    heavy = ("torch", "numpy", "textual", "pydantic")
    code = f"import sys, crdnd_tui.queue.worker; print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert found.stdout.strip() == "[]"


def test_an_engine_on_another_machine_occupies_nothing_here(runs: Path) -> None:
    far = waiting_run(runs, "far1", **LONG)
    process = by_hand(far)
    until(far.status.exists)
    assert devices.living_jobs(runs) == [devices.EngineJob("far1", "cpu", process.pid)]
    engine_process.ask_to_stop(far)
    process.wait(20)
    status = json.loads(far.status.read_bytes())
    far.status.write_text(json.dumps(status | {"host": "elsewhere"}))
    lock = os.open(far.lock, os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    assert devices.living_jobs(runs) == []
    os.close(lock)


@pytest.mark.parametrize("between", [0, 2])
def test_a_teacher_that_is_trained_first_is_part_of_its_students_job(between: int) -> None:
    """Its engine is a child of its student's, or, with several ranks, the child of a child."""
    again = "import subprocess, sys; subprocess.run([sys.executable, '-c', *sys.argv[1:]])"
    last = "import os; print(os.getpid(), flush=True); input()"
    child = subprocess.Popen([sys.executable, "-c", *[again] * between, last], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, text=True)  # fmt: skip
    assert child.stdout is not None
    teacher = int(child.stdout.readline())
    jobs = [devices.EngineJob("student", "cpu", os.getpid()), devices.EngineJob("teacher", "cpu", teacher)]
    assert devices.without_teachers(jobs) == jobs[:1]
    assert devices.without_teachers(jobs[1:]) == jobs[1:]
    child.communicate("\n", timeout=20)


def test_devices_have_one_name_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "default_device", lambda: "cuda:0")
    assert [devices.device_name(name) for name in ("auto", "cuda", "cuda:1", "cpu")] == [
        "cuda:0",
        "cuda:0",
        "cuda:1",
        "cpu",
    ]
