"""A saved student judged again: its attacks, its marks, its examples, its validation, and its teacher's measurement.

Everything happens in temporary folders, with the attacks, seeds, batches and images of the run.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import torch
from torch import Tensor, nn

from engine import audit, course, exhibits, provenance, saved, teachers, weights
from engine.audit import Stored, differing
from engine.evaluate import Subject, evaluate, subset
from engine.interrupt import Interrupt
from engine.outcomes import Identity, write
from engine.rejudged import AT_LEAST, OWN, TURNED, compare
from engine.rejudged import differing as machines_apart
from engine.spec import robustbench
from engine.spec.attacks import AttackSpec
from engine.spec.config import JudgeConfig, RunConfig
from engine.spec.errors import CrdndError
from engine.spec.events import AttackProgressed, Event, Probed, TeacherChecked, Validated, Warned
from engine.spec.machine import Machine
from engine.spec.models import ModelSpec
from engine.spec.outcomes import Outcome, decode
from engine.spec.rundir import RunDir
from engine.spec.teachers import RobustBenchTeacher
from engine.splits import split_training
from engine.teachers import Source, Teacher
from engine.types import Dataset, Split
from engine.validation import accuracies
from engine.verdict import FAILS, HOLDS, UNKNOWN, Finding

TEACHER_MARKS = frozenset({"teacher_less_robust", "teacher_at_chance"})
Say = Callable[[dict[str, Any]], None]


class Wanted(NamedTuple):
    """How much is done again."""

    attacks: Sequence[AttackSpec]
    everything: bool  # probes, validation and the teacher's measurement, too


@dataclass(frozen=True, kw_only=True)
class Court:
    """All that the judgements of one verification share."""

    stored: Stored
    dataset: Dataset
    identity: Identity
    machine: Machine
    interrupt: Interrupt
    say: Say
    source: Source | None  # the teacher, or the judged model, that the run had; None where it is not here


def source_of(stored: Stored, machine: Machine) -> tuple[Source | None, list[Finding]]:
    """The teacher, or the judged model: the file whose hash the run recorded. Nothing is downloaded for it."""
    config = stored.config
    spec = config.teacher if isinstance(config, RunConfig) else config.subject
    if spec is None:
        return None, []
    what = "teacher" if isinstance(config, RunConfig) else "judged model"
    noted = stored.facts.get("teacher")
    of_teacher = noted.get("sha256") if isinstance(noted, dict) else None
    said = of_teacher if isinstance(config, RunConfig) else stored.facts.get("subject_sha256")
    if isinstance(spec, RobustBenchTeacher):
        path = machine.data_folder / "teachers" / "robustbench" / config.data.name / f"{spec.robustbench}.pt"
        if not path.is_file():
            return None, [Finding(what, UNKNOWN, f"{spec.robustbench} is not on this machine")]
        model = robustbench.lookup(config.data.name, spec.robustbench).model
        found: Source | None = Source(path=path, model=model, label=spec.robustbench, sha256=weights.sha256(path))
    else:
        try:
            found = teachers.locate(
                spec,
                runs=machine.runs_folder,
                data=machine.data_folder,
                dataset=config.data.name,
                sha256=str(said or ""),
            )
        except (CrdndError, OSError) as error:
            return None, [Finding(what, UNKNOWN, f"cannot be found here: {' '.join(str(error).split())[:200]}")]
    assert found is not None
    if not said:
        return found, [Finding(what, UNKNOWN, "provenance.json names no hash of it")]
    if found.sha256 != said:
        return None, [Finding(what, FAILS, f"{found.label}: is {found.sha256[:12]} now, was {str(said)[:12]}")]
    return found, [Finding(what, HOLDS, f"{found.label}: sha256 {str(said)[:12]}")]


def again(court: Court, wanted: Wanted) -> Iterator[Finding]:
    """Checkpoint by checkpoint, attack by attack."""
    stored, config = court.stored, court.stored.config
    for checkpoint in config.evaluation.checkpoints:
        if not stored.records.get(checkpoint):  # each record that is missing was told
            continue
        what = f"again {checkpoint}"
        if checkpoint not in stored.digests:
            yield Finding(what, UNKNOWN, "there are no whole weights to judge again")
            continue
        model = config.student if isinstance(config, RunConfig) else court.source.model if court.source else None
        if model is None:
            yield Finding(what, UNKNOWN, "its model is not known: the judged weights are not here")
            continue
        net = saved.build(model, len(court.dataset.classes), saved.image_of(court.dataset))
        try:
            tensors, _facts = weights.load(stored.run.weights_of(checkpoint))
            weights.fit(net, tensors, where=checkpoint)
        except CrdndError as error:
            yield Finding(what, FAILS, " ".join(str(error).split())[:300])
            continue
        yield from _judged(court, wanted, checkpoint, net, model)


def _judged(court: Court, wanted: Wanted, checkpoint: str, net: nn.Module, model: ModelSpec) -> Iterator[Finding]:
    stored, config = court.stored, court.stored.config
    batch_size = config.evaluation.batch_size if isinstance(config, JudgeConfig) else config.training.batch_size
    device = saved.place(net, model, court.dataset, court.machine, batch_size)
    apart = machines_apart(stored.facts, provenance.collect(device))
    teacher = _teacher(court, device) if isinstance(config, RunConfig) else None
    subject = _subject(court, net, teacher, checkpoint, device)
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
            evaluate(subject, quiet, config.threat_model, where, _progress(court), court.interrupt.pause, folded=folded)
            found = decode(audit.content_of(where.result(checkpoint, key)))
            clean = clean or found
            if key in row:
                yield compare(row[key], found, apart)
    ask, places = _probabilities_of(subject, teacher), court.identity.indices_sha256
    yield from exhibits.answers(stored.run, row, subject, court.dataset, ask, places)
    yield from _marks(court, subject, row, apart, probe=wanted.everything)
    if wanted.everything and isinstance(config, RunConfig):
        yield from _validated(court, config, checkpoint, net, device, apart)
        if teacher is not None and checkpoint == config.evaluation.checkpoints[0]:
            yield from _measured(court, config, teacher, device, apart)


def _subject(court: Court, net: nn.Module, teacher: nn.Module | None, checkpoint: str, device: torch.device) -> Subject:
    evaluation, test = court.stored.config.evaluation, court.dataset.test
    indices = subset(test.labels, evaluation.images, evaluation.seed)
    return Subject(
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
    )


def _teacher(court: Court, device: torch.device) -> Teacher | None:
    """The run's own teacher, frozen; None where it is not here."""
    if court.source is None:
        return None
    image = saved.image_of(court.dataset)
    teacher, _notes = teachers.load(
        court.source, lambda spec: saved.build(spec, len(court.dataset.classes), image), device
    )
    return teacher


