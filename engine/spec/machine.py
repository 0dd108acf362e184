"""Machine: what may differ between two runs that should give the same numbers."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from engine.spec.base import Count, Spec


class Machine(Spec):
    """Where a run is computed and where things lie. Stored beside the config, never hashed into it."""

    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    """`auto` is CUDA where there is a GPU, else the CPU."""
    threads: Count = 0
    """CPU threads; 0 = as many as there are cores. Sums may differ in the last bit between thread counts."""
    layout: Literal["auto", "channels_last", "contiguous"] = "auto"
    """In memory, of images and weights; `auto` is channels_last on CUDA, and by the model on a CPU."""
    tf32: bool = False
    """TensorFloat-32 in training on CUDA; the evaluation is float32 always."""
    data: str = "data"
    """Folder of data sets and teacher checkpoints."""
    runs: str = "runs"
    """Folder of run folders."""
    checkpoint_seconds: Annotated[float, Field(ge=0.0)] = 600.0
    """Save within an epoch, too, when so much time has passed; every epoch ends with a checkpoint anyway."""

    @property
    def data_folder(self) -> Path:
        """Of data sets and teachers, absolute."""
        return Path(self.data).expanduser().resolve()

    @property
    def runs_folder(self) -> Path:
        """Of runs, absolute."""
        return Path(self.runs).expanduser().resolve()
