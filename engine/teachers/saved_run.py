"""Read a finished run: its config, machine and data, and its student as a net in eval mode."""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import torch
from torch import Tensor, nn

from engine.runtime import device as runtime
from engine.spec import files, folders, toml
from engine.spec.config import JudgeConfig, RunConfig
from engine.spec.cost import model_cost
from engine.spec.data import FACTS, DataSpec
from engine.spec.errors import CrdndError, RunFolderError
from engine.spec.machine import Machine
from engine.spec.models import Layout, ModelSpec
from engine.spec.rundir import RunDir
from engine.teachers import weights
from engine.types import Dataset

Image = tuple[int, int, int]  # C H W


@dataclass(frozen=True, kw_only=True)
class SavedStudent:
    """A student at one of its checkpoints, on the CPU, in eval mode, in contiguous memory."""

    run: RunDir
    config: RunConfig
    checkpoint: str  # best or last
    net: nn.Module
    tensors: dict[str, Tensor]  # the state dict as the file holds it
    facts: dict[str, str]  # of the file; `digest` among them
    classes: int
    image: Image


def read_run(path: Path) -> tuple[RunDir, RunConfig | JudgeConfig]:
    """The folder and its config; RunFolderError when it is none."""
    run = RunDir(path.expanduser().resolve())
    if not files.is_file(run.config):
        raise RunFolderError("is no run folder: config.toml is missing", where=str(run.path))
    return run, toml.read(run.config)


def machine_of(run: RunDir, **flags: object) -> Machine:
    """The machine of the run, overridden by the flags that are given; ConfigError where the folder is damaged."""
    changes = {key: value for key, value in flags.items() if value is not None}
    return Machine.model_validate(folders.machine_of(run).model_dump() | changes)


def load_student(run: RunDir, config: RunConfig | JudgeConfig, checkpoint: str, machine: Machine) -> SavedStudent:
    """The student at `best` or `last`; CrdndError when its weights are missing, damaged, or of another model."""
    if not isinstance(config, RunConfig):
        raise CrdndError(f"{run.id} judges a model of another place", hint="Export the run that trained it.")
    path = run.weights_of(checkpoint)
    tensors, facts = weights.load(path)
    classes, image = shape_of(config.data, machine)
    net = build(config.student, classes, image)
    weights.fit(net, tensors, where=str(path))
    return SavedStudent(run=run, config=config, checkpoint=checkpoint, net=net.eval(), tensors=tensors, facts=facts,
                 classes=classes, image=image)  # fmt: skip


def shape_of(spec: DataSpec, machine: Machine) -> tuple[int, Image]:
    """Classes and C H W of the images; a folder or an npz file is opened for them."""
    if known := FACTS.get(spec.name):
        return known.classes, known.image
    dataset = load_data(spec, machine)
    return len(dataset.classes), dataset.image


def load_data(spec: DataSpec, machine: Machine) -> Dataset:
    dataset: Dataset = import_module(f"engine.data.{spec.module}").load(spec, machine.data_folder)
    return dataset


def build(spec: ModelSpec, classes: int, image: Image) -> nn.Module:
    """A fresh net on the CPU; the global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        net: nn.Module = import_module(f"engine.models.{spec.module}").build(spec, classes, image)
    return net


def place(
    net: nn.Module, spec: ModelSpec, dataset: Dataset, machine: Machine, batch_size: int, layout: Layout | None = None
) -> torch.device:
    """Put the net on the machine's device, with the threads and, where `layout` is None, the layout of a run of it."""
    device, _notes = runtime.prepare(machine)
    macs = model_cost(spec, len(dataset.classes), dataset.image).macs
    runtime.share_threads(machine, macs * batch_size)
    runtime.place(net, device, runtime.FORMATS[layout or runtime.layout(machine, device, spec)])
    return device
