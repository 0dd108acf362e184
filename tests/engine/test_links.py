"""An engine never writes, cuts or deletes through a link out of its folder, and says which link it met."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from engine.evaluate.context import AttackCheckpoint
from engine.run import job
from engine.runtime import provenance, torchrun
from engine.runtime.interrupt import Interrupt
from engine.spec import files, rundir
from engine.spec.errors import CrdndError, RunFolderError
from engine.spec.events import Warned
from engine.spec.folders import equal_runs, finished_run
from engine.spec.rundir import RunDir
from engine.spec.status import Status
from engine.teachers import download, weights
from engine.train import checkpoint
from engine.train.reporter import Reporter
from tests.engine.broken_runs import FINISHED, ForkServer, make, short, status

FILES = (
    "preset.toml", "config.toml", "machine.json", "provenance.json", "events.jsonl", "events.discarded.jsonl",
    "status.json", "engine.log", "engine.lock", "stop", ".reserve", "weights/best.safetensors",
)  # fmt: skip
FOLDERS = ("checkpoints", "weights", "evaluation", ".ranks", "evaluation/best", "evaluation/best/fgsm.partial")


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """What lies elsewhere: names that an engine writes, cuts and deletes."""
    folder = tmp_path / "outside"
    folder.mkdir()
    for name in ("000001-" + "0" * 32 + ".pt", "000002-" + "1" * 32 + ".pt", "000003-x.pt", "best.safetensors", "file"):
        (folder / name).write_text(name)
    (folder / ".crdnd-tmp-x").write_text("left")
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def work(run: RunDir) -> int:
    return job.work(*job.open_run(run.path), Interrupt(run.stop))


@pytest.mark.parametrize("name", [*FILES, *FOLDERS])
def test_a_link_in_a_run_folder_is_named_and_nothing_behind_it_changes(
    data: Path, tmp_path: Path, outside: Path, name: str
) -> None:
    run, before = make(tmp_path, data, short()), content(outside)
    place = run.path / name
    target = outside if name in FOLDERS else outside / "file"
    if name in ("config.toml", "machine.json"):
        shutil.copy(place, target)
        before = content(outside)
        place.unlink()
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(target)
    inside = sorted(run.path.rglob("*"))
    with pytest.raises(CrdndError) as caught:
        work(run)
    assert f"{name} is a link" in caught.value.what
    assert caught.value.where == str(run.path)
    assert content(outside) == before
    assert sorted(run.path.rglob("*")) == inside


@pytest.mark.parametrize("name", ["machine.json", "events.jsonl", "status.json", "engine.log", "stop", ".reserve"])
def test_a_folder_where_a_file_belongs_is_named(data: Path, tmp_path: Path, name: str) -> None:
    run = make(tmp_path, data, short())
    (run.path / name).unlink(missing_ok=True)
    (run.path / name).mkdir()
    with pytest.raises(RunFolderError, match="is a folder where a file belongs"):
        work(run)


@pytest.mark.parametrize("name", ["checkpoints", "weights", "evaluation", ".ranks"])
def test_a_file_where_a_folder_belongs_is_named(data: Path, tmp_path: Path, name: str) -> None:
    run = make(tmp_path, data, short())
    (run.path / name).write_text("x")
    with pytest.raises(RunFolderError, match=f"{name} should be a folder"):
        work(run)


def _reported(run: RunDir) -> None:
    reporter = Reporter(run, Status(run="r", phase="starting"))
    reporter.say(Warned(code="x", message="y"))
    reporter.cut_back(0, 0)


NET = torch.nn.Linear(2, 2)
WRITERS: dict[str, Callable[[RunDir], object]] = {
    "checkpoints": lambda run: checkpoint.save(run.checkpoints, {"step": 1}),
    "weights": lambda run: weights.save(run.weights_of("best"), NET, {}),
    "evaluation": lambda run: AttackCheckpoint(run.partial("best", "fgsm"), "").save("0", {}),
    "evaluation/best": lambda run: AttackCheckpoint(run.partial("best", "fgsm"), "").save("0", {"x": torch.zeros(1)}),
    "evaluation/best/fgsm.partial": lambda run: AttackCheckpoint(run.partial("best", "fgsm"), "").save("0", {}),
    ".ranks": lambda run: torchrun.record(run, torchrun.RankExit(rank=0, code=0)),
    "events.jsonl": _reported,
    "events.discarded.jsonl": _reported,
    "stop": lambda run: files.touch(run.stop),
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("dangling", [False, True])
def test_each_writer_refuses_a_link_that_appears_while_it_works(
    tmp_path: Path, outside: Path, name: str, dangling: bool
) -> None:
    run, before = RunDir(tmp_path / "run"), content(outside)
    place = run.path / name
    place.parent.mkdir(parents=True)
    target = outside if name in FOLDERS else outside / "file"
    place.symlink_to(outside / "new" if dangling else target)
    with pytest.raises(OSError, match="link") as caught:
        WRITERS[name](run)
    assert caught.value.filename == str(place)
    assert content(outside) == before


@pytest.mark.parametrize("target", ["file", "new"])
def test_a_file_that_is_replaced_whole_takes_the_place_of_a_link(tmp_path: Path, outside: Path, target: str) -> None:
    run, before = RunDir(tmp_path / "run"), content(outside)
    run.path.mkdir()
    for place in (run.provenance, run.status, run.path / ".reserve"):
        place.symlink_to(outside / target)
    provenance.write(run.provenance, {"python": "3"})
    reporter = Reporter(run, Status(run="r", phase="starting"))
    reporter.close()
    assert not run.provenance.is_symlink()
    assert not run.status.is_symlink()
    assert content(outside) == before


@pytest.mark.parametrize("anew", [False, True])
def test_a_log_with_other_names_gets_a_file_of_its_own_before_it_is_written(tmp_path: Path, anew: bool) -> None:
    (tmp_path / "backup").write_bytes(b"kept\n")
    (tmp_path / "engine.log").hardlink_to(tmp_path / "backup")
    with os.fdopen(files.open_log(tmp_path / "engine.log", anew=anew), "ab") as log:
        log.write(b"more\n")
    assert (tmp_path / "backup").read_bytes() == b"kept\n"
    assert (tmp_path / "engine.log").read_bytes() == b"kept\n" * (not anew) + b"more\n"


def test_a_run_whose_files_have_other_names_leaves_those_alone(
    fork_server: ForkServer, data: Path, tmp_path: Path
) -> None:
    run = make(tmp_path, data, short())
    assert fork_server.work(run) == FINISHED
    backup = tmp_path / "backup"
    shutil.copytree(run.path, backup, copy_function=os.link)
    before = {path: path.read_bytes() for path in backup.rglob("*") if path.is_file()}
    shutil.rmtree(run.weights)
    with pytest.raises(RunFolderError, match="cannot be locked: its lock has another name"):
        work(run)
    run.lock.unlink()
    assert fork_server.work(run) == FINISHED
    assert {path: path.read_bytes() for path in backup.rglob("*") if path.is_file()} == before
    assert run.weights_of("last").is_file()


def test_discarding_batches_leaves_what_a_link_leads_to(tmp_path: Path, outside: Path) -> None:
    before = content(outside)
    (tmp_path / "evaluation").symlink_to(outside)
    (outside / "fgsm.partial").mkdir()
    (outside / "fgsm.partial" / "0.batch").write_text("x")
    with pytest.raises(OSError, match="a link stands here"):
        AttackCheckpoint(tmp_path / "evaluation" / "fgsm.partial", "").discard()
    (tmp_path / "fgsm.partial").symlink_to(outside / "fgsm.partial")
    AttackCheckpoint(tmp_path / "fgsm.partial", "").discard()
    assert content(outside) == before | {"0.batch": b"x"}


def test_batches_that_the_file_system_keeps_are_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batches = AttackCheckpoint(tmp_path / "fgsm.partial", "")
    batches.save("0", {"x": torch.zeros(1)})

    def keeps(*_args: object, **_more: object) -> None:
        raise OSError(errno.EBUSY, "Device or resource busy")  # as NFS does while somebody reads

    monkeypatch.setattr(os, "unlink", keeps)
    monkeypatch.setattr(os, "rmdir", keeps)
    batches.discard()
    assert AttackCheckpoint(tmp_path / "fgsm.partial", "of another attack").load("0") is None


@pytest.mark.parametrize("name", ["teachers", "teachers/robustbench"])
def test_nothing_is_downloaded_into_a_linked_folder_of_the_data(tmp_path: Path, outside: Path, name: str) -> None:
    before = content(outside)
    link = tmp_path / "data" / name
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)
    with pytest.raises(OSError, match="a link stands here"):
        download.fetch("http://127.0.0.1:9/x", tmp_path / "data/teachers/robustbench/cifar10/x.pt", max_bytes=9)
    assert content(outside) == before


def test_no_download_is_written_through_a_linked_part(tmp_path: Path, outside: Path) -> None:
    before = content(outside)
    (tmp_path / ".x.pt.part").symlink_to(outside / "file")
    with pytest.raises((OSError, CrdndError)):
        download.fetch("http://127.0.0.1:9/x", tmp_path / "x.pt", max_bytes=9)
    assert content(outside) == before


def test_people_may_link_their_runs_and_data_folders_and_name_a_run_by_a_link(
    fork_server: ForkServer, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "data").symlink_to(data)
    (tmp_path / "home").symlink_to(tmp_path / "disk")
    run = make(tmp_path / "home", tmp_path / "home" / "data", short())
    assert fork_server.work(RunDir(run.path.resolve())) == FINISHED
    (tmp_path / "mine").symlink_to(run.path)
    found = rundir.find(tmp_path, str(tmp_path / "mine"))
    assert found.path == run.path.resolve()
    assert work(found) == FINISHED
    assert status(found).phase == "done"


def test_damaged_neighbours_stop_no_search_for_an_equal_run(data: Path, tmp_path: Path) -> None:
    run = make(tmp_path, data, short())
    runs, config = run.path.parent, short()
    os.mkfifo(runs / "a-pipe")
    (runs / "b-dangling").symlink_to("nowhere")
    (runs / "c-circle").symlink_to("c-circle")
    (runs / "d-linked").symlink_to(run.path)
    (runs / "e-file").write_text("x")
    for name in ("status.json", "config.toml", "weights"):
        shutil.copytree(run.path, runs / f"f-{name}")
        (runs / f"f-{name}" / name).unlink(missing_ok=True)
        os.mkfifo(runs / f"f-{name}" / name)
    found = [each.id for each, _ in equal_runs(runs, config)]
    assert sorted(found) == ["f-status.json", "f-weights", "tiny"]
    assert finished_run(runs, config) is None
    assert rundir.find(runs, "tiny").path == run.path
