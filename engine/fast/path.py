"""The fast path of one run: what is switched on, put together, around `train.train_step`.

Feed --> x, y, views --TeacherLogits--> T(x), looked up
   |                                  |
   +--> train_step: method.loss --asks--> TeacherProxy, StudentProxy --> backward --> update        eagerly, or
   +--> the same, recorded once an epoch as a CUDA graph and replayed                               as a graph
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.distributed import GradBucket  # type: ignore[attr-defined]  # in __init__, not in __all__
from torch.nn.parallel import DistributedDataParallel

from engine.data.augment import Draws, Feed
from engine.fast.clock import GRAPH, StepClock
from engine.fast.folding import FoldedNet, FoldingError
from engine.fast.graph import CapturedStep, Graph, GraphError, capturable, capture
from engine.fast.plan import FastPlan
from engine.fast.proxies import StudentProxy, TeacherProxy
from engine.fast.split_batchnorm import SplitBatchNormError, use_split_batchnorm
from engine.fast.teacher_logits import TeacherLogits
from engine.runtime.distributed import Ranks
from engine.spec.events import Warned
from engine.types import Images, Labels, Logits, Loss, Maximise, Nets, Objective


class FastPath:
    """The fast path of one run. Without a plan, and with one rank, each network computes what the method asks of it."""

    def __init__(self, nets: Nets, plan: FastPlan | None = None, ranks: Ranks | None = None) -> None:
        """`nets` are the real ones; `self.nets` are those that a method is to be given."""
        self.plan, self.ranks = plan or FastPlan(), ranks or Ranks(device=nets.device)
        self.clock, self.notes = StepClock(nets.device), list[str]()
        self.table: TeacherLogits | None = None
        self._feed: Feed | None = None
        self._captured: CapturedStep | None = None
        self._warnings: list[Warned] = []
        self._split_batchnorm(nets.student)
        outer = _data_parallel(nets.student) if self.ranks.world_size > 1 else nets.student
        copy = self._fold(nets.student, "student", "inner") if self.plan.folded else None
        self.student = StudentProxy(nets.student, self.plan, self.ranks, outer, copy)
        self.teacher: TeacherProxy | None = None
        if nets.teacher is not None:
            wanted = self.plan.folded_teacher or self.plan.teacher != torch.float32
            copy = self._fold(nets.teacher, "teacher", "teacher") if wanted else None
            self.teacher = TeacherProxy(nets.teacher, self.ranks, self.clock, copy)
        self.nets = nets._replace(student=self.student, teacher=self.teacher)

    def with_table(self, table: TeacherLogits, feed: Feed) -> None:
        """Look up the teacher's logits of the feed's images from now on; the table holds them all."""
        self.table, self._feed, self.plan = table, feed, replace(self.plan, table="complete")

    def without_table(self) -> None:
        """Ask the teacher at every step from now on; a table is closed."""
        if self.table is not None:
            self.table.close()
        self.table, self.plan = None, replace(self.plan, table="off")

    def record(
        self,
        step: Callable[[Images, Labels], Loss],
        state: Callable[[], Any],
        optimizers: Sequence[torch.optim.Optimizer] = (),
    ) -> None:
        """From now on `run` may capture this step; `state` gives every tensor that it changes."""

        def capture_step(work: Callable[[], Loss]) -> tuple[Graph, Loss]:
            with capturable(optimizers):
                return capture(work)

        if self.plan.graphs:
            self._captured = CapturedStep(
                lambda x, y, known: self._eager(step, x, y, known), state, capture_step, lambda: self.clock.part(GRAPH)
            )

    def maximiser(self, plain: Maximise, mode: str) -> Maximise:
        """The adversary, climbing on the student's proxy; `mode` is that of the student's batch norm."""

        def maximise(objective: Objective, x: Images) -> Images:
            with self.clock.part("inner"), self.student.climbing(mode):
                x_adv = plain(objective, x)
            self.student.set_views(x, x_adv)
            return x_adv

        return maximise

    def epoch_started(self, views: int) -> None:
        """`views`: how many views of a batch the student learns from in this epoch: x_adv, or x and x_adv."""
        if self._captured is not None:
            self._captured.forget(another=views != self.student.views)
        self.student.views = views

    def known(self, draws: Draws, number: int, x: Images) -> Logits | None:
        """The teacher's logits on this rank's rows of x, which is batch `number`, where there is a table.

        `draws` lie on the CPU: nothing waits for the device to know which views are looked up.
        """
        if self.table is None or self._feed is None:
            return None
        with self.clock.part("teacher"):
            rows = self.ranks.rows(len(x))
            found = self.table.read(Draws(*(part[rows] for part in self._feed.views(draws, number))))
            found = found.pin_memory() if x.is_cuda else found  # else the host would wait for the copy
            return found.to(x.device, non_blocking=True)

    def run(self, step: Callable[[Images, Labels], Loss], x: Images, y: Labels, known: Logits | None) -> Loss:
        """One step, as a graph where that is possible. The loss comes without its graph of autograd."""
        if self._captured is not None:
            try:
                loss = self._captured(x, y, known)
                self.clock.step_ended()
                return loss
            except GraphError as error:
                self._captured = None
                self._warnings.append(Warned(code="graphs_off", message=f"no CUDA graphs: {error.what}"))
        loss = self._eager(step, x, y, known)
        return loss._replace(total=loss.total.detach())

    def take_warnings(self) -> list[Warned]:
        taken, self._warnings = self._warnings, []
        return taken

    def close(self) -> None:
        self._captured = None
        self.without_table()

    def _eager(self, step: Callable[[Images, Labels], Loss], x: Images, y: Labels, known: Logits | None) -> Loss:
        if self.teacher is not None and known is not None:
            self.teacher.set_known(x, known)
        try:
            with self.clock.part("outer"):
                loss = step(x, y)
            self.student.step_ended()
        finally:
            self.student.forget()
            if self.teacher is not None:
                self.teacher.forget()
        self.clock.step_ended()
        return loss

    def _split_batchnorm(self, student: nn.Module) -> None:
        """Make batch norm ready for two views in one batch; where their statistics would mix, there are two batches."""
        if not (self.plan.paired or self.ranks.world_size > 1):
            return
        try:
            use_split_batchnorm(student)
        except SplitBatchNormError as error:
            if self.ranks.world_size > 1:
                raise
            self.notes.append(f"two batches in the outer step: {error.what}")
            self.plan = replace(self.plan, paired=False)

    def _fold(self, net: nn.Module, who: str, part_of_plan: str) -> FoldedNet | None:
        """A folded copy in the precision that the plan wants; None, with a note, of a net that cannot be traced."""
        dtype: torch.dtype = getattr(self.plan, part_of_plan)
        casts = next(net.parameters()).dtype == torch.float32 and dtype != torch.float32
        weights = [module.weight for module in net.modules() if isinstance(module, nn.Conv2d)]
        layout, last = torch.contiguous_format, torch.channels_last
        if any(w.is_contiguous(memory_format=last) and not w.is_contiguous() for w in weights):  # 1 x 1 is both
            layout = last
        try:
            return FoldedNet(net, dtype if casts else None, layout)
        except FoldingError as error:
            self.notes.append(f"the {who} is not folded, and asked in float32: {error.what}")
            folded = "folded" if who == "student" else "folded_teacher"
            changes: dict[str, Any] = {part_of_plan: torch.float32, folded: False}
            self.plan = replace(self.plan, **changes)
            return None


def _data_parallel(student: nn.Module) -> nn.Module:
    """The student in torch's wrapper of data parallelism, which adds the ranks' gradients up during the backward pass.

    Each rank's loss is that of the whole batch, so gradients are summed, and not averaged as the wrapper would.
    """
    # parameters that no image passes: TRADES' form of the Wide ResNet has some; to look for them costs every step time
    unused = any(name.startswith("sub_block1.") for name, _ in student.named_parameters())
    wrapped = DistributedDataParallel(student, broadcast_buffers=False, find_unused_parameters=unused)

    def add_up(group: Any, bucket: GradBucket) -> torch.futures.Future[torch.Tensor]:  # noqa: ANN401  the state
        work = torch.distributed.all_reduce(bucket.buffer(), group=group, async_op=True)
        assert work is not None
        return work.get_future().then(lambda done: done.value()[0])

    wrapped.register_comm_hook(None, add_up)
    return wrapped
