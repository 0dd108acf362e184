"""When a run may join others on a device: by their number, or by the memory that all of them will need.

By memory, a GPU takes runs as long as what they need fits into what other processes leave; on the CPU, and where
something is not known, their number alone counts. Nothing is read here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from crdnd_tui.core.format import size

By = Literal["slots", "memory"]
GIB = 1 << 30  # bytes
MOST = 8  # runs that share a GPU by memory, unless another number was set
SAFETY = 1.5  # what PyTorch takes above the counted tensors: fragments, workspaces, working copies, the teacher's maps
MEANS: Mapping[By, str] = {
    "slots": "Runs share a device by their number alone.",
    "memory": f"A GPU takes runs while their memory fits; {MOST} at once unless another number is set.",
}
CONTEXT = 6 * GIB // 10  # of one process on a GPU, before its first tensor
DRIVER = 2 * GIB  # a run that needs more than all but this never shares


@dataclass(frozen=True, slots=True)
class Sharing:
    """What is wanted of the queue."""

    at_once: int | None = None  # runs on one device; None unless it was set
    by: By = "slots"

    def most(self, device: str) -> int:
        """Runs that may share it in any case."""
        return self.at_once or (MOST if self.by == "memory" and device != "cpu" else 1)


@dataclass(frozen=True, slots=True)
class Space:
    """Of a GPU, in bytes: its memory, and what processes hold of it that are no runs of this folder."""

    total: int
    others: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """Who may share what, as of now."""

    sharing: Sharing
    spaces: Mapping[str, Space] = field(default_factory=dict)  # by device; those that are known

    def obstacle(self, device: str, there: Sequence[int | None], need: int | None) -> str | None:
        """Why a run may not join those on a device, whose needs in bytes are `there`; None when it may.

        Empty when as many are there as may be: that needs no words. A need of None is not known.
        """
        if len(there) >= self.sharing.most(device):
            return ""
        if self.sharing.by == "slots" or device == "cpu" or (not there and self._alone(device, need)):
            return None
        space = self.spaces.get(device)
        if space is None:
            return f"waits: the memory of {device} is not known, so one run at a time"
        if need is None:
            return f"waits until it is alone on {device}: its memory is not known"
        if self._alone(device, need):
            return f"waits until it is alone on {device}: it may need {size(need)}"
        if None in there:
            return f"waits: a run on {device} needs nobody knows how much memory"
        free = space.total - space.others - sum(each or 0 for each in there)
        return None if need <= free else f"waits for {size(need)} on {device}, {size(max(0, free))} are free"

    def _alone(self, device: str, need: int | None) -> bool:
        """Whether a run shares the device with no other, so that it may start on an empty one without being counted."""
        space = self.spaces.get(device)
        return space is None or need is None or need > space.total - DRIVER


def need(peak: int) -> int:
    """Bytes of GPU memory that a process may take whose tensors are counted as `peak` bytes."""
    return int(SAFETY * peak) + CONTEXT
