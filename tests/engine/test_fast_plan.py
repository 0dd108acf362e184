"""What is switched on, for each machine, device and network."""

from pathlib import Path

import pytest
import torch

from engine.fast.plan import FastPlan, NetworkCost, decide, half_pays
from engine.runtime import provenance
from engine.runtime.provenance import cpu_fact
from engine.spec.cost import model_cost
from engine.spec.machine import Machine
from engine.spec.models import MobileNetV2, ResNet18, SmallCNN, WideResNet

CPU, GPU = torch.device("cpu"), torch.device("cuda")
FLOAT, HALF = torch.float32, torch.bfloat16


def asked(spec) -> NetworkCost:
    return NetworkCost(model_cost(spec, 10, (3, 32, 32)).macs, spec.cpu_half, spec.cpu_paired)


LARGE, SMALL, DEPTHWISE, TEACHER = map(asked, (ResNet18(), SmallCNN(), MobileNetV2(), WideResNet()))


@pytest.fixture
def processor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """A CPU of this vendor with these instructions."""

    def be(name: str, *, amx: bool = False, avx: bool = False) -> None:
        facts = tmp_path / "cpuinfo"
        facts.write_text(f"processor\t: 0\nvendor_id\t: {name}\nmodel name\t: any\n\nvendor_id\t: other\n")
        monkeypatch.setattr(provenance, "CPU_INFO", facts)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx)

    return be


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch):
    def be(*capability: int) -> None:
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device=None: capability)

    return be


def made(
    device: torch.device, student: NetworkCost = LARGE, teacher: NetworkCost | None = TEACHER, **machine
) -> FastPlan:
    eval_attack, ranks = machine.pop("eval_attack", True), machine.pop("ranks", 1)
    return decide(Machine(**machine), device, student, teacher, eval_attack=eval_attack, ranks=ranks)


@pytest.mark.parametrize(
    ("name", "amx", "avx", "pays"),
    [
        ("GenuineIntel", True, True, True),
        ("GenuineIntel", False, True, False),  # its product takes two slots
        ("AuthenticAMD", False, True, True),
        ("AuthenticAMD", False, False, False),
        ("", False, True, False),
    ],
)
def test_bfloat16_pays_with_amx_or_with_avx512_bf16_of_amd(processor, name, amx, avx, pays):
    processor(name, amx=amx, avx=avx)
    assert cpu_fact("vendor_id") == name
    assert half_pays() is pays
    assert made(CPU).teacher == (HALF if pays else FLOAT)


def test_a_kernel_that_tells_nothing_is_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(provenance, "CPU_INFO", tmp_path / "missing")
    assert cpu_fact("vendor_id") == ""


def test_a_cpu_with_bfloat16_uses_it_for_large_nets_of_plain_convolutions(processor):
    processor("AuthenticAMD", avx=True)
    expected = FastPlan(
        teacher=HALF, inner=HALF, outer=HALF, folded=True, folded_teacher=True, paired=True, table="auto"
    )
    assert made(CPU) == expected
    depthwise, small = made(CPU, DEPTHWISE), made(CPU, SMALL)
    assert (depthwise.teacher, depthwise.inner, depthwise.outer) == (HALF, FLOAT, FLOAT)
    assert (small.teacher, small.inner, small.outer) == (HALF, FLOAT, FLOAT)
    assert made(CPU, SMALL, SMALL).teacher == FLOAT


def test_a_cpu_without_it_uses_float32_and_pairs_but_for_depthwise_nets(processor):
    processor("GenuineIntel", avx=True)
    assert made(CPU) == FastPlan(folded=True, folded_teacher=True, paired=True, table="auto")
    assert made(CPU, DEPTHWISE) == FastPlan(folded=True, folded_teacher=True, paired=DEPTHWISE.paired, table="auto")
    assert DEPTHWISE.paired is False and DEPTHWISE.half is False


