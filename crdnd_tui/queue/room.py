"""Which devices have room for a run that waits: by those at work there, and by the rules of sharing."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from crdnd_tui.core import engine_process
from crdnd_tui.queue import occupancy
from crdnd_tui.queue.occupancy import Job
from crdnd_tui.queue.sharing import Rules, Sharing
from crdnd_tui.queue.tickets import Ticket
from engine.spec.rundir import RunDir

if TYPE_CHECKING:
    from crdnd_tui.queue.memory import Needs


class Surveyor:
    """Knows what runs need, and what is free; what cannot have changed is read once. By slots it reads nothing."""

    def __init__(self, runs: Path) -> None:
        self._runs = runs
        self._needs: Needs | None = None

    def need(self, run: str, sharing: Sharing) -> int | None:
        """Bytes of GPU memory; None when it is not known, and when nobody asks."""
        if sharing.by == "slots":
            return None
        if self._needs is None:
            from crdnd_tui.queue.memory import Needs  # noqa: PLC0415  0.4 s that only sharing by memory pays for

            self._needs = Needs(self._runs)
        return self._needs.of(run)

    def rules(self, jobs: Iterable[Job], sharing: Sharing) -> Rules:
        """As of now, with these at work."""
        if sharing.by == "slots":
            return Rules(sharing=sharing)
        from crdnd_tui.queue.memory import spaces  # noqa: PLC0415

        return Rules(sharing=sharing, spaces=spaces(self._runs, jobs))


class Scan:
    """Finds out whether a run may start. All locks of the folder are tried only when it seems that it may."""

    def __init__(self, runs: Path) -> None:
        self._runs = runs
        self._known: list[Job] = []
        self._surveyor = Surveyor(runs)

    def has_room(self, ticket: Ticket, running: Iterable[Ticket], sharing: Sharing) -> bool:
        """Whether every device that it takes has room beside those at work."""
        started = [Job(t.run, occupancy.device(t.device), t.pid, t.devices) for t in running]
        self._known = [job for job in self._known if engine_process.alive(RunDir(self._runs / job.run))]
        if not self._fits(ticket, [*started, *self._known], sharing):
            return False
        self._known = occupancy.living(self._runs)
        return self._fits(ticket, [*started, *self._known], sharing)

    def _fits(self, ticket: Ticket, jobs: list[Job], sharing: Sharing) -> bool:
        rules, need = self._surveyor.rules(jobs, sharing), self._surveyor.need(ticket.run, sharing)
        return all(
            rules.obstacle(place, [self._surveyor.need(job.run, sharing) for job in occupancy.on(place, jobs)], need)
            is None
            for place in occupancy.places(ticket.device, ticket.devices)
        )
