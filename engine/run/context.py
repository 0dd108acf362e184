"""What every part of a run needs: folder, machine, device, ranks, reporter, stop requests.

Data sets and models are reached by name here; nothing else of the engine knows their files.
"""

from dataclasses import dataclass
from importlib import import_module

from torch import nn

from engine.data.screening import screen
from engine.runtime import device, distributed, provenance
from engine.runtime.device import FORMATS
from engine.runtime.interrupt import Interrupt
from engine.spec.cost import model_cost
from engine.spec.data import DataSpec
from engine.spec.events import StageStarted
from engine.spec.machine import Machine
from engine.spec.models import Layout, ModelSpec
from engine.spec.rundir import RunDir
from engine.teachers.saved_run import load_data
from engine.train.reporter import Reporter
from engine.types import Dataset


@dataclass(kw_only=True)
class RunContext:
    """Folder, machine and device of a run, its events and stop requests; builds its data and models by name."""

    run: RunDir
    machine: Machine
    reporter: Reporter
    interrupt: Interrupt

    def __post_init__(self) -> None:
        self.device, self.notes = device.prepare(self.machine)
        self.ranks = distributed.join(self.device, self.reporter.beat)
        if self.ranks.world_size > 1:
            self.notes.append(f"{self.ranks.world_size} ranks")
        self.layout: Layout = "contiguous"  # until `configure_model`
        self.format = FORMATS[self.layout]

    def pause(self) -> None:
        """Send a heartbeat, and raise Stopped if asked to stop; called at every forward pass of an attack."""
        self.reporter.beat()
        self.interrupt.pause()

    def wanted_stop(self) -> str:
        """Why to stop now, or empty; the same on all ranks, which must all ask at the same step."""
        reason = self.interrupt.reason
        return (reason or "stop file") if self.ranks.any_rank(bool(reason)) else ""

    def load_data(self, spec: DataSpec, *, screened: bool, trains: bool) -> tuple[Dataset, dict[str, str]]:
        """The official splits and their hashes; what was passed over or converted goes to the notes.

        `screened`: say what is doubtful. DataError where the data are missing, damaged, or training on them is void.
        """
        if screened:
            self.reporter.say(StageStarted(stage="data"))
        dataset = load_data(spec, self.machine)
        self.notes += [f"data: {note}" for note in dataset.notes]
        digests = provenance.data_digest(dataset)
        for warning in screen(dataset, trains=trains) if screened else ():
            self.reporter.say(warning)
        return dataset, digests

    def configure_model(self, spec: ModelSpec, dataset: Dataset, batch_size: int, *, learns: bool = False) -> None:
        """CPU threads by the size of this model's batches, and its memory layout, which every other net shares.

        A run that goes on keeps the threads that it began with. `learns`: the model's weights get gradients.
        """
        macs = model_cost(spec, len(dataset.classes), dataset.image).macs
        self.layout = device.layout(self.machine, self.device, spec, learns=learns)
        began_with = provenance.threads_before(self.run.provenance) if self.device.type == "cpu" else 0
        self.notes += [device.share_threads(self.machine, macs * batch_size, began_with), self.layout]
        self.format = FORMATS[self.layout]

    def layout_of(self, teacher: ModelSpec) -> Layout:
        """A teacher's own layout where it is asked as a folded copy; else all nets share the student's."""
        if self.machine.folds:
            return device.layout(self.machine, self.device, teacher)
        return self.layout

    def build(self, spec: ModelSpec, dataset: Dataset, layout: Layout | None = None) -> nn.Module:
        """A fresh net on the device, initialised by the global generator; in the student's layout, or in this one."""
        module = import_module(f"engine.models.{spec.module}")
        net: nn.Module = module.build(spec, len(dataset.classes), dataset.image)
        return device.place(net, self.device, self.format if layout is None else FORMATS[layout])
