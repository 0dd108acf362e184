"""What an attack needs and gives: the network, the images, finished batches on the disk, and the result.

Pixels become float32 in [0, 1] here and nowhere else; a prediction of -1 stands for logits that are not finite.
Attacks may climb on a folded copy, which is the same function up to rounding; only the network itself is scored.
"""

import hashlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import safetensors.torch
import torch
from jaxtyping import Bool, Int
from safetensors import SafetensorError
from torch import Tensor, nn

from engine.evaluate.surrogate import Surrogate
from engine.fast.folding import FoldedNet, FoldingError
from engine.runtime.distributed import ALONE, Ranks
from engine.spec.attacks import ThreatModel
from engine.spec.files import MalformedError, is_folder, parsed, read, refuse_links, write_inside
from engine.spec.training import Protocol
from engine.types import Images, Labels, Split

LOGIT_TOLERANCE = 1e-4  # of a folded copy's logits, relative to the largest; rounding is some 1e-6
COMPARED = 64  # images on which a copy is compared
DIGEST_BYTES = 32
BATCH_CAP = 1 << 34  # bytes of a batch: its adversarial images, in float32
NOWHERE = torch.zeros(0, dtype=torch.int64)

Pause = Callable[[], None]  # called before every forward pass; may raise to stop
Progress = Callable[[str, int, int, float], None]  # part, images done, images in the part, accuracy so far
Batch = dict[str, Tensor]  # what is kept of a batch under attack


