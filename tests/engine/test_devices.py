"""No tensor of a training step lies on another device than it should: played on a GPU that is not there.

Fake tensors have a device and a shape but no values, and refuse what a GPU refuses: mixed devices, copies to the host.
PyTorch's autograd and its fused optimisers need the real thing; both are stood in for, and hold nothing of ours.
"""

from importlib import import_module

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from engine.data import augment
from engine.data.augment import Feed
from engine.spec.attacks import ThreatModel
from engine.spec.data import CIFAR10
from engine.spec.training import Inner, Training
from engine.train import optim
from engine.train.metrics import EpochMetrics
from engine.train.step import maximiser, train_step
from engine.types import Nets, Split
from tests.engine.method_bench import CLASSES
from tests.engine.test_methods import VARIANTS, name

GPU = torch.device("cuda:0")
CPU = torch.device("cpu")


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.linear = nn.Linear(4, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.norm(self.conv(x)).relu().mean(dim=(2, 3)))


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch):
    """Whatever is computed inside has no values; a gradient is a zero on the device of what it is of."""

    def grad(outputs: Tensor, inputs: Tensor) -> tuple[Tensor]:
        assert outputs.device == inputs.device == GPU
        return (torch.zeros_like(inputs),)

    def backward(loss: Tensor) -> None:
        assert loss.device == GPU and loss.requires_grad

    monkeypatch.setattr(torch.autograd, "grad", grad)
    monkeypatch.setattr(Tensor, "backward", backward)
    with FakeTensorMode():
        yield


def fused(optimizer: torch.optim.Optimizer) -> None:
    """Stands in for the fused kernel: parameters, gradients and the guard lie on one device, as it demands."""

    def step() -> None:
        for group in optimizer.param_groups:
            assert group["fused"] and all(p.device == GPU for p in group["params"])
        guard = optimizer.found_inf
        assert guard.device == GPU and guard.dtype == torch.float32 and guard.numel() == 1
        stepped.append(optimizer)

    stepped: list[torch.optim.Optimizer] = []
    optimizer.step = step
    optimizer.stepped = stepped


@pytest.mark.parametrize("spec", VARIANTS, ids=name)
@pytest.mark.usefixtures("gpu")
def test_two_epochs_of_a_method_stay_on_the_device(spec):
    with GPU:
        student, teacher = Net(), Net().eval().requires_grad_(False) if spec.needs_teacher else None
    method = import_module(f"engine.methods.{spec.name}").Method(spec, Nets(student, teacher, CLASSES, GPU))
    optimizers = [optim.build(student, Training()), *method.optimizers()]
    for optimizer in optimizers:
        fused(optimizer)
    metrics = EpochMetrics(CLASSES, GPU)
    x, y = torch.rand(6, 3, 8, 8, device=GPU), torch.zeros(6, dtype=torch.int64, device=GPU)
    for epoch, start in enumerate(("gaussian", "uniform", "clean"), 1):
        inner = Inner(steps=2, start=start, student_mode="train" if start == "uniform" else "eval")
        method.epoch_started(epoch, 3)
        metrics.add(train_step(method, maximiser(student, ThreatModel(), inner), optimizers, x, y), y)
        method.epoch_ended()
        metrics.clear()
    assert all(len(optimizer.stepped) == 3 for optimizer in optimizers)


@pytest.mark.parametrize("resident", [True, False], ids=["resident", "in host memory"])
@pytest.mark.usefixtures("gpu")
def test_a_batch_arrives_on_the_device_wherever_the_images_lie(resident, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (10**6 if resident else 10**3, 10**6))
    monkeypatch.setattr(augment, "generator_for", lambda *_: None)  # a generator draws values
    split = Split(torch.zeros(10, 3, 8, 8, dtype=torch.uint8), torch.zeros(10, dtype=torch.int64))
    feed = Feed(split, CIFAR10(), GPU, torch.channels_last, 4)
    assert feed.resident is resident
    x, y = feed.batch(feed.moved(feed.draw(0, 1)), 2)
    assert x.device == y.device == GPU and x.shape == (2, 3, 8, 8) and x.dtype == torch.float32
    assert y.dtype == torch.int64


@pytest.mark.usefixtures("gpu")
def test_the_gpu_that_is_not_there_refuses_what_a_gpu_refuses():
    with pytest.raises(RuntimeError, match=r"same device|two different devices"):
        torch.zeros(3, device=GPU) + torch.zeros(3, device=CPU)
