"""The processes (ranks) that work on one run, and their collectives. With world_size 1 every call is the identity.

Every rank holds the whole batch; networks are asked about a rank's own rows only, and their answers are gathered. So
every rank computes the whole loss, and the true gradient of a weight is the sum of the ranks' gradients.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from engine.runtime import torchrun
from engine.runtime.interrupt import Stopped

T = TypeVar("T")

MEETING = timedelta(minutes=10)  # until the last rank has come
COLLECTIVE = timedelta(minutes=30)  # of tensors on GPUs, all ranks being in the same step
LONGEST_BATCH = timedelta(hours=24)  # of objects and flags: a rank may wait while another attacks a batch of images
SOON, LOOK_SECONDS = 0.001, 0.0005  # of looking again at once, then between looks, whether the others have come
CPU = torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """This process among the ranks of its run, and what they exchange."""

    rank: int = 0
    world_size: int = 1
    device: torch.device = CPU
    cpu_group: dist.ProcessGroup | None = None  # gloo, for what lies on the CPU: flags, objects, tensors
    while_waiting: Callable[[], None] = lambda: None  # called again and again while others are slower

    @property
    def is_leader(self) -> bool:
        """Whether this rank writes the run folder: exactly one does."""
        return self.rank == 0

    def rows(self, n: int) -> slice:
        """This rank's rows of a batch of n: contiguous, their number equal over the ranks up to one, possibly none."""
        share, more = divmod(n, self.world_size)
        start = self.rank * share + min(self.rank, more)
        return slice(start, start + share + (self.rank < more))

    def gather(self, own: Tensor, n: int) -> Tensor:
        """The rows of all ranks, in order: this rank's own (rows(n) first) become n rows on every rank.

        Backward, each rank keeps the gradient of its own rows: its loss is the whole loss.
        """
        if self.world_size == 1:
            return own
        gathered: Tensor = _Gather.apply(own, self, n)
        return gathered

    def all_reduce(self, tensor: Tensor) -> Tensor:
        """The sum over the ranks, equal to the last bit on all of them. A new tensor, without a graph."""
        if self.world_size == 1:
            return tensor.detach()
        summed = tensor.detach().clone(memory_format=torch.contiguous_format)
        dist.all_reduce(summed, group=self.group_of(summed))
        return summed

    def any_rank(self, flag: bool) -> bool:
        if self.world_size == 1:
            return flag
        raised = torch.tensor([flag], dtype=torch.int32)
        self._await(dist.all_reduce(raised, op=dist.ReduceOp.MAX, group=self.cpu_group, async_op=True))
        return bool(raised)

    def share(self, count: int, compute: Callable[[int], T]) -> list[T]:
        """`compute(k)` for k < count, each by one rank; every rank gets all, in order. See `each`."""
        return [item for _, item in self.each(count, compute)]

    def each(self, count: int, compute: Callable[[int], T]) -> Iterator[tuple[int, T]]:
        """(k, compute(k)) for k < count, in order, on every rank; item k is computed by rank k % world_size alone.

        A round gives one item to each rank. When one is stopped in its item, all raise Stopped after that round, behind
        the items that were finished in it. All ranks must take every item: the rounds keep them in step.
        """
        if self.world_size == 1:
            yield from ((k, compute(k)) for k in range(count))
            return
        for first in range(0, count, self.world_size):
            k, done, stop = first + self.rank, [], ""
            try:
                done = [(k, compute(k))] if k < count else []
            except Stopped as stopped:
                stop = stopped.reason
            told: list[tuple[list[tuple[int, T]], str]] = self._all_gather_object((done, stop))
            for finished, _ in told:
                yield from finished
            if reasons := [reason for _, reason in told if reason]:
                raise Stopped(reasons[0])

    def on_leader(self, compute: Callable[[], T]) -> T:
        """Computed by the leading rank alone, and given to all; a Stopped in there is raised on all."""
        return self.share(1, lambda _: compute())[0]

    def barrier(self) -> None:
        if self.world_size > 1:
            self._await(dist.barrier(group=self.cpu_group, async_op=True))

    def __enter__(self) -> "Ranks":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Leave the group. After an error nothing is waited for: this process is to end."""
        if self.world_size > 1 and (kind is None or issubclass(kind, Stopped)):
            dist.destroy_process_group()

    def _all_gather_object(self, thing: Any) -> list[Any]:  # noqa: ANN401  whatever can be pickled
        """Every rank's object, by rank; a rank that comes early calls `while_waiting`."""
        self.barrier()
        told: list[Any] = [None] * self.world_size
        dist.all_gather_object(told, thing, group=self.cpu_group)
        return told

    def _await(self, work: dist.Work | None) -> None:
        """Until the others have come; RuntimeError when one of them is gone."""
        assert work is not None
        patient = time.monotonic() + SOON
        while not work.is_completed():
            late = time.monotonic() > patient
            if late:
                self.while_waiting()
            time.sleep(LOOK_SECONDS if late else 0)
        work.wait()

    def group_of(self, tensor: Tensor) -> dist.ProcessGroup | None:
        """NCCL for what lies on a GPU, gloo for the rest."""
        return self.cpu_group if tensor.device.type == "cpu" else None


ALONE = Ranks()


class _Gather(torch.autograd.Function):
    """Forward: all rows, from all ranks. Backward: the gradient of the own rows."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, ranks: Ranks, n: int) -> Tensor:  # noqa: ANN401
        rows = ctx.rows = ranks.rows(n)
        if len(own) != rows.stop - rows.start:
            raise ValueError(
                f"rank {ranks.rank} gathers {len(own)} rows of {n}; its own are {rows.start} to {rows.stop}"
            )
        most = -(-n // ranks.world_size)
        padded = own.new_zeros(most, *own.shape[1:])
        padded[: len(own)] = own
        gathered = own.new_empty(ranks.world_size * most, *own.shape[1:])
        dist.all_gather_into_tensor(gathered, padded, group=ranks.group_of(own))
        if n % ranks.world_size == 0:
            return gathered
        sizes = [replace(ranks, rank=rank).rows(n) for rank in range(ranks.world_size)]
        return torch.cat([part[: s.stop - s.start] for part, s in zip(gathered.split(most), sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401
        return gradients[0][ctx.rows].contiguous(), None, None


def join(device: torch.device, while_waiting: Callable[[], None] = lambda: None) -> Ranks:
    """The group that torchrun's environment names; without one world_size 1. RuntimeError when the others do not come.

    `while_waiting` is called while this rank waits for others: on a slow machine a batch takes minutes.
    """
    place = torchrun.place()
    if place is None:
        return Ranks(device=device)
    if device.type == "cuda":
        dist.init_process_group("nccl", timeout=COLLECTIVE, device_id=device)
    else:
        dist.init_process_group("gloo", timeout=MEETING)
    group = dist.new_group(backend="gloo", timeout=LONGEST_BATCH)
    assert isinstance(group, dist.ProcessGroup), "every rank is in this group"
    return Ranks(
        rank=place.rank, world_size=place.world_size, device=device, cpu_group=group, while_waiting=while_waiting
    )
