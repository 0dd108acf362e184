"""A small net, and files of weights that fit it, for the tests of weights on disk."""

import argparse
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from engine.spec.errors import TeacherError
from engine.teachers import foreign, unpickle


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


def under(prefix: str, state: dict[str, Tensor] | None = None) -> dict[str, Tensor]:
    return {prefix + name: value for name, value in (state or state_of()).items()}


def taken(path: Path, state: dict[str, Tensor], *, prefix: str | None = None, normalized: bool = False) -> list[str]:
    """The notes of a file that fits, and whose weights arrived."""
    net = Small(normalized=normalized)
    notes = foreign.fit(net, path, prefix)
    assert holds(net, state)
    return notes


def saved(folder: Path, content: object) -> Path:
    torch.save(content, folder / "w.pt")
    return folder / "w.pt"


def refused(path: Path, match: str = "", *, prefix: str | None = None, net: nn.Module | None = None) -> TeacherError:
    """Why the file's weights are not taken."""
    with pytest.raises(TeacherError, match=match) as caught:
        foreign.fit(net or Small(), path, prefix)
    return caught.value


def in_this_process(path: Path) -> foreign.CheckpointContent:
    """What the helper does, without the seconds of its start."""
    try:
        return foreign.CheckpointContent(*unpickle.read(path))
    except unpickle.RefusedError as refusal:
        raise TeacherError(refusal.what, where=str(path), hint=refusal.hint) from None


BESIDE = {  # what authors keep beside their weights
    "acc": np.float64(95.2), "best": np.float32(1), "epoch": np.int64(3), "flag": np.bool_(True),
    "curve": np.arange(3.0), "args": argparse.Namespace(lr=0.1, out=Path("runs/x")),
}  # fmt: skip


class Bomb:
    """Runs a command when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.mark),)


def printed(hint: str, folder: Path, name: str) -> str:
    """The command, with the names of files filled in."""
    line = hint[hint.index("python -c ") :]
    return line.replace("OLD.pt", str(folder / name)).replace("NEW.safetensors", str(folder / "new.safetensors"))
