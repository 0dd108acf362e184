"""The judgement of a net: our attacks against the usual scripts. First how long, then whether a single verdict changed.

    python -m benchmarks.evaluate --data data --width 8

Without --weights a small robust net is trained on real CIFAR-10, in minutes, and kept beside the data. Both sides meet
the same images, noise and seeds, in one process, turn about. --net resnet18 and mobilenet_v2 have random weights: their
times mean something, their verdicts little.
"""

import argparse
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import plain_attacks, robust_student
from benchmarks.interleave import clock_of, interleave, machine_facts, save
from benchmarks.step import STUDENTS, calibrated
from engine.evaluate.attack_run import clean_predictions, run_attack
from engine.evaluate.context import EvaluationContext, InterruptibleNet, folded_copy
from engine.fast.folding import FoldingError
from engine.runtime.device import frozen_eval, full_precision
from engine.runtime.rng import isolated_rng, seed_all, seed_for
from engine.spec.attacks import PGDSAT, AttackSpec, AutoAttack, CWInf, ThreatModel
from engine.types import Split

CPU = torch.device("cpu")
CLIMBS: dict[str, tuple[AttackSpec, plain_attacks.Loss]] = {
    "pgd_sat": (PGDSAT(), plain_attacks.cross_entropy),
    "cw_inf": (CWInf(), plain_attacks.margin),
}
BALL = ThreatModel()


