"""A study is queued, goes on after any death, and holds its rest when it is asked to."""

import threading
import time
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from crdnd_tui.core import run_status
from crdnd_tui.core.provenance import machine_of
from crdnd_tui.queue import actions, snapshot, worker
from crdnd_tui.queue.tickets import Queue
from crdnd_tui.study import conduct
from crdnd_tui.study.conduct import LaunchResult
from crdnd_tui.study.progress import read_progress
from crdnd_tui.study.study import Study
from engine.spec import toml
from engine.spec.errors import ConfigError, RunFolderError
from engine.spec.rundir import RunDir
from tests.studies.lab import cell, machine, made, plan, queued, small, spoke
from tests.tui.lab_queue import runs_folder, states, until  # noqa: F401  a fixture


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """No worker comes: the queue stays as it was written."""
    monkeypatch.setattr(worker, "ensure", lambda runs: True)


def launch(study: Study, runs: Path, **how) -> LaunchResult:
    return conduct.launch(study, machine(runs), **how)


def found(study: Study, runs: Path) -> list[str]:
    return [s.state for s in read_progress(study, runs).statuses]


@pytest.mark.usefixtures("still")
class TestLaunching:
    def test_all_runs_of_the_first_seed_come_first(self, tmp_path: Path, runs: Path) -> None:
        study = small(tmp_path)
        begun = launch(study, runs, at_once=2)
        order = [toml.read(runs / ticket.run / "config.toml") for ticket in Queue(runs).tickets()]
        assert [(c.seed, c.method.name) for c in order] == [(0, "natural"), (0, "rslad"), (1, "natural"), (1, "rslad")]
        assert {t.study for t in Queue(runs).tickets()} == {"small"}
        assert Queue(runs).at_once == 2
        assert (len(begun.made), begun.lines) == (4, ["   4 made and queued"])

    def test_a_run_folder_says_what_was_asked_for(self, tmp_path: Path, runs: Path) -> None:
        study = small(tmp_path)
        last = RunDir(runs / launch(study, runs).made[-1])
        assert toml.read(last.config) == cell(study, "rslad", 1).config
        text = last.preset.read_text()
        assert text.startswith("# A run of the study small: method rslad, seed 1.\n#   --set seed=1\n\n[data]")
        assert toml.parse(last.preset, text) == toml.parse(last.preset, cell(study, "rslad", 1).preset_text)

    def test_runs_with_a_teacher_are_told_the_epochs_of_all_that_share_its_answers(
        self, tmp_path: Path, runs: Path
    ) -> None:
        study = small(tmp_path, seeds=3)
        spoke(runs, cell(study, "rslad", 0).config, "done")
        stopped = spoke(runs, cell(study, "rslad", 1).config, "stopped")
        epochs = cell(study, "rslad", 0).config.training.epochs
        begun = launch(study, runs)
        told = {name: machine_of(RunDir(runs / name)).table_epochs for name in begun.made}
        assert sorted(told.values()) == [0, 0, 0, 2 * epochs]  # three natural runs, and one of the two that are left
        assert machine_of(stopped).table_epochs == 0  # its machine is its own
        lone = launch(small(tmp_path, seeds=4), runs, only=conduct.narrowed(small(tmp_path, seeds=4), ["seed=3"]))
        assert sorted(machine_of(RunDir(runs / name)).table_epochs for name in lone.made) == [0, epochs]

    def test_a_run_that_two_studies_share_stays_with_the_first(self, tmp_path: Path, runs: Path) -> None:
        first = small(tmp_path)
        launch(first, runs, stop_on_failure=True)
        begun = launch(replace(first, name="other"), runs)
        assert (begun.made, begun.waiting) == ((), 4)
        assert {(t.study, t.stop_on_failure) for t in Queue(runs).tickets()} == {("small", True)}

    def test_the_same_call_again_makes_nothing(self, tmp_path: Path, runs: Path) -> None:
        study = small(tmp_path)
        launch(study, runs)
        before = sorted(path.name for path in runs.iterdir())
        again = launch(study, runs)
        assert (again.made, again.resumed, again.waiting) == ((), (), 4)
        assert sorted(path.name for path in runs.iterdir()) == before

    def test_what_is_done_is_not_repeated_and_what_was_interrupted_is_queued_again(
        self, tmp_path: Path, runs: Path
    ) -> None:
        study = small(tmp_path)
        done = spoke(runs, cell(study, "natural", 0).config, "done")
        stopped = spoke(runs, cell(study, "natural", 1).config, "stopped")
        killed = spoke(runs, cell(study, "rslad", 0).config, "training")
        orphan = made(runs, cell(study, "rslad", 1).config)  # the last launch died before it could queue it
        begun = launch(study, runs)
        assert (begun.done, begun.made) == (1, ())
        assert set(begun.resumed) == {stopped.id, killed.id, orphan.id} == set(states(runs))
        assert done.id not in states(runs)

    def test_a_run_that_is_silent_on_another_machine_is_left_alone(self, tmp_path: Path, runs: Path) -> None:
        study = small(tmp_path)
        old = time.time() - 2 * run_status.LOST_AFTER
        lost = spoke(runs, cell(study, "natural", 0).config, "training", host="another-machine", heartbeat=old)
        begun = launch(study, runs)
        assert (begun.lost, begun.resumed, len(begun.made)) == ((lost.id,), (), 3)
        assert lost.id not in states(runs)
        words = "lost, silent on another machine, and left so; once surely dead, `crdnd resume` goes on"
        assert f"   1 {words}" in begun.lines

    def test_what_failed_is_left_unless_it_is_asked_for(self, tmp_path: Path, runs: Path) -> None:
        study = small(tmp_path)
        failed = spoke(runs, cell(study, "natural", 0).config, "failed", reason="why")
        assert launch(study, runs).kept == (failed.id,)
        assert failed.id not in states(runs)
        assert launch(study, runs, retry_failed=True).retried == (failed.id,)
        assert states(runs)[failed.id] == "waiting"

    def test_what_nobody_follows_is_taken_up_in_its_old_place(self, tmp_path: Path, runs: Path) -> None:
        study = small(tmp_path)
        first = launch(study, runs).made[0]
        (RunDir(runs / first)).log.write_text("it began")
        Queue(runs).change(
            first,
            ("waiting",),
            lambda t: type(t)(run=first, rank=t.rank, state="running", pid=4_000_000, study=t.study),
        )
        assert found(study, runs)[0] == "killed"
        assert launch(study, runs).resumed == (first,)
        assert next(t.run for t in Queue(runs).tickets()) == first

    def test_a_failure_holds_and_the_next_call_releases_but_a_person_is_obeyed(
        self, tmp_path: Path, runs: Path
    ) -> None:
        study = small(tmp_path)
        one, two, *_ = launch(study, runs).made
        Queue(runs).hold(one)
        Queue(runs).change(
            two,
            ("waiting",),
            lambda t: type(t)(run=two, rank=t.rank, state="held", note=conduct.HELD_FOR + "x", study="small"),
        )
        begun = launch(study, runs)
        assert (begun.held, begun.released) == ((one,), (two,))
        assert (states(runs)[one], states(runs)[two]) == ("held", "waiting")

    def test_a_part_is_a_part_and_the_queue_counts_the_whole(self, tmp_path: Path, runs: Path) -> None:
        study = small(tmp_path)
        begun = launch(study, runs, only=conduct.narrowed(study, ["seed=1", "method=rslad"]))
        assert [RunDir(runs / run).config.read_text().count("rslad") > 0 for run in begun.made] == [True]
        (batch,) = snapshot.study_notes(runs)
        assert (batch.study, len(batch.hashes)) == ("small", 4)

    def test_runs_that_wait_already_become_the_studys(self, tmp_path: Path, runs: Path) -> None:
        study = small(tmp_path)
        queued(runs, made(runs, cell(study, "natural", 0).config))
        assert len(launch(study, runs, stop_on_failure=True).made) == 3
        assert {(t.study, t.stop_on_failure) for t in Queue(runs).tickets()} == {("small", True)}

    def test_a_launch_that_does_not_say_keeps_the_wish_of_the_one_before(self, tmp_path: Path, runs: Path) -> None:
        study, queue = small(tmp_path), Queue(runs)
        part = conduct.narrowed(study, ["seed=0"])

        def stops() -> set[bool]:
            assert read_progress(study, runs).stops == any(t.stop_on_failure for t in queue.tickets())
            return {t.stop_on_failure for t in queue.tickets()}

        launch(study, runs, only=part)
        assert stops() == {False}
        launch(study, runs, only=part, stop_on_failure=True)
        assert stops() == {True}
        assert len(launch(study, runs).made) == 2  # the new ones, too
        assert (stops(), len(queue.tickets())) == ({True}, 4)
        for ticket in queue.tickets():
            queue.change(ticket.run, ("waiting",), lambda t: msgspec.structs.replace(t, state="stopped"))
        assert len(launch(study, runs).resumed) == 4
        assert stops() == {True}
        launch(study, runs, stop_on_failure=False)
        launch(study, runs)
        assert stops() == {False}

    def test_two_launches_at_once_make_each_run_once(self, tmp_path: Path, runs: Path) -> None:
        study = small(tmp_path)
        threads = [threading.Thread(target=launch, args=(study, runs)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(states(runs)) == 4 == len(list(runs.glob("2*")))

    def test_what_makes_no_sense_makes_nothing(self, tmp_path: Path, runs: Path) -> None:
        study = small(tmp_path)
        with pytest.raises(ConfigError, match="--at-once: should be 1 to 64"):
            launch(study, runs, at_once=0)
        with pytest.raises(ConfigError) as caught:
            conduct.narrowed(study, ["sed=0", "method=rslat", "natural"])
        assert [problem.split(": ")[1] for problem in caught.value.problems] == [
            "'sed=0' should read axis=label, did you mean `seed`?",
            "'method=rslat' is no label, did you mean `rslad`?",
            "'natural' should read axis=label; known are method, seed",
        ]
        assert list(runs.iterdir()) == []


class TestWorking:
    """With a worker whose engines are fake."""

    def prepared(self, study: Study, runs: Path, *ends: str) -> list[RunDir]:
        """Runs that exist already, in the order in which they will be queued; their engines end so."""
        made_ = [made(runs, c.config) for c in conduct.in_order(study.cells, study)]
        for run, end in zip(made_, ends, strict=True):
            plan(run.path, **({"end": end} if end else {}))
        return made_

    def settled(self, study: Study, runs: Path) -> bool:
        return not read_progress(study, runs).busy

    def test_a_failure_is_kept_and_the_rest_goes_on(self, tmp_path: Path, runs: Path) -> None:
        study = small(tmp_path)
        self.prepared(study, runs, "", "fail", "", "")
        launch(study, runs)
        until(lambda: self.settled(study, runs))
        assert found(study, runs) == ["done", "done", "failed", "done"]

    def test_or_the_rest_is_held(self, tmp_path: Path, runs: Path) -> None:
        study = small(tmp_path)
        _, second, *rest = self.prepared(study, runs, "", "fail", "", "")
        launch(study, runs, stop_on_failure=True)
        until(lambda: self.settled(study, runs))
        assert found(study, runs) == ["done", "held", "failed", "held"]
        assert {Queue(runs).ticket(run.id).note for run in rest} == {f"because this run failed: {second.id}"}
        plan(second.path)
        launch(study, runs, retry_failed=True)
        until(lambda: self.settled(study, runs))
        assert found(study, runs) == ["done"] * 4

    def test_a_run_whose_engine_was_killed_goes_on_with_the_next_call(self, tmp_path: Path, runs: Path) -> None:
        study = small(tmp_path)
        first, *_ = self.prepared(study, runs, "die", "", "", "")
        launch(study, runs)
        until(lambda: self.settled(study, runs))
        assert found(study, runs) == ["killed", "done", "done", "done"]
        plan(first.path)
        assert launch(study, runs).resumed == (first.id,)
        until(lambda: self.settled(study, runs))
        assert found(study, runs) == ["done"] * 4
        assert b"run_resumed" in first.events.read_bytes()

    def test_another_studys_runs_are_not_held(self, tmp_path: Path, runs: Path) -> None:
        study = small(tmp_path)
        self.prepared(study, runs, "fail", "", "", "")
        other = made(runs, cell(study, "natural", 0).config.model_copy(update={"seed": 50}))
        plan(other.path)
        Queue(runs).add(other.id, "cpu", 1.0)
        Queue(runs).hold(other.id)
        launch(study, runs, stop_on_failure=True)
        actions.release(runs, other.id)
        until(lambda: self.settled(study, runs) and states(runs)[other.id] == "done")
        assert found(study, runs) == ["failed", "held", "held", "held"]


@pytest.mark.usefixtures("still")
def test_a_whole_study_is_held_released_and_cancelled(tmp_path: Path, runs: Path) -> None:
    study = small(tmp_path)
    launch(study, runs)
    assert actions.change_study(runs, "small", "hold") == 4
    assert set(states(runs).values()) == {"held"}
    assert actions.change_study(runs, "small", "release") == 4
    assert actions.change_study(runs, "small", "cancel") == 4
    assert states(runs) == {}
    assert found(study, runs) == ["absent"] * 4
    with pytest.raises(RunFolderError, match="no run of the study `small` is waiting or held"):
        actions.change_study(runs, "small", "cancel")


def test_epochs_add_up_over_runs_of_one_teacher_data_and_padding_alone(tmp_path: Path) -> None:
    one = cell(small(tmp_path), "rslad", 0).config
    padded = one.model_copy(update={"data": one.data.model_copy(update={"crop_padding": one.data.crop_padding + 1})})
    natural = cell(small(tmp_path), "natural", 0).config
    found = conduct.planned_epochs([one, one.model_copy(update={"seed": 7}), padded, natural])
    epochs = one.training.epochs
    assert sorted(found.values()) == [0, epochs, 2 * epochs]
