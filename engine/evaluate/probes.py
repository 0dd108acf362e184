"""Probes of a model, and of attacks on it, whose result is known for an honest model; some need no gradient of it.

A difference counts only when it is larger than its threshold and not a matter of luck (exact McNemar, p < 0.05).
Sources: Carlini et al. 2019, arXiv:1902.06705 (checklist); Zimmermann et al. 2022, arXiv:2206.13991 (planted examples).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from engine.ascent import ascend
from engine.evaluate.attack_run import run_attack
from engine.evaluate.context import AttackCheckpoint, Batch, EvaluationContext, Progress, predict
from engine.evaluate.outcomes import bits
from engine.evaluate.surrogate import Surrogate
from engine.losses import cross_entropy, margin
from engine.runtime.rng import generator_for, seed_all, seed_for
from engine.spec import marks
from engine.spec.attacks import PGD, TITLES, Ascent, AttackSpec, CWInf, PGDRescaled, Restarted, ThreatModel
from engine.spec.base import Pixels
from engine.spec.errors import percent
from engine.spec.outcomes import Outcome
from engine.spec.statistics import mcnemar_p, wilson

SIGNIFICANT = 0.05
SMALLEST = 6  # images: fewer cannot make the exact test significant, 2 / 2^6 is the first p below 0.05
RESCALED_GAP, STEP_GAP = 0.03, 0.02  # fractions of the images
ZERO_SHARE, ZERO_MANY, UNBOUNDED_SHARE = 0.01, 0.1, 0.02
REACHED = 0.95  # of the way in logits from the image to its planted point: there the planted head turns
AGREE = 1e-3  # relative difference of logits that rounding may explain


@dataclass(frozen=True, kw_only=True)
class SanityContext:
    """What the checks of one checkpoint work on: the network with its images, and what the attacks gave."""

    context: EvaluationContext
    outcomes: Mapping[str, Outcome]  # clean, each attack, and worst if there is one
    specs: Sequence[AttackSpec]
    order: Tensor  # positions: a stratified choice of at most CLIMB, shuffled
    teacher: nn.Module | None
    surrogate: Callable[[], Surrogate]
    checkpoint: AttackCheckpoint
    progress: Progress

    @property
    def clean(self) -> Tensor:
        """N predictions before any attack."""
        return torch.tensor(self.outcomes["clean"].predicted)

    @property
    def right(self) -> Tensor:
        """Positions in `order` whose images are classified right."""
        return self.order[(self.clean == self.context.labels.cpu())[self.order]]

    def choose(self, places: Tensor) -> tuple[EvaluationContext, Tensor]:
        """The context with some of its images, and what the net predicts of them."""
        images, labels = self.context.images, self.context.labels
        images, labels = images[places.to(images.device)], labels[places.to(labels.device)]
        return replace(self.context, images=images, labels=labels), self.clean[places]

    def attack(self, places: Tensor, spec: AttackSpec, part: str, epsilon: float | None = None) -> Tensor:
        """Bits of the chosen images under one more attack; `part` is what its progress is called."""
        context, clean = self.choose(places)
        if epsilon is not None:
            context = replace(context, threat_model=ThreatModel(epsilon=Pixels(epsilon)))

        return run_attack(
            context, spec, clean, self.checkpoint, lambda _part, *amounts: self.progress(part, *amounts)
        ).robust

    def survivors(
        self, places: Tensor, name: str, adversarial: Callable[[int, Tensor, Tensor], Iterable[Tensor]]
    ) -> Tensor:
        """Bits of the chosen images: right before and at each x_adv that `adversarial(k, x, y)` makes of batch k."""
        context, clean = self.choose(places)
        parts = context.batches

        def attack(k: int) -> Batch:
            x, y = context.batch(parts[k])
            left = clean[parts[k]].to(y.device) == y
            for x_adv in adversarial(k, x, y):
                left = left & (predict(context.net, x_adv) == y)
            return {"robust": left.cpu()}

        kept = self.checkpoint.each(context.ranks, name, len(parts), attack)
        return torch.cat([batch["robust"] for _, batch in kept])


class ProbeResult(NamedTuple):
    """What a check found, what its probe left of the images, and why it was not made, if it was not."""

    findings: Sequence[marks.SanityFinding] = ()
    measured: Mapping[str, float] = {}
    left_out: str = ""


@torch.no_grad()
def logits_of_one_batch(sanity: SanityContext) -> list[marks.SanityFinding]:
    """The first five checks."""
    context, found = sanity.context, []
    x, _ = context.batch(sanity.order[: min(marks.LOOK, context.batch_size)])
    logits = context.net(x)
    if not bool(torch.isfinite(logits).all()):
        return [finding("non_finite")]
    scale = float(logits.abs().max()) + 1e-12
    some = max(1, len(x) // 3)
    if float((logits - context.net(x)).abs().max()) > AGREE * scale:
        found.append(finding("non_deterministic"))
    elif (
        any(module.training for module in context.net.modules())
        or float((context.net(x[:some]) - logits[:some]).abs().max()) > AGREE * scale
    ):
        found.append(finding("train_mode"))
    same = len(x) > 1 and float((logits - logits[:1]).abs().max()) <= 1e-6 * scale
    if same or (len(sanity.clean.unique()) == 1 and len(context.labels.unique()) > 1):
        found.append(finding("constant_output"))
    sums = logits.sum(dim=1)
    if float(logits.min()) >= -1e-5 and float(logits.max()) <= 1 + 1e-5 and bool(((sums - 1).abs() < 1e-4).all()):
        found.append(finding("probabilities"))
    return found


def gradients(sanity: SanityContext) -> ProbeResult:
    """Count gradients that are all zero, or not finite, whose sign is zero: attacks that follow them do not move.

    Where only that of the cross-entropy is zero, as behind a saturated softmax, only attacks on it are concerned.
    """
    lost, zero = 0, {"cross_entropy": 0, "margin": 0}
    places = sanity.right
    if not len(places):
        return ProbeResult(left_out="no image is classified right")
    for positions in places.split(sanity.context.batch_size):
        x, y = sanity.context.batch(positions)
        with torch.enable_grad():
            x.requires_grad_()
            logits = sanity.context.net(x)
            for name, loss in (("cross_entropy", cross_entropy), ("margin", margin)):
                (gradient,) = torch.autograd.grad(loss(logits, y).sum(), x, retain_graph=True)
                zero[name] += int((gradient == 0).flatten(1).all(dim=1).sum())
                if name == "cross_entropy":
                    lost += int((~torch.isfinite(gradient)).flatten(1).any(dim=1).sum())
    right, found = len(places), []
    if lost:
        found.append(finding("non_finite", f"The gradients of {lost} of {right} images that are right."))
    follow = [spec.key for spec in sanity.specs if spec.module in {"fgsm", "pgd"}]
    for name, concerned in (("margin", [""]), ("cross_entropy", follow)):
        if wilson(zero[name], right).low > ZERO_SHARE:
            code = "zero_gradient" if zero[name] > ZERO_MANY * right else "some_zero_gradients"
            figures = f"{zero[name]} of {right} images that are right, for the {name.replace('_', '-')}."
            found += [finding(code, figures, attack) for attack in concerned]
            break
    return ProbeResult(found)


def more_steps(sanity: SanityContext) -> ProbeResult:
    """Five times the steps of the first climb on the cross-entropy."""
    spec = next(spec for spec in sanity.specs if isinstance(spec, Restarted) and spec.module == "pgd")
    if sanity.outcomes[spec.key].accuracy == 0:
        return ProbeResult()  # nothing is left that more steps could fool
    longer = spec.model_copy(update={"steps": marks.LONGER * spec.steps, "label": "probe_steps"})
    before = bits(sanity.outcomes[spec.key])[sanity.order]
    after = sanity.attack(sanity.order, longer, "more steps")
    measured = {"more_steps": share(after)}
    if not drops(before, after, STEP_GAP):
        return ProbeResult(measured=measured)
    figures = f"{percent(share(before))} fall to {percent(share(after))} of {len(after)} images."
    return ProbeResult([finding("steps_help", figures, spec.key)], measured)


def large_radius(sanity: SanityContext) -> ProbeResult:
    """The margin attack at radii that double, the last of which lets every image become grey."""
    places = sanity.order[: marks.FAR]
    found = list[marks.SanityFinding]()
    *growing, last = marks.radii(float(sanity.context.threat_model.epsilon))
    climbs = [
        (radius, CWInf(steps=marks.SWEEP_STEPS, step_size=Pixels(radius / 8), label=f"probe_radius_{k}"))
        for k, radius in enumerate(growing)
    ]
    climbs.append((last, CWInf(steps=marks.FAR_STEPS, step_size=Pixels(marks.WIDE / 10), label="probe_epsilon")))
    before, measured = None, dict[str, float]()
    for radius, spec in climbs:
        robust = sanity.attack(places, spec, f"radius {radius:.3g}", radius)
        measured[f"radius_{radius:.4g}"] = share(robust)
        if before is not None and not found and drops(robust, before, STEP_GAP):
            figures = f"Radius {radius:.3g} leaves {percent(share(robust))}, half of it {percent(share(before))}."
            found.append(finding("radius_not_monotone", figures))
        before = robust
    left = int(robust.sum())
    if wilson(left, len(places)).low > UNBOUNDED_SHARE:
        found.append(finding("epsilon_unbounded", f"{left} of {len(places)} images are left."))
    return ProbeResult(found, measured)


def planted(sanity: SanityContext) -> ProbeResult:
    """Around each of a few images a head on the model's logits is made wrong at one random corner of the ball.

    The head tells how far the logits have gone from the image (0) towards the corner (1), and turns shortly before it.
    A gradient leads there more easily than to any real mistake; without one, PGD from the image itself never arrives.
    """
    context, places = sanity.context, sanity.right[: marks.PLANTED]
    if len(places) < SMALLEST:
        return ProbeResult(left_out="too few images are classified right")
    x, _ = context.batch(places)
    x_planted = _corner(x, context.threat_model, generator_for(context.seed, "suspect", "planted"))
    with torch.no_grad():
        start, way = context.net(x), context.net(x_planted) - context.net(x)  # B K
    length = way.square().sum(dim=1)  # B
    can = torch.isfinite(length) & (length > 0)
    if int(can.sum()) < SMALLEST:
        return ProbeResult(left_out="the logits are the same all around an image")
    x, start, way, length = x[can], start[can], way[can], length[can]

    def head(logits: Tensor) -> Tensor:
        gone = ((logits - start) * way).sum(dim=1) / length  # B
        return torch.stack([torch.full_like(gone, REACHED), gone], dim=1)

    y = torch.zeros(len(x), dtype=torch.int64, device=x.device)
    spec = PGD(steps=marks.PLANTED_STEPS, step_size=Pixels(float(context.threat_model.epsilon) / 4), start="clean")
    with torch.enable_grad():
        x_adv = ascend(lambda z: cross_entropy(head(context.attacked(z)), y), x, context.threat_model, spec)
    with torch.no_grad():
        missed = int((head(context.net(x_adv)).argmax(dim=1) == y).sum())
    measured = {"planted": 1 - missed / len(x)}
    if not drops(torch.ones(len(x), dtype=torch.bool), torch.arange(len(x)) >= missed, 0.0):
        return ProbeResult(measured=measured)
    return ProbeResult([finding("planted_missed", f"{missed} of {len(x)} were missed.")], measured)


def corners(sanity: SanityContext) -> ProbeResult:
    """Ten random corners of the ball around each image."""

    def draw(k: int, x: Tensor, _y: Tensor) -> Iterable[Tensor]:
        draws = generator_for(sanity.context.seed, "suspect", "corners", k)
        return (_corner(x, sanity.context.threat_model, draws) for _ in range(marks.DRAWS))

    left = sanity.survivors(sanity.order, "corners", draw)
    return _beaten(sanity, sanity.order, left, "corners_stronger", "Random corners leave")


def transfer(sanity: SanityContext, other: nn.Module | None, name: str, code: str, why_not: str) -> ProbeResult:
    """PGD on another net, whose adversarial images are shown to this one; left out where there is no other net."""
    if other is None:
        return ProbeResult(left_out=why_not)
    threat_model = sanity.context.threat_model
    spec = next(
        (spec for spec in sanity.specs if isinstance(spec, Ascent) and spec.module == "pgd"),
        PGD(step_size=Pixels(float(threat_model.epsilon) / 4)),
    )

    def climb(k: int, x: Tensor, y: Tensor) -> Iterable[Tensor]:
        seed_all(seed_for(sanity.context.seed, "suspect", name, k))
        with torch.enable_grad():
            x_adv = ascend(lambda z: cross_entropy(other(z), y), x, threat_model, spec).detach()
        return [torch.where(torch.isfinite(x_adv).flatten(1).all(dim=1)[:, None, None, None], x_adv, x)]

    places = sanity.order[: marks.FAR]
    return _beaten(sanity, places, sanity.survivors(places, name, climb), code, "Transferred images leave")


def rescaled(sanity: SanityContext) -> ProbeResult:
    """PGD on rescaled logits against PGD with as many restarts, on the images that the first climbs leave.

    Where rescaling is not stronger than a single climb by more than the gap, no restart needs to be climbed.
    """
    found, measured = list[marks.SanityFinding](), dict[str, float]()
    climbs = [sanity.outcomes[spec.key] for spec in sanity.specs if spec.module == "pgd"]
    for place, spec in enumerate(spec for spec in sanity.specs if isinstance(spec, PGDRescaled)):
        after = bits(sanity.outcomes[spec.key])
        weaker = [climb for climb in climbs if drops(bits(climb), after, RESCALED_GAP)]
        if not weaker:
            continue
        left = _restarted(sanity, spec, place)
        measured[f"restarts_of_{spec.key}"] = share(left)
        if not drops(left, after, RESCALED_GAP):
            continue
        for climb in weaker:
            taken, more = climb.accuracy - share(left), share(left) - share(after)
            figures = (
                f"{called(climb)} leaves {percent(climb.accuracy)}; {spec.climbs * spec.restarts} restarts alone "
                f"take {100 * taken:.1f} points, rescaling {100 * more:.1f} more."
            )
            found.append(finding("rescaled_below_ce", figures, climb.attack))
    return ProbeResult(found, measured)


def _restarted(sanity: SanityContext, spec: PGDRescaled, place: int) -> Tensor:
    """N bits: the images that survive as many climbs on the plain cross-entropy; those of the suite count."""
    settings = {key: getattr(spec, key) for key in ("steps", "step_size", "start")}
    left, wanted = bits(sanity.outcomes["clean"]), spec.climbs * spec.restarts
    for other in sanity.specs:
        if not isinstance(other, Restarted) or other.module != "pgd":
            continue
        if all(getattr(other, key) == value for key, value in settings.items()):
            left &= bits(sanity.outcomes[other.key])
            wanted -= other.restarts
    for k in range(wanted):
        standing = left.nonzero().squeeze(1)
        if not len(standing):
            break
        again = PGD(**settings, label=f"probe_restart_{place}_{k}")
        left[standing] = sanity.attack(standing, again, f"restart {k + 1}")
    return left


def _beaten(sanity: SanityContext, places: Tensor, left: Tensor, code: str, what: str) -> ProbeResult:
    """A mark on each column of the ball that leaves significantly more of these images; one step may be weaker."""
    bounded = {spec.key for spec in sanity.specs if spec.bounded and not is_one_step(spec)} | {"worst"}
    found = []
    for key, outcome in sanity.outcomes.items():
        own = bits(outcome)[places]
        if key in bounded and drops(own, left, STEP_GAP):
            figures = f"{what} {percent(share(left))} of {len(places)} images, {called(outcome)} {percent(share(own))}."
            found.append(finding(code, figures, key))
    return ProbeResult(found, {code.split("_", maxsplit=1)[0]: share(left)})


def _corner(x: Tensor, threat_model: ThreatModel, draws: torch.Generator) -> Tensor:
    signs = 2 * torch.randint(0, 2, x.shape, generator=draws) - 1
    return (x + float(threat_model.epsilon) * signs.to(x.device)).clamp(0.0, 1.0)


def is_one_step(spec: AttackSpec) -> bool:
    """Whether the attack looks at one gradient only; weaker by design, it fails by another measure."""
    return spec.module == "fgsm" or (isinstance(spec, Ascent) and spec.steps == 1)


def drops(before: Tensor | Sequence[bool], after: Tensor | Sequence[bool], gap: float) -> bool:
    """Whether a second look leaves significantly fewer of the same images, by more than `gap` of them."""
    one, two = torch.as_tensor(before), torch.as_tensor(after)
    lost, won = int((one & ~two).sum()), int((two & ~one).sum())
    return len(one) > 0 and (lost - won) / len(one) > gap and mcnemar_p(lost, won) < SIGNIFICANT


def share(robust: Tensor) -> float:
    return int(robust.sum()) / max(1, len(robust))


def called(outcome: Outcome) -> str:
    """The attack as the table calls it."""
    if outcome.attack == "worst":
        return "the worst case"
    return outcome.spec.get("label") or TITLES.get(str(outcome.spec.get("name")), outcome.attack)


def finding(code: str, figures: str = "", attack: str = "") -> marks.SanityFinding:
    """With the figures before the sentences of its code."""
    return marks.SanityFinding(code, f"{figures} {marks.MARKS[code]}".strip(), attack)
