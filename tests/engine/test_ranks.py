"""torchrun's ranks: how a run on several devices is started, stopped, ended by a death, and gone on with."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import safetensors.torch
import torch

from engine.run import launch
from engine.runtime import device as runtime
from engine.runtime import torchrun
from engine.runtime.torchrun import RankExit
from engine.spec import locks, teacher_logits
from engine.spec.config import RunConfig
from engine.spec.errors import ConfigError
from engine.spec.machine import Machine
from engine.spec.outcomes import decode, unpack
from engine.spec.rundir import RunDir
from tests.engine.broken_runs import (
    FAILED,
    FINISHED,
    REFUSED,
    STOPPED,
    events,
    make,
    said,
    short,
    status,
    tiny,
    told_once,
    write_data,
    write_teacher,
)

ROOT = Path(__file__).parents[2]
BETWEEN = {"run_resumed", "run_stopped", "checkpoint_saved"}
JUDGED = {"clean", "fgsm", "worst"}
SIGKILL, SIGTERM = -int(signal.SIGKILL), -int(signal.SIGTERM)


def on(run: RunDir, **settings) -> RunDir:
    """The run's machine, changed; exact, so that ranks differ from one process by rounding alone."""
    machine = json.loads(run.machine.read_text()) | {"exact": True} | settings
    run.machine.write_text(json.dumps(machine))
    return run


def start(run: RunDir) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "engine", str(run.path)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )


def until(process: subprocess.Popen, true) -> None:
    """Until something is so, or the process is gone."""
    while process.poll() is None and not true():
        time.sleep(0.02)


def rank_processes(process: subprocess.Popen) -> dict[int, psutil.Process]:
    environments = {child: child.environ() for child in psutil.Process(process.pid).children(recursive=True)}
    return {int(found["RANK"]): child for child, found in environments.items() if "RANK" in found}


def gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


@pytest.mark.slow
def test_a_killed_rank_ends_the_run_and_is_named(data, tmp_path):
    long = {"epochs": 300, "batch_size": 16, "learning_rate": 0.1, "schedule": {"name": "constant"}}
    run = on(make(tmp_path, data, tiny(training=long)), devices=2)
    engine = start(run)
    until(engine, lambda: run.events.exists() and b"step_done" in run.events.read_bytes())
    found = rank_processes(engine)
    assert sorted(found) == [0, 1], run.log.read_text()
    found[1].kill()

    assert engine.wait(120) == FAILED
    assert all(gone(process) for process in found.values())
    (failure,) = said(run, "run_failed")
    assert failure["message"] == status(run).reason == "rank 1 of 2 died (SIGKILL); the run was ended"
    assert "crdnd resume" in failure["hint"]
    assert status(run).phase == "failed"
    locks.hold(run.lock)


@pytest.mark.slow
def test_stopped_twice_and_gone_on_with_by_other_worlds_it_is_the_run_of_one_process(data, fork_server, tmp_path):
    table = short().model_dump(mode="json") | {"method": {"name": "pgd_at"}, "teacher": None}
    table["training"]["batch_size"] = 15  # of 32 images: 15, 15 and 2
    config = RunConfig.model_validate(table)
    alone = on(make(tmp_path / "alone", data, config))
    assert fork_server.work(alone) == FINISHED, fork_server.screen.read_text()

    run = on(make(tmp_path / "ranks", data, config), devices=2)
    engine = start(run)
    until(engine, run.log.exists)
    engine.send_signal(signal.SIGTERM)  # long before the first step
    assert engine.wait(300) == STOPPED, run.log.read_text()
    assert not run.stop.exists()
    assert said(run, "run_stopped")[-1]["step"] == 1
    on(run, devices=1)
    assert fork_server.work(run, at="step", do="stop file", k=1) == STOPPED
    assert said(run, "run_stopped")[-1]["step"] == 2
    on(run, devices=2)
    run.stop.touch()  # before they start: they leave after a step
    assert start(run).wait(300) == STOPPED, run.log.read_text()
    assert (said(run, "run_stopped")[-1]["reason"], said(run, "run_stopped")[-1]["step"]) == ("stop file", 3)
    assert not run.stop.exists()
    assert start(run).wait(300) == FINISHED, run.log.read_text()

    first, second = (safetensors.torch.load_file(r.weights_of("last")) for r in (alone, run))
    for name, value in first.items():
        assert torch.allclose(value, second[name], rtol=1e-5, atol=1e-5), name  # float32; seen: 3e-7
    told = [[e["event"] for e in told_once(r) if e["event"] not in BETWEEN] for r in (alone, run)]
    assert told[0] == told[1]
    assert outcomes(alone) == outcomes(run)
    assert not (run.path / ".ranks").exists()


