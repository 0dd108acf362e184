"""Ranks equal one process: what ranks tell each other, and every method's losses, gradients and statistics."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from engine.fast import path
from engine.runtime.distributed import Ranks
from engine.spec.models import (
    MobileNetV2,
    PreActResNet18,
    ResNet18,
    SmallCNN,
    SmallResNet,
    WideResNet,
    WideResNetSiLU,
)
from engine.teachers import saved_run
from tests.engine import distributed_evaluation, distributed_ranks
from tests.engine.distributed_ranks import BATCHES, CASES, OF_TWO, learn

WORLDS = (2, 3)


@pytest.fixture(scope="module", params=WORLDS)
def folder(request, tmp_path_factory) -> Path:
    """Where 2 ranks, and 3, leave what they found."""
    folder = tmp_path_factory.mktemp(f"ranks{request.param}")
    for name in ("stopped", "whole"):
        (folder / name / "evaluation" / "best").mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, "-P", "-W", "ignore", distributed_ranks.__file__, str(request.param), str(folder)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def ranks(folder) -> list[dict]:
    """By rank."""
    return [torch.load(path, weights_only=False) for path in sorted(folder.glob("*.pt"))]


def test_alone_everything_is_what_it_was():
    ranks, x = Ranks(), torch.rand(3, 2, requires_grad=True)
    assert ranks.is_leader and ranks.rows(5) == slice(0, 5)
    assert ranks.gather(x, 3) is x
    assert torch.equal(ranks.all_reduce(x), x)
    assert ranks.any_rank(True) and not ranks.any_rank(False)
    assert ranks.share(3, lambda k: k * k) == [0, 1, 4]
    assert ranks.on_leader(lambda: "said") == "said"


def test_alone_items_are_computed_one_by_one():
    computed = []
    for k, _ in Ranks().each(5, computed.append):
        assert computed == list(range(k + 1))


def test_rows_are_contiguous_and_differ_by_one_at_most():
    for world in (1, 2, 3, 4, 7):
        for n in (0, 1, 2, 5, 7, 8, 128, 129):
            slices = [Ranks(rank=rank, world_size=world).rows(n) for rank in range(world)]
            assert [i for s in slices for i in range(n)[s]] == list(range(n))
            sizes = [s.stop - s.start for s in slices]
            assert max(sizes) - min(sizes) <= 1


@pytest.mark.slow
def test_ranks_tell_each_other(ranks):
    world = len(ranks)
    for rank, found in enumerate(ranks):
        said = found["talk"]
        assert all(said[key] for key in said if key.startswith("gather"))
        own = torch.zeros(5, 2, dtype=torch.float64)
        rows = Ranks(rank=rank, world_size=world).rows(5)
        own[rows] = 8 * torch.arange(10.0, dtype=torch.float64).view(5, 2)[rows]
        assert torch.equal(said["gradient"], own)  # complete for the own rows, nothing for the others
        assert said["total"].tolist() == [world, sum(range(world))]
        assert said["agree"] == [False, True, True]
        assert [(k, who) for k, who, _ in said["share"]] == [(k, k % world) for k in range(5)]
        assert all(torch.equal(tensor, torch.full((k,), k)) for k, _, tensor in said["share"])
        assert said["lead"] == 0
        assert said["stopped"] == (list(range(world - 1)), "SIGUSR1")


@pytest.mark.slow
def test_losses_gradients_and_statistics_equal_one_process(ranks):
    assert ranks[0]["learnt"].keys() == set(CASES if len(ranks) > 2 else OF_TWO)
    for name in ranks[0]["learnt"]:
        alone = learn(CASES[name], None)
        for found in ranks:
            for step, (one, own) in enumerate(zip(alone, found["learnt"][name], strict=True)):
                assert own.keys() == one.keys()
                for key, value in one.items():
                    difference = (own[key].double() - value.double()).abs().max() if value.numel() else 0.0
                    assert difference <= 1e-12 * max(1.0, float(value.double().abs().max())), (name, key, BATCHES[step])


@pytest.mark.slow
def test_an_evaluation_is_the_same_to_the_last_bit_whoever_shares_it(folder, ranks, tmp_path):
    (tmp_path / "evaluation" / "best").mkdir(parents=True)
    story, _ = distributed_evaluation.judge(Ranks(), tmp_path)
    assert (
        distributed_evaluation.files(tmp_path)
        == distributed_evaluation.files(folder / "whole")
        == distributed_evaluation.files(folder / "stopped")
    )
    assert {"autoattack.json", "suspect.json", "gallery.json"} <= distributed_evaluation.files(tmp_path).keys()
    for found in ranks:
        judged = found["judged"]
        assert judged["stopped"][1] == "SIGUSR1"  # told by the last rank to all
        assert len(judged["stopped"][0]) < len(story)
        assert judged["whole"] == (story, "")
        assert judged["again"][1] == ""


@pytest.mark.slow
def test_ranks_stay_equal_to_the_last_bit(ranks):
    first = ranks[0]["learnt"]
    for other in ranks[1:]:
        for name in first:
            for one, two in zip(first[name], other["learnt"][name], strict=True):
                assert all(torch.equal(one[key], two[key]) for key in one), name


@pytest.mark.parametrize("spec", [
    SmallCNN(width=4), SmallResNet(), ResNet18(), MobileNetV2(), PreActResNet18(), WideResNet(depth=10, width=1),
    WideResNet(depth=10, width=1, sub_block=True), WideResNetSiLU(depth=10, width=1),
], ids=lambda spec: f"{spec.name}{' of TRADES' * getattr(spec, 'sub_block', False)}")  # fmt: skip
def test_ranks_look_for_parameters_without_a_gradient_only_where_there_are_some(monkeypatch, spec):
    asked = []

    class Wrapped(nn.Module):
        def __init__(self, net, *, broadcast_buffers, find_unused_parameters):
            super().__init__()
            asked.append((broadcast_buffers, find_unused_parameters))

        def register_comm_hook(self, _state, _hook):
            """Nobody adds anything up here."""

    monkeypatch.setattr(path, "DistributedDataParallel", Wrapped)
    net = saved_run.build(spec, 4, (3, 8, 8))
    path._data_parallel(net)
    net.eval()(torch.rand(2, 3, 8, 8)).sum().backward()
    assert asked == [(False, any(parameter.grad is None for parameter in net.parameters()))]
