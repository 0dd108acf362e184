"""Walls around a judgement: what it draws, and what it does to a network, is undone behind it.

pyautoattack resets torch's global generator; without the fence an evaluation would end the difference between seeds.
"""

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from engine.spec.errors import CrdndError


@contextmanager
def fenced() -> Iterator[None]:
    """Python's, NumPy's and torch's global generators are as before when the block is left, however it is left."""
    python, numpy, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(cpu)
        if cuda:
            torch.cuda.set_rng_state_all(cuda)


def sow(seed: int) -> None:
    """Seed every global generator."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


@contextmanager
def exact() -> Iterator[None]:
    """Float32 arithmetic: no autocast, no TensorFloat-32, deterministic convolutions."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = (matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic)
    matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic = False, False, False, True
    try:
        with torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False):
            yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic = before


@contextmanager
def judged(net: nn.Module) -> Iterator[None]:
    """Every submodule in eval mode and no parameter asking for gradients; each one's own flags return afterwards.

    Raises CrdndError when the block leaves any weight or buffer changed.
    """
    modes = [(module, module.training) for module in net.modules()]
    wishes = [(parameter, parameter.requires_grad) for parameter in net.parameters()]
    before = state_hash(net)
    net.eval()
    for parameter, _ in wishes:
        parameter.requires_grad_(False)
    try:
        yield
        if state_hash(net) != before:
            raise CrdndError(
                "the model changed while it was judged: its numbers depend on the order of the images",
                hint="Its forward writes to a buffer even in eval mode; batch norm must use its running statistics.",
            )
    finally:
        for module, training in modes:
            module.training = training
        for parameter, wish in wishes:
            parameter.requires_grad_(wish)


def state_hash(net: nn.Module) -> str:
    """SHA-256 of all weights and buffers with their names, shapes and types."""
    digest = hashlib.sha256()
    for name, value in net.state_dict().items():
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}\n".encode())
        flat = value.detach().cpu().contiguous().flatten()
        digest.update(flat.view(torch.uint8).numpy() if flat.numel() else b"")
    return digest.hexdigest()
