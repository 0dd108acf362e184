"""A saved student evaluated again: its attacks, its marks, its examples, its validation, its teacher's measurement.

Everything happens in temporary folders, with the attacks, seeds, batches and images of the run.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import nn

from engine.data.splits import split_training
from engine.evaluate import outcomes, twin
from engine.evaluate.context import EvaluationSubject, Identity, Pause
from engine.evaluate.evaluation import accuracies, evaluate, subset
from engine.evaluate.outcomes import AT_LEAST, FAILS, HOLDS, OWN, TURNED, UNKNOWN, CheckResult
from engine.evaluate.twin import Twin
from engine.runtime import device as runtime
from engine.runtime import provenance
from engine.runtime.distributed import ALONE
from engine.spec import files
from engine.spec.attacks import AttackSpec
from engine.spec.config import JudgeConfig, RunConfig
from engine.spec.errors import CrdndError, brief
from engine.spec.events import AttackProgressed, Event, Probed, TeacherChecked, Validated, Warned
from engine.spec.machine import Machine
from engine.spec.marks import decode_checks
from engine.spec.models import Layout, ModelSpec
from engine.spec.outcomes import Outcome, decode, same
from engine.spec.rundir import RunDir
from engine.spec.training import Evaluation
from engine.teachers import load, saved, weights
from engine.teachers.load import FrozenTeacher, TeacherSource
from engine.types import Dataset, Split
from engine.verify import verify_gallery, verify_log
from engine.verify.verify_files import StoredRun, content_of, differing

TEACHER_MARKS = frozenset({"teacher_less_robust", "teacher_at_chance", "teacher_below_record"})
TEMPORARY = "crdnd-verify-"
Say = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, kw_only=True)
class Repetition:
    """What is evaluated again in one verification, and with what."""

    stored: StoredRun
    dataset: Dataset
    identity: Identity
    machine: Machine
    source: TeacherSource | None  # the teacher, or the evaluated model, that the run had; None where it is not here
    attacks: Sequence[AttackSpec]
    everything: bool  # probes, validation and the teacher's measurement, too
    pause: Pause
    say: Say

    @property
    def layout(self) -> Layout | None:
        """In memory, of the run's nets, as provenance.json says it; None where it does not."""
        told = self.stored.facts.get("layout")
        return next((layout for layout in runtime.FORMATS if layout == told), None)

    def build(self, spec: ModelSpec) -> nn.Module:
        """A fresh net for the run's data, on the CPU."""
        return saved.build(spec, len(self.dataset.classes), self.dataset.image)

    def place(self, net: nn.Module, spec: ModelSpec, device: torch.device, layout: Layout | None) -> nn.Module:
        """The net on the device, in this layout, or in that of a run."""
        return runtime.place(net, device, runtime.FORMATS[layout or runtime.layout(self.machine, device, spec)])

    def teacher(self, device: torch.device) -> FrozenTeacher | None:
        """The run's own teacher, frozen; None where it is not here."""
        if self.source is None or not isinstance(self.stored.config, RunConfig):
            return None
        teacher, _notes = load.load(self.source, self.build, device)
        self.place(teacher, self.source.model, device, None if self.machine.folds else self.layout)
        return teacher

    def twin(self, checkpoint: str, model: ModelSpec, device: torch.device) -> Twin:
        """The natural twin that the probes met, or, where they met none, one that is found as the run did."""
        kept = files.decoded(self.stored.run.result(checkpoint, "suspect"), decode_checks, files.RESULT_CAP)

        def build(spec: ModelSpec) -> nn.Module:
            return self.place(self.build(spec), spec, device, self.layout)

        config, run, digest = self.stored.config, self.stored.run, kept.twin if kept else ""
        return twin.find(config, model, run, self.machine.runs_folder, ALONE, build, digest)

    def evaluate(
        self, subject: EvaluationSubject, evaluation: Evaluation, folder: RunDir, pause: Pause, *, folded: bool
    ) -> list[Event]:
        """All that an evaluation into this folder says; its progress is said on."""
        events: list[Event] = []

        def hear(event: Event) -> None:
            events.append(event)
            if isinstance(event, AttackProgressed):
                self.say_progress(event.checkpoint, event.attack, event.part, event.done, event.total)

        evaluate(subject, evaluation, self.stored.config.threat_model, folder, hear, pause, folded=folded)
        return events

    def say_progress(self, checkpoint: str, attack: str, part: str, done: int, total: int) -> None:
        """One line: so many images of a part of an attack."""
        place = {"checkpoint": checkpoint, "attack": attack, "part": part}
        self.say({"event": "progress", **place, "done": done, "total": total})


