"""What a run folder says, held against itself and against its data: hashes, records, log. Nothing is written."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from engine.evaluate.context import Identity, hash_indices
from engine.evaluate.evaluation import subset
from engine.evaluate.outcomes import FAILS, HOLDS, UNKNOWN, CheckResult
from engine.runtime import provenance
from engine.spec import events, files
from engine.spec.attacks import RESERVED, AttackSpec
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
Told = TypeVar("Told", bound=events.Event)


class Stored(NamedTuple):
    """What the folder holds, read once."""

    run: RunDir
    config: RunConfig | JudgeConfig
    facts: dict[str, Any]  # provenance.json; empty when there is none
    status: Status | None
    headers: dict[str, dict[str, str]]  # checkpoint -> what its weights say of themselves, those that are whole
    records: dict[str, dict[str, Outcome]]  # checkpoint -> attack -> record, those that are whole
    said: list[events.Event]
    findings: list[CheckResult]  # what reading them told

    @property
    def digests(self) -> dict[str, str]:
        """Checkpoint -> digest of its weights, those that are whole."""
        return {name: header["digest"] for name, header in self.headers.items()}

    @property
    def makers(self) -> list[dict[str, Any]]:
        """What provenance.json says of each engine that worked here, the last one first."""
        earlier = self.facts.get("earlier")
        return [self.facts, *(one for one in (earlier if isinstance(earlier, list) else []) if isinstance(one, dict))]

    @property
    def done(self) -> bool:
        """Whether the run came to its end: then nothing of it is missing."""
        return _is_done(self.status, self.said)

    def last(self, kind: type[Told]) -> Told | None:
        """The latest event of a kind."""
        return next((event for event in reversed(self.said) if isinstance(event, kind)), None)


def read(run: RunDir, config: RunConfig | JudgeConfig) -> Stored:
    """Everything but the data."""
    findings: list[CheckResult] = []
    log = events.decode((files.read(run.events, CAP) or b"").splitlines())
    findings.append(_log(log))
    headers = {}
    for name in ("best", "last"):
        header, finding = _weights(run, config, name)
        findings += [finding] if finding else []
        if header:
            headers[name] = header
    records: dict[str, dict[str, Outcome]] = {}
    status, wanted = status_of(run), _wanted(config)
    tellers = _tellers(run, status, log.events)
    finished = any(isinstance(event, RunFinished) for event in log.events)
    if status is not None and status.phase == "done" and log.events and not (finished or log.unknown):
        words = "status.json says that the run is done, and the log does not"
        findings.append(CheckResult("run_finished", FAILS, words))
    ended = "the run is done" if _is_done(status, log.events) else None  # then it has all its records
    for name in config.evaluation.checkpoints:
        told_by = {key: tellers.get((name, key)) or ended for key in wanted}
        records[name], found = _records(run, name, headers.get(name, {}).get("digest"), told_by)
        findings += found
    for (name, attack), words in tellers.items():
        if name not in config.evaluation.checkpoints or attack not in wanted:
            findings.append(
                CheckResult(f"record {name} {attack}", FAILS, f"{words}, but config.toml does not ask for it")
            )
    return Stored(run, config, files.read_table(run.provenance), status, headers, records, log.events, findings)


def _is_done(status: Status | None, said: Sequence[events.Event]) -> bool:
    return (status is not None and status.phase == "done") or any(isinstance(event, RunFinished) for event in said)


def hashes(stored: Stored) -> Iterator[CheckResult]:
    """The config's hash wherever it is written; and files that should say it and cannot be read."""
    for path, content in ((stored.run.status, stored.status), (stored.run.provenance, stored.facts)):
        if path.exists() and not content:
            yield CheckResult(path.name, FAILS, "is damaged")
    wanted, status = stored.config.config_hash, stored.status
    started = next((event for event in stored.said if isinstance(event, RunStarted)), None)
    told = {
        "status.json": status.config_hash if status else "",
        "provenance.json": str(stored.facts.get("config_hash", "")),
        "the log's first event": started.config_hash if started else "",
    }
    others = [place for place, found in told.items() if found not in ("", wanted)]
    silent = [place for place, found in told.items() if not found]
    if others:
        yield CheckResult("config", FAILS, f"config.toml hashes to {wanted[:12]}, {' and '.join(others)} say otherwise")
    elif len(silent) == len(told):
        yield CheckResult("config", UNKNOWN, f"config.toml hashes to {wanted[:12]}; nothing else names a hash")
    else:
        places = ", ".join(place for place in told if place not in silent)
        yield CheckResult("config", HOLDS, f"config.toml hashes to {wanted[:12]}, as {places} say")


