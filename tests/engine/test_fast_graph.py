"""Steps as a graph, with a fake of CUDA's: it holds the work and the memory, and does it again when replayed."""

import copy
from contextlib import contextmanager
from types import SimpleNamespace
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from engine.fast import path
from engine.fast.graph import WARMUP, CapturedStep, GraphError, capturable, tensors
from engine.fast.plan import FastPlan
from engine.spec.events import Warned
from engine.spec.methods import ARD, CRDND, IAD, RSLAD, TRADES
from engine.spec.training import Training
from engine.train import optim
from engine.train.step import train_step
from engine.types import Loss, TrainingMethod
from tests.engine.fast_bench import Net, batch, trainer
from tests.engine.test_trainer import Journal, label, same

GRAPHS = FastPlan(folded=True, paired=True, graphs=True)
EAGER = FastPlan(folded=True, paired=True)
LEARNED = CRDND(pool="nat_adv", anchor="teacher", off_diagonal="learned")


class Fake:
    """What a CUDA graph would do: nothing when it is captured, and at each replay everything, into the same memory."""

    def __init__(self, state, spoil=None) -> None:
        self.state, self.spoil, self.captures, self.replays = state, spoil, 0, 0
        self.optimizers, self.found = [], []  # and what their groups said about capturing, at each capture

    def __call__(self, work):
        self.captures += 1
        before, generator = [t.clone() for t in tensors(self.state())], torch.get_rng_state()
        self.loss, self.work = work(), work
        self.found.append([group.get("capturable") for o in self.optimizers for group in o.param_groups])
        self.then = [t.clone() for t in tensors(self.state())]
        put(self.state(), before)
        torch.set_rng_state(generator)
        return self, self.loss

    def replay(self) -> None:
        self.replays += 1
        if self.spoil == "stale":  # what was computed when it was captured
            put(self.state(), self.then)
            return
        for kept, new in zip(parts(self.loss), parts(self.work()), strict=True):
            kept.copy_(new)
        if self.spoil == "weights":
            for tensor in tensors(self.state()):
                tensor.add_(1)
            for optimizer in self.optimizers:  # as after a gradient that is not finite
                optimizer.found_inf.fill_(1)
        if self.spoil == "raises":
            raise RuntimeError("operation not permitted when stream is capturing\nmore lines")


def put(state, values) -> None:
    for tensor, value in zip(tensors(state), values, strict=True):
        tensor.copy_(value)


def parts(loss: Loss) -> list[Tensor]:
    return [loss.total, *loss.terms.values(), *(t for t in (loss.clean, loss.robust) if t is not None)]


class Run(NamedTuple):
    journal: Journal
    fake: Fake
    made: object


def run(spec, plan: FastPlan, monkeypatch: pytest.MonkeyPatch, spoil: str | None = None, watch=None) -> Run:
    journal = Journal()
    made = trainer(spec, journal, plan)
    fake = Fake(made._moving, spoil)
    fake.optimizers = made.optimizers
    monkeypatch.setattr(path, "capture", fake)
    if watch is not None:
        watch(made)
    made.run()
    return Run(journal, fake, made)


@pytest.mark.parametrize("spec", [RSLAD(), TRADES(), ARD(alpha=1.0), IAD(begin=1), CRDND(), LEARNED], ids=label)
def test_replayed_steps_are_the_eager_ones_bit_for_bit(spec, monkeypatch: pytest.MonkeyPatch):
    """7 steps an epoch, of which the last is smaller: captured at step 4, and once more in the second epoch.

    IAD's step is another one from its second epoch on: it is warmed up again.
    """
    graph, eager = run(spec, GRAPHS, monkeypatch), run(spec, EAGER, monkeypatch)
    again = 3 if isinstance(spec, IAD) else 6
    assert (graph.fake.captures, graph.fake.replays, eager.fake.captures) == (2, 3 + again, 0)
    assert graph.journal.facts() == eager.journal.facts()
    assert same(graph.journal.state(), eager.journal.state())


def test_a_captured_step_reads_the_same_memory_and_every_batch_lies_in_it(monkeypatch: pytest.MonkeyPatch):
    seen, shown = [], []

    def watch(made) -> None:
        step, replay = made.fast._captured._step, made.fast.run
        made.fast._captured._step = lambda x, y, known: (seen.append((id(x), x.clone())), step(x, y, known))[1]
        made.fast.run = lambda s, x, y, known: (shown.append(x.clone()), replay(s, x, y, known))[1]

    done = run(RSLAD(), GRAPHS, monkeypatch, watch=watch)
    assert done.fake.replays == 9
    places = [place for place, _x in seen]
    static = max(set(places), key=places.count)
    assert places.count(static) == 2 + 1 + 9  # captured twice, compared once, and replayed
    replayed = [x for place, x in seen if place == static][2:][:3]  # behind capture and comparison: steps 4, 5, 6
    assert all(torch.equal(a, b) for a, b in zip(replayed, shown[3:6], strict=True))


