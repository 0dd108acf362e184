"""PGD on the margin, max over c != y of z_c - z_y: what the field calls CW_inf. The scale of the logits cancels.

The loss is Carlini and Wagner's (2017, arXiv:1608.04644) without its clamp; the climb is Madry's.
"""

from functools import partial

from engine.ascent import ascend_with_restarts
from engine.losses import margin

attack = partial(ascend_with_restarts, margin)
