"""What a run folder holds, read once; its hashes, records and galleries, held against each other and the data."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any, TypeVar

import msgspec
import numpy as np
import torch
from torch import Tensor

from engine.evaluate import outcomes
from engine.evaluate.context import hash_indices
from engine.evaluate.evaluation import EVALUATED, subset
from engine.evaluate.outcomes import FAILS, HOLDS, UNKNOWN, CheckResult
from engine.runtime import provenance
from engine.spec import events, files, gallery
from engine.spec.attacks import RESERVED
from engine.spec.config import JudgeConfig, RunConfig
from engine.spec.errors import CheckpointError, brief
from engine.spec.events import Evaluated, RunFinished, RunStarted
from engine.spec.folders import status_of
from engine.spec.outcomes import Outcome, decode, near, same, summarise, unpack, worst_case
from engine.spec.rundir import RunDir
from engine.spec.status import Status
from engine.teachers import weights
from engine.train.reporter import log_damage
from engine.train.selection import weights_facts
from engine.types import Dataset

CAP = 1 << 34  # bytes of a file of the run
SLACK = 1e-6  # of a pixel: what float32 arithmetic leaves
E = TypeVar("E", bound=events.Event)
Facts = Mapping[str, Any] | msgspec.Struct
Pairs = list[tuple[str, object, object]]  # name, what is said, what it should be
ReadGallery = tuple[gallery.Gallery, dict[str, tuple[Tensor, Tensor]]]  # of each attack x and x_adv, N C H W


@dataclass(kw_only=True)
class StoredRun:
    """What the folder holds: all that is whole; what is not is in `findings`. And the data, if they are here."""

    run: RunDir
    config: RunConfig | JudgeConfig
    facts: dict[str, Any]  # provenance.json; empty when there is none
    status: Status | None
    log: events.Decoded
    dataset: Dataset | None  # None where it is not here
    findings: list[CheckResult] = field(default_factory=list)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)  # checkpoint -> facts of its weights
    records: dict[str, dict[str, Outcome]] = field(default_factory=dict)  # checkpoint -> attack -> record
    galleries: dict[str, ReadGallery] = field(default_factory=dict)  # checkpoint -> index, pixels of each attack

    @property
    def engines(self) -> list[dict[str, Any]]:
        """What provenance.json says of each engine that worked here, the last one first."""
        earlier = self.facts.get("earlier")
        return [self.facts, *(one for one in (earlier if isinstance(earlier, list) else []) if isinstance(one, dict))]

    @property
    def done(self) -> bool:
        """Whether the run came to its end: then nothing of it is missing."""
        return (self.status is not None and self.status.phase == "done") or self.last(RunFinished) is not None

    @cached_property
    def digests(self) -> dict[str, str]:
        """SHA-256 of both splits; empty without data."""
        return provenance.data_digest(self.dataset) if self.dataset else {}

    @cached_property
    def indices(self) -> Tensor:
        """Places of the evaluated images in the test split; the data must be here."""
        assert self.dataset is not None
        return subset(self.dataset.test.labels, self.config.evaluation.images, self.config.evaluation.seed)

    def all(self, kind: type[E]) -> list[E]:
        return [event for event in self.log.events if isinstance(event, kind)]

    def last(self, kind: type[E]) -> E | None:
        return next((event for event in reversed(self.log.events) if isinstance(event, kind)), None)


def fields(name: str, said: Facts, wanted: Facts, keys: Iterable[str] | None = None) -> Pairs:
    """The pairs of these fields of two structs or tables; None: of all that the wanted one has."""
    one, other = (part if isinstance(part, Mapping) else msgspec.structs.asdict(part) for part in (said, wanted))
    return [(f"{name} {key}".strip(), one.get(key), other.get(key)) for key in (other if keys is None else keys)]


def differing(pairs: Iterable[tuple[str, object, object]]) -> str:
    return ", ".join(f"{name} {said}, not {wanted}" for name, said, wanted in pairs if not same(said, wanted))[:300]


def read(run: RunDir, config: RunConfig | JudgeConfig, dataset: Dataset | None) -> StoredRun:
    """All but the galleries, which are large."""
    log = events.decode((files.read(run.events, CAP) or b"").splitlines())
    facts = files.read_table(run.provenance)
    stored = StoredRun(run=run, config=config, facts=facts, status=status_of(run), log=log, dataset=dataset)
    stored.findings = [*_read_log(stored), *_read_weights(stored), *_read_records(stored)]
    return stored


def _read_log(stored: StoredRun) -> Iterator[CheckResult]:
    log = stored.log
    count = f"{len(log.events)} events"
    if not log.events:
        yield CheckResult("events", UNKNOWN, "there are no events")
    elif wrong := log_damage(log):
        yield CheckResult("events", FAILS, f"{count}; {wrong}")
    elif log.unknown:
        yield CheckResult("events", UNKNOWN, f"{count}, and {log.unknown} of a newer engine")
    else:
        yield CheckResult("events", HOLDS, f"{count}, numbered without gaps")
    ended = stored.status is not None and stored.status.phase == "done"
    if ended and log.events and not (stored.last(RunFinished) or log.unknown):
        yield CheckResult("run_finished", FAILS, "status.json says that the run is done, and the log does not")


def _read_weights(stored: StoredRun) -> Iterator[CheckResult]:
    config = stored.config
    for name in ("best", "last"):
        path, what = stored.run.weights_of(name), f"weights {name}"
        if not path.is_file():
            if isinstance(config, RunConfig) or name in config.evaluation.checkpoints:
                yield CheckResult(what, UNKNOWN, f"there is no {path.name}")
            continue
        try:
            tensors, header = weights.load(path)
        except CheckpointError as error:
            yield CheckResult(what, FAILS, error.what)
            continue
        digest, wrong = header.get("digest", ""), ""
        if not digest:
            yield CheckResult(what, FAILS, "the file carries no digest")
            continue
        stored.headers[name] = header
        if isinstance(config, RunConfig):
            own = weights_facts(config, name)
            wrong = differing(fields("the file's", {"data": own["data"]} | header, own))
        yield CheckResult.of(what, wrong, f"{len(tensors)} tensors, digest {digest[:12]}")


def _read_records(stored: StoredRun) -> Iterator[CheckResult]:
    """A number that a file, the log or the status tells has a record: it is written before them."""
    evaluation, known = stored.config.evaluation, _accuracies_told(stored)
    bounded = any(spec.bounded for spec in evaluation.attacks)
    wanted = ["clean", *(spec.key for spec in evaluation.attacks), *(["worst"] if bounded else [])]
    for name in evaluation.checkpoints:
        stored.records[name] = {}
        for attack in wanted:
            told = known.pop((name, attack), "") or ("the run is done" if stored.done else "")
            path, what, gone = stored.run.result(name, attack), f"record {name} {attack}", "there is no record of it"
            if not path.is_file():
                yield CheckResult(what, FAILS if told else UNKNOWN, f"{told}, but {gone}" if told else gone)
                continue
            try:
                record = files.parsed(files.content_of(path, CAP), decode)
            except (OSError, ValueError) as error:
                yield CheckResult(what, FAILS, f"the record is damaged: {brief(error)}")
                continue
            digest = stored.headers.get(name, {}).get("digest", record.weights_sha256)
            own = {"checkpoint": name, "attack": attack, "weights_sha256": digest}
            if wrong := differing(fields("the record's", record, own)):
                yield CheckResult(what, FAILS, wrong)
            else:
                stored.records[name][attack] = record
    for (other, attack), teller in known.items():
        yield CheckResult(f"record {other} {attack}", FAILS, f"{teller}, but config.toml does not ask for it")


def _accuracies_told(stored: StoredRun) -> dict[tuple[str, str], str]:
    """(checkpoint, attack) -> who tells which accuracy, in words: all numbers that a reader of this run may see."""
    found = {
        (path.parent.name, path.stem): f"there is a file {path.name}"
        for path in sorted(stored.run.evaluation.glob("*/*.json"))
        if path.stem not in RESERVED
    }
    for told, row in (stored.status.results if stored.status else {}).items():
        found |= {(told, attack): f"status.json tells {100 * share:.2f} %" for attack, share in row.items()}
    return found | {(e.checkpoint, e.attack): f"the log tells {100 * e.accuracy:.2f} %" for e in stored.all(Evaluated)}


def check(stored: StoredRun) -> Iterator[CheckResult]:
    """The config's hash wherever it is written, and each record."""
    yield from stored.findings
    for path, content in ((stored.run.status, stored.status), (stored.run.provenance, stored.facts)):
        if path.exists() and not content:
            yield CheckResult(path.name, FAILS, "is damaged")
    wanted, started = stored.config.config_hash, next(iter(stored.all(RunStarted)), None)
    told = {
        "status.json": stored.status.config_hash if stored.status else "",
        "provenance.json": str(stored.facts.get("config_hash", "")),
        "the log's first event": started.config_hash if started else "",
    }
    told = {place: said for place, said in told.items() if said}
    if not told:
        yield CheckResult("config", UNKNOWN, f"config.toml hashes to {wanted[:12]}; nothing else names a hash")
    else:
        wrong = differing((f"{place}: the config's hash is", said, wanted) for place, said in told.items())
        yield CheckResult.of("config", wrong, f"config.toml hashes to {wanted[:12]}, as {', '.join(told)} say")
    for row in stored.records.values():
        yield from (_check_record(stored, record, row.get("clean")) for record in row.values())


