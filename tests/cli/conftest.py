"""A crdnd whose engine is the fake one."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
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
from crdnd_tui.core import engine_process
engine_process.engine_command = lambda run: [sys.executable, {str(HERE / "fake_engine.py")!r}, str(run.path)]
from crdnd_tui.cli.app import main
main()
"""


class Crdnd:
    """Runs commands in a process of their own, as a user does; `start` in a fresh interpreter, too."""

    def __init__(self, home: Path, zygote: "subprocess.Popen[str]") -> None:
        self.home, self.runs, self._zygote = home, home / "runs", zygote
        self.preset = home / "tiny.toml"
        self.preset.write_text(PRESET)

    def environment(self, plan: dict | None = None, **more: str) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("CRDND", "COLUMNS", "NO_COLOR"))}
        fixed = {"PYTHONPATH": str(ROOT), "FAKE_ENGINE": json.dumps(plan or {}), "PYTHONIOENCODING": "utf-8"}
        return kept | fixed | more

    def __call__(self, *args: str, plan: dict | None = None, **more: str) -> subprocess.CompletedProcess[str]:
        out, err = self.home / "stdout.txt", self.home / "stderr.txt"
        for path in (out, err):
            path.unlink(missing_ok=True)
        request = {"args": args, "cwd": str(self.home), "env": self.environment(plan, **more)}
        stdin, stdout = self._zygote.stdin, self._zygote.stdout
        assert stdin is not None and stdout is not None
        stdin.write(json.dumps(request | {"out": str(out), "err": str(err)}) + "\n")
        stdin.flush()
        code = int(stdout.readline())
        said = [path.read_bytes().decode("utf-8", "replace") for path in (out, err)]
        return subprocess.CompletedProcess(args, code, *said)

    def start(self, *args: str, plan: dict | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen([sys.executable, "-c", DRIVER, *args], cwd=self.home, env=self.environment(plan),
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip


@pytest.fixture(scope="session")
def zygote() -> Iterator["subprocess.Popen[str]"]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, str(HERE / "zygote.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True, env=environment) as process:  # fmt: skip
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture
def crdnd(tmp_path: Path, zygote: "subprocess.Popen[str]") -> Crdnd:
    return Crdnd(tmp_path, zygote)
