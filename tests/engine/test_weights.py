"""Laws of weights on disk: what is saved comes back, damage shows, and nobody's code runs."""

import random
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from engine.spec import files
from engine.spec.errors import CheckpointError, TeacherError
from engine.teachers import foreign, weights
from tests.engine.small_net import Small, holds, state_of


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


def test_weights_that_fit_are_copied_exactly() -> None:
    net = Small()
    assert weights.fit(net, state_of(), where="w") == []
    assert holds(net, state_of())


def test_missing_batch_counters_and_a_spare_sub_block_are_tolerated_and_noted() -> None:
    state = state_of()
    del state["bn1.num_batches_tracked"]
    state["sub_block1.layer.0.conv1.weight"] = torch.zeros(2)
    net = Small()
    notes = weights.fit(net, state, where="w")
    assert len(notes) == 2 and "sub_block1" in notes[0]
    assert torch.equal(net.linear.weight, state["linear.weight"])
    assert int(net.bn1.num_batches_tracked) == 0


def test_half_precision_becomes_float32_and_double_too() -> None:
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        state = {name: value.to(dtype) if value.is_floating_point() else value for name, value in state_of().items()}
        net = Small()
        assert "precision" in weights.fit(net, state, where="w")[0]
        assert net.linear.weight.dtype == torch.float32
        assert torch.equal(net.linear.weight, state["linear.weight"].float())


def test_constants_of_normalization_must_be_those_of_the_model() -> None:
    mean, std = torch.tensor([0.4914, 0.4822, 0.4465]), torch.tensor([0.2471, 0.2435, 0.2616])
    state = state_of() | {"mean": mean.view(3, 1, 1), "std": std.view(3, 1, 1)}
    assert "agree" in weights.fit(Small(normalized=True), state, where="w")[0]
    renamed = state_of() | {"mu": mean, "sigma": std}
    assert "agree" in weights.fit(Small(normalized=True), renamed, where="w")[0]
    with pytest.raises(TeacherError, match="the model does not"):
        weights.fit(Small(), state, where="w")
    with pytest.raises(TeacherError, match=r"normalizes by .* the model by"):
        weights.fit(Small(normalized=True), state | {"mean": mean + 0.02}, where="w")
    weights.fit(Small(), state_of() | {"mu": torch.zeros(3), "sigma": torch.ones(3)}, where="w")  # does nothing


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"linear.weight": torch.zeros(100, 4), "linear.bias": torch.zeros(100)}, "another number of classes"),
        ({"conv1.bias": torch.zeros(4)}, "1 unexpected: conv1.bias"),
        ({"bn1.running_mean": None}, "1 missing: bn1.running_mean"),
        ({"linear.bias": torch.zeros(3, dtype=torch.int64)}, "another shape or type"),
    ],
)
def test_weights_that_do_not_fit_are_named_and_the_net_is_untouched(
    change: dict[str, Tensor | None], cause: str
) -> None:
    state = {name: value for name, value in (state_of() | change).items() if value is not None}
    net = Small()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.raises(TeacherError) as caught:
        weights.fit(net, state, where="w.pt")
    assert cause in str(caught.value) and "w.pt" in str(caught.value)
    assert holds(net, before)


def test_another_architecture_is_called_one() -> None:
    with pytest.raises(TeacherError, match="another architecture"):
        weights.fit(Small(), {"features.0.weight": torch.zeros(1)}, where="w")
