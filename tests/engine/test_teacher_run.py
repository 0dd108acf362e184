"""A student whose teacher is a preset: the teacher's run comes first, once, and is used ever after. Real engines."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.run import teacher_run
from engine.runtime.interrupt import Interrupt
from engine.spec import locks, toml
from engine.spec import status as status_file
from engine.spec.config import RunConfig
from engine.spec.errors import TeacherError
from engine.spec.events import EpochDone, RunFailed, RunResumed, StageStarted, TeacherRunStarted, Warned, decode
from engine.spec.folders import create, equal_runs, status_of
from engine.spec.machine import Machine
from engine.spec.rundir import RunDir
from engine.spec.status import Status
from engine.train.reporter import Reporter
from tests.engine.broken_runs import FAILED, FINISHED, STOPPED

pytestmark = pytest.mark.slow
JUDGED = {"checkpoints": ["best"], "images": 20, "gallery": 0, "suspect": False, "attacks": [{"name": "fgsm"}]}
SELECTED = {"by": "clean", "attacks": [], "every": 100_000}


def table(method: str, seed: int = 0, *, epochs: int = 1, **data) -> dict:
    return {
        "seed": seed,
        "data": {"name": "digits", "train_images": 64} | data,
        "student": {"name": "small_cnn", "width": 4},
        "method": {"name": method},
        "inner": {"steps": 1},
        "training": {"epochs": epochs, "batch_size": 32, "learning_rate": 0.01},
        "selection": SELECTED,
        "evaluation": JUDGED,
    }


class Lab:
    """A runs folder, and a teacher's config."""

    def __init__(self, home: Path, **teacher) -> None:
        self.machine = Machine(runs=str(home / "runs"), data=str(home / "data"), device="cpu", threads=1)
        self.teacher = RunConfig.model_validate(table("natural", **teacher))

    def student(self, seed: int) -> RunDir:
        source = {"preset": "teacher.toml", "config": self.teacher.to_table()}
        config = RunConfig.model_validate(table("rslad", seed) | {"teacher": source})
        return create(config, toml.dump(config), self.machine)

    def teachers(self) -> list[RunDir]:
        return [run for run, _ in equal_runs(self.machine.runs_folder, self.teacher)]


class Hears(Reporter):
    """Keeps what is said."""

    def __init__(self, said: list) -> None:
        self.said = said

    def say(self, event) -> None:
        self.said.append(event)

    def beat(self) -> None:
        """Nobody waits for a sign of life."""


def events(run: RunDir, kind: type) -> list:
    return [event for event in decode(run.events.read_bytes().splitlines()).events if isinstance(event, kind)]


