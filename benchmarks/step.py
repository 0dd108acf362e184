"""The RSLAD step in every variant of the fast path against the published one: how fast, and how equal.

    OMP_NUM_THREADS=1 python -m benchmarks.step --student resnet18 --teacher "wide_resnet 34 10" --batch 32

All are timed in one process, round by round, turn about; ours as a run has them, with books and tables. The weights are
random, with the batch's statistics in batch norm. The ladder of equality (`benchmarks/ladder.py`) needs nets that were
trained: it is climbed with two small robust ones when --data names a folder with CIFAR-10.
"""

import argparse
import statistics
import sys
from collections.abc import Callable
from copy import deepcopy
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn

from benchmarks import ladder, reference
from benchmarks.equality import compare
from benchmarks.interleave import Rounds, clock_of, machine_facts, rotate, save
from benchmarks.kernels import top_kernels
from benchmarks.variants import CLASSES, IMAGE, Ours, Subject, Variant, named, variants
from engine.spec.models import MobileNetV2, ModelSpec, ResNet18, SmallResNet, WideResNet, WideResNetSiLU
from engine.spec.training import Inner
from engine.types import Images, Labels, Split

EPOCH = 50_000  # images of an epoch of CIFAR-10
DOUBLE_TOLERANCE = 1e-10  # relative, float64, whole attack
SINGLE_LOSS_TOLERANCE = 1e-4  # relative, float32, one step of the attack
PUBLISHED = "published"
STUDENTS: dict[str, ModelSpec] = {
    "resnet18": ResNet18(),
    "mobilenet_v2": MobileNetV2(),
    "small_resnet": SmallResNet(),
}
Facts = dict[str, Any]


def main() -> int:
    """Time, check, write, print. 0 when all is equal that is to be equal."""
    wanted = arguments()
    torch.set_num_threads(wanted.threads)
    torch.manual_seed(wanted.seed)
    device = torch.device(wanted.device)
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = wanted.tf32
    torch.backends.cudnn.benchmark = device.type == "cuda"
    student, teacher = STUDENTS[wanted.student], teacher_spec(wanted.teacher)
    chosen = named(variants(student, teacher, device), wanted.variants)
    subject = random_subject(student, teacher, wanted.batch, device)
    facts: Facts = {
        "student": wanted.student,
        "teacher": wanted.teacher,
        "batch": wanted.batch,
        "tf32_of_the_published_step": wanted.tf32,
        "machine": machine_facts(device),
        "published_against_exact": published_equality(subject),
    }
    facts["variants"] = timing(chosen, subject, wanted.rounds)
    facts["published"] = published_facts(facts["variants"], wanted.batch)
    if wanted.profile:
        facts["top_kernels"] = profiles(chosen, subject)
    fine = is_equal(facts["published_against_exact"])
    if wanted.data:
        facts["ladder"] = ladder.climb(chosen, wanted.data)
        fine &= all(found["fits"] for found in facts["ladder"]["variants"].values())
    path = save(f"step_{device.type}_{wanted.student}{wanted.suffix}", facts)
    print(table(facts))
    print(f"written to {path.relative_to(path.parents[2])}")
    return 0 if fine else 1


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--student", choices=sorted(STUDENTS), default="resnet18")
    parser.add_argument(
        "--teacher", default="wide_resnet 34 10", help="`wide_resnet DEPTH WIDTH` or `wide_resnet_silu DEPTH WIDTH`"
    )
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--tf32", action="store_true", help="TF32 for whatever is float32 on CUDA, on both sides")
    parser.add_argument("--variants", nargs="*", default=[], metavar="NAME", help="only these; all by default")
    parser.add_argument("--profile", action="store_true", help="ten kernels that take longest, of each variant")
    parser.add_argument("--data", type=Path, default=None, help="folder with CIFAR-10; without it, no ladder")
    parser.add_argument("--suffix", default="", help="of the result's file name")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def teacher_spec(text: str) -> ModelSpec:
    """`wide_resnet 34 10` as a model."""
    match text.split():
        case ["wide_resnet", depth, width]:
            return WideResNet(depth=int(depth), width=int(width))
        case ["wide_resnet_silu", depth, width]:
            return WideResNetSiLU(depth=int(depth), width=int(width))
        case _:
            raise SystemExit(f"--teacher is `wide_resnet DEPTH WIDTH`, not {text!r}")


def build(spec: ModelSpec) -> nn.Module:
    """A fresh model for CIFAR-10 images."""
    net: nn.Module = import_module(f"engine.models.{spec.module}").build(spec, CLASSES, IMAGE)
    return net


def random_subject(student: ModelSpec, teacher: ModelSpec, batch: int, device: torch.device) -> Subject:
    """Fresh nets and random images."""
    split = Split(torch.randint(0, 256, (batch, *IMAGE), dtype=torch.uint8), torch.randint(0, CLASSES, (batch,)))
    subject = Subject(student=build(student).to(device), teacher=build(teacher).to(device), split=split, device=device)
    x, _ = subject.batch()
    calibrated(subject.student, x)
    calibrated(subject.teacher, x).eval().requires_grad_(False)
    return subject


