"""The evaluation of one checkpoint: every attack on every image, kept as bits, resumed where it was, and checked.

What is finished on the disk is not computed again, but said again: the events of a resumed run are the same.
`accuracies` is the lighter evaluation for validation, of which nothing is kept.
"""

import hashlib
import json
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import torch
from torch import Tensor, nn

from engine.evaluate import gallery, outcomes, sanity_checks
from engine.evaluate.attack_run import clean_predictions, run_attack
from engine.evaluate.context import (
    NOWHERE,
    AttackCheckpoint,
    AttackResult,
    EvaluationContext,
    EvaluationSubject,
    InterruptibleNet,
    Pause,
    Progress,
    folded_copy,
)
from engine.evaluate.probes import SanityContext
from engine.evaluate.surrogate import Surrogate
from engine.fast.folding import FoldingError
from engine.runtime.device import frozen_eval, full_precision
from engine.runtime.distributed import ALONE, Ranks
from engine.runtime.rng import generator_for, isolated_rng, stratified
from engine.spec.attacks import AttackSpec, ThreatModel
from engine.spec.events import AttackProgressed, AttackStarted, Evaluated, Event, Probed, Warned
from engine.spec.files import write_inside
from engine.spec.marks import CHECKS, CLIMB, SanityFinding, SanityReport, encode_checks
from engine.spec.outcomes import Outcome, pack, summarise, worst_case
from engine.spec.rundir import RunDir
from engine.spec.training import Evaluation, Selection
from engine.types import Split

log = logging.getLogger("crdnd")
Say = Callable[[Event], None]
T = TypeVar("T")
EVALUATED = ("checkpoint", "attack", "accuracy", "low", "high", "n", "of", "seconds", "per_class", "details", "spec")
"""What the event of an attack says of its record."""


def subset(labels: Tensor, images: int, seed: int) -> Tensor:
    """Sorted places of the images to evaluate: all for 0, else a seeded choice with the whole split's class shares."""
    if images == 0 or images >= len(labels):
        return torch.arange(len(labels))
    return stratified(labels.cpu(), images, seed, "evaluation")


def evaluate(
    subject: EvaluationSubject,
    evaluation: Evaluation,
    threat_model: ThreatModel,
    folder: RunDir,
    say: Say,
    pause: Pause,
    *,
    folded: bool = False,
) -> None:
    """Evaluate the clean images, each attack, the worst case within the ball, and check them; say each as it is known.

    `pause` is called before every forward pass and may raise; called again afterwards, the evaluation goes on.
    With `folded`, attacks climb on a copy with folded batch norms, and the network is scored; without, on the network.
    Raises CrdndError when the network changes itself, AssertionError when an attack leaves its threat model.
    """
    teacher = subject.teacher or nn.Identity()
    with isolated_rng(), full_precision(), frozen_eval(subject.net), frozen_eval(teacher):
        copy, why_not = _folded(subject.net, subject.images, subject.device, pause) if folded else (None, "")
        if why_not:
            say(Warned(code="not_folded", message=f"attacks climb on the network itself: {why_not}"))
        labels = subject.images.labels.cpu()
        shown = min(evaluation.gallery, len(labels))
        context = EvaluationContext(
            net=InterruptibleNet(subject.net, pause),
            images=subject.images.images,
            labels=subject.images.labels,
            classes=len(subject.classes),
            device=subject.device,
            threat_model=threat_model,
            batch_size=evaluation.batch_size,
            seed=evaluation.seed,
            protocol=evaluation.protocol,
            folded=copy,
            ranks=subject.ranks,
            gallery=stratified(labels, shown, evaluation.seed, "gallery") if shown else NOWHERE,
        )
        run = _EvaluationRun(
            subject=subject, evaluation=evaluation, context=context, folder=folder, say=say, pause=pause
        )
        clean = run.clean()
        results = {"clean": clean}
        for spec in evaluation.attacks:
            say(AttackStarted(checkpoint=subject.checkpoint, attack=spec.key))
            results[spec.key] = run.attack(spec, torch.tensor(clean.predicted))
            run.say_evaluated(results[spec.key])
        within = [results[spec.key] for spec in evaluation.attacks if spec.bounded]  # CW_2 may leave the ball
        if within:
            results["worst"] = worst_case([clean, *within], labels.tolist())
        found, report = run.check(results)
        for outcome in results.values():
            run.store(msgspec.structs.replace(outcome, marks=sanity_checks.marks_of(outcome, found)))
        if within:
            run.say_evaluated(results["worst"])
        for one in found:
            say(Warned(code=one.code, message=one.message, checkpoint=subject.checkpoint, attack=one.attack))
        say(Probed(checkpoint=subject.checkpoint, done=report.done, of=report.of, left_out=report.left_out))


