"""What a run folder says, held against itself and its data: hashes, weights, records, log. Nothing is written."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

from engine.evaluate.context import Identity, hash_indices
from engine.evaluate.evaluation import EVALUATED, subset
from engine.evaluate.outcomes import FAILS, HOLDS, UNKNOWN, CheckResult
from engine.runtime import provenance
from engine.spec import events, files
from engine.spec.attacks import RESERVED
from engine.spec.config import JudgeConfig, RunConfig
from engine.spec.errors import CheckpointError, brief
from engine.spec.events import Evaluated, RunFinished, RunStarted
from engine.spec.folders import status_of
from engine.spec.outcomes import Outcome, decode, near, same, summarise, unpack, worst_case
from engine.spec.rundir import RunDir
from engine.spec.status import Status
from engine.spec.training import recorded
from engine.teachers import weights
from engine.types import Dataset

CAP = 1 << 34  # bytes of a file of the run
E = TypeVar("E", bound=events.Event)


@dataclass(frozen=True, kw_only=True)
class StoredRun:
    """What the folder holds, read once."""

    run: RunDir
    config: RunConfig | JudgeConfig
    facts: dict[str, Any]  # provenance.json; empty when there is none
    status: Status | None
    headers: dict[str, dict[str, str]]  # checkpoint -> metadata of its weights, of those that are whole
    records: dict[str, dict[str, Outcome]]  # checkpoint -> attack -> record, of those that are whole
    events: list[events.Event]
    findings: list[CheckResult]  # of reading them

    @property
    def engines(self) -> list[dict[str, Any]]:
        """What provenance.json says of each engine that worked here, the last one first."""
        earlier = self.facts.get("earlier")
        return [self.facts, *(one for one in (earlier if isinstance(earlier, list) else []) if isinstance(one, dict))]

    @property
    def done(self) -> bool:
        """Whether the run came to its end: then nothing of it is missing."""
        return (self.status is not None and self.status.phase == "done") or self.last(RunFinished) is not None

    def all(self, kind: type[E]) -> list[E]:
        """The events of a kind, in order."""
        return [event for event in self.events if isinstance(event, kind)]

    def last(self, kind: type[E]) -> E | None:
        """The latest event of a kind."""
        return next((event for event in reversed(self.events) if isinstance(event, kind)), None)


def differing(pairs: Iterable[tuple[str, object, object]]) -> str:
    """In words, what differs: (name, what is said, what it is)."""
    return ", ".join(f"{name} {said}, not {is_}" for name, said, is_ in pairs if not same(said, is_))[:300]


def content_of(path: Path) -> bytes:
    """A file of the run; OSError when it cannot be read."""
    return files.content_of(path, CAP)


def read(run: RunDir, config: RunConfig | JudgeConfig) -> StoredRun:
    """Everything but the data."""
    log = events.decode((files.read(run.events, CAP) or b"").splitlines())
    findings, headers = [_check_log(log)], dict[str, dict[str, str]]()
    for name in ("best", "last"):
        header, result = _read_weights(run, config, name)
        findings += [result] if result else []
        headers |= {name: header} if header else {}
    stored = StoredRun(run=run, config=config, facts=files.read_table(run.provenance), status=status_of(run),
                       headers=headers, records={}, events=log.events, findings=findings)  # fmt: skip
    ended = stored.status is not None and stored.status.phase == "done"
    if ended and log.events and not (stored.last(RunFinished) or log.unknown):
        words = "status.json says that the run is done, and the log does not"
        findings.append(CheckResult("run_finished", FAILS, words))
    bounded = any(spec.bounded for spec in config.evaluation.attacks)
    wanted = ["clean", *(spec.key for spec in config.evaluation.attacks), *(["worst"] if bounded else [])]
    tellers = _tellers(stored)
    for checkpoint in config.evaluation.checkpoints:
        stored.records[checkpoint] = {}
        for attack in wanted:  # a number that the log or the status tells has a record: it is written before them
            told = tellers.pop((checkpoint, attack), "") or ("the run is done" if stored.done else "")
            record = _read_record(stored, checkpoint, attack, told)
            if isinstance(record, Outcome):
                stored.records[checkpoint][attack] = record
            else:
                findings.append(record)
    for (name, attack), teller in tellers.items():
        words = f"{teller}, but config.toml does not ask for it"
        findings.append(CheckResult(f"record {name} {attack}", FAILS, words))
    return stored


def _check_log(log: events.Decoded) -> CheckResult:
    numbers = [event.seq for event in log.events]
    if not numbers:
        return CheckResult("events", UNKNOWN, "there are no events")
    jumps = [(one, other) for one, other in pairwise([0, *numbers]) if other != one + 1]
    missing = sum(max(0, other - one - 1) for one, other in jumps)
    back = [other for one, other in jumps if other <= one]
    if log.damaged or back or missing > log.unknown:
        words = [f"{log.damaged} damaged line{'s' * (log.damaged > 1)}"] if log.damaged else []
        words += [f"{other - one - 1} missing after {one}" for one, other in jumps if other > one][:5]
        words += [f"the numbering goes back to {other}" for other in back][:5]
        return CheckResult("events", FAILS, f"{len(numbers)} events; {', '.join(words)}")
    if log.unknown:
        return CheckResult("events", UNKNOWN, f"{len(numbers)} events, and {log.unknown} of a newer engine")
    return CheckResult("events", HOLDS, f"{len(numbers)} events, numbered without gaps")


def _read_weights(run: RunDir, config: RunConfig | JudgeConfig, name: str) -> tuple[dict[str, str], CheckResult | None]:
    path, what = run.weights_of(name), f"weights {name}"
    if not path.is_file():
        wanted = isinstance(config, RunConfig) or name in config.evaluation.checkpoints
        return {}, CheckResult(what, UNKNOWN, f"there is no {path.name}") if wanted else None
    try:
        tensors, header = weights.load(path)
    except CheckpointError as error:
        return {}, CheckResult(what, FAILS, error.what)
    digest, apart = header.get("digest", ""), []
    if not digest:
        return {}, CheckResult(what, FAILS, "the file carries no digest")
    if isinstance(config, RunConfig):
        own = {"config_hash": config.config_hash, "checkpoint": name, "model": config.student.model_dump_json(),
               "data": config.data.name}  # fmt: skip
        apart = [key for key, value in own.items() if header.get(key, value if key == "data" else "") != value]
    wrong = f"the file says another {', '.join(apart)} than this run" if apart else ""
    return header, CheckResult.of(what, wrong, f"{len(tensors)} tensors, digest {digest[:12]}")


def _tellers(stored: StoredRun) -> dict[tuple[str, str], str]:
    """(checkpoint, attack) -> who tells which accuracy, in words: all numbers that a reader of this run may see."""
    found = {
        (path.parent.name, path.stem): f"there is a file {path.name}"
        for path in sorted(stored.run.evaluation.glob("*/*.json"))
        if path.stem not in RESERVED
    }
    for checkpoint, row in (stored.status.results if stored.status else {}).items():
        found |= {(checkpoint, attack): f"status.json tells {100 * share:.2f} %" for attack, share in row.items()}
    for e in stored.all(Evaluated):
        found[e.checkpoint, e.attack] = f"the log tells {100 * e.accuracy:.2f} %"
    return found


def _read_record(stored: StoredRun, checkpoint: str, attack: str, told: str) -> Outcome | CheckResult:
    """A whole record, or what is wrong with it; `told`: who tells its number, in words."""
    path, what = stored.run.result(checkpoint, attack), f"record {checkpoint} {attack}"
    if not path.is_file():
        gone = f"{told}, but there is no record of it" if told else "there is no record of it"
        return CheckResult(what, FAILS if told else UNKNOWN, gone)
    try:
        record = files.parsed(content_of(path), decode)
    except (OSError, ValueError) as error:
        return CheckResult(what, FAILS, f"the record is damaged: {brief(error)}")
    if (record.checkpoint, record.attack) != (checkpoint, attack):
        return CheckResult(what, FAILS, f"the record is of {record.checkpoint} {record.attack}")
    if record.weights_sha256 != stored.headers.get(checkpoint, {}).get("digest", record.weights_sha256):
        return CheckResult(what, FAILS, f"judged other weights, {record.weights_sha256[:12]}")
    return record


def check_hashes(stored: StoredRun) -> Iterator[CheckResult]:
    """The config's hash wherever it is written; and files that should say it and cannot be read."""
    for path, content in ((stored.run.status, stored.status), (stored.run.provenance, stored.facts)):
        if path.exists() and not content:
            yield CheckResult(path.name, FAILS, "is damaged")
    wanted, started = stored.config.config_hash, next(iter(stored.all(RunStarted)), None)
    told = {
        "status.json": stored.status.config_hash if stored.status else "",
        "provenance.json": str(stored.facts.get("config_hash", "")),
        "the log's first event": started.config_hash if started else "",
    }
    others = [place for place, found in told.items() if found not in ("", wanted)]
    hashes, places = f"config.toml hashes to {wanted[:12]}", [place for place, found in told.items() if found]
    if not places:
        yield CheckResult("config", UNKNOWN, f"{hashes}; nothing else names a hash")
    else:
        wrong = f"{hashes}, {' and '.join(others)} say otherwise" if others else ""
        yield CheckResult.of("config", wrong, f"{hashes}, as {', '.join(places)} say")


