"""Replays into MLflow's own SQLite store, read back with its client."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from crdnd_tui.write import mlflow, trackers
from crdnd_tui.write.trackers import tracked_run
from engine.spec.errors import CrdndError
from engine.spec.rundir import RunDir
from tests.tui.lab_runs import CRDND
from tests.tui.pilot import recorded


def test_places_of_stores(tmp_path: Path) -> None:
    made = mlflow.store(str(tmp_path / "ml"))
    assert made.uri == f"sqlite:///{tmp_path}/ml/mlflow.db"
    assert made.artifacts == f"file://{tmp_path}/ml/artifacts"
    assert mlflow.store("http://localhost:5000") == ("http://localhost:5000", None)


@pytest.mark.slow
def test_a_run_is_replayed_once_and_read_back_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    of = tracked_run(RunDir(recorded(tmp_path / "runs", CRDND) / CRDND))
    log = of.log
    steps = (replace_loss(log.steps[0]), *log.steps[1:40])
    of = replace(of, log=replace(log, steps=steps, epochs=log.epochs[:4], validations=log.validations[:4]))
    where = mlflow.store(str(tmp_path / "ml"))
    made = mlflow.replay(of, where)
    assert made.is_new

    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=where.uri)
    (run,) = client.search_runs([made.experiment])
    assert (run.info.run_name, run.info.status) == (CRDND, "FINISHED")
    assert (run.info.start_time, run.info.end_time) == (round(1000 * of.log.started), round(1000 * of.log.last))
    assert run.data.params == {k: str(v) for k, v in trackers.flattened(of.config.to_table()).items()}
    assert run.data.params["training.epochs"] == "40"
    assert run.data.tags["crdnd.config_hash"] == of.config.config_hash
    assert run.data.tags["crdnd.state"] == "done"
    assert run.data.tags["crdnd.packages.torch"] == of.provenance["packages"]["torch"]
    check_metrics(client, run.info.run_id, of)
    check_artifacts(client, run.info.run_id, of, tmp_path)

    assert mlflow.replay(of, where) == made._replace(is_new=False)
    assert len(client.search_runs([made.experiment])) == 1
    changed = replace(of, state="failed")
    with pytest.raises(CrdndError, match="--force"):
        mlflow.replay(changed, where)
    again = mlflow.replay(changed, where, force=True)
    assert [one.info.run_id for one in client.search_runs([made.experiment])] == [again.run]
    client.delete_tag(again.run, "crdnd.replay")  # as if that replay had been killed
    last = mlflow.replay(of, where)
    assert last.is_new and [one.info.run_id for one in client.search_runs([made.experiment])] == [last.run]
    client.delete_experiment(made.experiment)
    with pytest.raises(CrdndError, match="MLflow refuses"):
        mlflow.replay(replace(of, id="20261122-000000-crdnd-small_cnn-s0-0000"), where)
    assert not (tmp_path / "mlruns").exists()


def replace_loss(step):
    return type(step)(**{name: getattr(step, name) for name in step.__struct_fields__} | {"loss": None})


def check_metrics(client, run: str, of) -> None:
    wanted: dict[str, list[trackers.Scalar]] = {}
    for one in trackers.scalars(of.log):
        wanted.setdefault(one.name, []).append(one)
    assert set(client.get_run(run).data.metrics) == set(wanted)
    for name in ("train/learning_rate", "validation/cw_inf", "teacher_robust/7", "test_best/worst"):
        history = sorted(client.get_metric_history(run, name), key=lambda one: one.step)
        got = [(one.step, one.timestamp, one.value) for one in history]
        assert got == [(one.step, round(1000 * one.time), one.value) for one in wanted[name]]
    first = min(client.get_metric_history(run, "train/loss"), key=lambda one: one.step)
    assert first.step == 1 and math.isnan(first.value)


def check_artifacts(client, run: str, of, tmp_path: Path) -> None:
    names = sorted(one.path for one in client.list_artifacts(run))
    assert names == ["config.toml", "preset.toml", "results.json"]
    found = json.loads(Path(client.download_artifacts(run, "results.json", str(tmp_path))).read_text())
    assert found["config_hash"] == of.config.config_hash
    cells = {(one["checkpoint"], one["attack"]): one["accuracy"] for one in found["results"]}
    assert cells["best", "autoattack"] == of.log.table["best"]["autoattack"].accuracy
