"""What the teacher's table costs and gains: filled in chunks of fixed composition, against asking at every step.

    python -m benchmarks.table --teacher "wide_resnet 34 10"

All in one process and in turn: the teacher asked about batches of 128, as a run without a table does; a table filled
chunk by chunk; and batches of 16, as older versions computed a view when it was first needed.
"""

import argparse
import statistics
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from benchmarks.data import key_of
from benchmarks.interleave import clock_of, machine_facts, rotate, save
from benchmarks.step import random_subject, teacher_spec
from benchmarks.variants import CPU
from engine.fast.folding import FoldedNet
from engine.fast.teacher_logits import ROWS, open_table
from engine.spec.models import ModelSpec, SmallCNN

VIEWS, BATCH, OLD = 162, 128, 16
PLANS = ((50, 1), (200, 1), (300, 1), (50, 6), (200, 6))  # epochs, runs
ASKED = "asked at every step"


def main() -> int:
    """Measure, write, print."""
    wanted = arguments()
    torch.set_num_threads(wanted.threads)
    torch.manual_seed(0)
    found = measured(teacher_spec(wanted.teacher), wanted.rounds, wanted.images)
    cost = found["in chunks, filling a table"]["cost_per_view"]
    old = found["by 16, as it was needed"]["cost_per_view"]
    facts = {"machine": machine_facts(CPU), "teacher": wanted.teacher, "costs": found, "shares": {}}
    for epochs, runs in PLANS:
        seen = VIEWS * (1 - (1 - 1 / VIEWS) ** (epochs * runs))
        shares = {"complete": round(share(cost, epochs, runs), 3), "lazy": round(old * seen / (epochs * runs), 3)}
        facts["shares"][f"{runs} x {epochs}"] = shares
    path = save("table_cpu", facts)
    print(f"{facts['machine']['processor']}, {wanted.threads} thread(s), {wanted.teacher}; against {ASKED}:")
    for name, rate in found.items():
        print(f"  {name}: {rate['cost_per_view']:.2f} of a forward [{rate['min']:.2f}, {rate['max']:.2f}]")
    for plan, shares in facts["shares"].items():
        print(f"  {plan} epochs: complete {shares['complete']:.0%}, lazy {shares['lazy']:.0%} of the teacher's time")
    print(f"written to {path.relative_to(path.parents[2])}")
    return 0


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", default="wide_resnet 10 1")
    parser.add_argument("--images", type=int, default=4, help="whose 162 views each side computes")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def share(cost: float, epochs: int, runs: int) -> float:
    """Of the teacher's time on natural images that is left with one complete table for all these runs."""
    return cost * VIEWS / (epochs * runs)


@torch.no_grad()
def measured(teacher: ModelSpec, rounds: int, images: int) -> dict[str, dict[str, Any]]:
    """Time of a view, against that of an image in a batch of 128."""
    subject = random_subject(SmallCNN(), teacher, max(images, 2), CPU)
    net, shown = FoldedNet(subject.teacher), subject.split.images[:images]
    x = subject.batch()[0][:1].expand(images * VIEWS, -1, -1, -1).contiguous()
    number = iter(range(10**9))

    with TemporaryDirectory() as folder:

        def filled() -> None:
            key = replace(key_of(shown, str(next(number))), rows=ROWS["cpu"])
            with open_table(Path(folder), key, 1 << 30)[0] as table:
                table.fill(net, shown, np.arange(key.chunks))

        works: dict[str, Callable[[], object]] = {
            ASKED: lambda: [net(some) for some in x.split(BATCH)],
            "in chunks, filling a table": filled,
            "by 16, as it was needed": lambda: [net(some) for some in x.split(OLD)],
        }
        timed = rotate(works, ASKED, rounds, clock_of(CPU))
    costs = {name: [1 / ratio for ratio in found.ratios] for name, found in timed.items()}
    return {
        name: {
            "cost_per_view": round(statistics.median(each), 3),
            "min": round(min(each), 3),
            "max": round(max(each), 3),
            "rounds": rounds,
        }
        for name, each in costs.items()
    }


if __name__ == "__main__":
    sys.exit(main())
