"""Shared by all tests: one thread each, so that workers do not fight over two cores. Many tests wait, hence three."""

import os
import signal
from collections.abc import Iterator

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """Handlers of signals are as before when a test is over: one that is left behind hangs whoever waits for Ctrl-C."""
    kinds = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
    before = {kind: signal.getsignal(kind) for kind in kinds}
    yield
    for kind, handler in before.items():
        if handler is not None:  # None: it was not set from Python
            signal.signal(kind, handler)
