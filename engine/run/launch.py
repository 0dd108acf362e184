"""A run on several devices: start torchrun, stay its parent, and say how it ended.

    python -m engine RUN_DIR  --Popen-->  engine.run.launch  --Popen-->  python -m engine RUN_DIR, once per device
      signals -> stop file                sees ranks die                      rank 0 locks and writes the folder

Every rank's death ends all of them, torchrun itself restarts none, and the first process says why in the run folder.
The second one is torchrun, which takes over the signals of the process that it runs in.
"""

import signal
import sys
import time
from pathlib import Path

from engine.run import job
from engine.run.job import FAILED, FINISHED, REFUSED, STOPPED
from engine.runtime import torch_errors, torchrun
from engine.runtime.interrupt import Interrupt, die_with_parent
from engine.runtime.torchrun import RankExit
from engine.spec import files, locks, toml
from engine.spec.crashes import Death, signal_name
from engine.spec.errors import ConfigError, RunFolderError
from engine.spec.folders import is_done, machine_of, status_of
from engine.spec.machine import Machine
from engine.spec.rundir import RunDir

POLL_SECONDS = 0.1
PORT = 29400  # where nodes meet when no port is named; torchrun's own
VAGUE = {"RuntimeError", "Network"}  # may come of another's end
RESUME = "`crdnd resume` goes on from the last checkpoint."
NATIVE = "If a rank dies so again, `crdnd resume RUN --machine layout=contiguous` avoids one known cause."


def lead(run: RunDir, machine: Machine, interrupt: Interrupt) -> int:
    """Start the ranks of this node, hand stop requests to them, and tell their end; returns the engine's exit code."""
    config = toml.read(run.config)  # refused at once, if it is
    arguments = options(run, machine)
    if is_done(run, config):
        return FINISHED
    if machine.nodes == 1 and locks.is_held(run.lock):
        raise RunFolderError("another engine is at work here", where=str(run.path))
    torchrun.forget(run)
    since = time.time()
    agent = torchrun.start(run, "engine.run.launch", *arguments)
    asked = False
    while agent.poll() is None:
        if not asked and interrupt.reason:
            asked = True
            files.touch(run.stop)  # all ranks look at it
        time.sleep(POLL_SECONDS)
    code = _tell_end(run, machine, agent.returncode, since)
    run.stop.unlink(missing_ok=True)
    torchrun.forget(run)
    return code


def options(run: RunDir, machine: Machine) -> list[str]:
    """torchrun's arguments for this node. ConfigError when several nodes have no place to meet."""
    host, _, port = (machine.rendezvous or "").partition(":")
    meeting = ["--standalone"]
    if machine.nodes > 1:
        if not machine.rendezvous:
            raise ConfigError([f"machine.rendezvous: {machine.nodes} nodes need a place to meet, HOST:PORT"])
        endpoint = f"--rdzv-endpoint={host}:{port or PORT}"
        meeting = [f"--nnodes={machine.nodes}", "--rdzv-backend=c10d", endpoint, f"--rdzv-id={run.id}"]
    engine = [sys.executable, "-P", "-m", "engine", str(run.path)]
    return [*meeting, f"--nproc-per-node={machine.devices}", "--max-restarts=0", "--no-python", *engine]


def _tell_end(run: RunDir, machine: Machine, agent: int, since: float) -> int:
    """The engine's exit code; of a failure that nobody told yet, tell it."""
    said = torchrun.exits(run, since)
    leader = next((own for own in said if own.rank == 0 and not own.message), None)
    if leader is not None:
        return leader.code
    status = status_of(run)
    if agent == FINISHED:  # another node leads, and has tidied up already
        return STOPPED if status is not None and status.phase == "stopped" else FINISHED
    cause = first_cause(said, torchrun.deaths(run), agent, ranks=machine.devices * machine.nodes)
    locks.hold(run.lock)
    status = status_of(run)
    if status is not None and status.phase == "failed" and status.heartbeat > since:  # another node told it
        return cause.code
    reporter = job.open_reporter(run, toml.read(run.config))
    if reporter.position[1] == 0:
        job.say_started(reporter)
    job.tell_failure(reporter, cause)
    reporter.close()
    return cause.code


def first_cause(said: list[RankExit], deaths: list[RankExit], agent: int, ranks: int) -> RankExit:
    """What a rank said, else of what a rank died, else that torchrun itself is gone.

    said: the ranks' last words, the earliest first; deaths: what torchrun saw, the first first; agent: its exit code.
    A rank that only heard of another's end, one whose error may come of it, and one that torchrun ended with SIGTERM,
    are no cause while there is one.
    """
    own = [rank for rank in said if not rank.lost]
    by_signal = [death for death in deaths if death.code < 0 and death.code != -signal.SIGTERM]
    certain = [rank for rank in own if rank.kind not in VAGUE]
    if told := next(iter(certain or ([] if by_signal else own)), None):
        return told
    silent = [death for death in deaths if death.rank not in {rank.rank for rank in said}]
    death = next(iter(by_signal or silent), None)
    if death is None and said and agent > 0:
        message = f"rank {said[0].rank} of {ranks} lost the others, and none of them said why: {said[0].message}"
        hint = f"{torch_errors.UNTOLD} {RESUME}"
        return RankExit(rank=said[0].rank, code=FAILED, kind="RanksLost", message=message, hint=hint)
    if death is None and not deaths:
        message = f"torchrun ended ({_how(agent)}) without a word of the ranks; the run was ended"
        return RankExit(rank=0, code=FAILED, kind="RanksLost", message=message, hint=RESUME)
    death = death or deaths[0]
    message = f"rank {death.rank} of {ranks} died ({_how(death.code)}); the run was ended"
    hint = f"{RESUME} {NATIVE}" if Death(_how(death.code)).native else RESUME
    return RankExit(rank=death.rank, code=FAILED, kind="RankDied", message=message, hint=hint)


def _how(code: int) -> str:
    return signal_name(code) if code < 0 else f"exit code {code}"


def main() -> int:
    """python -m engine.run.launch RUN_DIR TORCHRUN_ARGUMENTS: torchrun, which also writes down which rank died of what.

    0 when all ranks ended well; otherwise what happened lies in the run folder.
    """
    die_with_parent()
    from torch.distributed import run as torch_run  # noqa: PLC0415  torch takes seconds to import
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError  # noqa: PLC0415

    from engine.runtime import device  # noqa: PLC0415

    run = RunDir(Path(sys.argv[1]))
    try:
        device.check_devices(machine_of(run))
        torch_run.run(torch_run.parse_args(sys.argv[2:]))
    except ConfigError as error:
        torchrun.record(run, RankExit(rank=0, code=REFUSED, kind="Config", message="; ".join(error.problems)))
        return REFUSED
    except ChildFailedError as error:
        dead = [RankExit(rank=rank, code=failure.exitcode) for rank, failure in error.failures.items()]
        torchrun.record_deaths(run, dead)
        return FAILED
    except Exception as error:  # torchrun's own: no port, no other node
        cause = torch_errors.cause_of(error)
        kind, message = cause.kind or type(error).__name__, f"torchrun: {cause.message}"
        torchrun.record(run, RankExit(rank=-1, code=FAILED, kind=kind, message=message, hint=cause.hint))
        raise
    return FINISHED


if __name__ == "__main__":
    sys.exit(main())
