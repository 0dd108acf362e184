"""What torchrun's environment says of this process, and how the ranks of a run ended.

torch's own error files hold a message of those ranks alone that failed before torchrun looked; here each rank writes
its exit code, what its error means, and whether it only lost another, into the run folder, which nodes share.
"""

import contextlib
import logging
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple, NoReturn

import msgspec

from engine.spec.files import decoded, open_log, write_inside
from engine.spec.rundir import RunDir

ROOT = str(Path(__file__).resolve().parents[2])  # where the package `engine` lies
OURS = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "OMP_NUM_THREADS")
BEGINNINGS = ("LOCAL_", "GROUP_", "ROLE_", "TORCHELASTIC_", "TORCH_NCCL_")


class RankPlace(NamedTuple):
    """This process among the ranks of its run, of all nodes and of its own."""

    rank: int
    world_size: int
    local_rank: int = 0
    local_world: int = 1


class RankExit(msgspec.Struct, frozen=True, kw_only=True):
    """How a rank ended. `code` is the engine's exit code, or the negative number of a signal."""

    rank: int
    code: int
    kind: str = ""
    message: str = ""
    hint: str = ""
    lost: bool = False  # it only heard that another was gone
    time: float = msgspec.field(default_factory=time.time)


def place() -> RankPlace | None:
    """None for an engine that works alone. Other programs set RANK, too; torchrun's own mark decides."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return None
    number = {name: int(os.environ.get(name, "0")) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")}
    return RankPlace(number["RANK"], number["WORLD_SIZE"], number["LOCAL_RANK"], max(1, number["LOCAL_WORLD_SIZE"]))


def start(run: RunDir, module: str, *arguments: str) -> subprocess.Popen[bytes]:
    """`python -m MODULE RUN_DIR ARGUMENTS` in a session of its own; what it prints goes to the run's engine.log."""
    command = [sys.executable, "-P", "-m", module, str(run.path), *arguments]
    with os.fdopen(open_log(run.log), "ab") as log:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, env=child_environment()
        )


def child_environment() -> dict[str, str]:
    """Of an engine started from here: it finds our package `engine` first, and is no rank of this run."""
    rank = place() is not None
    kept = {k: v for k, v in os.environ.items() if not rank or (k not in OURS and not k.startswith(BEGINNINGS))}
    return {**kept, "PYTHONPATH": os.pathsep.join(filter(None, [ROOT, os.environ.get("PYTHONPATH", "")]))}


def exit_now(code: int) -> NoReturn:
    """End this process without its own last steps: a rank that failed must not wait for the others in them."""
    logging.shutdown()
    sys.stderr.flush()
    os._exit(code)


def record(run: RunDir, own: RankExit) -> None:
    write_inside(_folder(run) / f"{socket.gethostname()}-{own.rank}.json", msgspec.json.encode([own]))


def record_deaths(run: RunDir, seen: list[RankExit]) -> None:
    """Write down what torchrun saw on this node: the first to die first."""
    write_inside(_folder(run) / f"{socket.gethostname()}.deaths", msgspec.json.encode(seen))


def exits(run: RunDir, since: float) -> list[RankExit]:
    """How the ranks of all nodes ended by their own words, the earliest first; none that is older than `since`."""
    said = [own for path in _folder(run).glob("*.json") for own in _read(path) if own.time >= since]
    return sorted(said, key=lambda own: own.time)


def deaths(run: RunDir) -> list[RankExit]:
    """What torchrun saw on this node."""
    return _read(_folder(run) / f"{socket.gethostname()}.deaths")


def forget(run: RunDir) -> None:
    """Remove what this node's processes wrote before."""
    own = socket.gethostname()
    for path in [*_folder(run).glob(f"{own}-*.json"), _folder(run) / f"{own}.deaths"]:
        path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # not there, or another node's are
        _folder(run).rmdir()


def _folder(run: RunDir) -> Path:
    return run.path / ".ranks"


def _read(path: Path) -> list[RankExit]:
    return decoded(path, msgspec.json.Decoder(list[RankExit]).decode) or []
