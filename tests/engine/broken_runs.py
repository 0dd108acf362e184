"""Tiny runs to break: made, worked on by forked engines, and compared with one that was never broken."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from torch import nn

from engine.models import small_cnn
from engine.spec import files
from engine.spec.config import RunConfig
from engine.spec.folders import status_of
from engine.spec.machine import Machine
from engine.spec.models import SmallCNN
from engine.spec.rundir import RunDir
from engine.spec.status import Status
from engine.spec.toml import dump
from engine.teachers import weights
from tests.engine import fork_server

FINISHED, FAILED, REFUSED, STOPPED, KILLED = 0, 1, 2, 3, -int(signal.SIGKILL)
SINCE = ("time", "seq", "seconds", "images_per_second", "shares", "pid", "host")  # what may differ in an event
OF_A_RESUME = ("checkpoint_damaged",)  # codes of warnings
ASIDE = {"run_resumed", "checkpoint_saved", "attack_progressed", "run_stopped", "run_failed"}


class ForkServer:
    """Forks engines on demand."""

    def __init__(self, folder: Path) -> None:
        self.screen = folder / "screen"
        self._shared = folder / "shared"
        self._shared.write_bytes(bytes(8))
        self._process = subprocess.Popen(
            [sys.executable, "-P", fork_server.__file__, str(self._shared)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        assert self._read() == "ready"

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)

    def start(self, run: RunDir, fault: dict[str, Any] | None = None) -> int:
        """Fork an engine; its process id."""
        self.screen.write_bytes(b"")
        return self._ask(run=str(run.path), fault=fault, screen=str(self.screen))

    def wait(self, pid: int) -> int:
        """The exit code of a forked engine; the negative signal when one killed it."""
        return self._ask(wait=pid)

    def work(self, run: RunDir, **fault: Any) -> int:
        """Fork an engine and wait for its end."""
        return self.wait(self.start(run, fault or None))

    def kill(self, pid: int, busy: str, times: int, delay: float) -> tuple[str, int]:
        """SIGKILL `delay` seconds after the engine began `busy` for the n-th time, or whenever it ends before.

        Returns what the kill interrupted, and the exit code.
        """
        place, seen = fork_server.BUSY[busy], b""
        while True:
            seen = self._shared.read_bytes()
            if seen[1 + place] >= times or busy == "starting" or not _is_alive(pid):
                break
            time.sleep(0.0003)
        time.sleep(delay)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        code = self.wait(pid)
        now = self._shared.read_bytes()[0]
        return next(name for name, number in fork_server.BUSY.items() if number == now), code

    def _ask(self, **order: Any) -> int:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._read())

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def write_data(folder: Path, seed: int = 5) -> Path:
    """Noisy prototypes of ten classes, 8 x 8 grey: 160 to train with, 60 to test."""
    generator = np.random.default_rng(seed)
    prototypes = generator.uniform(40, 215, (10, 8, 8))
    arrays = {}
    for part, count in (("train", 160), ("test", 60)):
        labels = np.arange(count) % 10
        noisy = prototypes[labels] + generator.normal(0, 25, (count, 8, 8))
        arrays |= {f"x_{part}": noisy.clip(0, 255).astype(np.uint8), f"y_{part}": labels}
    path = folder / "tiny.npz"
    np.savez(path, **arrays)
    return path


def write_teacher(folder: Path) -> Path:
    """A net that knows some of the prototypes."""
    spec = SmallCNN(width=4)
    with torch.random.fork_rng(), np.load(folder / "tiny.npz") as arrays:
        torch.manual_seed(3)
        net = small_cnn.build(spec, 10, (1, 8, 8))
        x = torch.from_numpy(arrays["x_train"])[:, None].float() / 255
        y = torch.from_numpy(arrays["y_train"])
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
        for _ in range(12):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x), y).backward()
            optimizer.step()
    path = folder / "teacher.safetensors"
    weights.save(path, net.eval(), {})
    return path


def tiny(**changes: Any) -> RunConfig:
    """Three epochs of six batches, validated each, judged twice on 16 images in batches of 8."""
    table: dict[str, Any] = {
        "data": {"name": "npz", "path": "tiny.npz", "validation": 40, "train_images": 96, "crop_padding": 1},
        "student": {"name": "small_cnn", "width": 4},
        "method": {"name": "crdnd"},
        "teacher": {"checkpoint": "teacher.safetensors", "model": {"name": "small_cnn", "width": 4}},
        "threat_model": {"epsilon": "16/255"},
        "inner": {"steps": 2, "step_size": "8/255"},
        "training": {"epochs": 3, "batch_size": 16, "learning_rate": 0.1, "schedule": {"name": "cosine"}},
        "selection": {"by": "pgd", "attacks": [{"name": "pgd", "steps": 3}], "batch_size": 16},
        "evaluation": {
            "images": 16,
            "batch_size": 8,
            "gallery": 2,
            "attacks": [{"name": "fgsm"}, {"name": "pgd", "steps": 3}],
        },
    }
    return RunConfig.model_validate({**table, **changes})


def short() -> RunConfig:
    """Two epochs of two batches, and one attack on one checkpoint: few calls of the disk."""
    data = {"name": "npz", "path": "tiny.npz", "validation": 40, "train_images": 32, "crop_padding": 1}
    attacks = [{"name": "fgsm"}]
    return tiny(
        data=data,
        training={"epochs": 2, "batch_size": 16, "learning_rate": 0.1, "schedule": {"name": "constant"}},
        selection={"by": "fgsm", "attacks": attacks, "batch_size": 40},
        evaluation={
            "checkpoints": ["last"],
            "images": 16,
            "batch_size": 8,
            "gallery": 1,
            "suspect": False,
            "attacks": attacks,
        },
    )


def make(folder: Path, data: Path, config: RunConfig | None = None, *, checkpoint_seconds: float = 600.0) -> RunDir:
    """A run folder that no engine has seen yet; equal runs have equal names."""
    path = folder / "runs" / "tiny"
    path.mkdir(parents=True)
    run = RunDir(path)
    run.config.write_text(dump(config or tiny()))
    machine = Machine(device="cpu", data=str(data), runs=str(path.parent), checkpoint_seconds=checkpoint_seconds)
    run.machine.write_text(machine.model_dump_json())
    return run


def status(run: RunDir) -> Status:
    """The last one."""
    found = status_of(run)
    assert found is not None
    return found


def events(run: RunDir) -> list[dict[str, Any]]:
    """All that was said, in order; numbered from 1 without gaps."""
    found = [json.loads(line) for line in run.events.read_bytes().splitlines()]
    assert [event["seq"] for event in found] == list(range(1, len(found) + 1))
    return found


def said(run: RunDir, kind: str) -> list[dict[str, Any]]:
    """All events of a kind."""
    return [event for event in events(run) if event["event"] == kind]


def state(path: Path) -> dict[str, Any]:
    """A checkpoint, without clocks and the log's length."""
    loaded: dict[str, Any] = torch.load(path, weights_only=True)
    loaded.pop("events")
    loaded["ledger"].pop("seconds")
    return loaded


