"""What torchrun's environment says of this process, and what the ranks of a run leave behind when they end.

A rank takes no stop request by signal: the process that started torchrun takes them, and touches the stop file. So
SIGTERM, which torchrun sends to all ranks when one has died, ends a rank at once.
"""

import contextlib
import logging
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

import msgspec

from engine.spec.files import decoded, write_inside
from engine.spec.process import BLOCKED_SIGNALS
from engine.spec.rundir import RunDir

ROOT = str(Path(__file__).resolve().parents[2])  # where the package `engine` lies
LOOK_SECONDS = 0.2  # between looks whether the parent lives
OURS = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "OMP_NUM_THREADS")
BEGINNINGS = ("LOCAL_", "GROUP_", "ROLE_", "TORCHELASTIC_", "TORCH_NCCL_")


class Place(NamedTuple):
    """This process among the ranks of its run, of all nodes and of its own."""

    rank: int
    world_size: int
    local_rank: int = 0
    local_world: int = 1


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How a rank ended. `code` is the engine's exit code, or the negative number of a signal."""

    rank: int
    code: int
    kind: str = ""
    message: str = ""
    hint: str = ""
    lost: bool = False  # it only heard that another was gone
    time: float = msgspec.field(default_factory=time.time)


def place() -> Place | None:
    """None for an engine that works alone. Other programs set RANK, too; torchrun's own mark decides."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return None
    number = {name: int(os.environ.get(name, "0")) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")}
    return Place(number["RANK"], number["WORLD_SIZE"], number["LOCAL_RANK"], max(1, number["LOCAL_WORLD_SIZE"]))


def environment() -> dict[str, str]:
    """Of a process of ours: it finds our package `engine` before any other of that name."""
    path = os.pathsep.join(filter(None, [ROOT, os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": path}


def outside() -> dict[str, str]:
    """The same for an engine of its own, which is no rank of this run."""
    rank = place() is not None
    said = environment().items()
    return {name: value for name, value in said if not rank or (name not in OURS and not name.startswith(BEGINNINGS))}


def settle() -> None:
    """Make this process a rank: deaf to stop signals but SIGTERM, and dead when its parent is."""
    for number in BLOCKED_SIGNALS:
        signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.SIG_IGN)
    follow(os.getppid())


def follow(parent: int) -> None:
    """Die when this parent dies: nobody would end this process, or say that it ended."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def end(code: int) -> None:
    """End this process at once: a rank that failed must not wait for the others in its own last breath."""
    logging.shutdown()
    sys.stderr.flush()
    os._exit(code)


def record(run: RunDir, ending: Ending) -> None:
    """Leave behind how this rank ended."""
    _write(run, f"{socket.gethostname()}-{ending.rank}.json", [ending])


def record_deaths(run: RunDir, deaths: list[Ending]) -> None:
    """What torchrun saw on this node: the first to die first."""
    _write(run, f"{socket.gethostname()}.deaths", deaths)


def endings(run: RunDir, since: float) -> list[Ending]:
    """How the ranks of all nodes ended by their own words, the earliest first; none that is older than `since`."""
    said = [ending for path in _folder(run).glob("*.json") for ending in _read(path) if ending.time >= since]
    return sorted(said, key=lambda ending: ending.time)


def deaths(run: RunDir) -> list[Ending]:
    """What torchrun saw on this node."""
    return _read(_folder(run) / f"{socket.gethostname()}.deaths")


def forget(run: RunDir) -> None:
    """Remove what this node's processes left behind before."""
    own = socket.gethostname()
    for path in [*_folder(run).glob(f"{own}-*.json"), _folder(run) / f"{own}.deaths"]:
        path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # not there, or another node's are
        _folder(run).rmdir()


def _folder(run: RunDir) -> Path:
    return run.path / ".ranks"


def _write(run: RunDir, name: str, said: list[Ending]) -> None:
    write_inside(_folder(run) / name, msgspec.json.encode(said))


def _read(path: Path) -> list[Ending]:
    return decoded(path, msgspec.json.Decoder(list[Ending]).decode) or []
