"""What a run folder says, held against itself and against its data: hashes, records, log. Nothing is written."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from engine import outcomes, provenance, teachers, weights
from engine.evaluate import subset
from engine.outcomes import Identity
from engine.spec import events
from engine.spec.config import JudgeConfig, RunConfig
from engine.spec.errors import CheckpointError, CrdndError
from engine.spec.events import Evaluated, RunFinished, RunStarted
from engine.spec.folders import status_of
from engine.spec.machine import Machine
from engine.spec.outcomes import Outcome, decode, summarise, unpack, worst_case
from engine.spec.rundir import RunDir
from engine.spec.teachers import RobustBenchTeacher
from engine.spec.training import recorded
from engine.types import Dataset
from engine.verdict import FAILS, HOLDS, UNKNOWN, Finding

NO_RECORDS = ("gallery", "suspect")  # what else lies beside the records


class Stored(NamedTuple):
    """What the folder holds, read once."""

    run: RunDir
    config: RunConfig | JudgeConfig
    facts: dict[str, Any]  # provenance.json; empty when there is none
    digests: dict[str, str]  # checkpoint -> digest of its weights, those that are whole
    records: dict[str, dict[str, Outcome]]  # checkpoint -> attack -> record, those that are whole
    said: list[events.Event]
    findings: list[Finding]  # what reading them told


def read(run: RunDir, config: RunConfig | JudgeConfig) -> Stored:
    """Everything but the data."""
    findings: list[Finding] = []
    log = events.decode(run.events.read_bytes().splitlines() if run.events.is_file() else [])
    findings.append(_log(log))
    digests = {}
    for name in ("best", "last"):
        digest, finding = _weights(run, config, name)
        findings += [finding] if finding else []
        if digest:
            digests[name] = digest
    records: dict[str, dict[str, Outcome]] = {}
    tellers, wanted = _tellers(run, log.events), _wanted(config)
    for name in config.evaluation.checkpoints:
        told_by = {key: tellers.get((name, key)) or _ended(run, log.events) for key in wanted}
        records[name], found = _records(run, name, digests.get(name), told_by)
        findings += found
    for (name, attack), words in tellers.items():
        if name not in config.evaluation.checkpoints or attack not in wanted:
            findings.append(Finding(f"record {name} {attack}", FAILS, f"{words}, but config.toml does not ask for it"))
    facts = _json(run.provenance)
    return Stored(run, config, facts, digests, records, log.events, findings)


def _ended(run: RunDir, said: Sequence[events.Event]) -> str | None:
    """A run that is done has all its records, whatever else is silent of them."""
    status = status_of(run)
    done = (status is not None and status.phase == "done") or any(isinstance(event, RunFinished) for event in said)
    return "the run is done" if done else None


def hashes(stored: Stored) -> Iterator[Finding]:
    """The config's hash wherever it is written; and files that should say it and cannot be read."""
    for path, content in ((stored.run.status, status_of(stored.run)), (stored.run.provenance, stored.facts)):
        if path.exists() and not content:
            yield Finding(path.name, FAILS, "is damaged")
    wanted, status = stored.config.config_hash, status_of(stored.run)
    started = next((event for event in stored.said if isinstance(event, RunStarted)), None)
    told = {
        "status.json": status.config_hash if status else "",
        "provenance.json": str(stored.facts.get("config_hash", "")),
        "the log's first event": started.config_hash if started else "",
    }
    others = [place for place, found in told.items() if found not in ("", wanted)]
    silent = [place for place, found in told.items() if not found]
    if others:
        yield Finding("config", FAILS, f"config.toml hashes to {wanted[:12]}, {' and '.join(others)} say otherwise")
    elif len(silent) == len(told):
        yield Finding("config", UNKNOWN, f"config.toml hashes to {wanted[:12]}; nothing else names a hash")
    else:
        places = ", ".join(place for place in told if place not in silent)
        yield Finding("config", HOLDS, f"config.toml hashes to {wanted[:12]}, as {places} say")


def _log(log: events.Decoded) -> Finding:
    numbers = [event.seq for event in log.events]
    if not numbers:
        return Finding("events", UNKNOWN, "there are no events")
    if log.damaged or numbers != list(range(1, len(numbers) + 1)):
        what = f"{log.damaged} damaged lines" if log.damaged else "their numbers have gaps"
        return Finding("events", UNKNOWN if log.unknown else FAILS, f"{len(numbers)} events; {what}")
    return Finding("events", HOLDS, f"{len(numbers)} events, numbered without gaps")


