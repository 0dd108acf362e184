"""A run killed at any moment and resumed ends with the same bits as one that was never killed."""

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from engine.spec.rundir import RunDir
from tests.engine.broken_runs import FINISHED, KILLED, ForkServer, assert_same, make, said, short
from tests.engine.fork_server import BUSY

KILLS, MOST = 40, 160


@pytest.mark.campaign
@pytest.mark.slow
def test_random_kills_change_nothing(fork_server: ForkServer, data: Path, whole: RunDir, tmp_path: Path) -> None:
    chance, hits, attempts, runs = random.Random(1), Counter[str](), 0, 0
    evaluation = [event["time"] for event in said(whole, "evaluation_started") + said(whole, "run_finished")]
    longest = {"starting": 0.1, "training": 0.1, "validation": 0.03, "checkpoint": 0.004}
    longest["evaluation"] = evaluation[1] - evaluation[0]
    while hits.total() < KILLS or set(hits) < set(BUSY):
        run, code, runs = make(tmp_path / str(runs), data), KILLED, runs + 1
        while code == KILLED:
            attempts += 1
            assert attempts < MOST, hits
            if hits.total() >= KILLS and set(hits) == set(BUSY):
                code = fork_server.work(run)
                break
            wanted = chance.choice(list(BUSY))
            times = 1 if wanted == "evaluation" else chance.randint(1, 2)
            pid = fork_server.start(run)
            busy, code = fork_server.kill(pid, wanted, times, chance.uniform(0, longest[wanted]))
            hits[busy] += code == KILLED
        assert code == FINISHED, fork_server.screen.read_text()
        assert_same(run, whole)
    assert min(hits.values()) >= 1
    assert runs > 1


@pytest.mark.slow
@pytest.mark.parametrize("every", [14, pytest.param(1, marks=pytest.mark.campaign)])
def test_death_at_any_call_of_the_disk_changes_nothing(
    fork_server: ForkServer, data: Path, whole_short: RunDir, disk_calls: int, tmp_path: Path, every: int
) -> None:
    for number, k in enumerate(range(1 + every // 2, disk_calls + 1, every)):
        run = make(tmp_path / str(k), data, short())
        assert fork_server.work(run, at="disk", do=("die", "half")[number % 2], k=k) == KILLED
        assert fork_server.work(run) == FINISHED, (k, fork_server.screen.read_text())
        assert_same(run, whole_short)


def test_a_run_that_dies_again_and_again_gets_to_its_end(
    fork_server: ForkServer, data: Path, whole_short: RunDir, tmp_path: Path
) -> None:
    run, codes = make(tmp_path, data, short()), []
    while FINISHED not in codes:
        codes.append(fork_server.work(run, at="disk", do="half", k=30 * (len(codes) + 1)))
        assert len(codes) < 12
    assert codes.count(KILLED) == len(codes) - 1 >= 1
    assert_same(run, whole_short)


def test_checkpoints_within_an_epoch_change_nothing(
    fork_server: ForkServer, data: Path, whole_short: RunDir, tmp_path: Path
) -> None:
    run = make(tmp_path, data, short(), checkpoint_seconds=0.0)
    assert fork_server.work(run, at="step", do="die", k=4) == KILLED
    assert fork_server.work(run) == FINISHED
    (resumed,) = said(run, "run_resumed")
    assert resumed["step"] == 3  # the checkpoint after the first batch of the second epoch
    assert_same(run, whole_short)


def test_a_cold_engine_killed_while_it_imports_or_trains_goes_on(
    data: Path, whole_short: RunDir, tmp_path: Path
) -> None:
    run, command = make(tmp_path, data, short()), [sys.executable, "-P", "-m", "engine"]
    for moment in ("run_started", "step_done"):
        engine = subprocess.Popen([*command, str(run.path)])
        end = time.monotonic() + 60
        while moment.encode() not in (run.events.read_bytes() if run.events.exists() else b""):
            assert time.monotonic() < end and engine.poll() is None
            time.sleep(0.002)
        engine.send_signal(signal.SIGKILL)
        assert engine.wait() == KILLED
    assert subprocess.run([*command, str(run.path)], check=False).returncode == FINISHED
    assert_same(run, whole_short)
