"""python -m engine.run.agent RUN_DIR TORCHRUN_ARGUMENTS: torchrun, which also writes down which rank died of what.

It is a process of its own, started by `ranks`, for torchrun takes over the signals of the process that it runs in.
"""

import os
import sys
from pathlib import Path

from torch.distributed import run as torch_run
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

from engine.run import job
from engine.runtime import device, torch_errors, torchrun
from engine.runtime.torchrun import Ending
from engine.spec.errors import ConfigError
from engine.spec.folders import machine_of
from engine.spec.rundir import RunDir


def main() -> int:
    """0 when all ranks ended well; otherwise what happened lies in the run folder."""
    torchrun.follow(os.getppid())
    run = RunDir(Path(sys.argv[1]))
    try:
        device.check_devices(machine_of(run))
        torch_run.run(torch_run.parse_args(sys.argv[2:]))
    except ConfigError as error:
        torchrun.record(run, Ending(rank=0, code=job.REFUSED, kind="Config", message="; ".join(error.problems)))
        return job.REFUSED
    except ChildFailedError as error:
        dead = [Ending(rank=rank, code=failure.exitcode) for rank, failure in error.failures.items()]
        torchrun.record_deaths(run, dead)
        return job.FAILED
    except Exception as error:  # torchrun's own: no port, no other node
        cause = torch_errors.of(error)
        kind, message = cause.kind or type(error).__name__, f"torchrun: {cause.message}"
        torchrun.record(run, Ending(rank=-1, code=job.FAILED, kind=kind, message=message, hint=cause.hint))
        raise
    return job.FINISHED


if __name__ == "__main__":
    sys.exit(main())
