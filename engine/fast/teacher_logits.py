"""A frozen teacher's logits on every crop-and-flip view of the training images, in one memory-mapped file.

A view is (image, crop, flip): 162 of each image for a padding of 4 with flips, so 325 MB for CIFAR-10 and 3.2 GB for
CIFAR-100, shared by all runs with the same teacher, data and padding. Views are numbered image by image; `key.rows`
consecutive ones are a chunk: computed as one batch on one thread (or by kernels that no timing has chosen), present or
absent as a whole, with one checksum that covers its place. So its bits depend neither on who computes it nor on what
else is there, and what a killed engine left half written is absent. `engine/spec/teacher_logits.py` draws the file.

Bytes are written with pwrite: a write through the map would kill the process where the disk is full.
"""

import mmap
import os
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import msgspec
import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor, nn

from engine.data.augment import Draws, crop, pad, to_pixels
from engine.spec import locks, teacher_logits
from engine.spec.errors import bytes_text
from engine.spec.files import free_bytes, set_aside, sweep, tolerate_unsupported, write_atomically
from engine.spec.teacher_logits import FORMAT, HEADER, TableError, TableKey, TableMeta
from engine.types import Images, Logits

ROWS = {"cpu": 32, "cuda": 512}  # views of a chunk
SPARE = 64 << 20  # bytes that a table leaves free on its disk, for checkpoints
TOLERANCE = {"float32": 1e-4, "bfloat16": 5e-2}  # of the largest logit, which counts as 1 at least
Chunks = NDArray[np.int64]
Compute = Callable[[Images], Logits]


