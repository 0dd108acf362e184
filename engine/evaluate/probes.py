"""Probes: the model, and the attack on it, are asked what an honest model would answer. Some follow no gradient of it.

A difference counts only when it is larger than its threshold and not a matter of luck (exact McNemar, p < 0.05).
Sources: Carlini et al. 2019, arXiv:1902.06705 (checklist); Zimmermann et al. 2022, arXiv:2206.13991 (planted examples).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from engine.ascent import ascend
from engine.evaluate.bench import Bench, Keeping, Kept, Progress, predict
from engine.evaluate.strike import strike_all
from engine.losses import cross_entropy, margin
from engine.runtime.rng import generator_for, seed_all, seed_for
from engine.spec.attacks import PGD, TITLES, Ascent, AttackSpec, CWInf, PGDRescaled, ThreatModel
from engine.spec.base import Pixels
from engine.spec.marks import (
    DRAWS,
    FAR,
    FAR_STEPS,
    LONGER,
    LOOK,
    MARKS,
    PLANTED,
    PLANTED_STEPS,
    SWEEP_STEPS,
    WIDE,
    Finding,
    radii,
)
from engine.spec.outcomes import Outcome, mcnemar, unpack, wilson
from engine.spec.units import percent

SIGNIFICANT = 0.05
SMALLEST = 6  # images: fewer cannot make the exact test significant, 2 / 2^6 is the first p below 0.05
RESCALED_GAP, STEP_GAP = 0.03, 0.02  # fractions of the images
ZERO_SHARE, ZERO_MANY, UNBOUNDED_SHARE = 0.01, 0.1, 0.02
REACHED = 0.95  # of the way in logits from the image to its planted point: there the planted head turns
AGREE = 1e-3  # relative difference of logits that rounding may explain


class Twin(NamedTuple):
    """The naturally trained net of the same architecture and data, on the bench's device; or why there is none."""

    net: nn.Module | None
    why: str = ""
    digest: str = ""  # of its weights


class Suspect(NamedTuple):
    """Who is suspected, and what the attacks gave. `clean` holds N predictions; `order` mixes the images."""

    bench: Bench
    outcomes: Mapping[str, Outcome]  # clean, each attack, and worst if there is one
    specs: Sequence[AttackSpec]
    clean: Tensor
    order: Tensor  # a stratified choice of at most CLIMB places
    teacher: nn.Module | None
    twin: Callable[[], Twin]


class Answer(NamedTuple):
    """What a check found, what its probe left of the images, and why it was not made, if it was not."""

    findings: Sequence[Finding] = ()
    measured: Mapping[str, float] = {}
    left_out: str = ""


@torch.no_grad()
def look_at_logits(suspect: Suspect) -> list[Finding]:
    """The first five checks, on one batch."""
    bench, found = suspect.bench, []
    x, _ = bench.batch(suspect.order[: min(LOOK, bench.batch_size)])
    logits = bench.net(x)
    if not bool(torch.isfinite(logits).all()):
        return [finding("non_finite")]
    scale = float(logits.abs().max()) + 1e-12
    if float((logits - bench.net(x)).abs().max()) > AGREE * scale:
        found.append(finding("non_deterministic"))
    elif _depends_on_the_batch(bench.net, x, logits, scale):
        found.append(finding("train_mode"))
    same = len(x) > 1 and float((logits - logits[:1]).abs().max()) <= 1e-6 * scale
    if same or (len(suspect.clean.unique()) == 1 and len(bench.labels.unique()) > 1):
        found.append(finding("constant_output"))
    sums = logits.sum(dim=1)
    if float(logits.min()) >= -1e-5 and float(logits.max()) <= 1 + 1e-5 and bool(((sums - 1).abs() < 1e-4).all()):
        found.append(finding("probabilities"))
    return found


