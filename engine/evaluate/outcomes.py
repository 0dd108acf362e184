"""Records of attacks on the disk: made from what a strike did, written whole, believed only when they agree.

A record counts as done when it is of the same attack, images, data and weights; anything else is computed again.
"""

import hashlib
import json
import platform
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from engine.evaluate.bench import Bench, Struck
from engine.spec.attacks import AttackSpec, AutoAttack
from engine.spec.files import RESULT_CAP, decoded, write_inside
from engine.spec.outcomes import Outcome, decode, encode, pack, summarise
from engine.spec.training import recorded


class Identity(NamedTuple):
    """Which images, and whose answers."""

    of: int  # size of the whole split
    indices_sha256: str
    data_sha256: str
    weights_sha256: str


def describe(spec: AttackSpec | None, bench: Bench) -> dict[str, Any]:
    """The attack in full, as it is recorded; None is no attack."""
    own = recorded(spec, bench.protocol) if spec else {"name": "clean"}
    package = {"package": f"pyautoattack {versions()['pyautoattack']}"} if isinstance(spec, AutoAttack) else {}
    return {
        **own,
        **package,
        "norm": bench.threat_model.norm,
        "epsilon": str(bench.threat_model.epsilon),
        "seed": bench.seed,
        "batch_size": bench.batch_size,
    }


def fingerprint(spec: dict[str, Any], bench: Bench, identity: Identity, gallery: Tensor) -> str:
    """All that the numbers in a partial batch depend on, as text."""
    how = [bench.device.type, *(["folded"] if bench.folded is not None else [])]
    return json.dumps([spec, identity, gallery.tolist(), versions(), *how], sort_keys=True)


def hash_indices(indices: Tensor) -> str:
    """SHA-256 of the images' places in the split, as little-endian int64."""
    return hashlib.sha256(indices.to(torch.int64).cpu().numpy().astype("<i8").tobytes()).hexdigest()


def record(
    struck: Struck, spec: dict[str, Any], bench: Bench, identity: Identity, checkpoint: str, attack: str
) -> Outcome:
    """What a strike did, as the record that is kept."""
    labels, predicted, robust = bench.labels.tolist(), struck.predicted.tolist(), struck.robust.tolist()
    figures = summarise(labels, predicted, robust, bench.classes)
    return Outcome(
        checkpoint=checkpoint,
        attack=attack,
        spec=spec,
        accuracy=figures.accuracy,
        n=bench.n,
        of=identity.of,
        low=figures.interval.low,
        high=figures.interval.high,
        per_class=figures.per_class,
        counts=figures.counts,
        confusion=figures.confusion,
        robust=pack(robust),
        predicted=predicted,
        indices_sha256=identity.indices_sha256,
        data_sha256=identity.data_sha256,
        weights_sha256=identity.weights_sha256,
        seconds=struck.seconds,
        device=device_name(bench.device),
        folded=attack != "clean" and bench.folded is not None,
        versions=versions(),
        details=struck.details,
        marks=list(struck.marks),
    )


def write(path: Path, outcome: Outcome) -> None:
    """The record is on the disk, whole, when this returns."""
    write_inside(path, encode(outcome))


def read(path: Path, spec: dict[str, Any], identity: Identity) -> Outcome | None:
    """The finished record of exactly this attack; None when there is none, a damaged one, or another's."""
    outcome = decoded(path, decode, RESULT_CAP)
    if outcome is None:
        return None
    same = outcome.spec == spec and identity == Identity(
        outcome.of, outcome.indices_sha256, outcome.data_sha256, outcome.weights_sha256
    )
    return outcome if same else None


def versions() -> dict[str, str]:
    """Of the libraries that the numbers come from."""
    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "pyautoattack": metadata.version("pyautoattack"),
    }


def device_name(device: torch.device) -> str:
    """The GPU's name, or cpu."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
