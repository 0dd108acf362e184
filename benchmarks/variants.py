"""What the step is measured with: each switch of the fast path alone, all together, and what a run decides by itself.

A variant is put together as `Trainer` does it: proxies of the nets, a real table, the ledger's books.
"""

import json
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from engine.data.augment import Feed
from engine.fast.path import FastPath
from engine.fast.plan import FastPlan, NetworkCost, decide
from engine.fast.teacher_logits import ROWS, open_table
from engine.methods import rslad
from engine.runtime.device import FORMATS, layout, place
from engine.spec.attacks import ThreatModel
from engine.spec.cost import model_cost
from engine.spec.data import CIFAR10
from engine.spec.machine import Machine
from engine.spec.methods import RSLAD
from engine.spec.models import Layout, ModelSpec
from engine.spec.teacher_logits import TableKey
from engine.spec.training import Inner, Training
from engine.train import optim
from engine.train.metrics import EpochMetrics
from engine.train.step import maximiser, train_step
from engine.types import Images, Labels, Logits, Loss, Maximise, Nets, Split

CLASSES, IMAGE = 10, (3, 32, 32)
TABLE_LIMIT = 1 << 30
DATA = CIFAR10(crop_padding=0, flip=False)  # one view of each image: a table of one batch is soon complete
BFLOAT16, CPU = torch.bfloat16, torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One way of taking the same step. `plan.table` is "off" or "complete": a table that knows the batch."""

    name: str
    plan: FastPlan = field(default_factory=FastPlan)
    layout: Layout = "contiguous"

    @property
    def half(self) -> bool:
        """Whether any part computes in bfloat16."""
        return BFLOAT16 in (self.plan.teacher, self.plan.inner, self.plan.outer)

    def facts(self) -> dict[str, str]:
        """What is switched on."""
        return {"layout": self.layout, "sgd": "fused"} | self.plan.switches()


EVERYTHING = FastPlan(folded=True, paired=True)
EVERYTHING_HALF = replace(EVERYTHING, teacher=BFLOAT16, inner=BFLOAT16, outer=BFLOAT16)


def variants(student: ModelSpec, teacher: ModelSpec, device: torch.device) -> list[Variant]:
    """All that are measured on this device; `defaults` is what a run decides here."""
    found = [
        Variant(name="fused SGD"),
        Variant(name="channels_last", layout="channels_last"),
        Variant(name="folded", plan=FastPlan(folded=True)),
        Variant(name="paired", plan=FastPlan(paired=True)),
        Variant(name="teacher bfloat16", plan=FastPlan(teacher=BFLOAT16)),
        Variant(name="inner bfloat16", plan=FastPlan(inner=BFLOAT16, folded=True)),
        Variant(name="outer bfloat16", plan=FastPlan(outer=BFLOAT16)),
        Variant(name="table", plan=FastPlan(table="complete")),
        Variant(name="all float32", plan=EVERYTHING, layout="channels_last"),
        Variant(name="all float32, table", plan=replace(EVERYTHING, table="complete"), layout="channels_last"),
        Variant(name="all bfloat16", plan=EVERYTHING_HALF, layout="channels_last"),
        Variant(name="all bfloat16, table", plan=replace(EVERYTHING_HALF, table="complete"), layout="channels_last"),
        *defaults(student, teacher, device),
    ]
    if device.type == "cuda":
        graphed = [v for v in found if v.name.startswith("all ")]
        found += [replace(v, name=f"{v.name}, graphs", plan=replace(v.plan, graphs=True)) for v in graphed]
    return found


def defaults(student: ModelSpec, teacher: ModelSpec, device: torch.device) -> list[Variant]:
    """What `engine.fast.plan` decides where nobody says anything: without a table, and with one."""
    asked = [
        NetworkCost(model_cost(spec, CLASSES, IMAGE).macs, spec.cpu_half, spec.cpu_paired)
        for spec in (student, teacher)
    ]
    plan = replace(decide(Machine(), device, *asked, eval_attack=True), table="off")
    chosen = layout(Machine(), device, student)
    without = Variant(name="defaults", plan=plan, layout=chosen)
    return [without, replace(without, name="defaults, table", plan=replace(plan, table="complete"))]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What every variant begins with: float32 nets in NCHW, and one batch as a split of its own."""

    student: nn.Module
    teacher: nn.Module
    split: Split
    device: torch.device = CPU

    def feed(self, memory_format: torch.memory_format) -> Feed:
        """One batch an epoch."""
        return Feed(self.split, DATA, self.device, memory_format, len(self.split.labels))

    def batch(self, memory_format: torch.memory_format = torch.contiguous_format) -> tuple[Images, Labels]:
        """The batch that all sides meet."""
        feed = self.feed(memory_format)
        return feed.batch(feed.moved(feed.draw(0, 1)), 0)


