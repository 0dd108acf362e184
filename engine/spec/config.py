"""RunConfig: everything that can change the numbers of a run, and nothing that cannot; where a teacher comes from."""

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from engine.spec.attacks import FORMER_SCALES, RELATIVE_SCALES, ThreatModel
from engine.spec.base import Seed, Share, Spec
from engine.spec.data import DataSpec
from engine.spec.methods import MethodSpec
from engine.spec.models import ModelSpec
from engine.spec.training import Evaluation, Inner, Selection, Training

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
    """Return the one source that a teacher's table names; None for none or several."""
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


class _Config(Spec):
    def to_table(self) -> dict[str, Any]:
        """Return plain TOML values with every default written out."""
        table: dict[str, Any] = self.model_dump(mode="json", exclude_none=True)
        return table

    @property
    def config_hash(self) -> str:
        """SHA-256 of all that can change the numbers; equal hashes are equal experiments."""
        return _digest(_nameless(self.to_table()))


class RunConfig(_Config):
    """One experiment: who learns what from whom, against which adversary, and how it is judged."""

    name: Annotated[str, Field(max_length=120)] = ""
    """What people call it; changes nothing."""
    seed: Seed = 0
    data: DataSpec
    student: ModelSpec
    method: MethodSpec
    teacher: TeacherSpec | None = None
    threat_model: ThreatModel = ThreatModel()
    inner: Inner = Inner()
    training: Training = Training()
    selection: Selection = Selection()
    evaluation: Evaluation = Evaluation()

    @model_validator(mode="after")
    def _teacher_fits_method(self) -> "RunConfig":
        if self.method.needs_teacher and self.teacher is None:
            raise ValueError(f"the method {self.method.name} learns from a teacher: add a [teacher] table")
        if not self.method.needs_teacher and self.teacher is not None:
            raise ValueError(f"the method {self.method.name} has no teacher: remove the [teacher] table")
        return self

    @property
    def group_hash(self) -> str:
        """The config hash without the seed: what the seeds of one experiment share."""
        table = _nameless(self.to_table())
        table.pop("seed")
        return _digest(table)

    @property
    def title(self) -> str:
        """The preset's own name, or one made of its parts."""
        return self.name or f"{self.method.name}-{self.data.name}-{self.student.name}"

    @property
    def teacher_title(self) -> str:
        match self.teacher:
            case None:
                return "-"
            case CheckpointTeacher():
                return self.teacher.model.title
            case RobustBenchTeacher():
                return self.teacher.robustbench
            case RunTeacher():
                return self.teacher.run
            case PresetTeacher():
                return self.teacher.config.student.title if self.teacher.config else self.teacher.preset


class JudgeConfig(_Config):
    """No training: a saved student, or any checkpoint, judged (again) by `crdnd evaluate`."""

    kind: Literal["evaluation"] = "evaluation"
    name: Annotated[str, Field(max_length=120)] = ""
    data: DataSpec
    subject: TeacherSpec
    """Where the judged weights come from, written like a teacher; a preset is not one of its sources."""
    threat_model: ThreatModel = ThreatModel()
    evaluation: Evaluation = Evaluation()

    @model_validator(mode="after")
    def _subject_exists(self) -> "JudgeConfig":
        if isinstance(self.subject, PresetTeacher):
            raise ValueError("a preset has no weights to judge: run it, then evaluate the run")
        return self


def name_protocol(table: dict[str, Any]) -> None:
    """Set the protocol of a config that was written before protocols had names: the last iterate. In place."""
    teacher = table.get("teacher")
    for holder in (table, teacher.get("config") if isinstance(teacher, dict) else None):
        selection = holder.get("selection") if isinstance(holder, dict) else None
        if isinstance(selection, dict):
            selection.setdefault("protocol", "last_iterate")


def _nameless(table: dict[str, Any]) -> dict[str, Any]:
    """Drop what changes no number: names, the path of the teacher's preset, the protocol that all runs had."""
    kept = {key: value for key, value in table.items() if key != "name"}
    for judged in ("selection", "evaluation"):
        if kept.get(judged, {}).get("protocol") == "last_iterate":
            kept[judged] = {key: value for key, value in kept[judged].items() if key != "protocol"}
        if judged in kept:
            kept[judged] = kept[judged] | {"attacks": [_unscaled(attack) for attack in kept[judged]["attacks"]]}
    teacher = kept.get("teacher")
    if isinstance(teacher, dict) and isinstance(teacher.get("config"), dict):
        of_teacher = {key: value for key, value in teacher.items() if key not in ("preset", "config")}
        kept["teacher"] = of_teacher | {"config": _nameless(teacher["config"])}
    return kept


def _unscaled(attack: dict[str, Any]) -> dict[str, Any]:
    """Replace default scales by the former ones: they belong to the engine, as AutoAttack's version does.

    So the hash of a config that was written when the engine had other defaults stays what it was.
    """
    if attack.get("relative_scales") != list(RELATIVE_SCALES) or "scales" in attack:
        return attack
    return {key: value for key, value in attack.items() if key != "relative_scales"} | {"scales": list(FORMER_SCALES)}


def _digest(table: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(table, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


PresetTeacher.model_rebuild()
RunConfig.model_rebuild()
