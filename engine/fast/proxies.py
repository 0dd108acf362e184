"""Proxies of student and teacher: a method sees two networks, and these choose which copy or table answers.

    inner maximisation, eval mode      student(z)  --> the folded copy, refreshed once a step
    inner maximisation, train mode     student(z)  --> the student, in the inner precision
    outer minimisation, two views      student(x_adv), then student(x)  --> one batch of both, batch norm for each half
    outer minimisation, one view       student(x_adv)                   --> the student
    natural images, with a table       teacher(x)                       --> looked up
    any other images                   teacher(z)                       --> the folded teacher

With several ranks each network sees its own rows only and the logits are gathered, so that every rank holds the
logits of the whole batch and computes the whole loss. In an inner maximisation in eval mode nothing is gathered: an
image's gradient depends on its own logits alone, so the logits of other ranks' images are zeros there.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import nn

from engine.fast.clock import StepClock
from engine.fast.folding import FoldedNet
from engine.fast.plan import FastPlan
from engine.fast.split_batchnorm import split_batches
from engine.runtime.distributed import Ranks
from engine.types import Images, Logits


class StudentProxy(nn.Module):
    """The student as its method sees it: logits of the whole batch, whatever copy computes them."""

    def __init__(
        self,
        net: nn.Module,
        plan: FastPlan,
        ranks: Ranks,
        outer: nn.Module | None = None,
        copy: FoldedNet | None = None,
    ) -> None:
        """`outer` is the same network behind its wrapper of data parallelism, where there is one."""
        super().__init__()
        self._plan, self._ranks = plan, ranks
        self._net, self._outer = [net], [outer or net]  # in lists: these modules are not this one's own
        self._copy = [] if copy is None else [copy]
        self.views = 1  # of a batch in the outer minimisation: x_adv, or 2 for x and x_adv
        self._inner_mode = ""  # eval or train, within the inner maximisation
        self._pair: tuple[Images, Images] | None = None  # the two views, until one is asked about
        self._pending: tuple[Images, Logits] | None = None  # the other view and its logits

    @property
    def net(self) -> nn.Module:
        return self._net[0]

    @contextmanager
    def climbing(self, mode: str) -> Iterator[None]:
        """Within, the inner maximisation, with the student's batch norm in this mode: eval or train."""
        if mode == "eval" and self._copy:
            self._copy[0].refresh()
        self._inner_mode = mode
        try:
            yield
        finally:
            self._inner_mode = ""

    def set_views(self, x: Images, x_adv: Images) -> None:
        self._pair = (x, x_adv) if self._plan.paired and self.views == 2 else None

    def step_ended(self) -> None:
        """RuntimeError when a method asked about one view of two: batch norm would have seen what it should not."""
        if self._pending is not None:
            raise RuntimeError("the method asked about one view of two; engine/spec/estimate.py counts two")

    def forget(self) -> None:
        self._pair = self._pending = None

    def forward(self, z: Images) -> Logits:
        """Logits of the whole batch, float32 (float64 for a net in float64)."""
        if self._inner_mode == "eval":
            return self._own_rows(self._copy[0] if self._copy else self.net, z)
        if self._inner_mode:
            return self._forward_one(self.net, z)
        if self._pending is not None and z is self._pending[0]:
            logits = self._pending[1]
            self._pending = None
            return logits
        if self._pair is not None and (z is self._pair[0] or z is self._pair[1]):
            other = self._pair[1] if z is self._pair[0] else self._pair[0]
            self._pair = None
            logits, later = self._forward_pair(z, other)
            self._pending = (other, later)
            return logits
        return self._forward_one(self._outer[0], z)

    def _own_rows(self, net: nn.Module, z: Images) -> Logits:
        """Logits of this rank's rows; those of other ranks are zeros, so that no rank waits for another."""
        if self._ranks.world_size == 1:
            alone: Logits = net(z)
            return alone
        rows = self._ranks.rows(len(z))
        own: Logits = net(z[rows])
        whole = own.new_zeros(len(z), own.shape[1])
        return whole.index_copy(0, torch.arange(rows.start, rows.stop, device=z.device), own)

    def _forward_one(self, net: nn.Module, z: Images) -> Logits:
        n = len(z)
        with self._split(1, n), self._precision(z):
            logits: Logits = net(z[self._ranks.rows(n)])
        return self._ranks.gather(_at_least_float32(logits), n)

    def _forward_pair(self, first: Images, second: Images) -> tuple[Logits, Logits]:
        """Both views in one batch, batch norm for each half in this order."""
        n, rows = len(first), self._ranks.rows(len(first))
        with self._split(2, n), self._precision(first):
            logits = _at_least_float32(self._outer[0](torch.cat([first[rows], second[rows]])))
        own = rows.stop - rows.start
        if self._ranks.world_size == 1:
            return logits[:own], logits[own:]
        side_by_side = self._ranks.gather(torch.cat([logits[:own], logits[own:]], dim=1), n)  # n 2K
        one, two = side_by_side.chunk(2, dim=1)
        return one, two

    def _split(self, parts: int, n: int) -> AbstractContextManager[None]:
        """Batch norm takes the parts of a batch, n images each over all ranks, as batches of their own."""
        several = self._ranks.world_size > 1
        return split_batches(self.net, parts, n if several else None, self._ranks if several else None)

    def _precision(self, z: Images) -> AbstractContextManager[object]:
        """The precision of a pass through the student itself; weights, batch statistics and losses stay float32."""
        dtype = self._plan.inner if self._inner_mode else self._plan.outer
        return nullcontext() if dtype == torch.float32 else torch.autocast(z.device.type, dtype=dtype)


class TeacherProxy(nn.Module):
    """The teacher as a method sees it: frozen, folded, and not asked where a table holds its logits."""

    def __init__(self, net: nn.Module, ranks: Ranks, clock: StepClock, copy: FoldedNet | None = None) -> None:
        super().__init__()
        self._net, self._computing = [net], [copy or net]  # in lists: these modules are not this one's own
        self._ranks, self._clock = ranks, clock
        self._known: tuple[Images, Logits] | None = None

    @property
    def net(self) -> nn.Module:
        return self._net[0]

    def set_known(self, x: Images, logits: Logits) -> None:
        """Answer `logits` (this rank's rows) when asked about the very tensor x."""
        self._known = (x, logits)

    def forget(self) -> None:
        self._known = None

    def compute(self, x: Images) -> Logits:
        """Logits of exactly these images, B K, computed by this rank alone."""
        logits: Logits = self._computing[0](x)
        return logits

    def forward(self, z: Images) -> Logits:
        n = len(z)
        with self._clock.part("teacher"):
            if self._known is not None and z is self._known[0]:
                own = self._known[1]
            else:
                own = self.compute(z[self._ranks.rows(n)])
            return self._ranks.gather(own, n)


def _at_least_float32(logits: Logits) -> Logits:
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