def outcomes(run: RunDir) -> list[tuple[str, str, list[bool]]]:
    """Of every attack, which images are left."""
    found = [
        decode(path.read_bytes()) for path in sorted((run.evaluation / "last").glob("*.json")) if path.stem in JUDGED
    ]
    return [(outcome.attack, outcome.checkpoint, unpack(outcome.robust, outcome.n)) for outcome in found]


@pytest.mark.slow
def test_ranks_fill_the_table_together_that_one_process_fills_to_the_bit(fork_server, tmp_path):
    kept = []
    for devices in (2, 1):
        data = tmp_path / str(devices)
        data.mkdir()
        write_data(data)
        write_teacher(data)
        run = on(make(tmp_path / f"run{devices}", data, short()), exact=False, table="complete", devices=devices)
        assert (start(run).wait(300) if devices > 1 else fork_server.work(run)) == FINISHED, run.log.read_text()
        assert [began["switches"]["table"] for began in said(run, "training_started")] == ["complete"]
        (name,) = teacher_logits.names(teacher_logits.tables_folder(data))
        kept.append((teacher_logits.tables_folder(data) / name).read_bytes()[teacher_logits.HEADER :])
    assert kept[0] == kept[1] and any(kept[0])


def test_more_devices_than_there_are_is_refused_with_the_count(data, tmp_path):
    run = on(make(tmp_path, data, short()), devices=3, device="cuda")
    engine = start(run)
    visible = torch.cuda.device_count()
    assert visible < 3
    assert engine.wait(120) == REFUSED
    (failure,) = said(run, "run_failed")
    assert failure["message"] == f"machine.devices: 3 devices are wanted, but {visible} GPUs are visible"
    assert [event["event"] for event in events(run)] == ["run_started", "run_failed"]


def test_devices_are_counted_from_the_named_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    runtime.check_devices(Machine(devices=4))
    runtime.check_devices(Machine(devices=2, device="cuda:2"))
    with pytest.raises(ConfigError, match="5 devices are wanted, but 4 GPUs"):
        runtime.check_devices(Machine(devices=5))
    with pytest.raises(ConfigError, match="2 devices are wanted from cuda:3 on, but 4 GPUs"):
        runtime.check_devices(Machine(devices=2, device="cuda:3"))
    runtime.check_devices(Machine(devices=64, device="cpu"))


@pytest.fixture
def third_of_four(monkeypatch) -> None:
    place = {"RANK": 6, "WORLD_SIZE": 8, "LOCAL_RANK": 2, "LOCAL_WORLD_SIZE": 4}
    for name, value in {**place, "TORCHELASTIC_RUN_ID": "x"}.items():
        monkeypatch.setenv(name, str(value))


@pytest.mark.usefixtures("third_of_four")
def test_a_rank_has_its_own_device_and_its_share_of_threads(monkeypatch):
    assert torchrun.place() == (6, 8, 2, 4)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert runtime.choose_device(Machine()) == torch.device("cuda:2")
    monkeypatch.setattr(runtime, "usable_cpus", lambda: 64)
    chosen = []
    monkeypatch.setattr(torch, "set_num_threads", chosen.append)
    runtime.share_threads(Machine(), 10**12)
    runtime.share_threads(Machine(threads=8), 10**12)
    runtime.share_threads(Machine(), 1000)
    assert chosen == [16, 2, 1]


