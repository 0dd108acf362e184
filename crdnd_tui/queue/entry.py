"""A run on the agenda: what it is, where it is computed, how long it takes. Values only."""

from dataclasses import dataclass

from crdnd_tui.core.library import Summary
from crdnd_tui.queue import occupancy
from crdnd_tui.queue.tickets import Ticket


@dataclass(frozen=True, kw_only=True, slots=True)
class About:
    """What a run is, by its config; safe to show."""

    method: str = ""
    student: str = ""
    teacher: str = ""
    data: str = ""
    seed: int | None = None
    name: str = ""
    group: str = ""  # shared by the seeds of one experiment


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A run on the agenda. Times are unix seconds, durations seconds; None when nobody knows."""

    run: str  # its id
    about: About
    device: str  # the first that it takes
    devices: int = 1
    ticket: Ticket | None = None  # None when it was started by hand
    row: Summary | None = None
    takes: float | None = None  # in all
    left: float | None = None  # of a run at work
    starts: float | None = None  # of a run that waits
    need: int | None = None  # bytes of a GPU's memory; None when it is not known or not asked
    waits: str = ""  # what it waits for, beside its turn

    @property
    def places(self) -> tuple[str, ...]:
        """All devices that it takes."""
        return occupancy.places(self.device, self.devices)