@pytest.mark.parametrize("spoil", ["stale", "weights", "raises"])
@pytest.mark.parametrize("spec", [RSLAD(), LEARNED], ids=label)
def test_a_graph_that_does_something_else_is_refused_and_the_run_goes_on_as_if_there_had_been_none(
    spec, spoil, monkeypatch: pytest.MonkeyPatch
):
    refused, eager = run(spec, GRAPHS, monkeypatch, spoil), run(spec, EAGER, monkeypatch)
    assert (refused.fake.captures, refused.fake.replays) == (1, 1)
    (warned,) = [event for event in refused.journal.events if isinstance(event, Warned)]
    assert warned.code == "graphs_off" and "\n" not in warned.message
    wanted = {"raises": "cannot be captured", "stale": "eager one", "weights": "beside the eager one"}[spoil]
    assert wanted in warned.message
    refused.journal.events.remove(warned)
    assert refused.journal.facts() == eager.journal.facts()
    assert same(refused.journal.state(), eager.journal.state())


def test_a_step_that_breaks_while_it_is_captured_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch):
    """Between the two views of a pair, whose second half nobody fetches then."""

    def watch(made) -> None:
        forward, calls = made.fast.student.forward, []

        def breaks(z: Tensor) -> Tensor:
            if made.fast.student._pending is not None:
                calls.append(len(z))
                if len(calls) == 4:
                    raise RuntimeError("CUDA error: operation not permitted when stream is capturing")
            return forward(z)

        made.fast.student.forward = breaks

    broken, eager = run(RSLAD(), GRAPHS, monkeypatch, watch=watch), run(RSLAD(), EAGER, monkeypatch)
    assert [event.code for event in broken.journal.events if isinstance(event, Warned)] == ["graphs_off"]
    assert broken.fake.replays == 0
    assert same(broken.journal.state()["student"], eager.journal.state()["student"])


def test_a_step_that_becomes_another_one_runs_eagerly_and_is_compared_before_its_graph_is_believed(
    monkeypatch: pytest.MonkeyPatch,
):
    """IAD begins to introspect: S(x) and T(x') never ran before, and a capture is no place to choose their kernels."""
    ran = []

    def watch(made) -> None:
        recorded = made.fast._captured
        step, record, eager = recorded._step, recorded._record, recorded._eager
        recorded._step = lambda x, y, known: (ran.append((made.epoch, "step")), step(x, y, known))[1]
        recorded._record = lambda *given: (ran.append((made.epoch, "capture")), record(*given))[1]
        recorded._eager = lambda *given: (ran.append((made.epoch, "compare")), eager(*given))[1]

    run(IAD(begin=1), GRAPHS, monkeypatch, watch=watch)
    for epoch in (1, 2):
        assert [what for when, what in ran if when == epoch][: WARMUP + 2] == ["step"] * WARMUP + ["capture", "step"]
        assert (epoch, "compare") in ran


