"""python -m engine RUN_DIR: exit 0 finished, 1 failed, 2 bad config or folder, 3 stopped."""

import faulthandler
import os
import sys
from pathlib import Path

from engine.runtime.interrupt import Interrupt, become_rank
from engine.spec.process import replace_closed_streams


def main() -> int:
    """Run what the folder holds; one sentence goes to stderr, the rest to the log."""
    interrupt = Interrupt()
    interrupt.listen()  # imports take a second, in which a request to stop must not kill
    replace_closed_streams()
    faulthandler.enable(all_threads=False)  # names a death by SIGSEGV and its like in engine.log
    from engine.run import job, launch  # noqa: PLC0415
    from engine.runtime import torchrun  # noqa: PLC0415
    from engine.spec.errors import CrdndError  # noqa: PLC0415

    place = torchrun.place()
    if place is not None:
        become_rank()
    if len(sys.argv) != 2:
        print("usage: python -m engine RUN_DIR", file=sys.stderr)  # noqa: T201  there is no run to tell it
        return 2
    # Two cores that others use, too: a thread that waits must not burn the core it waits for.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        run, machine = job.open_run(Path(sys.argv[1]).resolve())
        interrupt.stop_file = run.stop
        several = place is None and machine.devices * machine.nodes > 1
        work = launch.lead if several else job.work
        code = work(run, machine, interrupt)
    except CrdndError as error:
        print(error, file=sys.stderr)  # noqa: T201  the folder is not ours to write into
        code = 2
    if place is not None and code not in {0, 3}:
        torchrun.exit_now(code)  # other ranks wait for this one
    return code


if __name__ == "__main__":
    sys.exit(main())
