"""A run that goes on in another memory layout is the same run: losses, weights and momentum to rounding."""

import pytest
import torch

from engine.fast.plan import Plan
from engine.spec.events import StepDone
from engine.spec.methods import CRDND, Natural
from engine.train import Trainer
from tests.engine.fast_bench import stopped, trainer
from tests.engine.test_trainer import Journal, label

NCHW, NHWC = torch.contiguous_format, torch.channels_last
SAME = 1e-4  # relative, of a loss: both layouts add the same numbers in another order, float32, 7 steps of growth
LEARNED = CRDND(
    inner="margin", pool="nat_adv", anchor="teacher", off_diagonal="learned"
)  # its Adam is saved beside SGD


def laid(spec, journal: Journal, layout: torch.memory_format) -> Trainer:
    made = trainer(spec, journal, Plan())
    made.nets.student.to(memory_format=layout)
    return made


def losses(*journals: Journal) -> list[float]:
    return [fact["loss"] for journal in journals for fact in journal.facts(StepDone)]


@pytest.mark.parametrize("first", [NCHW, NHWC], ids=["from nchw", "from nhwc"])
@pytest.mark.parametrize("spec", [Natural(), LEARNED], ids=label)
def test_a_run_resumed_in_another_layout_has_the_losses_of_one_that_stayed(spec, first):
    stayed, begun, resumed = Journal(), Journal(stop_at=7), Journal()
    laid(spec, stayed, first).run()
    assert stopped(laid(spec, begun, first))
    other = laid(spec, resumed, NHWC if first == NCHW else NCHW)
    other.load_state_dict(begun.state())
    other.run()
    assert len(losses(stayed)) == 14
    assert losses(begun, resumed) == pytest.approx(losses(stayed), rel=SAME)
    for optimizer in other.optimizers:
        for parameter, state in optimizer.state.items():
            assert all(b.stride() == parameter.stride() for b in state.values() if b is not None and b.dim())
