"""python -m engine RUN_DIR: exit 0 finished, 1 failed, 2 bad config or folder, 3 stopped."""

import os
import sys
import time
from pathlib import Path

from engine import ranks, torchrun
from engine.spec.errors import CrdndError
from engine.spec.rundir import RunDir


def main() -> int:
    """Run what the folder holds. Whoever reads the screen sees one sentence; the log has the rest."""
    if len(sys.argv) != 2:
        print("usage: python -m engine RUN_DIR", file=sys.stderr)  # noqa: T201  there is no run to tell it
        return 2
    run = RunDir(Path(sys.argv[1]).resolve())
    # Two cores that others use, too: a thread that waits must not burn the core it waits for.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        code = ranks.work(run, time.monotonic())
    except CrdndError as error:
        print(error, file=sys.stderr)  # noqa: T201  the folder is not ours to write into
        code = 2
    if torchrun.place() is not None and code not in {0, 3}:
        torchrun.end(code)  # other ranks wait for this one
    return code


if __name__ == "__main__":
    sys.exit(main())
