"""Optimiser and learning rate."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from engine.spec.training import Constant, Cosine, MultiStep, Training


def build(net: nn.Module, training: Training) -> torch.optim.SGD:
    """Fused SGD: one kernel for all parameters, and it skips the update where `found_inf` is set."""
    return torch.optim.SGD(
        net.parameters(),
        lr=training.learning_rate,
        momentum=training.momentum,
        weight_decay=training.weight_decay,
        nesterov=training.nesterov,
        fused=True,
    )


def load(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """The inverse of its state_dict, each buffer laid in memory as its parameter is.

    torch keeps the strides that were saved, but fused kernels walk the memory of parameter and buffer side by side:
    a run that goes on in another memory layout would pair each weight with another weight's momentum.
    """
    optimizer.load_state_dict(state)
    for parameter, buffers in optimizer.state.items():
        for name, buffer in buffers.items():
            if isinstance(buffer, Tensor) and buffer.shape == parameter.shape:
                buffers[name] = torch.empty_like(parameter.detach(), dtype=buffer.dtype).copy_(buffer)


def learning_rate(training: Training, epoch: int) -> float:
    """The rate of an epoch, counted from 1. A drop at milestone 215 is first felt in epoch 216."""
    rate = training.learning_rate
    if epoch <= training.warmup_epochs:
        return rate * (0.1 + 0.9 * (epoch - 1) / training.warmup_epochs)
    schedule = training.schedule
    match schedule:
        case Constant():
            return rate
        case MultiStep():
            return rate * schedule.factor ** sum(epoch > milestone for milestone in schedule.milestones)
        case Cosine():
            return rate * 0.5 * (1 + math.cos(math.pi * (epoch - 1) / training.epochs))
