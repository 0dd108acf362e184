"""RunConfig: everything that can change the numbers of a run, and nothing that cannot."""

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from engine.spec.attacks import FORMER_SCALES, RELATIVE_SCALES, ThreatModel
from engine.spec.base import Seed, Spec
from engine.spec.data import DataSpec
from engine.spec.methods import MethodSpec
from engine.spec.models import ModelSpec
from engine.spec.teachers import CheckpointTeacher, PresetTeacher, RobustBenchTeacher, RunTeacher, TeacherSpec
from engine.spec.training import Evaluation, Inner, Selection, Training


class RunConfig(Spec):
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

    def to_table(self) -> dict[str, Any]:
        """Plain TOML values with every default written out."""
        table: dict[str, Any] = self.model_dump(mode="json", exclude_none=True)
        return table

    @property
    def config_hash(self) -> str:
        """SHA-256 of all that can change the numbers; equal hashes are equal experiments."""
        return _digest(_nameless(self.to_table()))

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
        """How tables call the teacher."""
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


class JudgeConfig(Spec):
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

    def to_table(self) -> dict[str, Any]:
        """Plain TOML values with every default written out."""
        table: dict[str, Any] = self.model_dump(mode="json", exclude_none=True)
        return table

    @property
    def config_hash(self) -> str:
        """SHA-256 of all that can change the numbers."""
        return _digest(_nameless(self.to_table()))


def name_protocol(table: dict[str, Any]) -> None:
    """A config that was written before protocols had names, with every default, means the last iterate."""
    teacher = table.get("teacher")
    for holder in (table, teacher.get("config") if isinstance(teacher, dict) else None):
        selection = holder.get("selection") if isinstance(holder, dict) else None
        if isinstance(selection, dict):
            selection.setdefault("protocol", "last_iterate")


def _nameless(table: dict[str, Any]) -> dict[str, Any]:
    """Without the words that change nothing: names, where the teacher's preset lay, the protocol that all runs had."""
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
    """Scales that nobody chose are the engine's, as AutoAttack's version is: told by each record, not by the hash.

    So runs are found, and teachers not trained again, whose config was written when the engine chose others.
    """
    if attack.get("relative_scales") != list(RELATIVE_SCALES) or "scales" in attack:
        return attack
    return {key: value for key, value in attack.items() if key != "relative_scales"} | {"scales": list(FORMER_SCALES)}


def _digest(table: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(table, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


PresetTeacher.model_rebuild(_types_namespace={"RunConfig": RunConfig})
RunConfig.model_rebuild()
