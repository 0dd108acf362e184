"""A standard stream that was closed (`>&-`, a service, `ssh -f`) is /dev/null."""

import os
import sys


def reserve() -> None:
    """Call it before any file is opened: a file that got descriptor 1 or 2 would take up what is printed."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            stream = open(number, "w" if number else "r", encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
