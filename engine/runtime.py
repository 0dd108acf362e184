"""Device, precision and randomness, decided once and said aloud.

Every random draw of a run comes from a seed made of the run's seed and what the draw is for, so a resumed run
needs no generator state: step 1000 draws the same numbers whatever happened before it.
"""

import hashlib
import logging
import os

import pynvml
import torch
from torch import nn

from engine import torchrun
from engine.spec.errors import ConfigError, CrdndError
from engine.spec.machine import Machine
from engine.spec.models import Layout, ModelSpec

FORMATS: dict[Layout, torch.memory_format] = {
    "channels_last": torch.channels_last,
    "contiguous": torch.contiguous_format,
}
log = logging.getLogger("crdnd")
SMALL_BATCH = 500_000_000  # multiply-accumulates of a forward pass; ResNet-18 at 128 images has 71 thousand million


def seed_for(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed for one purpose of one run; different purposes are independent."""
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator_for(seed: int, *purpose: str | int) -> torch.Generator:
    """A CPU generator for one purpose: the same draws on every device."""
    return torch.Generator().manual_seed(seed_for(seed, *purpose))


def choose_device(machine: Machine) -> torch.device:
    """The device that the machine names; CrdndError when it is not there."""
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


def prepare(machine: Machine) -> tuple[torch.device, list[str]]:
    """Set the process up; returns the device and what was decided, in words."""
    device = choose_device(machine)
    torch.backends.cudnn.allow_tf32 = machine.tf32
    torch.backends.cuda.matmul.allow_tf32 = machine.tf32
    torch.backends.cudnn.benchmark = device.type == "cuda"
    notes = [f"torch {torch.__version__}"]
    if device.type == "cuda":
        notes += [torch.cuda.get_device_name(device)] + ["TF32 training"] * machine.tf32
    return device, notes


def share_threads(machine: Machine, macs: int) -> str:
    """Set the CPU threads for batches of so many multiply-accumulates; returns the choice in words.

    Small batches get one thread: two would spend their time waiting for each other. Ranks of one node share.
    """
    place = torchrun.place()
    ranks = place.local_world if place else 1
    said = 0 if place else _omp_threads()  # torchrun sets the variable itself
    wanted = machine.threads or said or (1 if macs < SMALL_BATCH else os.cpu_count() or 1)
    threads = max(1, wanted // ranks)
    torch.set_num_threads(threads)
    return f"{threads} thread{'s' if threads > 1 else ''}"


def utilisation(device: torch.device) -> int | None:
    """Per cent of the last second in which the GPU worked; None where the driver does not tell (MIG, containers)."""
    try:
        return torch.cuda.utilization(device)
    except (pynvml.NVMLError, RuntimeError, ModuleNotFoundError) as error:
        log.debug("no GPU utilisation: %s", error)
        return None


def _omp_threads() -> int:
    """The first count in OMP_NUM_THREADS, which may list one for each level of nesting; 0 when there is none."""
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(first) if first.isdecimal() else 0


def layout(machine: Machine, device: torch.device, spec: ModelSpec) -> Layout:
    """In memory, of images and weights. A rule, no measurement: another layout may differ in the last bit."""
    if machine.layout != "auto":
        return machine.layout
    return "channels_last" if device.type == "cuda" else spec.cpu_layout


def place(net: nn.Module, device: torch.device, memory_format: torch.memory_format) -> nn.Module:
    """The net on its device, its convolutions in this layout."""
    return net.to(device=device, memory_format=memory_format)  # type: ignore[call-overload,no-any-return]