class Cuda:
    """torch's CUDA by name, as versions 2.11 and 2.12 leave it when a capture fails.

    It is still on the capture's stream, and generator and allocator believe it to be under way.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stream, self.generator, self.pools, self.released, self.resets = "main", "free", set(), [], 0
        cuda = torch.cuda
        monkeypatch.setattr(cuda, "CUDAGraph", lambda: self)
        monkeypatch.setattr(cuda, "graph_pool_handle", lambda: (0, 1))
        monkeypatch.setattr(cuda, "current_stream", lambda: SimpleNamespace(name=self.stream, device_index=0))
        monkeypatch.setattr(cuda, "set_stream", lambda stream: setattr(self, "stream", stream.name))
        monkeypatch.setattr(cuda, "graph", self.capturing)
        monkeypatch.setattr(cuda, "default_generators", (self,))
        monkeypatch.setattr(torch._C, "_cuda_endAllocateToPool", self.end, raising=False)
        monkeypatch.setattr(torch._C, "_cuda_releasePool", lambda *pool: self.released.append(pool), raising=False)

    def reset(self) -> None:
        self.resets += 1

    def replay(self) -> None:
        raise AssertionError("nothing was captured")

    @contextmanager
    def capturing(self, _graph, pool=(0, 1)):
        self.stream, self.generator = "capture", "captured"
        self.pools.add(pool)
        try:
            yield
        except RuntimeError:
            raise RuntimeError("CUDA error: operation failed due to a previous error during capture") from None

    def clone_state(self) -> str:
        return "free"

    def graphsafe_set_state(self, state: str) -> None:
        self.generator = state

    def end(self, _device: int, pool: object) -> None:
        if pool not in self.pools:
            raise RuntimeError("endAllocatePool: not currently recording to mempool_id")
        self.pools.remove(pool)


@pytest.mark.parametrize("ended", [False, True], ids=["", "after its end"])
def test_behind_a_failed_capture_stream_generator_and_allocator_are_as_before_and_the_run_goes_on(
    ended, monkeypatch: pytest.MonkeyPatch
):
    """Each step is done once, with the same numbers; the cause is told, and not what torch says of it afterwards."""
    cuda, journal, steps = Cuda(monkeypatch), Journal(), []
    made = trainer(RSLAD(), journal, GRAPHS)
    step = made.fast._captured._step

    def breaks(x: Tensor, y: Tensor, known: Tensor | None) -> Loss:
        steps.append((cuda.stream, cuda.generator))
        if cuda.generator == "captured":
            if ended:
                cuda.pools.clear()
            raise RuntimeError("Cannot copy between CPU and CUDA tensors during CUDA graph capture")
        return step(x, y, known)

    made.fast._captured._step = breaks
    made.run()
    eager = run(RSLAD(), EAGER, monkeypatch)
    assert (cuda.stream, cuda.generator, cuda.pools, cuda.resets) == ("main", "free", set(), 1)
    assert cuda.released == ([] if ended else [(0, (0, 1))])
    assert steps == [("main", "free")] * WARMUP + [("capture", "captured")]
    (warned,) = [event for event in journal.events if isinstance(event, Warned)]
    assert warned.code == "graphs_off" and "Cannot copy between CPU and CUDA" in warned.message
    journal.events.remove(warned)
    assert journal.facts() == eager.journal.facts()
    assert same(journal.state(), eager.journal.state())


def test_adam_is_told_while_it_is_captured_and_only_then(monkeypatch: pytest.MonkeyPatch):
    done = run(LEARNED, GRAPHS, monkeypatch)
    assert done.fake.found == [[None, True], [None, True]]  # SGD needs no word
    assert [o.param_groups[0].get("capturable") for o in done.made.optimizers] == [None, False]
    adam = torch.optim.Adam([torch.nn.Parameter(torch.ones(1))], fused=True)
    with pytest.raises(ZeroDivisionError), capturable([adam]):
        assert adam.param_groups[0]["capturable"]
        raise ZeroDivisionError
    assert not adam.param_groups[0]["capturable"]


class Squares(TrainingMethod):
    """Mean square of the outputs, without noise."""

    def __init__(self, net: Net) -> None:
        self.net = net

    def loss(self, x, y, maximise) -> Loss:
        logits = self.net(x)
        return Loss(logits.square().mean(), {"square": logits.detach().mean()}, logits.detach())


def unmoved(_objective, x: Tensor) -> Tensor:
    return x


def alone(spoil: str | None = None):
    """A captured step of its own, its optimiser, and its fake of a graph."""
    net = Net(0).train()
    optimizer = optim.build(net, Training(learning_rate=0.01))

    def state():
        return [net.state_dict(), optimizer.state_dict(), getattr(optimizer, "found_inf", None)]

    fake = Fake(state, spoil)
    fake.optimizers = [optimizer]
    recorded = CapturedStep(lambda x, y, _known: train_step(Squares(net), unmoved, [optimizer], x, y), state, fake)
    return recorded, net, optimizer, fake


def test_what_is_not_finite_in_a_replay_stops_all_updates_after_it():
    recorded, net, optimizer, fake = alone()
    seen = []
    for number in range(8):
        x, y = batch(number)
        recorded(x * torch.nan if number == 5 else x, y, None)
        seen.append([p.detach().clone() for p in net.parameters()])
    assert fake.replays == 8 - WARMUP and float(optimizer.found_inf) == 1.0
    assert not same(seen[3], seen[4])
    assert same(seen[4], seen[5]) and same(seen[4], seen[7])


def test_a_refused_graph_leaves_no_mark_of_a_broken_number():
    """Its replay breaks the weights, and would have stopped the run through the guard of the optimiser."""
    recorded, net, optimizer, _fake = alone("weights")
    for number in range(WARMUP):
        recorded(*batch(number), None)
    kept = copy.deepcopy(net.state_dict())
    with pytest.raises(GraphError):
        recorded(*batch(WARMUP), None)
    assert float(optimizer.found_inf) == 0.0
    assert same(net.state_dict(), kept)


def test_whole_batches_are_captured_though_a_smaller_one_came_first_and_smaller_ones_stay_eager():
    recorded, _net, _optimizer, fake = alone()
    x, y = batch(0)
    for size in (2, 2, 2, 2, 6, 6, 2):
        recorded(x[:size], y[:size], None)
    assert (fake.captures, fake.replays) == (1 + 1, 1 + 2)
    assert len(fake.loss.clean) == 6
    recorded.forget()
    recorded(x, y, None)
    assert fake.captures == 3


def test_logits_that_come_or_go_are_no_input_of_a_graph():
    recorded, _net, _optimizer, fake = alone()
    for number in range(WARMUP + 1):
        recorded(*batch(number), torch.zeros(6, 4))
    assert fake.replays == 1
    recorded(*batch(9), None)
    assert fake.replays == 1