class TeacherLogits(AbstractContextManager["TeacherLogits"]):
    """One open table. Engines may fill it at the same time, one writing at a time; a present chunk stays as it is."""

    def __init__(self, path: Path, key: TableKey, file: int) -> None:
        """`file` is a descriptor with a shared lock; `close` closes it."""
        self.path, self.key, self._file = path, key, file
        self._content = mmap.mmap(file, key.table_bytes, prot=mmap.PROT_READ)
        self._sums = np.frombuffer(self._content, np.uint32, offset=key.sums_at)
        self._logits = np.frombuffer(self._content, np.float32, key.chunks * key.rows * key.classes, HEADER)
        self._logits = self._logits.reshape(-1, key.classes)

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Unmap and unlock the file; a second call does nothing."""
        if not self._content.closed:
            del self._logits, self._sums
            self._content.close()
            os.close(self._file)

    def is_present(self, chunk: int) -> bool:
        """Whether this chunk was written whole and is as it was written."""
        at, found = HEADER + chunk * self.key.chunk_bytes, int(self._sums[chunk])
        return found != 0 and found == self._checksum(self._content[at : at + self.key.chunk_bytes], chunk)

    def absent(self, chunks: Chunks) -> Chunks:
        """Those of these chunks that are not present."""
        return np.array([chunk for chunk in chunks.tolist() if not self.is_present(chunk)], dtype=np.int64)

    def read(self, views: Draws) -> Logits:
        """float32 logits, B K, on the CPU; KeyError when a chunk that holds one of the views was never written.

        `views.order` are places in the official training split. ValueError for a view that the table cannot hold.
        """
        places = np.ravel_multi_index(tuple(part.numpy().astype(np.int64) for part in views), self.key.shape)
        if not self._sums[places // self.key.rows].all():
            raise KeyError("not all of these views are in the teacher's table")
        return torch.from_numpy(self._logits[places])

    def views_of(self, chunk: int) -> Draws:
        """A chunk's views: image by image, crop by crop, the mirrored one last; the very last fills up the last one."""
        key = self.key
        places = np.arange(chunk * key.rows, (chunk + 1) * key.rows).clip(max=key.images * key.views - 1)
        image, dy, dx, flip = np.unravel_index(places, key.shape)
        return Draws(*map(torch.from_numpy, (image, dy, dx, flip.astype(bool))))

    def write(self, chunk: int, logits: Tensor) -> None:
        """Store the logits of a chunk (rows K) as float32, unless it is present; TableError when the disk fails."""
        wanted = (self.key.rows, self.key.classes)
        if logits.shape != wanted:
            raise ValueError(f"logits of shape {tuple(logits.shape)} for a chunk of shape {wanted}")
        content = logits.detach().to(device="cpu", dtype=torch.float32).contiguous().numpy().tobytes()
        with teacher_logits.folder_lock(self.path.parent):
            if not self.is_present(chunk):
                self._put(content, HEADER + chunk * self.key.chunk_bytes)
                self._put(self._checksum(content, chunk).to_bytes(4, "little"), self.key.sums_at + 4 * chunk)

    def fill(
        self,
        compute: Compute,
        images: Tensor,
        chunks: Chunks,
        pause: Callable[[], None] = lambda: None,
        say: Callable[[float], None] = lambda _share: None,
    ) -> None:
        """Compute and store those of these chunks that are absent, several at once on a CPU of several threads.

        `images` is the official training split in uint8, N C H W, on the teacher's device if it fits. `compute` gets
        pixels in [0, 1] there. `pause` is called between chunks and may raise; what is done is kept. `say` is
        called with the share that is done. The order is random, so that engines seldom compute the same chunk.
        """
        # a generator of its own: no draw of the run moves
        order = np.random.default_rng().permutation(self.absent(chunks)).tolist()
        if not order:
            return
        padded = pad(images, self.key.padding)
        say(0.0)
        with _repeatable(images.device) as workers, ThreadPoolExecutor(workers, initializer=_one_thread) as pool:
            for first in range(0, len(order), workers):
                pause()
                todo = [chunk for chunk in order[first : first + workers] if not self.is_present(chunk)]
                found = list(pool.map(lambda chunk: self._computed(compute, padded, chunk), todo))
                for chunk, logits in zip(todo, found, strict=True):
                    self.write(chunk, logits)
                say(min(1.0, (first + workers) / len(order)))

    def verify(self, compute: Compute, images: Tensor, chunk: int) -> tuple[str, bool]:
        """Compute this chunk again: why the table must not be believed, or nothing, and whether all bits are equal.

        A checksum shows that a chunk is as it was written; this shows that it is this teacher's.
        """
        kept = self.read(self.views_of(chunk))
        with _repeatable(images.device):
            found = self._computed(compute, pad(images, self.key.padding), chunk)
        worst = float(((kept - found).abs() / found.abs().amax().clamp_min(1.0)).nan_to_num(torch.inf).amax())
        allowed = TOLERANCE[self.key.precision]
        if worst <= allowed:
            return "", torch.equal(kept, found)
        what = f"its logits differ by {worst:.1e} of the largest from what the teacher answers"
        return f"{what}; {allowed:.0e} is allowed", False

    def set_aside(self) -> None:
        """Rename the table to `NAME.damaged`, unless another engine did so; open tables stay usable."""
        with teacher_logits.folder_lock(self.path.parent), suppress(FileNotFoundError):
            if os.path.samestat(self.path.stat(follow_symlinks=False), os.fstat(self._file)):
                set_aside(self.path)

    @torch.no_grad()
    def _computed(self, compute: Compute, padded: Tensor, chunk: int) -> Logits:
        """float32 logits (rows K) of a chunk on the CPU."""
        _channels, height, width = self.key.image
        image, dy, dx, flip = (part.to(padded.device) for part in self.views_of(chunk))
        x = to_pixels(crop(padded, image, dy, dx, flip, height, width))
        return compute(x).to(device="cpu", dtype=torch.float32)

    def _put(self, content: bytes, offset: int) -> None:
        while content:
            done = os.pwrite(self._file, content, offset)
            content, offset = content[done:], offset + done

    def _checksum(self, content: bytes, chunk: int) -> int:
        """CRC-32 of a chunk of this table at this place; never 0, which marks an absent chunk."""
        return zlib.crc32(content, int(self.key.id[:8], 16) ^ chunk) or 1