def source_of(stored: StoredRun, machine: Machine) -> tuple[TeacherSource | None, list[CheckResult]]:
    """The teacher, or the evaluated model: the file whose hash the run recorded. Nothing is downloaded for it."""
    config, noted = stored.config, stored.facts.get("teacher")
    if isinstance(config, RunConfig):
        what, spec, said = "teacher", config.teacher, noted.get("sha256") if isinstance(noted, dict) else None
    else:
        what, spec, said = "judged model", config.subject, stored.facts.get("subject_sha256")
    if spec is None:
        return None, []
    runs, data = machine.runs_folder, machine.data_folder
    try:
        found = load.locate(
            spec, runs=runs, data=data, dataset=config.data.name, sha256=str(said or ""), downloads=False
        )
    except (CrdndError, OSError) as error:
        return None, [CheckResult(what, UNKNOWN, f"cannot be found here: {brief(error)}")]
    if not said:
        return found, [CheckResult(what, UNKNOWN, "provenance.json names no hash of it")]
    if found.sha256 != said:
        return None, [CheckResult(what, FAILS, f"{found.label}: is {found.sha256[:12]} now, was {str(said)[:12]}")]
    return found, [CheckResult(what, HOLDS, f"{found.label}: sha256 {str(said)[:12]}")]


def check_data(repetition: Repetition) -> Iterator[CheckResult]:
    """What the log says of the images that trained and validated, and of the student's size."""
    stored, config = repetition.stored, repetition.stored.config
    if isinstance(config, RunConfig):
        training, validation, _ = split_training(config.data, repetition.dataset)
        parameters = sum(p.numel() for p in repetition.build(config.student).parameters())
        images, labels = len(training.labels), validation.labels
        yield from verify_log.check_data(stored, config, images, labels, repetition.dataset, parameters)


def repeat(repetition: Repetition) -> Iterator[CheckResult]:
    """Checkpoint by checkpoint, attack by attack."""
    stored, config, source = repetition.stored, repetition.stored.config, repetition.source
    for checkpoint in config.evaluation.checkpoints:
        if not stored.records.get(checkpoint):  # each record that is missing was told
            continue
        what = f"again {checkpoint}"
        if checkpoint not in stored.headers:
            yield CheckResult(what, UNKNOWN, "there are no whole weights to judge again")
            continue
        model = config.student if isinstance(config, RunConfig) else source.model if source else None
        if model is None:
            yield CheckResult(what, UNKNOWN, "its model is not known: the judged weights are not here")
            continue
        net = repetition.build(model)
        try:
            tensors, _facts = weights.load(stored.run.weights_of(checkpoint))
            weights.fit(net, tensors, where=checkpoint)
        except CrdndError as error:
            yield CheckResult(what, FAILS, brief(error, 300))
            continue
        yield from _repeat_checkpoint(repetition, checkpoint, net, model)


