"""The flags of the machine, made one value; a mistake in them is told like a mistake in a preset."""

from pydantic import ValidationError

from engine.spec.errors import ConfigError
from engine.spec.machine import Machine


def machine(*, runs: str, data: str = "data", device: str = "auto", threads: int = 0) -> Machine:
    """Where and on what; ConfigError when a flag makes no sense."""
    try:
        return Machine(device=device, threads=threads, data=data, runs=runs)
    except ValidationError as error:
        said = {
            "device": "--device may be auto, cpu, cuda, or cuda:0 and so on",
            "threads": "--threads is a number of CPU threads; 0 = all",
        }
        keys = [str(detail["loc"][0]) for detail in error.errors() if detail["loc"]]
        raise ConfigError([said.get(key, f"--{key} makes no sense") for key in keys]) from None
