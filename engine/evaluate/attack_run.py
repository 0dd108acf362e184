"""One attack on all images: seeded batch by batch, asserted to stay inside, and scored by the network.

Batch k draws from a seed made of the evaluation's seed, the attack's key and k, so a batch can be computed again alone.
An image that is wrong before the attack, or whose logits are not finite, is never robust. By protocol `worst` such
images are not attacked, and the others are let go where they are fooled.
"""

import importlib
import time
from collections.abc import Callable

import torch
from torch import Tensor

from engine.ascent import assert_inside
from engine.evaluate import autoattack
from engine.evaluate.context import AttackCheckpoint, AttackResult, Batch, EvaluationContext, Progress, predict
from engine.runtime.rng import seed_all, seed_for
from engine.spec.attacks import CW2, Ascent, AttackSpec, AutoAttack
from engine.types import Images, Labels


def clean_predictions(context: EvaluationContext) -> AttackResult:
    """The images without any attack; `max_logit` is the largest |z|, the scale of the logits."""
    began = time.perf_counter()
    batches = context.batches

    @torch.no_grad()
    def compute(k: int) -> tuple[Tensor, float]:
        logits = context.net(context.batch(batches[k])[0])
        finite = torch.isfinite(logits).all(dim=1)
        largest = max([0.0, *logits[finite].abs().amax(dim=1).tolist()])
        return torch.where(finite, logits.argmax(dim=1), -1).cpu(), largest

    classes, largest = zip(*context.ranks.share(len(batches), compute), strict=True)
    predicted = torch.cat(classes)
    return AttackResult(
        robust=predicted == context.labels.cpu(),
        predicted=predicted,
        seconds=time.perf_counter() - began,
        details={"max_logit": max(largest)},
        marks=() if bool((predicted >= 0).all()) else ("non_finite",),
    )


def attack_batch(
    context: EvaluationContext, x: Images, y: Labels, clean: Labels, spec: AttackSpec
) -> tuple[Batch, Images]:
    """One batch under attack, and x_adv; `clean` is what the net predicts before. The caller seeds.

    An adversarial image that is not finite cannot be scored: it counts as wrong and is replaced by the clean image.
    """
    attack: Callable[..., Images] = importlib.import_module(f"engine.attacks.{spec.module}").attack
    right = clean == y
    worst = context.protocol == "worst" and isinstance(spec, Ascent)
    x_adv = x.clone()
    with torch.enable_grad():
        if spec.bounded:
            standing = {"standing": right} if worst else {}
            x_adv = attack(context.attacked, x, y, context.threat_model, spec, **standing)
        elif bool(right.any()):  # a search for the nearest mistake has nothing to find at an image that is one
            x_adv[right] = attack(context.attacked, x[right], y[right], context.threat_model, spec)
    sane = torch.isfinite(x_adv).flatten(1).all(dim=1)
    x_adv = torch.where(sane[:, None, None, None], x_adv.detach(), x)
    if spec.bounded:
        assert_inside(x_adv, x, context.threat_model)
    elif float(x_adv.min()) < 0.0 or float(x_adv.max()) > 1.0:
        raise AssertionError("an adversarial image leaves [0, 1]")

    answer = clean.clone()  # B; an image that was not attacked has the answer that it had before
    if not worst:
        answer = predict(context.net, x_adv)
    elif bool(right.any()):
        answer[right] = predict(context.net, x_adv[right])
    answer = torch.where(sane, answer, -1)
    delta = (x_adv - x).flatten(1)
    fooled = answer != y
    distance = torch.where(fooled, delta.norm(dim=1), torch.inf)
    if isinstance(spec, CW2) and spec.radius > 0:
        fooled = fooled & (~sane | (distance <= spec.radius))
    batch = {
        "robust": right & ~fooled,
        "predicted": torch.where(fooled, answer, clean),
        "finite": (answer >= 0) & (clean >= 0),
        "distance": distance,
        "reach": delta.abs().amax(dim=1),
    }
    return batch, x_adv


def run_attack(
    context: EvaluationContext,
    spec: AttackSpec,
    clean: Tensor,
    checkpoint: AttackCheckpoint | None = None,
    progress: Progress = lambda _part, _done, _total, _robust: None,
) -> AttackResult:
    """All images under one attack; `clean` (N) is what `clean_predictions` found. Batches in `checkpoint` are kept."""
    checkpoint = checkpoint or AttackCheckpoint()
    if isinstance(spec, AutoAttack):
        return autoattack.run(context, clean, checkpoint, progress)
    parts = context.batches

    def attack(k: int) -> Batch:
        began = time.perf_counter()
        seed_all(seed_for(context.seed, "attack", spec.key, k))
        x, labels = context.batch(parts[k])
        batch, x_adv = attack_batch(context, x, labels, clean[parts[k]].to(context.device), spec)
        batch["kept"] = x_adv[torch.isin(parts[k], context.gallery).to(x_adv.device)]
        batch = {key: value.cpu() for key, value in batch.items()}
        return batch | {"seconds": torch.tensor(time.perf_counter() - began, dtype=torch.float64)}

    batches: list[Batch] = []
    right = clean == context.labels.cpu()
    robust = right.clone()  # N, corrected batch by batch
    for k, batch in checkpoint.each(context.ranks, spec.key, len(parts), attack):
        batches.append(batch)
        robust[parts[k]] = batch["robust"]
        progress("", int(parts[k][-1]) + 1, context.n, float(robust.float().mean()))
    whole = {key: torch.cat([torch.atleast_1d(batch[key]) for batch in batches]) for key in batches[0]}
    return AttackResult(
        robust=whole["robust"],
        predicted=whole["predicted"],
        seconds=float(whole["seconds"].sum()),
        details=_details(whole, right, bounded=spec.bounded),
        marks=() if bool(whole["finite"].all()) else ("non_finite",),
        adversarial=whole["kept"],
    )


def _details(whole: Batch, right: Tensor, *, bounded: bool) -> dict[str, float]:
    """Of the images that were right before. The median distance counts a failed search as infinite."""
    if bounded:
        return {"largest_change": float(whole["reach"].max())}
    distances = whole["distance"][right]
    if not len(distances):
        return {}
    median = float(distances.sort().values[(len(distances) - 1) // 2])
    found = {"found": float(distances.isfinite().float().mean())}
    return found if median == float("inf") else found | {"median_l2": median}
