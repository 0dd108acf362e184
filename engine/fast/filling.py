"""What goes into a teacher's table: computed in batches of one size, kept, and compared again when it is opened.

Every batch has `chunk` rows, filled up by repeating: the logits of a view never depend on which others were missing.
`compute` gets pixels in [0, 1] on the device of the images, in any layout, and answers with logits of any precision.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor, nn

from engine.augment import crop, pad, to_pixels
from engine.fast.table import Places, Table, Views
from engine.types import Images, Logits

TOLERANCE = {"float32": 1e-4, "bfloat16": 5e-2}  # of the largest logit, which counts as 1 at least
SAMPLE = 32  # records that are computed again
TRIES = 1 << 16  # places where they are looked for
Compute = Callable[[Images], Logits]


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


@torch.no_grad()
def in_chunks(compute: Compute, x: Images, chunk: int) -> Logits:
    """float32 logits (B K) on the CPU, computed `chunk` images at a time; the last ones again where some lack."""
    rows = torch.arange(-(-len(x) // chunk) * chunk, device=x.device).remainder(len(x))
    parts = [compute(x[some]).to(device="cpu", dtype=torch.float32) for some in rows.split(chunk)]
    return torch.cat(parts)[: len(x)]


def answers(table: Table, views: Views, x: Images, compute: Compute, chunk: int) -> Logits:
    """float32 logits (B K) of a batch on the CPU: looked up, and where the table lacks them computed and kept.

    `x` holds the views' pixels, on any device. TableError when the table cannot be written.
    """
    logits, present = table.find(views)
    lacking = (~present).nonzero().squeeze(1)  # M
    if len(lacking):
        found = in_chunks(compute, x[lacking.to(x.device)], chunk)
        table.write(Views(*(part[lacking] for part in views)), found)
        logits[lacking] = found
    return logits


def fill(
    table: Table,
    compute: Compute,
    images: Tensor,
    chosen: Int[Tensor, " M"] | None,
    chunk: int,
    pause: Callable[[], None],
    say: Callable[[float], None],
) -> None:
    """Compute and keep every missing view of these images, `chosen` of the split (None = all).

    `images` is the official training split in uint8, N C H W, on the teacher's device if it fits. `pause` is called
    before each chunk and may raise; what is done is kept. `say` hears the share of the views that is done. It begins
    at a random image: two engines at the same table meet seldom, and skip what the other did.
    TableError when the table cannot be written.
    """
    wanted = np.arange(len(images)) if chosen is None else chosen.numpy().astype(np.int64)
    if not len(wanted):
        return
    wanted = np.roll(wanted, np.random.default_rng().integers(len(wanted)))  # its own generator: no run's draws move
    padded = pad(images, table.key.padding)
    looked = 0
    say(0.0)
    for places, images_seen in _batches(table, wanted, chunk):
        if len(places):
            pause()
            views = table.views_at(places)
            table.write(views, in_chunks(compute, _pixels(table, padded, views), chunk))
        looked += images_seen
        say(looked / len(wanted))


def verify(table: Table, compute: Compute, images: Tensor, chunk: int, seed: int) -> str:
    """Compute up to 32 present records again: why the table must not be believed, or nothing.

    Which records is drawn by `seed`. A record's checksum tells that it is whole; this tells that it is the teacher's.
    """
    draws = np.random.default_rng(seed)
    places = np.arange(len(table)) if len(table) <= TRIES else draws.integers(len(table), size=TRIES)
    places = np.unique(draws.permutation(places[table.present(places)])[:SAMPLE])
    if not len(places):
        return ""
    views = table.views_at(places)
    kept = table.read(views)
    found = in_chunks(compute, _pixels(table, pad(images, table.key.padding), views), chunk)
    difference = (kept - found).abs() / found.abs().amax().clamp_min(1.0)
    worst = float(difference.nan_to_num(torch.inf).amax())
    allowed = TOLERANCE[table.key.precision]
    if worst <= allowed:
        return ""
    return f"its logits differ by {worst:.1e} of the largest from what the teacher answers; {allowed:.0e} is allowed"


def _batches(table: Table, images: Places, chunk: int) -> Iterator[tuple[Places, int]]:
    """Places of `chunk` missing records, fewer at the end, and how many images were passed for them."""
    left, passed = np.empty(0, dtype=np.int64), 0
    for places, seen in table.absent(images):
        left, passed = np.concatenate([left, places]), passed + seen
        while len(left) >= chunk:
            still = left[:chunk][~table.present(left[:chunk])]
            left = left[chunk:]
            if len(still) < chunk:  # another engine was here
                left = np.concatenate([still, left])
            else:
                yield still, passed
                passed = 0
    yield left[~table.present(left)], passed


def _pixels(table: Table, padded: Tensor, views: Views) -> Images:
    _channels, height, width = table.key.image
    image, dy, dx, flip = (part.to(padded.device) for part in views)
    return to_pixels(crop(padded, image, dy, dx, flip, height, width))
