"""Whether data of a known size may be read at all: a small file can claim terabytes."""

import psutil

from engine.spec.errors import DataError


def ensure_room(wanted: int, what: str, where: str) -> None:
    """DataError when `wanted` bytes, which `what` takes, are more than half of this machine's memory."""
    memory = psutil.virtual_memory().total
    if wanted > memory // 2:  # they are copied once on the way to the device
        what = f"{what} take {wanted / 2**30:.1f} GiB, and this machine has {memory / 2**30:.1f} GiB of memory"
        raise DataError(what, where=where, hint="Make them smaller, or fewer.")
