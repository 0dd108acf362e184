"""Seeds by purpose, devices by name, threads by size and by what the run began with."""

import json
import os
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from engine.run.context import RunContext
from engine.runtime import device as runtime
from engine.runtime import rng
from engine.runtime.provenance import threads_before
from engine.spec import process
from engine.spec.errors import ConfigError, CrdndError
from engine.spec.machine import Machine
from engine.spec.models import MobileNetV2, PreActResNet18, ResNet18, SmallCNN, SmallResNet, WideResNet, WideResNetSiLU
from engine.spec.rundir import RunDir
from engine.types import Dataset, Split
from tests.engine.broken_runs import FINISHED, make, short
from tests.engine.test_models import build


@pytest.fixture
def no_omp(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = torch.get_num_threads()
    yield monkeypatch
    torch.set_num_threads(before)


def test_the_seed_of_a_purpose_never_changes():
    assert rng.seed_for(0, "student") == 4103486972053664701
    assert rng.seed_for(3, "step", 1000) == 1826887981963741306


def test_seeds_fit_every_generator():
    seeds = [rng.seed_for(seed, "step", step) for seed in range(10) for step in range(100)]
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert len(set(seeds)) == len(seeds)


def test_different_purposes_of_one_run_draw_different_numbers():
    purposes = [("student",), ("augment", 1), ("augment", 2), ("step", 1), ("step", 11), ("validation split",)]
    drawn = torch.stack([torch.randn(4096, generator=rng.generator_for(0, *purpose)) for purpose in purposes])
    correlation = torch.corrcoef(drawn) - torch.eye(len(purposes))
    assert correlation.abs().max() < 5 / 4096**0.5  # five standard deviations of independent noise


def test_a_generator_leaves_the_global_one_alone():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    torch.rand(3, generator=rng.generator_for(7, "augment", 1))
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
    no_omp.setattr(runtime, "usable_cpus", lambda: 3)
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


EVERY_MODEL = [
    ResNet18(), MobileNetV2(), PreActResNet18(), PreActResNet18(variant="deepmind"), WideResNet(depth=10, width=1),
    WideResNetSiLU(depth=10, width=1), SmallCNN(width=4), *(SmallResNet(width=width) for width in (4, 8, 15, 16, 20)),
]  # fmt: skip


@pytest.mark.parametrize("spec", EVERY_MODEL, ids=lambda spec: f"{spec.name} {getattr(spec, 'width', '')}")
def test_no_net_learns_on_a_cpu_in_a_layout_whose_kernel_writes_past_its_memory(spec):
    """Strided 1 x 1 convolutions of fewer input channels than a vector, in channels_last: oneDNN up to 3.12."""
    convolutions = [m for m in build(spec, device="meta").modules() if isinstance(m, nn.Conv2d) and m.groups == 1]
    channels = [m.in_channels for m in convolutions if m.kernel_size == (1, 1) and m.stride != (1, 1)]
    assert min(channels, default=64) >= min(64, spec.widths[0])
    unsafe = min(channels, default=64) < 16
    cpu, gpu = torch.device("cpu"), torch.device("cuda:0")
    usual = runtime.layout(Machine(), cpu, spec)
    assert runtime.layout(Machine(), cpu, spec, learns=True) == ("contiguous" if unsafe else usual)
    assert runtime.layout(Machine(), gpu, spec, learns=True) == "channels_last"
    chosen = Machine(layout="channels_last")
    if unsafe:
        with pytest.raises(ConfigError, match="layout = contiguous"):
            runtime.layout(chosen, cpu, spec, learns=True)
    else:
        assert runtime.layout(chosen, cpu, spec, learns=True) == "channels_last"
    assert runtime.layout(chosen, cpu, spec) == "channels_last"  # who only asks needs no gradient of weights


def test_a_gpu_other_than_the_first_is_made_the_current_one(monkeypatch):
    """Graphs are captured, and events recorded, on the current device."""
    chosen, asked = [], []
    monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: asked.append(device) or "a card")
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", torch.backends.cudnn.benchmark)
    device, notes = runtime.prepare(Machine(device="cuda:2"))
    assert device == torch.device("cuda:2")
    assert chosen == asked == [device] and "a card" in notes
    assert os.environ["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"  # as the terminal counts them, by NVML


def test_the_order_of_devices_that_a_user_chose_stays(monkeypatch):
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "FASTEST_FIRST")
    runtime.choose_device(Machine(device="cpu"))
    assert os.environ["CUDA_DEVICE_ORDER"] == "FASTEST_FIRST"


