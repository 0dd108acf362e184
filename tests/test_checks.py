"""The checks of the house: style, types, and who may import whom. One process at a time."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CONTRACTS = "import sys; from importlinter.cli import lint_imports_command as check; sys.exit(check())"
CHECKS = {
    "ruff check": ["-m", "ruff", "check", "."],
    "ruff format": ["-m", "ruff", "format", "--check", "."],
    "mypy": ["-m", "mypy"],
    "import contracts": ["-c", CONTRACTS],
}


@pytest.mark.slow
@pytest.mark.parametrize("check", CHECKS)
def test_the_house_is_in_order(check: str) -> None:
    done = subprocess.run([sys.executable, *CHECKS[check]], cwd=ROOT, capture_output=True, text=True, timeout=500,
                          check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
