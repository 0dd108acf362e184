"""FGSM: one sign step of length epsilon on the cross-entropy, from the clean image.

Goodfellow, Shlens and Szegedy, ICLR 2015, arXiv:1412.6572. Bit for bit foolbox's LinfFastGradientAttack.
"""

from torch import nn

from engine.ascent import ascend
from engine.losses import cross_entropy
from engine.spec.attacks import FGSM, Ascent, ThreatModel
from engine.types import Images, Labels


def attack(net: nn.Module, x: Images, y: Labels, threat_model: ThreatModel, spec: FGSM) -> Images:
    """x + epsilon sign(grad CE), clamped to [0, 1]."""
    one_step = Ascent(steps=1, step_size=threat_model.epsilon, start="clean")
    return ascend(lambda x_adv: cross_entropy(net(x_adv), y), x, threat_model, one_step)