def _log(log: events.Decoded) -> CheckResult:
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


def _weights(run: RunDir, config: RunConfig | JudgeConfig, name: str) -> tuple[dict[str, str], CheckResult | None]:
    path, what = run.weights_of(name), f"weights {name}"
    wanted = isinstance(config, RunConfig) or name in config.evaluation.checkpoints
    if not path.is_file():
        return {}, CheckResult(what, UNKNOWN, f"there is no {path.name}") if wanted else None
    try:
        tensors, facts = weights.load(path)
    except CheckpointError as error:
        return {}, CheckResult(what, FAILS, error.what)
    digest = facts.get("digest", "")
    if not digest:
        return {}, CheckResult(what, FAILS, "the file carries no digest")
    if isinstance(config, RunConfig):
        own = {"config_hash": config.config_hash, "checkpoint": name, "model": config.student.model_dump_json(),
               "data": config.data.name}  # fmt: skip
        if apart := [key for key, value in own.items() if facts.get(key, value if key == "data" else "") != value]:
            return facts, CheckResult(what, FAILS, f"the file says another {', '.join(apart)} than this run")
    return facts, CheckResult(what, HOLDS, f"{len(tensors)} tensors, digest {digest[:12]}")


def _wanted(config: RunConfig | JudgeConfig) -> list[str]:
    """Attacks that have a record on every checkpoint, the worst case among them."""
    bounded = any(spec.bounded for spec in config.evaluation.attacks)
    return ["clean", *(spec.key for spec in config.evaluation.attacks), *(["worst"] if bounded else [])]


def _tellers(run: RunDir, status: Status | None, said: Sequence[events.Event]) -> dict[tuple[str, str], str]:
    """(checkpoint, attack) -> who tells which accuracy, in words: all numbers that a reader of this run may see."""
    found = {
        (path.parent.name, path.stem): f"there is a file {path.name}"
        for path in sorted(run.evaluation.glob("*/*.json"))
        if path.stem not in RESERVED
    }
    for checkpoint, row in (status.results if status else {}).items():
        found |= {(checkpoint, attack): f"status.json tells {100 * share:.2f} %" for attack, share in row.items()}
    for event in said:
        if isinstance(event, Evaluated):
            found[event.checkpoint, event.attack] = f"the log tells {100 * event.accuracy:.2f} %"
    return found


def _records(
    run: RunDir, checkpoint: str, digest: str | None, wanted: Mapping[str, str | None]
) -> tuple[dict[str, Outcome], list[CheckResult]]:
    """The whole records of a checkpoint, and what is wrong with the others; `wanted` says who tells each of them.

    A number that the log or the status tells has a record: it is written before them.
    """
    found: dict[str, Outcome] = {}
    findings = []
    for attack, words in wanted.items():
        path, what = run.result(checkpoint, attack), f"record {checkpoint} {attack}"
        if not path.is_file():
            gone = f"{words}, but there is no record of it" if words else "there is no record of it"
            findings.append(CheckResult(what, FAILS if words else UNKNOWN, gone))
            continue
        try:
            record = files.parsed(content_of(path), decode)
        except (OSError, ValueError) as error:
            findings.append(CheckResult(what, FAILS, f"the record is damaged: {brief(error)}"))
            continue
        if (record.checkpoint, record.attack) != (checkpoint, attack):
            findings.append(CheckResult(what, FAILS, f"the record is of {record.checkpoint} {record.attack}"))
        elif digest and record.weights_sha256 != digest:
            findings.append(CheckResult(what, FAILS, f"judged other weights, {record.weights_sha256[:12]}"))
        else:
            found[attack] = record
    return found, findings


