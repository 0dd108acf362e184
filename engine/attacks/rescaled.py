"""PGD on the cross-entropy of s z for several scales s; an image is robust only when it survives them all.

Large logits make the softmax one-hot and its gradient zero; s < 1 undoes that. Every scale starts from the same noise.
"""

import torch
from torch import Tensor, nn

from engine.ascent import ascend
from engine.losses import cross_entropy
from engine.spec.attacks import PGDRescaled, ThreatModel
from engine.types import Images, Labels


def attack(net: nn.Module, x: Images, y: Labels, threat_model: ThreatModel, spec: PGDRescaled) -> Images:
    """Of each image, the first scale and restart that fools the net; the last try where none does."""
    x_adv = x
    survives = torch.ones_like(y, dtype=torch.bool)  # B
    for scale in spec.scales:

        def objective(z: Tensor, scale: float = scale) -> Tensor:
            return cross_entropy(scale * net(z), y)

        devices = [x.device] if x.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            for _ in range(spec.restarts):
                if not bool(survives.any()):
                    return x_adv
                tried = ascend(objective, x, threat_model, spec)
                x_adv = torch.where(survives[:, None, None, None], tried, x_adv)
                with torch.no_grad():
                    survives = survives & (net(tried).argmax(dim=1) == y)
    return x_adv