def _progress(court: Court) -> Callable[[Event], None]:
    def progress(event: Event) -> None:
        if isinstance(event, AttackProgressed):
            court.say({"event": "progress", "checkpoint": event.checkpoint, "attack": event.attack, "part": event.part,
                       "done": event.done, "total": event.total})  # fmt: skip

    return progress


class _AskedAgain(Exception):  # noqa: N818  no error: the probes that were kept are not of these records
    """Raised at the first forward pass of a judgement of which everything should be known."""


def _marks(
    court: Court, subject: Subject, row: dict[str, Outcome], apart: list[str], *, probe: bool
) -> Iterator[Finding]:
    """Marks as they follow from the records and from the probes, as kept and (with `probe`) made again."""
    stored, checkpoint = court.stored, subject.checkpoint
    what, evaluation = f"marks {checkpoint}", stored.config.evaluation
    if not all(key in row for key in ("clean", *(spec.key for spec in evaluation.attacks))):
        yield Finding(what, UNKNOWN, "records are missing, from which marks follow")
        return
    kept = stored.run.evaluation / checkpoint / "suspect.json"
    with tempfile.TemporaryDirectory(prefix="crdnd-verify-") as name:
        where = RunDir(Path(name))
        content = audit.content_of(kept) if kept.is_file() else b""
        said = _replayed(court, subject, row, where, content)
        if said is None:
            newer = any(isinstance(event, Probed) for event in stored.said)  # else its rules may have been others
            words = "suspect.json is not of these records" if content else "there is no suspect.json"
            yield Finding(what, FAILS if newer else UNKNOWN, words)
            return
        yield _marked(court, checkpoint, row, where, said)
    if probe and evaluation.suspect:
        with tempfile.TemporaryDirectory(prefix="crdnd-verify-") as name:
            where = RunDir(Path(name))
            _replayed(court, subject, row, where, None)
            yield _probed(f"probes {checkpoint}", content, where.evaluation / checkpoint / "suspect.json", apart)


