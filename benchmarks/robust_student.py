"""A small robust net on real CIFAR-10 for measurements that need one: verdicts of attacks on a net that nobody hardened
say nothing. Trained in minutes by one sign step from a random start: FGSM-RS, Wong et al. 2020, arXiv:2001.03994.
"""

import sys
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from engine.data import cifar
from engine.data.augment import Feed
from engine.models import resnet
from engine.runtime.rng import seed_for
from engine.spec.data import CIFAR10
from engine.spec.models import SmallResNet
from engine.teachers import weights
from engine.types import Dataset, Images, Labels

CPU = torch.device("cpu")
EPSILON, STEP = 8 / 255, 10 / 255
BATCH, HIGHEST_RATE, DECAY = 128, 0.2, 5e-4


def cifar10(folder: Path) -> Dataset:
    """Real CIFAR-10, its md5 checked."""
    return cifar.load(CIFAR10(), folder)


def build(width: int) -> nn.Module:
    """The net, with fresh weights."""
    return resnet.build(SmallResNet(width=width), 10, (3, 32, 32))


def get(path: Path, width: int, epochs: int, dataset: Dataset, seed: int) -> tuple[nn.Module, dict[str, str]]:
    """The net in eval mode, and what its file says of it; trained and kept at `path` when it is not there yet."""
    net = build(width)
    if not path.is_file():
        train(net, epochs, dataset, seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        weights.save(path, net, {"width": str(width), "epochs": str(epochs), "seed": str(seed), "trained": "FGSM-RS"})
    tensors, facts = weights.load(path)
    weights.fit(net, tensors, where=str(path))
    return net.eval(), facts


def train(net: nn.Module, epochs: int, dataset: Dataset, seed: int) -> None:
    """FGSM-RS with a rate that rises for two fifths of the steps and falls to zero."""
    torch.manual_seed(seed_for(seed, "robust student"))
    feed = Feed(dataset.train, CIFAR10(), CPU, torch.channels_last, BATCH)
    net.to(memory_format=torch.channels_last)
    count = len(dataset.train.labels) // BATCH
    optimizer = torch.optim.SGD(net.parameters(), lr=0.0, momentum=0.9, weight_decay=DECAY, nesterov=True)
    step, steps = 0, epochs * count
    for epoch in range(1, epochs + 1):
        net.train()
        for x, y in feed.batches(feed.draw(seed, epoch), 0, count):
            step += 1
            optimizer.param_groups[0]["lr"] = HIGHEST_RATE * min(step / (0.4 * steps), (steps - step) / (0.6 * steps))
            x_adv = perturbed(net, x, y)
            optimizer.zero_grad(set_to_none=True)
            loss = F.cross_entropy(net(x_adv), y)
            loss.backward()
            optimizer.step()
        sys.stderr.write(f"epoch {epoch} of {epochs}: loss {loss.item():.3f}\n")


def perturbed(net: nn.Module, x: Images, y: Labels) -> Images:
    """One step of 10/255 from a uniform start in the ball of 8/255."""
    start = (x + torch.empty_like(x).uniform_(-EPSILON, EPSILON)).clamp(0.0, 1.0).requires_grad_()
    (gradient,) = torch.autograd.grad(F.cross_entropy(net(start), y), start)
    away = start.detach() + STEP * gradient.sign() - x
    return (x + away.clamp(-EPSILON, EPSILON)).clamp(0.0, 1.0)
