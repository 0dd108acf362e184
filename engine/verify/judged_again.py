"""A saved student judged again: its attacks, its marks, its examples, its validation, and its teacher's measurement.

Everything happens in temporary folders, with the attacks, seeds, batches and images of the run.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from engine.data.splits import split_training
from engine.evaluate import twin
from engine.evaluate.context import EvaluationSubject
from engine.evaluate.evaluation import accuracies, evaluate, subset
from engine.evaluate.outcomes import (
    AT_LEAST,
    FAILS,
    HOLDS,
    TURNED,
    UNKNOWN,
    CheckResult,
    compare_outcomes,
    machines_apart,
    write,
)
from engine.evaluate.twin import Twin
from engine.runtime import device as runtime
from engine.runtime import provenance
from engine.runtime.distributed import ALONE
from engine.spec import files
from engine.spec.config import JudgeConfig, RunConfig
from engine.spec.errors import CrdndError, brief
from engine.spec.events import TeacherChecked, Validated, Warned
from engine.spec.marks import decode_checks
from engine.spec.models import ModelSpec
from engine.spec.outcomes import Outcome, decode, same
from engine.spec.rundir import RunDir
from engine.teachers import load, saved, weights
from engine.teachers.load import FrozenTeacher
from engine.types import Split
from engine.verify import audit, course, exhibits, marked_again
from engine.verify.audit import differing
from engine.verify.court import Court, Wanted, progress

TEACHER_MARKS = frozenset({"teacher_less_robust", "teacher_at_chance", "teacher_below_record"})


def again(court: Court, wanted: Wanted) -> Iterator[CheckResult]:
    """Checkpoint by checkpoint, attack by attack."""
    stored, config = court.stored, court.stored.config
    for checkpoint in config.evaluation.checkpoints:
        if not stored.records.get(checkpoint):  # each record that is missing was told
            continue
        what = f"again {checkpoint}"
        if checkpoint not in stored.digests:
            yield CheckResult(what, UNKNOWN, "there are no whole weights to judge again")
            continue
        model = config.student if isinstance(config, RunConfig) else court.source.model if court.source else None
        if model is None:
            yield CheckResult(what, UNKNOWN, "its model is not known: the judged weights are not here")
            continue
        net = saved.build(model, len(court.dataset.classes), saved.image_of(court.dataset))
        try:
            tensors, _facts = weights.load(stored.run.weights_of(checkpoint))
            weights.fit(net, tensors, where=checkpoint)
        except CrdndError as error:
            yield CheckResult(what, FAILS, brief(error, 300))
            continue
        yield from _judged(court, wanted, checkpoint, net, model)


def _judged(court: Court, wanted: Wanted, checkpoint: str, net: nn.Module, model: ModelSpec) -> Iterator[CheckResult]:
    stored, config = court.stored, court.stored.config
    batch_size = config.evaluation.batch_size if isinstance(config, JudgeConfig) else config.training.batch_size
    device = saved.place(net, model, court.dataset, court.machine, batch_size, court.layout)
    apart = machines_apart(stored.facts, provenance.collect(device))
    teacher = _teacher(court, device) if isinstance(config, RunConfig) else None
    subject = _subject(court, net, model, teacher, checkpoint, device)
    row = stored.records[checkpoint]
    clean: Outcome | None = None
    for part in [(), *((spec,) for spec in wanted.attacks if spec.key in row)]:  # each is told as soon as it is known
        with tempfile.TemporaryDirectory(prefix="crdnd-verify-") as name:
            where, key = RunDir(Path(name)), part[0].key if part else "clean"
            court.say({"event": "progress", "checkpoint": checkpoint, "attack": key, "part": "", "done": 0,
                       "total": len(subject.indices)})  # fmt: skip
            quiet = config.evaluation.model_copy(update={"attacks": part, "gallery": 0, "suspect": False})
            if clean is not None:
                write(where.result(checkpoint, "clean"), clean)
            folded = key in row and row[key].folded  # as the record was made
            evaluate(subject, quiet, config.threat_model, where, progress(court), court.interrupt.pause, folded=folded)
            found = decode(audit.content_of(where.result(checkpoint, key)))
            clean = clean or found
            if key in row:
                yield compare_outcomes(row[key], found, apart)
    ask, places = _probabilities_of(subject, teacher), court.identity.indices_sha256
    yield from exhibits.answers(stored.run, row, subject, court.dataset, ask, places)
    yield from marked_again.check(court, subject, row, apart, probe=wanted.everything)
    if wanted.everything and isinstance(config, RunConfig):
        yield from _validated(court, config, checkpoint, net, device, apart)
        if teacher is not None and checkpoint == config.evaluation.checkpoints[0]:
            yield from _measured(court, config, teacher, device, apart)


def _subject(
    court: Court, net: nn.Module, model: ModelSpec, teacher: nn.Module | None, checkpoint: str, device: torch.device
) -> EvaluationSubject:
    evaluation, test = court.stored.config.evaluation, court.dataset.test
    indices = subset(test.labels, evaluation.images, evaluation.seed)
    return EvaluationSubject(
        net=net,
        teacher=teacher,
        checkpoint=checkpoint,
        images=Split(test.images[indices], test.labels[indices]),
        classes=court.dataset.classes,
        of=court.identity.of,
        indices=indices,
        data_sha256=court.identity.data_sha256,
        weights_sha256=court.stored.digests[checkpoint],
        device=device,
        twin=lambda: _twin(court, checkpoint, model, device),
    )


def _teacher(court: Court, device: torch.device) -> FrozenTeacher | None:
    """The run's own teacher, frozen; None where it is not here."""
    if court.source is None:
        return None
    image, layout = saved.image_of(court.dataset), None if court.machine.folds else court.layout
    teacher, _notes = load.load(court.source, lambda spec: saved.build(spec, len(court.dataset.classes), image), device)
    layout = layout or runtime.layout(court.machine, device, court.source.model)
    runtime.place(teacher, device, runtime.FORMATS[layout])
    return teacher