def told(stored: Stored) -> Iterator[CheckResult]:
    """Each record against what the log and the status say of it; a run that is done tells each of them in both."""
    said = {(e.checkpoint, e.attack): e for e in stored.said if isinstance(e, Evaluated)}
    for checkpoint, row in stored.records.items():
        for attack, record in row.items():
            what, event = f"record {checkpoint} {attack}", said.get((checkpoint, attack))
            shown = (stored.status.results.get(checkpoint, {}) if stored.status else {}).get(attack)
            if event is not None and (apart := _apart(record, event)):
                yield CheckResult(what, FAILS, f"the record does not agree with the log ({', '.join(apart)})")
            elif shown is not None and not near(shown, record.accuracy):
                yield CheckResult(what, FAILS, "the record does not agree with status.json")
            elif event is None:
                yield CheckResult(what, FAILS if stored.done else UNKNOWN, "the log does not tell this result")
            elif shown is None and stored.status is not None and stored.status.phase == "done":
                yield CheckResult(what, FAILS, "status.json does not tell this result")
            elif apart := _made_elsewhere(stored, record):
                yield CheckResult(what, FAILS, f"provenance.json says otherwise of its {', '.join(apart)}")
            else:
                right = sum(unpack(record.robust, record.n))
                yield CheckResult(what, HOLDS, f"{right} of {record.n}, as its bits, the log and the status say")


def _apart(record: Outcome, event: Evaluated) -> list[str]:
    """Names of what differs."""
    names = ("accuracy", "low", "high", "n", "of", "seconds", "per_class", "details", "spec")
    found = [key for key in names if not same(getattr(record, key), getattr(event, key))]
    return found + (["split"] if event.split != "test" else [])


def _made_elsewhere(stored: Stored, record: Outcome) -> list[str]:
    """What a record says of device and libraries, and no engine of this run is known to have had."""

    def known(of: Mapping[str, Any]) -> dict[str, Any]:
        gpu, packages = of.get("gpu"), of.get("packages")
        own: dict[str, Any] = packages if isinstance(packages, dict) else {}
        return {
            "device": gpu.get("name") if isinstance(gpu, dict) else of.get("device"),
            "python": of.get("python"), "torch": own.get("torch"), "pyautoattack": own.get("pyautoattack"),
        }  # fmt: skip

    says = {"device": record.device, **{key: value.partition("+")[0] for key, value in record.versions.items()}}
    engines = [known(one) for one in stored.makers if one]
    apart = [key for key, value in says.items()
             if engines and not any(one.get(key) in (None, value) or str(one[key]).partition("+")[0] == value
                                    for one in engines)]  # fmt: skip
    return apart + (["dtype"] if record.dtype != "float32" else [])


def data(stored: Stored, dataset: Dataset) -> tuple[Identity, list[CheckResult]]:
    """Hashes of both splits, and the identity that every record must have; its weights are left open."""
    found, told_ = provenance.data_digest(dataset), stored.facts.get("data_sha256", {})
    findings = []
    for split in ("train", "test"):
        said = told_.get(split) if isinstance(told_, dict) else None
        if said is None:
            findings.append(CheckResult(f"data {split}", UNKNOWN, "provenance.json names no hash of it"))
        elif said != found[split]:
            findings.append(CheckResult(f"data {split}", FAILS, f"is {found[split][:12]} now, was {str(said)[:12]}"))
        else:
            findings.append(CheckResult(f"data {split}", HOLDS, f"sha256 {said[:12]}"))
    evaluation, labels = stored.config.evaluation, dataset.test.labels
    indices = subset(labels, evaluation.images, evaluation.seed)
    return Identity(len(labels), hash_indices(indices), found["test"], ""), findings