def _repeat_checkpoint(
    repetition: Repetition, checkpoint: str, net: nn.Module, model: ModelSpec
) -> Iterator[CheckResult]:
    stored, config, dataset = repetition.stored, repetition.stored.config, repetition.dataset
    batch_size = config.evaluation.batch_size if isinstance(config, JudgeConfig) else config.training.batch_size
    device = saved.place(net, model, dataset, repetition.machine, batch_size, repetition.layout)
    apart = outcomes.machines_apart(stored.facts, provenance.collect(device))
    teacher = repetition.teacher(device)
    indices = subset(dataset.test.labels, config.evaluation.images, config.evaluation.seed)
    subject = EvaluationSubject(
        net=net,
        teacher=teacher,
        checkpoint=checkpoint,
        images=Split(dataset.test.images[indices], dataset.test.labels[indices]),
        classes=dataset.classes,
        of=repetition.identity.of,
        indices=indices,
        data_sha256=repetition.identity.data_sha256,
        weights_sha256=stored.headers[checkpoint]["digest"],
        device=device,
        twin=lambda: repetition.twin(checkpoint, model, device),
    )
    row = stored.records[checkpoint]
    clean: Outcome | None = None
    for part in [(), *((spec,) for spec in repetition.attacks if spec.key in row)]:  # each is told as soon as known
        key = part[0].key if part else "clean"
        repetition.say_progress(checkpoint, key, "", 0, len(indices))
        quiet = config.evaluation.model_copy(update={"attacks": part, "gallery": 0, "suspect": False})
        with tempfile.TemporaryDirectory(prefix=TEMPORARY) as name:
            where, folded = RunDir(Path(name)), key in row and row[key].folded  # as the record was made
            if clean is not None:
                outcomes.write(where.result(checkpoint, "clean"), clean)
            repetition.evaluate(subject, quiet, where, repetition.pause, folded=folded)
            found = decode(content_of(where.result(checkpoint, key)))
        clean = clean or found
        if key in row:
            yield outcomes.compare_outcomes(row[key], found, apart)
    yield from verify_gallery.check_answers(stored.run, row, subject, dataset)
    yield from _check_marks(repetition, subject, row, apart)
    if repetition.everything and isinstance(config, RunConfig):
        yield from _validate_again(repetition, config, subject, apart)
        if teacher is not None and checkpoint == config.evaluation.checkpoints[0]:
            yield from _measure_teacher(repetition, config, teacher, device, apart)


def _validate_again(
    repetition: Repetition, config: RunConfig, subject: EvaluationSubject, apart: list[str]
) -> Iterator[CheckResult]:
    """The validation of the epoch that these weights are of, made again."""
    epoch, selection = repetition.stored.headers[subject.checkpoint].get("epoch", ""), config.selection
    told = next((v for v in repetition.stored.all(Validated) if str(v.epoch) == epoch), None)
    if told is None:
        return
    validation = split_training(config.data, repetition.dataset).validation
    found = accuracies(
        subject.net, validation, selection.attacks, config.threat_model, selection.batch_size, config.seed,
        subject.device, repetition.pause, protocol=selection.protocol, folded=repetition.machine.folds,
    )  # fmt: skip
    n = len(validation.labels)
    turned = max((abs(found[key][0] - share) * n for key, share in told.accuracy.items() if key in found), default=n)
    shares = {key: found[key][1] for key in told.per_class if key in found}
    by_class = same(shares, told.per_class)
    yield _measured_again(f"validation of epoch {epoch}", turned, n, apart, subject.device, by_class=by_class)


def _measure_teacher(
    repetition: Repetition, config: RunConfig, teacher: FrozenTeacher, device: torch.device, apart: list[str]
) -> Iterator[CheckResult]:
    """The measurement of the teacher before the first step, made again."""
    told, what = repetition.stored.last(TeacherChecked), "teacher measured"
    if told is None or repetition.source is None:
        return
    shown = load.check_split(split_training(config.data, repetition.dataset).validation, repetition.dataset)
    try:
        found, warned = load.check(teacher, repetition.source, shown, config.threat_model, device, config.seed)
    except CrdndError as error:
        yield CheckResult(what, FAILS, brief(error, 300))
        return
    exact: list[tuple[str, object, object]] = [
        (key, getattr(told, key), getattr(found, key))
        for key in ("model", "sha256", "n", "expected_clean", "expected_robust")
    ]
    codes = sorted(warning.code for warning in warned)
    marks = sorted(w.code for w in repetition.stored.all(Warned) if w.code in {*codes, *TEACHER_MARKS})
    if wrong := differing([*exact, ("warnings", marks, codes)]):
        yield CheckResult(what, FAILS, wrong)
        return
    turned = max(abs(told.clean - found.clean), abs(told.robust - found.robust)) * found.n
    yield _measured_again(what, turned, found.n, apart, device, by_class=True)