class Ours:
    """A variant at work on students of its own; calling it takes one whole step."""

    def __init__(self, variant: Variant, subject: Subject, tables: Path, inner: Inner | None = None) -> None:
        """`tables` is a folder for the variant's table; without `inner` the attack is the published one."""
        self.variant = variant
        memory_format = FORMATS[variant.layout]
        self.student = place(deepcopy(subject.student), subject.device, memory_format).train()
        teacher = place(deepcopy(subject.teacher), subject.device, memory_format)
        self.fast = FastPath(Nets(self.student, teacher, CLASSES, subject.device), variant.plan)
        if self.fast.plan != variant.plan:
            raise RuntimeError(f"{variant.name}: {'; '.join(self.fast.notes)}")
        self.method = rslad.Method(RSLAD(), self.fast.nets)
        self.optimizer = optim.build(self.student, Training())
        climb = maximiser(self.student, ThreatModel(), inner or Inner())
        self.maximise: Maximise = self.fast.maximiser(climb, "eval")
        self.ledger = EpochMetrics(CLASSES, subject.device)
        self.feed = subject.feed(memory_format)
        self.draws = self.feed.draw(0, 1)
        self.x, self.y = self.feed.batch(self.feed.moved(self.draws), 0)
        if variant.plan.table != "off":
            self._fill_table(variant, subject, tables)
        self.fast.record(self._step, self._state)
        self.fast.epoch_started(2)

    def __call__(self) -> Loss:
        """One step, and its books."""
        loss = self.fast.run(self._step, self.x, self.y, self.known())
        if given_up := self.fast.take_warnings():
            raise RuntimeError(f"{self.variant.name}: {'; '.join(warned.message for warned in given_up)}")
        self.ledger.add(loss, self.y)
        return loss

    def known(self) -> Logits | None:
        """The teacher's logits out of the table, where there is one."""
        return self.fast.known(self.draws, 0, self.x)

    def _step(self, x: Images, y: Labels) -> Loss:
        return train_step(self.method, self.maximise, [self.optimizer], x, y)

    def _state(self) -> list[Any]:
        return [self.student.state_dict(), self.method.state_dict(), self.optimizer.state_dict()]

    def _fill_table(self, variant: Variant, subject: Subject, tables: Path) -> None:
        key = TableKey(
            teacher_sha256="of the benchmark",
            model=json.dumps(variant.facts()),
            data_sha256="one batch",
            images=len(subject.split.labels),
            classes=CLASSES,
            padding=DATA.crop_padding,
            flip=DATA.flip,
            image=IMAGE,
            precision="bfloat16" if variant.plan.teacher == BFLOAT16 else "float32",
            folded=variant.plan.folded,
            layout=variant.layout,
            device=subject.device.type,
            torch=str(torch.__version__),
            rows=ROWS[subject.device.type],
        )
        assert self.fast.teacher is not None
        table, _ = open_table(tables, key, TABLE_LIMIT)
        images, everything = subject.split.images.to(subject.device), np.arange(key.chunks)
        table.fill(self.fast.teacher.compute, images, everything)
        self.fast.with_table(table, self.feed)


def named(found: Sequence[Variant], wanted: Sequence[str]) -> list[Variant]:
    """Those with these names, or all when none is named."""
    unknown = set(wanted) - {variant.name for variant in found}
    if unknown:
        raise SystemExit(f"no variant is called {', '.join(sorted(unknown))}; there are {[v.name for v in found]}")
    return [variant for variant in found if not wanted or variant.name in wanted]
