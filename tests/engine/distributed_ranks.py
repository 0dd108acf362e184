"""What ranks do in tests: `python distributed_ranks.py WORLD FOLDER` forks them; rank r leaves r.pt there."""

import os
import socket
import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from engine.fast.path import FastPath
from engine.fast.plan import FastPlan
from engine.models import small_cnn, wide_resnet
from engine.runtime.distributed import Ranks, join
from engine.runtime.interrupt import Stopped
from engine.spec.attacks import ThreatModel
from engine.spec.base import Pixels
from engine.spec.estimate import passes_per_step
from engine.spec.methods import ARD, CRDND, IAD, PGDAT, RSLAD, TRADES, Natural
from engine.spec.models import SmallCNN, WideResNet
from engine.spec.training import Inner
from engine.train.step import maximiser, train_step
from engine.types import Nets
from tests.engine.distributed_evaluation import hold
from tests.engine.subjects import trained

CLASSES = 4
IMAGE = (3, 6, 6)
BATCHES = (8, 7, 2)  # of three steps: even, uneven, and with 3 ranks one of them has no image at all
BALL = ThreatModel(epsilon=Pixels(0.1))


class Case(NamedTuple):
    """A method as it is trained; `epoch` counts from 1."""

    spec: Any
    mode: str = "eval"
    epoch: int = 1
    unused: bool = False  # parameters that never get a gradient


CASES = {
    "natural": Case(Natural()),
    "pgd_at": Case(PGDAT()),
    "pgd_at, attack in train mode": Case(PGDAT(), "train"),
    "trades": Case(TRADES()),
    "ard": Case(ARD(alpha=0.5), "train"),
    "ard, alpha 1": Case(ARD(alpha=1.0), "train"),
    "iad, first epochs": Case(IAD(begin=60), "train"),
    "iad, introspection": Case(IAD(begin=0, weigh_teacher=True), "train"),
    "rslad": Case(RSLAD()),
    "rslad, unused weights": Case(RSLAD(), unused=True),
    "crdnd": Case(CRDND()),
    "crdnd, nat_adv pool": Case(CRDND(pool="nat_adv", anchor="teacher", mask_same_class="teacher_argmax")),
    "crdnd, learned off-diagonal": Case(CRDND(off_diagonal="learned", recall="running", recall_momentum=0.5)),
    "crdnd, relational, neg_cos": Case(CRDND(target="relational", inner="neg_cos", matrix_convention="row")),
}
OF_TWO = ("pgd_at, attack in train mode", "rslad, unused weights", "crdnd")
"""Cases of two ranks; three, one of which has at times no image, go through all."""


def learn(case: Case, ranks: Ranks | None) -> list[dict[str, Tensor]]:
    """Three steps in float64, and what each gave: by ranks, or, without them, by the engine as the paper writes it."""
    torch.manual_seed(1)
    build = wide_resnet.build if case.unused else small_cnn.build
    student = build(WideResNet(depth=10, width=1, sub_block=True) if case.unused else SmallCNN(width=4), CLASSES, IMAGE)
    teacher = small_cnn.build(SmallCNN(width=5), CLASSES, IMAGE)
    student, teacher = student.double(), teacher.double().eval().requires_grad_(False)
    inner = Inner(steps=2, step_size=Pixels(0.05), student_mode=case.mode)
    nets = Nets(student, teacher if case.spec.needs_teacher else None, CLASSES)
    fast = None if ranks is None else FastPath(nets, FastPlan(paired=True, ranks=ranks.world_size), ranks)
    method = import_module(f"engine.methods.{case.spec.name}").Method(case.spec, fast.nets if fast else nets)
    if case.spec.name == "crdnd":
        method.acm_clean.double(), method.acm_robust.double()
    maximise = maximiser(student, BALL, inner)
    if fast:
        maximise = fast.maximiser(maximise, case.mode)
        fast.epoch_started(passes_per_step(case.spec, 2, case.epoch > 1 or case.spec.name != "iad").full_backward)
    optimizers = [torch.optim.SGD(student.parameters(), lr=0.05, momentum=0.9, fused=True), *method.optimizers()]
    method.epoch_started(case.epoch, 2)
    student.train()
    found = []
    for number, n in enumerate(BATCHES):
        torch.manual_seed(number)
        x, y = torch.rand(n, *IMAGE, dtype=torch.float64), torch.randint(CLASSES, (n,))
        if fast:
            loss = fast.run(lambda x, y: train_step(method, maximise, optimizers, x, y), x, y, None)
        else:
            loss = train_step(method, maximise, optimizers, x, y)
        gradients = {f"gradient of {k}": p.grad.clone() for k, p in student.named_parameters() if p.grad is not None}
        buffers = {k: v.clone() for k, v in student.named_buffers()}
        terms = {f"term {k}": v for k, v in loss.terms.items()}
        logits = {k: v for k, v in (("clean", loss.clean), ("robust", loss.robust)) if v is not None}
        learnt = flat(method.state_dict())
        found.append({"loss": loss.total.detach()} | terms | logits | gradients | buffers | learnt)
        method.epoch_ended()
    return found


