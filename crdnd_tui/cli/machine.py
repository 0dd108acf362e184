"""The flags of the machine, made one value; a mistake in them is told like a mistake in a preset."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from crdnd_tui.core.crews import problems
from engine.spec.errors import ConfigError
from engine.spec.machine import Machine
from engine.spec.toml import value_of

FLAGS = {
    "device": "--device may be auto, cpu, cuda, or cuda:0 and so on",
    "threads": "--threads is a number of CPU threads; 0 = by the size of the model",
    "devices": "--devices is a number of processes on each node, 1 to 1024",
    "nodes": "--nodes is a number of machines, 1 to 1024",
    "rendezvous": "--rendezvous is HOST:PORT",
    "exact": "--exact is true or false",
}
OWN_FLAGS = {"device", "threads", "devices", "nodes", "rendezvous", "exact", "data", "runs"}  # have flags of their own


def machine(
    *,
    runs: str,
    data: str = "data",
    device: str = "auto",
    threads: int = 0,
    settings: Sequence[str] = (),
    crew: Mapping[str, Any] | None = None,
) -> Machine:
    """Where and on what; `settings` are further KEY=VALUE pairs, `crew` flags of which those that are None count not.

    ConfigError when one makes no sense.
    """
    flags: dict[str, Any] = {"device": device, "threads": threads, "data": data, "runs": runs}
    return _made(flags | _said(settings, crew))


def changed(known: Machine, settings: Sequence[str], crew: Mapping[str, Any]) -> Machine:
    """The machine of a run, with what is said anew; ConfigError when that makes no sense."""
    said = _said(settings, crew)
    if said.get("nodes") == 1:
        said = {"rendezvous": ""} | said
    return _made(known.model_dump() | said) if said else known


def _made(said: Mapping[str, Any]) -> Machine:
    try:
        here = Machine.model_validate(said)
    except ValidationError as error:
        raise ConfigError([_told(str(detail["loc"][0]), detail["msg"]) for detail in error.errors()]) from None
    found = problems(here)
    if found:
        raise ConfigError(found)
    return here


def _said(settings: Sequence[str], crew: Mapping[str, Any] | None) -> dict[str, Any]:
    flags = {key: value for key, value in (crew or {}).items() if value is not None}
    return dict(_setting(text) for text in settings) | flags


def _setting(text: str) -> tuple[str, Any]:
    """A key and its TOML value."""
    key, _, value = text.partition("=")
    return key.strip(), value_of(value)


def _told(key: str, problem: str) -> str:
    if key not in Machine.model_fields:
        return f"--machine {key}: unknown key, known are {', '.join(sorted(set(Machine.model_fields) - OWN_FLAGS))}"
    return FLAGS.get(key, f"--machine {key}: {problem}")
