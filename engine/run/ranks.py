"""A run on several devices: start torchrun, stay its parent, and say how it ended.

    python -m engine RUN_DIR  --Popen-->  engine.run.agent  --Popen-->  python -m engine RUN_DIR, once per device
      signals -> stop file                sees ranks die                      rank 0 locks and writes the folder

Every rank's death ends all of them, torchrun itself restarts none, and this process says why in the run folder.
"""

import os
import signal
import subprocess
import sys
import time

from engine.run import job
from engine.run.job import FAILED, FINISHED, STOPPED
from engine.runtime import torchrun
from engine.runtime.interrupt import Interrupt
from engine.runtime.lock import Lock
from engine.runtime.torch_errors import UNTOLD
from engine.runtime.torchrun import Ending
from engine.spec import files, rundir, toml
from engine.spec.deaths import Death
from engine.spec.deaths import name as signal_name
from engine.spec.errors import ConfigError, RunFolderError
from engine.spec.events import RunStarted
from engine.spec.folders import is_done, machine_of, status_of
from engine.spec.locks import is_held
from engine.spec.machine import Machine
from engine.spec.rundir import RunDir

POLL_SECONDS = 0.1
PORT = 29400  # where nodes meet when no port is named; torchrun's own
VAGUE = {"RuntimeError", "Network"}  # may come of another's end
RESUME = "`crdnd resume` goes on from the last checkpoint."
NATIVE = "If a rank dies so again, `crdnd resume RUN --machine layout=contiguous` avoids one known cause."


def work(run: RunDir, began: float) -> int:
    """Do what the folder asks for, alone or in ranks. CrdndError when it is no run, or another engine holds it."""
    if torchrun.place() is not None or not files.is_file(run.config):
        return job.work(run, began)
    rundir.check(run)
    machine = machine_of(run)
    return job.work(run, began) if machine.devices * machine.nodes == 1 else lead(run, machine)


def lead(run: RunDir, machine: Machine) -> int:
    """Start the ranks of this node, hand stop requests to them, and tell their end; returns the engine's exit code."""
    config = toml.read(run.config)  # refused at once, if it is
    arguments = options(run, machine)
    if is_done(run, config):
        return FINISHED
    if machine.nodes == 1 and is_held(run.lock):
        raise RunFolderError("another engine is at work here", where=str(run.path))
    torchrun.forget(run)
    interrupt = Interrupt(run.stop)
    interrupt.listen()
    since = time.time()
    with os.fdopen(files.open_log(run.log), "ab") as log:
        agent = subprocess.Popen(
            [sys.executable, "-P", "-m", "engine.run.agent", str(run.path), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=torchrun.environment(),
        )
    asked = False
    while agent.poll() is None:
        if not asked and interrupt.reason:
            asked = True
            files.touch(run.stop)  # all ranks look at it
        time.sleep(POLL_SECONDS)
    code = _tell_end(run, agent.returncode, since)
    run.stop.unlink(missing_ok=True)
    torchrun.forget(run)
    return code


def options(run: RunDir, machine: Machine) -> list[str]:
    """torchrun's arguments for this node. ConfigError when several nodes have no place to meet."""
    if machine.nodes == 1:
        meeting = ["--standalone"]
    elif machine.rendezvous:
        host, _, port = machine.rendezvous.partition(":")
        meeting = [
            f"--nnodes={machine.nodes}",
            "--rdzv-backend=c10d",
            f"--rdzv-endpoint={host}:{port or PORT}",
            f"--rdzv-id={run.id}",
        ]
    else:
        raise ConfigError([f"machine.rendezvous: {machine.nodes} nodes need a place to meet, HOST:PORT"])
    engine = [sys.executable, "-P", "-m", "engine", str(run.path)]
    return [*meeting, f"--nproc-per-node={machine.devices}", "--max-restarts=0", "--no-python", *engine]


def _tell_end(run: RunDir, agent: int, since: float) -> int:
    """The engine's exit code; of a failure that nobody told yet, tell it."""
    said = torchrun.endings(run, since)
    leader = next((ending for ending in said if ending.rank == 0 and not ending.message), None)
    if leader is not None:
        return leader.code
    if agent == FINISHED:  # another node leads, and has tidied up already
        status = status_of(run)
        return STOPPED if status is not None and status.phase == "stopped" else FINISHED
    cause = why(said, torchrun.deaths(run), agent, ranks=_world(run))
    lock = Lock(run.lock)
    lock.take()
    status = status_of(run)
    if status is not None and status.phase == "failed" and status.heartbeat > since:  # another node told it
        return cause.code
    reporter = job.open_reporter(run, toml.read(run.config))
    if reporter.position[1] == 0:
        first = reporter.status
        reporter.say(
            RunStarted(run=run.id, name=first.name, config_hash=first.config_hash, pid=first.pid, host=first.host)
        )
    job.tell_failure(reporter, cause.kind, cause.message, cause.hint)
    reporter.close()
    return cause.code


def why(said: list[Ending], deaths: list[Ending], agent: int, ranks: int) -> Ending:
    """The first cause: what a rank said, else of what a rank died, else that torchrun itself is gone.

    said: the ranks' last words, the earliest first; deaths: what torchrun saw, the first first; agent: its exit code.
    A rank that only heard of another's end, one whose error may come of it, and one that torchrun ended with SIGTERM,
    are no cause while there is one.
    """
    own = [ending for ending in said if not ending.lost]
    by_signal = [death for death in deaths if death.code < 0 and death.code != -signal.SIGTERM]
    certain = [ending for ending in own if ending.kind not in VAGUE]
    if told := next(iter(certain or ([] if by_signal else own)), None):
        return told
    silent = [death for death in deaths if death.rank not in {ending.rank for ending in said}]
    death = next(iter(by_signal or silent), None)
    if death is None and said and agent > 0:
        message = f"rank {said[0].rank} of {ranks} lost the others, and none of them said why: {said[0].message}"
        return Ending(rank=said[0].rank, code=FAILED, kind="RanksLost", message=message, hint=f"{UNTOLD} {RESUME}")
    if death is None and not deaths:
        message = f"torchrun ended ({_how(agent)}) without a word of the ranks; the run was ended"
        return Ending(rank=0, code=FAILED, kind="RanksLost", message=message, hint=RESUME)
    death = death or deaths[0]
    message = f"rank {death.rank} of {ranks} died ({_how(death.code)}); the run was ended"
    hint = f"{RESUME} {NATIVE}" if Death(_how(death.code)).native else RESUME
    return Ending(rank=death.rank, code=FAILED, kind="RankDied", message=message, hint=hint)


def _world(run: RunDir) -> int:
    machine = machine_of(run)
    return machine.devices * machine.nodes


def _how(code: int) -> str:
    return signal_name(code) if code < 0 else f"exit code {code}"
