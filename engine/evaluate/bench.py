"""The bench on which a network is judged: the network, watched, and the images with their labels.

Pixels become float32 in [0, 1] here and nowhere else; a prediction of -1 stands for logits that are not finite.
Attacks may climb on a folded copy, which is the same function but for rounding; only the network itself judges.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from engine.evaluate.partial import Partial
from engine.fast.folding import FoldedNet, FoldingError
from engine.runtime.distributed import ALONE, Ranks
from engine.spec.attacks import ThreatModel
from engine.spec.training import Protocol
from engine.types import Images, Labels

log = logging.getLogger("crdnd")
SAME = 1e-4  # largest difference of a folded copy's logits, relative to the largest; rounding is some 1e-6
TRIED = 64  # images on which a copy is compared
Pause = Callable[[], None]
Kept = dict[str, Tensor]  # what is kept of a batch under attack
Progress = Callable[[str, int, int, float], None]  # part, images done, images in the part, accuracy so far


class Watched(nn.Module):
    """A network that asks, before every forward pass, whether somebody wants to stop; `pause` may raise.

    Its answer is a tensor of its own: Square Attack writes into the logits it is given. An answer that is cut off from
    x gets a gradient of zero, which is what it has, so that attacks meet a zero gradient and not an error.
    """

    def __init__(self, net: nn.Module, pause: Pause) -> None:
        super().__init__()
        self.net = net
        self.pause = pause
        self.train(net.training)

    def forward(self, x: Tensor) -> Tensor:
        self.pause()
        logits: Tensor = self.net(x).clone()
        if x.requires_grad and torch.is_grad_enabled() and not logits.requires_grad:
            logits = logits + 0.0 * x.flatten(1).sum(dim=1, keepdim=True)
        return logits


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What is judged, on what, and by which protocol. `net` is on `device`, in eval mode, and watched.

    `folded`, watched, too, is what attacks climb on; without it they climb on the net.
    """

    net: nn.Module
    images: Tensor  # uint8 N C H W
    labels: Tensor  # int64 N
    classes: int
    device: torch.device
    threat_model: ThreatModel
    batch_size: int
    seed: int
    protocol: Protocol = "last_iterate"
    folded: nn.Module | None = None
    ranks: Ranks = ALONE  # its ranks share the batches

    @property
    def attacked(self) -> nn.Module:
        """What attacks climb on; whether they fooled, `net` says."""
        return self.net if self.folded is None else self.folded

    @property
    def n(self) -> int:
        """How many images are judged."""
        return len(self.labels)

    def batch(self, positions: Int[Tensor, " B"]) -> tuple[Images, Labels]:
        """Pixels in [0, 1] and labels of these images, on the device."""
        chosen = positions.to(self.images.device)
        x = self.images[chosen].to(self.device).contiguous().float() / 255  # pyautoattack views gradients as rows
        return x, self.labels[positions.to(self.labels.device)].to(self.device)


class Struck(NamedTuple):
    """What one attack did to N images; all tensors on the CPU."""

    robust: Bool[Tensor, " N"]  # right before and after
    predicted: Int[Tensor, " N"]  # the class under attack, -1 when the logits were not finite
    finite: Bool[Tensor, " N"]
    distance: Float[Tensor, " N"]  # L2 from x to x_adv, infinite where the class never changed
    reach: Float[Tensor, " N"]  # largest change of a pixel
    seconds: float
    details: dict[str, float]
    marks: tuple[str, ...] = ()


class Keeping(NamedTuple):
    """Where batches survive a kill, and whose adversarial images the gallery wants."""

    partial: Partial | None = None
    gallery: Tensor = torch.zeros(0, dtype=torch.int64)  # sorted positions

    def each(
        self,
        ranks: Ranks,
        part: str,
        count: int,
        attack: Callable[[int], Kept],
        fits: Callable[[int, Kept], bool] = lambda _k, _batch: True,
    ) -> Iterator[tuple[int, Kept]]:
        """(k, attack(k)) for k < count, in order, on every rank; what is kept already, and fits, is not done again."""

        def recall(k: int) -> tuple[bool, Kept]:
            kept = self.partial.load(f"{part}-{k:05d}") if self.partial else None
            return (True, attack(k)) if kept is None or not fits(k, kept) else (False, kept)

        for k, (new, batch) in ranks.each(count, recall):
            if new and self.partial and ranks.is_leader:
                self.partial.save(f"{part}-{k:05d}", batch)
            yield k, batch


class Assault(NamedTuple):
    """The outcome of an attack on a bench, and the adversarial images that the gallery asked for."""

    struck: Struck
    kept: Tensor  # float32, G C H W, in the order of Keeping.gallery


@torch.no_grad()
def predict(net: nn.Module, x: Images) -> Labels:
    """The class of every image; -1 where a logit is not finite, which is always wrong."""
    logits = net(x)
    finite = torch.isfinite(logits).all(dim=1)
    predicted: Tensor = torch.where(finite, logits.argmax(dim=1), -1)
    return predicted


class Fold(NamedTuple):
    """A folded copy of a net in eval mode; None, and the reason, where the net has none."""

    net: nn.Module | None
    why: str = ""


@torch.no_grad()
def fold(net: nn.Module, images: Tensor, device: torch.device) -> Fold:
    """Batch norms folded into convolutions, channels_last, float32, no parameters: for attacks on the net.

    Some of the images (uint8 N C H W) are shown to both; a copy that answers otherwise than by rounding is not used.
    """
    try:
        copy = FoldedNet(net, memory_format=torch.channels_last)
    except FoldingError as error:
        log.info("attacks climb on the network itself: %s", error.what)
        return Fold(None, error.what)
    x = images[:TRIED].to(device).contiguous().float() / 255
    logits = net(x)
    largest, apart = float(logits.abs().max()), float((copy(x) - logits).abs().max())
    if not apart <= SAME * largest:  # not finite is not the same
        why = f"the folded copy answers otherwise: logits differ by {apart:.3g}, the largest is {largest:.3g}"
        log.info("attacks climb on the network itself: %s", why)
        return Fold(None, why)
    return Fold(copy)
