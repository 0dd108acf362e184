"""Distances between predictions. Each sums over the K classes and returns one number per image."""

import torch
from torch import nn
from torch.nn import functional as F

from engine.spec.methods import Reduction
from engine.types import Images, Labels, Logits, PerExample, Probs, Scalar


@torch.no_grad()
def ask(teacher: nn.Module, x: Images) -> Logits:
    """A teacher's logits, without a graph. The one place where teachers are evaluated."""
    logits: Logits = teacher(x)
    return logits


def soften(logits: Logits, temperature: float = 1.0) -> Probs:
    """Soft labels: softmax(z / T)."""
    return F.softmax(logits / temperature, dim=1)


def kl(logits: Logits, soft_labels: Probs, temperature: float = 1.0) -> PerExample:
    """KL(soft_labels || softmax(logits / T)): 0 when they are equal."""
    log_probs = F.log_softmax(logits / temperature, dim=1)  # B K
    return F.kl_div(log_probs, soft_labels, reduction="none").sum(dim=1)


def kl_between(logits: Logits, target: Logits) -> PerExample:
    """KL(softmax(target) || softmax(logits)), with a gradient into both.

    It stays in log space: `kl` with a live target has gradient 0 / 0 where a probability underflows to 0.
    """
    log_target = F.log_softmax(target, dim=1)  # B K
    return (log_target.exp() * (log_target - F.log_softmax(logits, dim=1))).sum(dim=1)


def reduce(per_example: PerExample, reduction: Reduction, classes: int) -> Scalar:
    """Mean over the batch; `elmean` divides by the K classes, too, as `nn.KLDivLoss()` does."""
    mean = per_example.mean()
    return mean / classes if reduction == "elmean" else mean


def cross_entropy(logits: Logits, labels: Labels) -> PerExample:
    """-log softmax(z)_y."""
    return F.cross_entropy(logits, labels, reduction="none")


def margin(logits: Logits, labels: Labels) -> PerExample:
    """max over c != y of z_c, less z_y: positive when the image is misclassified.

    The true class is taken out with minus infinity; multiplying by (1 - onehot) would fail on negative logits.
    """
    others = logits.scatter(1, labels[:, None], -torch.inf)  # B K
    return others.amax(dim=1) - logits.gather(1, labels[:, None]).squeeze(1)
