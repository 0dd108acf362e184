"""Device, memory, threads, memory layout, precision; and networks that are evaluated unchanged."""

import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pynvml
import torch
from torch import nn

from engine.runtime import torchrun
from engine.spec.errors import ConfigError, CrdndError, DataError
from engine.spec.machine import Machine
from engine.spec.models import Layout, ModelSpec
from engine.spec.process import usable_cpus

FORMATS: dict[Layout, torch.memory_format] = {
    "channels_last": torch.channels_last,
    "contiguous": torch.contiguous_format,
}
log = logging.getLogger("crdnd")
VECTOR = 16
"""Input channels below which oneDNN's gradient of a strided 1 x 1 convolution's weights, in channels_last, writes past
its workspace: `rtus_prepare_space_info` books C numbers for each place, and they are addressed in blocks of a vector,
8 (AVX2) or 16 (AVX-512). Versions up to 3.12 at least; wrong sums, a dead process, or one that waits for ever."""
SMALL_BATCH = 500_000_000  # multiply-accumulates of a forward pass; ResNet-18 at 128 images has 71 thousand million


def choose_device(machine: Machine) -> torch.device:
    """The device that the machine names, counted as nvidia-smi counts; CrdndError when it is not there."""
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")  # CUDA's own order puts the fastest of mixed cards first
    wanted = machine.device
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    if wanted.startswith("cuda"):
        place = torchrun.place()
        index = int(wanted.partition(":")[2] or 0) + (place.local_rank if place else 0)
        if index >= torch.cuda.device_count():
            raise CrdndError(
                f"there is no device {wanted}: {torch.cuda.device_count()} GPUs are visible",
                hint="Use --device cpu, or check the driver with `crdnd doctor`.",
            )
        wanted = f"cuda:{index}"
    return torch.device(wanted)


def check_devices(machine: Machine) -> None:
    """ConfigError when fewer GPUs are visible on this node than its ranks need; CPU ranks share what there is."""
    visible = torch.cuda.device_count()
    if machine.device == "cpu" or (machine.device == "auto" and visible == 0):
        return
    first = int(machine.device.partition(":")[2] or 0)
    if first + machine.devices > visible:
        start = f" from cuda:{first} on" if first else ""
        raise ConfigError(
            [f"machine.devices: {machine.devices} devices are wanted{start}, but {visible} GPUs are visible"],
            where="this machine",
        )


def check_memory(wanted: int, what: str, where: str) -> None:
    """DataError when `wanted` bytes, which `what` takes, are more than half of this machine's memory."""
    memory = psutil.virtual_memory().total
    if wanted > memory // 2:  # they are copied once on the way to the device; a small file can claim terabytes
        what = f"{what} take {wanted / 2**30:.1f} GiB, and this machine has {memory / 2**30:.1f} GiB of memory"
        raise DataError(what, where=where, hint="Make them smaller, or fewer.")


def prepare(machine: Machine) -> tuple[torch.device, list[str]]:
    """Set the process up; returns the device and what was decided, in words."""
    device = choose_device(machine)
    if device.type == "cuda":  # streams, events, graphs and caches belong to the current device
        torch.cuda.set_device(device)
    torch.backends.cudnn.allow_tf32 = machine.tf32
    torch.backends.cuda.matmul.allow_tf32 = machine.tf32
    torch.backends.cudnn.benchmark = device.type == "cuda"
    notes = [f"torch {torch.__version__}"]
    if device.type == "cuda":
        notes += [torch.cuda.get_device_name(device)] + ["TF32 training"] * machine.tf32
    return device, notes


