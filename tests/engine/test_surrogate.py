"""The natural twin: found among other runs, loaded, or its absence explained."""

from pathlib import Path

import torch

from engine.evaluate import surrogate
from engine.runtime.distributed import Ranks
from engine.spec import folders, status
from engine.spec.config import CheckpointTeacher, JudgeConfig, RunConfig
from engine.spec.data import Digits
from engine.spec.machine import Machine
from engine.spec.methods import PGDAT, Natural
from engine.spec.models import SmallCNN
from engine.spec.rundir import RunDir
from engine.spec.status import Status
from engine.teachers import saved_run, weights

MODEL, SHAPE = SmallCNN(width=4), (1, 8, 8)


def finished(runs: Path, *, phase: str = "done", **parts: object) -> RunDir:
    config = RunConfig(**({"data": Digits(), "student": MODEL, "method": Natural()} | parts))
    run = folders.create(config, "", Machine(runs=str(runs), data=str(runs)))
    net = saved_run.build(config.student, 10, SHAPE)
    run.weights.mkdir()
    next(net.parameters()).data += len(list(runs.iterdir()))  # each run has its own weights
    weights.save(run.weights_of("best"), net, {})
    said = Status(run=run.id, phase=phase, method=config.method.name, data="digits", config_hash=config.config_hash,
                  name="", created=0.0, pid=0, host="")  # fmt: skip
    run.status.write_bytes(status.encode(said))
    return run


def find(runs: Path, own: RunDir | None = None, digest: str = "") -> surrogate.Surrogate:
    config = JudgeConfig(subject=CheckpointTeacher(checkpoint="x", model=MODEL), data=Digits())
    own = own or RunDir(runs / "own")
    return surrogate.find(config, MODEL, own, runs, Ranks(), lambda spec: saved_run.build(spec, 10, SHAPE), digest)


def test_the_natural_run_of_the_same_model_and_data_is_found(tmp_path):
    finished(tmp_path, method=PGDAT())
    finished(tmp_path, student=SmallCNN(width=5))
    finished(tmp_path, data=Digits(validation=9))
    finished(tmp_path, phase="stopped")
    assert find(tmp_path) == (None, surrogate.NONE, "")
    run = finished(tmp_path)
    found = find(tmp_path)
    tensors, facts = weights.load(run.weights_of("best"))
    assert found.net is not None and found.digest == facts["digest"] and not found.net.training
    assert all(torch.equal(value, tensors[key]) for key, value in found.net.state_dict().items())
    assert not any(parameter.requires_grad for parameter in found.net.parameters())
    older, newer = found.digest, finished(tmp_path)
    newer.path.rename(tmp_path / "29990101-000000-natural")
    assert find(tmp_path).digest != older and find(tmp_path, digest=older).digest == older
    assert find(tmp_path, digest="0" * 64) == (None, surrogate.NONE, "")


def test_damaged_neighbours_stop_nobody(tmp_path):
    (tmp_path / "20990101-000000-x").mkdir()
    (tmp_path / "20990101-000001-y").write_text("no folder")
    broken = finished(tmp_path)
    broken.config.write_text("not = [toml")
    assert find(tmp_path).net is None
    broken = finished(tmp_path)
    broken.weights_of("best").write_bytes(b"x" * 99)
    found = find(tmp_path)
    assert found.net is None and broken.id in found.why


def test_a_run_is_not_its_own_twin(tmp_path):
    assert find(tmp_path, finished(tmp_path)).net is None
