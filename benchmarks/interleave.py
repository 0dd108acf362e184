"""Pieces of work timed against each other on a machine that is busy with other things.

Only ratios within a round are believed: both run in the same seconds, and who goes first alternates.
"""

import json
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

RESULTS = Path(__file__).parent / "results"
CPU_CLOCK = "process CPU seconds"
CUDA_CLOCK = "wall seconds, device synchronised"


@dataclass(frozen=True, kw_only=True)
class Rounds:
    """Seconds of each round, ours and theirs."""

    ours: list[float]
    theirs: list[float]

    @property
    def ratios(self) -> list[float]:
        """How many times faster ours was, round by round."""
        return [theirs / ours for ours, theirs in zip(self.ours, self.theirs, strict=True)]

    def facts(self, samples: int) -> dict[str, Any]:
        """Everything measured, and its medians; `samples` per piece of work."""
        return {
            "rounds": len(self.ours),
            "ratio_median": round(statistics.median(self.ratios), 4),
            "ratio_min": round(min(self.ratios), 4),
            "ratio_max": round(max(self.ratios), 4),
            "ours_samples_per_second": round(samples / statistics.median(self.ours), 2),
            "theirs_samples_per_second": round(samples / statistics.median(self.theirs), 2),
            "ours_seconds": [round(seconds, 5) for seconds in self.ours],
            "theirs_seconds": [round(seconds, 5) for seconds in self.theirs],
        }

    def row(self) -> str:
        """`1.08x [1.02, 1.11]`: median of the ratios, and their range."""
        return f"{statistics.median(self.ratios):.2f}x [{min(self.ratios):.2f}, {max(self.ratios):.2f}]"


def interleave(
    ours: Callable[[], object], theirs: Callable[[], object], rounds: int, clock: Callable[[], float], warmup: int = 1
) -> Rounds:
    """Time both in each round, after `warmup` rounds that do not count."""
    spent: dict[str, list[float]] = {"ours": [], "theirs": []}
    for number in range(warmup + rounds):
        order = [("ours", ours), ("theirs", theirs)]
        for name, work in order if number % 2 else reversed(order):
            began = clock()
            work()
            spent[name].append(clock() - began)
    return Rounds(ours=spent["ours"][warmup:], theirs=spent["theirs"][warmup:])


def rotate(
    works: dict[str, Callable[[], object]], against: str, rounds: int, clock: Callable[[], float], warmup: int = 1
) -> dict[str, Rounds]:
    """Time all of them in each round, forwards and backwards in turn; each one's Rounds against one of them.

    As `interleave`, but the piece that the others are compared with is timed once a round for all of them.
    """
    spent: dict[str, list[float]] = {name: [] for name in works}
    for number in range(warmup + rounds):
        for name in works if number % 2 else reversed(works):
            began = clock()
            works[name]()
            spent[name].append(clock() - began)
    theirs = spent.pop(against)[warmup:]
    return {name: Rounds(ours=ours[warmup:], theirs=theirs) for name, ours in spent.items()}


def clock_of(device: torch.device) -> Callable[[], float]:
    """CPU time of this process, which other processes do not lengthen; on CUDA, the time when the device is done."""
    if device.type == "cpu":
        return time.process_time

    def synchronised() -> float:
        torch.cuda.synchronize(device)
        return time.perf_counter()

    return synchronised


def machine_facts(device: torch.device) -> dict[str, Any]:
    """Processor, device, versions and threads: what the figures depend on."""
    return {
        "processor": processor(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "clock": CPU_CLOCK if device.type == "cpu" else CUDA_CLOCK,
        "threads": torch.get_num_threads(),
        "bfloat16": bfloat16_of(device),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def processor() -> str:
    """The model name of the processor, as the kernel gives it."""
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text().splitlines() if facts.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def bfloat16_of(device: torch.device) -> str:
    """What the device has for bfloat16, in words."""
    if device.type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        return f"compute capability {major}.{minor}"
    found = {"AMX": torch.cpu._is_amx_tile_supported(), "AVX512-BF16": torch.cpu._is_avx512_bf16_supported()}
    return ", ".join(name for name, there in found.items() if there) or "none"


def save(name: str, facts: dict[str, Any]) -> Path:
    """Write one result file under benchmarks/results; returns its path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(facts, indent=1) + "\n")
    return path