def test_a_gpu_is_found_by_its_uuid_whatever_its_number_is(monkeypatch):
    """NVML counts hidden cards, too, and mixed cards in another order."""
    cards = {"GPU-b": 7, "GPU-a": 93}
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda d: SimpleNamespace(uuid="ab"[d.index]))
    monkeypatch.setattr(runtime.pynvml, "nvmlInit", lambda: None)
    monkeypatch.setattr(runtime.pynvml, "nvmlDeviceGetHandleByUUID", lambda uuid: cards[uuid])
    monkeypatch.setattr(runtime.pynvml, "nvmlDeviceGetUtilizationRates", lambda card: SimpleNamespace(gpu=card))
    assert [runtime.utilisation(torch.device("cuda", index)) for index in (0, 1)] == [93, 7]

    def fails(_uuid: str) -> None:
        raise runtime.pynvml.NVMLError(runtime.pynvml.NVML_ERROR_NOT_FOUND)

    monkeypatch.setattr(runtime.pynvml, "nvmlDeviceGetHandleByUUID", fails)
    assert runtime.utilisation(torch.device("cuda:0")) is None


@pytest.mark.parametrize(
    ("groups", "files", "count"),
    [
        ("0::/\n", {}, 8),
        ("0::/\n", {"cpu.max": "max 100000"}, 8),
        ("0::/\n", {"cpu.max": "250000 100000"}, 3),
        ("0::/\n", {"cpu.max": "50000 100000"}, 1),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000", "a/cpu.max": "400000 100000"}, 4),
        ("0::/the/name/on/the/host\n", {"cpu.max": "200000 100000"}, 2),
        ("0::/../..\n", {"cpu.max": "200000 100000"}, 2),
        ("3:memory:/\n2:cpu,cpuacct:/a\n", {"cpu/a/cpu.cfs_quota_us": "60000", "cpu/a/cpu.cfs_period_us": "10000"}, 6),
        ("2:cpu:/\n0::/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 8),
        ("nonsense\n", {"cpu.max": "nonsense"}, 8),
    ],
)  # fmt: skip
def test_cpus_are_those_of_the_affinity_and_of_the_quota(groups, files, count, tmp_path, monkeypatch):
    monkeypatch.setattr(process.os, "sched_getaffinity", lambda _pid: set(range(8)))
    monkeypatch.setattr(process.os, "cpu_count", lambda: 64)
    monkeypatch.setattr(process, "OWN_GROUP", tmp_path / "own")
    monkeypatch.setattr(process, "GROUPS", tmp_path / "groups")
    (tmp_path / "own").write_text(groups)
    for name, content in files.items():
        path = tmp_path / "groups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n")
    assert process.usable_cpus() == count


def test_a_run_keeps_the_threads_that_it_began_with(no_omp):
    """Sums depend on their number: another machine, affinity or environment does not change it."""
    no_omp.setattr(runtime, "usable_cpus", lambda: 2)
    assert runtime.share_threads(Machine(), 10**12, 4) == "4 threads on 2 CPUs, as the run began"
    assert torch.get_num_threads() == 4
    assert runtime.share_threads(Machine(), 10**12, 2) == "2 threads"
    no_omp.setenv("OMP_NUM_THREADS", "2")
    assert runtime.share_threads(Machine(), 10**12, 1) == "1 thread, as the run began"
    named = runtime.share_threads(Machine(threads=2), 10**12, 1)
    assert named == "2 threads where the run began with 1: sums may differ in the last bits"
    no_omp.setattr(torch, "set_num_threads", lambda _count: None)  # as under a limit of OpenMP
    assert "2 threads where the run began with 3" in runtime.share_threads(Machine(), 10**12, 3)


@pytest.mark.parametrize(
    ("facts", "threads"),
    [({"threads": 3, "device": "cpu"}, 3), ({"threads": 3, "device": "cuda:0"}, 0), ({"device": "cpu"}, 0),
     ({"threads": True, "device": "cpu"}, 0), ({"threads": 10**9, "device": "cpu"}, 0), ({"threads": "3"}, 0), ([], 0)],
)  # fmt: skip
def test_how_many_they_were_is_in_the_provenance(facts, threads, tmp_path):
    path = tmp_path / "provenance.json"
    assert threads_before(path) == 0
    path.write_text(json.dumps(facts))
    assert threads_before(path) == threads


def test_an_engine_that_goes_on_takes_them_from_there(no_omp, tmp_path):
    split = Split(torch.zeros(1, 1, 8, 8, dtype=torch.uint8), torch.zeros(1, dtype=torch.int64))

    def settled(machine: Machine) -> int:
        context = SimpleNamespace(run=RunDir(tmp_path), machine=machine, device=torch.device("cpu"), notes=[])
        RunContext.configure_model(
            context, SmallCNN(), Dataset(train=split, test=split, classes=("a", "b")), 4, learns=True
        )
        return torch.get_num_threads()

    assert settled(Machine(device="cpu")) == 1
    (tmp_path / "provenance.json").write_text(json.dumps({"threads": 2, "device": "cpu"}))
    assert settled(Machine(device="cpu")) == 2
    assert settled(Machine(device="cpu", threads=3)) == 3


def test_at_most_eight_calls_lead_from_the_command_to_the_loss_of_a_method(fork_server, data, tmp_path):
    run = make(tmp_path, data, short())
    assert fork_server.work(run, at="loss", do="stack", k=1) == FINISHED, fork_server.screen.read_text()
    calls = (run.path / "stack").read_text().split()
    assert calls[0] == "main" and calls[-1] == "train_step" and len(calls) <= 8, calls
