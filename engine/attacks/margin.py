"""PGD on the margin, max over c != y of z_c - z_y: what the field calls CW_inf. The scale of the logits cancels.

The loss is Carlini and Wagner's (2017, arXiv:1608.04644) without its clamp; the climb is Madry's.
"""

from torch import nn

from engine.ascent import Mask, ascend_with_restarts
from engine.losses import margin
from engine.spec.attacks import CWInf, ThreatModel
from engine.types import Images, Labels


def attack(
    net: nn.Module, x: Images, y: Labels, threat_model: ThreatModel, spec: CWInf, standing: Mask | None = None
) -> Images:
    """Of each image, the first restart that fools the net; the last restart where none does.

    `standing`: who is to be fooled by protocol `worst`, each by its first iterate that does; None is last_iterate.
    """
    return ascend_with_restarts(net, margin, x, y, threat_model, spec, standing)
