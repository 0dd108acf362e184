"""What lies beside the weights in other people's files: constants of a normalization, and what no network can use."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from engine.spec.errors import TeacherError
from engine.teachers import foreign, unpickle
from tests.engine.small_net import Small, holds, in_this_process, state_of, taken, under

OTHER = {"mean": torch.full((3,), 0.5), "std": torch.full((3,), 0.25)}


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign, "_unpickled", in_this_process)


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize("prefix", [None, "student", "student."])
@pytest.mark.parametrize("inner", ["normalize.", "net.0.", ""])
def test_what_another_network_normalizes_by_says_nothing_of_the_chosen_one(
    tmp_path: Path, prefix: str | None, inner: str
) -> None:
    teacher = {f"{inner}{name}": value for name, value in OTHER.items()} | {"w": torch.zeros(5, 5)}
    torch.save({"student": state_of(), "teacher": teacher}, tmp_path / "w.pt")
    notes = taken(tmp_path / "w.pt", state_of(), prefix=prefix)
    assert any("left out 3 entries" in note for note in notes)


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize(
    ("net", "normal"),
    [("1.", "0."), ("model.net.", "model.normalize."), ("model.", ""), ("module.1.", "module.0."), ("model.net.", "")],
)
def test_what_lies_beside_the_chosen_one_alone_is_its_own(tmp_path: Path, net: str, normal: str) -> None:
    table: dict[str, Tensor] = under(net) | {f"{normal}{name}": value for name, value in OTHER.items()}
    torch.save(table | {"criterion.weight": torch.ones(10)}, tmp_path / "w.pt")
    with pytest.raises(TeacherError, match="normalizes its input"):
        foreign.fit(Small(), tmp_path / "w.pt")


def test_a_file_of_more_unusable_tensors_than_can_be_told_is_refused(tmp_path: Path) -> None:
    many = {f"{n:0400d}.weight": torch.zeros(2, device="meta") for n in range(3000)}
    torch.save(state_of() | many, tmp_path / "w.pt")
    with pytest.raises(TeacherError, match="more tensors that cannot be used") as refused:
        foreign.read(tmp_path / "w.pt")
    assert refused.value.where == str(tmp_path / "w.pt")


def test_some_unusable_tensors_are_left_out(tmp_path: Path) -> None:
    some = {f"{n:0400d}.weight": torch.zeros(2, device="meta") for n in range(500)}
    torch.save(state_of() | some, tmp_path / "w.pt")
    net = Small()
    foreign.fit(net, tmp_path / "w.pt")
    assert holds(net, state_of())
    assert len(unpickle.read(tmp_path / "w.pt").left_out) == 500


def test_a_name_that_no_safetensors_file_can_hold_is_told_of_the_file_that_has_it(tmp_path: Path) -> None:
    torch.save({**state_of(), "__metadata__": torch.zeros(2)}, tmp_path / "w.pt")
    with pytest.raises(TeacherError) as refused:
        foreign.read(tmp_path / "w.pt")
    assert refused.value.where == str(tmp_path / "w.pt")