def check_records(stored: StoredRun) -> Iterator[CheckResult]:
    """Each record against what the log and the status say of it; a run that is done tells each of them in both."""
    said = {(e.checkpoint, e.attack): e for e in stored.all(Evaluated)}
    for checkpoint, row in stored.records.items():
        shown = stored.status.results.get(checkpoint, {}) if stored.status else {}
        for attack, record in row.items():
            what, event, wrong = f"record {checkpoint} {attack}", said.get((checkpoint, attack)), ""
            if event is not None and (apart := _apart(record, event)):
                wrong = f"the record does not agree with the log ({', '.join(apart)})"
            elif attack in shown and not near(shown[attack], record.accuracy):
                wrong = "the record does not agree with status.json"
            elif event is None and not stored.done:
                yield CheckResult(what, UNKNOWN, "the log does not tell this result")
                continue
            elif event is None:
                wrong = "the log does not tell this result"
            elif attack not in shown and stored.status is not None and stored.status.phase == "done":
                wrong = "status.json does not tell this result"
            elif apart := _made_elsewhere(stored, record):
                wrong = f"provenance.json says otherwise of its {', '.join(apart)}"
            right = sum(unpack(record.robust, record.n))
            yield CheckResult.of(what, wrong, f"{right} of {record.n}, as its bits, the log and the status say")


