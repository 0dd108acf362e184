"""Who answers when a method asks its student or its teacher. The methods do not know: they see two networks.

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

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn

from engine.fast.clock import StepClock
from engine.fast.folding import FoldedNet
from engine.fast.plan import FastPlan
from engine.fast.split_batchnorm import split_batches
from engine.runtime.distributed import Ranks
from engine.types import Images, Logits

SINGLE = 1
BOTH = 2


class StudentProxy(nn.Module):
    """The student as its method sees it."""

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
        self.views = SINGLE  # of the batch that a method asks about in its outer minimisation: x_adv, or x and x_adv
        self._climbs = ""  # eval or train, within the inner maximisation
        self._pair: tuple[Images, Images] | None = None
        self._waiting: tuple[Images, Logits] | None = None

    @property
    def net(self) -> nn.Module:
        """The network that learns."""
        return self._net[0]

    @contextmanager
    def climbing(self, mode: str) -> Iterator[None]:
        """The inner maximisation, with the student's batch norm in this mode: eval or train."""
        if mode == "eval" and self._copy:
            self._copy[0].refresh()
        self._climbs = mode
        try:
            yield
        finally:
            self._climbs = ""

    def met(self, x: Images, x_adv: Images) -> None:
        """The two views that the outer minimisation may ask about."""
        self._pair = (x, x_adv) if self._plan.paired and self.views == BOTH else None

    def step_ended(self) -> None:
        """RuntimeError when a method left half of its pair unasked: batch norm would have seen what it should not."""
        if self._waiting is not None:
            raise RuntimeError("the method asked about one view of two; engine/spec/passes.py counts two")

    def forget(self) -> None:
        """The step is over, however it ended: its views and logits are nobody's any more."""
        self._pair = self._waiting = None

    def forward(self, z: Images) -> Logits:
        """Logits of the whole batch, float32 (float64 for a net in float64)."""
        if self._climbs == "eval":
            return self._own_rows(self._climber(), z)
        if self._climbs:
            return self._alone(self.net, z)
        if self._waiting is not None and z is self._waiting[0]:
            logits = self._waiting[1]
            self._waiting = None
            return logits
        if self._pair is not None and (z is self._pair[0] or z is self._pair[1]):
            other = self._pair[1] if z is self._pair[0] else self._pair[0]
            self._pair = None
            logits, later = self._together(z, other)
            self._waiting = (other, later)
            return logits
        return self._alone(self._outer[0], z)

    def _climber(self) -> Callable[[Images], Logits]:
        return self._copy[0] if self._copy else self.net

    def _own_rows(self, ask: Callable[[Images], Logits], z: Images) -> Logits:
        """No rank waits for another: the rows of other ranks are zeros."""
        if self._ranks.world_size == 1:
            return ask(z)
        rows = self._ranks.rows(len(z))
        own = ask(z[rows])
        whole = own.new_zeros(len(z), own.shape[1])
        return whole.index_copy(0, torch.arange(rows.start, rows.stop, device=z.device), own)

    def _alone(self, net: nn.Module, z: Images) -> Logits:
        if self._ranks.world_size == 1:
            with self._precision(z):
                logits: Logits = net(z)
            return logits.to(_full(logits))
        rows = self._ranks.rows(len(z))
        with split_batches(self.net, 1, (len(z),), self._ranks), self._precision(z):
            logits = net(z[rows])
        return self._ranks.gather(logits.to(_full(logits)), len(z))

    def _together(self, first: Images, second: Images) -> tuple[Logits, Logits]:
        """Both views in one batch, batch norm for each half in this order."""
        n = len(first)
        rows = self._ranks.rows(n)
        several = self._ranks.world_size > 1
        together = split_batches(self.net, BOTH, (n, n) if several else None, self._ranks if several else None)
        with together, self._precision(first):
            logits: Logits = self._outer[0](torch.cat([first[rows], second[rows]]))
        logits = logits.to(_full(logits))
        if self._ranks.world_size == 1:
            return logits[:n], logits[n:]
        own = rows.stop - rows.start
        side_by_side = self._ranks.gather(torch.cat([logits[:own], logits[own:]], dim=1), n)  # n 2K
        one, two = side_by_side.chunk(2, dim=1)
        return one, two

    def _precision(self, z: Images) -> AbstractContextManager[object]:
        """Of a pass through the student itself; weights, batch statistics and losses stay float32."""
        dtype = self._plan.inner if self._climbs else self._plan.outer
        return nullcontext() if dtype == torch.float32 else torch.autocast(z.device.type, dtype=dtype)


class TeacherProxy(nn.Module):
    """The teacher as a method sees it: frozen, folded, and silent where its table knows the answer."""

    def __init__(self, net: nn.Module, ranks: Ranks, clock: StepClock, copy: FoldedNet | None = None) -> None:
        super().__init__()
        self._net, self._asked = [net], [copy or net]  # in lists: these modules are not this one's own
        self._ranks, self._clock = ranks, clock
        self._known: tuple[Images, Logits] | None = None

    @property
    def net(self) -> nn.Module:
        """The teacher itself."""
        return self._net[0]

    def knows(self, x: Images, logits: Logits) -> None:
        """The answer to the very tensor x is `logits`, of this rank's rows."""
        self._known = (x, logits)

    def forget(self) -> None:
        """The step is over."""
        self._known = None

    def compute(self, x: Images) -> Logits:
        """The network's own answer, B K, whatever the ranks do."""
        logits: Logits = self._asked[0](x)
        return logits

    def forward(self, z: Images) -> Logits:
        """Logits of the whole batch."""
        with self._clock.part("teacher"):
            if self._known is not None and z is self._known[0]:
                own = self._known[1]
            else:
                own = self.compute(z[self._ranks.rows(len(z))] if self._ranks.world_size > 1 else z)
            return self._ranks.gather(own, len(z)) if self._ranks.world_size > 1 else own


def _full(logits: Tensor) -> torch.dtype:
    return torch.promote_types(logits.dtype, torch.float32)
