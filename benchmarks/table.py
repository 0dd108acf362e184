"""What the teacher's table costs and gains: filled in chunks of fixed composition, against asking at every step.

    python -m benchmarks.table --teacher "wide_resnet 34 10"

In one process and in turn: the teacher asked about batches of 128, as a run without a table does; and a table filled
chunk by chunk.
"""

import argparse
import statistics
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from benchmarks.data import key_of
from benchmarks.interleave import clock_of, interleave, machine_facts, processor, save
from benchmarks.step import random_subject, teacher_spec
from benchmarks.variants import CPU
from engine.fast.folding import FoldedNet
from engine.fast.teacher_logits import ROWS, open_table
from engine.spec.models import ModelSpec, SmallCNN

VIEWS, BATCH = 162, 128
PLANS = ((50, 1), (200, 1), (300, 1), (50, 6), (200, 6))  # epochs, runs


def main() -> int:
    """Measure, write, print."""
    wanted = arguments()
    torch.set_num_threads(wanted.threads)
    torch.manual_seed(0)
    cost = measured(teacher_spec(wanted.teacher), wanted.rounds, wanted.images)
    per_view = statistics.median(cost)
    shares = {f"{runs} x {epochs}": round(per_view * VIEWS / (epochs * runs), 3) for epochs, runs in PLANS}
    facts = {
        "machine": machine_facts(CPU), "teacher": wanted.teacher, "rounds": wanted.rounds,
        "cost_per_view": [round(each, 3) for each in (per_view, min(cost), max(cost))], "shares": shares,
    }  # fmt: skip
    path = save("table_cpu", facts)
    print(f"{processor()}, {wanted.threads} thread(s), {wanted.teacher}; against asking at every step:")
    print(f"  a view in a table: {per_view:.2f} of a forward [{min(cost):.2f}, {max(cost):.2f}]")
    for plan, share in shares.items():
        print(f"  {plan} epochs: {share:.0%} of the teacher's time on natural images")
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


@torch.no_grad()
def measured(teacher: ModelSpec, rounds: int, images: int) -> list[float]:
    """Time of a view while a table is filled, over that of an image in a batch of 128, round by round."""
    subject = random_subject(SmallCNN(), teacher, max(images, 2), CPU)
    net, shown = FoldedNet(subject.teacher), subject.split.images[:images]
    x = subject.batch()[0][:1].expand(images * VIEWS, -1, -1, -1).contiguous()
    number = iter(range(10**9))

    with TemporaryDirectory() as folder:

        def filled() -> None:
            key = replace(key_of(shown, str(next(number))), rows=ROWS["cpu"])
            with open_table(Path(folder), key, 1 << 30)[0] as table:
                table.fill(net, shown, np.arange(key.chunks))

        timed = interleave(filled, lambda: [net(some) for some in x.split(BATCH)], rounds, clock_of(CPU))
    return [1 / ratio for ratio in timed.ratios]


if __name__ == "__main__":
    sys.exit(main())
