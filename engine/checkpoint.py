"""Checkpoints: all that a run needs to go on as if it had never stopped.

A file's name ends in the hash of its content, and appears by one rename: what is there is whole, and damage shows.
"""

import hashlib
import io
import pickle
import re
from pathlib import Path
from typing import Any, NamedTuple

import torch

from engine.spec.errors import CheckpointError
from engine.spec.files import write_atomically

KEPT = 2  # the newest and the one before it
_NAME = re.compile(r"(\d{6,})-([0-9a-f]{32})\.pt")


class Loaded(NamedTuple):
    """The newest whole checkpoint, and the names of damaged ones that were passed over."""

    state: dict[str, Any]
    file: str
    damaged: list[str]


def save(folder: Path, state: dict[str, Any]) -> Path:
    """Write the state as the newest checkpoint and drop the oldest. OSError when the disk is full."""
    folder.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getvalue()
    known = _files(folder)
    serial = 1 + max((number for number, _ in known), default=0)
    path = folder / f"{serial:06d}-{_digest(content)}.pt"
    write_atomically(path, content)
    for _, old in known[KEPT - 1 :]:
        old.unlink(missing_ok=True)
    return path


def load(folder: Path, keys: frozenset[str], config_hash: str) -> Loaded:
    """The newest checkpoint that is whole.

    Damaged files are renamed to `*.damaged`, never deleted. CheckpointError when none is whole, when one lacks
    a part of the state, or when it belongs to another config.
    """
    damaged: list[str] = []
    for _, path in _files(folder):
        content = path.read_bytes()
        if not path.name.endswith(f"-{_digest(content)}.pt"):
            path.rename(path.with_suffix(".damaged"))
            damaged.append(path.name)
            continue
        state = _unpacked(content, path)
        if missing := keys - set(state):
            raise CheckpointError(f"lacks {', '.join(sorted(missing))}", where=str(path))
        if state["config_hash"] != config_hash:
            raise CheckpointError(
                "belongs to a run with another config", where=str(path), hint="config.toml was changed after the start."
            )
        return Loaded(state, path.name, damaged)
    raise CheckpointError("all checkpoints are damaged", where=str(folder), hint="Start the run anew from its preset.")


def _unpacked(content: bytes, path: Path) -> dict[str, Any]:
    """The state, by torch's unpickler of plain tensors: code in a file is refused, never run."""
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError):
        state = None  # whole, as its hash says, so somebody put it there
    if not isinstance(state, dict):
        raise CheckpointError("is not a checkpoint of ours", where=str(path), hint="Remove it and resume.")
    return state


def _files(folder: Path) -> list[tuple[int, Path]]:
    """Newest first."""
    found = [(int(match[1]), path) for path in folder.glob("*.pt") if (match := _NAME.fullmatch(path.name))]
    return sorted(found, reverse=True)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]
