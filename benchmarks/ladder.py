"""The ladder of equality: how near each variant of a step comes to the exact one, on nets that were trained.

The sign of a gradient turns on its last bit, so after ten steps of an attack pixels differ wherever sums were
reordered: what can be equal to the last bit is said to be so, float32 is compared after one step, and bfloat16 with
what another noise seed changes. Variants are compared from a start without noise: torch draws in the order of memory,
so that each layout has noise of its own.

    OMP_NUM_THREADS=1 python -m benchmarks.ladder --data data

    rung 1   bits: x_adv of the whole attack, loss and gradients of the step
    rung 2   float32, one step of the attack: its input gradient and signs; loss and gradients of the step
    rung 3   whole attack: KL at x_adv and the outer gradient there, both asked of the exact float32 student
"""

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import robust_student
from benchmarks.interleave import machine_facts, save
from benchmarks.variants import CPU, Ours, Subject, Variant, variants
from engine.losses import kl, soften
from engine.runtime.device import mode
from engine.spec.models import SmallResNet
from engine.spec.training import Inner
from engine.types import Images, Probs, Split

INPUT_GRADIENT = 1e-5  # relative, Euclidean
SIGN_FLIPS = 1e-4  # share of the pixels
LOSS, GRADIENT = 1e-5, 1e-3  # relative; the gradient in channels_last is the least exact on a CPU
WEAKER = 0.01  # by so much may the KL at x_adv lie below or above the exact one
COSINE = 0.99
SEED, CONTROLS = 7, (8, 9)
STUDENT, TEACHER = ("small_resnet_8", 8, 6, 0), ("small_resnet_8_teacher", 8, 1, 1)  # file, width, epochs, seed
EXACT = Variant(name="exact")
SHORT, WHOLE = Inner(steps=1, start="clean"), Inner(start="clean")
Facts = dict[str, Any]


