"""How the cost of a step grows: with the batch, the classes, and the ranks that share it.

    OMP_NUM_THREADS=1 python -m benchmarks.scale

Small nets and CPU time: what is shown is the growth, which the fast path must not make worse, and no speed record.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from benchmarks.interleave import clock_of, machine_facts, rotate, save
from benchmarks.step import PUBLISHED, STUDENTS, published_step, random_subject, teacher_spec
from benchmarks.variants import CPU, Ours, defaults
from engine.acm import ACM
from engine.contrastive import Views, contrastive_loss
from engine.losses import kl, soften
from engine.spec.methods import CRDND

BATCHES, CLASSES, RANKS = (8, 16, 32, 64), (10, 100, 1000), (1, 2, 4)
TEACHER = "wide_resnet 10 1"
LOGITS = 128  # images whose losses are computed
Facts = dict[str, Any]


def main() -> int:
    """Measure, write, print."""
    wanted = arguments()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    facts: Facts = {
        "machine": machine_facts(CPU),
        "nets": f"{wanted.student} from {TEACHER}",
        "batch": by_batch(wanted.student, wanted.rounds),
        "classes": by_classes(wanted.rounds),
        "ranks": by_ranks(wanted.student, wanted.ranks, wanted.steps),
    }
    path = save("scale_cpu", facts)
    print("\n".join(rows(facts)))
    print(f"written to {path.relative_to(path.parents[2])}")
    return 0


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--student", choices=sorted(STUDENTS), default="small_resnet")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=8, help="of each rank, of which the first two do not count")
    parser.add_argument("--ranks", type=int, nargs="*", default=RANKS)
    return parser.parse_args()


def by_batch(student: str, rounds: int) -> dict[str, Facts]:
    """Milliseconds per image, of the published step and of what a run decides, with a table that is complete."""
    found = {}
    specs = STUDENTS[student], teacher_spec(TEACHER)
    _, variant = defaults(*specs, CPU)
    for batch in BATCHES:
        subject = random_subject(*specs, batch, CPU)
        with TemporaryDirectory() as tables:
            ours = Ours(variant, subject, Path(tables))
            works: dict[str, Callable[[], object]] = {PUBLISHED: published_step(subject), "ours": ours}
            timed = rotate(works, PUBLISHED, rounds, clock_of(CPU))["ours"]
            ours.fast.close()
        found[str(batch)] = {
            "ours_ms_per_image": milliseconds(timed.ours, batch),
            "published_ms_per_image": milliseconds(timed.theirs, batch),
            "ratio_median": round(statistics.median(timed.ratios), 3),
            "ratio_min": round(min(timed.ratios), 3),
            "ratio_max": round(max(timed.ratios), 3),
            "rounds": rounds,
        }
    return found


def by_classes(rounds: int) -> dict[str, Facts]:
    """Milliseconds of what works on logits, forward and backward, for a batch of 128."""
    works: dict[str, Callable[[], object]] = {}
    for classes in CLASSES:
        works |= {f"{name}, {classes}": work for name, work in on_logits(classes).items()}
    spent: dict[str, list[float]] = {name: [] for name in works}
    clock = clock_of(CPU)
    for number in range(rounds + 1):
        for name in works if number % 2 else reversed(works):
            began = clock()
            works[name]()
            spent[name].append(clock() - began)
    return {name: {"ms": milliseconds(seconds[1:], 1), "rounds": rounds} for name, seconds in spent.items()}


def on_logits(classes: int) -> dict[str, Callable[[], object]]:
    """Soft-label divergence, the compensation module, and the contrast of two views."""
    student = torch.randn(LOGITS, classes, requires_grad=True)
    teacher, other = torch.randn(LOGITS, classes), torch.randn(LOGITS, classes)
    hp = CRDND()
    acm = ACM(hp, classes)
    views = Views(teacher, student)
    return {
        "KL": lambda: kl(student, soften(teacher)).mean().backward(),
        "ACM": lambda: acm(student).sum().backward(),
        "contrast": lambda: contrastive_loss(views, Views(teacher, other), 0.5, hp).backward(),
    }


def by_ranks(student: str, ranks: list[int], steps: int) -> dict[str, Facts]:
    """CPU time that all ranks together spend on a step of one batch, by how many share it through gloo."""
    found: dict[str, Facts] = {}
    for world in ranks:
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={world}"]
        worker = ["-m", "benchmarks.scale_rank", student, TEACHER, str(steps)]
        done = subprocess.run([*torchrun, *worker], check=True, capture_output=True, text=True)
        told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        if len(told) != world:
            raise RuntimeError(f"{len(told)} of {world} ranks told their times: {done.stderr[-2000:]}")
        whole = sum(rank["seconds_per_step"] for rank in told)
        found[str(world)] = {
            "ms_per_step_and_rank": milliseconds([rank["seconds_per_step"] for rank in told], 1),
            "ms_per_step_together": round(1000 * whole, 2),
            "steps": steps - 2,
        }
    alone = found.get("1")
    for facts in found.values():
        if alone is not None:
            facts["together_against_one"] = round(facts["ms_per_step_together"] / alone["ms_per_step_together"], 3)
    return found


def milliseconds(seconds: list[float], pieces: int) -> float:
    """The median, of each piece."""
    return round(1000 * statistics.median(seconds) / pieces, 4)


def rows(facts: Facts) -> list[str]:
    """The figures, for people."""
    lines = [f"{facts['nets']}, {facts['machine']['processor']}, 1 thread, {facts['machine']['clock']}"]
    for batch, found in facts["batch"].items():
        lines.append(
            f"  batch {batch:>3}: ours {found['ours_ms_per_image']:.2f} ms/image, published "
            f"{found['published_ms_per_image']:.2f}, {found['ratio_median']:.2f}x "
            f"[{found['ratio_min']:.2f}, {found['ratio_max']:.2f}]"
        )
    lines += [f"  {name} classes: {found['ms']:.3f} ms" for name, found in facts["classes"].items()]
    for world, found in facts["ranks"].items():
        lines.append(f"  {world} rank(s): {found['ms_per_step_together']:.1f} ms of CPU per step, all together")
    return lines


if __name__ == "__main__":
    sys.exit(main())
