"""A whole training step as one CUDA graph: teacher, inner maximisation, both forwards, backward and update.

    x, y, the teacher's logits --copied--> memory that stays --> graph: ~2,000 kernels, launched at once --> Loss

Captured anew in each epoch, since learning rate and method may change with it. The noise of the attack is drawn
inside: a graph takes seed and offset from torch's generator at each replay, so its draws are those of an eager step.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from engine.spec.errors import CrdndError
from engine.types import Images, Labels, Logits, Loss

log = logging.getLogger("crdnd")
WARMUP = 3  # eager steps before the first capture: libraries choose their kernels, the optimiser makes its buffers
LOSS_TOLERANCE = 0.05  # relative: bfloat16 kernels may be others in a graph
WEIGHT_TOLERANCE = 0.5  # of the step's length: stale inputs would give an update of another direction

Step = Callable[[Images, Labels, Logits | None], Loss]
Inputs = tuple[Images, Labels, Logits | None]


@runtime_checkable
class Graph(Protocol):
    def replay(self) -> None: ...


Capture = Callable[[Callable[[], Loss]], tuple[Graph, Loss]]


class GraphError(CrdndError):
    """The captured step is not the eager one; the run goes on without graphs."""


def capture(work: Callable[[], Loss]) -> tuple[Graph, Loss]:
    """Record `work` on the current GPU without running it; its result is in memory that every replay writes.

    When that fails, stream, generator and allocator are as before, and the error of `work` itself is raised. torch
    leaves its block before its own undoing: the capture's stream is still current, the generator of torch 2.11 and
    2.12 refuses the next draw, and the allocator goes on to reserve memory for a capture.
    """
    graph, pool, stream = torch.cuda.CUDAGraph(), torch.cuda.graph_pool_handle(), torch.cuda.current_stream()
    cause: list[BaseException] = []
    try:
        with torch.cuda.graph(graph, pool=pool):
            try:
                loss = work()
            except BaseException as error:  # leaving the block raises another one, which names no cause
                cause.append(error)
                raise
    except BaseException as error:  # noqa: BLE001  raised again below
        torch.cuda.set_stream(stream)
        graph.reset()
        generator = torch.cuda.default_generators[stream.device_index]
        generator.graphsafe_set_state(generator.clone_state())
        try:
            torch._C._cuda_endAllocateToPool(stream.device_index, pool)
        except RuntimeError as ended:  # the capture was ended, and something failed behind it
            log.debug("the allocator serves no capture: %s", ended)
        else:
            torch._C._cuda_releasePool(stream.device_index, pool)
        raise next(iter(cause), error) from None
    return graph, loss


@contextmanager
def capturable(optimizers: Sequence[torch.optim.Optimizer]) -> Iterator[None]:
    """Within, optimisers are marked capturable, which Adam requires; its fused kernel is the same either way."""
    groups = [group for optimizer in optimizers for group in optimizer.param_groups if "capturable" in group]
    found = [group["capturable"] for group in groups]
    for group in groups:
        group["capturable"] = True
    try:
        yield
    finally:
        for group, before in zip(groups, found, strict=True):
            group["capturable"] = before


class CapturedStep:
    """Steps of one batch size, replayed. `state` gives every tensor that a step changes."""

    def __init__(
        self,
        step: Step,
        state: Callable[[], Any],
        capture: Capture = capture,
        timed: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """`timed` is entered around each replay."""
        self._step, self._state, self._capture, self._timed = step, state, capture, timed
        self._seen, self._checked = 0, False
        self._inputs: Inputs | None = None  # the memory that a graph reads
        self._recorded: tuple[Graph, Loss] | None = None

    def forget(self, *, another: bool = False) -> None:
        """An epoch begins: what was captured may not hold any more.

        `another`: the step itself is another one. Kernels that it alone runs are chosen in eager steps, never in a
        capture, and its graph is compared with an eager step before it is believed.
        """
        self._recorded = None
        if another:
            self._seen, self._checked = 0, False

    def __call__(self, x: Images, y: Labels, known: Logits | None) -> Loss:
        """One step. GraphError, with the state as it was before the step, when capturing fails."""
        self._seen += 1
        if self._inputs is None or len(x) > len(self._inputs[0]):  # a whole batch
            self.forget()
            self._inputs = (x.clone(), y.clone(), None if known is None else known.clone())
        kept, given = self._inputs, (x, y, known)
        if self._seen <= WARMUP or len(x) < len(kept[0]) or (known is None) != (kept[2] is None):
            return _cut(self._step(*given))
        if self._recorded is None:
            self._recorded = self._record(kept, given)
        else:
            _fill(kept, given)
            with self._timed():
                self._recorded[0].replay()
        return self._recorded[1]

    def _record(self, kept: Inputs, given: Inputs) -> tuple[Graph, Loss]:
        """Capture a step, and do it; the first time, compare it with the eager one from the same start.

        While it is captured the inputs hold an earlier batch: what does not read them anew is found out.
        """
        before = [tensor.clone() for tensor in tensors(self._state())]
        seed = torch.initial_seed()
        try:
            graph, loss = self._capture(lambda: _cut(self._step(*kept)))
            _fill(kept, given)
            expected = None if self._checked else self._eager(kept, before, seed)
            torch.manual_seed(seed)
            with self._timed():
                graph.replay()
            if expected is not None:
                self._compare(float(loss.total), *expected, before)
        except (RuntimeError, GraphError) as error:
            self._restore(before, seed)
            if isinstance(error, GraphError):
                raise
            # of capturing: an operation that a graph cannot hold
            raise GraphError(f"the step cannot be captured: {str(error).splitlines()[0]}") from error
        self._checked = True
        return graph, loss

    def _eager(self, kept: Inputs, before: list[Tensor], seed: int) -> tuple[float, list[Tensor]]:
        """Loss and state after an eager step, which is then taken back."""
        torch.manual_seed(seed)
        loss = float(_cut(self._step(*kept)).total)
        after = [tensor.clone() for tensor in tensors(self._state())]
        self._restore(before, seed)
        return loss, after

    def _restore(self, before: list[Tensor], seed: int) -> None:
        for tensor, value in zip(tensors(self._state()), before, strict=True):
            tensor.copy_(value)
        torch.manual_seed(seed)

    def _compare(self, found: float, loss: float, after: list[Tensor], before: list[Tensor]) -> None:
        if not abs(found - loss) <= LOSS_TOLERANCE * max(abs(loss), 1e-6):
            raise GraphError(f"the captured step has a loss of {found:.6g}, the eager one of {loss:.6g}")
        length = _distance(after, before)
        apart = _distance(tensors(self._state()), after)
        if not apart <= WEIGHT_TOLERANCE * length + 1e-12:
            raise GraphError(f"the captured step ends {apart / max(length, 1e-12):.2f} steps beside the eager one")


def _fill(kept: Inputs, given: Inputs) -> None:
    for memory, value in zip(kept, given, strict=True):
        if memory is not None and value is not None:
            memory.copy_(value, non_blocking=True)


def tensors(state: Any) -> list[Tensor]:  # noqa: ANN401  nested dictionaries and lists
    """All floating-point and integer tensors in a nested state, in order, as they are and not copied."""
    if isinstance(state, Tensor):
        return [state.detach()]
    if isinstance(state, dict):
        return [found for value in state.values() for found in tensors(value)]
    if isinstance(state, list | tuple):
        return [found for value in state for found in tensors(value)]
    return []


def _distance(some: Iterable[Tensor], others: Iterable[Tensor]) -> float:
    """Euclidean, over the floating-point tensors; single numbers count steps, and would outweigh the rest."""
    pairs = [(a, b) for a, b in zip(some, others, strict=True) if a.is_floating_point() and a.dim()]
    return float(torch.stack([(a.double() - b.double()).square().sum() for a, b in pairs]).sum().sqrt())


def _cut(loss: Loss) -> Loss:
    """Without its graph: nodes of autograd that outlive a step would tie the next one to this one's stream."""
    return loss._replace(total=loss.total.detach())
