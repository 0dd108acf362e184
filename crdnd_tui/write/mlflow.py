"""A run -> a run of MLflow: params, metrics at their steps and times, tags, config and results as artifacts.

A run that is there already, whole and unchanged, is left alone: `crdnd.replay`, a hash of all that was logged, is the
last tag to be set.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from crdnd_tui.core import run_reader
from crdnd_tui.core.library import LIVING
from crdnd_tui.write.extras import load
from crdnd_tui.write.measured import Subject, cells, flattened, marked, measured, result_name
from engine.spec import toml
from engine.spec.config import RunConfig
from engine.spec.errors import CrdndError

EXPERIMENT = "crdnd"
MAX_METRICS, MAX_PARAMS = 1000, 100  # of one request
MAX_VALUE, MAX_TAG = 6000, 8000  # characters of a param's and a tag's value
_QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_LOGGING_LEVEL": "WARNING"}  # it tells nobody, and little


class Store(NamedTuple):
    """Where MLflow keeps runs."""

    uri: str
    artifacts: str | None  # of an experiment that is made here; None is the server's own choice


class Replayed(NamedTuple):
    """A run in MLflow, and whether it was written now."""

    run: str  # MLflow's id
    experiment: str  # MLflow's id
    is_new: bool


def store(place: str) -> Store:
    """A tracking URI as it is; a folder becomes a data base and a folder of artifacts inside it."""
    if "://" in place or place in ("databricks", "databricks-uc"):
        return Store(place, None)
    folder = Path(place).expanduser().resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return Store(f"sqlite:///{folder / 'mlflow.db'}", (folder / "artifacts").as_uri())


def replay(subject: Subject, where: Store, *, experiment: str = EXPERIMENT, force: bool = False) -> Replayed:
    """Log the run unless it is there; with `force` an earlier replay of it goes to MLflow's trash first.

    CrdndError when MLflow is not installed, refuses, or holds an earlier replay of a run that has gone on since.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    trouble = load("mlflow.exceptions", "mlflow").MlflowException
    try:
        client = load("mlflow.tracking", "mlflow").MlflowClient(tracking_uri=where.uri)
        return _replay(client, subject, where, experiment, force)
    except trouble as error:
        raise CrdndError(f"MLflow refuses: {error}", where=where.uri) from error


def _replay(client: Any, subject: Subject, where: Store, experiment: str, force: bool) -> Replayed:  # noqa: ANN401
    known = client.get_experiment_by_name(experiment)
    place = known.experiment_id if known else client.create_experiment(experiment, where.artifacts)
    digest = _digest(subject)
    for old in _earlier(client, place, subject):
        whole = old.data.tags.get("crdnd.replay")
        if whole == digest:
            return Replayed(old.info.run_id, place, False)
        if whole and not force:
            raise CrdndError(
                f"MLflow holds an earlier replay of {subject.id}, which has changed since",
                hint="--force replaces it; the old one goes to MLflow's trash.",
            )
        client.delete_run(old.info.run_id)  # an unfinished replay is nobody's
    return Replayed(_log(client, place, subject, digest), place, True)


def _earlier(client: Any, experiment: str, subject: Subject) -> list[Any]:  # noqa: ANN401  an MLflow client
    """Runs of the same config, then of the same folder: a config hash needs no quoting in a query."""
    query = f"tags.`crdnd.config_hash` = '{subject.config.config_hash}'"
    found: list[Any] = []
    page = client.search_runs([experiment], query, max_results=1000)
    found += page
    while page.token:
        page = client.search_runs([experiment], query, max_results=1000, page_token=page.token)
        found += page
    return [run for run in found if run.data.tags.get("crdnd.run") == subject.id]


def _log(client: Any, experiment: str, subject: Subject, digest: str) -> str:  # noqa: ANN401  an MLflow client
    entities = load("mlflow.entities", "mlflow")
    log = subject.log
    start = _milliseconds(log.started)
    made = client.create_run(experiment, start_time=start, tags=_tags(subject), run_name=subject.id)
    run: str = made.info.run_id
    params = (entities.Param(key, _cut(str(value), MAX_VALUE)) for key, value in _params(subject))
    for some in _batches(params, MAX_PARAMS):
        client.log_batch(run, params=some)
    metrics = (entities.Metric(one.name, one.value, _milliseconds(one.time), one.step) for one in measured(subject.log))
    for some in _batches(metrics, MAX_METRICS):
        client.log_batch(run, metrics=some)
    for name, text in _artifacts(subject):
        client.log_text(run, text, name)
    client.set_tag(run, "crdnd.replay", digest)
    statuses = {"done": "FINISHED", "failed": "FAILED", "queued": "SCHEDULED"} | dict.fromkeys(LIVING, "RUNNING")
    client.set_terminated(run, statuses.get(subject.state, "KILLED"), end_time=_milliseconds(log.last))
    return run


def _params(subject: Subject) -> list[tuple[str, Any]]:
    return list(flattened(subject.config.to_table()).items())


def _tags(subject: Subject) -> dict[str, str]:
    config, log = subject.config, subject.log
    tags = {
        "crdnd.run": subject.id,
        "crdnd.name": log.name,
        "crdnd.state": subject.state,
        "crdnd.reason": log.reason,
        "crdnd.config_hash": config.config_hash,
        "crdnd.group_hash": config.group_hash if isinstance(config, RunConfig) else "",
        "crdnd.version": metadata.version("crdnd-tui"),
        "crdnd.warnings": "\n".join(one.message for one in log.warnings),
        "crdnd.marks": "\n".join(
            f"{result_name(cell.checkpoint, cell.attack)}: {words}"
            for cell in cells(log)
            if (words := marked(log, cell.checkpoint, cell.attack))
        ),
        "crdnd.checks": "; ".join(f"{checkpoint}: {log.checks(checkpoint)}" for checkpoint in log.table),
    }
    known = subject.provenance or {}
    for table in ("packages", "git"):
        inner = known.get(table)
        if isinstance(inner, dict):
            tags |= {f"crdnd.{table}.{key}": str(value) for key, value in inner.items() if _is_key(key)}
    return {key: _cut(value, MAX_TAG) for key, value in tags.items() if value}


def _artifacts(subject: Subject) -> Iterator[tuple[str, str]]:
    yield "config.toml", toml.dump(subject.config)
    if subject.preset:
        yield "preset.toml", subject.preset
    results = run_reader.result_rows(subject.log)
    rows = {"run": subject.id, "config_hash": subject.config.config_hash, "results": results}
    yield "results.json", json.dumps(rows, indent=2)


def _digest(subject: Subject) -> str:
    """Of all that is logged: equal digests are equal replays."""
    tags = {key: value for key, value in _tags(subject).items() if key != "crdnd.version"}
    told = [sorted(tags.items()), sorted((key, str(value)) for key, value in _params(subject))]
    hashed = hashlib.sha256(json.dumps(told).encode())
    for one in measured(subject.log):
        hashed.update(repr(tuple(one)).encode())
    for name, text in _artifacts(subject):
        hashed.update(f"{name}\0{text}\0".encode())
    return hashed.hexdigest()


def _batches(items: Iterator[Any], size: int) -> Iterator[Sequence[Any]]:
    while some := list(islice(items, size)):
        yield some


def _milliseconds(moment: float) -> int:
    return max(0, round(1000 * moment))


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "\u2026"


def _is_key(key: str) -> bool:
    return key.replace("-", "").replace("_", "").replace(".", "").isalnum() and len(key) < 100
