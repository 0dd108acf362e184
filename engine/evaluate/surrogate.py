"""The surrogate of a transfer attack: a finished natural run here of the same architecture and data.

Its adversarial images need no gradient of the student: where they fool it more often than its own, that one misleads.
The checks and files of a run call it the natural twin.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from torch import nn

from engine.runtime.distributed import Ranks
from engine.spec import toml
from engine.spec.config import JudgeConfig, RunConfig
from engine.spec.data import DataSpec
from engine.spec.errors import CrdndError, brief
from engine.spec.folders import status_of
from engine.spec.models import ModelSpec
from engine.spec.rundir import RunDir
from engine.teachers import weights

NONE = "no finished natural run of this model and data in the runs folder"


class Surrogate(NamedTuple):
    """A net in eval mode on the device of the evaluation; or why there is none."""

    net: nn.Module | None
    why: str = ""
    digest: str = ""  # of its weights


def find(
    config: RunConfig | JudgeConfig,
    model: ModelSpec,
    own: RunDir,
    runs: Path,
    ranks: Ranks,
    build: Callable[[ModelSpec], nn.Module],
    digest: str = "",
) -> Surrogate:
    """The newest such run's best weights; the leading rank chooses, every rank loads.

    The run `own`, of this config, evaluates `model`. `build` makes a fresh net on the device. With a digest, only those
    weights will do.
    """
    if isinstance(config, RunConfig) and config.method.name == "natural":
        return Surrogate(None, "the student is trained naturally itself")
    run = ranks.on_leader(lambda: next(_candidates(model, config.data, own, runs, digest), None))
    if run is None:
        return Surrogate(None, NONE)
    net = build(model)
    try:
        tensors, facts = weights.load(run.weights_of("best"))
        weights.fit(net, tensors, where=str(run.path))
    except (CrdndError, OSError) as error:
        return Surrogate(None, f"the weights of {run.id} cannot be used: {brief(error)}")
    return Surrogate(net.eval().requires_grad_(False), digest=facts["digest"])


def _candidates(model: ModelSpec, data: DataSpec, own: RunDir, runs: Path, digest: str) -> Iterator[RunDir]:
    """Newest first; statuses are read first, for they are small. Damaged runs and a newer engine's are passed over."""
    for path in sorted(runs.glob("[a-z0-9]*"), reverse=True):
        run, status = RunDir(path), status_of(RunDir(path))
        if status is None or (status.phase, status.method, status.data) != ("done", "natural", data.name):
            continue
        try:
            config = toml.read(run.config)
            if run.path == own.path or not isinstance(config, RunConfig):
                continue
            fits = (config.method.name, config.student, config.data) == ("natural", model, data)
            if fits and (not digest or weights.load(run.weights_of("best"))[1].get("digest") == digest):
                yield run
        except (CrdndError, OSError):
            continue
