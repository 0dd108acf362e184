"""Shared by the tests of the terminal half."""

from pathlib import Path

import pytest

from crdnd_tui.queue import worker
from tests.tui.pilot import recorded


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recorded runs; a test that changes them takes a copy."""
    return recorded(tmp_path_factory.mktemp("original") / "runs")


@pytest.fixture(autouse=True)
def no_real_worker(monkeypatch: pytest.MonkeyPatch):
    """A real worker would start real engines, and outlive the test: who wants one says which."""

    def refuse(runs):
        raise AssertionError(f"a real worker was wanted for {runs}")

    monkeypatch.setattr(worker, "worker_command", refuse)
