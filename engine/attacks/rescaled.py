"""PGD on the cross-entropy of s z for several scales s; an image is robust only when it survives them all.

Large logits make the softmax one-hot and its gradient zero; s < 1 undoes that. Every scale starts from the same noise.
"""

import torch
from torch import Tensor, nn

from engine.ascent import Mask, climb, survivors
from engine.losses import cross_entropy
from engine.spec.attacks import PGDRescaled, ThreatModel
from engine.types import Images, Labels, Logits


def attack(
    net: nn.Module, x: Images, y: Labels, threat_model: ThreatModel, spec: PGDRescaled, standing: Mask | None = None
) -> Images:
    """Of each image, the first scale and restart that fools the net; the last try where none does.

    `standing`: who is to be fooled by protocol `worst`, each by its first iterate that does; None is last_iterate.
    """
    x_adv, worst = x, standing is not None
    survives = torch.ones_like(y, dtype=torch.bool) if standing is None else standing  # B
    for scale in spec.scales:

        def loss(logits: Logits, labels: Labels, scale: float = scale) -> Tensor:
            return cross_entropy(scale * logits, labels)

        devices = [x.device] if x.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            for _ in range(spec.restarts):
                if not bool(survives.any()):
                    return x_adv
                tried = climb(net, loss, x, y, threat_model, spec, survives if worst else None)
                x_adv = torch.where(survives[:, None, None, None], tried, x_adv)
                survives = survives & survivors(net, tried, y, survives if worst else None)
    return x_adv