def _replayed(
    court: Court, subject: Subject, row: dict[str, Outcome], where: RunDir, kept: bytes | None
) -> list[Event] | None:
    """What an evaluation says that finds all its records, without the marks that it gave itself, and these probes.

    `kept` is the content of suspect.json, and nothing may be asked of the student; None asks it. The result is None
    when it would have been asked.
    """
    said: list[Event] = []
    evaluation = court.stored.config.evaluation.model_copy(update={"gallery": 0})
    for record in row.values():
        own = [mark for mark in record.marks if mark.startswith(OWN)]
        write(where.result(subject.checkpoint, record.attack), msgspec.structs.replace(record, marks=own))
    if kept:
        (where.evaluation / subject.checkpoint / "suspect.json").write_bytes(kept)

    def refuse() -> None:
        raise _AskedAgain

    def hear(event: Event) -> None:
        said.append(event)
        _progress(court)(event)

    pause = court.interrupt.pause if kept is None else refuse
    try:
        evaluate(subject, evaluation, court.stored.config.threat_model, where, hear, pause)
    except _AskedAgain:
        return None
    return said


def _marked(court: Court, checkpoint: str, row: dict[str, Outcome], where: RunDir, said: Sequence[Event]) -> Finding:
    """The marks of records and log beside those that follow."""
    what, done = f"marks {checkpoint}", court.stored.done
    for attack, record in row.items():
        marks = decode(audit.content_of(where.result(checkpoint, attack))).marks
        if wrong := differing([(f"{attack} is marked", sorted(record.marks), sorted(marks))]):
            return Finding(what, FAILS, wrong)
    (follow, probed), (told, noted) = (_warnings(events, checkpoint) for events in (said, court.stored.said))
    lost, more = _without(follow, told), _without(told, follow)
    if done and follow != told:
        words = [f"the log lacks {', '.join(lost)}"] if lost else []
        words += [f"it tells {', '.join(more)}, which does not follow"] if more else []
        return Finding(what, FAILS, "; ".join(words) or "the log tells them in other words, or twice")
    if done and noted and probed != noted:
        return Finding(what, FAILS, f"the log says of its checks {noted}, not {probed}"[:300])
    kinds = sorted({code for code, _, _ in follow})
    return Finding(what, HOLDS, f"{', '.join(kinds) or 'none'}, as records, probes and the log say")


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


def _probed(what: str, kept: bytes, made: Path, apart: list[str]) -> Finding:
    """The probes beside those of another asking."""
    then, now = (msgspec.json.decode(content) for content in (kept, audit.content_of(made)))
    if then.get("left_out") != now.get("left_out"):
        return Finding(what, UNKNOWN, "not all of them could be made here")
    one, other = ({_about(found) for found in side["findings"]} for side in (then, now))
    if one == other:
        return Finding(what, HOLDS, f"asked again: {', '.join(sorted(code for code, _ in one)) or 'no sign'}")
    words = f"said {sorted(one)}, say {sorted(other)} now"
    return Finding(what, UNKNOWN if apart else FAILS, f"{words}{'; ' if apart else ''}{', '.join(apart)}"[:400])


