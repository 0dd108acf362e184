"""Where the time of a step goes: data, teacher, inner maximisation, outer minimisation.

On the CPU every step is measured. On a GPU, where the host runs ahead, one step of each report is: events are put
into its stream and read when the report waits for the device anyway, so that no step waits for the clock.
"""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch

PARTS = ("data", "teacher", "inner", "outer")
GRAPH = "graph"  # a replayed step: nobody sees into it, so it is split as the steps before it were
Mark = float | torch.cuda.Event


class Span(NamedTuple):
    """One stretch of one part of a step."""

    part: str
    began: Mark
    ended: Mark


class StepClock:
    """Splits the time since the last report; a part within another is taken off the outer one."""

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._spans: deque[Span] = deque()
        self._split = {"outer": 1.0}  # of a step without its data, as it was measured last
        self._sampled = self._cuda  # on a GPU: a step of this report has been measured; the very first is no example
        self._open: list[str] = []  # the parts we are in, outermost first
        self._since: Mark = 0.0

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Inside, time belongs to `name`, one of PARTS or GRAPH. Nothing is measured while a graph is captured."""
        skipped = not self._open and self._cuda and self._sampled
        if skipped or (self._cuda and torch.cuda.is_current_stream_capturing()):
            yield
            return
        self._turn(name)
        try:
            yield
        finally:
            self._turn(None)

    def step_ended(self) -> None:
        """On a GPU one step was enough until the next report."""
        self._sampled = any(span.part != "data" for span in self._spans)

    def shares(self) -> dict[str, float]:
        """Fractions that add up to 1, since this was last asked; empty where nothing was measured."""
        seconds = dict.fromkeys((*PARTS, GRAPH), 0.0)
        for span in self._spans:
            seconds[span.part] += _seconds(span.began, span.ended)
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

    def _turn(self, name: str | None) -> None:
        """The part that was under way ends here; `name` begins, or None goes back to the one around it."""
        now = self._now()
        if self._open:
            self._spans.append(Span(self._open[-1], self._since, now))
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