def test_a_rank_of_something_else_is_none_of_ours(monkeypatch):
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.setenv(name, "4")
    assert torchrun.place() is None


@pytest.mark.usefixtures("third_of_four")
def test_an_engine_started_by_a_rank_is_no_rank(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    outside = torchrun.child_environment()
    assert not {"RANK", "WORLD_SIZE", "LOCAL_RANK", "TORCHELASTIC_RUN_ID"} & outside.keys()
    assert outside["CUDA_VISIBLE_DEVICES"] == "0,1"
    assert outside["PATH"] == os.environ["PATH"]


def test_torchrun_is_told_how_many_and_where(tmp_path):
    run = RunDir(tmp_path / "tiny")
    engine = [sys.executable, "-P", "-m", "engine", str(run.path)]
    assert launch.options(run, Machine(devices=4)) == [
        "--standalone",
        "--nproc-per-node=4",
        "--max-restarts=0",
        "--no-python",
        *engine,
    ]
    assert launch.options(run, Machine(devices=8, nodes=2, rendezvous="head"))[:4] == [
        "--nnodes=2",
        "--rdzv-backend=c10d",
        "--rdzv-endpoint=head:29400",
        "--rdzv-id=tiny",
    ]
    with pytest.raises(ConfigError, match="2 nodes need a place to meet"):
        launch.options(run, Machine(nodes=2))


def cause(said: list[RankExit], deaths: list[RankExit], agent: int = 1) -> str:
    return launch.first_cause(said, deaths, agent, ranks=4).message


def test_the_first_cause_is_told():
    lost = RankExit(rank=0, code=1, message="Connection closed by peer", lost=True)
    full = RankExit(rank=2, code=1, kind="OutOfMemory", message="rank 2 of 4: out of memory")
    defect = RankExit(rank=0, code=1, kind="RuntimeError", message="rank 0 of 4: something is wrong")
    killed, ended, left = RankExit(rank=3, code=SIGKILL), RankExit(rank=1, code=SIGTERM), RankExit(rank=0, code=1)
    died = "rank 3 of 4 died (SIGKILL); the run was ended"
    assert cause([lost], [left, killed, ended]) == died  # the loss of it is no cause
    assert cause([defect], [left, killed, ended]) == died  # an error that may come of it is none either
    assert cause([full, lost], [left, killed]) == full.message
    assert cause([defect, lost], [left, ended]) == defect.message
    assert cause([lost], [left, RankExit(rank=2, code=7), ended]) == "rank 2 of 4 died (exit code 7); the run was ended"
    assert cause([], [ended]) == "rank 1 of 4 died (SIGTERM); the run was ended"
    assert cause([lost], [], SIGKILL) == "torchrun ended (SIGKILL) without a word of the ranks; the run was ended"


def test_last_words_are_read_in_their_order_and_old_ones_are_not(tmp_path):
    run = RunDir(tmp_path)
    for rank, when in ((0, 12.0), (1, 11.0), (2, 3.0)):
        torchrun.record(run, RankExit(rank=rank, code=1, message=f"rank {rank}", time=when))
    (tmp_path / ".ranks" / "elsewhere-3.json").write_text("{")  # half of it
    torchrun.record_deaths(run, [RankExit(rank=1, code=SIGKILL, time=11.0)])
    assert [ending.rank for ending in torchrun.exits(run, since=10.0)] == [1, 0]
    assert [death.code for death in torchrun.deaths(run)] == [SIGKILL]
    torchrun.forget(run)
    assert torchrun.exits(run, since=0.0) == torchrun.deaths(run) == []
    assert [path.name for path in (tmp_path / ".ranks").iterdir()] == ["elsewhere-3.json"]  # another node's


def test_advice_for_a_crashed_rank_does_not_lead_in_a_circle() -> None:
    for number, wanted in ((signal.SIGSEGV, True), (signal.SIGILL, True), (signal.SIGKILL, False), (40, False)):
        cause = launch.first_cause([], [RankExit(rank=1, code=-number)], 1, 2)
        assert ("layout=contiguous" in cause.hint) is wanted, number
