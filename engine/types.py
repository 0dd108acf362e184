"""Shapes and small types of the engine.

Shape legend, used everywhere:  B batch   C channels   H height   W width   K classes
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.optim import Optimizer

Images: TypeAlias = Float[Tensor, "B C H W"]  # pixels in [0, 1]; normalisation is a layer inside the model
Labels: TypeAlias = Int[Tensor, " B"]
Logits: TypeAlias = Float[Tensor, "B K"]
Probs: TypeAlias = Float[Tensor, "B K"]
PerExample: TypeAlias = Float[Tensor, " B"]
Scalar: TypeAlias = Float[Tensor, ""]

Objective: TypeAlias = Callable[[Tensor], Tensor]  # x_adv -> B numbers that the adversary maximises
Maximise: TypeAlias = Callable[[Objective, Tensor], Tensor]  # objective, x -> x_adv


class Nets(NamedTuple):
    """Student, teacher, and what they classify."""

    student: nn.Module
    teacher: nn.Module | None
    classes: int
    device: torch.device = torch.device("cpu")


class Loss(NamedTuple):
    """The scalar to minimise, and its named parts for the log.

    `clean` and `robust` are the student's logits on x and x_adv (B K, detached), for the accuracies
    per class that an epoch reports; a method that never computes one of them leaves it None.
    """

    total: Tensor
    terms: dict[str, Tensor]
    clean: Tensor | None = None
    robust: Tensor | None = None


class ClassReport(NamedTuple):
    """What a method measured of its teacher during an epoch, for the log: fractions per class and matrices."""

    teacher_clean: Sequence[float] = ()
    teacher_robust: Sequence[float] = ()
    recall_clean: Sequence[float] = ()
    recall_robust: Sequence[float] = ()
    acm_clean: Sequence[Sequence[float]] = ()
    acm_robust: Sequence[Sequence[float]] = ()


class TrainingMethod(ABC):
    """What every file in engine/methods offers as `Method(hp, nets)`. It has no memory unless it says so."""

    @abstractmethod
    def loss(self, x: Images, y: Labels, maximise: Maximise) -> Loss:
        """One batch, as the paper writes it: ask the teacher, find x_adv, compare."""

    def epoch_started(self, epoch: int, epochs: int) -> None:  # noqa: B027
        """Called before each epoch, counted from 1."""

    def epoch_ended(self) -> None:  # noqa: B027
        """Called after each epoch."""

    def report(self) -> ClassReport:
        """What the epoch taught about the teacher; asked for just before `epoch_ended`."""
        return ClassReport()

    def optimizers(self) -> Sequence[Optimizer]:
        """Of the method's own parameters, beside the student's."""
        return ()

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run must remember."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: B027
        """The inverse of state_dict."""


class Split(NamedTuple):
    """Images and labels of one split: uint8 N C H W in [0, 255] and int64 N, wherever they lie."""

    images: Tensor
    labels: Tensor


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """What every file in engine/data gives from `load(spec, folder)`: the official splits, whole, on the CPU."""

    train: Split
    test: Split
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()  # what was passed over or converted on the way

    @property
    def image(self) -> tuple[int, int, int]:
        """C, H, W of its images."""
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width
