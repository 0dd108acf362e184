"""Where a run's numbers come from: code, packages, hardware, and the hashes of what went in."""

import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from engine.spec.files import read_table, write_inside
from engine.spec.process import usable_cpus
from engine.types import Dataset

KIND = frozenset({"vendor_id", "cpu family", "model", "model name", "stepping", "flags", "cache size"})
LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "ONEDNN_DEFAULT_FPMATH_MODE", "MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS")
PACKAGES = ("crdnd-tui", "torch", "torchvision", "numpy", "pyautoattack", "scikit-learn", "safetensors", "pydantic")

MOST_THREADS = 1024  # that anybody would have chosen


def collect(device: torch.device) -> dict[str, Any]:
    """Facts of code and machine. No environment variables: they hold secrets."""
    facts: dict[str, Any] = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),  # which kernels were used, and so how sums round
        "cores": usable_cpus(),
        "threads": torch.get_num_threads(),
        "packages": {name: _version(name) for name in PACKAGES},
        "git": _git(Path(__file__).parents[2]),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "slurm": {key: os.environ[key] for key in ("SLURM_JOB_ID", "SLURM_ARRAY_TASK_ID") if key in os.environ},
        "device": str(device),
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        facts["gpu"] = {
            "name": properties.name,
            "memory": properties.total_memory,
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
            "tf32": torch.backends.cudnn.allow_tf32,
        }
    return facts


def write(path: Path, facts: dict[str, Any]) -> None:
    """As JSON, whole or not at all. What earlier engines of the run wrote stays, under `earlier`, where it differs."""
    known = before(path)
    earlier = known.pop("earlier", [])
    earlier = earlier if isinstance(earlier, list) else []
    if known and known != facts:
        earlier = [*earlier, known]
    content = facts | ({"earlier": earlier} if earlier else {})
    write_inside(path, json.dumps(content, indent=2, sort_keys=True).encode() + b"\n")


def data_digest(dataset: Dataset) -> dict[str, str]:
    """SHA-256 of each split's pixels and labels."""
    digests: dict[str, str] = {}
    for name, split in (("train", dataset.train), ("test", dataset.test)):
        digest = hashlib.sha256(repr(tuple(split.images.shape)).encode())
        digest.update(split.images.contiguous().numpy().data)
        digest.update(split.labels.contiguous().numpy().data)
        digests[name] = digest.hexdigest()
    return digests


def before(path: Path) -> dict[str, Any]:
    """What an earlier engine wrote; empty when nobody did, or it is damaged."""
    return read_table(path)


def threads_before(path: Path) -> int:
    """CPU threads of the run's earlier engine, which computed on a CPU, too; 0 when there was none, or nobody knows."""
    known = before(path)
    threads = known.get("threads")
    if known.get("device") != "cpu" or not isinstance(threads, int) or isinstance(threads, bool):
        return 0
    return threads if 0 < threads <= MOST_THREADS else 0


def processor() -> str:
    """The model where the system tells it, else the family."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.machine()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.machine()


def arithmetic(device: torch.device) -> str:
    """All of this device and its libraries that decides how sums round, in a line."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, cuDNN {torch.backends.cudnn.version()}"
    try:
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").partition("\n\n")[0].splitlines()
    except OSError:
        first = []
    kind = "\n".join(line for line in first if line.partition("\t")[0].strip() in KIND)
    limits = [f"{name}={os.environ[name]}" for name in LIMITS if name in os.environ]
    used = torch.backends.cpu.get_cpu_capability()
    return ", ".join([processor(), hashlib.sha256(kind.encode()).hexdigest()[:8], used, *limits])


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _git(folder: Path) -> dict[str, Any]:
    """The commit, and whether files differ from it. Hooks and monitors of the repository are not run."""
    git = ["git", "-C", str(folder), "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"]
    try:
        if not (folder / ".git").exists():
            return {"commit": None}
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True, timeout=10)
        changes = subprocess.run(
            [*git, "status", "--porcelain"], capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError) as error:
        return {"commit": None, "reason": type(error).__name__}
    return {"commit": commit.stdout.strip(), "dirty": bool(changes.stdout.strip())}