def _check_record(stored: StoredRun, record: Outcome, clean: Outcome | None) -> CheckResult:
    """Against the log, the status, provenance.json, its own bits, the labels and the config.

    A run that is done tells each record in log and status.
    """
    what, place = f"record {record.checkpoint} {record.attack}", (record.checkpoint, record.attack)
    event = next((e for e in reversed(stored.all(Evaluated)) if (e.checkpoint, e.attack) == place), None)
    shown = stored.status.results.get(record.checkpoint, {}) if stored.status else {}
    pairs = [] if event is None else [*fields("the log's", event, record, EVALUATED), ("split", event.split, "test")]
    pairs += [("status.json's accuracy", shown[record.attack], record.accuracy)] if record.attack in shown else []
    wrong = differing(pairs)
    if not wrong and event is None and stored.done:
        wrong = "the log does not tell this result"
    if not wrong and record.attack not in shown and stored.status is not None and stored.status.phase == "done":
        wrong = "status.json does not tell this result"
    wrong = wrong or differing(_origin(stored, record))
    if stored.dataset is not None:
        wrong = wrong or _not_following(stored, stored.dataset, record, clean)
    if not wrong and event is None:
        return CheckResult(what, UNKNOWN, "the log does not tell this result")
    right = sum(unpack(record.robust, record.n))
    return CheckResult.of(what, wrong, f"{right} of {record.n}, as its bits, the log and the status say")