class Counted(nn.Module):
    """A net that counts the images it is asked about."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.images = 0

    def forward(self, x: Tensor) -> Tensor:
        """Its answer."""
        self.images += len(x)
        logits: Tensor = self.net(x)
        return logits


@dataclass(frozen=True, kw_only=True)
class Sides:
    """A net as the usual scripts have it, and as our evaluations have it: watched, and beside its folded copy."""

    plain: Counted
    net: Counted
    copy: Counted
    batch: int
    seed: int

    def context(self, split: Split, variant: str) -> EvaluationContext:
        """`exact` climbs on the net itself, `folded` on its copy, `worst` on the copy until it is fooled."""
        return EvaluationContext(
            net=self.net,
            images=split.images,
            labels=split.labels,
            classes=10,
            device=CPU,
            threat_model=BALL,
            batch_size=self.batch,
            seed=self.seed,
            protocol="worst" if variant == "worst" else "last_iterate",
            folded=None if variant == "exact" else self.copy,
        )

    def ours(self, split: Split, spec: AttackSpec, variant: str) -> Tensor:
        """Who (N) is right before and after."""
        context = self.context(split, variant)
        with isolated_rng(), full_precision(), frozen_eval(self.net):
            return run_attack(context, spec, clean_predictions(context).predicted).robust

    def theirs(self, split: Split, spec: AttackSpec, loss: plain_attacks.Loss) -> tuple[Tensor, Tensor]:
        """Who (N) is right before, and who is behind the attack; the noise is ours."""
        found = []
        sizes = (float(BALL.epsilon), float(getattr(spec, "step_size")), int(getattr(spec, "steps")))  # noqa: B009
        with isolated_rng():
            for k, positions in enumerate(torch.arange(len(split.labels)).split(self.batch)):
                seed_all(seed_for(self.seed, "attack", spec.key, k))
                x, y = split.images[positions].float() / 255, split.labels[positions]
                found.append(plain_attacks.white_box(self.plain, x, y, loss, *sizes))
        self.plain.zero_grad()
        right, after = (torch.cat(part) for part in zip(*found, strict=True))
        return right, after

    def asked(self, work: Callable[[], object]) -> int:
        """About how many images the nets are asked meanwhile; a backward pass is not counted."""
        before = self.plain.images + self.net.images + self.copy.images
        work()
        return self.plain.images + self.net.images + self.copy.images - before


def main() -> int:
    """Time, compare, write, print. 0 when no verdict changed, and nobody came out of `worst` better."""
    wanted = arguments()
    torch.set_num_threads(wanted.threads)
    dataset = robust_student.cifar10(wanted.data)
    net, name, origin = subject(wanted, dataset.test.images)
    sides = prepare(net, dataset.test, wanted)
    judged_by = first(dataset.test, wanted.images)
    facts: dict[str, Any] = {"net": name, "weights": origin, "batch": wanted.batch, "machine": machine_facts(CPU)}
    facts["attacks"] = {key: climb(sides, judged_by, first(dataset.test, wanted.timed), key, wanted.rounds)
                        for key in CLIMBS}  # fmt: skip
    facts["autoattack"] = []
    for chunk in range(-(-wanted.suite_images // wanted.batch)):
        at = slice(chunk * wanted.batch, min((chunk + 1) * wanted.batch, wanted.suite_images))
        part = Split(dataset.test.images[at], dataset.test.labels[at])
        facts["autoattack"].append(suite(sides, part, wanted.seed, ours_first=bool(chunk % 2)))
        save(f"evaluate_{name}", facts)
        print(f"AutoAttack, batch {chunk}: {facts['autoattack'][-1]}", file=sys.stderr, flush=True)
    path = save(f"evaluate_{name}", facts)
    print("\n".join(rows(facts)))
    print(f"written to {path.relative_to(path.parents[2])}")
    return 0 if changed(facts) == 0 else 1


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data"), help="the folder of CIFAR-10")
    parser.add_argument("--net", choices=sorted(STUDENTS), default="small_resnet")
    parser.add_argument("--width", type=int, default=8, help="of the small ResNet")
    parser.add_argument("--weights", type=Path, default=None, help="of the small ResNet; trained when not there")
    parser.add_argument("--epochs", type=int, default=6, help="of that training")
    parser.add_argument("--images", type=int, default=1000, help="whose verdicts under PGD and CW are compared")
    parser.add_argument("--timed", type=int, default=200, help="images of each timed round")
    parser.add_argument("--suite-images", type=int, default=200, help="for AutoAttack, which takes 10,000 passes each")
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def subject(wanted: argparse.Namespace, images: Tensor) -> tuple[nn.Module, str, dict[str, str]]:
    """The net in eval mode, its name, and where its weights come from."""
    if wanted.net == "small_resnet":
        name = f"small_resnet_{wanted.width}"
        path = wanted.weights or wanted.data / "benchmarks" / f"{name}.safetensors"
        dataset = robust_student.cifar10(wanted.data)
        net, facts = robust_student.get(path, wanted.width, wanted.epochs, dataset, wanted.seed)
        return net, name, facts
    torch.manual_seed(wanted.seed)
    spec = STUDENTS[wanted.net]
    net = import_module(f"engine.models.{spec.module}").build(spec, 10, (3, 32, 32))
    return calibrated(net, images[:200].float() / 255).eval(), wanted.net, {"weights": "random"}


def prepare(net: nn.Module, shown: Split, wanted: argparse.Namespace) -> Sides:
    """Both sides of one net; SystemExit when it cannot be folded."""
    try:
        copy = folded_copy(net, shown.images, CPU)
    except FoldingError as error:
        raise SystemExit(error.what) from None
    watched, folded = (Counted(InterruptibleNet(one, lambda: None)) for one in (net, copy))
    return Sides(plain=Counted(net), net=watched, copy=folded, batch=wanted.batch, seed=wanted.seed)


def first(split: Split, n: int) -> Split:
    """Its first n images."""
    return Split(split.images[:n], split.labels[:n])


def climb(sides: Sides, split: Split, timed: Split, key: str, rounds: int) -> dict[str, Any]:
    """One attack: verdicts on all images, then each variant of ours against the usual script."""
    spec, loss = CLIMBS[key]
    right, after = sides.theirs(split, spec, loss)
    found: dict[str, Any] = {
        "n": len(right),
        "clean": int(right.sum()),
        "robust": int((right & after).sum()),
        "wrong_before_right_after": int((after & ~right).sum()),
        "timed_images": len(timed.labels),
    }

    def theirs() -> object:
        return sides.theirs(timed, spec, loss)

    for variant in ("exact", "folded", "worst"):
        robust = sides.ours(split, spec, variant)

        def ours(variant: str = variant) -> object:
            return sides.ours(timed, spec, variant)

        found[variant] = {
            "verdicts_changed": int((robust != (right & after)).sum()),
            "better_than_plain": int((robust & ~(right & after)).sum()),
            "images_asked": sides.asked(ours),
            "images_asked_plain": sides.asked(theirs),
            **interleave(ours, theirs, rounds, clock_of(CPU), warmup=0).facts(len(timed.labels)),
        }
        print(f"{key} {variant}: {found[variant]}", file=sys.stderr, flush=True)
    return found


def suite(sides: Sides, split: Split, seed: int, *, ours_first: bool) -> dict[str, Any]:
    """AutoAttack on one batch, ours and as its README calls it."""
    clock, seconds, asked, verdicts = clock_of(CPU), {}, {}, {}

    def ours() -> None:
        context = replace(sides.context(split, "folded"), batch_size=len(split.labels), seed=seed)
        with isolated_rng(), full_precision(), frozen_eval(sides.net):
            verdicts["ours"] = run_attack(context, AutoAttack(), clean_predictions(context).predicted).robust

    def theirs() -> None:
        with isolated_rng():
            x = split.images.float() / 255
            right, after = plain_attacks.suite(sides.plain, x, split.labels, float(BALL.epsilon), seed)
        sides.plain.zero_grad()
        verdicts["plain"], verdicts["clean"] = right & after, right

    order: list[tuple[str, Callable[[], None]]] = [("ours", ours), ("plain", theirs)]
    for name, work in order if ours_first else order[::-1]:
        began = clock()
        asked[name] = sides.asked(work)
        seconds[name] = clock() - began
    return {
        "n": len(split.labels),
        "clean": int(verdicts["clean"].sum()),
        "robust": int(verdicts["plain"].sum()),
        "verdicts_changed": int((verdicts["ours"] != verdicts["plain"]).sum()),
        "ratio": round(seconds["plain"] / seconds["ours"], 4),
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
        "images_asked": asked,
    }


def changed(facts: dict[str, Any]) -> int:
    """Verdicts that are other than the usual script's; of `worst`, those only that came out better."""
    climbs = facts["attacks"].values()
    count = sum(found[variant]["verdicts_changed"] for found in climbs for variant in ("exact", "folded"))
    count += sum(found["worst"]["better_than_plain"] for found in climbs)
    return int(count + sum(chunk["verdicts_changed"] for chunk in facts["autoattack"]))