def _about(found: dict[str, str] | list[str]) -> tuple[str, str]:
    """Code and attack of a finding in suspect.json: a table, or [code, message, attack]."""
    return (found[0], found[2]) if isinstance(found, list) else (found["code"], found.get("attack", ""))


def _probabilities_of(subject: Subject, teacher: nn.Module | None) -> exhibits.Ask:
    """softmax(z) of student and teacher for images N C H W; the teacher's are None where it is not here."""

    def ask(x: Tensor) -> tuple[Tensor, Tensor | None]:
        with torch.no_grad():
            there = x.to(subject.device)
            student = subject.net.eval()(there).softmax(dim=1).cpu()
            return student, None if teacher is None else teacher(there).softmax(dim=1).cpu()

    return ask


def _validated(
    court: Court, config: RunConfig, checkpoint: str, net: nn.Module, device: torch.device, apart: list[str]
) -> Iterator[Finding]:
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
    if turned < 0.5 and audit.same(shares, told.per_class):
        yield Finding(what, HOLDS, f"identical: the same accuracies on {n:,} images")
        return
    words = f"the accuracies differ by up to {turned:.0f} of {n:,} images, or by class"
    if turned <= max(AT_LEAST, TURNED * n) and (apart or device.type == "cuda"):
        yield Finding(what, HOLDS, f"{words}, within what sums that round otherwise explain")
    else:
        yield Finding(what, UNKNOWN if apart else FAILS, f"{words}{'; now ' if apart else ''}{', '.join(apart)}")


def _measured(
    court: Court, config: RunConfig, teacher: Teacher, device: torch.device, apart: list[str]
) -> Iterator[Finding]:
    """The measurement of the teacher before the first step, made again."""
    told = court.stored.last(TeacherChecked)
    if told is None or court.source is None:
        return
    validation = split_training(config.data, court.dataset).validation
    shown = validation if len(validation.labels) >= teachers.IMAGES else court.dataset.train
    try:
        found, warned = teachers.check(teacher, court.source, shown, config.threat_model, device, config.seed)
    except CrdndError as error:
        yield Finding("teacher measured", FAILS, " ".join(str(error).split())[:300])
        return
    exact = [(key, getattr(told, key), getattr(found, key))
             for key in ("model", "sha256", "n", "expected_clean", "expected_robust")]  # fmt: skip
    codes = {warning.code for warning in warned} | TEACHER_MARKS
    marks = sorted(w.code for w in court.stored.said if isinstance(w, Warned) and w.code in codes)
    exact += [("warnings", marks, sorted(warning.code for warning in warned))]
    turned = max(abs(told.clean - found.clean), abs(told.robust - found.robust)) * found.n
    if wrong := differing(exact):
        yield Finding("teacher measured", FAILS, wrong)
    elif turned < 0.5:
        yield Finding("teacher measured", HOLDS, f"identical: the same accuracies on {found.n} images")
    else:
        near = turned <= max(AT_LEAST, TURNED * found.n) and (apart or device.type == "cuda")
        words = f"the accuracies differ by up to {turned:.0f} of {found.n} images"
        yield Finding("teacher measured", HOLDS if near else UNKNOWN if apart else FAILS, words)


def of_data(court: Court) -> Iterator[Finding]:
    """What the log says of the images that trained and validated, and of the student's size."""
    config = court.stored.config
    if not isinstance(config, RunConfig):
        return
    training, validation, _ = split_training(config.data, court.dataset)
    net = saved.build(config.student, len(court.dataset.classes), saved.image_of(court.dataset))
    parameters = sum(p.numel() for p in net.parameters())
    yield from course.of_data(court.stored, config, len(training.labels), court.dataset, parameters)
    yield from course.classes(court.stored, validation.labels)