def _weights(run: RunDir, config: RunConfig | JudgeConfig, name: str) -> tuple[str, Finding | None]:
    path, what = run.weights_of(name), f"weights {name}"
    wanted = isinstance(config, RunConfig) or name in config.evaluation.checkpoints
    if not path.is_file():
        return "", Finding(what, UNKNOWN, f"there is no {path.name}") if wanted else None
    try:
        tensors, facts = weights.load(path)
    except CheckpointError as error:
        return "", Finding(what, FAILS, error.what)
    digest = facts.get("digest", "")
    if not digest:
        return "", Finding(what, FAILS, "the file carries no digest")
    if isinstance(config, RunConfig):
        own = {"config_hash": config.config_hash, "checkpoint": name, "model": config.student.model_dump_json()}
        if apart := [key for key, value in own.items() if facts.get(key) != value]:
            return digest, Finding(what, FAILS, f"the file says another {', '.join(apart)} than this run")
    return digest, Finding(what, HOLDS, f"{len(tensors)} tensors, digest {digest[:12]}")


def _wanted(config: RunConfig | JudgeConfig) -> list[str]:
    """Attacks that have a record on every checkpoint, the worst case among them."""
    bounded = any(spec.bounded for spec in config.evaluation.attacks)
    return ["clean", *(spec.key for spec in config.evaluation.attacks), *(["worst"] if bounded else [])]


def _tellers(run: RunDir, said: Sequence[events.Event]) -> dict[tuple[str, str], str]:
    """(checkpoint, attack) -> who tells which accuracy, in words: all numbers that a reader of this run may see."""
    status = status_of(run)
    found = {
        (path.parent.name, path.stem): f"there is a file {path.name}"
        for path in sorted(run.evaluation.glob("*/*.json"))
        if path.stem not in NO_RECORDS
    }
    for checkpoint, row in (status.results if status else {}).items():
        found |= {(checkpoint, attack): f"status.json tells {100 * share:.2f} %" for attack, share in row.items()}
    for event in said:
        if isinstance(event, Evaluated):
            found[event.checkpoint, event.attack] = f"the log tells {100 * event.accuracy:.2f} %"
    return found


def _records(
    run: RunDir, checkpoint: str, digest: str | None, wanted: Mapping[str, str | None]
) -> tuple[dict[str, Outcome], list[Finding]]:
    """The whole records of a checkpoint, and what is wrong with the others; `wanted` says who tells each of them.

    A number that the log or the status tells has a record: it is written before them.
    """
    found: dict[str, Outcome] = {}
    findings = []
    for attack, words in wanted.items():
        path, what = run.result(checkpoint, attack), f"record {checkpoint} {attack}"
        if not path.is_file():
            gone = f"{words}, but there is no record of it" if words else "there is no record of it"
            findings.append(Finding(what, FAILS if words else UNKNOWN, gone))
            continue
        try:
            record = decode(path.read_bytes())
        except (OSError, ValueError, RecursionError) as error:
            findings.append(Finding(what, FAILS, f"the record is damaged: {' '.join(str(error).split())[:200]}"))
            continue
        if (record.checkpoint, record.attack) != (checkpoint, attack):
            findings.append(Finding(what, FAILS, f"the record is of {record.checkpoint} {record.attack}"))
        elif digest and record.weights_sha256 != digest:
            findings.append(Finding(what, FAILS, f"judged other weights, {record.weights_sha256[:12]}"))
        else:
            found[attack] = record
    return found, findings


def told(stored: Stored) -> Iterator[Finding]:
    """Each record against what the log and the status say of it."""
    status = status_of(stored.run)
    said = {(e.checkpoint, e.attack): e for e in stored.said if isinstance(e, Evaluated)}
    for checkpoint, row in stored.records.items():
        for attack, record in row.items():
            what, event = f"record {checkpoint} {attack}", said.get((checkpoint, attack))
            shown = (status.results.get(checkpoint, {}) if status else {}).get(attack)
            if event is not None and (apart := _apart(record, event)):
                yield Finding(what, FAILS, f"the record does not agree with the log ({', '.join(apart)})")
            elif shown is not None and not _near(shown, record.accuracy):
                yield Finding(what, FAILS, "the record does not agree with status.json")
            elif event is None:
                yield Finding(what, UNKNOWN, "the log does not tell this result")
            else:
                right = sum(unpack(record.robust, record.n))
                yield Finding(what, HOLDS, f"{right} of {record.n}, as its bits, the log and the status say")


def _apart(record: Outcome, event: Evaluated) -> list[str]:
    """Names of what differs."""
    return [
        key
        for key, one, other in (
            ("accuracy", record.accuracy, event.accuracy),
            ("low", record.low, event.low),
            ("high", record.high, event.high),
            ("n", record.n, event.n),
            ("of", record.of, event.of),
        )
        if not _near(float(one), float(other))
    ] + (["spec"] if record.spec != event.spec else [])