def flat(state: Any, name: str = "method") -> dict[str, Tensor]:
    """The tensors of a nested state."""
    if isinstance(state, Tensor):
        return {name: state.detach().clone()}
    if isinstance(state, dict):
        return {key: value for k, inside in state.items() for key, value in flat(inside, f"{name}.{k}").items()}
    return {}


def talk(ranks: Ranks) -> dict[str, Any]:
    """One of everything that ranks say to each other."""
    said: dict[str, Any] = {"rows": {n: ranks.rows(n) for n in (0, 1, 3, 8, 9)}}
    for n in (1, 3, 8, 9):
        for dtype in (torch.float64, torch.bfloat16, torch.int64, torch.bool):
            whole = (torch.arange(5 * n).view(n, 5) % 3).to(dtype)
            said[f"gather {n} {dtype}"] = torch.equal(ranks.gather(whole[ranks.rows(n)], n), whole)
    x = torch.arange(10.0, dtype=torch.float64).view(5, 2).requires_grad_()
    whole = ranks.gather(2 * x[ranks.rows(5)], 5)
    (whole**2).sum().backward()  # 8 x in the own rows
    said["gradient"] = x.grad
    said["total"] = ranks.all_reduce(torch.tensor([1.0, ranks.rank]))
    said["agree"] = [ranks.any_rank(flag) for flag in (False, ranks.rank == ranks.world_size - 1, True)]
    said["share"] = ranks.share(5, lambda k: (k, ranks.rank, torch.full((k,), k)))
    said["lead"] = ranks.on_leader(lambda: ranks.rank)
    said["stopped"] = stopped(ranks)
    ranks.barrier()
    return said


def stopped(ranks: Ranks) -> tuple[list[int], str]:
    """The last rank is stopped in its first item: the others' items of that round arrive, then Stopped."""

    def compute(k: int) -> int:
        if k == ranks.world_size - 1:
            raise Stopped("SIGUSR1")
        return k

    seen = []
    try:
        for k, _item in ranks.each(3 * ranks.world_size, compute):
            seen.append(k)
    except Stopped as stop:
        return seen, stop.reason
    return seen, ""


def main() -> None:
    """Fork the ranks, and wait for them."""
    world, folder = int(sys.argv[1]), Path(sys.argv[2])
    torch.set_num_threads(1)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    trained(robust=True), trained()
    learn(CASES["natural"], None)  # the first optimiser imports for seconds
    os.environ.update(WORLD_SIZE=str(world), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    children = [os.fork() or _rank(rank, folder) for rank in range(world)]
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    sys.exit(max(map(abs, codes)))


def _rank(rank: int, folder: Path) -> int:
    os.environ |= {"RANK": str(rank), "TORCHELASTIC_RUN_ID": "test"}
    try:
        with join(torch.device("cpu")) as ranks:
            learnt = {name: learn(CASES[name], ranks) for name in (OF_TWO if ranks.world_size == 2 else CASES)}
            found = {"talk": talk(ranks), "learnt": learnt, "judged": hold(ranks, folder)}
            torch.save(found, folder / f"{rank}.pt")
            ranks.barrier()
    except BaseException:  # noqa: BLE001  the parent has a life of its own
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main()
