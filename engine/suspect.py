"""Suspicion: are these numbers the model's robustness, or the attack's failure? Each finding is a code and a sentence.

A difference counts only when it is larger than its threshold and not a matter of luck (exact McNemar, p < 0.05).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import msgspec
import torch
from torch import Tensor, nn

from engine.bench import Bench, Keeping, Progress
from engine.losses import cross_entropy
from engine.spec.attacks import TITLES, AttackSpec, CWInf, ThreatModel
from engine.spec.files import write_atomically
from engine.spec.marks import MARKS
from engine.spec.outcomes import Outcome, mcnemar, unpack, wilson
from engine.spec.scalars import Pixels
from engine.strike import strike_all

SIGNIFICANT = 0.05
# Fractions of the images. Published students lose up to 7 points from PGD-20 to AutoAttack; CRDND's rows lose 8 to 12.
MARGIN_GAP, SUITE_GAP, RESCALED_GAP, STEP_GAP = 0.05, 0.08, 0.03, 0.02
UNHIDDEN = (  # attacks that the scale of the logits does not mislead
    ("margin", "margin_below_ce", MARGIN_GAP),
    ("autoattack", "suite_below_pgd", SUITE_GAP),
    ("rescaled", "rescaled_below_ce", RESCALED_GAP),
)
ZERO_SHARE, UNBOUNDED_SHARE = 0.01, 0.02
FEW = 96  # fewer, and the widest 95 % interval is over ten points to each side
LOOK, CLIMB, FAR = 256, 512, 256  # images for looking at logits, for more steps, for the large radius
WIDE = ThreatModel(epsilon=Pixels(0.5))
NOTICED = ("autoattack_", "rescored_")  # beginnings of the marks that an attack gives itself
AGREE = 1e-3  # relative difference of logits that rounding may explain


class Finding(NamedTuple):
    """A mark, why it was given, and the attack whose number it concerns; no attack means all of them."""

    code: str
    message: str
    attack: str = ""


class Suspect(NamedTuple):
    """Who is suspected, and what the attacks gave. `clean` holds N predictions; `order` mixes the images."""

    bench: Bench
    outcomes: Mapping[str, Outcome]
    specs: Sequence[AttackSpec]
    clean: Tensor
    order: Tensor  # a stratified choice of at most CLIMB places


def findings(outcomes: Sequence[Outcome]) -> list[Finding]:
    """What the attacks themselves noticed, and whether enough was judged."""
    first = outcomes[0]
    found = []
    if first.n < first.of:
        found.append(_finding("subset", f"{first.n} of {first.of} images were judged."))
    if first.n < FEW:
        found.append(_finding("few_images", f"{first.n} images were judged."))
    for outcome in outcomes:
        lost = sum(guess < 0 for guess in outcome.predicted)
        if lost and outcome.attack == "clean":
            found.append(_finding("non_finite", f"{lost} of {outcome.n} images."))
        elif lost and min(first.predicted) >= 0:
            found.append(_finding("non_finite", f"{lost} of {outcome.n} images.", outcome.attack))
        found += [_finding(code, "", outcome.attack) for code in outcome.marks if code.startswith(NOTICED)]
    return found


class _Memory(msgspec.Struct):
    digest: str
    findings: list[Finding]


_decoder: msgspec.json.Decoder[_Memory] = msgspec.json.Decoder(_Memory)


def recall(path: Path, digest: str) -> list[Finding] | None:
    """What the probes found before about the same numbers; None when they must be asked again."""
    try:
        memory = _decoder.decode(path.read_bytes())
    except (FileNotFoundError, ValueError, RecursionError):
        return None
    return memory.findings if memory.digest == digest else None


def remember(path: Path, digest: str, found: list[Finding]) -> None:
    """Keep the probes' findings: they cost as much as an attack."""
    write_atomically(path, msgspec.json.encode(_Memory(digest, found)) + b"\n")


def compare(outcomes: Mapping[str, Outcome], specs: Sequence[AttackSpec]) -> list[Finding]:
    """Attacks against each other, on the images that all of them met.

    What the scale of the logits hides, it hides from every climb on the cross-entropy: only when the strongest is far
    behind are they marked. The short steps of PGD-TRADES alone cost an honest model over three points.
    """
    by_module = {
        module: [outcomes[spec.key] for spec in specs if spec.module == module]
        for module in ("fgsm", "pgd", *(module for module, _, _ in UNHIDDEN))
    }
    climbs = by_module["pgd"]
    found = []
    for module, code, gap in UNHIDDEN:
        strongest = min(climbs, key=lambda climb: climb.accuracy, default=None)
        if strongest is not None and _weaker(strongest, by_module[module], code, gap):
            found += [finding for climb in climbs for finding in _weaker(climb, by_module[module], code, gap)]
    for climb in climbs:
        found += _weaker(climb, by_module["fgsm"], "fgsm_below_pgd", STEP_GAP)
    return found


def probe(suspect: Suspect, keeping: Keeping, progress: Progress) -> list[Finding]:
    """Ask the model what an honest one would answer."""
    crew = suspect.bench.crew
    found = crew.lead(lambda: _look_at_logits(suspect))
    if any(finding.code in {"non_finite", "constant_output"} for finding in found):
        return found  # nothing can be climbed
    return [
        *found,
        *crew.lead(lambda: _gradients(suspect)),
        *_more_steps(suspect, keeping, progress),
        *_large_radius(suspect, keeping, progress),
    ]


