"""PGD on the cross-entropy. With start = "clean" it is bit for bit foolbox's LinfPGD without random start.

Madry et al., ICLR 2018, arXiv:1706.06083. Blind to gradients that vanish because the logits are large.
"""

import torch
from torch import nn

from engine.ascent import ascend
from engine.losses import cross_entropy
from engine.spec.attacks import PGD, PGDSAT, PGDTRADES, ThreatModel
from engine.types import Images, Labels


def attack(net: nn.Module, x: Images, y: Labels, threat_model: ThreatModel, spec: PGD | PGDSAT | PGDTRADES) -> Images:
    """Of each image, the first restart that fools the net; the last restart where none does."""
    x_adv = ascend(lambda z: cross_entropy(net(z), y), x, threat_model, spec)
    for _ in range(spec.restarts - 1):
        with torch.no_grad():
            survives = net(x_adv).argmax(dim=1) == y  # B
        if not bool(survives.any()):
            break
        again = ascend(lambda z: cross_entropy(net(z), y), x, threat_model, spec)
        x_adv = torch.where(survives[:, None, None, None], again, x_adv)
    return x_adv