def accuracies(  # noqa: PLR0913  the parts of an evaluation, each of its own kind
    net: nn.Module,
    split: Split,
    selection: Selection,
    threat_model: ThreatModel,
    seed: int,
    device: torch.device,
    pause: Pause,
    *,
    folded: bool = False,
    ranks: Ranks = ALONE,
) -> dict[str, tuple[float, list[float]]]:
    """Accuracy and accuracy per class, `clean` and under each attack, with the same noise at every call.

    Classes without images have accuracy 0.
    `folded` as in `evaluate`; a net that cannot be folded is attacked as it is, and the log says so.
    """
    with isolated_rng(), full_precision(), frozen_eval(net):
        with torch.no_grad():
            outputs = net(split.images[:1].to(device).float() / 255).shape[1]
        copy, _why_not = _folded(net, split, device, pause) if folded else (None, "")
        context = EvaluationContext(
            net=InterruptibleNet(net, pause),
            images=split.images,
            labels=split.labels,
            classes=max(int(split.labels.max()) + 1, outputs),
            device=device,
            threat_model=threat_model,
            batch_size=selection.batch_size,
            seed=seed,
            protocol=selection.protocol,
            folded=copy,
            ranks=ranks,
        )
        clean = clean_predictions(context)
        robust = {"clean": clean.robust}
        robust |= {spec.key: run_attack(context, spec, clean.predicted).robust for spec in selection.attacks}
    labels = split.labels.cpu()
    counts = torch.bincount(labels, minlength=context.classes)
    right = {key: torch.bincount(labels[bits], minlength=context.classes) for key, bits in robust.items()}
    return {key: (int(hits.sum()) / len(labels), (hits / counts.clamp(min=1)).tolist()) for key, hits in right.items()}


def _folded(net: nn.Module, images: Split, device: torch.device, pause: Pause) -> tuple[nn.Module | None, str]:
    """What attacks climb on instead of the network; None, and the reason, where it has no folded copy."""
    try:
        return InterruptibleNet(folded_copy(net, images.images, device), pause), ""
    except FoldingError as error:
        log.info("attacks climb on the network itself: %s", error.what)
        return None, error.what