def open_table(
    folder: Path, key: TableKey, limit_bytes: int, *, teacher: str = "", data: str = ""
) -> tuple[TeacherLogits, str]:
    """Open the key's table in this folder, made where there is none; `teacher` and `data` name it for people.

    Comes with what was wrong with the one that was there, and was set aside. TableError when all tables together would
    exceed the limit or the disk, when a link is in the way, or when nothing can be written here.
    """
    path, trouble = folder / key.id, ""
    with teacher_logits.folder_lock(folder):
        sweep(folder)
        if path.is_symlink():
            raise TableError("a link stands where the teacher's table belongs", where=str(path))
        if os.path.lexists(path) and (trouble := teacher_logits.inspect(path).trouble):
            trouble = f"{trouble} (now {set_aside(path).name})"
        if not os.path.lexists(path):
            _check_space(folder, key.table_bytes, limit_bytes)
            meta = TableMeta(format=FORMAT, key=key, created=time.time(), teacher=teacher, data=data)
            header = msgspec.json.format(msgspec.json.encode(meta), indent=1).ljust(HEADER)
            write_atomically(path, header, key.table_bytes)
        file = locks.open_lock(path)
        try:
            if not locks.acquire(file, shared=True, patience=teacher_logits.PATIENCE):
                raise TableError("another process keeps this locked", where=str(path))
            with tolerate_unsupported():
                os.utime(file)
            return TeacherLogits(path, key, file), trouble
        except BaseException:
            os.close(file)
            raise


def _check_space(folder: Path, need: int, limit_bytes: int) -> None:
    """Raise TableError where another table of `need` bytes exceeds the limit of all tables, or the disk."""
    taken, free = sum(table.bytes for table in teacher_logits.listed(folder)), free_bytes(folder)
    what, hint = "", "`crdnd tables` lists all tables, and removes one; --machine table_gib=... allows more."
    if taken + need > limit_bytes:
        what = f", and other tables {bytes_text(taken)}; {bytes_text(limit_bytes)} are allowed"
    elif free is not None and need + SPARE > free:
        what = f"; {bytes_text(free)} are free on its disk"
    if what:
        raise TableError(f"the teacher's table takes {bytes_text(need)}{what}", where=str(folder), hint=hint)


def chunks_of(key: TableKey, images: Int[Tensor, " N"]) -> Chunks:
    """All chunks that hold a view of one of these images, in order."""
    within = np.append(np.arange(0, key.views, key.rows), key.views - 1)
    return np.unique((images.numpy()[:, None] * key.views + within) // key.rows)


def why_unrepeatable(net: nn.Module) -> str:
    """Why equal images may get other answers from this teacher later, so that no table may replace it; or nothing."""
    for name, module in net.named_modules():
        where = f"{type(module).__name__} `{name}`" if name else type(module).__name__
        if module.training:
            return f"{where} is in train mode"
        if isinstance(module, nn.modules.dropout._DropoutNd) and module.p > 0:
            return f"{where} drops units at random"
        if isinstance(module, nn.modules.batchnorm._NormBase) and module.running_mean is None:
            return f"{where} takes its statistics from the batch"
    learning = next((name for name, parameter in net.named_parameters() if parameter.requires_grad), "")
    return f"`{learning}` is not frozen" if learning else ""


@contextmanager
def _repeatable(device: torch.device) -> Iterator[int]:
    """Within, equal batches get equal bits in every run on such a device. Gives how many may be computed at once."""
    threads, cudnn = torch.get_num_threads(), torch.backends.cudnn
    chosen = cudnn.benchmark, cudnn.deterministic
    cudnn.benchmark, cudnn.deterministic = False, True
    torch.set_num_threads(1)
    try:
        yield threads if device.type == "cpu" else 1
    finally:
        torch.set_num_threads(threads)
        cudnn.benchmark, cudnn.deterministic = chosen


def _one_thread() -> None:
    torch.set_num_threads(1)  # each Python thread has a count of its own
