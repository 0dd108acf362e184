"""Attacks as evaluation scripts usually have them: NCHW, batch norms in place, `.backward()` into pixels and weights.

Transcribed plainly, without a line of the engine, so that a comparison has two sides; every image goes to the end.

The loop is that of the public evaluation of TRADES (Zhang et al. 2019, arXiv:1901.08573), which RSLAD's repeats.
"""

from collections.abc import Callable

import torch
from pyautoattack import AutoAttack
from torch import Tensor, nn
from torch.nn import functional as F

Loss = Callable[[Tensor, Tensor], Tensor]  # logits B K, labels B -> a scalar that the attack maximises


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Of PGD."""
    return F.cross_entropy(logits, labels)


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """Of CW-inf: the true logit is pushed below the largest other."""
    onehot = F.one_hot(labels, logits.shape[1])
    true = (onehot * logits).sum(dim=1)
    others = ((1 - onehot) * logits - onehot * 10_000.0).max(dim=1)[0]
    return (others - true).sum()


def white_box(
    net: nn.Module, x: Tensor, y: Tensor, loss: Loss, epsilon: float, step_size: float, steps: int
) -> tuple[Tensor, Tensor]:
    """Which images (B) are right without an attack, and which behind it, from a uniform start in the ball."""
    right = net(x).detach().max(dim=1)[1] == y
    x_adv = (x + torch.empty_like(x).uniform_(-epsilon, epsilon)).clamp(0.0, 1.0)
    for _ in range(steps):
        x_adv.requires_grad_()
        net.zero_grad()
        with torch.enable_grad():
            value = loss(net(x_adv), y)
        value.backward()
        assert x_adv.grad is not None
        x_adv = x_adv.detach() + step_size * x_adv.grad.sign()
        x_adv = torch.min(torch.max(x_adv, x - epsilon), x + epsilon)
        x_adv = torch.clamp(x_adv, 0.0, 1.0)
    return right, net(x_adv).detach().max(dim=1)[1] == y


def suite(net: nn.Module, x: Tensor, y: Tensor, epsilon: float, seed: int) -> tuple[Tensor, Tensor]:
    """The same by AutoAttack, standard, in one batch, as its README calls it."""
    right = net(x).detach().max(dim=1)[1] == y
    attack = AutoAttack(net, norm="Linf", eps=epsilon, version="standard", seed=seed, device=x.device)
    x_adv, _labels = attack.run_standard_evaluation(x, y, batch_size=len(x))
    return right, net(x_adv).detach().max(dim=1)[1] == y
