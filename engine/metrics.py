"""Accuracy per class, counted image by image during an epoch.

It counts on the device and in integers: no step waits for it, and the order of the batches does not matter.
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from engine.types import ClassReport, Labels, Logits, TrainingMethod

CPU = torch.device("cpu")


class Counts(NamedTuple):
    """Images classified right, and images seen, of each class (K, K)."""

    hits: Tensor
    seen: Tensor


class PerClassAccuracy(nn.Module):
    """Hits and images of each true class in this epoch; the whole state is in buffers."""

    hits: Int[Tensor, " K"]
    seen: Int[Tensor, " K"]
    previous: Float[Tensor, " K"]

    def __init__(self, classes: int, device: torch.device = CPU) -> None:
        super().__init__()
        self.register_buffer("hits", torch.zeros(classes, dtype=torch.int64, device=device))
        self.register_buffer("seen", torch.zeros(classes, dtype=torch.int64, device=device))
        # a class never seen keeps 1, as in the first M = I
        self.register_buffer("previous", torch.ones(classes, device=device))

    @torch.no_grad()
    def count(self, logits: Logits, y: Labels) -> Counts:
        """Add a batch of logits; returns the counts of this batch alone."""
        right = (logits.argmax(dim=1) == y).to(self.hits)  # B
        hits = torch.zeros_like(self.hits).index_add_(0, y, right)
        seen = torch.zeros_like(self.seen).index_add_(0, y, torch.ones_like(right))
        self.hits += hits
        self.seen += seen
        return Counts(hits, seen)

    @property
    def accuracy(self) -> Float[Tensor, " K"]:
        """Fraction right per class in this epoch; of a class not seen in it, the figure of the epoch before."""
        return torch.where(self.seen > 0, self.hits / self.seen.clamp(min=1), self.previous)

    def listed(self) -> list[float]:
        """The accuracies as Python numbers, for the log. It waits for the device: call it once per epoch."""
        fractions: list[float] = self.accuracy.double().tolist()
        return fractions

    @torch.no_grad()
    def renew(self) -> None:
        """Begin the next epoch: count from zero."""
        self.previous.copy_(self.accuracy)
        self.hits.zero_()
        self.seen.zero_()


class ReportsTeacherAccuracy(TrainingMethod):
    """A method whose only state is the teacher's accuracy per class on x, for the log."""

    recall: PerClassAccuracy

    def report(self) -> ClassReport:
        """The teacher's accuracy per class on x."""
        return ClassReport(teacher_clean=self.recall.listed())

    def epoch_ended(self) -> None:
        self.recall.renew()

    def state_dict(self) -> dict[str, Any]:
        return {"recall": self.recall.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.recall.load_state_dict(state["recall"])