def figures(stored: Stored, dataset: Dataset, identity: Identity) -> Iterator[CheckResult]:
    """Each record computed anew from its bits and the labels; the worst case from the bits of all."""
    evaluation = stored.config.evaluation
    labels = dataset.test.labels[subset(dataset.test.labels, evaluation.images, evaluation.seed)].tolist()
    within = [spec.key for spec in evaluation.attacks if spec.bounded]
    for checkpoint, row in stored.records.items():
        for attack, record in row.items():
            why = _wrong(stored, record, labels, row.get("clean"), len(dataset.classes), identity)
            if why:
                yield CheckResult(f"record {checkpoint} {attack}", FAILS, why)
        if "worst" in row and all(key in row for key in ("clean", *within)):
            try:
                again = worst_case([row["clean"], *(row[key] for key in within)], labels)
            except ValueError as error:  # of other images or weights
                yield CheckResult(f"worst case {checkpoint}", FAILS, str(error))
                continue
            keys = ("robust", "predicted", "spec", "folded", "seconds", "details")
            stays = all(same(getattr(again, key), getattr(row["worst"], key)) for key in keys)
            words = f"follows from the bits of {len(within)} attacks" if stays else "is not what the attacks' bits give"
            yield CheckResult(f"worst case {checkpoint}", HOLDS if stays else FAILS, words)


def _wrong(
    stored: Stored, record: Outcome, labels: Sequence[int], clean: Outcome | None, classes: int, identity: Identity
) -> str:
    """What of a record does not follow from its bits, the labels and the config; empty when everything does."""
    if (record.of, record.indices_sha256, record.data_sha256) != identity[:3] or record.n != len(labels):
        return "judged other images"
    bits = unpack(record.robust, record.n)
    again = summarise(labels, record.predicted, bits, classes)
    new, old = (again.accuracy, *again.interval, *again.per_class), (record.accuracy, record.low, record.high)
    if not same([*new], [*old, *record.per_class]) or (again.counts, again.confusion) != (
        record.counts, record.confusion,
    ):  # fmt: skip
        return "its figures do not follow from its bits and the labels"
    if any(bit != (guess == label) for bit, guess, label in zip(bits, record.predicted, labels, strict=True)):
        return "an image counts as right that was taken for another class, or the other way round"
    if clean is not None and clean.n == record.n:
        before = unpack(clean.robust, clean.n)
        if any(after and not right for after, right in zip(bits, before, strict=True)):
            return "an image is right under attack that was wrong before"
        if not _details_follow(stored, record, sum(bits), sum(before)):
            return "its details do not follow from its bits"
    specs = {spec.key: spec for spec in stored.config.evaluation.attacks}
    if not _is_as_asked(record, specs, stored.config):
        return "its attack is not the one of config.toml"
    return ""


def _details_follow(stored: Stored, record: Outcome, right: int, before: int) -> bool:
    """What a record says beside its accuracy, as far as its own bits tell it."""
    details, n = record.details, record.n
    after = [value for key, value in details.items() if key.startswith("after_")]
    if after and not (near(after[-1], record.accuracy) and all(one >= other for one, other in pairwise(after))):
        return False
    if after and not all(0 <= one <= before / n + 1e-9 for one in after):
        return False
    epsilon = float(stored.config.threat_model.epsilon)
    if not 0 <= details.get("largest_change", 0.0) <= epsilon + 1e-6 or details.get("max_logit", 0.0) < 0:
        return False
    found, boundless = details.get("found"), not record.spec.get("radius")
    return found is None or (0 <= found <= 1 and (not boundless or abs(found * before - (before - right)) < 1e-3))


def _is_as_asked(record: Outcome, specs: Mapping[str, AttackSpec], config: RunConfig | JudgeConfig) -> bool:
    evaluation = config.evaluation
    ball = {"norm": config.threat_model.norm, "epsilon": str(config.threat_model.epsilon)}
    common = ball | {"seed": evaluation.seed, "batch_size": evaluation.batch_size}
    spec = specs.get(record.attack)
    asked = recorded(spec, evaluation.protocol) if spec else {"name": record.attack}
    package, library = record.spec.get("package"), record.versions.get("pyautoattack")
    if package is not None and library is not None and package != f"pyautoattack {library}":
        return False
    return {key: value for key, value in record.spec.items() if key not in ("package", "attacks")} == asked | common


def differing(pairs: Iterable[tuple[str, object, object]]) -> str:
    """In words, what differs: (name, what is said, what it is)."""
    return ", ".join(f"{name} {said}, not {is_}" for name, said, is_ in pairs if not same(said, is_))[:300]


def content_of(path: Path) -> bytes:
    """A file of the run; OSError when it cannot be read."""
    return files.content_of(path, CAP)