def _measured_again(
    what: str, turned: float, n: int, apart: list[str], device: torch.device, *, by_class: bool
) -> CheckResult:
    """Accuracies that were measured again on `n` images, of which `turned` at most came out otherwise.

    `by_class` says whether those of each class are the same.
    """
    if turned < 0.5 and by_class:
        return CheckResult(what, HOLDS, f"identical: the same accuracies on {n:,} images")
    words = f"the accuracies differ by up to {turned:.0f} of {n:,} images{'' if by_class else ', or by class'}"
    if turned <= max(AT_LEAST, TURNED * n) and (apart or device.type == "cuda"):
        return CheckResult(what, HOLDS, f"{words}, within what sums that round otherwise explain")
    return CheckResult(what, UNKNOWN if apart else FAILS, f"{words}{'; now ' if apart else ''}{', '.join(apart)}")


class _ForwardNeeded(Exception):  # noqa: N818  no error: the probes that were kept are not of these records
    """Raised at the first forward pass of an evaluation of which everything should be known."""


def _check_marks(
    repetition: Repetition, subject: EvaluationSubject, row: dict[str, Outcome], apart: list[str]
) -> Iterator[CheckResult]:
    """Marks as they follow from the records and from the probes, as these are kept and as they are made again."""
    stored, checkpoint, evaluation = repetition.stored, subject.checkpoint, repetition.stored.config.evaluation
    what, kept = f"marks {checkpoint}", stored.run.result(checkpoint, "suspect")
    if not all(key in row for key in ("clean", *(spec.key for spec in evaluation.attacks))):
        yield CheckResult(what, UNKNOWN, "records are missing, from which marks follow")
        return
    content = content_of(kept) if kept.is_file() else b""
    with tempfile.TemporaryDirectory(prefix=TEMPORARY) as name:
        where = RunDir(Path(name))
        try:
            said = _replay(repetition, subject, row, where, content)
        except _ForwardNeeded:
            words = "suspect.json is not of these records" if content else "there is no suspect.json"
            newer = stored.all(Probed)  # else its rules may have been others
            yield CheckResult(what, FAILS if newer else UNKNOWN, words)
            return
        marks = {attack: decode(content_of(where.result(checkpoint, attack))).marks for attack in row}
        yield CheckResult.of(what, *_compare_marks(stored, checkpoint, row, marks, said))
    if repetition.everything and evaluation.suspect:
        with tempfile.TemporaryDirectory(prefix=TEMPORARY) as name:
            where = RunDir(Path(name))
            _replay(repetition, subject, row, where, None)
            made, exact = content_of(where.result(checkpoint, "suspect")), subject.device.type == "cpu"
            yield _compare_probes(f"probes {checkpoint}", content, made, apart, exact=exact)


def _replay(
    repetition: Repetition, subject: EvaluationSubject, row: dict[str, Outcome], where: RunDir, kept: bytes | None
) -> list[Event]:
    """What an evaluation says that finds all its records, without the marks that it gave itself, and these probes.

    `kept` is the content of suspect.json; None makes the probes again. _ForwardNeeded when the student would have been
    asked though all should be known.
    """
    for record in row.values():
        own = [mark for mark in record.marks if mark.startswith(OWN)]
        outcomes.write(where.result(subject.checkpoint, record.attack), msgspec.structs.replace(record, marks=own))
    if kept:
        where.result(subject.checkpoint, "suspect").write_bytes(kept)

    def refuse() -> None:
        raise _ForwardNeeded

    evaluation = repetition.stored.config.evaluation.model_copy(update={"gallery": 0})
    folded = any(record.folded for record in row.values())  # as the records were made
    pause = repetition.pause if kept is None else refuse
    return repetition.evaluate(subject, evaluation, where, pause, folded=folded)


