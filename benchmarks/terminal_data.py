"""Run folders that no engine wrote: one with a long event log, and many small ones. The same at every call."""

import math
import os
from pathlib import Path

import msgspec

from engine.spec import status as status_file
from engine.spec.events import (
    CheckpointSaved,
    DeviceSampled,
    EpochDone,
    Event,
    RunStarted,
    StageStarted,
    StepDone,
    TrainingStarted,
    Validated,
    encode,
)
from engine.spec.status import Status

CLASSES = ["plane", "auto", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
LONG = "20260101-000000-rslad-resnet18-s0-0000"
STEPS_PER_EPOCH = 500
CONFIG = '[run]\nname = "benchmark"\n[method]\nname = "rslad"\n'
START = 1_767_225_600.0  # unix seconds


def step(number: int) -> StepDone:
    """A loss that falls, with a noise that is always the same."""
    noise = math.sin(12.9898 * number) * math.sin(78.233 * number)
    loss = 2.3 * math.exp(-number / 20_000) + 0.6 + 0.12 * noise
    return StepDone(
        seq=number, time=START + number / 5, step=number, epoch=1 + number // STEPS_PER_EPOCH, loss=loss,
        terms={"clean": 0.4 * loss, "robust": 0.6 * loss}, learning_rate=0.1 * (1 - number / 200_000),
        images_per_second=5100 + 90 * noise,
    )  # fmt: skip


def _epoch(number: int) -> list[Event]:
    """What is said when an epoch ends."""
    at, time = number * STEPS_PER_EPOCH, START + number * STEPS_PER_EPOCH / 5
    per_class = [0.5 + 0.4 * (1 - math.exp(-number / 40)) * (1 - k / 20) for k in range(10)]
    acm = [[0.9 if j == k else 0.1 / 9 for k in range(10)] for j in range(10)]
    return [
        EpochDone(
            epoch=number, step=at, time=time, loss=1.0, terms={"clean": 0.4, "robust": 0.6}, learning_rate=0.1,
            seconds=100.0, teacher_clean=per_class, teacher_robust=per_class, recall_clean=per_class,
            recall_robust=per_class, acm_clean=acm, acm_robust=acm, student_clean=per_class,
            student_robust=per_class, peak_memory=10 << 30,
        ),
        Validated(
            epoch=number, step=at, time=time, n=5000, accuracy={"clean": per_class[0], "pgd": per_class[9]}, by="pgd",
            best=True, seconds=10.0, per_class={"clean": per_class, "pgd": per_class},
        ),
        CheckpointSaved(step=at, time=time, epoch=number, file="last.pt", bytes=90 << 20),
        DeviceSampled(name="H200", time=time, used=10 << 30, total=141 << 30, utilisation=97),
    ]  # fmt: skip


def _folder(runs: Path, name: str, status: Status) -> Path:
    path = runs / name
    path.mkdir(parents=True)
    (path / "status.json").write_bytes(status_file.encode(status))
    return path


def write_long(runs: Path, steps: int) -> Path:
    """A run in the middle of its training, this many steps into it; its folder."""
    status = Status(
        run=LONG, phase="training", name="benchmark", method="rslad", student="ResNet-18", teacher="WRN-34-10",
        data="cifar10", epoch=steps // STEPS_PER_EPOCH, epochs=400, step=steps, total_steps=400 * STEPS_PER_EPOCH,
    )  # fmt: skip
    path = _folder(runs, LONG, status)
    (path / "config.toml").write_text(CONFIG)
    with (path / "events.jsonl").open("wb") as log:
        for event in (
            RunStarted(run=LONG, name="benchmark", config_hash="0" * 64, pid=1, host="here", time=START),
            StageStarted(stage="training", time=START),
            TrainingStarted(
                epochs=400, steps_per_epoch=STEPS_PER_EPOCH, images=50_000, classes=CLASSES, device="cuda",
                student_parameters=11_173_962, time=START,
            ),
        ):  # fmt: skip
            log.write(encode(event))
        for number in range(1, steps + 1):
            log.write(encode(step(number)))
            if number % STEPS_PER_EPOCH == 0:
                log.writelines(encode(event) for event in _epoch(number // STEPS_PER_EPOCH))
    return path


def write_many(runs: Path, count: int) -> None:
    """So many judged runs; they share one config file on the disk."""
    runs.mkdir(parents=True)
    config = runs.parent / "config.toml"
    config.write_text(CONFIG)
    methods = ("rslad", "crdnd", "ard", "iad", "trades")
    done = Status(
        run="", phase="done", student="ResNet-18", teacher="WRN-34-10", data="cifar10", epsilon="8/255", epoch=200,
        epochs=200, step=78_200, total_steps=78_200, results_n=10_000, host="here", heartbeat=START,
    )  # fmt: skip
    for k in range(count):
        method, seed = methods[k % 5], k // 5 % 5
        worst = 0.5 - (k * 37 % 1000) / 4000
        cells = {"clean": 0.8 + worst / 20, "pgd_sat": worst + 0.05, "autoattack": worst + 0.01, "worst": worst}
        name = f"202601{1 + k * 28 // count:02}-{k % 86400 // 3600:02}{k % 3600 // 60:02}{k % 60:02}-{method}-{k:05}"
        status = msgspec.structs.replace(
            done, run=name, name=f"run-{k:05}", method=method, seed=seed, results={"best": cells},
            config_hash=f"{k:064x}", group_hash=f"{k // 25 * 5 + k % 5:064x}", created=START + k,
        )  # fmt: skip
        os.link(config, _folder(runs, name, status) / "config.toml")
