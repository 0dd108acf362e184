"""The inner maximisation: climb an objective without leaving the threat model.

Projected gradient ascent. Madry et al., ICLR 2018, arXiv:1706.06083, section 2.1.
"""

import torch

from engine.spec.attacks import Ascent, ThreatModel
from engine.types import Images, Objective

TOLERANCE = 1e-6  # float32 rounding of x + epsilon; 8/255 overshoots by 3e-8 in every library


def ascend(objective: Objective, x: Images, threat_model: ThreatModel, spec: Ascent) -> Images:
    """x_adv near x that makes the objective large: within epsilon of x, and within [0, 1].

    Only the gradient with respect to x_adv is taken; no parameter receives one.
    The projection clamps the difference, adds it to x, then clamps to [0, 1]: bit for bit what foolbox does.
    """
    epsilon, step_size = float(threat_model.epsilon), float(spec.step_size)
    x_adv = begin(x, threat_model, spec)
    for _ in range(spec.steps):
        x_adv.requires_grad_()
        (gradient,) = torch.autograd.grad(objective(x_adv).sum(), x_adv)
        x_adv = x_adv.detach() + step_size * gradient.sign()
        x_adv = (x + (x_adv - x).clamp(-epsilon, epsilon)).clamp(0.0, 1.0)
    return x_adv


def begin(x: Images, threat_model: ThreatModel, spec: Ascent) -> Images:
    """The point where the climb starts."""
    epsilon = float(threat_model.epsilon)
    match spec.start:
        case "clean":
            return x.clone()
        case "uniform":
            return (x + torch.empty_like(x).uniform_(-epsilon, epsilon)).clamp(0.0, 1.0)
        case "gaussian":  # TRADES: not clipped here, the first projection does it
            return x + 0.001 * torch.randn_like(x)


def assert_inside(x_adv: Images, x: Images, threat_model: ThreatModel) -> None:
    """Raise unless every adversarial image is finite, in [0, 1], and in the ball."""
    if not bool(torch.isfinite(x_adv).all()):
        raise AssertionError("an adversarial image holds a value that is not finite")
    lowest, highest = float(x_adv.min()), float(x_adv.max())
    if lowest < 0.0 or highest > 1.0:
        raise AssertionError(f"an adversarial image leaves [0, 1]: {lowest:.3g} to {highest:.9g}")
    distance = float((x_adv - x).abs().max())
    if distance > float(threat_model.epsilon) + TOLERANCE:
        raise AssertionError(f"an adversarial image leaves the ball: {distance:.9g} > {threat_model.epsilon}")
