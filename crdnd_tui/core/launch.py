"""The machine that a run is to be computed on, as flags or a form describe it; and what other nodes type to join."""

import re
import shlex
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from crdnd_tui.core import gpu
from crdnd_tui.core.text import display
from engine.spec import explain
from engine.spec.errors import ConfigError
from engine.spec.machine import Machine
from engine.spec.rundir import RunDir

PLACE = re.compile(r"([A-Za-z0-9._-]+):([0-9]{1,5})")
PORTS = range(1, 1 << 16)


def machine(said: Mapping[str, Any], mistake: Callable[[str, str], str] = "{}: {}".format) -> Machine:
    """The machine with these keys; ConfigError when it makes no sense here, worded by `mistake(key, message)`."""
    try:
        here = Machine.model_validate(said)
    except ValidationError as error:
        raise ConfigError([mistake(str(e["loc"][0]), explain.message(e)) for e in error.errors()]) from None
    if found := problems(here):
        raise ConfigError(found)
    return here


def problems(here: Machine) -> list[str]:
    """No place to meet, or more processes than there are GPUs; empty when all is well."""
    found = []
    if here.nodes == 1 and here.rendezvous:
        found.append("rendezvous is where several nodes meet: say how many with --nodes, or leave it out")
    elif here.nodes > 1 and not here.rendezvous:
        found.append(f"{here.nodes} nodes must know where they meet: --rendezvous HOST:PORT of the first one")
    elif here.nodes > 1 and ((place := PLACE.fullmatch(here.rendezvous)) is None or int(place[2]) not in PORTS):
        found.append(f"rendezvous `{display(here.rendezvous, 80)}` is no HOST:PORT, as in node1:29400")
    if here.devices > 1 and here.device != "cpu" and gpu.cards():  # without a driver the engine itself finds out
        first, there = int(here.device.partition(":")[2] or 0), len(gpu.visible())
        if first + here.devices > there:
            cards, begin = f"{there} GPU{'' if there == 1 else 's'}", f" from cuda:{first} on" if first else ""
            found.append(f"{here.devices} devices{begin}: this machine shows {cards}; --device cpu computes on the CPU")
    return found


def invitation(run: RunDir, here: Machine) -> str:
    """What to type on the other nodes, in any folder; empty when there are none."""
    if here.nodes == 1:
        return ""
    others = "the other node" if here.nodes == 2 else f"each of the other {here.nodes - 1} nodes"
    return f"On {others}: " + shlex.join(["crdnd", "join", run.id, "--runs", str(run.path.parent)])
