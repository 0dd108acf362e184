"""PGD on the cross-entropy. With start = "clean" it is bit for bit foolbox's LinfPGD without random start.

Madry et al., ICLR 2018, arXiv:1706.06083. Blind to gradients that vanish because the logits are large.
"""

from torch import nn

from engine.ascent import Mask, ascend_with_restarts
from engine.losses import cross_entropy
from engine.spec.attacks import PGD, PGDSAT, PGDTRADES, ThreatModel
from engine.types import Images, Labels


def attack(
    net: nn.Module,
    x: Images,
    y: Labels,
    threat_model: ThreatModel,
    spec: PGD | PGDSAT | PGDTRADES,
    standing: Mask | None = None,
) -> Images:
    """Of each image, the first restart that fools the net; the last restart where none does.

    `standing`: who is to be fooled by protocol `worst`, each by its first iterate that does; None is last_iterate.
    """
    return ascend_with_restarts(net, cross_entropy, x, y, threat_model, spec, standing)