def _origin(stored: StoredRun, record: Outcome) -> Pairs:
    """Device and libraries of a record, and those of the engines that provenance.json knows."""

    def release(version: object) -> str:
        return str(version).partition("+")[0]

    engines = []
    for one in filter(None, stored.engines):
        gpu, packages = one.get("gpu"), one.get("packages")
        device = gpu.get("name") if isinstance(gpu, dict) else one.get("device")
        own = packages if isinstance(packages, dict) else {}
        engines.append({**own, "device": device, "python": one.get("python")})
    pairs: Pairs = [("dtype", record.dtype, "float32")]
    for key, value in {"device": record.device, **record.versions}.items():
        known = {release(one.get(key) or value) for one in engines}  # an engine that names none may have had it
        if known and release(value) not in known:
            pairs.append((key, value, " or ".join(sorted(known))))
    return pairs


def _not_following(stored: StoredRun, dataset: Dataset, record: Outcome, clean: Outcome | None) -> str:
    """What of a record does not follow from its bits, the images, the labels and the config; empty when all does."""
    config, bits, labels = stored.config, unpack(record.robust, record.n), dataset.test.labels[stored.indices].tolist()
    images = {"n": len(labels), "of": len(dataset.test.labels), "indices_sha256": hash_indices(stored.indices)}
    if wrong := differing(fields("of other images:", record, images | {"data_sha256": stored.digests["test"]})):
        return wrong
    spec = next((spec for spec in config.evaluation.attacks if spec.key == record.attack), None)
    asked = outcomes.describe(spec, config.threat_model, config.evaluation) | ({} if spec else {"name": record.attack})
    asked.pop("package", None)
    package, library = record.spec.get("package"), f"pyautoattack {record.versions.get('pyautoattack')}"
    said = {key: value for key, value in record.spec.items() if key not in ("attacks", "package")}
    figures = summarise(labels, record.predicted, bits, len(dataset.classes))
    told = [("its package is", package, library)] if package and "pyautoattack" in record.versions else []
    if wrong := differing([*fields("", record, figures._asdict()), ("its attack is", said, asked), *told]):
        return wrong
    if any(bit != (guess == label) for bit, guess, label in zip(bits, record.predicted, labels, strict=True)):
        return "an image counts as right that was taken for another class, or the other way round"
    if clean is None or clean.n != record.n:
        return ""
    before = unpack(clean.robust, clean.n)
    if any(after and not right for after, right in zip(bits, before, strict=True)):
        return "an image is right under attack that was wrong before"
    return "" if _details_follow(stored, record, sum(bits), sum(before)) else "its details do not follow from its bits"


def _details_follow(stored: StoredRun, record: Outcome, right: int, before: int) -> bool:
    """Whether what a record says beside its accuracy agrees with its bits: so many are `right`, and were `before`."""
    details, found = record.details, record.details.get("found")
    shares = [before / record.n, *(value for key, value in details.items() if key.startswith("after_"))]
    if len(shares) > 1 and not (near(shares[-1], record.accuracy) and all(a >= b - 1e-9 for a, b in pairwise(shares))):
        return False
    if found is not None and not (
        0 <= found <= 1 and (record.spec.get("radius") or abs(found * before - (before - right)) < 1e-3)
    ):
        return False
    reach = details.get("largest_change", 0.0)
    return 0 <= reach <= float(stored.config.threat_model.epsilon) + SLACK and details.get("max_logit", 0.0) >= 0


