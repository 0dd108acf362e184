"""From a config on the screen to a living engine, or to what went wrong. Blocks: not for the event loop."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from crdnd_tui.core import launch
from crdnd_tui.core.attach import DONE
from crdnd_tui.core.crews import problems
from crdnd_tui.core.library import log_tail
from crdnd_tui.core.session import Session
from engine.spec import explain, folders
from engine.spec.config import RunConfig
from engine.spec.errors import ConfigError, CrdndError
from engine.spec.machine import Machine
from engine.spec.rundir import RunDir

LAST_LINES = 12


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
    if made.run is None:
        return made
    try:
        process = launch.start(made.run)
    except (CrdndError, OSError) as error:
        return Start(run=made.run, words=tuple(str(error).splitlines()))
    code = launch.wait_started(made.run, process)
    if code in (None, DONE):
        return made
    last = log_tail(made.run, LAST_LINES)
    said = last or [f"It said nothing; its log is {made.run.log}"]
    return Start(run=made.run, words=(f"The engine left with exit code {code}.", "", *said))
