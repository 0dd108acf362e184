"""Laws of weights on disk: what is saved comes back, damage shows, and nobody's code runs."""

import random
from pathlib import Path

import pytest
import torch
from torch import nn

from engine.spec import files
from engine.spec.errors import CheckpointError, TeacherError
from engine.teachers import foreign, weights
from tests.engine.small_net import Small, holds


def test_what_is_saved_comes_back_with_its_facts(tmp_path: Path) -> None:
    net = Small().to(memory_format=torch.channels_last)
    path = tmp_path / "weights" / "best.safetensors"
    digest = weights.save(path, net, {"epoch": "3"})
    tensors, facts = weights.load(path)
    assert holds(net, tensors)
    assert facts["epoch"] == "3"
    assert digest == facts["digest"] == weights.digest(tensors, facts)
    assert [p.name for p in path.parent.iterdir()] == ["best.safetensors"]


def test_the_digest_changes_with_a_name_a_shape_a_dtype_a_value_and_a_fact() -> None:
    base = {"a": torch.zeros(4)}
    others = [
        ({"b": torch.zeros(4)}, {}),
        ({"a": torch.zeros(2, 2)}, {}),
        ({"a": torch.zeros(4, dtype=torch.int32)}, {}),
        ({"a": torch.tensor([0.0, 0.0, 0.0, -0.0])}, {}),
        (base, {"seed": "1"}),
    ]
    digests = {weights.digest(base, {}), *(weights.digest(tensors, facts) for tensors, facts in others)}
    assert len(digests) == 6


def test_tied_and_empty_and_half_precision_tensors_are_saved(tmp_path: Path) -> None:
    net = nn.Module()
    net.first = nn.Parameter(torch.arange(4.0))
    net.second = net.first
    net.register_buffer("none", torch.empty(0, 3))
    net.register_buffer("brain", torch.ones(3, dtype=torch.bfloat16))
    net.register_buffer("scalar", torch.tensor(5))
    weights.save(tmp_path / "w", net, {})
    assert holds(net, weights.load(tmp_path / "w")[0])


def test_every_flipped_bit_is_refused_or_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    net = nn.Linear(3, 2)
    weights.save(path, net, {"student": "small"})
    whole = path.read_bytes()
    before, facts = weights.load(path)
    caught = 0
    positions = range(len(whole))
    for at in positions:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << random.Random(at).randrange(8))]) + whole[at + 1 :])
        try:
            after, found = weights.load(path)
        except CheckpointError:
            caught += 1
        else:
            assert found == facts and after.keys() == before.keys()
            assert all(torch.equal(after[name], before[name]) for name in before)
    assert caught >= len(positions) - 8  # spaces that pad the header may turn into other white space


@pytest.mark.parametrize("keep", [0, 7, 60, -1])
def test_a_torn_file_is_refused(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "w.safetensors"
    weights.save(path, Small(), {})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match="cannot be read"):
        weights.load(path)
    with pytest.raises(TeacherError):
        foreign.read(path)


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        weights.load(tmp_path / "w.safetensors")
    with pytest.raises(TeacherError, match="No such file"):
        foreign.read(tmp_path / "w.pt")


def test_sha256_is_the_files(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert files.sha256(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
