"""A run that goes on in another memory layout is the same run to rounding; what keeps it from equal bits is said."""

import json

import pytest
import torch

from engine.fast.plan import FastPlan
from engine.run.context import RunContext
from engine.run.run import _machine
from engine.runtime import provenance
from engine.spec.methods import CRDND, Natural
from engine.spec.rundir import RunDir
from engine.train.loop import Trainer
from tests.engine.fast_bench import losses, stopped, trainer
from tests.engine.test_trainer import Journal, label

NCHW, NHWC = torch.contiguous_format, torch.channels_last
SAME = 1e-4  # relative, of a loss: both layouts add the same numbers in another order, float32, 7 steps of growth
LEARNED = CRDND(
    inner="margin", pool="nat_adv", anchor="teacher", off_diagonal="learned"
)  # its Adam is saved beside SGD


def laid(spec, journal: Journal, layout: torch.memory_format) -> Trainer:
    made = trainer(spec, journal, FastPlan())
    made.nets.student.to(memory_format=layout)
    return made


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


@pytest.mark.parametrize(
    ("then", "here", "words"),
    [
        ({}, {}, ""),
        ({"processor": "a", "layout": "contiguous"}, {"processor": "a"}, ""),
        ({"processor": "a"}, {"processor": "b"}, "processor a -> b"),
        ({"threads": 4}, {"threads": 1}, "threads 4 -> 1"),
        ({"layout": "channels_last"}, {}, "layout channels_last -> contiguous"),
        ({"gpu": {"name": "a"}}, {"gpu": {"name": "a"}}, "kernels are chosen by timing them"),
    ],
)
def test_a_run_that_goes_on_promises_equal_bits_only_where_it_keeps_them(then, here, words, tmp_path, monkeypatch):
    context = RunContext.__new__(RunContext)
    context.run, context.device, context.layout, context.notes = RunDir(tmp_path), torch.device("cpu"), "contiguous", []
    monkeypatch.setattr(provenance, "collect", lambda _device: dict(here))
    (tmp_path / "provenance.json").write_text(json.dumps(then))
    _machine(context, goes_on=False)
    assert context.notes == []
    _machine(context, goes_on=True)
    assert len(context.notes) == bool(words)
    assert not words or ("not bit for bit" in context.notes[0] and words in context.notes[0])