def _compare_marks(
    stored: StoredRun, checkpoint: str, row: dict[str, Outcome], marks: dict[str, list[str]], said: Sequence[Event]
) -> tuple[str, str]:
    """What of the marks of records and log does not follow, or nothing; and what holds otherwise."""
    for attack, record in row.items():
        if wrong := differing([(f"{attack} is marked", sorted(record.marks), sorted(marks[attack]))]):
            return wrong, ""
    (follow, probed), (told, noted) = (_warnings(events, checkpoint) for events in (said, stored.events))
    if stored.done and follow != told:
        lost, more = _without(follow, told), _without(told, follow)
        words = [f"the log lacks {', '.join(lost)}"] if lost else []
        words += [f"it tells {', '.join(more)}, which does not follow"] if more else []
        return "; ".join(words) or "the log tells them in other words, or twice", ""
    if stored.done and stored.all(Probed) and probed != noted:
        return f"the log says of its checks {noted}, not {probed}"[:300], ""
    return "", f"{', '.join(sorted({code for code, _, _ in follow})) or 'none'}, as records, probes and the log say"


def _warnings(
    events: Sequence[Event], checkpoint: str
) -> tuple[list[tuple[str, str, str]], list[tuple[int, int, dict[str, str]]]]:
    """(code, attack, message) of the marks of a checkpoint, and how many checks are said to have been made."""
    own = [event for event in events if isinstance(event, Warned | Probed) and event.checkpoint == checkpoint]
    warned = sorted((w.code, w.attack, w.message) for w in own if isinstance(w, Warned))
    return warned, [(p.done, p.of, p.left_out) for p in own if isinstance(p, Probed)][-1:]


def _without(one: Sequence[tuple[str, str, str]], other: Sequence[tuple[str, str, str]]) -> list[str]:
    known = {(code, attack) for code, attack, _ in other}
    return [f"{code} {attack}".strip() for code, attack, _ in one if (code, attack) not in known]


def _compare_probes(what: str, kept: bytes, made: bytes, apart: list[str], *, exact: bool) -> CheckResult:
    """The probes beside those made again; `exact`: where nothing is apart, they leave the same images."""
    then, now = msgspec.json.decode(kept), msgspec.json.decode(made)
    if then.get("left_out", {}).keys() != now["left_out"].keys():
        return CheckResult(what, UNKNOWN, "not all of them could be made here")
    one, other = ({_about(found) for found in side["findings"]} for side in (then, now))
    if one != other:
        words = f"said {sorted(one)}, say {sorted(other)} now"
        words = f"{words}{'; ' if apart else ''}{', '.join(apart)}"[:400]
        return CheckResult(what, UNKNOWN if apart else FAILS, words)
    measured, measured_now = then.get("measured", {}), now["measured"]
    if wrong := differing([(key, measured[key], measured_now[key]) for key in measured if key in measured_now]):
        wrong = f"the probes leave other shares: {wrong}"
        return CheckResult(what, FAILS if exact and not apart else UNKNOWN, wrong)
    return CheckResult(what, HOLDS, f"asked again: {', '.join(sorted(code for code, _ in one)) or 'no sign'}")


def _about(found: dict[str, str] | list[str]) -> tuple[str, str]:
    """Code and attack of a finding in suspect.json: a table, or [code, message, attack]."""
    return (found[0], found[2]) if isinstance(found, list) else (found["code"], found.get("attack", ""))
