"""Shared by all tests: one thread each, so that workers do not fight over two cores. Many tests wait, hence three."""

import os
import signal
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")

ONE_WORKER = {
    "test_checks": "checks",  # all processors
    "test_distributed": "ranks", "test_ranks": "ranks", "test_teacher_run": "engines",  # processes enough
}  # fmt: skip
"""Files whose tests run one after the other, in one group with those of the same name."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Group tests by file. The marker xdist_group of xdist 3.8 does nothing under pytest 9.2 (Node._nodeid is gone)."""
    from xdist.scheduler import LoadScopeScheduling

    class Groups(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return ONE_WORKER.get(PurePosixPath(nodeid.partition("::")[0]).stem, nodeid)

    return Groups(config, log) if config.getvalue("dist") == "loadgroup" else None


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """Handlers of signals are as before when a test is over: one that is left behind hangs whoever waits for Ctrl-C."""
    kinds = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
    before = {kind: signal.getsignal(kind) for kind in kinds}
    yield
    for kind, handler in before.items():
        if handler is not None:  # None: it was not set from Python
            signal.signal(kind, handler)
