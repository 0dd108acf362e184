"""CIFAR-10 and CIFAR-100. Krizhevsky 2009. Read by torchvision, which checks the md5 of every file first."""

import urllib.error
from pathlib import Path

import torch
from torchvision.datasets import CIFAR10, CIFAR100

from engine.spec import data
from engine.spec.errors import DataError
from engine.types import Dataset, Split

SOURCES = {"cifar10": CIFAR10, "cifar100": CIFAR100}


def load(spec: data.CIFAR10 | data.CIFAR100, folder: Path) -> Dataset:
    """Both official splits; downloaded into `folder` when they are not there and the network is."""
    train, test = (_split(spec, folder, train=part) for part in (True, False))
    return Dataset(
        train=Split(torch.from_numpy(train.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(train.targets)),
        test=Split(torch.from_numpy(test.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(test.targets)),
        classes=tuple(train.classes),
    )


def _split(spec: data.CIFAR10 | data.CIFAR100, folder: Path, *, train: bool) -> CIFAR10:
    source = SOURCES[spec.name]
    try:
        return source(str(folder), train=train, download=False)
    except RuntimeError:  # torchvision: not found, or an md5 that differs
        folder.mkdir(parents=True, exist_ok=True)
    try:
        return source(str(folder), train=train, download=True)
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        raise DataError(
            f"{spec.title} is not in {folder / source.base_folder} (or its md5 is wrong), and cannot be downloaded: "
            f"{getattr(error, 'reason', error)}",
            hint=f"Put the official archive {source.filename} there and unpack it, or name another folder with --data.",
        ) from error
    except RuntimeError as error:
        raise DataError(f"{spec.title} in {folder} is damaged: {error}", hint="Remove it and try again.") from error
