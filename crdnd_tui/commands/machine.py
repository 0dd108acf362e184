"""The flags of the machine, made one value; a mistake in them is told like a mistake in a preset."""

from collections.abc import Sequence
from typing import Any

import tomli
from pydantic import ValidationError

from engine.spec.errors import ConfigError
from engine.spec.machine import Machine

FLAGS = {
    "device": "--device may be auto, cpu, cuda, or cuda:0 and so on",
    "threads": "--threads is a number of CPU threads; 0 = by the size of the model",
}
OWN_FLAGS = {"device", "threads", "data", "runs"}  # have flags of their own


def machine(
    *, runs: str, data: str = "data", device: str = "auto", threads: int = 0, settings: Sequence[str] = ()
) -> Machine:
    """Where and on what; `settings` are further KEY=VALUE pairs. ConfigError when one makes no sense."""
    flags: dict[str, Any] = {"device": device, "threads": threads, "data": data, "runs": runs}
    try:
        return Machine.model_validate(flags | dict(_setting(text) for text in settings))
    except ValidationError as error:
        raise ConfigError([_told(str(detail["loc"][0]), detail["msg"]) for detail in error.errors()]) from None


def _setting(text: str) -> tuple[str, Any]:
    """A key and its TOML value."""
    key, _, value = text.partition("=")
    try:
        return key.strip(), tomli.loads(f"value = {value}")["value"]
    except (tomli.TOMLDecodeError, RecursionError, ValueError):
        return key.strip(), value


def _told(key: str, problem: str) -> str:
    if key not in Machine.model_fields:
        return f"--machine {key}: unknown key, known are {', '.join(sorted(set(Machine.model_fields) - OWN_FLAGS))}"
    return FLAGS.get(key, f"--machine {key}: {problem}")
