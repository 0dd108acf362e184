"""A crdnd whose engine is the fake one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
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
from crdnd_tui import launch
launch.engine_command = lambda run: [sys.executable, {str(HERE / "fake_engine.py")!r}, str(run.path)]
from crdnd_tui.cli import main
main()
"""


class Crdnd:
    """Runs commands in a process of their own, as a user does."""

    def __init__(self, home: Path) -> None:
        self.home, self.runs = home, home / "runs"
        self.preset = home / "tiny.toml"
        self.preset.write_text(PRESET)

    def environment(self, plan: dict | None = None, **more: str) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("CRDND", "COLUMNS", "NO_COLOR"))}
        fixed = {"PYTHONPATH": str(ROOT), "FAKE_ENGINE": json.dumps(plan or {}), "PYTHONIOENCODING": "utf-8"}
        return kept | fixed | more

    def __call__(self, *args: str, plan: dict | None = None, **more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", DRIVER, *args]
        return subprocess.run(command, cwd=self.home, env=self.environment(plan, **more), capture_output=True,
                              text=True, timeout=60, check=False)  # fmt: skip

    def start(self, *args: str, plan: dict | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen([sys.executable, "-c", DRIVER, *args], cwd=self.home, env=self.environment(plan),
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip


@pytest.fixture
def crdnd(tmp_path: Path) -> Crdnd:
    return Crdnd(tmp_path)
