"""Laws of weights on disk: what is saved comes back, damage shows, and nobody's code runs."""

import io
import json
import os
import pickle
import random
import warnings
import zipfile
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from engine import weights
from engine.spec.errors import CheckpointError, TeacherError


class Small(nn.Module):
    """A net with a batch norm and an input normalization outside its state dict."""

    def __init__(self, classes: int = 3, normalized: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.linear = nn.Linear(4, classes)
        if normalized:
            self.register_buffer("mean", torch.tensor([0.4914, 0.4822, 0.4465]).view(1, 3, 1, 1), persistent=False)
            self.register_buffer("std", torch.tensor([0.2471, 0.2435, 0.2616]).view(1, 3, 1, 1), persistent=False)


def _state(**options: bool) -> dict[str, Tensor]:
    torch.manual_seed(1)
    net = Small(**options)
    net.bn1.num_batches_tracked.fill_(7)
    return {name: value.clone() for name, value in net.state_dict().items()}


def _equal(net: nn.Module, state: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, state[name]) for name, value in net.state_dict().items())


def test_what_is_saved_comes_back_with_its_facts(tmp_path: Path) -> None:
    net = Small().to(memory_format=torch.channels_last)
    path = tmp_path / "weights" / "best.safetensors"
    digest = weights.save(path, net, {"epoch": "3"})
    tensors, facts = weights.load(path)
    assert _equal(net, tensors)
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
    assert _equal(net, weights.load(tmp_path / "w")[0])


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
        weights.read_foreign(path)


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        weights.load(tmp_path / "w.safetensors")
    with pytest.raises(TeacherError, match="No such file"):
        weights.read_foreign(tmp_path / "w.pt")


@pytest.mark.parametrize("prefix", ["", "module.", "model.", "0.", "1.", "_orig_mod.module.", "module.module.net.0."])
@pytest.mark.parametrize("key", ["", "state_dict", "net", "model", "model_state_dict", "params"])
def test_a_state_dict_is_found_under_usual_keys_and_prefixes(tmp_path: Path, prefix: str, key: str) -> None:
    state = _state()
    named = {prefix + name: value for name, value in state.items()}
    torch.save({key: named, "epoch": 5, "optimizer": {"lr": 0.1}} if key else named, tmp_path / "w.pt")
    found = weights.read_foreign(tmp_path / "w.pt")
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], state[name]) for name in state)


def test_a_prefix_is_stripped_only_when_all_keys_have_it_and_only_in_front(tmp_path: Path) -> None:
    state = {"module.a": torch.zeros(1), "b.module.c": torch.zeros(1)}
    torch.save(state, tmp_path / "w.pt")
    assert weights.read_foreign(tmp_path / "w.pt").keys() == state.keys()
    state = {"module.a": torch.zeros(1), "module.b.module.c": torch.zeros(1)}
    torch.save(state, tmp_path / "w.pt")
    assert weights.read_foreign(tmp_path / "w.pt").keys() == {"a", "b.module.c"}


def test_what_is_no_tensor_is_dropped_and_counters_of_averages_too(tmp_path: Path) -> None:
    state = {"module.a": torch.zeros(1), "n_averaged": torch.tensor(3), "note": "words", 5: torch.zeros(1)}
    torch.save(state, tmp_path / "w.pt")
    assert weights.read_foreign(tmp_path / "w.pt").keys() == {"a"}


@pytest.mark.parametrize("legacy", [True, False])
def test_both_of_torchs_formats_are_read(tmp_path: Path, legacy: bool) -> None:
    torch.save(_state(), tmp_path / "w.pth.tar", _use_new_zipfile_serialization=not legacy)
    assert weights.read_foreign(tmp_path / "w.pth.tar").keys() == _state().keys()


def test_foreign_safetensors_are_read_whatever_their_name(tmp_path: Path) -> None:
    safetensors.torch.save_file({f"module.{name}": value for name, value in _state().items()}, tmp_path / "w.pt")
    assert weights.read_foreign(tmp_path / "w.pt").keys() == _state().keys()