def main() -> int:
    """Climb, write, print. 0 when every variant fits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder with CIFAR-10")
    wanted = parser.parse_args()
    torch.set_num_threads(1)
    facts = {"machine": machine_facts(CPU)} | climb(variants(SmallResNet(), SmallResNet(), CPU), wanted.data)
    path = save("ladder_cpu", facts)
    print("\n".join(rows(facts)))
    print(f"written to {path.relative_to(path.parents[2])}")
    return 0 if all(found["fits"] for found in facts["variants"].values()) else 1


@dataclass(frozen=True, kw_only=True)
class Attacked:
    """Where an attack ended."""

    x_adv: Images
    loss: Tensor
    gradients: Tensor  # of all parameters, in one row


@dataclass(frozen=True, kw_only=True)
class Yardstick:
    """The exact step on one batch."""

    subject: Subject
    input_gradient: Images
    short: Attacked  # one step of the attack
    whole: Attacked


def climb(chosen: list[Variant], data: Path, batch: int = 64, batches: int = 2) -> Facts:
    """Every variant on every rung, over real test images; with what two other noise seeds change.

    The nets are trained where `data`/benchmarks does not hold them yet: minutes.
    """
    dataset = robust_student.cifar10(data)
    student, teacher = (
        robust_student.get(data / "benchmarks" / f"{name}.safetensors", width, epochs, dataset, seed)[0]
        for name, width, epochs, seed in (STUDENT, TEACHER)
    )
    teacher.requires_grad_(False)
    parts = [slice(k * batch, (k + 1) * batch) for k in range(batches)]
    subjects = [
        Subject(student=student, teacher=teacher, split=Split(dataset.test.images[at], dataset.test.labels[at]))
        for at in parts
    ]
    yardsticks = [yardstick(subject) for subject in subjects]
    return {
        "student": "SmallResNet-8x8, FGSM-RS, 6 epochs",
        "teacher": "SmallResNet-8x8, FGSM-RS, 1 epoch",
        "images": batch * batches,
        "controls": {f"seed {seed}": averaged([control(exact, seed) for exact in yardsticks]) for seed in CONTROLS},
        "variants": {variant.name: of_variant(variant, yardsticks) for variant in chosen if not variant.plan.graphs},
    }


def yardstick(subject: Subject) -> Yardstick:
    """What all variants are compared with."""
    return Yardstick(
        subject=subject,
        input_gradient=input_gradient(EXACT, subject),
        short=attacked(EXACT, subject, SHORT),
        whole=attacked(EXACT, subject, WHOLE),
    )


def of_variant(variant: Variant, yardsticks: list[Yardstick]) -> Facts:
    """All rungs, averaged over the batches, and whether the variant fits where it must."""
    found = averaged([rungs(variant, yardstick) for yardstick in yardsticks])
    return found | {"fits": fits(variant, found)}


def fits(variant: Variant, found: Facts) -> bool:
    """float32 on the second rung, bfloat16 on the third."""
    if not variant.half:
        sizes = (INPUT_GRADIENT, SIGN_FLIPS, LOSS, GRADIENT)
        names = ("input_gradient", "sign_flips", "one_step_loss", "one_step_gradient")
        return all(found[name] <= size for name, size in zip(names, sizes, strict=True))
    cosines = (found["cosine_at_x_adv"], found["cosine"])
    return bool(abs(found["kl_of_x_adv"]) <= WEAKER and min(cosines) >= COSINE)


def rungs(variant: Variant, exact: Yardstick) -> Facts:
    """One batch: relative differences from the exact step, and cosines with its outer gradient."""
    gradient = input_gradient(variant, exact.subject)
    short = attacked(variant, exact.subject, SHORT)
    whole = attacked(variant, exact.subject, WHOLE)
    same = torch.equal(whole.x_adv, exact.whole.x_adv) and torch.equal(whole.loss, exact.whole.loss)
    return {
        "same_bits": float(same),
        "same_gradient_bits": float(torch.equal(whole.gradients, exact.whole.gradients)),
        "input_gradient": apart(gradient, exact.input_gradient),
        "sign_flips": float((gradient.sign() != exact.input_gradient.sign()).double().mean()),
        "one_step_loss": apart(short.loss, exact.short.loss),
        "one_step_gradient": apart(short.gradients, exact.short.gradients),
        "pixels_differing": float((whole.x_adv != exact.whole.x_adv).double().mean()),
        "cosine": cosine(whole.gradients, exact.whole.gradients),
        **at_x_adv(exact.subject, whole.x_adv, exact.whole.x_adv),
    }


def control(exact: Yardstick, seed: int) -> Facts:
    """What another noise seed changes in the exact attack."""
    other, one = (attacked(EXACT, exact.subject, Inner(), some) for some in (seed, SEED))
    differing = float((other.x_adv != one.x_adv).double().mean())
    return {"pixels_differing": differing, **at_x_adv(exact.subject, other.x_adv, one.x_adv)}


def attacked(variant: Variant, subject: Subject, inner: Inner, seed: int = SEED) -> Attacked:
    """One whole training step of the variant."""
    with TemporaryDirectory() as tables:
        ours = Ours(replace(variant, plan=replace(variant.plan, graphs=False)), subject, Path(tables), inner)
        met: list[Images] = []
        climbs = ours.maximise

        def watched(objective: Any, x: Images) -> Images:  # noqa: ANN401
            met.append(climbs(objective, x))
            return met[0]

        ours.maximise = watched
        torch.manual_seed(seed)
        loss = ours()
        ours.fast.close()
    return Attacked(x_adv=met[0].contiguous(), loss=loss.total, gradients=gradients_of(ours.student))


def input_gradient(variant: Variant, subject: Subject) -> Images:
    """Of the inner objective at x, as the variant computes it."""
    with TemporaryDirectory() as tables:
        ours = Ours(variant, subject, Path(tables))
        known = ours.known()
        student, teacher = ours.fast.student, ours.fast.teacher
        assert teacher is not None
        with torch.no_grad():
            logits = teacher(ours.x) if known is None else known
        z = ours.x.clone().requires_grad_()
        with student.climbing("eval"), mode(ours.student, training=False):
            (gradient,) = torch.autograd.grad(kl(student(z), soften(logits)).sum(), z)
        ours.fast.close()
    return gradient.contiguous()


def at_x_adv(subject: Subject, x_adv: Images, expected: Images) -> Facts:
    """What the exact float32 student makes of two x_adv: its KL in eval mode, and the gradient of an outer step."""
    x, _ = subject.batch()
    with torch.no_grad():
        soft_labels = soften(subject.teacher(x))
        with mode(subject.student, training=False):
            here, there = (float(kl(subject.student(z), soft_labels).mean()) for z in (x_adv, expected))
    return {
        "kl_of_x_adv": here / there - 1.0,
        "cosine_at_x_adv": cosine(*(outer_gradient(subject.student, z, x, soft_labels) for z in (x_adv, expected))),
    }


def outer_gradient(student: nn.Module, x_adv: Images, x: Images, soft_labels: Probs) -> Tensor:
    """RSLAD's, in float32 with two batches; the running statistics are put back."""
    before = {name: value.clone() for name, value in student.state_dict().items()}
    student.zero_grad()
    with mode(student, training=True):
        loss = 5 / 6 * kl(student(x_adv), soft_labels).mean() + 1 / 6 * kl(student(x), soft_labels).mean()
    loss.backward()
    found = gradients_of(student)
    student.zero_grad()
    student.load_state_dict(before)
    return found


def gradients_of(net: nn.Module) -> Tensor:
    """All of them in one row, in float64."""
    return torch.cat([p.grad.double().contiguous().flatten() for p in net.parameters() if p.grad is not None])


def apart(one: Tensor, other: Tensor) -> float:
    """Euclidean, relative to the other."""
    return float((one.double() - other.double()).norm() / other.double().norm())


def cosine(one: Tensor, other: Tensor) -> float:
    """Of the angle between two rows."""
    return float(one @ other / (one.norm() * other.norm()))


def averaged(found: list[Facts]) -> Facts:
    """Means over the batches."""
    return {name: sum(one[name] for one in found) / len(found) for name in found[0]}


def rows(facts: Facts) -> list[str]:
    """The ladder, for people."""
    lines = [f"  on a trained net ({facts['student']}, {facts['images']} images), against the exact step:"]
    for name, found in facts["variants"].items():
        bits = "same bits; " if found["same_bits"] == 1 else ""
        lines.append(
            f"    {name:28} {bits}input gradient {found['input_gradient']:.0e}, signs {found['sign_flips']:.3%}, "
            f"loss {found['one_step_loss']:.0e}, gradient {found['one_step_gradient']:.0e}; "
            f"KL {found['kl_of_x_adv']:+.2%}, cosine {found['cosine_at_x_adv']:.4f} ({found['cosine']:.4f} of its own)"
            f"{'' if found['fits'] else ' MISSED'}"
        )
    for name, found in facts["controls"].items():
        lines.append(
            f"    control, {name:19} KL {found['kl_of_x_adv']:+.2%}, cosine {found['cosine_at_x_adv']:.4f}, "
            f"pixels {found['pixels_differing']:.1%}"
        )
    return lines


if __name__ == "__main__":
    sys.exit(main())