def _weaker(climb: Outcome, others: Sequence[Outcome], code: str, gap: float) -> list[Finding]:
    """A mark on `climb` when one of the others leaves significantly fewer images, by more than `gap`."""
    for other in others:
        if _drops(unpack(climb.robust, climb.n), unpack(other.robust, other.n), gap):
            figures = (
                f"{_called(climb)} leaves {_percent(climb.accuracy)}, {_called(other)} {_percent(other.accuracy)}."
            )
            return [_finding(code, figures, climb.attack)]
    return []


def _drops(before: Sequence[bool], after: Sequence[bool], gap: float) -> bool:
    pairs = mcnemar(before, after)
    return (pairs.only_first - pairs.only_second) / len(before) > gap and pairs.p < SIGNIFICANT


@torch.no_grad()
def _look_at_logits(suspect: Suspect) -> list[Finding]:
    bench, found = suspect.bench, []
    x, _ = bench.batch(suspect.order[: min(LOOK, bench.batch_size)])
    logits = bench.net(x)
    if not bool(torch.isfinite(logits).all()):
        return [_finding("non_finite")]
    scale = float(logits.abs().max()) + 1e-12
    if float((logits - bench.net(x)).abs().max()) > AGREE * scale:
        found.append(_finding("non_deterministic"))
    elif _depends_on_the_batch(bench.net, x, logits, scale):
        found.append(_finding("train_mode"))
    same = len(x) > 1 and float((logits - logits[:1]).abs().max()) <= 1e-6 * scale
    if same or (len(suspect.clean.unique()) == 1 and len(bench.labels.unique()) > 1):
        found.append(_finding("constant_output"))
    sums = logits.sum(dim=1)
    if float(logits.min()) >= -1e-5 and float(logits.max()) <= 1 + 1e-5 and bool(((sums - 1).abs() < 1e-4).all()):
        found.append(_finding("probabilities"))
    return found


def _depends_on_the_batch(net: nn.Module, x: Tensor, logits: Tensor, scale: float) -> bool:
    if any(module.training for module in net.modules()):
        return True
    some = max(1, len(x) // 3)
    return float((net(x[:some]) - logits[:some]).abs().max()) > AGREE * scale


def _gradients(suspect: Suspect) -> list[Finding]:
    """Gradients that lead nowhere: all zero, or not finite, of which the sign is zero, so that attacks stand still."""
    bench, zero, lost, right = suspect.bench, 0, 0, 0
    places = suspect.order[suspect.clean[suspect.order] == bench.labels.cpu()[suspect.order]]
    for positions in places.split(bench.batch_size):
        x, y = bench.batch(positions)
        with torch.enable_grad():
            x.requires_grad_()
            loss = cross_entropy(bench.net(x), y).sum()
            (gradient,) = torch.autograd.grad(loss, x)
        zero += int((gradient == 0).flatten(1).all(dim=1).sum())
        lost += int((~torch.isfinite(gradient)).flatten(1).any(dim=1).sum())
        right += len(positions)
    found = []
    if lost:
        found.append(_finding("non_finite", f"The gradients of {lost} of {right} images that are right."))
    if wilson(zero, right).low > ZERO_SHARE:
        found.append(_finding("zero_gradient", f"{zero} of {right} images that are right."))
    return found


def _more_steps(suspect: Suspect, keeping: Keeping, progress: Progress) -> list[Finding]:
    """Five times the steps of the first cross-entropy climb."""
    spec = next((spec for spec in suspect.specs if spec.module == "pgd"), None)
    if spec is None or suspect.outcomes[spec.key].accuracy == 0:
        return []
    steps = 5 * int(getattr(spec, "steps"))  # noqa: B009  every spec of this module climbs
    longer = spec.model_copy(update={"steps": steps, "label": "probe_steps"})
    bench, clean = _choose(suspect, CLIMB)
    outcome = suspect.outcomes[spec.key]
    bits = torch.tensor(unpack(outcome.robust, outcome.n))[suspect.order[:CLIMB]]
    after = strike_all(bench, longer, clean, keeping, _named(progress, "more steps")).struck.robust
    if not _drops(bits.tolist(), after.tolist(), STEP_GAP):
        return []
    before, now = _percent(float(bits.float().mean())), _percent(float(after.float().mean()))
    figures = f"{before} fall to {now} of {bench.n} images."
    return [_finding("steps_help", figures, spec.key)]


def _large_radius(suspect: Suspect, keeping: Keeping, progress: Progress) -> list[Finding]:
    """The margin attack where every image may become grey."""
    bench, clean = _choose(suspect, FAR)
    spec = CWInf(steps=50, step_size=Pixels(0.05), label="probe_epsilon")
    wide = replace(bench, threat_model=WIDE)
    robust = strike_all(wide, spec, clean, keeping, _named(progress, "large radius")).struck.robust
    left = int(robust.sum())
    if wilson(left, bench.n).low <= UNBOUNDED_SHARE:
        return []
    return [_finding("epsilon_unbounded", f"{left} of {bench.n} images are left.")]


def _choose(suspect: Suspect, images: int) -> tuple[Bench, Tensor]:
    """The bench with some of its images, and what the net predicts of them."""
    places, bench = suspect.order[:images], suspect.bench
    images_there, labels_there = places.to(bench.images.device), places.to(bench.labels.device)
    some = replace(bench, images=bench.images[images_there], labels=bench.labels[labels_there])
    return some, suspect.clean[places]


def _named(progress: Progress, part: str) -> Progress:
    return lambda _part, done, total, robust: progress(part, done, total, robust)


def _called(outcome: Outcome) -> str:
    """The attack as the table calls it."""
    return outcome.spec.get("label") or TITLES.get(str(outcome.spec.get("name")), outcome.attack)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _finding(code: str, figures: str = "", attack: str = "") -> Finding:
    return Finding(code, f"{figures} {MARKS[code]}".strip(), attack)