def share_threads(machine: Machine, macs: int, began_with: int = 0) -> str:
    """Set the CPU threads for batches of so many multiply-accumulates; returns the choice in words.

    Small batches get one thread: two would spend their time waiting for each other. Ranks of one node share.
    `began_with` threads of each process, when a run goes on: sums depend on the number, so it stays, unless the
    machine names another.
    """
    place, usable = torchrun.place(), usable_cpus()
    ranks = place.local_world if place else 1
    first = "" if place else os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()  # torchrun sets it itself
    said = int(first) if first.isdecimal() else 0  # it may list a count for each level of nesting
    chosen = max(1, (machine.threads or said or (1 if macs < SMALL_BATCH else usable)) // ranks)
    torch.set_num_threads(began_with if began_with and not machine.threads else chosen)
    threads = torch.get_num_threads()
    text = f"{threads} thread{'s' * (threads > 1)}"
    if threads * ranks > usable:
        text += f" on {usable} CPU{'s' * (usable > 1)}"
    if began_with not in {0, threads}:
        text += f" where the run began with {began_with}: sums may differ in the last bits"
    elif began_with and began_with != chosen:
        text += ", as the run began"
    return text


def utilisation(device: torch.device) -> int | None:
    """Per cent of the last second in which the GPU worked; None where the driver does not tell (MIG, containers).

    The card is found by its UUID: NVML counts cards that CUDA_VISIBLE_DEVICES hides, and in an order of its own.
    """
    try:
        pynvml.nvmlInit()
        card = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device).uuid}")
        return int(pynvml.nvmlDeviceGetUtilizationRates(card).gpu)
    except (pynvml.NVMLError, RuntimeError) as error:
        log.debug("no GPU utilisation: %s", error)
        return None


def layout(machine: Machine, device: torch.device, spec: ModelSpec, *, learns: bool = False) -> Layout:
    """In memory, of images and weights. A rule, no measurement: another layout may differ in the last bit.

    ConfigError when the machine names a layout in which this model cannot learn on a CPU.
    """
    chosen: Layout = "channels_last" if device.type == "cuda" else spec.cpu_layout
    if machine.layout != "auto":
        chosen = machine.layout
    if not learns or device.type == "cuda" or chosen == "contiguous" or spec.widths[0] >= VECTOR:
        return chosen
    if machine.layout == "channels_last":
        why = f"a strided 1 x 1 convolution of {spec.widths[0]} channels writes past its memory there on a CPU"
        raise ConfigError([f"machine.layout: {why}; set layout = contiguous"], where="this machine")
    return "contiguous"


def place(net: nn.Module, device: torch.device, memory_format: torch.memory_format) -> nn.Module:
    """The net on its device, its convolutions in this layout."""
    return net.to(device=device, memory_format=memory_format)  # type: ignore[call-overload,no-any-return]


@contextmanager
def full_precision() -> Iterator[None]:
    """Float32 arithmetic: no autocast, no TensorFloat-32, deterministic convolutions."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = (matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic)
    matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic = False, False, False, True
    try:
        with torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False):
            yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic = before


@contextmanager
def mode(net: nn.Module, *, training: bool) -> Iterator[None]:
    """The net in this mode; at exit each of its modules is in the mode it was found in."""
    found = [(module, module.training) for module in net.modules()]
    net.train(training)
    try:
        yield
    finally:
        for module, was_training in found:
            module.training = was_training


@contextmanager
def frozen_eval(net: nn.Module) -> Iterator[None]:
    """Every submodule in eval mode and no parameter asking for gradients; each one's own flags are restored at exit.

    Raises CrdndError when the block leaves any weight or buffer changed.
    """
    flags = [(parameter, parameter.requires_grad) for parameter in net.parameters()]
    before = state_hash(net)
    net.requires_grad_(False)
    try:
        with mode(net, training=False):
            yield
        if state_hash(net) != before:
            raise CrdndError(
                "the model changed while it was judged: its numbers depend on the order of the images",
                hint="Its forward writes to a buffer even in eval mode; batch norm must use its running statistics.",
            )
    finally:
        for parameter, flag in flags:
            parameter.requires_grad_(flag)


def state_hash(net: nn.Module) -> str:
    """SHA-256 of all weights and buffers with their names, shapes and types."""
    digest = hashlib.sha256()
    for name, value in net.state_dict().items():
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}\n".encode())
        flat = value.detach().cpu().contiguous().flatten()
        digest.update(flat.view(torch.uint8).numpy() if flat.numel() else b"")
    return digest.hexdigest()