def _twin(court: Court, checkpoint: str, model: ModelSpec, device: torch.device) -> Twin:
    """The natural twin that the probes met, or, where they met none, one that is found as the run did."""
    config, run = court.stored.config, court.stored.run
    kept = files.decoded(run.evaluation / checkpoint / "suspect.json", decode_checks, files.RESULT_CAP)

    def build(spec: ModelSpec) -> nn.Module:
        net = saved.build(spec, len(court.dataset.classes), saved.image_of(court.dataset))
        layout = court.layout or runtime.layout(court.machine, device, spec)
        return runtime.place(net, device, runtime.FORMATS[layout])

    digest = kept.twin if kept else ""
    return twin.find(config, model, run, court.machine.runs_folder, ALONE, build, digest)


def _probabilities_of(subject: EvaluationSubject, teacher: nn.Module | None) -> exhibits.Ask:
    """softmax(z) of student and teacher for images N C H W; the teacher's are None where it is not here."""

    def ask(x: Tensor) -> tuple[Tensor, Tensor | None]:
        with torch.no_grad():
            there = x.to(subject.device)
            student = subject.net.eval()(there).softmax(dim=1).cpu()
            return student, None if teacher is None else teacher(there).softmax(dim=1).cpu()

    return ask


def _validated(
    court: Court, config: RunConfig, checkpoint: str, net: nn.Module, device: torch.device, apart: list[str]
) -> Iterator[CheckResult]:
    """The validation of the epoch that these weights are of, made again."""
    epoch = court.stored.headers[checkpoint].get("epoch", "")
    told = next((v for v in court.stored.said if isinstance(v, Validated) and str(v.epoch) == epoch), None)
    if told is None:
        return
    what = f"validation of epoch {epoch}"
    selection, validation = config.selection, split_training(config.data, court.dataset).validation
    found = accuracies(
        net, validation, selection.attacks, config.threat_model, selection.batch_size, config.seed, device,
        court.interrupt.pause, protocol=selection.protocol, folded=court.machine.folds,
    )  # fmt: skip
    n = len(validation.labels)
    turned = max((abs(found[key][0] - share) * n for key, share in told.accuracy.items() if key in found), default=n)
    shares = {key: found[key][1] for key in told.per_class if key in found}
    yield _beside(what, turned, n, apart, device, by_class=same(shares, told.per_class))


def _beside(what: str, turned: float, n: int, apart: list[str], device: torch.device, *, by_class: bool) -> CheckResult:
    """Accuracies that were measured again on `n` images, of which `turned` at most came out otherwise.

    `by_class` says whether those of each class are the same.
    """
    if turned < 0.5 and by_class:
        return CheckResult(what, HOLDS, f"identical: the same accuracies on {n:,} images")
    words = f"the accuracies differ by up to {turned:.0f} of {n:,} images{'' if by_class else ', or by class'}"
    if turned <= max(AT_LEAST, TURNED * n) and (apart or device.type == "cuda"):
        return CheckResult(what, HOLDS, f"{words}, within what sums that round otherwise explain")
    return CheckResult(what, UNKNOWN if apart else FAILS, f"{words}{'; now ' if apart else ''}{', '.join(apart)}")


def _measured(
    court: Court, config: RunConfig, teacher: FrozenTeacher, device: torch.device, apart: list[str]
) -> Iterator[CheckResult]:
    """The measurement of the teacher before the first step, made again."""
    told = court.stored.last(TeacherChecked)
    if told is None or court.source is None:
        return
    shown = load.check_split(split_training(config.data, court.dataset).validation, court.dataset)
    try:
        found, warned = load.check(teacher, court.source, shown, config.threat_model, device, config.seed)
    except CrdndError as error:
        yield CheckResult("teacher measured", FAILS, brief(error, 300))
        return
    exact = [(key, getattr(told, key), getattr(found, key))
             for key in ("model", "sha256", "n", "expected_clean", "expected_robust")]  # fmt: skip
    codes = {warning.code for warning in warned} | TEACHER_MARKS
    marks = sorted(w.code for w in court.stored.said if isinstance(w, Warned) and w.code in codes)
    exact += [("warnings", marks, sorted(warning.code for warning in warned))]
    turned = max(abs(told.clean - found.clean), abs(told.robust - found.robust)) * found.n
    if wrong := differing(exact):
        yield CheckResult("teacher measured", FAILS, wrong)
    else:
        yield _beside("teacher measured", turned, found.n, apart, device, by_class=True)


def of_data(court: Court) -> Iterator[CheckResult]:
    """What the log says of the images that trained and validated, and of the student's size."""
    config = court.stored.config
    if not isinstance(config, RunConfig):
        return
    training, validation, _ = split_training(config.data, court.dataset)
    net = saved.build(config.student, len(court.dataset.classes), saved.image_of(court.dataset))
    parameters = sum(p.numel() for p in net.parameters())
    yield from course.of_data(court.stored, config, len(training.labels), court.dataset, parameters)
    yield from course.classes(court.stored, validation.labels)