def _apart(record: Outcome, event: Evaluated) -> list[str]:
    """Names of what differs."""
    found = [key for key in EVALUATED if not same(getattr(record, key), getattr(event, key))]
    return found + (["split"] if event.split != "test" else [])


def _made_elsewhere(stored: StoredRun, record: Outcome) -> list[str]:
    """What a record says of device and libraries, and no engine of this run is known to have had."""
    says = {"device": record.device, **{key: value.partition("+")[0] for key, value in record.versions.items()}}
    engines = []
    for one in filter(None, stored.engines):
        gpu, packages = one.get("gpu"), one.get("packages")
        own = {key: packages.get(key) if isinstance(packages, dict) else None for key in ("torch", "pyautoattack")}
        device = gpu.get("name") if isinstance(gpu, dict) else one.get("device")
        engines.append({"device": device, "python": one.get("python"), **own})

    def known(key: str, value: str) -> bool:
        return any(one.get(key) in (None, value) or str(one[key]).partition("+")[0] == value for one in engines)

    apart = [key for key, value in says.items() if engines and not known(key, value)]
    return apart + (["dtype"] if record.dtype != "float32" else [])


def check_data(stored: StoredRun, dataset: Dataset) -> tuple[Identity, list[CheckResult]]:
    """Hashes of both splits, and the identity that every record must have; its weights are left open."""
    found, told = provenance.data_digest(dataset), stored.facts.get("data_sha256", {})
    results = []
    for split in ("train", "test"):
        said, what = told.get(split) if isinstance(told, dict) else None, f"data {split}"
        if said is None:
            results.append(CheckResult(what, UNKNOWN, "provenance.json names no hash of it"))
        else:
            wrong = "" if said == found[split] else f"is {found[split][:12]} now, was {str(said)[:12]}"
            results.append(CheckResult.of(what, wrong, f"sha256 {str(said)[:12]}"))
    evaluation, labels = stored.config.evaluation, dataset.test.labels
    indices = subset(labels, evaluation.images, evaluation.seed)
    return Identity(len(labels), hash_indices(indices), found["test"], ""), results


