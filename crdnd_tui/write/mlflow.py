"""A run -> a run of MLflow: params, metrics at their steps and times, tags, config and results as artifacts.

A run that is there already, whole and unchanged, is left alone: `crdnd.replay`, a hash of all that was logged, is the
last tag to be set.
"""

import hashlib
import json
import os
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from crdnd_tui.core import run_reader
from crdnd_tui.core.run_status import LIVING
from crdnd_tui.write.trackers import Scalar, TrackedRun, flattened, load, results, scalars
from engine.spec import toml
from engine.spec.config import RunConfig
from engine.spec.errors import CrdndError

EXPERIMENT = "crdnd"
MAX_METRICS, MAX_PARAMS = 1000, 100  # of one request
MAX_VALUE, MAX_TAG = 6000, 8000  # characters of a param's and a tag's value
_QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_LOGGING_LEVEL": "WARNING"}  # it tells nobody, and little
_STATUSES = {"done": "FINISHED", "failed": "FAILED", "queued": "SCHEDULED"} | dict.fromkeys(LIVING, "RUNNING")


class TrackingStore(NamedTuple):
    """Where MLflow keeps runs."""

    uri: str
    artifacts: str | None  # of an experiment that is made here; None is the server's own choice


class ReplayedRun(NamedTuple):
    """A run in MLflow, and whether it was written now."""

    run: str  # MLflow's id
    experiment: str  # MLflow's id
    is_new: bool


def store(place: str) -> TrackingStore:
    """A tracking URI as it is; a folder becomes a data base and a folder of artifacts inside it."""
    if "://" in place or place in ("databricks", "databricks-uc"):
        return TrackingStore(place, None)
    folder = Path(place).expanduser().resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return TrackingStore(f"sqlite:///{folder / 'mlflow.db'}", (folder / "artifacts").as_uri())


def replay(
    run: TrackedRun, where: TrackingStore, *, experiment: str = EXPERIMENT, force: bool = False
) -> ReplayedRun:  # fmt: skip
    """Log the run unless it is there; with `force` an earlier replay of it goes to MLflow's trash first.

    CrdndError when MLflow is not installed, refuses, or holds an earlier replay of a run that has gone on since.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    trouble = load("mlflow.exceptions", "mlflow").MlflowException
    try:
        client = load("mlflow.tracking", "mlflow").MlflowClient(tracking_uri=where.uri)
        return _replay(client, run, where, experiment, force)
    except trouble as error:
        raise CrdndError(f"MLflow refuses: {error}", where=where.uri) from error


def _replay(client: Any, run: TrackedRun, where: TrackingStore, name: str, force: bool) -> ReplayedRun:  # noqa: ANN401
    known = client.get_experiment_by_name(name)
    experiment = known.experiment_id if known else client.create_experiment(name, where.artifacts)
    content = _content(run)
    query = f"tags.`crdnd.config_hash` = '{run.config.config_hash}'"  # a hash needs no quoting
    page = client.search_runs([experiment], query, max_results=1000)
    found = list(page)
    while page.token:
        page = client.search_runs([experiment], query, max_results=1000, page_token=page.token)
        found += page
    for old in (one for one in found if one.data.tags.get("crdnd.run") == run.id):
        whole = old.data.tags.get("crdnd.replay")
        if whole == content.digest:
            return ReplayedRun(old.info.run_id, experiment, False)
        if whole and not force:
            raise CrdndError(
                f"MLflow holds an earlier replay of {run.id}, which has changed since",
                hint="--force replaces it; the old one goes to MLflow's trash.",
            )
        client.delete_run(old.info.run_id)  # an unfinished replay is nobody's
    return ReplayedRun(_log(client, experiment, run, content), experiment, True)


class _Content(NamedTuple):
    tags: dict[str, str]
    params: dict[str, str]
    metrics: list[Scalar]
    artifacts: dict[str, str]  # file name -> content

    @property
    def digest(self) -> str:
        """Equal for equal replays, by whichever version of crdnd."""
        tags = sorted((key, value) for key, value in self.tags.items() if key != "crdnd.version")
        hashed = hashlib.sha256(json.dumps([tags, sorted(self.params.items())]).encode())
        for one in self.metrics:
            hashed.update(repr(tuple(one)).encode())
        for name, text in self.artifacts.items():
            hashed.update(f"{name}\0{text}\0".encode())
        return hashed.hexdigest()


def _content(run: TrackedRun) -> _Content:
    told = {"run": run.id, "config_hash": run.config.config_hash, "results": run_reader.result_rows(run.log)}
    preset = {"preset.toml": run.preset} if run.preset else {}
    return _Content(
        tags=_tags(run), params={key: str(value) for key, value in flattened(run.config.to_table()).items()},
        metrics=list(scalars(run.log)),
        artifacts={"config.toml": toml.dump(run.config), **preset, "results.json": json.dumps(told, indent=2)},
    )  # fmt: skip


def _tags(run: TrackedRun) -> dict[str, str]:
    config, log = run.config, run.log
    tags = {
        "crdnd.run": run.id,
        "crdnd.name": log.name,
        "crdnd.state": run.state,
        "crdnd.reason": log.reason,
        "crdnd.config_hash": config.config_hash,
        "crdnd.group_hash": config.group_hash if isinstance(config, RunConfig) else "",
        "crdnd.version": metadata.version("crdnd-tui"),
        "crdnd.warnings": "\n".join(one.message for one in log.warnings),
        "crdnd.marks": "\n".join(f"{one.name}: {one.marks}" for one in results(log) if one.marks),
        "crdnd.checks": "; ".join(f"{checkpoint}: {log.checks(checkpoint)}" for checkpoint in log.table),
    }
    for table in ("packages", "git"):
        inner = (run.provenance or {}).get(table)
        if isinstance(inner, dict):
            tags |= {f"crdnd.{table}.{key}": str(value) for key, value in inner.items() if _is_key(key)}
    return {key: _cut(value, MAX_TAG) for key, value in tags.items() if value}


def _log(client: Any, experiment: str, run: TrackedRun, content: _Content) -> str:  # noqa: ANN401  an MLflow client
    entities = load("mlflow.entities", "mlflow")
    start, end = _milliseconds(run.log.started), _milliseconds(run.log.last)
    logged: str = client.create_run(experiment, start_time=start, tags=content.tags, run_name=run.id).info.run_id
    params = [entities.Param(key, _cut(value, MAX_VALUE)) for key, value in content.params.items()]
    for at in range(0, len(params), MAX_PARAMS):
        client.log_batch(logged, params=params[at : at + MAX_PARAMS])
    metrics = [entities.Metric(one.name, one.value, _milliseconds(one.time), one.step) for one in content.metrics]
    for at in range(0, len(metrics), MAX_METRICS):
        client.log_batch(logged, metrics=metrics[at : at + MAX_METRICS])
    for name, text in content.artifacts.items():
        client.log_text(logged, text, name)
    client.set_tag(logged, "crdnd.replay", content.digest)
    client.set_terminated(logged, _STATUSES.get(run.state, "KILLED"), end_time=end)
    return logged


def _milliseconds(moment: float) -> int:
    return max(0, round(1000 * moment))


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "\u2026"


def _is_key(key: str) -> bool:
    return key.replace("-", "").replace("_", "").replace(".", "").isalnum() and len(key) < 100
