"""Replays of recorded runs, read back with TensorBoard's own reader."""

import math
import os
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from crdnd_tui.write import tensorboard, trackers
from crdnd_tui.write.trackers import Scalar, tracked_run
from engine.spec.errors import CrdndError
from engine.spec.events import StepDone
from engine.spec.rundir import RunDir
from tests.tui.lab_runs import CRDND
from tests.tui.pilot import recorded

ROOT = Path(__file__).parent.parent.parent
FAILED = "20261122-221000-rslad-small_cnn-s7-6568"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return recorded(tmp_path / "runs", CRDND, FAILED)


def read_back(path: Path):
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = reader.EventAccumulator(str(path.parent), size_guidance={"scalars": 0, "tensors": 0})
    found.Reload()
    return found


def single(value: float) -> float:
    """As 32 bits hold it."""
    return struct.unpack("f", struct.pack("f", value))[0]


def test_every_number_stands_at_its_step_and_moment(runs: Path, tmp_path: Path) -> None:
    of = tracked_run(RunDir(runs / CRDND))
    found = read_back(tensorboard.replay(of, tmp_path / "out")[0])
    wanted: dict[str, list[Scalar]] = {}
    for one in trackers.scalars(of.log):
        wanted.setdefault(one.name, []).append(one)
    assert {"train/loss", "train/learning_rate", "train/images_per_second", "train_terms/robust"} <= set(wanted)
    assert {"validation/pgd", "teacher_robust/9", "teacher_clean/0", "test_best/autoattack"} <= set(wanted)
    assert set(found.Tags()["scalars"]) == set(wanted)
    for name, series in wanted.items():
        got = [(event.step, event.wall_time, event.value) for event in found.Scalars(name)]
        assert got == [(one.step, one.time, single(one.value)) for one in series]


def test_the_numbers_are_those_of_the_log(runs: Path) -> None:
    of = tracked_run(RunDir(runs / CRDND))
    first, last = of.log.steps[0], of.log.validations[-1]
    told = list(trackers.scalars(of.log))
    assert Scalar("train/loss", first.step, first.loss, first.time) in told
    assert Scalar("validation/clean", last.step, last.accuracy["clean"], last.time) in told
    cell = of.log.table["best"]["autoattack"]
    assert Scalar("test_best/autoattack", of.log.step, cell.accuracy, cell.time) in told
    assert len([one for one in told if one.name == "teacher_robust/3"]) == len(of.log.epochs)


def test_hyperparameters_config_and_provenance(runs: Path, tmp_path: Path) -> None:
    hparams = pytest.importorskip("tensorboard.plugins.hparams.plugin_data_pb2")
    api = pytest.importorskip("tensorboard.plugins.hparams.api_pb2")
    of = tracked_run(RunDir(runs / CRDND))
    found = read_back(tensorboard.replay(of, tmp_path / "out")[0])

    def plugin(tag: str):
        content = found.SummaryMetadata(tag).plugin_data.content
        return hparams.HParamsPluginData.FromString(content)

    start = plugin("_hparams_/session_start_info").session_start_info
    assert start.group_name == CRDND
    assert start.start_time_secs == of.log.started
    assert start.hparams["training.epochs"].number_value == of.config.training.epochs
    assert start.hparams["method.name"].string_value == "crdnd"
    end = plugin("_hparams_/session_end_info").session_end_info
    assert (end.status, end.end_time_secs) == (api.STATUS_SUCCESS, of.log.last)

    def words(tag: str) -> str:
        assert found.SummaryMetadata(tag).plugin_data.plugin_name == "text"
        return found.Tensors(tag)[0].tensor_proto.string_val[0].decode()

    assert of.config.config_hash in words("run")
    assert "[method]" in words("config")
    assert '"torch"' in words("provenance")
    assert "/rec/" not in words("provenance")  # the command would name somebody's folders
    assert "| best | autoattack | 45.56 |" in words("results")


def test_a_second_replay_is_the_same_file_and_another_one_is_refused(runs: Path, tmp_path: Path) -> None:
    of = tracked_run(RunDir(runs / CRDND))
    path, is_new = tensorboard.replay(of, tmp_path / "out")
    before = path.read_bytes()
    assert is_new
    assert tensorboard.replay(of, tmp_path / "out") == (path, False)
    other = replace(of, log=replace(of.log, steps=of.log.steps[:5]))
    with pytest.raises(CrdndError, match="--force"):
        tensorboard.replay(other, tmp_path / "out")
    assert path.read_bytes() == before
    assert tensorboard.replay(other, tmp_path / "out", force=True) == (path, True)
    assert path.read_bytes() != before
    assert [one.name for one in path.parent.iterdir()] == [tensorboard.FILE]


def test_another_process_makes_the_same_bytes(runs: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    program = f"""
from pathlib import Path
from crdnd_tui.write import tensorboard, trackers
from engine.spec.rundir import RunDir
tensorboard.replay(trackers.tracked_run(RunDir(Path({str(runs / CRDND)!r}))), Path({str(tmp_path / "out")!r}))
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "77"}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)
    assert not tensorboard.replay(tracked_run(RunDir(runs / CRDND)), tmp_path / "out")[1]


def test_a_loss_that_was_not_finite_is_nan_and_a_failed_run_says_why(runs: Path, tmp_path: Path) -> None:
    of = tracked_run(RunDir(runs / FAILED))
    lost = StepDone(step=10**6, epoch=1, loss=None, terms={"a/b": None}, learning_rate=0.1, images_per_second=1.0)
    of = replace(of, log=replace(of.log, steps=(*of.log.steps, lost)))
    found = read_back(tensorboard.replay(of, tmp_path / "out")[0])
    assert math.isnan(found.Scalars("train/loss")[-1].value)
    assert math.isnan(found.Scalars("train_terms/a_b")[-1].value)
    words = found.Tensors("run")[0].tensor_proto.string_val[0].decode()
    assert "failed: the loss is not a finite number" in words.replace("\\", "")


def test_words_of_a_file_close_no_fence_and_open_no_cell(runs: Path, tmp_path: Path) -> None:
    of = tracked_run(RunDir(runs / CRDND))
    of = replace(of, provenance={"a": "```\n<script>"}, log=replace(of.log, name="a|b\n<i>"))
    found = read_back(tensorboard.replay(of, tmp_path / "out")[0])
    text = found.Tensors("provenance")[0].tensor_proto.string_val[0].decode()
    assert text.startswith("````json") and text.endswith("\n````")
    facts = found.Tensors("run")[0].tensor_proto.string_val[0].decode()
    assert "| name | a\\|b \\<i\\> |" in facts


def test_classes_keep_apart_whatever_they_are_called() -> None:
    names = ["cat", "../cat", "a/b", "", ".", "cat"] + ["x" * 400] * 6
    made = trackers.class_names(names)
    assert len(set(made)) == len(names)
    assert all("/" not in name and ".." not in name.split() and len(name) < 200 for name in made)
    assert trackers.class_names([str(k) for k in range(12)])[3] == "03"
    assert trackers.class_names(["0", "one"]) == ["0", "1 one"]
