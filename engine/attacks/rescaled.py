"""PGD on the cross-entropy of rescaled logits; an image is robust only when it survives all scales.

Large logits make the softmax one-hot and its gradient zero, small ones make all images alike; a scale undoes that.
Relative scales see the same logits whatever constant they were multiplied with, or what was added to them.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from engine.ascent import LogitLoss, Mask, ascend_by_protocol, still_correct
from engine.losses import cross_entropy
from engine.spec.attacks import PGDRescaled, ThreatModel
from engine.types import Images, Labels, Logits, PerExample

LEAST = 1e-12  # spread of logits that counts; below, they are taken for equal


def attack(
    net: nn.Module, x: Images, y: Labels, threat_model: ThreatModel, spec: PGDRescaled, standing: Mask | None = None
) -> Images:
    """Of each image the first scale and restart that is misclassified; the last one where none is.

    `standing`: the images to attack by protocol `worst`, each until its first iterate that is misclassified; None is
    last_iterate.
    """
    x_adv, worst = x, standing is not None
    survives = torch.ones_like(y, dtype=torch.bool) if standing is None else standing  # B
    for loss, noise in _losses(spec, x.device):
        with noise:
            for _ in range(spec.restarts):
                if not bool(survives.any()):
                    return x_adv
                tried = ascend_by_protocol(net, loss, x, y, threat_model, spec, survives if worst else None)
                x_adv = torch.where(survives[:, None, None, None], tried, x_adv)
                survives = survives & still_correct(net, tried, y, survives if worst else None)
    return x_adv


def _losses(spec: PGDRescaled, device: torch.device) -> Iterator[tuple[LogitLoss, AbstractContextManager[None]]]:
    """Each loss to climb on, and a context for its noise: `scales` start from the same noise, relative ones from new.

    A climb from new noise is a restart, so that as many restarts of PGD are the same work.
    """

    def absolute(scale: float) -> LogitLoss:
        return lambda logits, labels: cross_entropy(scale * logits, labels)

    def relative(scale: float) -> LogitLoss:
        return lambda logits, labels: cross_entropy(scale * in_units_of_spread(logits), labels)

    for scale in spec.scales or ():
        yield absolute(scale), torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])
    for scale in spec.relative_scales or ():
        yield relative(scale), nullcontext()


def in_units_of_spread(logits: Logits) -> Logits:
    """(z - max z) / (max z - mean z) of each image, the units being constants to a gradient."""
    below = logits - logits.detach().amax(dim=1, keepdim=True)  # B K
    spread: PerExample = -below.detach().mean(dim=1)
    scaled: Tensor = below / spread.clamp_min(LEAST)[:, None]
    return scaled
