"""How many CPUs this process may use: fewer than the machine has under taskset, Slurm, or a container's quota."""

import math
import os
from pathlib import Path

OWN_GROUP, GROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


def usable() -> int:
    """CPUs of this process's affinity, or as many as the quota of its control groups pays for when that is less."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS has none
        count = os.cpu_count() or 1
    return max(1, min([count, *(math.ceil(quota) for quota in _quotas())]))


def _quotas() -> list[float]:
    """CPUs that each group around this process may use at once, where one is limited; cgroup v2 and v1."""
    try:
        lines = OWN_GROUP.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        _number, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = GROUPS / "cpu" if controllers else GROUPS  # v1, v2
        own = root / path.strip("/")  # in a container often the host's name of it, which is not there: root is its own
        around = [group for group in (own, *own.parents) if group.is_relative_to(root)]
        found += [quota for group in around if (quota := _quota(group)) is not None]
    return found


def _quota(group: Path) -> float | None:
    """Of one control group; None where it has none, or tells nothing."""
    try:
        if (v2 := group / "cpu.max").is_file():
            quota, period = v2.read_text().split()
        else:
            quota, period = ((group / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period"))
        return float(quota) / float(period) if float(quota) > 0 else None
    except (OSError, ValueError, ZeroDivisionError):  # "max": no limit
        return None
