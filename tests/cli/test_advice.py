"""Commands that are printed work where they are pasted."""

import shlex
from pathlib import Path

import pytest

from crdnd_tui.core import advice
from engine.spec.rundir import RunDir


def test_a_command_names_the_folder_of_runs_where_it_would_look_into_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CRDND_RUNS", raising=False)
    assert advice.on("resume", RunDir(Path("runs/a"))) == advice.on("resume", RunDir(tmp_path / "runs" / "a"))
    assert advice.on("resume", RunDir(tmp_path / "runs" / "a")) == "`crdnd resume a`"
    elsewhere = tmp_path / "my runs"
    said = advice.on("watch", RunDir(elsewhere / "a"))
    assert shlex.split(said.strip("`")) == ["crdnd", "watch", "a", "--runs", str(elsewhere)]
    monkeypatch.setenv("CRDND_RUNS", str(elsewhere))
    assert advice.on("watch", RunDir(elsewhere / "a")) == "`crdnd watch a`"
    assert "--runs" in advice.on("watch", RunDir(tmp_path / "runs" / "a"))


@pytest.mark.parametrize("usual", ["~/r", "link", "x/../r"])
def test_a_folder_that_is_named_in_another_way_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, usual: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "r").mkdir()
    (tmp_path / "link").symlink_to("r")
    monkeypatch.setenv("CRDND_RUNS", usual)
    assert advice.on("watch", RunDir(tmp_path / "r" / "a")) == "`crdnd watch a`"
    assert "--runs" in advice.on("watch", RunDir(tmp_path / "other" / "a"))


def test_folders_that_no_path_leads_to_or_that_could_steer_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRDND_RUNS", "~nobody-of-this-name/r")
    assert f"--runs {tmp_path}" in advice.on("watch", RunDir(tmp_path / "a"))
    assert "\x1b" not in advice.command("runs", tmp_path / "\x1b[2J")
