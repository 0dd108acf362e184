"""What the system gives a process: CPUs, standard streams, signals."""

import math
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

OWN_GROUP, GROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)  # Slurm warns with USR1 or USR2
BLOCKED_SIGNALS = (*STOP_SIGNALS, signal.SIGHUP)


@contextmanager
def signals_blocked() -> Iterator[None]:
    """Block signals for engines that are started in this block: they wait until the engine listens for them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, BLOCKED_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def replace_closed_streams() -> None:
    """Open /dev/null for each standard stream that was closed (`>&-`, a service, `ssh -f`).

    Call it before any file is opened: a file that got descriptor 1 or 2 would take up what is printed.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            stream = open(number, "w" if number else "r", encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)


def usable_cpus() -> int:
    """Return the CPUs of this process's affinity, or of the quota of its control groups when that is less."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS has none
        count = os.cpu_count() or 1
    return max(1, min([count, *(math.ceil(quota) for quota in _quotas())]))


def _quotas() -> list[float]:
    """Return the CPUs of each limited control group around this process; cgroup v2 and v1."""
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
    """Return the CPUs of one control group; None where it is not limited, or cannot be read."""
    try:
        if (v2 := group / "cpu.max").is_file():
            quota, period = v2.read_text().split()
        else:
            quota, period = ((group / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period"))
        return float(quota) / float(period) if float(quota) > 0 else None
    except (OSError, ValueError, ZeroDivisionError):  # "max": no limit
        return None
