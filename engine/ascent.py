"""The inner maximisation: projected gradient ascent within the threat model.

Madry et al., ICLR 2018, arXiv:1706.06083, section 2.1. `ascend` returns the last iterate (protocol `last_iterate`);
`ascend_worst` stops for each image at its first misclassified iterate (protocol `worst`).
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

from engine.spec.attacks import Ascent, Restarted, ThreatModel
from engine.types import Images, Labels, Logits, Objective

TOLERANCE = 1e-6  # float32 rounding of x + epsilon; 8/255 overshoots by 3e-8 in every library
CERTAIN = 1e-4  # of the largest |z|: by so much must a wrong class lead, more than the order of sums may explain
SIZES = 4  # of compacted batches, between two powers of two: shapes repeat, and at most a fifth of a batch is idle

LogitLoss = Callable[[Logits, Labels], Tensor]  # B numbers that the adversary maximises
Mask = Bool[Tensor, " B"]


def ascend(objective: Objective, x: Images, threat_model: ThreatModel, spec: Ascent) -> Images:
    """x_adv near x that makes the objective large: within epsilon of x, and within [0, 1].

    Only the gradient with respect to x_adv is taken; no parameter receives one.
    The projection clamps the difference, adds it to x, then clamps to [0, 1]: bit for bit what foolbox does.
    """
    epsilon, step_size = float(threat_model.epsilon), float(spec.step_size)
    x_adv = start_point(x, threat_model, spec)
    for _ in range(spec.steps):
        x_adv.requires_grad_()
        (gradient,) = torch.autograd.grad(objective(x_adv).sum(), x_adv)
        x_adv = x_adv.detach() + step_size * gradient.sign()
        x_adv = (x + (x_adv - x).clamp(-epsilon, epsilon)).clamp(0.0, 1.0)
    return x_adv


def ascend_worst(
    net: nn.Module, loss: LogitLoss, x: Images, y: Labels, threat_model: ThreatModel, spec: Ascent, standing: Mask
) -> Images:
    """Ascend loss(net(x_adv), y) for the images where `standing`, each up to its first misclassified iterate.

    The others are returned as x. Predictions are read off the forward that the gradient needs anyway, so those of the
    last iterate are not known: an image that was never misclassified returns it. The start is an iterate unless it is
    gaussian noise, which may lie outside of [0, 1].

    The noise is drawn for the whole batch, so no image's path depends on which others are still in it. The batch
    shrinks as images leave, in few sizes; rows left over are filled with images that are out, whose paths are unused.
    """
    epsilon, step_size = float(threat_model.epsilon), float(spec.step_size)
    x_adv, start = x.clone(), start_point(x, threat_model, spec)
    rows, up = _compact(
        torch.arange(len(x), device=x.device), standing
    )  # places in the batch; whether each is ascended
    z = start[rows]
    if not bool(up.any()):
        return x_adv
    for step in range(spec.steps):
        z.requires_grad_()
        logits = net(z)
        if step or spec.start != "gaussian":
            fooled = up & certainly_misclassified(logits.detach(), y[rows])
            x_adv[rows[fooled]] = z.detach()[fooled]
            up = up & ~fooled
            if not bool(up.any()):
                return x_adv
        (gradient,) = torch.autograd.grad(loss(logits, y[rows]).sum(), z)
        z = z.detach() + step_size * gradient.sign()
        z = (x[rows] + (z - x[rows]).clamp(-epsilon, epsilon)).clamp(0.0, 1.0)
        if compact_size(int(up.sum())) < len(up):
            chosen, up = _compact(torch.arange(len(up), device=x.device), up)
            rows, z = rows[chosen], z[chosen]
    x_adv[rows[up]] = z[up]
    return x_adv


def ascend_by_protocol(
    net: nn.Module,
    loss: LogitLoss,
    x: Images,
    y: Labels,
    threat_model: ThreatModel,
    spec: Ascent,
    standing: Mask | None,
) -> Images:
    """By either protocol: `standing` None is last_iterate; else `worst`, for the images where it is true."""
    if standing is None:
        return ascend(lambda z: loss(net(z), y), x, threat_model, spec)
    return ascend_worst(net, loss, x, y, threat_model, spec, standing)


def ascend_with_restarts(
    loss: LogitLoss,
    net: nn.Module,
    x: Images,
    y: Labels,
    threat_model: ThreatModel,
    spec: Restarted,
    standing: Mask | None = None,
) -> Images:
    """Of each image the first restart that is misclassified; the last restart where none is.

    `standing`: the images to attack by protocol `worst`, each until its first iterate that is misclassified; None is
    last_iterate.
    """
    x_adv = ascend_by_protocol(net, loss, x, y, threat_model, spec, standing)
    for _ in range(spec.restarts - 1):
        survives = still_correct(net, x_adv, y, standing)
        if not bool(survives.any()):
            break
        standing = None if standing is None else survives
        again = ascend_by_protocol(net, loss, x, y, threat_model, spec, standing)
        x_adv = torch.where(survives[:, None, None, None], again, x_adv)
    return x_adv


@torch.no_grad()
def still_correct(net: nn.Module, x_adv: Images, y: Labels, standing: Mask | None) -> Mask:
    """Whether x_adv is classified right, B, of the images where `standing`; None: of all."""
    if standing is None:
        all_: Mask = net(x_adv).argmax(dim=1) == y
        return all_
    left = standing.clone()
    if bool(standing.any()):
        left[standing] = net(x_adv[standing]).argmax(dim=1) == y[standing]
    return left


def certainly_misclassified(logits: Logits, y: Labels) -> Mask:
    """Whether another class certainly leads, or a logit is not finite, which is always wrong."""
    others = logits.scatter(1, y[:, None], -torch.inf).amax(dim=1)
    lead = others - logits.gather(1, y[:, None]).squeeze(1)
    return ~torch.isfinite(logits).all(dim=1) | (lead > CERTAIN * logits.abs().amax(dim=1))


def compact_size(images: int) -> int:
    """The size of a batch that holds so many images: the next of `SIZES` sizes between two powers of two."""
    grain = max(1, (1 << (images - 1).bit_length()) // (2 * SIZES))
    return -(-images // grain) * grain


def _compact(places: Tensor, up: Mask) -> tuple[Int[Tensor, " P"], Bool[Tensor, " P"]]:
    """The `places` that are still ascended, filled up to a compact size with others; and which of them are ascended."""
    chosen = torch.cat([places[up], places[~up]])[: compact_size(int(up.sum()))]
    return chosen, torch.arange(len(chosen), device=up.device) < up.sum()


def start_point(x: Images, threat_model: ThreatModel, spec: Ascent) -> Images:
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