@torch.no_grad()
def calibrated(net: nn.Module, x: Images) -> nn.Module:
    """The net with the running statistics of this batch, so that eval mode means something with random weights."""
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    found = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    net.train()(x)
    for norm, momentum in zip(norms, found, strict=True):
        norm.momentum = momentum
    return net


def published_equality(subject: Subject) -> dict[str, dict[str, float]]:
    """Relative differences of the exact engine's loss, gradients, weights and statistics; all in NCHW, 4 images."""
    x, y = (part[:4] for part in subject.batch())
    student, teacher = subject.student, subject.teacher
    double = double_equality(student, teacher, x, y)
    return {"float64_10_steps": double, "float32_1_step": compare(student, teacher, x, y, steps=1)}


def double_equality(student: nn.Module, teacher: nn.Module, x: Images, y: Labels) -> dict[str, float]:
    """In float64, the whole attack."""
    return compare(deepcopy(student).double(), deepcopy(teacher).double(), x.double(), y, steps=Inner().steps)


def is_equal(found: dict[str, dict[str, float]]) -> bool:
    """Everything in float64, and the loss in float32."""
    in_double = max(found["float64_10_steps"].values()) <= DOUBLE_TOLERANCE
    return in_double and found["float32_1_step"]["loss"] <= SINGLE_LOSS_TOLERANCE


def published_step(subject: Subject) -> Callable[[], object]:
    """The reference, on a student of its own."""
    student, recipe = deepcopy(subject.student).train(), reference.Recipe()
    optimizer = reference.build_optimizer(student)
    x, _ = subject.batch()
    return lambda: reference.step(student, subject.teacher, optimizer, x, recipe)


def timing(chosen: list[Variant], subject: Subject, rounds: int) -> dict[str, Facts]:
    """Every variant against the published step, each on students of its own."""
    batch = len(subject.split.labels)
    with TemporaryDirectory() as tables:
        works: dict[str, Callable[[], object]] = {PUBLISHED: published_step(subject)}
        ours = {variant.name: Ours(variant, subject, Path(tables) / str(k)) for k, variant in enumerate(chosen)}
        found = rotate(works | ours, PUBLISHED, rounds, clock_of(subject.device), warmup=warmup(subject.device))
        for work in ours.values():
            work.fast.close()
    return {variant.name: variant.facts() | of_rounds(found[variant.name], batch) for variant in chosen}


def warmup(device: torch.device) -> int:
    """Rounds that do not count; on CUDA the first five choose kernels and capture the graph."""
    return 6 if device.type == "cuda" else 1


def of_rounds(rounds: Rounds, batch: int) -> Facts:
    """What was measured, and how long an epoch of CIFAR-10 would be: extrapolated, data and validation left out."""
    facts = rounds.facts(batch)
    seconds = statistics.median(rounds.ours)
    return facts | {"extrapolated_seconds_per_epoch": round(seconds * EPOCH / batch, 2)}


def published_facts(found: dict[str, Facts], batch: int) -> Facts:
    """The published step's own times; every variant's rounds hold the same ones."""
    seconds = next(iter(found.values()))["theirs_seconds"]
    for facts in found.values():
        del facts["theirs_seconds"], facts["theirs_samples_per_second"]
    median = statistics.median(seconds)
    return {
        "seconds": seconds,
        "samples_per_second": round(batch / median, 2),
        "extrapolated_seconds_per_epoch": round(median * EPOCH / batch, 2),
    }


def profiles(chosen: list[Variant], subject: Subject) -> dict[str, list[Facts]]:
    """The kernels that take longest, of the published step and of each variant."""
    with TemporaryDirectory() as tables:
        found = {PUBLISHED: top_kernels(published_step(subject), subject.device, warmup(subject.device))}
        for k, variant in enumerate(chosen):
            ours = Ours(variant, subject, Path(tables) / str(k))
            found[variant.name] = top_kernels(ours, subject.device, warmup(subject.device))
            ours.fast.close()
    return found


def table(facts: Facts) -> str:
    """The figures, for people."""
    machine, published = facts["machine"], facts["published"]
    lines = [
        f"RSLAD step, {facts['student']} from {facts['teacher']}, batch {facts['batch']}, "
        f"{len(published['seconds'])} rounds",
        f"{machine['processor']}, {machine['device']}, bfloat16: {machine['bfloat16']}, torch {machine['torch']}, "
        f"{machine['threads']} thread(s), {machine['clock']}",
    ]
    for name, found in facts["published_against_exact"].items():
        lines.append(f"  exact, {name}: " + ", ".join(f"{part} {value:.1e}" for part, value in found.items()))
    lines.append(f"  {PUBLISHED:28} {published['samples_per_second']:9.2f} images/s")
    for name, found in facts["variants"].items():
        lines.append(
            f"  {name:28} {found['ours_samples_per_second']:9.2f} images/s   {found['ratio_median']:5.2f}x "
            f"[{found['ratio_min']:.2f}, {found['ratio_max']:.2f}]"
        )
    for name, kernels in facts.get("top_kernels", {}).items():
        lines.append(f"  {name}: " + "; ".join(f"{k['name'][:60]} {k['share']:.0%}" for k in kernels))
    return "\n".join(lines + ladder.rows(facts["ladder"]) if "ladder" in facts else lines)


if __name__ == "__main__":
    sys.exit(main())