def newest(run: RunDir) -> Path:
    """The last checkpoint."""
    return max(run.checkpoints.glob("*.pt"))


def told_once(run: RunDir) -> list[dict[str, Any]]:
    """All that was said, but for what each engine says anew when it goes on with the training."""
    found = events(run)
    first = next((i for i, event in enumerate(found) if event["event"] == "run_resumed"), len(found))
    again = [e for e in found[first:] if e["event"] != "training_started" and e.get("stage") != "training"]
    return found[:first] + again


def _told(run: RunDir) -> list[dict[str, Any]]:
    own = [e for e in told_once(run) if e["event"] not in ASIDE and e.get("code") not in OF_A_RESUME]
    return [{key: value for key, value in event.items() if key not in SINCE} for event in own]


def _judged(run: RunDir) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in sorted(p for p in run.evaluation.rglob("*") if p.is_file()):
        content = path.read_bytes()
        if path.suffix == ".json" and isinstance(record := json.loads(content), dict):
            record.pop("seconds", None)
            found[str(path.relative_to(run.evaluation))] = record
        else:
            found[str(path.relative_to(run.evaluation))] = content
    return found


def _shown(run: RunDir) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(status(run))
    for clock in ("images_per_second", "seconds_per_step", "eta_seconds", "created", "heartbeat", "events_bytes"):
        shown.pop(clock)
    shown["marks"] = [mark for mark in shown["marks"] if mark[0] not in OF_A_RESUME]
    return {key: value for key, value in shown.items() if key not in ("pid", "warnings")}


def failure(fork_server: ForkServer, run: RunDir) -> dict[str, Any]:
    """The last event, which says why; the status agrees, and the screen shows no traceback."""
    event = said(run, "run_failed")[-1]
    assert event["seq"] == len(run.events.read_bytes().splitlines())
    assert (status(run).phase, status(run).reason) == ("failed", event["message"])
    assert "\n" not in event["message"]
    assert fork_server.screen.read_text() == ""
    return event


def assert_same(broken: RunDir, whole: RunDir) -> None:
    """Both ended with the same bits, and tell the same story."""
    for name in ("best", "last"):
        assert broken.weights_of(name).read_bytes() == whole.weights_of(name).read_bytes()
    assert_equal(state(newest(broken)), state(newest(whole)))
    assert _judged(broken) == _judged(whole)
    assert _told(broken) == _told(whole)
    assert [event["step"] for event in said(broken, "step_done")] == list(range(1, len(said(whole, "step_done")) + 1))
    assert _shown(broken) == _shown(whole)
    left = [p.name for p in broken.path.rglob("*") if p.name.startswith(files.TEMPORARY) or p.suffix == ".partial"]
    assert left == []
    assert not (broken.path / ".reserve").exists()


def assert_equal(one: Any, other: Any, where: str = "state") -> None:
    """The same structure and the same bits."""
    assert type(one) is type(other), where
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other), where
    elif isinstance(one, dict):
        assert list(one) == list(other), where
        for key in one:
            assert_equal(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), where
        for place, (a, b) in enumerate(zip(one, other, strict=True)):
            assert_equal(a, b, f"{where}[{place}]")
    else:
        assert one == other, where