def test_a_gpu_takes_bfloat16_from_ampere_on_and_a_graph(gpu):
    gpu(9, 0)
    everything = FastPlan(
        teacher=HALF, inner=HALF, outer=HALF, folded=True, folded_teacher=True, paired=True, table="auto", graphs=True
    )
    assert made(GPU) == made(GPU, DEPTHWISE) == everything
    assert made(GPU, SMALL) == FastPlan(
        teacher=HALF, folded=True, folded_teacher=True, paired=True, table="auto", graphs=True
    )
    gpu(7, 5)
    assert made(GPU) == FastPlan(folded=True, folded_teacher=True, paired=True, table="auto", graphs=True)


@pytest.mark.parametrize("device", [CPU, GPU], ids=str)
def test_exact_overrides_every_other_switch(device, gpu):
    gpu(9, 0)
    wishes = {"teacher_precision": "bfloat16", "outer_precision": "bfloat16", "paired": "on", "table": "complete"}
    exact = made(device, exact=True, **wishes)
    assert exact == FastPlan() and exact.exact and exact.switches() == {}
    assert not made(device, **wishes).exact


def test_each_switch_can_be_turned_by_hand(processor):
    processor("GenuineIntel")
    assert made(CPU, teacher_precision="bfloat16").teacher == HALF
    assert made(CPU, outer_precision="bfloat16").outer == HALF
    assert made(CPU, DEPTHWISE, paired="on").paired and not made(CPU, paired="off").paired
    assert made(CPU, table="complete").table == "complete" and made(CPU, table="off").table == "off"
    assert not made(CPU, graphs="on").graphs  # there is nothing to capture


def test_what_a_gpu_decides_by_itself_can_be_turned_off(gpu):
    gpu(9, 0)
    words = ("teacher_precision", "inner_precision", "outer_precision")
    off = made(GPU, **dict.fromkeys(words, "float32"), folded="off", paired="off", table="off", graphs="off")
    assert off == FastPlan() and off.exact


def test_the_inner_maximisation_is_bfloat16_on_a_folded_copy_or_not_at_all(gpu):
    gpu(9, 0)
    assert (made(GPU, folded="off").inner, made(GPU, folded="off").folded) == (FLOAT, False)
    wanted = made(GPU, folded="off", inner_precision="bfloat16")
    assert (wanted.inner, wanted.folded) == (HALF, True)


@pytest.mark.parametrize("device", [CPU, GPU], ids=str)
def test_an_attack_in_train_mode_is_float32_unless_bfloat16_is_asked_for(device, gpu, processor):
    gpu(9, 0)
    processor("AuthenticAMD", avx=True)  # where auto would choose bfloat16 in eval mode
    assert made(device).inner == HALF
    for wish, found in (("auto", FLOAT), ("float32", FLOAT), ("bfloat16", HALF)):
        plan = made(device, eval_attack=False, inner_precision=wish)
        assert (plan.inner, plan.folded, plan.switches()["inner"]) == (found, False, str(found).removeprefix("torch."))
    assert made(device, eval_attack=False, inner_precision="bfloat16", exact=True) == FastPlan()


def test_without_a_teacher_there_is_no_table_and_nothing_of_it_in_bfloat16(gpu):
    gpu(9, 0)
    alone = made(GPU, teacher=None)
    assert (alone.table, alone.teacher) == ("off", FLOAT)


def test_several_ranks_pair_and_hold_no_graph_even_in_an_exact_run(gpu):
    gpu(9, 0)
    assert made(GPU, ranks=2, paired="off").paired and not made(GPU, ranks=2, graphs="on").graphs
    exact = made(GPU, ranks=2, exact=True)
    assert exact == FastPlan(ranks=2, paired=True) and exact.exact and exact.switches()["ranks"] == "2"


def test_the_switches_are_said_by_name():
    shown = FastPlan(teacher=HALF, folded=True, table="complete").switches()
    assert shown == {
        "teacher": "bfloat16",
        "inner": "float32",
        "outer": "float32",
        "folded": "on",
        "paired": "off",
        "table": "complete",
        "graphs": "off",
    }
