"""What runs need of a GPU and what is free there: configs, a made-up driver, and a worker that goes by both."""

import json
import os
import sys
from pathlib import Path

import pytest

from crdnd_tui.core import gpu
from crdnd_tui.queue import agenda, memory, occupancy, worker
from crdnd_tui.queue.sharing import Space, need
from crdnd_tui.queue.tickets import Queue
from engine.spec.estimate import Memory, estimate
from engine.spec.rundir import RunDir
from engine.spec.toml import read
from tests.tui.fake_nvml import GIB, FakeNvml
from tests.tui.lab_queue import DRIVER, runs_folder, states, until, waiting_run  # noqa: F401  a fixture

DISTILLED = """
[data]
name = "digits"
[student]
name = "small_cnn"
[teacher]
{teacher}
[method]
name = "rslad"
"""


def distilled(runs: Path, name: str, teacher: str) -> RunDir:
    run = waiting_run(runs, name)
    run.config.write_text(DISTILLED.format(teacher=teacher))
    return run


def peak(run: RunDir, **more) -> Memory:
    found = estimate(read(run.config), **more).memory
    assert found is not None
    return found


def test_a_need_is_the_estimates_peak_with_safety_and_context(runs: Path) -> None:
    run = waiting_run(runs, "plain1")
    assert memory.Needs(runs).of("plain1") == need(peak(run).peak)


def test_a_saved_teacher_counts_by_its_own_config_and_an_unknown_one_makes_all_unknown(runs: Path) -> None:
    waiting_run(runs, "taught1")
    known, absent = distilled(runs, "known1", 'run = "taught1"'), distilled(runs, "absent1", 'run = "gone1"')
    student = read(runs / "taught1" / "config.toml").student
    needs = memory.Needs(runs)
    assert peak(absent).teacher is None
    assert needs.of(absent.id) is None
    assert needs.of(known.id) == need(peak(known, teacher_model=student).peak)


def test_a_teacher_that_is_trained_first_counts_with_its_own_training(runs: Path) -> None:
    inner = (
        '[teacher.config.data]\nname = "digits"\n[teacher.config.training]\nbatch_size = 1000\n'
        '[teacher.config.student]\nname = "small_resnet"\n[teacher.config.method]\nname = "natural"\n'
    )
    run = distilled(runs, "both1", f'preset = "t.toml"\n{inner}')
    config = read(run.config)
    first = estimate(config.teacher.config).memory
    assert first is not None and first.peak > peak(run).peak
    assert memory.Needs(runs).of("both1") == need(first.peak)


def test_runs_whose_config_cannot_be_read_are_not_known(runs: Path) -> None:
    waiting_run(runs, "bad1").config.write_text("[")
    assert memory.Needs(runs).of("bad1") is None
    assert memory.Needs(runs).of("gone1") is None


def test_what_the_driver_does_not_show_as_ours_is_somebody_elses(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = os.getpid()
    fake = FakeNvml(("NVIDIA H200", 50 * GIB, 141 * GIB, 0), ("NVIDIA H200", GIB, 141 * GIB, 0),
                    processes={0: [(mine, 20 * GIB), (1, 25 * GIB)]})  # fmt: skip
    monkeypatch.setattr(gpu, "_nvml", [])
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    jobs = [occupancy.Job("mine1", "cuda:0", mine)]
    both = {"cuda:0": Space(141 * GIB, 30 * GIB), "cuda:1": Space(141 * GIB, GIB)}
    assert memory.spaces(runs, jobs) == both
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,0")
    assert memory.spaces(runs, jobs) == {"cuda:0": both["cuda:1"], "cuda:1": both["cuda:0"]}
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    fake.processes = {}
    assert memory.spaces(runs, jobs)["cuda:0"] == Space(141 * GIB, 50 * GIB)


def test_a_worker_packs_a_gpu_and_lets_the_rest_wait(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for two and a half: the first two share, the third waits for them, and why is told."""
    long = {"epochs": 1000, "seconds": 0.02}
    made = [waiting_run(runs, f"long{k}", "cuda", **long) for k in range(3)]
    each = memory.Needs(runs).of("long0")
    assert each is not None
    card = ["NVIDIA H200", 80 * GIB - 5 * each // 2, 80 * GIB, 0]
    fake = f"from tests.tui.fake_nvml import FakeNvml\nsys.modules['pynvml'] = FakeNvml({card})\n"
    program = DRIVER.replace("def engine(run)", f"{fake}def engine(run)")
    monkeypatch.setattr(worker, "worker_command", lambda runs: [sys.executable, "-c", program, str(runs), "0.5"])
    monkeypatch.setattr(gpu, "_nvml", [])
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml(tuple(card)))
    monkeypatch.setattr(occupancy, "_auto", ["cuda:0"])
    Queue(runs).share_by("memory")
    for run in made:
        worker.enqueue(run)
    until(lambda: list(states(runs).values()).count("running") == 2)
    until(made[1].events.exists)
    found = agenda.Reader(runs).read(2e9)
    assert [job.run for job in found.devices[0].jobs] == ["long0", "long1"]
    (third,) = found.queued
    assert third.waits.startswith("waits for ") and "on cuda:0" in third.waits
    made[0].stop.touch()
    until(lambda: states(runs) == {"long0": "stopped", "long1": "running", "long2": "running"})
    assert json.loads((runs / ".queue" / "tickets" / "long2.json").read_text())["device"] == "cuda"


def test_a_run_on_two_gpus_waits_for_both(runs: Path) -> None:
    long = {"epochs": 1000, "seconds": 0.02}
    first, both, later = (waiting_run(runs, f"{word}1", "cuda:1", **long) for word in ("first", "both", "later"))
    both.machine.write_text(json.dumps({"device": "cuda:0", "devices": 2}))
    other = waiting_run(runs, "other1", "cuda:2")
    for run in (first, both, later, other):
        worker.enqueue(run)
    until(lambda: states(runs)["other1"] == "done")  # another device is free
    assert states(runs) == {"first1": "running", "both1": "waiting", "later1": "waiting", "other1": "done"}
    first.stop.touch()
    until(lambda: states(runs)["both1"] == "running")
    until(both.events.exists)
    found = {of.name: of for of in agenda.Reader(runs).read(2e9).devices}
    assert [job.run for job in found["cuda:0"].jobs] == [job.run for job in found["cuda:1"].ranks] == ["both1"]
    assert states(runs)["later1"] == "waiting"
    both.stop.touch()
    until(lambda: states(runs)["later1"] == "running")
