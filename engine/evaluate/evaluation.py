"""The judgement of one checkpoint: every attack on every image, kept as bits, resumed where it was, and suspected.

What is finished on the disk is never computed again: it is said again, so that a resumed run tells the same story.
"""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import torch
from torch import Tensor, nn

from engine.evaluate import gallery, outcomes, sanity_checks
from engine.evaluate.bench import Bench, Keeping, Pause, Progress, Watched, fold
from engine.evaluate.gallery import Visitors
from engine.evaluate.outcomes import Identity
from engine.evaluate.partial import Partial
from engine.evaluate.probes import Suspect, Twin
from engine.evaluate.strike import clean_predictions
from engine.evaluate.validation import assail
from engine.runtime.device import frozen_eval, full_precision
from engine.runtime.distributed import ALONE, Ranks
from engine.runtime.rng import generator_for, isolated_rng, stratified
from engine.spec.attacks import AttackSpec, ThreatModel
from engine.spec.events import AttackProgressed, AttackStarted, Evaluated, Event, Probed, Warned
from engine.spec.marks import CHECKS, CLIMB, Finding, Suspicion
from engine.spec.outcomes import Outcome, worst_case
from engine.spec.rundir import RunDir
from engine.spec.training import Evaluation
from engine.types import Split

Say = Callable[[Event], None]


class Subject(NamedTuple):
    """What is judged: a network that is the student at `checkpoint`, and the images, already chosen by `subset`."""

    net: nn.Module
    teacher: nn.Module | None  # looks at the gallery; may be None
    checkpoint: str  # best or last
    images: Split  # uint8 N C H W and int64 N, on the CPU or the device
    classes: tuple[str, ...]
    of: int  # size of the whole split
    indices: Tensor  # N, places in the whole split
    data_sha256: str
    weights_sha256: str
    device: torch.device
    ranks: Ranks = ALONE  # its ranks share the batches; the leading one writes
    twin: Callable[[], Twin] = lambda: Twin(None, "nobody looked for a natural twin")  # called if it is needed


def subset(labels: Tensor, images: int, seed: int) -> Tensor:
    """Sorted places of the images to judge: all for 0, else a seeded choice with the whole split's class shares."""
    if images == 0 or images >= len(labels):
        return torch.arange(len(labels))
    return stratified(labels.cpu(), images, seed, "evaluation")


@dataclass(frozen=True, kw_only=True)
class _Court:
    """All that one evaluation passes around."""

    subject: Subject
    evaluation: Evaluation
    bench: Bench
    identity: Identity
    visitors: Visitors
    folder: RunDir
    say: Say
    pause: Pause

    def keeping(self, attack: str, spec: dict[str, Any]) -> Keeping:
        """Where the batches of this attack survive a kill."""
        print_ = outcomes.fingerprint(spec, self.bench, self.identity, self.visitors.positions)
        folder = self.folder.partial(self.subject.checkpoint, attack)
        return Keeping(Partial(folder, print_), self.visitors.positions)

    def progress(self, attack: str) -> Progress:
        """Says how far the attack is."""

        def said(part: str, done: int, total: int, robust: float) -> None:
            checkpoint = self.subject.checkpoint
            self.say(
                AttackProgressed(checkpoint=checkpoint, attack=attack, part=part, done=done, total=total, robust=robust)
            )

        return said


def evaluate(
    subject: Subject,
    evaluation: Evaluation,
    threat_model: ThreatModel,
    folder: RunDir,
    say: Say,
    pause: Pause,
    *,
    folded: bool = False,
) -> None:
    """Judge the clean images, then each attack, then the worst case within the ball; suspect; say each as it is known.

    `pause` is called before every forward pass and may raise; called again afterwards, the evaluation goes on.
    With `folded`, attacks climb on a copy with folded batch norms, and the network judges; without, bit for bit on it.
    Raises CrdndError when the network changes itself, AssertionError when an attack leaves its threat model.
    """
    teacher = subject.teacher or nn.Identity()
    with isolated_rng(), full_precision(), frozen_eval(subject.net), frozen_eval(teacher):
        court = _open(subject, evaluation, threat_model, folder, say, _copy(subject, say, folded=folded), pause)
        clean = _clean(court)
        results = {"clean": clean}
        for spec in evaluation.attacks:
            say(AttackStarted(checkpoint=subject.checkpoint, attack=spec.key))
            results[spec.key] = _attack(court, spec, torch.tensor(clean.predicted))
            say(_evaluated(results[spec.key]))
        within = _within(results, evaluation)
        worst = [worst_case([clean, *within], subject.images.labels.tolist())] if within else []
        found, suspicion = _suspect(court, results | {outcome.attack: outcome for outcome in worst})
        for outcome in (*results.values(), *worst):
            _store(court, msgspec.structs.replace(outcome, marks=sanity_checks.marks_of(outcome, found)))
        for outcome in worst:
            say(_evaluated(outcome))
        for finding in found:
            code, message, attack = finding.code, finding.message, finding.attack
            say(Warned(code=code, message=message, checkpoint=subject.checkpoint, attack=attack))
        done, left_out = suspicion.done, suspicion.left_out
        say(Probed(checkpoint=subject.checkpoint, done=done, of=suspicion.of, left_out=left_out))