def check_figures(stored: StoredRun, dataset: Dataset, identity: Identity) -> Iterator[CheckResult]:
    """Each record computed anew from its bits and the labels; the worst case from the bits of all."""
    evaluation = stored.config.evaluation
    labels = dataset.test.labels[subset(dataset.test.labels, evaluation.images, evaluation.seed)].tolist()
    within = [spec.key for spec in evaluation.attacks if spec.bounded]
    for checkpoint, row in stored.records.items():
        for attack, record in row.items():
            if why := _wrong(stored, record, labels, row.get("clean"), len(dataset.classes), identity):
                yield CheckResult(f"record {checkpoint} {attack}", FAILS, why)
        if "worst" in row and all(key in row for key in ("clean", *within)):
            what = f"worst case {checkpoint}"
            try:
                again = worst_case([row["clean"], *(row[key] for key in within)], labels)
            except ValueError as error:  # of other images or weights
                yield CheckResult(what, FAILS, str(error))
                continue
            keys = ("robust", "predicted", "spec", "folded", "seconds", "details")
            follows = all(same(getattr(again, key), getattr(row["worst"], key)) for key in keys)
            wrong = "" if follows else "is not what the attacks' bits give"
            yield CheckResult.of(what, wrong, f"follows from the bits of {len(within)} attacks")


def _wrong(
    stored: StoredRun, record: Outcome, labels: Sequence[int], clean: Outcome | None, classes: int, identity: Identity
) -> str:
    """What of a record does not follow from its bits, the labels and the config; empty when everything does."""
    if (record.of, record.indices_sha256, record.data_sha256) != identity[:3] or record.n != len(labels):
        return "judged other images"
    bits = unpack(record.robust, record.n)
    again = summarise(labels, record.predicted, bits, classes)
    figures = [again.accuracy, *again.interval, *again.per_class]
    counts = (again.counts, again.confusion) == (record.counts, record.confusion)
    if not counts or not same(figures, [record.accuracy, record.low, record.high, *record.per_class]):
        return "its figures do not follow from its bits and the labels"
    if any(bit != (guess == label) for bit, guess, label in zip(bits, record.predicted, labels, strict=True)):
        return "an image counts as right that was taken for another class, or the other way round"
    if clean is not None and clean.n == record.n:
        before = unpack(clean.robust, clean.n)
        if any(after and not right for after, right in zip(bits, before, strict=True)):
            return "an image is right under attack that was wrong before"
        if not _details_follow(stored, record, sum(bits), sum(before)):
            return "its details do not follow from its bits"
    return "" if _is_as_asked(record, stored.config) else "its attack is not the one of config.toml"


def _details_follow(stored: StoredRun, record: Outcome, right: int, before: int) -> bool:
    """What a record says beside its accuracy, as far as its own bits tell it."""
    details = record.details
    after = [value for key, value in details.items() if key.startswith("after_")]
    if after and not (
        near(after[-1], record.accuracy)
        and all(one >= other for one, other in pairwise(after))
        and all(0 <= one <= before / record.n + 1e-9 for one in after)
    ):
        return False
    epsilon = float(stored.config.threat_model.epsilon)
    if not 0 <= details.get("largest_change", 0.0) <= epsilon + 1e-6 or details.get("max_logit", 0.0) < 0:
        return False
    found, boundless = details.get("found"), not record.spec.get("radius")
    return found is None or (0 <= found <= 1 and (not boundless or abs(found * before - (before - right)) < 1e-3))


def _is_as_asked(record: Outcome, config: RunConfig | JudgeConfig) -> bool:
    evaluation = config.evaluation
    spec = next((spec for spec in evaluation.attacks if spec.key == record.attack), None)
    asked = recorded(spec, evaluation.protocol) if spec else {"name": record.attack}
    asked |= {"norm": config.threat_model.norm, "epsilon": str(config.threat_model.epsilon)}
    asked |= {"seed": evaluation.seed, "batch_size": evaluation.batch_size}
    package, library = record.spec.get("package"), record.versions.get("pyautoattack")
    if package is not None and library is not None and package != f"pyautoattack {library}":
        return False
    return {key: value for key, value in record.spec.items() if key not in ("package", "attacks")} == asked
