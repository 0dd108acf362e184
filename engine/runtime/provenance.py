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
CPU_INFO = Path("/proc/cpuinfo")
MOST_THREADS = 1024  # that anybody would have chosen


def collect(device: torch.device) -> dict[str, Any]:
    """Facts of code and machine. No environment variables: they hold secrets."""
    facts: dict[str, Any] = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": cpu_fact("model name") or platform.machine(),
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
    known = read_table(path)
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


def threads_before(path: Path) -> int:
    """CPU threads of the run's earlier engine, which computed on a CPU, too; 0 when there was none, or nobody knows."""
    known = read_table(path)
    threads = known.get("threads") if known.get("device") == "cpu" else 0
    return threads if type(threads) is int and 0 < threads <= MOST_THREADS else 0


def cpu_info() -> dict[str, str]:
    """The first processor's facts in /proc/cpuinfo, by name, as the lines stand there; empty where there is none."""
    try:
        first = CPU_INFO.read_text(encoding="utf-8", errors="replace").partition("\n\n")[0]
    except OSError:
        return {}
    return {line.partition(":")[0].strip(): line for line in first.splitlines()}


def cpu_fact(name: str) -> str:
    """The value of a fact such as `vendor_id`; empty where it is not told."""
    return cpu_info().get(name, "").partition(":")[2].strip()


def arithmetic(device: torch.device) -> str:
    """All of this device and its libraries that decides how sums round, in a line."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, cuDNN {torch.backends.cudnn.version()}"
    kind = "\n".join(line for name, line in cpu_info().items() if name in KIND)
    limits = [f"{name}={os.environ[name]}" for name in LIMITS if name in os.environ]
    used = torch.backends.cpu.get_cpu_capability()
    name = cpu_fact("model name") or platform.machine()
    return ", ".join([name, hashlib.sha256(kind.encode()).hexdigest()[:8], used, *limits])


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _git(folder: Path) -> dict[str, Any]:
    """The commit, and whether files differ from it. Hooks and monitors of the repository are not run."""
    git = ["git", "-C", str(folder), "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"]
    if not (folder / ".git").exists():
        return {"commit": None}
    try:
        commit, changes = (
            subprocess.run([*git, *words], capture_output=True, text=True, check=True, timeout=10).stdout.strip()
            for words in (("rev-parse", "HEAD"), ("status", "--porcelain"))
        )
    except (OSError, subprocess.SubprocessError) as error:
        return {"commit": None, "reason": type(error).__name__}
    return {"commit": commit, "dirty": bool(changes)}
