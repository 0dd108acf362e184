"""Checkpoints: the newest whole one wins, damage shows and is passed over, and nothing in one is executed."""

import errno
import hashlib
import io
import os
import pickle
from pathlib import Path

import pytest
import torch

from engine.run.run import KEYS as RUN_KEYS
from engine.spec.errors import CheckpointError
from engine.train import checkpoint
from tests import hostile

KEYS = frozenset({"config_hash", "weights", "step"})
COUNTS = {"step": 1, "epoch": 1, "batch": 0}


def state(step: int, **changes) -> dict:
    return {"config_hash": "abc", "weights": torch.full((3,), float(step)), "step": step} | changes


def load(folder: Path) -> checkpoint.LoadedCheckpoint:
    return checkpoint.load(folder, KEYS, "abc")


def planted(folder: Path, content: bytes, serial: int = 9) -> Path:
    """A file whose name carries the right hash, whatever it holds."""
    path = folder / f"{serial:06d}-{hashlib.sha256(content).hexdigest()[:32]}.pt"
    path.write_bytes(content)
    return path


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = str(trace)

    def __reduce__(self):
        return os.mkdir, (self.trace,)


def test_what_was_saved_is_loaded_bit_for_bit(tmp_path):
    given = state(7, weights=torch.randn(5, 4, dtype=torch.float64))
    path = checkpoint.save(tmp_path / "new folder", given)
    found = load(tmp_path / "new folder")
    assert torch.equal(found.state["weights"], given["weights"])
    assert (found.state["step"], found.file, found.damaged) == (7, path.name, [])


def test_the_newest_wins_and_the_one_before_it_is_kept(tmp_path):
    names = [checkpoint.save(tmp_path, state(step)).name for step in range(1, 6)]
    assert sorted(path.name for path in tmp_path.iterdir()) == names[-2:]
    assert load(tmp_path).state["step"] == 5


def test_the_order_is_that_of_saving_even_beyond_the_digits_of_a_name(tmp_path):
    content = checkpoint.save(tmp_path, state(1)).read_bytes()
    planted(tmp_path, content, serial=999_999)
    checkpoint.save(tmp_path, state(2))
    assert load(tmp_path).state["step"] == 2


def test_the_name_ends_in_the_sha256_of_the_content(tmp_path):
    path = checkpoint.save(tmp_path, state(1))
    serial, _, digest = path.stem.partition("-")
    assert serial == "000001"
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()[:32]


