"""The gallery of a saved run, looked at again: whole, of these weights and images, and within the ball."""

import hashlib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch

from engine.spec import gallery
from engine.spec.config import JudgeConfig, RunConfig
from engine.spec.rundir import RunDir
from engine.types import Dataset
from engine.verdict import FAILS, HOLDS, Finding

SLACK = 1e-6  # of a pixel: what float32 arithmetic leaves


def look(
    run: RunDir, config: RunConfig | JudgeConfig, digests: Mapping[str, str], dataset: Dataset | None
) -> Iterator[Finding]:
    """Galleries: whole, of these weights, within the ball, and of the images that they name."""
    epsilon = float(config.threat_model.epsilon)
    radii = {spec.key: epsilon for spec in config.evaluation.attacks if spec.bounded}
    for checkpoint in config.evaluation.checkpoints:
        path, what = run.gallery(checkpoint), f"gallery {checkpoint}"
        if not path.is_file():
            continue
        try:
            index = gallery.decode(path.read_bytes())
            shown = [
                _wrong(path.with_name(Path(shelf.file).name), index.shape, shelf, radii.get(attack), dataset)
                for attack, shelf in index.attacks.items()
            ]
        except (OSError, ValueError, RecursionError) as error:
            yield Finding(what, FAILS, f"is damaged: {' '.join(str(error).split())[:200]}")
            continue
        if index.weights_sha256 != digests.get(checkpoint, index.weights_sha256):
            yield Finding(what, FAILS, "is of other weights")
        elif wrong := [words for words in shown if words]:
            yield Finding(what, FAILS, "; ".join(wrong))
        else:
            count = sum(len(shelf.examples) for shelf in index.attacks.values())
            yield Finding(what, HOLDS, f"{count} examples of {len(index.attacks)} attacks, whole and within the ball")


def _wrong(
    path: Path, shape: tuple[int, int, int], shelf: gallery.Shelf, radius: float | None, dataset: Dataset | None
) -> str:
    """What is wrong with an attack's pixels; empty when nothing is."""
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != shelf.sha256:
        return f"the hash of {path.name} is not the one in the index"
    if len(content) != 2 * len(shelf.examples) * math.prod(shape) * 4:
        return f"{path.name} has not the size of its examples"
    x, x_adv = torch.from_numpy(np.frombuffer(content, "<f4").copy()).view(-1, 2, *shape).unbind(1)
    if not bool((x_adv >= 0).all() and (x_adv <= 1).all()):
        return f"{path.name} leaves [0, 1]"
    if radius is not None and float((x_adv - x).abs().max()) > radius + SLACK:
        return f"{path.name} leaves the ball"
    if dataset is not None:
        places = torch.tensor([example.index for example in shelf.examples])
        if not torch.equal(dataset.test.images[places].float() / 255, x):
            return f"{path.name} shows other images than the test split"
    return ""
