"""Which parts of the fast path a run uses: the machine's switches, and for `auto` what measured faster on such devices.

The measurements behind the rules are those of `benchmarks/step.py`; `benchmarks/README.md` has the figures.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch

from engine.runtime.provenance import cpu_fact
from engine.spec.machine import Machine, Precision

LARGE = 50_000_000  # multiply-accumulates per image: below, bfloat16 costs more in casts than it saves
AMPERE = (8, 0)


class NetworkCost(NamedTuple):
    """A network by what matters for speed."""

    macs: int  # multiply-accumulates of one image
    half: bool = True  # whether its kind is faster in bfloat16 on a CPU: nets of depthwise convolutions are not
    paired: bool = True  # whether one batch of two halves is faster than two batches on a CPU: for such nets it is not


@dataclass(frozen=True, kw_only=True)
class FastPlan:
    """What is switched on. By default nothing: the step is computed as the paper writes it, in float32."""

    teacher: torch.dtype = torch.float32
    inner: torch.dtype = torch.float32
    outer: torch.dtype = torch.float32
    folded: bool = False
    folded_teacher: bool = False
    paired: bool = False
    table: Literal["auto", "off", "complete"] = "off"
    graphs: bool = False
    ranks: int = 1

    @property
    def exact(self) -> bool:
        return FastPlan(ranks=self.ranks, paired=self.ranks > 1) == self

    def switches(self) -> dict[str, str]:
        """For the log: name -> state; empty when nothing is switched on."""
        if self == FastPlan():
            return {}
        on = {True: "on", False: "off"}
        shown = {part: str(getattr(self, part)).removeprefix("torch.") for part in ("teacher", "inner", "outer")}
        shown |= {"folded": on[self.folded or self.folded_teacher], "paired": on[self.paired]}
        shown |= {"table": self.table, "graphs": on[self.graphs]}
        return shown | ({"ranks": str(self.ranks)} if self.ranks > 1 else {})


def decide(
    machine: Machine,
    device: torch.device,
    student: NetworkCost,
    teacher: NetworkCost | None,
    *,
    eval_attack: bool,
    ranks: int = 1,
) -> FastPlan:
    """The plan of a run. `eval_attack`: the inner maximisation needs the student in eval mode, and may use a copy.

    That copy is folded, and only a copy may be bfloat16: `inner_precision=bfloat16` folds it, whatever `folded` says.
    An attack in train mode climbs on the student itself, in float32 unless `inner_precision=bfloat16`.
    Several ranks always pair the views: the student passes through DistributedDataParallel once a step.
    """
    if machine.exact:
        return FastPlan(ranks=ranks, paired=ranks > 1)
    chooses = eval_attack and machine.folded != "off"  # else auto is float32
    wanted = "float32" if machine.inner_precision == "auto" and not chooses else machine.inner_precision
    inner = _precision(wanted, device, student)
    pairs_by_default = device.type == "cuda" or student.paired
    return FastPlan(
        teacher=torch.float32 if teacher is None else _precision(machine.teacher_precision, device, teacher),
        inner=inner,
        outer=_precision(machine.outer_precision, device, student),
        folded=eval_attack and (machine.folded != "off" or inner != torch.float32),
        folded_teacher=teacher is not None and machine.folded != "off",
        paired=ranks > 1 or machine.paired == "on" or (machine.paired == "auto" and pairs_by_default),
        table="off" if teacher is None else machine.table,
        graphs=device.type == "cuda" and ranks == 1 and machine.graphs != "off",
        ranks=ranks,
    )


def _precision(wanted: Precision, device: torch.device, net: NetworkCost) -> torch.dtype:
    if wanted != "auto":
        return torch.float32 if wanted == "float32" else torch.bfloat16
    if device.type == "cuda":
        faster = net.macs >= LARGE and torch.cuda.get_device_capability(device) >= AMPERE
    else:
        faster = net.macs >= LARGE and net.half and half_pays()
    return torch.bfloat16 if faster else torch.float32


def half_pays() -> bool:
    """Whether this CPU multiplies faster in bfloat16: with AMX, or an AMD with AVX512-BF16.

    Intel's AVX512-BF16 alone is not enough: its product takes two float32 slots, and ResNet-18 ran at 0.8x.
    """
    if torch.cpu._is_amx_tile_supported():
        return True
    return torch.cpu._is_avx512_bf16_supported() and cpu_fact("vendor_id") == "AuthenticAMD"
