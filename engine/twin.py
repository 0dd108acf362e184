"""The natural twin: a finished run here of the same architecture and data that met no adversary in training.

Its adversarial images need no gradient of the student: where they fool it more often than its own, that one misleads.
"""

from torch import nn

from engine import weights
from engine.probes import Twin
from engine.spec import toml
from engine.spec.config import RunConfig
from engine.spec.data import DataSpec
from engine.spec.errors import ConfigError, CrdndError
from engine.spec.folders import status_of
from engine.spec.models import ModelSpec
from engine.spec.rundir import RunDir
from engine.stage import Stage
from engine.types import Dataset

NONE = "no finished natural run of this model and data in the runs folder"


def find(model: ModelSpec, data: DataSpec, stage: Stage, dataset: Dataset) -> Twin:
    """The newest such run's best weights, as a net in eval mode; the leading rank chooses, every rank loads."""
    run = stage.crew.lead(lambda: _newest(model, data, stage))
    if run is None:
        return Twin(None, NONE)
    net: nn.Module = stage.build(model, dataset)
    try:
        tensors, facts = weights.load(run.weights_of("best"))
        weights.fit(net, tensors, where=str(run.path))
    except (CrdndError, OSError) as error:
        return Twin(None, f"the weights of {run.id} cannot be used: {' '.join(str(error).split())[:200]}")
    return Twin(net.eval().requires_grad_(False), digest=facts["digest"])


def _newest(model: ModelSpec, data: DataSpec, stage: Stage) -> RunDir | None:
    """The status of a run is asked first, for it is small; the config of few is read."""
    for path in sorted(stage.machine.runs_folder.glob("[a-z0-9]*"), reverse=True):
        run, status = RunDir(path), status_of(RunDir(path))
        if status is None or (status.phase, status.method, status.data) != ("done", "natural", data.name):
            continue
        try:
            config = toml.read(run.config)
        except (ConfigError, OSError):  # a damaged run, or one of a newer engine, is nobody's twin
            continue
        alike = isinstance(config, RunConfig) and config.student == model and config.data == data
        if alike and isinstance(config, RunConfig) and config.method.name == "natural" and run.path != stage.run.path:
            return run
    return None
