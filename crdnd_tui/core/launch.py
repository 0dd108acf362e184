"""From a config to a living engine, or to what went wrong; and whether its processes can be as many as they should.

Blocks: not for the event loop.
"""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from crdnd_tui.core import gpu, run_actions
from crdnd_tui.core.session import Session
from crdnd_tui.core.text import display
from engine.spec import explain, folders
from engine.spec.config import RunConfig
from engine.spec.errors import ConfigError, CrdndError
from engine.spec.machine import Machine
from engine.spec.rundir import RunDir

PLACE = re.compile(r"([A-Za-z0-9._-]+):([0-9]{1,5})")
PORTS = range(1, 1 << 16)


@dataclass(frozen=True, kw_only=True)
class Start:
    """How a start went. `words` tell a failure; there is a run folder unless even that failed."""

    run: RunDir | None = None
    words: tuple[str, ...] = ()


def machine(session: Session, chosen: Mapping[str, Any]) -> Machine:
    """Of this sitting, with what was chosen on the form; ConfigError when it makes no sense."""
    folders_ = {"data": str(session.data), "runs": str(session.runs)}
    try:
        here = Machine.model_validate({**session.machine, **chosen, **folders_})
    except ValidationError as error:
        raise ConfigError([f"{detail['loc'][0]}: {explain.message(detail)}" for detail in error.errors()]) from None
    found = problems(here)
    if found:
        raise ConfigError(found)
    return here


def create(config: RunConfig, text: str, where: Machine) -> Start:
    """A run folder that nobody works on yet."""
    try:
        return Start(run=folders.create(config, text, where))
    except CrdndError as error:
        return Start(words=tuple(str(error).splitlines()))


def begin(config: RunConfig, text: str, where: Machine) -> Start:
    """A run folder with an engine that has spoken."""
    made = create(config, text, where)
    return made if made.run is None else Start(run=made.run, words=run_actions.start(made.run))


def problems(here: Machine) -> list[str]:
    """No place to meet, or more processes than there are GPUs; empty when all is well."""
    return [*_meeting(here), *_devices(here)]


def invitation(run: RunDir, here: Machine) -> str:
    """What to type on the other nodes, in any folder; empty when there are none."""
    if here.nodes == 1:
        return ""
    others = "the other node" if here.nodes == 2 else f"each of the other {here.nodes - 1} nodes"
    return f"On {others}: " + shlex.join(["crdnd", "join", run.id, "--runs", str(run.path.parent)])


def _meeting(here: Machine) -> list[str]:
    if here.nodes == 1:
        unused = "rendezvous is where several nodes meet: say how many with --nodes, or leave it out"
        return [unused] if here.rendezvous else []
    if not here.rendezvous:
        return [f"{here.nodes} nodes must know where they meet: --rendezvous HOST:PORT of the first one"]
    place = PLACE.fullmatch(here.rendezvous)
    if place is None or int(place[2]) not in PORTS:
        return [f"rendezvous `{display(here.rendezvous, 80)}` is no HOST:PORT, as in node1:29400"]
    return []


def _devices(here: Machine) -> list[str]:
    """On the CPU any number may share it; without a driver the engine itself finds out."""
    if here.devices == 1 or here.device == "cpu" or not gpu.cards():
        return []
    first, there = int(here.device.partition(":")[2] or 0), len(gpu.visible())
    if first + here.devices <= there:
        return []
    cards = f"{there} GPU{'' if there == 1 else 's'}"
    begin = f" from cuda:{first} on" if first else ""
    return [f"{here.devices} devices{begin}: this machine shows {cards}; --device cpu computes on the CPU"]
