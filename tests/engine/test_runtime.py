"""Seeds by purpose, devices by name, threads by size."""

import pytest
import torch

from engine import runtime
from engine.spec.errors import CrdndError
from engine.spec.machine import Machine
from engine.spec.models import MobileNetV2, ResNet18


@pytest.fixture
def no_omp(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = torch.get_num_threads()
    yield monkeypatch
    torch.set_num_threads(before)


def test_the_seed_of_a_purpose_never_changes():
    assert runtime.seed_for(0, "student") == 4103486972053664701
    assert runtime.seed_for(3, "step", 1000) == 1826887981963741306


def test_seeds_fit_every_generator():
    seeds = [runtime.seed_for(seed, "step", step) for seed in range(10) for step in range(100)]
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert len(set(seeds)) == len(seeds)


def test_different_purposes_of_one_run_draw_different_numbers():
    purposes = [("student",), ("augment", 1), ("augment", 2), ("step", 1), ("step", 11), ("validation split",)]
    drawn = torch.stack([torch.randn(4096, generator=runtime.generator_for(0, *purpose)) for purpose in purposes])
    correlation = torch.corrcoef(drawn) - torch.eye(len(purposes))
    assert correlation.abs().max() < 5 / 4096**0.5  # five standard deviations of independent noise


def test_a_generator_leaves_the_global_one_alone():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    torch.rand(3, generator=runtime.generator_for(7, "augment", 1))
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "cuda:7"])
def test_a_gpu_that_is_not_there_is_one_sentence(device, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(CrdndError, match=f"there is no device {device}: 0 GPUs are visible") as caught:
        runtime.choose_device(Machine(device=device))
    assert "--device cpu" in caught.value.hint


def test_auto_is_the_gpu_where_there_is_one_and_else_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert runtime.choose_device(Machine()) == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert runtime.choose_device(Machine()) == torch.device("cuda:0")


def test_small_batches_get_one_thread_and_large_ones_every_core(no_omp):
    no_omp.setattr(runtime.os, "cpu_count", lambda: 3)
    assert runtime.share_threads(Machine(), runtime.SMALL_BATCH - 1) == "1 thread"
    assert torch.get_num_threads() == 1
    assert runtime.share_threads(Machine(), runtime.SMALL_BATCH) == "3 threads"
    assert torch.get_num_threads() == 3


def test_the_machine_then_the_environment_decide_about_threads(no_omp):
    no_omp.setenv("OMP_NUM_THREADS", "2")
    assert runtime.share_threads(Machine(), 1) == "2 threads"
    assert runtime.share_threads(Machine(threads=1), 10**12) == "1 thread"


@pytest.mark.parametrize("text", ["4,2", "", "many", "-1", " 2 "])
def test_an_environment_that_is_no_plain_count_is_no_error(text, no_omp):
    no_omp.setenv("OMP_NUM_THREADS", text)
    runtime.share_threads(Machine(), 1)
    assert torch.get_num_threads() == {"4,2": 4, " 2 ": 2}.get(text, 1)


def test_precision_is_float32_unless_the_machine_says_otherwise():
    _, notes = runtime.prepare(Machine(device="cpu"))
    assert not any("TF32" in note for note in notes)
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32


def test_the_layout_goes_by_model_on_a_cpu_and_is_channels_last_on_a_gpu():
    cpu, gpu = torch.device("cpu"), torch.device("cuda:0")
    assert runtime.layout(Machine(), cpu, ResNet18()) == "contiguous"
    assert runtime.layout(Machine(), cpu, MobileNetV2()) == "channels_last"
    assert runtime.layout(Machine(), gpu, ResNet18()) == "channels_last"
    assert runtime.layout(Machine(layout="contiguous"), gpu, ResNet18()) == "contiguous"
    assert runtime.layout(Machine(layout="channels_last"), cpu, ResNet18()) == "channels_last"
