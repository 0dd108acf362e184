"""A crdnd whose engine is the fake one."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.program import Program

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PRESET = """
[data]
name = "digits"
[student]
name = "small_cnn"
[method]
name = "natural"
"""
DRIVER = f"""
import sys
from crdnd_tui.core import engine_process
engine_process.engine_command = lambda run: [sys.executable, {str(HERE / "fake_engine.py")!r}, str(run.path)]
from crdnd_tui.cli.app import main
main()
"""


class Crdnd:
    """Runs commands in a process of their own, as a user does; `start` in a fresh interpreter, too."""

    def __init__(self, home: Path, program: Program) -> None:
        self.home, self.runs, self._program = home, home / "runs", program
        self.preset = home / "tiny.toml"
        self.preset.write_text(PRESET)

    def environment(self, plan: dict | None = None, **more: str) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("CRDND", "COLUMNS", "NO_COLOR"))}
        fixed = {"PYTHONPATH": str(ROOT), "FAKE_ENGINE": json.dumps(plan or {}), "PYTHONIOENCODING": "utf-8"}
        return kept | fixed | more

    def __call__(self, *args: str, plan: dict | None = None, **more: str) -> subprocess.CompletedProcess[str]:
        return self._program(*args, cwd=self.home, env=self.environment(plan, **more))

    def start(self, *args: str, plan: dict | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen([sys.executable, "-c", DRIVER, *args], cwd=self.home, env=self.environment(plan),
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    started = Program(tmp_path_factory.mktemp("program"), HERE / "fake_engine.py")
    yield started
    started.close()


@pytest.fixture
def crdnd(tmp_path: Path, program: Program) -> Crdnd:
    return Crdnd(tmp_path, program)