def data(stored: Stored, dataset: Dataset) -> tuple[Identity, list[Finding]]:
    """Hashes of both splits, and the identity that every record must have; its weights are left open."""
    found, told_ = provenance.data_digest(dataset), stored.facts.get("data_sha256", {})
    findings = []
    for split in ("train", "test"):
        said = told_.get(split) if isinstance(told_, dict) else None
        if said is None:
            findings.append(Finding(f"data {split}", UNKNOWN, "provenance.json names no hash of it"))
        elif said != found[split]:
            findings.append(Finding(f"data {split}", FAILS, f"is {found[split][:12]} now, was {str(said)[:12]}"))
        else:
            findings.append(Finding(f"data {split}", HOLDS, f"sha256 {said[:12]}"))
    evaluation, labels = stored.config.evaluation, dataset.test.labels
    indices = subset(labels, evaluation.images, evaluation.seed)
    return Identity(len(labels), outcomes.hash_indices(indices), found["test"], ""), findings


def figures(stored: Stored, dataset: Dataset, identity: Identity) -> Iterator[Finding]:
    """Each record computed anew from its bits and the labels; the worst case from the bits of all."""
    evaluation = stored.config.evaluation
    labels = dataset.test.labels[subset(dataset.test.labels, evaluation.images, evaluation.seed)].tolist()
    settings = {spec.key: recorded(spec, evaluation.protocol) for spec in evaluation.attacks}
    within = [spec.key for spec in evaluation.attacks if spec.bounded]
    for checkpoint, row in stored.records.items():
        for attack, record in row.items():
            what = f"record {checkpoint} {attack}"
            if (record.of, record.indices_sha256, record.data_sha256) != identity[:3]:
                yield Finding(what, FAILS, "judged other images")
                continue
            again = summarise(labels, record.predicted, unpack(record.robust, record.n), len(dataset.classes))
            new, old = (again.accuracy, *again.interval), (record.accuracy, record.low, record.high)
            same = all(_near(one, other) for one, other in zip(new, old, strict=True))
            if not same or (again.counts, again.confusion) != (record.counts, record.confusion):
                yield Finding(what, FAILS, "its figures do not follow from its bits and the labels")
            elif not _is_as_asked(record, settings, stored.config):
                yield Finding(what, FAILS, "its attack is not the one of config.toml")
        if "worst" in row and all(key in row for key in ("clean", *within)):
            again_ = worst_case([row["clean"], *(row[key] for key in within)], labels)
            stays = (again_.robust, again_.predicted, again_.spec) == tuple(
                getattr(row["worst"], key) for key in ("robust", "predicted", "spec")
            )
            words = f"follows from the bits of {len(within)} attacks" if stays else "is not what the attacks' bits give"
            yield Finding(f"worst case {checkpoint}", HOLDS if stays else FAILS, words)


def _is_as_asked(record: Outcome, settings: dict[str, dict[str, Any]], config: RunConfig | JudgeConfig) -> bool:
    ball = {"norm": config.threat_model.norm, "epsilon": str(config.threat_model.epsilon)}
    common = ball | {"seed": config.evaluation.seed, "batch_size": config.evaluation.batch_size}
    own = {key: value for key, value in record.spec.items() if key not in ("package", "attacks")}
    return own == settings.get(record.attack, {"name": record.attack}) | common


def teacher(stored: Stored, machine: Machine) -> Iterator[Finding]:
    """The teacher, or the judged model, where it came from; nothing is downloaded for it."""
    config = stored.config
    spec = config.teacher if isinstance(config, RunConfig) else config.subject
    if spec is None:
        return
    what = "teacher" if isinstance(config, RunConfig) else "judged model"
    noted = stored.facts.get("teacher") or {}
    said = noted.get("sha256") if isinstance(config, RunConfig) else stored.facts.get("subject_sha256")
    if not said:
        yield Finding(what, UNKNOWN, "provenance.json names no hash of it")
        return
    if isinstance(spec, RobustBenchTeacher):
        path = machine.data_folder / "teachers" / "robustbench" / config.data.name / f"{spec.robustbench}.pt"
        if not path.is_file():
            yield Finding(what, UNKNOWN, f"{spec.robustbench} is not on this machine")
            return
        label, found = spec.robustbench, weights.sha256(path)
    else:
        try:
            source = teachers.locate(spec, runs=machine.runs_folder, data=machine.data_folder, dataset=config.data.name)
        except (CrdndError, OSError) as error:
            yield Finding(what, UNKNOWN, f"cannot be found here: {' '.join(str(error).split())[:200]}")
            return
        label, found = source.label, source.sha256
    same = found == said
    words = f"sha256 {said[:12]}" if same else f"is {found[:12]} now, was {said[:12]}"
    yield Finding(what, HOLDS if same else FAILS, f"{label}: {words}")


def _near(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=0.0, abs_tol=1e-9)


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