def wait_until(condition, seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "this never happened"
        time.sleep(0.02)


def test_two_students_at_once_train_their_teacher_once_and_a_third_uses_it(fork_server, tmp_path):
    lab = Lab(tmp_path)
    students = [lab.student(seed) for seed in (0, 1, 2)]
    at_work = [fork_server.start(student) for student in students[:2]]
    assert [fork_server.wait(pid) for pid in at_work] == [FINISHED] * 2
    assert fork_server.work(students[2]) == FINISHED
    assert fork_server.screen.read_text() == ""
    (teacher,) = lab.teachers()
    assert status_of(teacher).phase == "done"
    assert [status_of(student).phase for student in students] == ["done"] * 3
    waited = [event.waiting for student in students for event in events(student, TeacherRunStarted)]
    assert waited.count(False) == 1
    assert {event.run for student in students for event in events(student, TeacherRunStarted)} == {teacher.id}
    assert "teacher" not in [event.stage for event in events(students[2], StageStarted)]
    assert len(list(lab.machine.runs_folder.glob("[a-z0-9]*"))) == 4


def test_a_teacher_that_fails_is_one_sentence_with_its_run(fork_server, tmp_path):
    lab = Lab(tmp_path, validation=5000)  # more than there are
    student = lab.student(0)
    assert (fork_server.work(student), fork_server.screen.read_text()) == (FAILED, "")
    (teacher,) = lab.teachers()
    (failed,) = events(student, RunFailed)
    assert failed.kind == "Teacher"
    assert failed.message.startswith(f"the teacher's run {teacher.id} failed: data.validation = 5000 leaves none")
    assert f"crdnd show {teacher.id}" in failed.hint
    assert status_of(student).phase == "failed"


def test_stopping_a_student_stops_its_teacher_and_resuming_it_goes_on_with_the_same_one(fork_server, tmp_path):
    lab = Lab(tmp_path, epochs=400)
    student = lab.student(0)
    engine = fork_server.start(student)
    wait_until(lambda: any(run.events.exists() and events(run, EpochDone) for run in lab.teachers()))
    os.kill(engine, signal.SIGTERM)
    assert fork_server.wait(engine) == STOPPED
    (teacher,) = lab.teachers()
    assert not locks.is_held(teacher.lock)
    assert (status_of(teacher).reason, status_of(student).reason) == ("stop file", "SIGTERM")
    assert (status_of(teacher).phase, status_of(student).phase) == ("stopped", "stopped")
    assert not teacher.stop.exists()
    assert not student.stop.exists()
    assert fork_server.work(student) == FINISHED
    assert [run.id for run in lab.teachers()] == [teacher.id]
    assert len(events(teacher, RunResumed)) == 1
    assert status_of(teacher).phase == status_of(student).phase == "done"


def test_a_finished_teacher_whose_weights_were_removed_is_trained_anew(fork_server, tmp_path):
    """By an engine of its own, which imports torch for itself."""
    lab = Lab(tmp_path)
    finished = create(lab.teacher, toml.dump(lab.teacher), lab.machine)
    assert fork_server.work(finished) == FINISHED
    shutil.rmtree(finished.weights)
    begun = [event.run for event in waited(lab, tmp_path) if isinstance(event, TeacherRunStarted)]
    assert len(begun) == 1
    assert begun[0] != finished.id
    assert status_of(RunDir(lab.machine.runs_folder / begun[0])).phase == "done"


def as_left(run: RunDir, phase: str, reason: str = "") -> None:
    run.status.write_bytes(status_file.encode(Status(run=run.id, phase=phase, reason=reason)))
    if phase == "done":
        run.weights.mkdir()
        for name in ("best", "last"):
            run.weights_of(name).touch()


def test_a_teacher_that_another_students_engine_has_finished_meanwhile_is_not_trained_again(tmp_path, monkeypatch):
    lab = Lab(tmp_path)
    run = create(lab.teacher, toml.dump(lab.teacher), lab.machine)
    as_left(run, "done")
    monkeypatch.setattr(teacher_run.torchrun, "start", lambda *_: subprocess.Popen(["true"]))
    assert teacher_run._begin(lab.teacher, lab.machine)[0].id == run.id
    assert [found.id for found in lab.teachers()] == [run.id]


def played(monkeypatch, lab: Lab, *plays):
    """`_begin` plays these in turn: each leaves the teacher's run as an engine would, waited for or our own."""
    run, left = create(lab.teacher, toml.dump(lab.teacher), lab.machine), list(plays)
    run.log.touch()

    def begin(*_):
        phase, code = left.pop(0)
        as_left(run, phase, "stop file" if phase == "stopped" else "")
        if code is None:
            return run, None
        dies = f"import os, sys; os.kill(os.getpid(), {-code}) if {code} < 0 else sys.exit({code})"
        return run, subprocess.Popen([sys.executable, "-c", dies])

    monkeypatch.setattr(teacher_run, "_begin", begin)
    return run


def waited(lab: Lab, tmp_path) -> list:
    said = []
    student = toml.read(lab.student(0).config)
    teacher_run.ensure_teacher(student, lab.machine, Hears(said), Interrupt(tmp_path / "stop"))
    return said


@pytest.mark.parametrize("phase", ["stopped", "training", "starting"])
def test_who_waits_goes_on_with_a_teacher_that_was_stopped_or_killed(tmp_path, monkeypatch, phase):
    lab = Lab(tmp_path)
    played(monkeypatch, lab, (phase, None), ("training", None), ("done", 0))
    assert [event.waiting for event in waited(lab, tmp_path)[1:]] == [True, True, False]


def test_who_waits_does_not_repeat_a_failure(tmp_path, monkeypatch):
    lab = Lab(tmp_path)
    run = played(monkeypatch, lab, ("failed", None))
    with pytest.raises(TeacherError, match=f"the teacher's run {run.id} failed"):
        waited(lab, tmp_path)


def test_a_teacher_whose_engine_is_killed_is_started_once_more_and_its_death_named(tmp_path, monkeypatch):
    lab = Lab(tmp_path)
    run = played(monkeypatch, lab, ("training", -9), ("training", -9))
    with pytest.raises(TeacherError, match=rf"the teacher's run {run.id} died of SIGKILL .*memory"):
        waited(lab, tmp_path)
    assert run.log.read_text().count("died of SIGKILL") == 2


def test_advice_for_a_teacher_that_crashes_again_does_not_lead_in_a_circle(tmp_path, monkeypatch):
    lab = Lab(tmp_path)
    run = played(monkeypatch, lab, ("training", -11), ("training", -11))
    with pytest.raises(TeacherError, match="died of SIGSEGV") as caught:
        waited(lab, tmp_path)
    assert f"`crdnd resume {run.id} --machine layout=contiguous`" in caught.value.hint


@pytest.mark.parametrize(
    ("phase", "code", "how"),
    [("stopped", 3, "was stopped by somebody else: stop file"), ("training", 1, "died with exit code 1")],
)
def test_a_teacher_that_somebody_else_stops_is_told_so(tmp_path, monkeypatch, phase, code, how):
    lab = Lab(tmp_path)
    run = played(monkeypatch, lab, (phase, code))
    with pytest.raises(TeacherError, match=f"the teacher's run {run.id} {how}"):
        waited(lab, tmp_path)


def test_a_teacher_that_crashed_when_all_was_done_makes_its_students_suspect(tmp_path, monkeypatch):
    lab = Lab(tmp_path)
    played(monkeypatch, lab, ("done", -11))
    assert [event.code for event in waited(lab, tmp_path) if isinstance(event, Warned)] == ["teacher_crashed"]


def test_a_method_without_a_preset_for_its_teacher_waits_for_nothing(tmp_path):
    lab = Lab(tmp_path)
    said = []
    teacher_run.ensure_teacher(lab.teacher, lab.machine, Hears(said), Interrupt(tmp_path / "stop"))
    assert said == []
    assert not lab.machine.runs_folder.exists()
