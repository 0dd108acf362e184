"""The process that reads foreign pickles: what it hands back, and what becomes of one that does not come back."""

from pathlib import Path

import pytest
import torch

from engine.spec.errors import TeacherError
from engine.teachers import foreign, unpickle
from tests.engine.small_net import BESIDE, Bomb, Small, holds, state_of, taken, under


def test_the_helper_reads_what_this_process_would_and_hands_refusals_back(tmp_path: Path) -> None:
    torch.save({"net": under("module."), **BESIDE}, tmp_path / "w.pt")
    assert taken(tmp_path / "w.pt", state_of()) == []
    torch.save({"net": state_of(), "args": Bomb(tmp_path / "executed")}, tmp_path / "w.pt")
    with pytest.raises(TeacherError, match="could run code") as caught:
        foreign.read(tmp_path / "w.pt")
    assert "safetensors" in caught.value.hint and not (tmp_path / "executed").exists()


@pytest.mark.parametrize("way", ["memory", "death", "words", "endless"])
def test_a_helper_that_does_not_come_back_whole_is_one_sentence(
    tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(state_of(), tmp_path / "w.pt")
    does = {
        "memory": "import resource; resource.setrlimit(resource.RLIMIT_AS, (1 << 28,) * 2); bytearray(1 << 30)",
        "death": "import os; os.kill(os.getpid(), 24)",
        "words": "raise ValueError('this is odd')",
        "endless": "while True: pass",
    }[way]
    (tmp_path / "stand_in.py").write_text(does)
    monkeypatch.setattr(unpickle, "__file__", str(tmp_path / "stand_in.py"))
    monkeypatch.setattr(foreign, "PATIENCE", 0.5 if way == "endless" else 60)
    with pytest.raises(TeacherError, match=r"could not be read|more memory or time|does not end"):
        foreign.read(tmp_path / "w.pt")


def test_the_helper_may_not_take_more_memory_than_the_file_allows(tmp_path: Path) -> None:
    torch.save(torch.zeros(77), tmp_path / "w.pt", _use_new_zipfile_serialization=False)
    whole = (tmp_path / "w.pt").read_bytes()
    assert b"KMN" in whole  # 77 numbers, in the storage's description
    (tmp_path / "w.pt").write_bytes(whole.replace(b"KMN", b"\x8a\x05" + (2**31).to_bytes(5, "little") + b"N"))
    with pytest.raises(TeacherError, match="more memory"):
        foreign.read(tmp_path / "w.pt")


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


@pytest.mark.parametrize("says", ["", "print('{' * 9)"])
def test_a_reading_process_that_gives_no_report_is_one_sentence(tmp_path: Path, monkeypatch, says: str) -> None:
    torch.save({"w": torch.zeros(2)}, tmp_path / "w.pt")
    program = tmp_path / "program.py"
    program.write_text(says)
    monkeypatch.setattr(unpickle, "__file__", str(program))
    with pytest.raises(TeacherError, match="gave no report"):
        foreign.read(tmp_path / "w.pt")
