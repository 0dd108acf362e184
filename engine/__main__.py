"""python -m engine RUN_DIR: exit 0 finished, 1 failed, 2 bad config or folder, 3 stopped."""

import faulthandler
import os
import sys
import time
from pathlib import Path

from engine.runtime import interrupt
from engine.spec.process import replace_closed_streams


def main() -> int:
    """Run what the folder holds. Whoever reads the screen sees one sentence; the log has the rest."""
    interrupt.listen_early()  # imports take a second, in which a request to stop must not kill
    replace_closed_streams()
    faulthandler.enable(all_threads=False)  # names a death by SIGSEGV and its like in engine.log
    from engine.run import ranks  # noqa: PLC0415
    from engine.runtime import torchrun  # noqa: PLC0415
    from engine.spec.errors import CrdndError  # noqa: PLC0415
    from engine.spec.rundir import RunDir  # noqa: PLC0415

    rank = torchrun.place() is not None
    if rank:
        torchrun.settle()
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
    if rank and code not in {0, 3}:
        torchrun.end(code)  # other ranks wait for this one
    return code


if __name__ == "__main__":
    sys.exit(main())
