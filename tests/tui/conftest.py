"""Shared by the tests of the terminal half."""

import pytest

from crdnd_tui.queue import worker


@pytest.fixture(autouse=True)
def no_real_worker(monkeypatch: pytest.MonkeyPatch):
    """A real worker would start real engines, and outlive the test: who wants one says which."""

    def refuse(runs):
        raise AssertionError(f"a real worker was wanted for {runs}")

    monkeypatch.setattr(worker, "worker_command", refuse)
