"""The processes of a run: whether they can be as many as they should, and meet; and how other nodes join it."""

import re
import shlex

from crdnd_tui.core import gpu
from crdnd_tui.core.text import display
from engine.spec.machine import Machine
from engine.spec.rundir import RunDir

PLACE = re.compile(r"([A-Za-z0-9._-]+):([0-9]{1,5})")
PORTS = range(1, 1 << 16)


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
