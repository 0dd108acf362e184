"""Where the time of a step goes: data, teacher, inner maximisation, outer minimisation.

On the CPU every step is measured. On a GPU one step of each report is: events are recorded in its stream and read when
the report waits for the device anyway, so that no step waits for the clock.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

PARTS = ("data", "teacher", "inner", "outer")
GRAPH = "graph"  # a replayed step: it is split as the last eager step was
Mark = float | torch.cuda.Event


class StepClock:
    """Shares of the time since the last report, by part; a part within another is taken off the outer one."""

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._spans: list[tuple[str, Mark, Mark]] = []  # part, its begin and its end
        self._split = {"outer": 1.0}  # of a step without its data, as it was measured last
        self._sampled = self._cuda  # on a GPU: a step of this report was measured; the very first one is not typical
        self._open: list[str] = []  # the parts we are in, outermost first
        self._since: Mark = 0.0

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Within, time counts for `name`, one of PARTS or GRAPH. Nothing is measured while a graph is captured."""
        skipped = not self._open and self._cuda and self._sampled
        if skipped or (self._cuda and torch.cuda.is_current_stream_capturing()):
            yield
            return
        self._switch(name)
        try:
            yield
        finally:
            self._switch(None)

    def step_ended(self) -> None:
        """On a GPU, measure nothing more until the next report."""
        self._sampled = any(part != "data" for part, _began, _ended in self._spans)

    def shares(self) -> dict[str, float]:
        """Fractions that add up to 1, since the last call; empty where nothing was measured."""
        seconds = dict.fromkeys((*PARTS, GRAPH), 0.0)
        for part, began, ended in self._spans:
            seconds[part] += _seconds(began, ended)
        self._spans.clear()
        self._sampled = False
        replayed = seconds.pop(GRAPH)
        step = {part: time for part, time in seconds.items() if part != "data"}
        if sum(step.values()) > replayed:
            self._split = {part: time / sum(step.values()) for part, time in step.items()}
        for part, share in self._split.items():
            seconds[part] += share * replayed
        whole = sum(seconds.values())
        return {part: time / whole for part, time in seconds.items()} if whole else {}

    def _switch(self, name: str | None) -> None:
        """End the current part; begin `name`, or go back to the part around it (None)."""
        now = self._now()
        if self._open:
            self._spans.append((self._open[-1], self._since, now))
        if name is None:
            self._open.pop()
        else:
            self._open.append(name)
        self._since = now

    def _now(self) -> Mark:
        if not self._cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event


def _seconds(began: Mark, ended: Mark) -> float:
    if isinstance(began, float) and isinstance(ended, float):
        return ended - began
    assert isinstance(began, torch.cuda.Event) and isinstance(ended, torch.cuda.Event)
    ended.synchronize()
    milliseconds: float = began.elapsed_time(ended)
    return milliseconds / 1000