def check_data(stored: StoredRun, dataset: Dataset) -> Iterator[CheckResult]:
    """Hashes of both splits; the worst case, made of the bits of all attacks."""
    told = stored.facts.get("data_sha256")
    for split, digest in stored.digests.items():
        said = told.get(split) if isinstance(told, dict) else None
        wrong = differing([("its sha256 was", said, digest)])
        words = f"sha256 {digest[:12]}" if said else "provenance.json names no hash of it"
        yield CheckResult.of(f"data {split}", wrong, words) if said else CheckResult(f"data {split}", UNKNOWN, words)
    within = [spec.key for spec in stored.config.evaluation.attacks if spec.bounded]
    for name, row in stored.records.items():
        if all(key in row for key in ("worst", "clean", *within)):
            try:
                again = worst_case(
                    [row["clean"], *(row[key] for key in within)], dataset.test.labels[stored.indices].tolist()
                )
            except ValueError as error:  # of other images or weights
                yield CheckResult(f"worst case {name}", FAILS, str(error))
                continue
            keys = ("robust", "predicted", "spec", "folded", "seconds", "details")
            wrong = differing(fields("its", row["worst"], again, keys))
            yield CheckResult.of(f"worst case {name}", wrong, f"follows from the bits of {len(within)} attacks")


def check_galleries(stored: StoredRun) -> Iterator[CheckResult]:
    """Whole, of these weights, within the ball, and of the images that they name; those are kept in `galleries`."""
    evaluation, epsilon = stored.config.evaluation, float(stored.config.threat_model.epsilon)
    bounded = {spec.key for spec in evaluation.attacks if spec.bounded}
    for name in evaluation.checkpoints:
        path, what = stored.run.gallery(name), f"gallery {name}"
        if not path.is_file():
            continue
        wrong, count = [], 0
        try:
            index = files.parsed(files.content_of(path, CAP), gallery.decode)
            pixels = {}
            for attack, shown in index.attacks.items():
                content = files.content_of(path.with_name(shown.file), CAP)
                # RuntimeError, ValueError where the size is no multiple of two images
                x, x_adv = torch.from_numpy(np.frombuffer(content, "<f4").copy()).view(-1, 2, *index.shape).unbind(1)
                pixels[attack] = (x, x_adv)
                leaves = attack in bounded and float((x_adv - x).abs().max()) > epsilon + SLACK
                broken = _misshown(shown, content, x, x_adv, stored.dataset)
                wrong.append(broken or (f"{shown.file} leaves the ball" if leaves else ""))
                count += len(shown.examples)
            stored.galleries[name] = (index, pixels)
        except (OSError, ValueError, RuntimeError) as error:
            yield CheckResult(what, FAILS, f"is damaged: {brief(error)}")
            continue
        if index.v != 1:
            yield CheckResult(what, UNKNOWN, f"is of format {index.v}, which this engine does not know")
            continue
        if index.weights_sha256 != stored.headers.get(name, {}).get("digest", index.weights_sha256):
            wrong = ["is of other weights"]
        words = f"{count} examples of {len(index.attacks)} attacks, whole and within the ball"
        yield CheckResult.of(what, "; ".join(filter(None, wrong)), words)


def _misshown(shown: gallery.ExampleSet, content: bytes, x: Tensor, x_adv: Tensor, dataset: Dataset | None) -> str:
    """What is wrong with an attack's pixels, the ball aside; empty when nothing is."""
    file, examples = shown.file, shown.examples
    size, count = len(content) // (2 * max(1, len(examples))), len(examples)
    offsets = [(example.clean_offset, example.adversarial_offset) for example in examples]
    if hashlib.sha256(content).hexdigest() != shown.sha256:
        return f"the hash of {file} is not the one in the index"
    if len(x) != count:
        return f"{file} has not the size of its examples"
    if offsets != [(2 * i * size, (2 * i + 1) * size) for i in range(count)]:
        return f"{file} does not lie as the index says"
    if not bool((x_adv >= 0).all() and (x_adv <= 1).all()):
        return f"{file} leaves [0, 1]"
    if dataset is not None:
        test, chosen = dataset.test, torch.tensor([example.index for example in examples])
        if not bool(((chosen >= 0) & (chosen < len(test.labels))).all()):
            return f"{file} shows images that the test split does not have"
        labels = [example.label for example in examples]
        if not torch.equal(test.images[chosen].float() / 255, x) or test.labels[chosen].tolist() != labels:
            return f"{file} shows other images than the test split"
    return ""
