"""Checkpoints: all that a run needs to go on: on a CPU (same machine, threads, layout) as if it had never stopped.

On a GPU it is the same run to rounding: cuDNN chooses kernels by timing them, some sum in no fixed order, and the sign
in an attack makes much of a last bit.
A file's name ends in the hash of its content, and appears by one rename: what is there is whole, and damage shows.
"""

import hashlib
import io
import logging
import pickle
import re
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from engine.spec.errors import CheckpointError
from engine.spec.files import MalformedError, content_of, is_folder, parsed, refuse_links, write_inside

CAP = 1 << 36  # bytes
COUNTS = frozenset({"step", "epoch", "batch"})
KINDS = {"config_hash": str, "data": str, "teacher": str, "best": dict, "student": dict}
KEPT = 2  # the newest and the one before it
log = logging.getLogger("crdnd")
_NAME = re.compile(r"(\d{6,})-([0-9a-f]{32})\.pt")


class LoadedCheckpoint(NamedTuple):
    """The newest whole checkpoint, and the names of damaged ones that were passed over."""

    state: dict[str, Any]
    file: str
    damaged: list[str]


def save(folder: Path, state: dict[str, Any]) -> Path:
    """Write the state as the newest checkpoint and drop the oldest. OSError when the disk is full."""
    refuse_links(folder)
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getvalue()
    known = _files(folder)
    serial = 1 + max((number for number, _ in known), default=0)
    path = folder / f"{serial:06d}-{_digest(content)}.pt"
    write_inside(path, content)
    for _, old in known[KEPT - 1 :]:
        if not is_folder(old):
            old.unlink(missing_ok=True)
    return path


def load(folder: Path, keys: frozenset[str], config_hash: str) -> LoadedCheckpoint:
    """The newest checkpoint that is whole.

    Damaged files are renamed to `*.damaged`, never deleted. CheckpointError when none is whole, when one lacks
    a part of the state, holds something of another kind there, or belongs to another config.
    """
    damaged: list[str] = []
    for _, path in _files(folder):
        try:
            content = _content(path)
        except (CheckpointError, OSError) as error:
            log.warning("%s is damaged: %s", path, error)
            damaged.append(path.name)
            try:
                path.rename(path.with_suffix(".damaged"))
            except OSError as refusal:  # another rank did it before, or the folder may not be written
                log.warning("%s cannot be set aside: %s", path, refusal.strerror)
            continue
        state = _state(content, path)
        if missing := keys - set(state):
            raise CheckpointError(f"lacks {', '.join(sorted(missing))}", where=str(path))
        if state["config_hash"] != config_hash:
            raise CheckpointError(
                "belongs to a run with another config", where=str(path), hint="config.toml was changed after the start."
            )
        return LoadedCheckpoint(state, path.name, damaged)
    raise CheckpointError("all checkpoints are damaged", where=str(folder), hint="Start the run anew from its preset.")


def read(path: Path) -> dict[str, Any]:
    """The state in one file; CheckpointError when its name is not that of its content, or it is no checkpoint."""
    return _state(_content(path), path)


def _content(path: Path) -> bytes:
    content = content_of(path, CAP)
    if not path.name.endswith(f"-{_digest(content)}.pt"):
        raise CheckpointError("its content is not what its name says", where=str(path))
    return content


def _state(content: bytes, path: Path) -> dict[str, Any]:
    """The state, by torch's unpickler of plain tensors: code in a file is refused, never run."""
    state: object
    try:
        state = parsed(content, lambda raw: torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True))
    except (MalformedError, pickle.UnpicklingError, RuntimeError, EOFError):
        state = None  # whole, as its hash says, so somebody put it there
    if not isinstance(state, dict) or not _is_ours(state):
        raise CheckpointError("is not a checkpoint of ours", where=str(path), hint="Remove it and resume.")
    return state


def _is_ours(state: dict[str, Any]) -> bool:
    """Whether what is there is of its kind: counts are whole numbers, `student` holds tensors."""
    events = state.get("events", [0, 0])  # bytes and events of the log
    counts = [state[key] for key in COUNTS & state.keys()]
    counts += events if isinstance(events, list) and len(events) == 2 else [-1]
    return (
        all(type(count) is int and 0 <= count < 1 << 63 for count in counts)
        and all(isinstance(state[key], kind) for key, kind in KINDS.items() if key in state)
        and all(isinstance(value, Tensor) for value in state.get("student", {}).values())
    )


def _files(folder: Path) -> list[tuple[int, Path]]:
    found = [(int(match[1]), path) for path in folder.glob("*.pt") if (match := _NAME.fullmatch(path.name))]
    return sorted(found, reverse=True)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]
