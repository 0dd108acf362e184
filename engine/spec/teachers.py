"""Where a teacher comes from: a checkpoint file, a RobustBench id, a saved run, or another preset."""

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Discriminator, Field, Tag

from engine.spec.base import Share, Spec
from engine.spec.models import ModelSpec

if TYPE_CHECKING:
    from engine.spec.config import RunConfig

SOURCES = ("checkpoint", "robustbench", "run", "preset")


class _Teacher(Spec):
    expected_clean: Share | None = None
    """Clean accuracy (fraction) that the source claims; the teacher is refused when it misses it."""
    expected_robust: Share | None = None
    """PGD-10 accuracy (fraction) that the source claims; a miss is a warning."""
    tolerance: Share = 0.03
    """How far below `expected_clean` the 512 images may lie, beside their own sampling error."""


class CheckpointTeacher(_Teacher):
    """A file: TRADES, RobustBench, DeepMind and our own formats; read without unpickling code."""

    checkpoint: str = Field(min_length=1)
    """Relative to the machine's data folder, or absolute."""
    model: ModelSpec
    sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    prefix: str | None = None
    """What its names in the file begin with, as in `student.`, where several prefixes fit; found by itself else."""


class RobustBenchTeacher(_Teacher):
    """An entry of our own table of RobustBench models, downloaded once and checked."""

    robustbench: str = Field(min_length=1)


class RunTeacher(_Teacher):
    """The student of a saved run."""

    run: str = Field(min_length=1)
    """Run id in the runs folder, or the path of a run folder."""
    weights: str = Field(default="best", pattern="^(best|last)$")


class PresetTeacher(_Teacher):
    """The student of another preset: found among the runs by its config hash, and trained first if there is none."""

    preset: str = Field(min_length=1)
    """Path of the preset, relative to the one that names it."""
    weights: str = Field(default="best", pattern="^(best|last)$")
    config: "RunConfig | None" = None
    """The teacher's own resolved config, filled in when the preset is read."""


def _source(value: Any) -> str | None:  # noqa: ANN401  pydantic hands over whatever the file holds
    """The one key that says where the teacher comes from."""
    if isinstance(value, dict):
        named = [source for source in SOURCES if source in value]
        return named[0] if len(named) == 1 else None
    return next((source for source in SOURCES if hasattr(value, source)), None)


TeacherSpec = Annotated[
    Annotated[CheckpointTeacher, Tag("checkpoint")]
    | Annotated[RobustBenchTeacher, Tag("robustbench")]
    | Annotated[RunTeacher, Tag("run")]
    | Annotated[PresetTeacher, Tag("preset")],
    Discriminator(
        _source,
        custom_error_type="teacher_source",
        custom_error_message="name exactly one of checkpoint, robustbench, run, preset",
    ),
]