def rows(facts: dict[str, Any]) -> list[str]:
    """The table for benchmarks/README.md."""
    lines = []
    for key, found in facts["attacks"].items():
        for variant in ("exact", "folded", "worst"):
            one = found[variant]
            speed = (one["ratio_median"], one["ratio_min"], one["ratio_max"])
            fewer = one["images_asked_plain"] / one["images_asked"]
            lines.append(_row(f"{facts['net']} | {key} | {variant}", speed, fewer, {**found, **one}))
    chunks = facts["autoattack"]
    if chunks:
        ratios = [chunk["ratio"] for chunk in chunks]
        whole = {key: sum(chunk[key] for chunk in chunks) for key in ("n", "clean", "robust", "verdicts_changed")}
        fewer = sum(c["images_asked"]["plain"] for c in chunks) / sum(c["images_asked"]["ours"] for c in chunks)
        speed = (statistics.median(ratios), min(ratios), max(ratios))
        lines.append(_row(f"{facts['net']} | autoattack | folded", speed, fewer, whole))
    return lines


def _row(name: str, speed: tuple[float, float, float], fewer: float, of: dict[str, Any]) -> str:
    median, low, high = speed
    verdicts = f"{of['verdicts_changed']} of {of['n']:,} | {of['clean']:,} | {of['robust']:,}"
    return f"| {name} | **{median:.2f}** [{low:.2f}, {high:.2f}] | {fewer:.2f} | {verdicts} |"


if __name__ == "__main__":
    sys.exit(main())
