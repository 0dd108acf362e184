"""What an error of torch, CUDA, NCCL or gloo means: memory ran out, another rank is gone, or the ranks cannot meet.

The libraries tell these apart in words only; each pattern below is of a text that they print. torch is not imported.
"""

import errno
import re
from typing import Literal, NamedTuple

MEMORY = re.compile(
    r"out of memory|_STATUS_\w*ALLOC\w*_FAILED|DefaultCPUAllocator|can.?t allocate memory|cannot allocate memory"
    r"|unable to allocate|std::bad_alloc|cudaErrorMemoryAllocation"
    r"|valid cuDNN algorithm|FIND was unable to find an engine",  # none fits into the memory that is left
    re.IGNORECASE,
)
LOST = re.compile(
    r"connection closed|connection reset|broken pipe|remote process exited|ncclRemoteError|communicator was aborted"
    r"|collective operation timeout|closed by remote peer|pair closure|for (recv|send) operation|got 0 bytes"
    r"|connection was likely closed|read error \[|failed to recv",
    re.IGNORECASE,
)
NETWORK = re.compile(r"NCCL|gloo|Dist\w*Error|TCPStore|rendezvous", re.IGNORECASE)
MEETING = (  # what keeps ranks from meeting -> what to do about it
    (
        r"duplicate GPU",
        "Two ranks were given one GPU. Ask for as many --devices as `nvidia-smi -L` lists GPUs: slices of one card, "
        "and a number that CUDA_VISIBLE_DEVICES names twice, count once.",
    ),
    (
        r"shared memory|/dev/shm|posix_fallocate|no space left",
        "/dev/shm is full or too small. Free it; in a container, give it more with `--shm-size=1g`, or set "
        "NCCL_SHM_DISABLE=1.",
    ),
    (
        r"no socket interface|SOCKET_IFNAME|AF_INET|unable to find address|resolve hostname|address family",
        "No network interface was found. Set NCCL_SOCKET_IFNAME and GLOO_SOCKET_IFNAME to one that `ip addr` lists; "
        "lo does on one machine.",
    ),
    (r"address already in use|EADDRINUSE", "The port is taken: name another one with --rendezvous HOST:PORT."),
    (
        r"waiting for clients|clients joined|RendezvousTimeout|RendezvousConnection|timed out after|timed out waiting",
        "Not all ranks came. Is every node started, with the same --nodes, --devices and --rendezvous, and is that "
        "port open between them?",
    ),
)
UNTOLD = "Set NCCL_DEBUG=INFO and resume: engine.log then tells why."

Kind = Literal["OutOfMemory", "Lost", "RanksApart", "Network", ""]


class ErrorCause(NamedTuple):
    """Of an error. `kind`: RanksApart is a known reason why ranks cannot meet, Network one that nobody knows."""

    kind: Kind
    message: str
    hint: str = ""


def cause_of(error: BaseException) -> ErrorCause:
    """What happened. The kind is empty for what is none of these."""
    text = f"{' '.join(kind.__name__ for kind in type(error).__mro__)}: {error}"
    message = one_line(error)
    if isinstance(error, MemoryError) or "OutOfMemoryError" in text or getattr(error, "errno", 0) == errno.ENOMEM:
        return ErrorCause("OutOfMemory", message)
    if not isinstance(error, RuntimeError):
        return ErrorCause("", message)
    if MEMORY.search(str(error)):
        return ErrorCause("OutOfMemory", message)
    if not NETWORK.search(text) and "Connection closed" not in text:
        return ErrorCause("", message)
    for pattern, hint in MEETING:
        if re.search(pattern, str(error), re.IGNORECASE) and not LOST.search(str(error)):
            return ErrorCause("RanksApart", message, hint)
    return ErrorCause("Lost", message) if LOST.search(text) else ErrorCause("Network", message, UNTOLD)


def one_line(error: BaseException) -> str:
    """One line: of NCCL's text its last error, which names the cause; of all else the first."""
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    last = next((k for k, line in enumerate(lines[:-1]) if line == "Last error:"), None)
    return f"NCCL: {lines[last + 1]}"[:300] if last is not None else lines[0][:300]
