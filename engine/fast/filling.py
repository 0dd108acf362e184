"""What goes into a teacher's table, and when a table pays.

Equal bits by construction: a chunk is always the same views in the same order, whoever computes it and whatever else
is missing, on one thread of a CPU, or on a GPU whose kernels no timing has chosen. Several chunks are computed at once,
by as many threads as the engine may use.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from engine.data.augment import crop, pad, to_pixels
from engine.fast.table import Places, Table
from engine.types import Images, Logits

ROWS = {"cpu": 32, "cuda": 512}  # views of a chunk
TOLERANCE = {"float32": 1e-4, "bfloat16": 5e-2}  # of the largest logit, which counts as 1 at least
Compute = Callable[[Images], Logits]


def pays(asked: float, missing: int) -> bool:
    """Whether `missing` teacher forwards, to complete a table, are fewer than those that its runs would ask for.

    `asked` counts a forward for each image of each epoch, of all runs that are planned. What is complete always pays.
    """
    return missing < asked


def legal(net: nn.Module) -> str:
    """Why no table may stand for this teacher, or nothing: equal images must get equal answers for ever."""
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


def fill(
    table: Table,
    compute: Compute,
    images: Tensor,
    chunks: Places,
    pause: Callable[[], None],
    say: Callable[[float], None],
) -> None:
    """Compute and keep those of these chunks that are not whole.

    `images` is the official training split in uint8, N C H W, on the teacher's device if it fits. `compute` gets pixels
    in [0, 1] there. `pause` is called between chunks and may raise; what is done is kept. `say` hears the share that is
    done. The order is random: engines at the same table seldom meet, and skip what the others did.
    TableError when the table cannot be written.
    """
    order = np.random.default_rng().permutation(table.absent(chunks)).tolist()  # its own generator: no run's draws move
    if not len(order):
        return
    padded = pad(images, table.key.padding)
    say(0.0)
    with alike(images.device) as workers, ThreadPoolExecutor(workers, initializer=_alone) as pool:
        for first in range(0, len(order), workers):
            pause()
            todo = [chunk for chunk in order[first : first + workers] if not table.whole(chunk)]
            found = list(pool.map(lambda chunk: _logits(table, compute, padded, chunk), todo))
            for chunk, logits in zip(todo, found, strict=True):
                table.write(chunk, logits)
            say(min(1.0, (first + workers) / len(order)))


def verify(table: Table, compute: Compute, images: Tensor, chunk: int) -> tuple[str, bool]:
    """Compute this whole chunk again: why the table must not be believed, or nothing, and whether all bits are equal.

    A checksum tells that a chunk is as it was written; this tells that it is the teacher's.
    """
    kept = table.read(table.views_of(chunk))
    with alike(images.device):
        found = _logits(table, compute, pad(images, table.key.padding), chunk)
    worst = float(((kept - found).abs() / found.abs().amax().clamp_min(1.0)).nan_to_num(torch.inf).amax())
    allowed = TOLERANCE[table.key.precision]
    if worst <= allowed:
        return "", torch.equal(kept, found)
    said = f"its logits differ by {worst:.1e} of the largest from what the teacher answers; {allowed:.0e} is allowed"
    return said, False


@contextmanager
def alike(device: torch.device) -> Iterator[int]:
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


def _alone() -> None:
    torch.set_num_threads(1)  # each Python thread has a count of its own


@torch.no_grad()
def _logits(table: Table, compute: Compute, padded: Tensor, chunk: int) -> Logits:
    """float32 logits (rows K) of a chunk on the CPU."""
    _channels, height, width = table.key.image
    image, dy, dx, flip = (part.to(padded.device) for part in table.views_of(chunk))
    x = to_pixels(crop(padded, image, dy, dx, flip, height, width))
    return compute(x).to(device="cpu", dtype=torch.float32)
