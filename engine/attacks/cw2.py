"""The closest adversarial image in L2: Adam in tanh space, and a search over the constant c for each image.

Carlini and Wagner, S&P 2017, arXiv:1608.04644, section V. No decision looks at batch mates: each image has its own c,
its own Adam and its own early end. The change of variables x = (tanh w + 1) / 2 has no gradient at pixels 0 and 1
(w infinite), so x is first drawn into [EDGE, 1 - EDGE]; distances are measured from the true x all the same.
"""

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from engine.losses import margin
from engine.spec.attacks import CW2, ThreatModel
from engine.types import Images, Labels, PerExample

EDGE = 1e-4  # pixel units; a black image starts 1e-4 sqrt(C H W) away from itself: 0.006 for CIFAR
CHECKS = 10  # an image whose loss has not fallen since the last tenth of the steps is left alone
PROGRESS = 0.9999
FIRST_DECAY, SECOND_DECAY, TINY = 0.9, 0.999, 1e-8  # of Adam


def attack(net: nn.Module, x: Images, y: Labels, threat_model: ThreatModel, spec: CW2) -> Images:
    """The closest x_adv that the net mistakes by more than `confidence`; x itself where none was found."""
    best, best_distance = x.clone(), torch.full_like(x[:, 0, 0, 0], torch.inf)
    low, high = torch.zeros_like(best_distance), torch.full_like(best_distance, torch.inf)
    c = torch.full_like(best_distance, spec.initial_constant)
    for _ in range(spec.search_steps):
        found, distance, x_adv = _descend(net, x, y, c, spec)
        closer = distance < best_distance
        best = torch.where(closer[:, None, None, None], x_adv, best)
        best_distance = torch.where(closer, distance, best_distance)
        high, low = torch.where(found, c, high), torch.where(found, low, c)
        c = torch.where(high.isinf(), 10 * c, (low + high) / 2)
    return best


def _descend(
    net: nn.Module, x: Images, y: Labels, c: PerExample, spec: CW2
) -> tuple[Bool[Tensor, " B"], PerExample, Images]:
    """Minimise ||x_adv - x||^2 + c max(0, confidence - margin): whether, how near, and where the net was fooled."""
    found = torch.zeros_like(y, dtype=torch.bool)
    nearest, best = torch.full_like(c, torch.inf), x.clone()
    active = torch.arange(len(y), device=x.device)  # images still descending
    origin = torch.atanh(2 * x.clamp(EDGE, 1 - EDGE) - 1)
    w, first, second = origin, torch.zeros_like(x), torch.zeros_like(x)
    previous = torch.full_like(c, torch.inf)
    every = -(-spec.steps // CHECKS)
    for step in range(spec.steps):
        start, labels = x[active], y[active]
        w.requires_grad_()
        x_adv = (w.tanh() + 1) / 2
        lead = margin(net(x_adv), labels)
        squared = (x_adv - (origin[active].tanh() + 1) / 2).square().flatten(1).sum(dim=1)
        loss = squared + c[active] * (spec.confidence - lead).clamp(min=0)
        (gradient,) = torch.autograd.grad(loss.sum(), w)
        w, x_adv, loss = w.detach(), x_adv.detach(), loss.detach()

        distance = (x_adv - start).square().flatten(1).sum(dim=1).sqrt()
        fooled = lead.detach() > spec.confidence
        closer = fooled & (distance < nearest[active])
        found[active] |= fooled
        nearest[active[closer]], best[active[closer]] = distance[closer], x_adv[closer]

        first = FIRST_DECAY * first + (1 - FIRST_DECAY) * gradient
        second = SECOND_DECAY * second + (1 - SECOND_DECAY) * gradient.square()
        upward = first / (1 - FIRST_DECAY ** (step + 1))
        scale = (second / (1 - SECOND_DECAY ** (step + 1))).sqrt() + TINY
        w = w - spec.learning_rate * upward / scale

        if step % every == 0:
            falling = loss <= PROGRESS * previous[active]
            previous[active] = loss
            active, w, first, second = active[falling], w[falling], first[falling], second[falling]
            if len(active) == 0:
                break
    return found, nearest, best