@dataclass(frozen=True, kw_only=True)
class _EvaluationRun:
    """One evaluation: what is on the disk already, and what is computed."""

    subject: EvaluationSubject
    evaluation: Evaluation
    context: EvaluationContext
    folder: RunDir
    say: Say
    pause: Pause

    def clean(self) -> Outcome:
        """The record of the clean images; said."""
        spec = outcomes.describe(None, self.context.threat_model, self.evaluation)
        outcome = self._stored("clean", lambda path: outcomes.read(path, spec, self.subject.identity))
        if outcome is None:
            outcome = self._record(clean_predictions(self.context), spec, "clean")
        self.say_evaluated(outcome)
        return outcome

    def attack(self, spec: AttackSpec, clean: Tensor) -> Outcome:
        """The attack's record, from the disk if it is there: pixels first, then the record, then the batches go."""
        described = outcomes.describe(spec, self.context.threat_model, self.evaluation)
        lead = self.context.ranks.on_leader
        index = self.folder.gallery(self.subject.checkpoint)
        outcome = self._stored(spec.key, lambda path: outcomes.read(path, described, self.subject.identity))
        if outcome and not lead(lambda: gallery.is_whole(index, spec.key, self.context, self.subject)):
            where = f"{spec.key} on {self.subject.checkpoint}"
            message = f"the examples of {where} are missing or damaged: the attack is run again"
            self.say(Warned(code="gallery_damaged", message=message))
            outcome = None
        kept = self._kept(spec.key, described)
        if outcome is None:
            result = run_attack(self.context, spec, clean, kept, self._progress(spec.key))
            lead(lambda: gallery.write(index, spec.key, result, self.context, self.subject))
            outcome = self._record(result, described, spec.key)
        if self.context.ranks.is_leader:
            kept.discard()
        return outcome

    def check(self, results: dict[str, Outcome]) -> tuple[list[SanityFinding], SanityReport]:
        """What the attacks noticed, the probes found, and comparisons show; and which checks were made."""
        found = sanity_checks.told_by_attacks([outcome for outcome in results.values() if outcome.attack != "worst"])
        report = self._probe(results)
        if not self.evaluation.suspect:
            return found, report
        known = {(finding.code, finding.attack) for finding in found}
        found += [finding for finding in report.findings if (finding.code, finding.attack) not in known]
        believable = sanity_checks.believable(found)
        return found + sanity_checks.compare(results, self.evaluation.attacks, believable=believable), report

    def store(self, outcome: Outcome) -> None:
        if self.context.ranks.is_leader:
            outcomes.write(self.folder.result(outcome.checkpoint, outcome.attack), outcome)

    def say_evaluated(self, outcome: Outcome) -> None:
        self.say(Evaluated(**{key: getattr(outcome, key) for key in EVALUATED}))

    def _probe(self, results: dict[str, Outcome]) -> SanityReport:
        """What the probes find, from the disk if it is there: they cost as much as an attack."""
        suspect, seed, labels = self.evaluation.suspect, self.context.seed, self.context.labels.cpu()
        asked: dict[str, Any] = {"probes": [[o.spec, o.robust] for o in results.values()], "checks": list(CHECKS)}
        asked |= {"suspect": suspect}
        asked |= {} if self.context.protocol == "last_iterate" else {"protocol": self.context.protocol}
        digest = hashlib.sha256(json.dumps([asked, self.subject.identity], sort_keys=True).encode()).hexdigest()
        kept, leads = self._kept("suspect", asked), self.context.ranks.is_leader
        report = self._stored("suspect", lambda path: sanity_checks.read(path, digest))
        if report is None:
            if suspect:
                order = stratified(labels, min(CLIMB, self.context.n), seed, "suspect")
                teacher = self.subject.teacher
                sanity = SanityContext(
                    context=replace(self.context, gallery=NOWHERE),
                    outcomes=results,
                    specs=self.evaluation.attacks,
                    order=order[torch.randperm(len(order), generator=generator_for(seed, "suspect", "order"))],
                    teacher=None if teacher is None else InterruptibleNet(teacher, self.pause),
                    surrogate=self._surrogate,
                    checkpoint=kept,
                    progress=self._progress("suspect"),
                )
                report = sanity_checks.probe(sanity, digest)
            else:
                report = SanityReport(digest=digest, findings=[], left_out=dict.fromkeys(CHECKS, "suspect = false"))
            if leads:
                write_inside(self.folder.result(self.subject.checkpoint, "suspect"), encode_checks(report))
        if leads:
            kept.discard()
        return report

    def _surrogate(self) -> Surrogate:
        found = self.subject.surrogate()
        return found if found.net is None else found._replace(net=InterruptibleNet(found.net, self.pause))

    def _record(self, result: AttackResult, spec: dict[str, Any], attack: str) -> Outcome:
        """The result of an attack as it is kept; stored."""
        context, robust, predicted = self.context, result.robust.tolist(), result.predicted.tolist()
        outcome = Outcome(
            checkpoint=self.subject.checkpoint,
            attack=attack,
            spec=spec,
            n=context.n,
            robust=pack(robust),
            predicted=predicted,
            seconds=result.seconds,
            device=outcomes.device_name(context.device),
            folded=attack != "clean" and context.folded is not None,
            versions=outcomes.versions(),
            details=result.details,
            marks=list(result.marks),
            **summarise(context.labels.tolist(), predicted, robust, context.classes)._asdict(),
            **self.subject.identity._asdict(),
        )
        self.store(outcome)
        return outcome

    def _stored(self, name: str, read: Callable[[Path], T | None]) -> T | None:
        """What the disk holds of this very evaluation, on every rank; a file that cannot be used is told."""
        path, lead = self.folder.result(self.subject.checkpoint, name), self.context.ranks.on_leader
        found = lead(lambda: read(path))
        if found is None and lead(lambda: os.path.lexists(path)):
            message = f"{path.parent.name}/{path.name} is damaged, or of another judgement: it is made anew"
            self.say(Warned(code="record_damaged", message=message))
        return found

    def _kept(self, attack: str, spec: dict[str, Any]) -> AttackCheckpoint:
        """Where the batches of this attack survive a kill."""
        print_ = outcomes.fingerprint(spec, self.context, self.subject.identity)
        return AttackCheckpoint(self.folder.partial(self.subject.checkpoint, attack), print_)

    def _progress(self, attack: str) -> Progress:
        checkpoint = self.subject.checkpoint
        return lambda part, done, total, robust: self.say(
            AttackProgressed(checkpoint=checkpoint, attack=attack, part=part, done=done, total=total, robust=robust)
        )
