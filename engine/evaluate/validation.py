"""The lighter judgement of validation: accuracies, again and again during training, of which nothing is kept."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from engine.evaluate import autoattack
from engine.evaluate.bench import Assault, Bench, Keeping, Pause, Progress, Watched, fold
from engine.evaluate.strike import clean_predictions, strike_all
from engine.runtime.device import frozen_eval, full_precision
from engine.runtime.distributed import ALONE, Ranks
from engine.runtime.rng import isolated_rng
from engine.spec.attacks import AttackSpec, AutoAttack, ThreatModel
from engine.spec.training import Protocol
from engine.types import Split


def accuracies(  # noqa: PLR0913, PLR0917  the parts of a judgement, each of its own kind
    net: nn.Module,
    split: Split,
    attacks: Sequence[AttackSpec],
    threat_model: ThreatModel,
    batch_size: int,
    seed: int,
    device: torch.device,
    pause: Pause,
    *,
    protocol: Protocol = "last_iterate",
    folded: bool = False,
    ranks: Ranks = ALONE,
) -> dict[str, tuple[float, list[float]]]:
    """Accuracy and accuracy per class, `clean` and under each attack, with the same noise at every call.

    Classes without images have accuracy 0.
    `folded` as in `evaluate`; a net that cannot be folded is attacked as it is, and the log says so.
    """
    with isolated_rng(), full_precision(), frozen_eval(net):
        classes = max(int(split.labels.max()) + 1, _outputs(net, split, device))
        copy = fold(net, split.images, device).net if folded else None
        bench = Bench(
            net=Watched(net, pause),
            images=split.images,
            labels=split.labels,
            classes=classes,
            device=device,
            threat_model=threat_model,
            batch_size=batch_size,
            seed=seed,
            protocol=protocol,
            folded=None if copy is None else Watched(copy, pause),
            ranks=ranks,
        )
        before = clean_predictions(bench)
        robust = {"clean": before.robust}
        for spec in attacks:
            robust[spec.key] = assail(bench, spec, before.predicted, Keeping(), _silent).struck.robust
    labels = split.labels.cpu()
    counts = torch.bincount(labels, minlength=classes).clamp(min=1)
    return {
        key: (
            int(bits.sum()) / len(labels),
            (torch.bincount(labels[bits], minlength=classes) / counts).tolist(),
        )
        for key, bits in robust.items()
    }


def assail(bench: Bench, spec: AttackSpec, clean: Tensor, keeping: Keeping, progress: Progress) -> Assault:
    """One attack on the bench, whichever it is."""
    if isinstance(spec, AutoAttack):
        return autoattack.run(bench, clean, keeping, progress)
    return strike_all(bench, spec, clean, keeping, progress)


@torch.no_grad()
def _outputs(net: nn.Module, split: Split, device: torch.device) -> int:
    logits: Tensor = net(split.images[:1].to(device).float() / 255)
    return logits.shape[1]


def _silent(_part: str, _done: int, _total: int, _robust: float) -> None:
    """Validation says its result, not its progress."""
