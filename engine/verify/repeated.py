"""A saved student evaluated again: its attacks, marks, probes, examples, its validation, its teacher's measurement.

Everything happens in temporary folders, by the evaluation's own functions, with the attacks, seeds, batches and images
of the run.
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
from engine.evaluate import gallery, outcomes, surrogate
from engine.evaluate.context import EvaluationSubject, Pause
from engine.evaluate.evaluation import accuracies, evaluate
from engine.evaluate.outcomes import AT_LEAST, FAILS, HOLDS, OWN, TURNED, UNKNOWN, CheckResult
from engine.evaluate.surrogate import Surrogate
from engine.runtime import device as runtime
from engine.runtime import provenance
from engine.runtime.distributed import ALONE
from engine.spec import files
from engine.spec.attacks import AttackSpec
from engine.spec.config import RunConfig
from engine.spec.errors import CrdndError, brief
from engine.spec.events import AttackProgressed, Event, Probed, TeacherChecked, Validated, Warned
from engine.spec.gallery import ExampleSet
from engine.spec.machine import Machine
from engine.spec.marks import decode_checks
from engine.spec.models import Layout, ModelSpec
from engine.spec.outcomes import Outcome, decode, same, unpack
from engine.spec.rundir import RunDir
from engine.spec.training import Evaluation
from engine.teachers import load, saved_run, weights
from engine.teachers.load import FrozenTeacher, TeacherSource
from engine.types import Dataset, Images, Split
from engine.verify.recorded import CAP, Pairs, StoredRun, differing, fields

TEACHER_MARKS = frozenset({"teacher_less_robust", "teacher_at_chance", "teacher_below_record"})
ROUNDING = 1e-3  # of a probability: what another machine or another batch leaves
TEMPORARY = "crdnd-verify-"


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


@dataclass(frozen=True, kw_only=True)
class Reevaluation:
    """What is evaluated again in one verification, and with what."""

    stored: StoredRun
    dataset: Dataset
    machine: Machine
    source: TeacherSource | None  # the teacher, or the evaluated model, that the run had; None where it is not here
    attacks: Sequence[AttackSpec]
    everything: bool  # probes, validation and the teacher's measurement, too
    pause: Pause
    say: Callable[[dict[str, Any]], None]

    @property
    def layout(self) -> Layout | None:
        """In memory, of the run's nets, as provenance.json says it; None where it does not."""
        told = self.stored.facts.get("layout")
        return next((layout for layout in runtime.FORMATS if layout == told), None)

    def build(self, spec: ModelSpec) -> nn.Module:
        return saved_run.build(spec, len(self.dataset.classes), self.dataset.image)

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

    def surrogate(self, checkpoint: str, model: ModelSpec, device: torch.device) -> Surrogate:
        """The surrogate that the probes met, or, where they met none, one that is found as the run did."""
        stored = self.stored
        kept = files.decoded(stored.run.result(checkpoint, "suspect"), decode_checks, files.RESULT_CAP)

        def build(spec: ModelSpec) -> nn.Module:
            return self.place(self.build(spec), spec, device, self.layout)

        digest = kept.twin if kept else ""
        return surrogate.find(stored.config, model, stored.run, self.machine.runs_folder, ALONE, build, digest)


def repeat(reevaluation: Reevaluation) -> Iterator[CheckResult]:
    stored, config, source = reevaluation.stored, reevaluation.stored.config, reevaluation.source
    for checkpoint in config.evaluation.checkpoints:
        if not stored.records.get(checkpoint):  # each record that is missing was told
            continue
        what = f"again {checkpoint}"
        model = config.student if isinstance(config, RunConfig) else source.model if source else None
        if checkpoint not in stored.headers:
            yield CheckResult(what, UNKNOWN, "there are no whole weights to judge again")
        elif model is None:
            yield CheckResult(what, UNKNOWN, "its model is not known: the judged weights are not here")
        else:
            try:
                again = _prepare(reevaluation, checkpoint, model)
            except CrdndError as error:
                yield CheckResult(what, FAILS, brief(error, 300))
                continue
            yield from again.check()


