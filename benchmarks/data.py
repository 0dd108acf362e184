"""Our feed (uint8, one gather per batch) against torchvision's crop, flip and ToTensor on PIL images.

    python -m benchmarks.data

First that both give the same bits for the same draws, then images per second. Then the teacher's table, without its
teacher: how many views a second it takes in, and how many it gives back.
"""

import argparse
import statistics
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import Compose, RandomCrop, RandomHorizontalFlip, ToTensor
from torchvision.transforms import functional as transform

from benchmarks.interleave import clock_of, interleave, machine_facts, save
from engine.data.augment import Draws, Feed
from engine.fast.teacher_logits import TeacherLogits, open_table
from engine.spec.data import CIFAR10
from engine.spec.teacher_logits import TableKey
from engine.types import Images, Logits, Split

CPU = torch.device("cpu")
SIZE, PADDING, CLASSES = 32, 4, 10
ROWS = 512  # views of a chunk


def main() -> int:
    """Check, time, write, print. 0 when the bits are equal, 1 when they are not."""
    wanted = arguments()
    torch.set_num_threads(wanted.threads)
    torch.manual_seed(wanted.seed)
    images = torch.randint(0, 256, (wanted.images, 3, SIZE, SIZE), dtype=torch.uint8)
    labels = torch.randint(0, 10, (wanted.images,))
    pictures = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in images]
    feed = Feed(Split(images, labels), CIFAR10(), CPU, torch.contiguous_format, wanted.batch)
    count = -(-wanted.images // wanted.batch)

    if not same_bits(feed, pictures, feed.draw(wanted.seed, 1), count):
        print("the two differ for the same draws")
        return 1
    random = Compose([RandomCrop(SIZE, padding=PADDING), RandomHorizontalFlip(), ToTensor()])
    epochs = iter(range(1, 10**9))

    def ours() -> None:
        for _batch in feed.batches(feed.draw(wanted.seed, next(epochs)), 0, count):
            pass

    def theirs() -> None:
        for chosen in torch.randperm(wanted.images).split(wanted.batch):
            torch.stack([random(pictures[i]) for i in chosen.tolist()])

    rounds = interleave(ours, theirs, wanted.rounds, clock_of(CPU))
    facts = {
        "images": wanted.images,
        "batch": wanted.batch,
        "same_bits": True,
        "machine": machine_facts(CPU),
        **rounds.facts(wanted.images),
        "table": table_rates(feed, images[: wanted.table_images], wanted.rounds),
    }
    path = save("data_cpu", facts)
    print(f"{facts['machine']['processor']}, {wanted.threads} thread(s), {facts['machine']['clock']}")
    print(f"  ours        {facts['ours_samples_per_second']:10.0f} images/s")
    print(f"  torchvision {facts['theirs_samples_per_second']:10.0f} images/s")
    print(f"  ours is faster by {rounds.row()}")
    for name, found in facts["table"].items():
        print(f"  table, {name}: {found['views_per_second']:,.0f} views/s [{found['min']:,.0f}, {found['max']:,.0f}]")
    print(f"written to {path.relative_to(path.parents[2])}")
    return 0


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--table-images", type=int, default=200, help="whose 162 views are written into a table")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def table_rates(feed: Feed, images: Tensor, rounds: int) -> dict[str, dict[str, Any]]:
    """Views per second: filled in (crops, checksums and writing), and looked up in batches as training does."""
    filled, found = [], []
    batches = looked_up(feed, len(images))
    with TemporaryDirectory() as folder:
        for number in range(rounds + 1):
            with open_table(Path(folder), key_of(images, str(number)), 1 << 30)[0] as table:
                work = partial(table.fill, flat, images, np.arange(table.key.chunks))
                filled.append(table.key.chunks * ROWS / timed(work))
                seconds = timed(partial(look_up, table, batches))
                found.append(sum(len(views.order) for views in batches) / seconds)
    return {"filling": spread(filled[1:]), f"look-ups, batch {feed.batch_size}": spread(found[1:])}


def look_up(table: TeacherLogits, batches: list[Draws]) -> None:
    """Read every batch."""
    for views in batches:
        table.read(views)


def looked_up(feed: Feed, images: int) -> list[Draws]:
    """Batches of random views of the first images."""
    draws = feed.draw(0, 1)
    batches = (feed.views(draws, number) for number in range(len(feed) // feed.batch_size))
    return [Draws(views.order % images, views.dy, views.dx, views.flip) for views in batches]


def key_of(images: Tensor, teacher: str) -> TableKey:
    """Of a table of their views."""
    return TableKey(
        teacher_sha256=teacher,
        model="",
        data_sha256="",
        images=len(images),
        classes=CLASSES,
        padding=PADDING,
        flip=True,
        image=(3, SIZE, SIZE),
        precision="float32",
        folded=False,
        layout="contiguous_format",
        device="cpu",
        torch=str(torch.__version__),
        rows=ROWS,
    )


def flat(x: Images) -> Logits:
    """In the place of a teacher: logits that cost nothing."""
    return x.new_ones(len(x), CLASSES)


def timed(work: Callable[[], object]) -> float:
    """Seconds of it, on the clock of the other measurements."""
    clock = clock_of(CPU)
    began = clock()
    work()
    return clock() - began


def spread(rates: list[float]) -> dict[str, Any]:
    """The median, and the range."""
    middle, lowest, highest = statistics.median(rates), min(rates), max(rates)
    return {"views_per_second": round(middle), "min": round(lowest), "max": round(highest), "rounds": len(rates)}


def same_bits(feed: Feed, pictures: list[Image.Image], draws: Draws, count: int) -> bool:
    """Whether every batch of an epoch equals what torchvision makes of the pictures by the same draws."""
    at = torch.arange(len(feed)).split(feed.batch_size)
    return all(torch.equal(feed.batch(draws, n)[0], by_torchvision(pictures, draws, at[n])) for n in range(count))


def by_torchvision(pictures: list[Image.Image], draws: Draws, places: Tensor) -> Tensor:
    """The images at these places of the epoch (B C H W), padded, cropped, flipped and scaled one by one."""
    made = []
    for place in places.tolist():
        padded = transform.pad(pictures[int(draws.order[place])], [PADDING])
        cropped = transform.crop(padded, int(draws.dy[place]), int(draws.dx[place]), SIZE, SIZE)
        made.append(transform.to_tensor(transform.hflip(cropped) if draws.flip[place] else cropped))
    return torch.stack(made)


if __name__ == "__main__":
    sys.exit(main())
