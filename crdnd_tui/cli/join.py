"""crdnd join: a further node of a run. It starts this node's processes; its machine.json says where they all meet."""

import contextlib
import subprocess
from pathlib import Path

from crdnd_tui.cli import output
from crdnd_tui.core import advice, engine_process, library
from crdnd_tui.core.attach import DONE
from crdnd_tui.core.launch import problems
from crdnd_tui.core.provenance_lines import machine_of
from crdnd_tui.core.text import display
from engine.spec import rundir
from engine.spec.errors import ConfigError, RunFolderError
from engine.spec.rundir import RunDir


def join(name: str, runs: Path) -> int:
    """This node's processes, until the run ends; the engine's exit code."""
    folder = rundir.find(runs, name)
    here = machine_of(folder)
    if here is None:
        raise RunFolderError("its machine.json cannot be read", where=str(folder.path))
    if here.nodes == 1:
        spread = advice.command(f"resume {display(folder.id)} --nodes N --rendezvous HOST:PORT", runs)
        raise RunFolderError(
            f"{display(folder.id)} is computed on one node: nobody can join it",
            hint=f"{spread} spreads it over several.",
        )
    found = problems(here)
    if found:
        raise ConfigError(found)
    row = library.summary(folder)
    if row is not None and row.state == "done":
        output.say(f"{row.id} is done already.")
        return DONE
    many = "one process" if here.devices == 1 else f"{here.devices} processes"
    output.say(f"{folder.id}: this node joins with {many}, {here.nodes} nodes meet at {display(here.rendezvous)}.")
    output.say(f"{advice.on('watch', folder)} shows how it goes. Ctrl-C asks the whole run to stop and save.")
    return _work(folder)


def _work(folder: RunDir) -> int:
    """In the foreground: Ctrl-C reaches the engine as it reaches us, and it leaves when all have saved."""
    engine = subprocess.Popen(
        engine_process.engine_command(folder), stdin=subprocess.DEVNULL, env=engine_process.environment()
    )
    code: int | None = None
    while code is None:
        with contextlib.suppress(KeyboardInterrupt):
            code = engine.wait()
    words = (
        f"ended with exit code {code}; {advice.on('resume', folder)} on the first node goes on" if code else "is done"
    )
    output.say(f"{folder.id}: this node's part {words}.")
    return code if code >= 0 else 128 - code