def _prepare(reevaluation: Reevaluation, checkpoint: str, model: ModelSpec) -> "_CheckpointReevaluation":
    """CrdndError where the weights do not fit."""
    stored, config, dataset = reevaluation.stored, reevaluation.stored.config, reevaluation.dataset
    net = reevaluation.build(model)
    weights.fit(net, weights.load(stored.run.weights_of(checkpoint))[0], where=checkpoint)
    batch_size = config.training.batch_size if isinstance(config, RunConfig) else config.evaluation.batch_size
    device = saved_run.place(net, model, dataset, reevaluation.machine, batch_size, reevaluation.layout)
    test, indices = dataset.test, stored.indices
    subject = EvaluationSubject(
        net=net,
        teacher=reevaluation.teacher(device),
        checkpoint=checkpoint,
        images=Split(test.images[indices], test.labels[indices]),
        classes=dataset.classes,
        of=len(test.labels),
        indices=indices,
        data_sha256=stored.digests["test"],
        weights_sha256=stored.headers[checkpoint]["digest"],
        device=device,
        surrogate=lambda: reevaluation.surrogate(checkpoint, model, device),
    )
    apart = outcomes.machines_apart(stored.facts, provenance.collect(device))
    return _CheckpointReevaluation(reevaluation=reevaluation, subject=subject, apart=apart)


class _ForwardNeeded(Exception):  # noqa: N818  no error: the probes that were kept are not of these records
    """Raised at the first forward pass of an evaluation of which everything should be known."""


