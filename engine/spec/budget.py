"""What an estimate holds: the passes, FLOPs, memory and disk of one run. None is what cannot be known beforehand."""

from dataclasses import dataclass

from engine.spec.cost import ModelCost
from engine.spec.passes import Passes


@dataclass(frozen=True, kw_only=True)
class AttackCost:
    """Of one attack of the evaluation, over all checkpoints that are judged."""

    attack: str
    forwards: int  # per image, an input backward counted as one
    images: int
    flops: int


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes in float32 beside what PyTorch itself takes."""

    weights: int
    gradients: int
    momentum: int
    activations: int  # of all forwards whose graphs wait for the backward pass of one step
    teacher: int | None  # weights; None when its architecture is not known
    data: int  # uint8 images and int64 labels of the training split
    evaluation: int  # weights and activations of one attack step at the evaluation's batch size

    @property
    def training(self) -> int:
        """While training; without the teacher where that is not known."""
        return self.weights + self.gradients + self.momentum + self.activations + (self.teacher or 0) + self.data

    @property
    def peak(self) -> int:
        """The larger of training and evaluation, which do not overlap."""
        return max(self.training, self.evaluation)


@dataclass(frozen=True, kw_only=True)
class Disk:
    """Bytes of the run folder."""

    checkpoints: int  # the newest and the one before it: weights and momentum
    weights: int  # best and last
    events: int
    results: int  # outcomes of every image, and the gallery's pixels

    @property
    def total(self) -> int:
        """Of the whole folder."""
        return self.checkpoints + self.weights + self.events + self.results


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Of one run, without that of its teacher's training."""

    passes: Passes  # of one step; IAD's first epochs take fewer
    student: ModelCost | None
    teacher: ModelCost | None
    needs_teacher: bool
    images: int | None  # seen per epoch
    steps: int | None  # of the whole run
    flops_per_image: int | None  # of one training step
    training_flops: int | None
    validation_flops: int | None
    evaluation: tuple[AttackCost, ...]
    checks: AttackCost | None  # of the evaluation's figures; None where none are made
    evaluation_flops: int | None  # with its checks
    memory: Memory | None
    disk: Disk | None

    @property
    def flops(self) -> int | None:
        """Of training, validation and evaluation together."""
        parts = (self.training_flops, self.validation_flops, self.evaluation_flops)
        known = [part for part in parts if part is not None]
        return sum(known) if len(known) == len(parts) else None
