"""An engine of several processes, as torchrun makes them: found as one, asked as one, killed as one."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from crdnd_tui.core import engine_process
from engine.spec.rundir import RunDir
from tests.tui.lab_queue import until

TREE = """
import fcntl, json, os, pathlib, signal, subprocess, sys, time
path, role = sys.argv[3:]
run = pathlib.Path(path)

def child(role, path=path):
    words = [sys.executable, "-c", os.environ["TREE"], "-m", "engine", path, role]
    return subprocess.Popen(words, start_new_session=True)

def asked(*_):
    (run / "stop").touch()

below = {"launcher": ["agent"], "agent": ["rank0", "rank1"]}.get(role, [])
processes = [child(each) for each in below]
if role == "launcher":
    signal.signal(signal.SIGTERM, asked)
if role == "rank0":
    lock = (run / "engine.lock").open("a+")
    fcntl.flock(lock, fcntl.LOCK_EX)
    child("teacher", str(run.parent / "taught"))
    lock.write(json.dumps({"pid": os.getpid()}))
    lock.flush()
(run.parent / role).write_text(str(os.getpid()))
while not (run / "stop").exists() and all(each.poll() is None for each in processes):
    time.sleep(0.02)
"""
ROLES = ("launcher", "agent", "rank0", "rank1", "teacher")


@pytest.fixture
def ranks(tmp_path: Path) -> Iterator[tuple[RunDir, dict[str, int]]]:
    """A run with two ranks, and the numbers of their processes, an engine that trains a teacher among them."""
    run = RunDir(tmp_path / "run")
    for path in (run.path, tmp_path / "taught"):
        path.mkdir()
    words = [sys.executable, "-c", TREE, "-m", "engine", str(run.path), "launcher"]
    first = subprocess.Popen(words, start_new_session=True, env={**os.environ, "TREE": TREE})
    until(lambda: all((tmp_path / role).exists() and (tmp_path / role).read_text() for role in ROLES))
    pids = {role: int((tmp_path / role).read_text()) for role in ROLES}
    yield run, pids
    for pid in pids.values():
        if psutil.pid_exists(pid):
            psutil.Process(pid).kill()
    first.wait(20)


def living(pids: dict[str, int]) -> set[str]:
    def lives(pid: int) -> bool:
        return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE

    return {role for role, pid in pids.items() if lives(pid)}


def test_all_processes_of_a_run_are_found_from_the_one_that_holds_the_lock(
    ranks: tuple[RunDir, dict[str, int]],
) -> None:
    run, pids = ranks
    holder = engine_process.holder(run)
    assert holder is not None and holder.pid == pids["rank0"]
    found = [each.pid for each in engine_process.engines(run, holder.pid)]
    assert found[:2] == [pids["launcher"], pids["agent"]]
    assert set(found[2:]) == {pids["rank0"], pids["rank1"]}
    other = RunDir(run.path.parent / "other")
    assert [each.pid for each in engine_process.engines(other, pids["agent"])] == [
        pids["agent"]
    ]  # of another run: it alone


def test_killing_reaches_every_rank_and_no_other_run(ranks: tuple[RunDir, dict[str, int]]) -> None:
    run, pids = ranks
    assert engine_process.kill(run, patience=0.0)
    assert living(pids) == {"teacher"}
    assert not engine_process.alive(run)


def test_the_first_signal_goes_to_the_process_that_was_started_which_asks_all(
    ranks: tuple[RunDir, dict[str, int]],
) -> None:
    run, pids = ranks
    assert engine_process.kill(run, patience=20.0)
    assert run.stop.exists()  # its handler made it; a rank would have died of the signal
    until(lambda: living(pids) == {"teacher"})


def test_a_number_of_another_machine_names_no_process_of_this_one(ranks: tuple[RunDir, dict[str, int]]) -> None:
    run, pids = ranks
    run.status.write_text(json.dumps({"host": "elsewhere"}))
    assert engine_process.alive(run)
    assert engine_process.kill(run, patience=0.0) is False
    assert living(pids) == set(ROLES)


def test_who_is_gone_has_no_engines(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait(20)
    assert engine_process.engines(run, process.pid) == []
    run.lock.write_text(json.dumps({"pid": process.pid}))
    assert engine_process.kill(run, patience=0.0) is False
