"""What a command does not need, it does not import; measured in fresh interpreters."""

import subprocess
import sys
from pathlib import Path

import pytest

from crdnd_tui.core import complete, run_status
from engine.spec.attacks import KINDS
from tests import hostile

HEAVY = ("torch", "numpy", "textual", "sklearn")


def loaded(tmp_path: Path, arguments: list[str], watched: tuple[str, ...], **environment: str) -> str:
    program = f"""
import sys, atexit
atexit.register(lambda: sys.stderr.write("LOADED:" + ",".join(m for m in {watched!r} if m in sys.modules)))
sys.argv = ["crdnd", *{arguments!r}]
from crdnd_tui.cli.app import main
main()
"""
    root = Path(__file__).parent.parent.parent
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True,
                          timeout=60, check=False,
                          env={"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin", **environment})  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stderr.rpartition("LOADED:")[2]


@pytest.mark.parametrize("arguments", [["--help"], ["runs", "--json"], ["schema"], ["run", "--help"]], ids=" ".join)
def test_no_command_of_the_terminal_half_loads_torch(tmp_path: Path, arguments: list[str]) -> None:
    assert loaded(tmp_path, arguments, HEAVY) == ""


@pytest.mark.parametrize("arguments", [["runs"], ["runs", "--json"], ["--help"]], ids=" ".join)
def test_lists_and_help_do_without_the_registries(tmp_path: Path, arguments: list[str]) -> None:
    hostile.run(tmp_path / "runs")
    assert loaded(tmp_path, arguments, ("engine.spec.base", "tomlkit")) == ""


def test_completion_knows_runs_and_presets_and_loads_little(tmp_path: Path) -> None:
    (tmp_path / "runs" / "20260101-000000-crdnd-x-s0-abcd").mkdir(parents=True)
    (tmp_path / "mine.toml").write_text("")
    program = "import sys; sys.argv = ['crdnd']; from crdnd_tui.cli.app import main; main()"
    root = Path(__file__).parent.parent.parent
    for words, found in (("crdnd show 2026", "20260101-000000-crdnd-x-s0-abcd"), ("crdnd run mi", "mine.toml")):
        environment = {"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin", "_CRDND_COMPLETE": "complete_bash",
                       "COMP_WORDS": words, "COMP_CWORD": "2"}  # fmt: skip
        code = program + "\n"
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False,
                              timeout=60, env=environment)  # fmt: skip
        assert found in done.stdout.split(), done.stderr


def test_completion_offers_what_the_registries_hold() -> None:
    assert set(complete.ATTACKS) == set(KINDS)
    assert complete.STATES == run_status.STATES