def _copy(subject: Subject, say: Say, *, folded: bool) -> nn.Module | None:
    """What attacks climb on instead of the network; None is the network. Where none can be had, that is said."""
    if not folded:
        return None
    found = fold(subject.net, subject.images.images, subject.device)
    if found.net is None:
        say(Warned(code="not_folded", message=f"attacks climb on the network itself: {found.why}"))
    return found.net


def _open(
    subject: Subject,
    evaluation: Evaluation,
    threat_model: ThreatModel,
    folder: RunDir,
    say: Say,
    copy: nn.Module | None,
    pause: Pause,
) -> _Court:
    bench = Bench(
        net=Watched(subject.net, pause),
        images=subject.images.images,
        labels=subject.images.labels,
        classes=len(subject.classes),
        device=subject.device,
        threat_model=threat_model,
        batch_size=evaluation.batch_size,
        seed=evaluation.seed,
        protocol=evaluation.protocol,
        folded=None if copy is None else Watched(copy, pause),
        ranks=subject.ranks,
    )
    hashes = (outcomes.hash_indices(subject.indices), subject.data_sha256, subject.weights_sha256)
    labels = subject.images.labels.cpu()
    shown = min(evaluation.gallery, bench.n)
    positions = stratified(labels, shown, evaluation.seed, "gallery") if shown else torch.zeros(0, dtype=torch.int64)
    return _Court(
        subject=subject,
        evaluation=evaluation,
        bench=bench,
        identity=Identity(subject.of, *hashes),
        visitors=Visitors(bench, subject.teacher, subject.classes, positions, subject.indices.cpu()),
        folder=folder,
        say=say,
        pause=pause,
    )


def _clean(court: _Court) -> Outcome:
    """The clean images; said."""
    spec = outcomes.describe(None, court.bench)
    path = court.folder.result(court.subject.checkpoint, "clean")
    done = court.bench.ranks.on_leader(lambda: outcomes.read(path, spec, court.identity))
    outcome = done or outcomes.record(
        clean_predictions(court.bench), spec, court.bench, court.identity, court.subject.checkpoint, "clean"
    )
    if done is None:
        _say_damaged(court, path)
        _store(court, outcome)
    court.say(_evaluated(outcome))
    return outcome


def _say_damaged(court: _Court, path: Path) -> None:
    """What lies where nothing is that can be used is made anew, with a word."""
    if court.bench.ranks.on_leader(lambda: os.path.lexists(path)):
        message = f"{path.parent.name}/{path.name} is damaged, or of another judgement: it is made anew"
        court.say(Warned(code="record_damaged", message=message))


def _attack(court: _Court, spec: AttackSpec, clean: Tensor) -> Outcome:
    """The attack's record, from the disk if it is there: pixels first, then the record, then the batches go."""
    described, checkpoint = outcomes.describe(spec, court.bench), court.subject.checkpoint
    keeping = court.keeping(spec.key, described)
    path = court.folder.result(checkpoint, spec.key)
    ranks = court.bench.ranks
    index = court.folder.gallery(checkpoint)
    outcome = ranks.on_leader(lambda: outcomes.read(path, described, court.identity))
    if outcome and not ranks.on_leader(lambda: gallery.hangs(index, spec.key, court.visitors, court.identity)):
        message = f"the examples of {spec.key} on {checkpoint} are missing or damaged: the attack is run again"
        court.say(Warned(code="gallery_damaged", message=message))
        outcome = None
    elif outcome is None:
        _say_damaged(court, path)
    if outcome is None:
        assault = assail(court.bench, spec, clean, keeping, court.progress(spec.key))
        ranks.on_leader(lambda: gallery.hang(index, spec.key, assault, court.visitors, court.identity))
        outcome = outcomes.record(assault.struck, described, court.bench, court.identity, checkpoint, spec.key)
        _store(court, outcome)
    if keeping.partial and ranks.is_leader:
        keeping.partial.discard()
    return outcome


