"""What the judgements of one verification share; and the teacher that the run recorded, found by its hash."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from engine.evaluate.context import Identity
from engine.evaluate.outcomes import FAILS, HOLDS, UNKNOWN, CheckResult
from engine.runtime import device
from engine.runtime.interrupt import Interrupt
from engine.spec import files, robustbench
from engine.spec.attacks import AttackSpec
from engine.spec.config import RobustBenchTeacher, RunConfig
from engine.spec.errors import CrdndError, brief
from engine.spec.events import AttackProgressed, Event
from engine.spec.machine import Machine
from engine.spec.models import Layout
from engine.teachers import load
from engine.teachers.load import TeacherSource
from engine.types import Dataset
from engine.verify.audit import Stored

Say = Callable[[dict[str, Any]], None]


class Wanted(NamedTuple):
    """How much is done again."""

    attacks: Sequence[AttackSpec]
    everything: bool  # probes, validation and the teacher's measurement, too


@dataclass(frozen=True, kw_only=True)
class Court:
    """All that the judgements of one verification share."""

    stored: Stored
    dataset: Dataset
    identity: Identity
    machine: Machine
    interrupt: Interrupt
    say: Say
    source: TeacherSource | None  # the teacher, or the judged model, that the run had; None where it is not here

    @property
    def layout(self) -> Layout | None:
        """In memory, of the run's nets, as provenance.json says it; None where it does not."""
        told = self.stored.facts.get("layout")
        return next((layout for layout in device.FORMATS if layout == told), None)


def source_of(stored: Stored, machine: Machine) -> tuple[TeacherSource | None, list[CheckResult]]:
    """The teacher, or the judged model: the file whose hash the run recorded. Nothing is downloaded for it."""
    config = stored.config
    spec = config.teacher if isinstance(config, RunConfig) else config.subject
    if spec is None:
        return None, []
    what = "teacher" if isinstance(config, RunConfig) else "judged model"
    noted = stored.facts.get("teacher")
    of_teacher = noted.get("sha256") if isinstance(noted, dict) else None
    said = of_teacher if isinstance(config, RunConfig) else stored.facts.get("subject_sha256")
    if isinstance(spec, RobustBenchTeacher):
        path = load.robustbench_path(machine.data_folder, config.data.name, spec.robustbench)
        if not path.is_file():
            return None, [CheckResult(what, UNKNOWN, f"{spec.robustbench} is not on this machine")]
        model = robustbench.lookup(config.data.name, spec.robustbench).model
        found: TeacherSource | None = TeacherSource(
            path=path, model=model, label=spec.robustbench, sha256=files.sha256(path)
        )
    else:
        try:
            found = load.locate(
                spec,
                runs=machine.runs_folder,
                data=machine.data_folder,
                dataset=config.data.name,
                sha256=str(said or ""),
            )
        except (CrdndError, OSError) as error:
            return None, [CheckResult(what, UNKNOWN, f"cannot be found here: {brief(error)}")]
    assert found is not None
    if not said:
        return found, [CheckResult(what, UNKNOWN, "provenance.json names no hash of it")]
    if found.sha256 != said:
        return None, [CheckResult(what, FAILS, f"{found.label}: is {found.sha256[:12]} now, was {str(said)[:12]}")]
    return found, [CheckResult(what, HOLDS, f"{found.label}: sha256 {str(said)[:12]}")]


def progress(court: Court) -> Callable[[Event], None]:
    def told(event: Event) -> None:
        if isinstance(event, AttackProgressed):
            court.say({"event": "progress", "checkpoint": event.checkpoint, "attack": event.attack, "part": event.part,
                       "done": event.done, "total": event.total})  # fmt: skip

    return told
