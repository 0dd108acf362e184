"""Files of a run that say what no engine writes are found, or refused in one sentence, and never end in a traceback."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.evaluate.outcomes import FAILS, CheckResult
from engine.run import run
from engine.spec.errors import CheckpointError, DataError, TeacherError
from engine.spec.rundir import RunDir
from engine.train import checkpoint
from engine.train.loop import Trainer
from engine.train.selection import Selector
from tests.engine.broken_runs import newest, state
from tests.engine.tampering import rewrite, verified

STRANGE: list[Any] = ["abc", [1], {}, torch.zeros(2)]


@pytest.mark.parametrize("value", STRANGE, ids=["words", "list", "table", "tensor"])
@pytest.mark.parametrize("key", ["epoch", "step", "best", "data", "student"])
def test_a_checkpoint_that_says_something_strange_is_told(copied: tuple[RunDir, Path], key: str, value: Any) -> None:
    folder, data = copied
    old = newest(folder)
    told = state(old)
    old.unlink()
    told |= {"best": told["best"] | {"epoch": value}} if key == "best" else {key: value}
    new = checkpoint.save(folder.checkpoints, told)
    rewrite(folder.events, lambda text: text.replace(old.name, new.name))
    found = {f.what for f in verified(folder, data, "--attack", "clean") if f.verdict == FAILS}
    assert f"checkpoint {new.name[:6]}" in found


class Failing(Trainer):
    """One that cannot take up a state."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def load_state_dict(self, state: dict[str, Any]) -> None:
        raise self.error


@pytest.mark.parametrize("error", [KeyError("x"), ValueError("x"), RuntimeError("x"), TypeError("x"),
                                   AttributeError("x")], ids=repr)  # fmt: skip
def test_a_state_that_does_not_fit_is_refused_in_words(error: Exception) -> None:
    facts = {"data": "a" * 64, "teacher": ""}
    loaded = checkpoint.LoadedCheckpoint({**facts, "best": {}}, "000001-a.pt", [])
    with pytest.raises(CheckpointError, match="does not fit"):
        run._restore(Failing(error), object.__new__(Selector), loaded, facts)


@pytest.mark.parametrize(("key", "kind"), [("data", DataError), ("teacher", TeacherError)])
def test_a_checkpoint_of_other_data_or_another_teacher_is_refused(key: str, kind: type[Exception]) -> None:
    facts = {"data": "a" * 64, "teacher": ""}
    loaded = checkpoint.LoadedCheckpoint({**facts, key: "b" * 64}, "000001-a.pt", [])
    with pytest.raises(kind, match="is not what this run began with"):
        run._restore(Failing(ValueError()), object.__new__(Selector), loaded, facts)


@pytest.mark.parametrize("value", [*STRANGE, None, 5], ids=repr)
@pytest.mark.parametrize("key", ["data", "teacher", "config_hash", "best", "student"])
def test_a_checkpoint_with_something_of_another_kind_is_none_of_ours(tmp_path: Path, key: str, value: Any) -> None:
    if isinstance(value, str if key in {"data", "teacher", "config_hash"} else dict):
        value = b"bytes"
    checkpoint.save(tmp_path, {"config_hash": "c", "step": 1, key: value})
    with pytest.raises(CheckpointError, match="is not a checkpoint of ours"):
        checkpoint.load(tmp_path, frozenset({"config_hash", "step"}), "c")


@pytest.mark.parametrize("signs", [(-1, -1, 1), (1, -1, -1)])
def test_a_gallery_of_an_impossible_shape_is_damaged(copied: tuple[RunDir, Path], signs: tuple[int, ...]) -> None:
    folder, data = copied
    index = json.loads(folder.gallery("best").read_bytes())
    index["shape"] = [sign * side for sign, side in zip(signs, index["shape"], strict=True)]
    folder.gallery("best").write_text(json.dumps(index))
    assert "gallery best" in {f.what for f in verified(folder, data, "--attack", "clean") if f.verdict == FAILS}


@pytest.mark.parametrize("newer", [False, True], ids=["own", "newer"])
def test_a_run_whose_end_its_log_does_not_tell_is_not_done(copied: tuple[RunDir, Path], newer: bool) -> None:
    """The end may be among the words of a newer engine."""
    folder, data = copied
    *lines, last = folder.events.read_text().splitlines(keepends=True)
    assert '"event":"run_finished"' in last
    more = [last.replace("run_finished", "run_completed")] if newer else []
    folder.events.write_text("".join(lines + more))
    found = [f for f in verified(folder, data, "--attack", "clean") if f.verdict == FAILS]
    words = "status.json says that the run is done, and the log does not"
    assert found == ([] if newer else [CheckResult("run_finished", FAILS, words)])