def _within(results: dict[str, Outcome], evaluation: Evaluation) -> list[Outcome]:
    """Attacks within the run's threat model. CW_2 may leave the ball: its number answers another question."""
    return [results[spec.key] for spec in evaluation.attacks if spec.bounded]


def _suspect(court: _Court, results: dict[str, Outcome]) -> tuple[list[Finding], Suspicion]:
    """What the attacks noticed and what the probes find, and which checks were made: that is kept, and said again."""
    judged_by = list(court.evaluation.attacks)
    found = sanity_checks.findings([outcome for outcome in results.values() if outcome.attack != "worst"])
    suspicion = _probed(court, results)
    if not court.evaluation.suspect:
        return found, suspicion
    known = {(finding.code, finding.attack) for finding in found}
    found += [finding for finding in suspicion.findings if (finding.code, finding.attack) not in known]
    return found + sanity_checks.compare(results, judged_by, believable=sanity_checks.believable(found)), suspicion


def _probed(court: _Court, results: dict[str, Outcome]) -> Suspicion:
    """The probes' findings, from the disk if they are there."""
    ranks, checkpoint = court.bench.ranks, court.subject.checkpoint
    asked: dict[str, Any] = {"probes": [[o.spec, o.robust] for o in results.values()], "checks": list(CHECKS)}
    asked["suspect"] = court.evaluation.suspect
    if court.bench.protocol != "last_iterate":
        asked["protocol"] = court.bench.protocol
    path = court.folder.evaluation / checkpoint / "suspect.json"
    digest = hashlib.sha256(json.dumps([asked, court.identity], sort_keys=True).encode()).hexdigest()
    keeping = court.keeping("suspect", asked)._replace(gallery=torch.zeros(0, dtype=torch.int64))
    suspicion = ranks.on_leader(lambda: sanity_checks.recall(path, digest))
    if suspicion is None:
        _say_damaged(court, path)
        if court.evaluation.suspect:
            suspicion = sanity_checks.probe(_accused(court, results), digest, keeping, court.progress("suspect"))
        else:
            suspicion = Suspicion(digest=digest, findings=[], left_out=dict.fromkeys(CHECKS, "suspect = false"))
        if ranks.is_leader:
            sanity_checks.remember(path, suspicion)
    if keeping.partial and ranks.is_leader:
        keeping.partial.discard()
    return suspicion


def _accused(court: _Court, results: dict[str, Outcome]) -> Suspect:
    labels, seed = court.subject.images.labels.cpu(), court.evaluation.seed
    order = stratified(labels, min(CLIMB, court.bench.n), seed, "suspect")
    order = order[torch.randperm(len(order), generator=generator_for(seed, "suspect", "order"))]
    teacher = court.subject.teacher

    def twin() -> Twin:
        found = court.subject.twin()
        return found if found.net is None else found._replace(net=Watched(found.net, court.pause))

    return Suspect(
        bench=court.bench,
        outcomes=results,
        specs=list(court.evaluation.attacks),
        clean=torch.tensor(results["clean"].predicted),
        order=order,
        teacher=None if teacher is None else Watched(teacher, court.pause),
        twin=twin,
    )


def _store(court: _Court, outcome: Outcome) -> None:
    if court.bench.ranks.is_leader:
        outcomes.write(court.folder.result(outcome.checkpoint, outcome.attack), outcome)


def _evaluated(outcome: Outcome) -> Evaluated:
    return Evaluated(
        checkpoint=outcome.checkpoint,
        attack=outcome.attack,
        accuracy=outcome.accuracy,
        n=outcome.n,
        of=outcome.of,
        low=outcome.low,
        high=outcome.high,
        seconds=outcome.seconds,
        spec=outcome.spec,
        per_class=outcome.per_class,
        details=outcome.details,
    )