def _depends_on_the_batch(net: nn.Module, x: Tensor, logits: Tensor, scale: float) -> bool:
    if any(module.training for module in net.modules()):
        return True
    some = max(1, len(x) // 3)
    return float((net(x[:some]) - logits[:some]).abs().max()) > AGREE * scale


def gradients(suspect: Suspect) -> Answer:
    """Gradients that lead nowhere: all zero, or not finite, of which the sign is zero, so that attacks stand still.

    Where only that of the cross-entropy is zero, as behind a saturated softmax, only attacks on it are concerned.
    """
    bench, lost = suspect.bench, 0
    zero = {"cross_entropy": 0, "margin": 0}
    places = _right(suspect)
    if not len(places):
        return Answer(left_out="no image is classified right")
    for positions in places.split(bench.batch_size):
        x, y = bench.batch(positions)
        with torch.enable_grad():
            x.requires_grad_()
            logits = bench.net(x)
            for name, loss in (("cross_entropy", cross_entropy), ("margin", margin)):
                (slope,) = torch.autograd.grad(loss(logits, y).sum(), x, retain_graph=True)
                zero[name] += int((slope == 0).flatten(1).all(dim=1).sum())
                if name == "cross_entropy":
                    lost += int((~torch.isfinite(slope)).flatten(1).any(dim=1).sum())
    right, found = len(places), []
    if lost:
        found.append(finding("non_finite", f"The gradients of {lost} of {right} images that are right."))
    follow = [spec.key for spec in suspect.specs if spec.module in {"fgsm", "pgd"}]
    for name, concerned in (("margin", [""]), ("cross_entropy", follow)):
        if wilson(zero[name], right).low > ZERO_SHARE:
            code = "zero_gradient" if zero[name] > ZERO_MANY * right else "some_zero_gradients"
            figures = f"{zero[name]} of {right} images that are right, for the {name.replace('_', '-')}."
            found += [finding(code, figures, attack) for attack in concerned]
            break
    return Answer(found)


def more_steps(suspect: Suspect, keeping: Keeping, progress: Progress) -> Answer:
    """Five times the steps of the first cross-entropy climb."""
    spec = next((spec for spec in suspect.specs if spec.module == "pgd"), None)
    if spec is None:
        return Answer(left_out="no PGD in the suite")
    if suspect.outcomes[spec.key].accuracy == 0:
        return Answer()  # nothing is left that more steps could fool
    steps = LONGER * int(getattr(spec, "steps"))  # noqa: B009  every spec of this module climbs
    longer = spec.model_copy(update={"steps": steps, "label": "probe_steps"})
    bench, clean = choose(suspect, suspect.order)
    before = bits(suspect.outcomes[spec.key])[suspect.order]
    after = strike_all(bench, longer, clean, keeping, _named(progress, "more steps")).struck.robust
    measured = {"more_steps": share(after)}
    if not drops(before, after, STEP_GAP):
        return Answer(measured=measured)
    figures = f"{percent(share(before))} fall to {percent(share(after))} of {bench.n} images."
    return Answer([finding("steps_help", figures, spec.key)], measured)


def large_radius(suspect: Suspect, keeping: Keeping, progress: Progress) -> Answer:
    """The margin attack at radii that double, the last of which lets every image become grey."""
    bench, clean = choose(suspect, suspect.order[:FAR])
    found = list[Finding]()
    *growing, last = radii(float(bench.threat_model.epsilon))
    climbs = [
        (radius, CWInf(steps=SWEEP_STEPS, step_size=Pixels(radius / 8), label=f"probe_radius_{k}"))
        for k, radius in enumerate(growing)
    ]
    climbs.append((last, CWInf(steps=FAR_STEPS, step_size=Pixels(WIDE / 10), label="probe_epsilon")))
    before, measured = None, dict[str, float]()
    for radius, spec in climbs:
        wide = replace(bench, threat_model=ThreatModel(epsilon=Pixels(radius)))
        robust = strike_all(wide, spec, clean, keeping, _named(progress, f"radius {radius:.3g}")).struck.robust
        measured[f"radius_{radius:.4g}"] = share(robust)
        if before is not None and not found and drops(robust, before, STEP_GAP):
            figures = f"Radius {radius:.3g} leaves {percent(share(robust))}, half of it {percent(share(before))}."
            found.append(finding("radius_not_monotone", figures))
        before = robust
    left = int(robust.sum())
    if wilson(left, bench.n).low > UNBOUNDED_SHARE:
        found.append(finding("epsilon_unbounded", f"{left} of {bench.n} images are left."))
    return Answer(found, measured)


def planted(suspect: Suspect) -> Answer:
    """Around each of a few images a head on the model's logits is made wrong at one random corner of the ball.

    The head tells how far the logits have gone from the image (0) towards the corner (1), and turns shortly before it.
    A gradient leads there more easily than to any real mistake; without one, PGD from the image itself never arrives.
    """
    bench, places = suspect.bench, _right(suspect)[:PLANTED]
    if len(places) < SMALLEST:
        return Answer(left_out="too few images are classified right")
    x, _ = bench.batch(places)
    x_planted = _corner(x, bench, generator_for(bench.seed, "suspect", "planted"))
    with torch.no_grad():
        start, way = bench.net(x), bench.net(x_planted) - bench.net(x)  # B K
    there = way.square().sum(dim=1)  # B
    can = torch.isfinite(there) & (there > 0)
    if int(can.sum()) < SMALLEST:
        return Answer(left_out="the logits are the same all around an image")
    x, start, way, there = x[can], start[can], way[can], there[can]

    def head(logits: Tensor) -> Tensor:
        gone = ((logits - start) * way).sum(dim=1) / there  # B
        return torch.stack([torch.full_like(gone, REACHED), gone], dim=1)

    y = torch.zeros(len(x), dtype=torch.int64, device=x.device)
    spec = PGD(steps=PLANTED_STEPS, step_size=Pixels(float(bench.threat_model.epsilon) / 4), start="clean")
    with torch.enable_grad():
        x_adv = ascend(lambda z: cross_entropy(head(bench.attacked(z)), y), x, bench.threat_model, spec)
    with torch.no_grad():
        missed = int((head(bench.net(x_adv)).argmax(dim=1) == y).sum())
    measured = {"planted": 1 - missed / len(x)}
    if not drops(torch.ones(len(x), dtype=torch.bool), torch.arange(len(x)) >= missed, 0.0):
        return Answer(measured=measured)
    return Answer([finding("planted_missed", f"{missed} of {len(x)} were missed.")], measured)


def corners(suspect: Suspect, keeping: Keeping) -> Answer:
    """Ten random corners of the ball around each image."""
    bench, clean = choose(suspect, suspect.order)
    parts = torch.arange(bench.n).split(bench.batch_size)

    def attack(k: int) -> Kept:
        x, y = bench.batch(parts[k])
        left = clean[parts[k]].to(y.device) == y
        draws = generator_for(bench.seed, "suspect", "corners", k)
        for _ in range(DRAWS):
            left = left & (predict(bench.net, _corner(x, bench, draws)) == y)
        return {"robust": left.cpu()}

    left = _gathered(keeping, bench, "corners", len(parts), attack)
    return _beaten(suspect, suspect.order, left, "corners_stronger", "Random corners leave", "corners")


def transfer(suspect: Suspect, other: nn.Module, name: str, code: str, keeping: Keeping) -> Answer:
    """PGD on another net; its adversarial images are shown to this one."""
    places = suspect.order[:FAR]
    bench, clean = choose(suspect, places)
    radius = float(bench.threat_model.epsilon)
    spec = next(
        (spec for spec in suspect.specs if spec.module == "pgd" and isinstance(spec, Ascent)),
        PGD(step_size=Pixels(radius / 4)),
    )
    parts = torch.arange(bench.n).split(bench.batch_size)

    def attack(k: int) -> Kept:
        seed_all(seed_for(bench.seed, "suspect", name, k))
        x, y = bench.batch(parts[k])
        with torch.enable_grad():
            x_adv = ascend(lambda z: cross_entropy(other(z), y), x, bench.threat_model, spec)
        x_adv = torch.where(torch.isfinite(x_adv).flatten(1).all(dim=1)[:, None, None, None], x_adv, x)
        left = (clean[parts[k]].to(y.device) == y) & (predict(bench.net, x_adv.detach()) == y)
        return {"robust": left.cpu()}

    left = _gathered(keeping, bench, name, len(parts), attack)
    return _beaten(suspect, places, left, code, "Transferred images leave", code.split("_", maxsplit=1)[0])


def rescaled(suspect: Suspect, keeping: Keeping, progress: Progress) -> Answer:
    """PGD on rescaled logits against PGD with as many restarts, on whom the first climbs leave standing.

    Where rescaling is not stronger than a single climb by more than the gap, no restart needs to be climbed.
    """
    found, measured = list[Finding](), dict[str, float]()
    climbs = [spec for spec in suspect.specs if spec.module == "pgd"]
    for place, spec in enumerate(spec for spec in suspect.specs if isinstance(spec, PGDRescaled)):
        after = bits(suspect.outcomes[spec.key])
        if not any(drops(bits(suspect.outcomes[climb.key]), after, RESCALED_GAP) for climb in climbs):
            continue
        left = _restarted(suspect, spec, place, keeping, progress)
        measured[f"restarts_of_{spec.key}"] = share(left)
        if not drops(left, after, RESCALED_GAP):
            continue
        for climb in (suspect.outcomes[climb.key] for climb in climbs):
            if drops(bits(climb), after, RESCALED_GAP):
                taken, more = climb.accuracy - share(left), share(left) - share(after)
                figures = (
                    f"{called(climb)} leaves {percent(climb.accuracy)}; {spec.climbs * spec.restarts} restarts alone "
                    f"take {100 * taken:.1f} points, rescaling {100 * more:.1f} more."
                )
                found.append(finding("rescaled_below_ce", figures, climb.attack))
    return Answer(found, measured)


def _restarted(suspect: Suspect, spec: PGDRescaled, place: int, keeping: Keeping, progress: Progress) -> Tensor:
    """N bits: who survives as many climbs on the plain cross-entropy; those of the suite are not climbed again."""
    bench, wanted = suspect.bench, spec.climbs * spec.restarts
    alike = ("steps", "step_size", "start")
    left = suspect.clean == bench.labels.cpu()
    for other in suspect.specs:
        if other.module == "pgd" and all(getattr(other, key) == getattr(spec, key) for key in alike):
            left &= bits(suspect.outcomes[other.key])
            wanted -= int(getattr(other, "restarts"))  # noqa: B009  every spec of this module has them
    for k in range(wanted):
        standing = left.nonzero().squeeze(1)
        if not len(standing):
            break
        some, clean = choose(suspect, standing)
        settings = {key: getattr(spec, key) for key in alike}
        again = PGD(**settings, label=f"probe_restart_{place}_{k}")
        left[standing] = strike_all(some, again, clean, keeping, _named(progress, f"restart {k + 1}")).struck.robust
    return left


def _beaten(suspect: Suspect, places: Tensor, left: Tensor, code: str, what: str, name: str) -> Answer:
    """A mark on each column of the ball that leaves significantly more of these images; one step may be weaker."""
    bounded = {spec.key for spec in suspect.specs if spec.bounded and not is_one_step(spec)} | {"worst"}
    found = []
    for key, outcome in suspect.outcomes.items():
        own = bits(outcome)[places]
        if key in bounded and drops(own, left, STEP_GAP):
            figures = f"{what} {percent(share(left))} of {len(places)} images, {called(outcome)} {percent(share(own))}."
            found.append(finding(code, figures, key))
    return Answer(found, {name: share(left)})


def _gathered(keeping: Keeping, bench: Bench, name: str, parts: int, attack: Callable[[int], Kept]) -> Tensor:
    return torch.cat([batch["robust"] for _, batch in keeping.each(bench.ranks, name, parts, attack)])


def _corner(x: Tensor, bench: Bench, draws: torch.Generator) -> Tensor:
    signs = 2 * torch.randint(0, 2, x.shape, generator=draws) - 1
    return (x + float(bench.threat_model.epsilon) * signs.to(x.device)).clamp(0.0, 1.0)


def _right(suspect: Suspect) -> Tensor:
    """Places in the order whose images are classified right."""
    return suspect.order[suspect.clean[suspect.order] == suspect.bench.labels.cpu()[suspect.order]]


def choose(suspect: Suspect, places: Tensor) -> tuple[Bench, Tensor]:
    """The bench with some of its images, and what the net predicts of them."""
    bench = suspect.bench
    images_there, labels_there = places.to(bench.images.device), places.to(bench.labels.device)
    some = replace(bench, images=bench.images[images_there], labels=bench.labels[labels_there])
    return some, suspect.clean[places]


def is_one_step(spec: Any) -> bool:  # noqa: ANN401  any attack
    """Whether the attack looks at one gradient only; weaker by design, it fails by another measure."""
    return spec.module == "fgsm" or (isinstance(spec, Ascent) and spec.steps == 1)


def drops(before: Tensor | Sequence[bool], after: Tensor | Sequence[bool], gap: float) -> bool:
    """Whether a second look leaves significantly fewer of the same images, by more than `gap` of them."""
    one, two = (list(map(bool, some)) for some in (before, after))
    pairs = mcnemar(one, two)
    return bool(one) and (pairs.only_first - pairs.only_second) / len(one) > gap and pairs.p < SIGNIFICANT


def bits(outcome: Outcome) -> Tensor:
    """N bools: who is right under the attack."""
    return torch.tensor(unpack(outcome.robust, outcome.n))


def share(robust: Tensor) -> float:
    """The fraction of True."""
    return int(robust.sum()) / max(1, len(robust))


def _named(progress: Progress, part: str) -> Progress:
    return lambda _part, done, total, robust: progress(part, done, total, robust)


def called(outcome: Outcome) -> str:
    """The attack as the table calls it."""
    if outcome.attack == "worst":
        return "the worst case"
    return outcome.spec.get("label") or TITLES.get(str(outcome.spec.get("name")), outcome.attack)


def finding(code: str, figures: str = "", attack: str = "") -> Finding:
    """With the figures before the sentences of its code."""
    return Finding(code, f"{figures} {MARKS[code]}".strip(), attack)
