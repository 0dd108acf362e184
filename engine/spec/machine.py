"""Machine: what may differ between two runs of one experiment, whose numbers then agree to rounding."""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from engine.spec.base import Count, Spec
from engine.spec.files import absolute, json_table

Precision = Literal["auto", "float32", "bfloat16"]
Switch = Literal["auto", "on", "off"]


class Machine(Spec):
    """Where a run is computed and where things lie. Stored beside the config, never hashed into it."""

    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    """`auto` is CUDA where there is a GPU, else the CPU; numbers are those of nvidia-smi."""
    threads: Count = 0
    """CPU threads; 0 = by the size of the model, at most as many as this process may use, and as before when a run goes
    on. Sums may differ in the last bit between thread counts."""
    layout: Literal["auto", "channels_last", "contiguous"] = "auto"
    """In memory, of images and weights; `auto` is channels_last on CUDA, and by the model on a CPU.
    Noise is drawn in the order of memory: another layout draws other noise from the same seed."""
    tf32: bool = False
    """TensorFloat-32 in training on CUDA; the evaluation is float32 always."""
    exact: bool = False
    """No shortcut: float32 everywhere, each network asked as the paper writes it. Overrides all switches below."""
    teacher_precision: Precision = "auto"
    """Of the teacher's answers. `auto` is bfloat16 where the device is faster with it, for nets large enough."""
    inner_precision: Precision = "auto"
    """Of the student in the inner maximisation. In eval mode bfloat16 comes with a folded copy; an attack in train mode
    meets the student itself, in float32 unless bfloat16 is set here."""
    outer_precision: Precision = "auto"
    """Of the two training forwards and their backward; weights, batch statistics and losses stay float32."""
    folded: Switch = "auto"
    """Eval-mode attacks, and the teacher, run on copies whose batch norms are folded into the convolutions."""
    paired: Switch = "auto"
    """x_adv and x pass the student as one batch, with batch norm for each half, in the method's order."""
    table: Annotated[
        Literal["auto", "off", "complete"],
        BeforeValidator(lambda said: "auto" if said == "lazy" else said),  # as older machine files may say
    ] = "auto"
    """The teacher's logits on natural images, on disk: all computed before the first step, or none.
    `auto` is complete where that takes fewer forwards than asking at every step; a resumed run keeps its choice."""
    table_epochs: Count = 0
    """Epochs of all runs that are planned with this teacher, data and padding, for `table = auto`; a study says it."""
    table_gib: Annotated[float, Field(gt=0.0)] = 16.0
    """Largest size of all teacher tables in the data folder together, in GiB; a run that would exceed it has none."""
    graphs: Switch = "auto"
    """On CUDA, a whole training step as one CUDA graph."""
    devices: Annotated[int, Field(ge=1, le=1024)] = 1
    """Processes of this run on each node, one device each: data-parallel, with the same batch."""
    nodes: Annotated[int, Field(ge=1, le=1024)] = 1
    """Machines that work on the run together."""
    rendezvous: Annotated[str, Field(max_length=200)] = ""
    """HOST:PORT where they meet; only for several nodes."""
    data: str = "data"
    """Folder of data sets and teacher checkpoints."""
    runs: str = "runs"
    """Folder of run folders."""
    checkpoint_seconds: Annotated[float, Field(ge=0.0)] = 600.0
    """Save within an epoch, too, when so much time has passed; every epoch ends with a checkpoint anyway."""

    def beside(self, run: Path) -> "Machine":
        """The same for this run folder, wherever it lies now: teachers are sought, and made, where the run is.

        Of a folder that was moved, a data folder that is not on this machine is the one beside the runs folder.
        """
        runs = run.parent
        if self.runs == str(runs):
            return self
        data = self.data
        if os.path.isabs(self.runs) and not self.has_data:  # noqa: PTH117
            beside = Path(data).name if Path(data).parent == Path(self.runs).parent else "data"
            data = os.environ.get("CRDND_DATA") or str(runs.parent / beside)
        return self.model_copy(update={"runs": str(runs), "data": data})

    @property
    def folds(self) -> bool:
        """Whether attacks may climb on folded copies."""
        return not self.exact and self.folded != "off"

    @property
    def data_folder(self) -> Path:
        """Of data sets and teachers, absolute; ConfigError where that leads nowhere."""
        return absolute(self.data)

    @property
    def runs_folder(self) -> Path:
        """Of runs, absolute; ConfigError where that leads nowhere."""
        return absolute(self.runs)

    @property
    def has_data(self) -> bool:
        return os.path.isdir(os.path.expanduser(self.data))  # noqa: PTH111, PTH112  Path raises where it may not be read


def decode(content: bytes) -> Machine:
    """What machine.json says, without keys of other versions; ValueError (pydantic's errors are) for wrong values."""
    said = json_table(content)
    return Machine.model_validate({key: said[key] for key in Machine.model_fields if key in said})