class Bomb:
    """Runs a command when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("legacy", [True, False])
def test_a_malicious_checkpoint_is_refused_and_not_executed(tmp_path: Path, legacy: bool) -> None:
    mark = tmp_path / "executed"
    content = {"state_dict": _state(), "args": Bomb(mark)}
    torch.save(content, tmp_path / "w.pt", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(TeacherError, match="could run code") as caught:
        weights.read_foreign(tmp_path / "w.pt")
    assert not mark.exists()
    assert "safetensors" in caught.value.hint
    torch.load(tmp_path / "w.pt", weights_only=False)
    assert mark.exists()  # the bomb was live


def test_a_bare_malicious_pickle_is_refused_and_not_executed(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    (tmp_path / "w.pt").write_bytes(pickle.dumps(Bomb(mark), protocol=2))
    with pytest.raises(TeacherError):
        weights.read_foreign(tmp_path / "w.pt")
    assert not mark.exists()


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"<!DOCTYPE html><html>Quota exceeded</html>", "an HTML page"),
        (b"\n\n<html><head>", "an HTML page"),
        (b'{"error": {"code": 403}}', "a JSON text"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "a Git LFS pointer"),
        (b"Too many users have viewed this file", "a plain text"),
        (b"\x93NUMPY\x01\x00", "a NumPy array"),
        (b"\x1f\x8b\x08\x00", "a gzip archive"),
        (b"", "an empty file"),
        (bytes(range(256)), "no format that is known here"),
    ],
)
def test_a_refusal_says_what_the_file_seems_to_be(tmp_path: Path, content: bytes, kind: str) -> None:
    (tmp_path / "w.pt").write_bytes(content)
    with pytest.raises(TeacherError, match=f"this is {kind}"):
        weights.read_foreign(tmp_path / "w.pt")


def test_torn_archives_are_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.save(_state(), buffer)
    whole = buffer.getvalue()
    for share in (0.1, 0.5, 0.9, 0.999):
        (tmp_path / "w.pt").write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(TeacherError, match="cut off or damaged"):
            weights.read_foreign(tmp_path / "w.pt")


def test_damaged_pickles_raise_only_a_clear_error_and_run_nothing(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.save({"state_dict": {"a": torch.zeros(3)}, "epoch": 3}, buffer, _use_new_zipfile_serialization=False)
    whole, dice = buffer.getvalue(), random.Random(0)
    for _ in range(300):
        content = bytearray(whole)
        for _ in range(dice.randrange(1, 5)):
            content[dice.randrange(len(content))] = dice.randrange(256)
        (tmp_path / "w.pt").write_bytes(content)
        try:
            with warnings.catch_warnings(action="ignore"):  # torch warns of strange protocols
                weights.read_foreign(tmp_path / "w.pt")
        except TeacherError as error:
            assert len(str(error)) < 2000


def test_compressed_and_other_archives_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w/data.pkl", b"\0" * 100_000)
    with pytest.raises(TeacherError, match="compressed"):
        weights.read_foreign(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(TeacherError, match="not a checkpoint"):
        weights.read_foreign(path)


def test_a_tensor_that_claims_terabytes_is_refused_before_it_is_copied(tmp_path: Path) -> None:
    state = _state()
    state["linear.weight"] = torch.zeros(1, 1).expand(2**31, 2**10)
    torch.save(state, tmp_path / "w.pt")
    assert (tmp_path / "w.pt").stat().st_size < 100_000
    with pytest.raises(TeacherError, match="do not fit"):
        weights.fit(Small(), weights.read_foreign(tmp_path / "w.pt"), where="w")
    header = json.dumps({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}).encode()
    (tmp_path / "s.pt").write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * 64)
    with pytest.raises(TeacherError):
        weights.read_foreign(tmp_path / "s.pt")


def test_constants_do_not_hide_a_prefix(tmp_path: Path) -> None:
    state = {f"1.{name}": value for name, value in _state().items()} | {
        "0.mean": torch.zeros(3),
        "0.std": torch.ones(3),
    }
    torch.save(state, tmp_path / "w.pt")
    assert weights.read_foreign(tmp_path / "w.pt").keys() == _state().keys() | {"mean", "std"}


def test_sha256_is_the_files(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert weights.sha256(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
