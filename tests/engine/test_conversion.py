"""The conversion that a refusal prints, run as printed, yields a file that is read."""

import importlib
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from engine.spec.errors import TeacherError
from engine.teachers import foreign
from tests.engine.small_net import Small, in_this_process, printed, state_of, taken


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign, "_unpickled", in_this_process)


AUTHOR = """
import torch
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = torch.nn.Conv2d(3, 4, 3, bias=False), torch.nn.BatchNorm2d(4)
        self.linear = torch.nn.Linear(4, 3)
class Log: pass
"""


@pytest.mark.parametrize("form", ["module", "parallel", "nested", "plain", "tuple", "module in a table"])
def test_the_printed_conversion_run_as_printed_yields_a_file_that_is_read(
    tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "author.py").write_text(AUTHOR)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "author", raising=False)
    author = importlib.import_module("author")
    net = author.Net()
    net.load_state_dict(state_of())
    made = {
        "module": net,
        "parallel": {"net": nn.DataParallel(net), "epoch": 3},
        "nested": {"checkpoint": {"model_state_dict": net.state_dict()}, "log": author.Log()},
        "plain": {**net.state_dict(), "log": author.Log()},
        "tuple": (net.state_dict(), author.Log()),
        "module in a table": {"model": net, "optimizer": torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)},
    }[form]
    torch.save(made, tmp_path / "old.pt")
    with pytest.raises(TeacherError) as caught:
        foreign.fit(Small(), tmp_path / "old.pt")
    line = printed(caught.value.hint, tmp_path, "old.pt")
    if form == "parallel":  # in a shell, as it stands
        line = line.replace("python", shlex.quote(sys.executable), 1)
        subprocess.run(["bash", "-c", line], cwd=tmp_path, check=True)
    else:
        exec(shlex.split(line)[2], {})
    taken(tmp_path / "new.safetensors", state_of())


def test_torchscript_is_named_and_converted(tmp_path: Path) -> None:
    net = nn.Linear(4, 3)
    torch.jit.trace(net, torch.zeros(1, 4)).save(tmp_path / "old.pt")
    with pytest.raises(TeacherError, match="TorchScript") as caught:
        foreign.read(tmp_path / "old.pt")
    exec(shlex.split(printed(caught.value.hint, tmp_path, "old.pt"))[2], {})
    found = foreign.read(tmp_path / "new.safetensors").tensors
    assert torch.equal(found["weight"], net.weight)


def test_the_printed_conversion_says_when_there_is_nothing_to_convert(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "old.pt")
    with pytest.raises(TeacherError, match="no state dict") as caught:
        foreign.fit(Small(), tmp_path / "old.pt")
    with pytest.raises(SystemExit, match="there are no tensors in"):
        exec(shlex.split(printed(caught.value.hint, tmp_path, "old.pt"))[2], {})
    assert not (tmp_path / "new.safetensors").exists()
