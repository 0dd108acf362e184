"""PGD on the margin, max over c != y of z_c - z_y: what the field calls CW_inf. The scale of the logits cancels.

The loss is Carlini and Wagner's (2017, arXiv:1608.04644) without its clamp; the climb is Madry's.
"""

import torch
from torch import nn

from engine.ascent import ascend
from engine.losses import margin
from engine.spec.attacks import CWInf, ThreatModel
from engine.types import Images, Labels


def attack(net: nn.Module, x: Images, y: Labels, threat_model: ThreatModel, spec: CWInf) -> Images:
    """Of each image, the first restart that fools the net; the last restart where none does."""
    x_adv = ascend(lambda z: margin(net(z), y), x, threat_model, spec)
    for _ in range(spec.restarts - 1):
        with torch.no_grad():
            survives = net(x_adv).argmax(dim=1) == y  # B
        if not bool(survives.any()):
            break
        again = ascend(lambda z: margin(net(z), y), x, threat_model, spec)
        x_adv = torch.where(survives[:, None, None, None], again, x_adv)
    return x_adv
