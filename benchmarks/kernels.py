"""Where a device spends a step: the ten kernels that take longest, by torch's profiler."""

from collections.abc import Callable
from typing import Any

import torch
from torch._C._autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

TOP = 10


def top_kernels(work: Callable[[], object], device: torch.device, warmup: int) -> list[dict[str, Any]]:
    """Name, calls, milliseconds of their own and share of all, for one call of `work` after `warmup` others.

    On CUDA these are kernels on the device; on a CPU, operators.
    """
    for _ in range(warmup):
        work()
    cuda = device.type == "cuda"
    with profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]) as profiler:
        work()
        if cuda:
            torch.cuda.synchronize(device)
    wanted = DeviceType.CUDA if cuda else DeviceType.CPU
    spent = [
        (event.key, event.count, (event.self_device_time_total if cuda else event.self_cpu_time_total) / 1000)
        for event in profiler.key_averages()
        if event.device_type == wanted
    ]
    whole = sum(milliseconds for _, _, milliseconds in spent) or 1.0
    longest = sorted(spent, key=lambda one: -one[2])[:TOP]
    return [
        {"name": name, "calls": calls, "milliseconds": round(own, 3), "share": round(own / whole, 4)}
        for name, calls, own in longest
    ]
