"""What an epoch adds up to: mean losses and accuracies per class, kept on the device so that no step waits for it."""

import math
import time
from typing import Any

import torch
from torch import Tensor

from engine.metrics import PerClassAccuracy
from engine.types import Labels, Loss


class EpochMetrics:
    """Sums over the steps of one epoch. Part of the checkpoint, so that a resumed epoch reports the same means."""

    def __init__(self, classes: int, device: torch.device) -> None:
        self._device = device
        self._names: list[str] = []  # "loss", then the terms, in the method's order
        self._epoch = self._report = torch.zeros(0, dtype=torch.float64, device=device)  # sums per name
        self._broken = torch.zeros(0, dtype=torch.bool, device=device)
        self._steps = self._reported = 0
        self._counts = {view: PerClassAccuracy(classes, device) for view in ("clean", "robust")}
        self._began, self._earlier = time.monotonic(), 0.0

    def add(self, loss: Loss, y: Labels) -> None:
        """Count one step. Nothing is copied to the host."""
        values = torch.stack([loss.total.detach(), *(term.detach() for term in loss.terms.values())]).double()
        if not self._names:
            self._names = ["loss", *loss.terms]
            self._epoch, self._report = torch.zeros_like(values), torch.zeros_like(values)
            self._broken = torch.zeros_like(values, dtype=torch.bool)
        self._epoch, self._report = self._epoch + values, self._report + values
        self._broken |= ~torch.isfinite(values)
        self._steps += 1
        for view, logits in (("clean", loss.clean), ("robust", loss.robust)):
            if logits is not None:
                self._counts[view].count(logits, y)

    def broken(self) -> list[str]:
        """The parts that were not finite in some step."""
        return [name for name, broken in zip(self._names, self._broken.tolist(), strict=True) if broken]

    def since_report(self) -> tuple[float | None, dict[str, float | None]]:
        """Mean loss and terms since this was last asked."""
        means = self._means(self._report, self._steps - self._reported)
        self._report, self._reported = torch.zeros_like(self._report), self._steps
        return means

    def of_epoch(self) -> tuple[float | None, dict[str, float | None]]:
        """Mean loss and terms of the epoch."""
        return self._means(self._epoch, self._steps)

    def accuracy(self, view: str) -> list[float]:
        """Per class, of the student's answers during training on `clean` or `robust` images; empty if it gave none."""
        seen, hits = self._counts[view].seen.tolist(), self._counts[view].hits.tolist()
        return [h / n if n else 0.0 for h, n in zip(hits, seen, strict=True)] if any(seen) else []

    @property
    def seconds(self) -> float:
        """Spent on the epoch, by all engines that worked on it."""
        return self._earlier + time.monotonic() - self._began

    def clear(self) -> None:
        self._epoch, self._report = torch.zeros_like(self._epoch), torch.zeros_like(self._report)
        self._steps = self._reported = 0
        for counts in self._counts.values():
            counts.renew()
        self._began, self._earlier = time.monotonic(), 0.0

    def state_dict(self) -> dict[str, Any]:
        return {
            "names": self._names,
            "epoch": self._epoch,
            "report": self._report,
            "broken": self._broken,
            "steps": [self._steps, self._reported],
            "hits": {view: counts.hits for view, counts in self._counts.items()},
            "seen": {view: counts.seen for view, counts in self._counts.items()},
            "seconds": self.seconds,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._names = state["names"]
        self._epoch, self._report, self._broken = (state[k].to(self._device) for k in ("epoch", "report", "broken"))
        self._steps, self._reported = state["steps"]
        for view, counts in self._counts.items():
            counts.hits.copy_(state["hits"][view])
            counts.seen.copy_(state["seen"][view])
        self._began, self._earlier = time.monotonic(), state["seconds"]

    def _means(self, sums: Tensor, steps: int) -> tuple[float | None, dict[str, float | None]]:
        values = [value / steps if steps and math.isfinite(value) else None for value in sums.tolist()]
        named = dict(zip(self._names, values, strict=True))
        return named.pop("loss", None), named
