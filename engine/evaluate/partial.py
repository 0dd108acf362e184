"""Finished batches of an attack that has not ended, each its own file; a killed evaluation goes on behind the last.

A file is believed only when its digest covers what is asked now: other weights, images or settings make another.
"""

import hashlib
import shutil
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from engine.spec.files import MalformedError, is_folder, parsed, read, refuse_links, write_inside

DIGEST_BYTES = 32
BATCH_CAP = 1 << 34  # bytes of a batch: its adversarial images, in float32


class Partial:
    """Batches by name. `fingerprint` says all that the numbers in them depend on."""

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.folder = folder
        self.fingerprint = fingerprint

    def load(self, name: str) -> dict[str, Tensor] | None:
        """A finished batch; None when there is none, or when it is damaged or of another attack."""
        content = read(self._path(name), BATCH_CAP)
        if content is None:
            return None
        digest, payload = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
        if digest != self._digest(name, payload):
            return None
        try:
            return parsed(payload, safetensors.torch.load)
        except (SafetensorError, MalformedError):
            return None

    def save(self, name: str, tensors: dict[str, Tensor]) -> None:
        """Keep a finished batch; it is on the disk when this returns."""
        payload = safetensors.torch.save({key: value.detach().cpu().contiguous() for key, value in tensors.items()})
        write_inside(self._path(name), self._digest(name, payload) + payload)

    def discard(self) -> None:
        """The attack has ended and its record is written. What cannot be removed stays: no later attack believes it."""
        if is_folder(self.folder):
            refuse_links(self.folder)
            shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.batch"

    def _digest(self, name: str, payload: bytes) -> bytes:
        return hashlib.sha256(f"{self.fingerprint}\n{name}\n".encode() + payload).digest()
