"""PGD on the cross-entropy. With start = "clean" it is bit for bit foolbox's LinfPGD without random start.

Madry et al., ICLR 2018, arXiv:1706.06083. Blind to gradients that vanish because the logits are large.
"""

from functools import partial

from engine.ascent import ascend_with_restarts
from engine.losses import cross_entropy

attack = partial(ascend_with_restarts, cross_entropy)
