"""One attack on a batch, and on all batches: seeded, asserted to be inside, and judged anew by the network.

Batch k of an attack draws from a seed made of the evaluation's seed, the attack's key and k, so a batch can be done
again alone. An image that is wrong before the attack, or whose logits are not finite, is never robust. By protocol
`worst` such images are not climbed from, and the others are let go where they are fooled.
"""

import importlib
import time
from collections.abc import Callable

import torch
from torch import Tensor

from engine.ascent import Mask, assert_inside
from engine.evaluate.bench import Assault, Bench, Keeping, Progress, Struck, predict
from engine.runtime.rng import seed_all, seed_for
from engine.spec.attacks import CW2, Ascent, AttackSpec
from engine.types import Images, Labels

Batch = dict[str, Tensor]  # what is kept of a batch: see `strike`


def clean_predictions(bench: Bench) -> Struck:
    """The clean images, judged without any attack; `max_logit` is the largest |z|, the scale of the logits."""
    began = time.perf_counter()
    batches = torch.arange(bench.n).split(bench.batch_size)

    @torch.no_grad()
    def ask(k: int) -> tuple[Tensor, float]:
        x, _ = bench.batch(batches[k])
        logits = bench.net(x)
        finite = torch.isfinite(logits).all(dim=1)
        return torch.where(finite, logits.argmax(dim=1), -1).cpu(), max(
            [0.0, *logits[finite].abs().amax(dim=1).tolist()]
        )

    answers = bench.ranks.share(len(batches), ask)
    classes, largest = torch.cat([predicted for predicted, _ in answers]), max(scale for _, scale in answers)
    return Struck(
        robust=classes == bench.labels.cpu(),
        predicted=classes,
        finite=classes >= 0,
        distance=torch.full((bench.n,), torch.inf),
        reach=torch.zeros(bench.n),
        seconds=time.perf_counter() - began,
        details={"max_logit": largest},
        marks=() if bool((classes >= 0).all()) else ("non_finite",),
    )


def strike(bench: Bench, x: Images, y: Labels, clean: Labels, spec: AttackSpec) -> tuple[Batch, Images]:
    """One batch under attack; `clean` is what the net predicts before. The caller seeds.

    An adversarial image that is not finite cannot be judged: it counts as wrong and is replaced by the clean image.
    """
    attack: Callable[..., Images] = importlib.import_module(f"engine.attacks.{spec.module}").attack
    right = clean == y
    worst = bench.protocol == "worst" and isinstance(spec, Ascent)
    x_adv = x.clone()
    with torch.enable_grad():
        if spec.bounded:
            standing = {"standing": right} if worst else {}
            x_adv = attack(bench.attacked, x, y, bench.threat_model, spec, **standing)
        elif bool(right.any()):  # a search for the nearest mistake has nothing to find at an image that is one
            x_adv[right] = attack(bench.attacked, x[right], y[right], bench.threat_model, spec)
    sane = torch.isfinite(x_adv).flatten(1).all(dim=1)
    x_adv = torch.where(sane[:, None, None, None], x_adv.detach(), x)
    if spec.bounded:
        assert_inside(x_adv, x, bench.threat_model)
    elif float(x_adv.min()) < 0.0 or float(x_adv.max()) > 1.0:
        raise AssertionError("an adversarial image leaves [0, 1]")

    answer = torch.where(sane, _judge(bench, x_adv, clean, right if worst else None), -1)  # B
    delta = (x_adv - x).flatten(1)
    distance = torch.where(answer != y, delta.norm(dim=1), torch.inf)
    fooled = answer != y
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


def _judge(bench: Bench, x_adv: Images, clean: Labels, attacked: Mask | None) -> Labels:
    """What the network itself says; `attacked` None is everybody, and of the others it said it before."""
    if attacked is None:
        return predict(bench.net, x_adv)
    answer = clean.clone()
    if bool(attacked.any()):
        answer[attacked] = predict(bench.net, x_adv[attacked])
    return answer


def strike_all(bench: Bench, spec: AttackSpec, clean: Tensor, keeping: Keeping, progress: Progress) -> Assault:
    """Every image of the bench under one attack; `clean` (N) is what `clean_predictions` gives.

    With a folder to keep batches in, those that are there already are not done again.
    """
    y = bench.labels.cpu()
    parts = torch.arange(bench.n).split(bench.batch_size)

    def attack(k: int) -> Batch:
        began = time.perf_counter()
        seed_all(seed_for(bench.seed, "attack", spec.key, k))
        x, labels = bench.batch(parts[k])
        batch, x_adv = strike(bench, x, labels, clean[parts[k]].to(bench.device), spec)
        batch["kept"] = x_adv[torch.isin(parts[k], keeping.gallery).to(x_adv.device)]
        batch = {key: value.cpu() for key, value in batch.items()}
        return batch | {"seconds": torch.tensor(time.perf_counter() - began, dtype=torch.float64)}

    batches: list[Batch] = []
    robust = clean == y  # N, corrected batch by batch
    for k, batch in keeping.each(bench.ranks, spec.key, len(parts), attack):
        positions = parts[k]
        batches.append(batch)
        robust[positions] = batch["robust"]
        progress("", int(positions[-1]) + 1, bench.n, float(robust.float().mean()))
    whole = {key: torch.cat([batch[key] for batch in batches]) for key in batches[0] if key != "seconds"}
    struck = Struck(
        robust=whole["robust"],
        predicted=whole["predicted"],
        finite=whole["finite"],
        distance=whole["distance"],
        reach=whole["reach"],
        seconds=float(sum(float(batch["seconds"]) for batch in batches)),
        details=_details(whole, clean == y, bounded=spec.bounded),
        marks=() if bool(whole["finite"].all()) else ("non_finite",),
    )
    return Assault(struck, whole["kept"])


def _details(whole: Batch, right: Tensor, *, bounded: bool) -> dict[str, float]:
    """Of the images that were right before. The median distance counts a failed search as infinite."""
    details = {"largest_change": float(whole["reach"].max())} if bounded else {}
    distances = whole["distance"][right]
    found = distances.isfinite()
    if not bounded and len(distances):
        details["found"] = float(found.float().mean())
        median = float(distances.sort().values[(len(distances) - 1) // 2])
        if found.any() and median < float("inf"):
            details["median_l2"] = median
    return details