class InterruptibleNet(nn.Module):
    """A network that calls `pause` before every forward pass.

    Its output is a tensor of its own: Square Attack writes into the logits it is given. An output that is detached from
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


class RecordIdentity(NamedTuple):
    """Of which images, and of which weights, a record is."""

    of: int  # size of the whole split
    indices_sha256: str
    data_sha256: str
    weights_sha256: str


class EvaluationSubject(NamedTuple):
    """What is evaluated: a network that is the student at `checkpoint`, and the images, already chosen by `subset`."""

    net: nn.Module
    teacher: nn.Module | None  # gives the gallery its probabilities, and one sanity check its adversarial images
    checkpoint: str  # best or last
    images: Split  # uint8 N C H W and int64 N, on the CPU or the device
    classes: tuple[str, ...]
    of: int  # size of the whole split
    indices: Tensor  # N, places in the whole split
    data_sha256: str
    weights_sha256: str
    device: torch.device
    ranks: Ranks = ALONE  # they share the batches; the leading one writes
    surrogate: Callable[[], Surrogate] = lambda: Surrogate(None, "nobody looked for a natural twin")  # asked if needed

    @property
    def identity(self) -> RecordIdentity:
        return RecordIdentity(self.of, hash_indices(self.indices), self.data_sha256, self.weights_sha256)


def hash_indices(indices: Tensor) -> str:
    """SHA-256 of the images' places in the split, as little-endian int64."""
    return hashlib.sha256(indices.to(torch.int64).cpu().numpy().astype("<i8").tobytes()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class EvaluationContext:
    """What is attacked, on which images, by which protocol. `net` is on `device`, in eval mode, and interruptible."""

    net: nn.Module
    images: Tensor  # uint8 N C H W
    labels: Tensor  # int64 N
    classes: int
    device: torch.device
    threat_model: ThreatModel
    batch_size: int
    seed: int
    protocol: Protocol = "last_iterate"
    folded: nn.Module | None = None  # what attacks climb on, interruptible, too; None is the net
    ranks: Ranks = ALONE  # they share the batches
    gallery: Tensor = NOWHERE  # sorted positions of the images whose adversarial images are kept

    @property
    def attacked(self) -> nn.Module:
        """What attacks climb on; whether they succeed is measured on `net`."""
        return self.net if self.folded is None else self.folded

    @property
    def n(self) -> int:
        return len(self.labels)

    @property
    def batches(self) -> tuple[Tensor, ...]:
        batches: tuple[Tensor, ...] = torch.arange(self.n).split(self.batch_size)
        return batches

    def batch(self, positions: Int[Tensor, " B"]) -> tuple[Images, Labels]:
        """Pixels in [0, 1] and labels of these images, on the device."""
        chosen = positions.to(self.images.device)
        x = self.images[chosen].to(self.device).contiguous().float() / 255  # pyautoattack views gradients as rows
        return x, self.labels[positions.to(self.labels.device)].to(self.device)


class AttackResult(NamedTuple):
    """What one attack did to N images; all tensors on the CPU."""

    robust: Bool[Tensor, " N"]  # right before and after
    predicted: Int[Tensor, " N"]  # the class under attack, -1 when the logits were not finite
    seconds: float
    details: dict[str, float]
    marks: tuple[str, ...] = ()
    adversarial: Tensor = NOWHERE  # float32 G C H W, in the order of the context's gallery


@dataclass(frozen=True)
class AttackCheckpoint:
    """Finished batches of an attack, a file each: a killed evaluation goes on after the last. No folder keeps nothing.

    A file counts only where its digest covers `fingerprint`, which says all that the numbers in it depend on.
    """

    folder: Path | None = None
    fingerprint: str = ""

    def load(self, name: str) -> Batch | None:
        """A finished batch; None when there is none, or when it is damaged or of another attack."""
        content = read(self.folder / f"{name}.batch", BATCH_CAP) if self.folder else None
        if content is None or content[:DIGEST_BYTES] != self._digest(name, content[DIGEST_BYTES:]):
            return None
        try:
            return parsed(content[DIGEST_BYTES:], safetensors.torch.load)
        except (SafetensorError, MalformedError):
            return None

    def save(self, name: str, batch: Batch) -> None:
        """Keep a finished batch; it is on the disk when this returns."""
        if self.folder:
            payload = safetensors.torch.save({key: value.detach().cpu().contiguous() for key, value in batch.items()})
            write_inside(self.folder / f"{name}.batch", self._digest(name, payload) + payload)

    def discard(self) -> None:
        """Remove the batches of an attack whose record is written; what cannot be removed fits no later attack."""
        if self.folder and is_folder(self.folder):
            refuse_links(self.folder)
            shutil.rmtree(self.folder, ignore_errors=True)

    def each(
        self,
        ranks: Ranks,
        part: str,
        count: int,
        attack: Callable[[int], Batch],
        fits: Callable[[int, Batch], bool] = lambda _k, _batch: True,
    ) -> Iterator[tuple[int, Batch]]:
        """(k, attack(k)) for k < count, in order, on every rank; what is kept already, and fits, is not computed."""

        def compute(k: int) -> tuple[bool, Batch]:
            kept = self.load(f"{part}-{k:05d}")
            return (True, attack(k)) if kept is None or not fits(k, kept) else (False, kept)

        for k, (is_new, batch) in ranks.each(count, compute):
            if is_new and ranks.is_leader:
                self.save(f"{part}-{k:05d}", batch)
            yield k, batch

    def _digest(self, name: str, payload: bytes) -> bytes:
        return hashlib.sha256(f"{self.fingerprint}\n{name}\n".encode() + payload).digest()


@torch.no_grad()
def predict(net: nn.Module, x: Images) -> Labels:
    """The class of every image; -1 where a logit is not finite, which is always wrong."""
    logits = net(x)
    finite = torch.isfinite(logits).all(dim=1)
    predicted: Tensor = torch.where(finite, logits.argmax(dim=1), -1)
    return predicted


@torch.no_grad()
def folded_copy(net: nn.Module, images: Tensor, device: torch.device) -> FoldedNet:
    """Batch norms folded into convolutions, channels_last, float32, no parameters: for attacks on the net.

    FoldingError where the net cannot be traced, or where the copy's logits of some of the images (uint8 N C H W) differ
    by more than rounding.
    """
    copy = FoldedNet(net, memory_format=torch.channels_last)
    x = images[:COMPARED].to(device).contiguous().float() / 255
    logits = net(x)
    largest, apart = float(logits.abs().max()), float((copy(x) - logits).abs().max())
    if not apart <= LOGIT_TOLERANCE * largest:  # not finite is not the same
        raise FoldingError(
            f"the folded copy answers otherwise: logits differ by {apart:.3g}, the largest is {largest:.3g}"
        )
    return copy
