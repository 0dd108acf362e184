"""A small net, and weights that fit it, for the tests of weights on disk."""

import torch
from torch import Tensor, nn


class Small(nn.Module):
    """A net with a batch norm and an input normalization outside its state dict."""

    def __init__(self, classes: int = 3, normalized: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.linear = nn.Linear(4, classes)
        if normalized:
            self.register_buffer("mean", torch.tensor([0.4914, 0.4822, 0.4465]).view(1, 3, 1, 1), persistent=False)
            self.register_buffer("std", torch.tensor([0.2471, 0.2435, 0.2616]).view(1, 3, 1, 1), persistent=False)


def state_of(**options: bool) -> dict[str, Tensor]:
    torch.manual_seed(1)
    net = Small(**options)
    net.bn1.num_batches_tracked.fill_(7)
    return {name: value.clone() for name, value in net.state_dict().items()}


def holds(net: nn.Module, state: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