@dataclass(frozen=True, kw_only=True)
class _CheckpointReevaluation:
    """One checkpoint, evaluated again; `apart` names what differs between the two machines."""

    reevaluation: Reevaluation
    subject: EvaluationSubject
    apart: list[str]

    @property
    def stored(self) -> StoredRun:
        return self.reevaluation.stored

    @property
    def row(self) -> dict[str, Outcome]:
        return self.stored.records[self.subject.checkpoint]

    def check(self) -> Iterator[CheckResult]:
        yield from self._attacks()
        yield from self._examples()
        yield from self._marks()
        if self.reevaluation.everything and isinstance(self.stored.config, RunConfig):
            yield from self._validation(self.stored.config)
            if self.subject.checkpoint == self.stored.config.evaluation.checkpoints[0]:
                yield from self._teacher(self.stored.config)

    def _attacks(self) -> Iterator[CheckResult]:
        """Each attack is told as soon as it is known."""
        row, name, evaluation = self.row, self.subject.checkpoint, self.stored.config.evaluation
        with tempfile.TemporaryDirectory(prefix=TEMPORARY) as path:
            folder = RunDir(Path(path))  # what is found in it is not computed again
            for part in [(), *((spec,) for spec in self.reevaluation.attacks if spec.key in row)]:
                key = part[0].key if part else "clean"
                self._say_progress(key, "", 0, len(self.subject.indices))
                own = evaluation.model_copy(update={"attacks": part, "gallery": 0, "suspect": False})
                self._evaluate(own, folder, self.reevaluation.pause, folded=key in row and row[key].folded)
                if key in row:
                    found = decode(files.content_of(folder.result(name, key), CAP))
                    yield outcomes.compare_outcomes(row[key], found, self.apart)

    def _evaluate(self, evaluation: Evaluation, folder: RunDir, pause: Pause, *, folded: bool) -> list[Event]:
        """All that an evaluation into this folder says; its progress is said on."""
        events: list[Event] = []

        def hear(event: Event) -> None:
            events.append(event)
            if isinstance(event, AttackProgressed):
                self._say_progress(event.attack, event.part, event.done, event.total)

        evaluate(self.subject, evaluation, self.stored.config.threat_model, folder, hear, pause, folded=folded)
        return events

    def _say_progress(self, attack: str, part: str, done: int, total: int) -> None:
        place = {"checkpoint": self.subject.checkpoint, "attack": attack, "part": part}
        self.reevaluation.say({"event": "progress", **place, "done": done, "total": total})

    def _examples(self) -> Iterator[CheckResult]:
        """What student and teacher say to the images in the gallery, asked again; and what the records say of them."""
        name, subject, dataset = self.subject.checkpoint, self.subject, self.reevaluation.dataset
        if name not in self.stored.galleries:
            return
        index, pixels = self.stored.galleries[name]
        shape = dataset.test.images.shape[1:]
        own = {"classes": list(dataset.classes), "indices_sha256": subject.identity.indices_sha256, "shape": [*shape]}
        wrong = [differing(fields("the index's", index, own))]
        if not wrong[0]:
            wrong += [self._misanswered(attack, shown, *pixels[attack]) for attack, shown in index.attacks.items()]
        count = sum(len(shown.examples) for shown in index.attacks.values())
        words = f"{count} answered as they are stored, and as the records say"
        yield CheckResult.of(f"examples {name}", "; ".join(filter(None, wrong))[:300], words)

    def _misanswered(self, attack: str, shown: ExampleSet, x: Images, x_adv: Images) -> str:
        """What of the examples of an attack is said otherwise by the nets, or by the records; empty when nothing is."""
        row, subject = self.row, self.subject
        on = [images.to(subject.device) for images in (x, x_adv)]
        answers = gallery.probabilities(subject.net.eval(), subject.teacher, *on)
        places = {index: place for place, index in enumerate(subject.indices.tolist())}
        for i, example in enumerate(shown.examples):
            told, place = f"{attack}: image {example.index}", places.get(example.index)
            said = {key: getattr(example, key) for key in answers}
            for key, found in answers.items():
                if (said[key] or key.startswith("student")) and not _alike(found[i], said[key]):
                    return f"{told}: {key.replace('_', ', ')} gives other probabilities"
            if attack not in row or "clean" not in row:
                continue
            if place is None or place >= row[attack].n:
                return f"{told} was not judged"
            robust, predicted = unpack(row[attack].robust, row[attack].n)[place], row[attack].predicted[place]
            own = gallery.answer(example.label, said, robust=robust, predicted=predicted)
            pairs = fields(told, example, own)
            pairs.append((f"{told} predicted_clean", example.predicted_clean, row["clean"].predicted[place]))
            if wrong := differing(pairs):
                return wrong
        return ""

    def _marks(self) -> Iterator[CheckResult]:
        """Marks as they follow from the records and from the probes, as these are kept and as they are made again."""
        stored, row, name, evaluation = self.stored, self.row, self.subject.checkpoint, self.stored.config.evaluation
        what, kept = f"marks {name}", files.read(stored.run.result(name, "suspect"), CAP) or b""
        if not all(key in row for key in ("clean", *(spec.key for spec in evaluation.attacks))):
            yield CheckResult(what, UNKNOWN, "records are missing, from which marks follow")
            return
        try:
            said, marks, _suspect = self._replay(kept)
        except _ForwardNeeded:
            words = "suspect.json is not of these records" if kept else "there is no suspect.json"
            newer = stored.all(Probed)  # else its rules may have been others
            yield CheckResult(what, FAILS if newer else UNKNOWN, words)
            return
        pairs: Pairs = [(f"{key} is marked", sorted(record.marks), sorted(marks[key])) for key, record in row.items()]
        (follow, probed), (told, noted) = (_warnings(events, name) for events in (said, stored.log.events))
        if stored.done:
            codes, known = ([f"{code} {attack}".strip() for code, attack, _ in warned] for warned in (follow, told))
            pairs += [("the log's marks", known, codes), ("their words", told, follow)]
            pairs += [("the log's checks", noted, probed)] if stored.all(Probed) else []
        words = f"{', '.join(sorted({code for code, _, _ in follow})) or 'none'}, as records, probes and the log say"
        yield CheckResult.of(what, differing(pairs), words)
        if self.reevaluation.everything and evaluation.suspect:
            yield self._compare_probes(kept, self._replay(None)[2])

    def _replay(self, kept: bytes | None) -> tuple[list[Event], dict[str, list[str]], bytes]:
        """What an evaluation says, marks by attack, and suspect.json, where it finds all records but not their marks.

        `kept` is the content of suspect.json; None makes the probes again. _ForwardNeeded when the student would have
        been asked though all should be known.
        """
        name, row = self.subject.checkpoint, self.row

        def refuse() -> None:
            raise _ForwardNeeded

        with tempfile.TemporaryDirectory(prefix=TEMPORARY) as path:
            folder = RunDir(Path(path))
            for key, record in row.items():
                own = [mark for mark in record.marks if mark.startswith(OWN)]
                outcomes.write(folder.result(name, key), msgspec.structs.replace(record, marks=own))
            if kept:
                folder.result(name, "suspect").write_bytes(kept)
            evaluation = self.stored.config.evaluation.model_copy(update={"gallery": 0})
            folded = kept is None and any(record.folded for record in row.values())  # as the records were made
            pause = self.reevaluation.pause if kept is None else refuse
            said = self._evaluate(evaluation, folder, pause, folded=folded)
            marks = {key: decode(files.content_of(folder.result(name, key), CAP)).marks for key in row}
            return said, marks, files.content_of(folder.result(name, "suspect"), CAP)

    def _compare_probes(self, kept: bytes, made: bytes) -> CheckResult:
        """The probes beside those made again; on an equal CPU they leave the same images."""
        what, then, now = f"probes {self.subject.checkpoint}", msgspec.json.decode(kept), msgspec.json.decode(made)
        if then.get("left_out", {}).keys() != now["left_out"].keys():
            return CheckResult(what, UNKNOWN, "not all of them could be made here")
        # earlier engines wrote a finding as [code, message, attack]
        one, other = (
            sorted(
                {(f[0], f[2]) if isinstance(f, list) else (f["code"], f.get("attack", "")) for f in side["findings"]}
            )
            for side in (then, now)
        )
        measured = {key: share for key, share in then.get("measured", {}).items() if key in now["measured"]}
        exact = self.subject.device.type == "cpu" and not self.apart
        if wrong := differing([("the signs are", one, other)]):
            return CheckResult(what, UNKNOWN if self.apart else FAILS, "; ".join([wrong, *self.apart])[:400])
        if wrong := differing(fields("left by", measured, now["measured"], measured)):
            return CheckResult(what, FAILS if exact else UNKNOWN, wrong)
        return CheckResult(what, HOLDS, f"asked again: {', '.join(code for code, _ in one) or 'no sign'}")

    def _validation(self, config: RunConfig) -> Iterator[CheckResult]:
        """The validation of the epoch that these weights are of, made again."""
        epoch = self.stored.headers[self.subject.checkpoint].get("epoch", "")
        told = next((v for v in self.stored.all(Validated) if str(v.epoch) == epoch), None)
        if told is None:
            return
        images = split_training(config.data, self.reevaluation.dataset).validation
        found = accuracies(
            self.subject.net, images, config.selection, config.threat_model, config.seed, self.subject.device,
            self.reevaluation.pause, folded=self.reevaluation.machine.folds,
        )  # fmt: skip
        shares = {key: found[key][0] for key in told.accuracy if key in found}
        by_class = {key: found[key][1] for key in told.per_class if key in found}
        yield self._measured(f"validation of epoch {epoch}", told.accuracy, shares, len(images.labels),
                             by_class=same(by_class, told.per_class))  # fmt: skip

    def _teacher(self, config: RunConfig) -> Iterator[CheckResult]:
        """The measurement of the teacher before the first step, made again."""
        told, source, what = self.stored.last(TeacherChecked), self.reevaluation.source, "teacher measured"
        if told is None or source is None or not isinstance(self.subject.teacher, FrozenTeacher):
            return
        dataset, device = self.reevaluation.dataset, self.subject.device
        shown = load.check_split(split_training(config.data, dataset).validation, dataset)
        try:
            found, warned = load.check(self.subject.teacher, source, shown, config.threat_model, device, config.seed)
        except CrdndError as error:
            yield CheckResult(what, FAILS, brief(error, 300))
            return
        codes = sorted(warning.code for warning in warned)
        marks = sorted(w.code for w in self.stored.all(Warned) if w.code in {*codes, *TEACHER_MARKS})
        pairs = fields("", told, found, ("model", "sha256", "n", "expected_clean", "expected_robust"))
        if wrong := differing([*pairs, ("warnings", marks, codes)]):
            yield CheckResult(what, FAILS, wrong)
            return
        then, now = ({"clean": event.clean, "robust": event.robust} for event in (told, found))
        yield self._measured(what, then, now, found.n)

    def _measured(
        self, what: str, then: dict[str, float], now: dict[str, float], n: int, *, by_class: bool = True
    ) -> CheckResult:
        """Accuracies on `n` images, measured again. `by_class` says whether those of each class are the same."""
        turned = max((abs(now[key] - then[key]) * n for key in now), default=n)
        if turned < 0.5 and by_class:
            return CheckResult(what, HOLDS, f"identical: the same accuracies on {n:,} images")
        words = f"the accuracies differ by up to {turned:.0f} of {n:,} images{'' if by_class else ', or by class'}"
        if turned <= max(AT_LEAST, TURNED * n) and (self.apart or self.subject.device.type == "cuda"):
            return CheckResult(what, HOLDS, f"{words}, within what sums that round otherwise explain")
        now_ = f"; now {', '.join(self.apart)}" if self.apart else ""
        return CheckResult(what, UNKNOWN if self.apart else FAILS, f"{words}{now_}")


def _alike(found: list[float | None], said: list[float | None]) -> bool:
    """Whether probabilities are the same but for rounding."""
    return len(found) == len(said) and all(
        one is other if one is None or other is None else abs(one - other) <= ROUNDING
        for one, other in zip(found, said, strict=True)
    )


def _warnings(
    events: Sequence[Event], checkpoint: str
) -> tuple[list[tuple[str, str, str]], list[tuple[int, int, dict[str, str]]]]:
    """(code, attack, message) of the marks of a checkpoint, and how many checks are said to have been made."""
    own = [event for event in events if isinstance(event, Warned | Probed) and event.checkpoint == checkpoint]
    warned = sorted((w.code, w.attack, w.message) for w in own if isinstance(w, Warned))
    return warned, [(p.done, p.of, p.left_out) for p in own if isinstance(p, Probed)][-1:]
