"""Our RSLAD step against the published one: first that they are equal, then how fast they are.

    python -m benchmarks.step --student resnet18 --teacher "wide_resnet 34 10" --batch 8

Both sides are timed in one process, interleaved. Ours is timed as a run has it, with its books (the ledger) kept.
"""

import argparse
import sys
from copy import deepcopy
from importlib import import_module
from typing import Any

import torch
from torch import nn

from benchmarks import reference
from benchmarks.equality import compare
from benchmarks.interleave import Rounds, clock_of, interleave, machine_facts, save
from engine import optim
from engine.ledger import Ledger
from engine.methods import rslad
from engine.runtime import FORMATS, layout, place
from engine.spec.attacks import ThreatModel
from engine.spec.machine import Machine
from engine.spec.methods import RSLAD
from engine.spec.models import MobileNetV2, ModelSpec, ResNet18, SmallResNet, WideResNet
from engine.spec.training import Inner, Training
from engine.step import maximiser, train_step
from engine.types import Images, Labels, Nets

CLASSES, IMAGE = 10, (3, 32, 32)
DOUBLE_TOLERANCE = 1e-10  # relative, float64, whole attack
SINGLE_LOSS_TOLERANCE = 1e-4  # relative, float32, one step of the attack
STUDENTS: dict[str, ModelSpec] = {
    "resnet18": ResNet18(),
    "mobilenet_v2": MobileNetV2(),
    "small_resnet": SmallResNet(),
}


def main() -> int:
    """Check, time, write, print. 0 when the two are equal, 1 when they are not."""
    wanted = arguments()
    torch.set_num_threads(wanted.threads)
    torch.manual_seed(wanted.seed)
    device = torch.device(wanted.device)
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.benchmark = device.type == "cuda"
    x, y = torch.rand(wanted.batch, *IMAGE), torch.randint(0, CLASSES, (wanted.batch,))
    x, y = x.to(device), y.to(device)
    student = calibrated(build(STUDENTS[wanted.student]).to(device), x)
    teacher = calibrated(build(teacher_spec(wanted.teacher)).to(device), x).eval().requires_grad_(False)

    chosen = layout(Machine(layout=wanted.layout), device, STUDENTS[wanted.student])
    equal = equality(student, teacher, x, y)
    rounds = timing(student, teacher, x, y, wanted.rounds, FORMATS[chosen])
    facts = {
        "student": wanted.student,
        "teacher": wanted.teacher,
        "batch": wanted.batch,
        "our_layout": chosen,
        "machine": machine_facts(device),
        "relative_differences": equal,
        **rounds.facts(wanted.batch),
    }
    suffix = "" if wanted.layout == "auto" else f"_{wanted.layout}"
    path = save(f"step_{device.type}_{wanted.student}{suffix}", facts)
    print(table(facts, rounds))
    print(f"written to {path.relative_to(path.parents[2])}")
    return 0 if is_equal(equal) else 1


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--student", choices=sorted(STUDENTS), default="resnet18")
    parser.add_argument("--teacher", default="wide_resnet 34 10", help="`wide_resnet DEPTH WIDTH`")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--layout", choices=["auto", *FORMATS], default="auto", help="of ours; auto is what runs have")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def teacher_spec(text: str) -> ModelSpec:
    """`wide_resnet 34 10` as a model."""
    match text.split():
        case ["wide_resnet", depth, width]:
            return WideResNet(depth=int(depth), width=int(width))
        case _:
            raise SystemExit(f"--teacher is `wide_resnet DEPTH WIDTH`, not {text!r}")


def build(spec: ModelSpec) -> nn.Module:
    """A fresh model for CIFAR-10 images."""
    net: nn.Module = import_module(f"engine.models.{spec.module}").build(spec, CLASSES, IMAGE)
    return net


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


def equality(student: nn.Module, teacher: nn.Module, x: Images, y: Labels) -> dict[str, dict[str, float]]:
    """Relative differences of loss, gradients, new weights and running statistics; all in NCHW."""
    double = compare(deepcopy(student).double(), deepcopy(teacher).double(), x.double(), y, steps=Inner().steps)
    return {"float64_10_steps": double, "float32_1_step": compare(student, teacher, x, y, steps=1)}


def is_equal(found: dict[str, dict[str, float]]) -> bool:
    """Everything in float64, and the loss in float32."""
    in_double = max(found["float64_10_steps"].values()) <= DOUBLE_TOLERANCE
    return in_double and found["float32_1_step"]["loss"] <= SINGLE_LOSS_TOLERANCE


def timing(
    student: nn.Module, teacher: nn.Module, x: Images, y: Labels, rounds: int, memory_format: torch.memory_format
) -> Rounds:
    """Both steps on students of their own, ours in this layout."""
    our_student = place(deepcopy(student), x.device, memory_format).train()
    our_teacher = place(deepcopy(teacher), x.device, memory_format)
    our_x = x.contiguous(memory_format=memory_format)
    method = rslad.Method(RSLAD(), Nets(our_student, our_teacher, CLASSES, x.device))
    maximise = maximiser(our_student, ThreatModel(), Inner())
    optimizers = [optim.build(our_student, Training())]
    ledger = Ledger(CLASSES, x.device)

    def ours() -> None:
        ledger.add(train_step(method, maximise, optimizers, our_x, y), y)

    their_student, recipe = deepcopy(student).train(), reference.Recipe()
    their_optimizer = reference.build_optimizer(their_student)

    def theirs() -> None:
        reference.step(their_student, teacher, their_optimizer, x, recipe)

    return interleave(ours, theirs, rounds, clock_of(x.device))


def table(facts: dict[str, Any], rounds: Rounds) -> str:
    """The figures, for people."""
    lines = [
        f"RSLAD step, {facts['student']} from {facts['teacher']}, batch {facts['batch']}, {facts['rounds']} rounds, "
        f"ours in {facts['our_layout']}",
        f"{facts['machine']['processor']}, {facts['machine']['device']}, torch {facts['machine']['torch']}, "
        f"{facts['machine']['threads']} thread(s), {facts['machine']['clock']}",
    ]
    for name, found in facts["relative_differences"].items():
        lines.append(f"  {name}: " + ", ".join(f"{part} {value:.1e}" for part, value in found.items()))
    lines.append(f"  ours      {facts['ours_samples_per_second']:8.2f} images/s")
    lines.append(f"  published {facts['theirs_samples_per_second']:8.2f} images/s")
    lines.append(f"  ours is faster by {rounds.row()}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