def places(size: int) -> list[int]:
    return sorted({0, 1, size // 4, size // 2, 3 * size // 4, size - 1})


@pytest.mark.parametrize("place", range(6))
@pytest.mark.parametrize("damage", ["flip", "cut"])
def test_a_flipped_bit_or_a_cut_anywhere_is_seen_and_the_one_before_is_used(damage, place, tmp_path):
    checkpoint.save(tmp_path, state(1))
    newest = checkpoint.save(tmp_path, state(2))
    content = bytearray(newest.read_bytes())
    at = places(len(content))[place]
    if damage == "flip":
        content[at] ^= 1
    newest.write_bytes(content if damage == "flip" else content[:at])
    found = load(tmp_path)
    assert found.state["step"] == 1
    assert found.damaged == [newest.name]
    assert newest.with_suffix(".damaged").exists()
    assert checkpoint.save(tmp_path, state(3)).exists()
    assert load(tmp_path).state["step"] == 3


def test_when_all_are_damaged_the_run_cannot_go_on_and_nothing_is_deleted(tmp_path):
    for step in (1, 2):
        checkpoint.save(tmp_path, state(step)).write_bytes(b"x")
    with pytest.raises(CheckpointError, match="all checkpoints are damaged"):
        load(tmp_path)
    assert len(list(tmp_path.glob("*.damaged"))) == 2


def test_every_part_of_a_checkpoint_is_needed(tmp_path):
    whole = {key: torch.zeros(1) for key in RUN_KEYS} | COUNTS | {"config_hash": "c", "events": [10, 2]}
    whole |= {"student": {"weight": torch.zeros(1)}, "best": {}, "data": "d", "teacher": ""}
    for key in sorted(RUN_KEYS):
        checkpoint.save(tmp_path / key, {name: value for name, value in whole.items() if name != key})
        with pytest.raises(CheckpointError, match=f"lacks {key}"):
            checkpoint.load(tmp_path / key, RUN_KEYS, "c")
    checkpoint.save(tmp_path / "whole", whole)
    assert checkpoint.load(tmp_path / "whole", RUN_KEYS, "c").damaged == []
    with pytest.raises(CheckpointError, match="another config"):
        checkpoint.load(tmp_path / "whole", RUN_KEYS, "d")


@pytest.mark.parametrize("events", [[], [1], [-1, 0], [1, "x"], "x", None, [1.5, 2], [10**30, 1], [1, 2, 3]])
def test_counts_that_count_nothing_are_no_checkpoint(tmp_path, events):
    given, keys = state(1) | COUNTS, KEYS | {*COUNTS, "events"}
    checkpoint.save(tmp_path, given | {"events": [10, 2]})
    checkpoint.load(tmp_path, keys, "abc")
    checkpoint.save(tmp_path, given | {"events": events})
    with pytest.raises(CheckpointError, match="is not a checkpoint of ours"):
        checkpoint.load(tmp_path, keys, "abc")


def _deny(path, monkeypatch):
    """As for a user without the right to read it; root has every right."""
    inode, inner = path.stat().st_ino, os.open

    def opened(*words, **named):
        file = inner(*words, **named)
        if os.fstat(file).st_ino == inode:
            os.close(file)
            raise PermissionError(errno.EACCES, "Permission denied")
        return file

    monkeypatch.setattr(os, "open", opened)


def _break_disk(path, monkeypatch):
    inode, inner = path.stat().st_ino, os.fdopen

    class Failing(io.BufferedReader):
        def read(self, *_):
            raise OSError(5, "Input/output error")

    def opened(file, *words):
        return Failing(io.FileIO(file)) if os.fstat(file).st_ino == inode else inner(file, *words)

    monkeypatch.setattr(os, "fdopen", opened)


DAMAGE = ["folder", "pipe", "device", "dangling", "circle", "sparse", "empty", "zeros", "deep list"]


@pytest.mark.parametrize("damage", [*DAMAGE, _deny, _break_disk])
def test_a_newest_checkpoint_that_cannot_be_read_is_a_damaged_one(damage, tmp_path, monkeypatch):
    checkpoint.save(tmp_path, state(1))
    path = checkpoint.save(tmp_path, state(2))
    hostile.plant(path, damage) if isinstance(damage, str) else damage(path, monkeypatch)
    loaded = load(tmp_path)
    assert (loaded.state["step"], loaded.damaged) == (1, [path.name])
    assert os.path.lexists(path.with_suffix(".damaged"))
    checkpoint.save(tmp_path, state(3))
    assert load(tmp_path).state["step"] == 3


def test_files_of_other_names_are_no_checkpoints(tmp_path):
    checkpoint.save(tmp_path, state(1))
    (tmp_path / "000009-mine.pt").write_bytes(b"x")
    (tmp_path / ".crdnd-tmp-x").write_bytes(b"x")
    assert load(tmp_path).state["step"] == 1
    assert (tmp_path / "000009-mine.pt").exists()


def torch_saved(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("wrapped", ["bare pickle", "in a torch archive", "beside a whole state"])
def test_code_in_a_checkpoint_whose_hash_is_right_is_refused_and_not_executed(wrapped, tmp_path):
    trace = tmp_path / "executed"
    bomb = {
        "bare pickle": lambda: pickle.dumps(Bomb(trace), protocol=2),
        "in a torch archive": lambda: torch_saved(Bomb(trace)),
        "beside a whole state": lambda: torch_saved(state(1, more=Bomb(trace))),
    }[wrapped]()
    path = planted(tmp_path, bomb)
    with pytest.raises(CheckpointError, match="not a checkpoint of ours") as caught:
        load(tmp_path)
    assert caught.value.where == str(path)
    assert not trace.exists()


@pytest.mark.parametrize(
    "content",
    [b"", b"text", b"PK\x03\x04 and no zip", torch_saved([1, 2, 3]), torch_saved(torch.zeros(3)), torch_saved(None)],
    ids=["empty", "text", "zip", "list", "tensor", "none"],
)
def test_what_is_no_state_at_all_is_refused_in_one_sentence(content, tmp_path):
    planted(tmp_path, content)
    with pytest.raises(CheckpointError, match="not a checkpoint of ours"):
        load(tmp_path)


def test_a_full_disk_leaves_the_older_checkpoints_and_no_rest(tmp_path, monkeypatch):
    checkpoint.save(tmp_path, state(1))
    before = sorted(tmp_path.iterdir())

    def full(_file: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            checkpoint.save(tmp_path, state(2))
    assert sorted(tmp_path.iterdir()) == before
    assert load(tmp_path).state["step"] == 1
