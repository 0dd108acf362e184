"""The signals that ask an engine to stop, from before its first line of Python on."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)  # Slurm warns with USR1 or USR2
HELD = (*SIGNALS, signal.SIGHUP)


@contextmanager
def held_back() -> Iterator[None]:
    """An engine that is started in this block inherits these signals blocked: they wait until it listens for them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HELD)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
