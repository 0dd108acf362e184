"""What the rest of a study will take: seconds from like runs that this machine has finished, FLOPs from the configs.

Nothing is guessed: a run that is like no past one has no duration, and how many those are is said.
"""

import heapq
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from crdnd_tui.core import forecast
from crdnd_tui.core.forecast import Past
from crdnd_tui.core.format import duration, flops
from crdnd_tui.study.standing import Progress, Standing
from engine.spec.config import RunConfig
from engine.spec.estimate import estimate


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """Of all runs that are not done, and of the teachers that must be trained first."""

    runs: int = 0  # that are not done
    teachers: int = 0  # that must still be trained
    seconds: float = 0.0  # of work, of those runs whose duration is known
    wall: float = 0.0  # the same, as many at once as the queue allows
    unknown: int = 0  # runs and teachers that are like no past run
    left: Mapping[str, float] = field(default_factory=dict)  # config hash -> seconds
    pasts: int = 0  # finished runs that were looked at
    at_once: int = 1
    flops: int = 0  # of those whose FLOPs are known
    flops_unknown: int = 0

    @property
    def lines(self) -> list[str]:
        """In words, with the source of each figure."""
        if not self.runs:
            return ["nothing is left to do"]
        many = f"{self.runs} {'run' if self.runs == 1 else 'runs'}"
        if self.teachers:
            many += f" and {self.teachers} {'teacher' if self.teachers == 1 else 'teachers'}"
        told = [f"left    {many}"]
        known = self.runs + self.teachers - self.unknown
        if known:
            least = "at least " if self.unknown else "\u2248 "
            at_once = f" with {self.at_once} at once" if self.at_once > 1 else ""
            source = f"from {self.pasts} past {'run' if self.pasts == 1 else 'runs'} on this machine"
            told.append(f"time    {least}{duration(self.wall)}{at_once}, {duration(self.seconds)} of work; {source}")
            if self.unknown:
                told.append(f"        {self.unknown} of them are like no past run here: their time is unknown")
        else:
            told.append("time    unknown: no past run on this machine is like these")
        unknown = f"; {self.flops_unknown} unknown" if self.flops_unknown else ""
        told.append(f"work    {flops(self.flops)}, by the configs{unknown}")
        return told


class Seer:
    """Foretells again and again; past runs and costs are read once."""

    def __init__(self, runs: Path, device: str = "auto") -> None:
        self._runs, self._device = runs, device
        self._pasts: dict[str, Past | None] = {}
        self._done: frozenset[str] | None = None  # ids of the runs that were done when the past was last read
        self._groups: dict[str, str] = {}  # config hash -> group hash
        self._takes: dict[str, float | None] = {}  # group hash -> seconds
        self._flops: dict[str, int | None] = {}
        self._alone = threading.Lock()

    def tell(self, progress: Progress, now: float) -> Outlook:
        """As of now; unix seconds."""
        with self._alone:
            self._remember(progress)
            return self._tell(progress, now)

    def _remember(self, progress: Progress) -> None:
        done = frozenset(standing.run for standing in progress.standings if standing.state == "done")
        if done != self._done:
            known = {name: past for name, past in self._pasts.items() if past is not None}
            self._pasts, self._done = forecast.past_runs(self._runs, known), done
            self._takes.clear()

    def _tell(self, progress: Progress, now: float) -> Outlook:
        open_ = [standing for standing in progress.standings if standing.state != "done"]
        ahead = [(t.config, t.config_hash, 0.0) for t in progress.missing]
        ahead += [(s.cell.config, s.cell.config_hash, _worked(s, now)) for s in open_]
        left: dict[str, float] = {}
        flops: list[int | None] = []
        for config, name, worked in ahead:
            group = self._groups.get(name) or config.group_hash
            self._groups[name] = group
            takes = self._duration(group, config)
            if takes is not None:
                left[name] = max(0.0, takes - worked)
            flops.append(self._cost(group, config))
        known = [cost for cost in flops if cost is not None]
        return Outlook(
            runs=len(open_),
            teachers=len(progress.missing),
            seconds=sum(left.values()),
            wall=_wall(left.values(), progress.at_once),
            unknown=len(ahead) - len(left),
            left=left,
            pasts=sum(past is not None for past in self._pasts.values()),
            at_once=progress.at_once,
            flops=sum(known),
            flops_unknown=len(flops) - len(known),
        )

    def _duration(self, group: str, config: RunConfig) -> float | None:
        if group not in self._takes:
            pasts: Sequence[Past] = [past for past in self._pasts.values() if past is not None]
            told = forecast.forecast(config, pasts, self._device)
            self._takes[group] = told.seconds if told else None
        return self._takes[group]

    def _cost(self, group: str, config: RunConfig) -> int | None:
        if group not in self._flops:
            self._flops[group] = estimate(config).flops
        return self._flops[group]


def _worked(standing: Standing, now: float) -> float:
    """Seconds for which a run has been at work."""
    if standing.state != "running":
        return 0.0
    status = standing.summary.status if standing.summary else None
    began = standing.ticket.started if standing.ticket else status.created if status else now
    return max(0.0, now - began) if began else 0.0


def _wall(seconds: Iterable[float], at_once: int) -> float:
    """When the last ends, if each begins on the first place that is free, in this order."""
    places = [0.0] * max(1, at_once)
    for each in seconds:
        heapq.heapreplace(places, places[0] + each)
    return max(places)
