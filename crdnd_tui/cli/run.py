"""crdnd run, resume, stop, watch: engines are started, followed and asked to stop."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.text import Text

from crdnd_tui.cli import options, output
from crdnd_tui.core import advice, engine_process, library, presets, report, run_reader
from crdnd_tui.core.attach import DONE, FAILED, INTERRUPTED, STOPPED, USAGE, Attachment, Outcome
from crdnd_tui.core.launch import invitation
from crdnd_tui.core.provenance_lines import machine_as_written, machine_of
from crdnd_tui.core.text import display, one_line
from crdnd_tui.core.views import JsonView, LiveView, PlainView, View
from engine.spec import files, folders, rundir, toml
from engine.spec.config import JudgeConfig, RunConfig
from engine.spec.deaths import Death
from engine.spec.errors import ConfigError, RunFolderError
from engine.spec.files import write_atomically
from engine.spec.machine import Machine
from engine.spec.rundir import RunDir

OWNER_KEYS = "Ctrl-C: stop after this step and save; twice: kill"
WATCHER_KEYS = "Ctrl-C: leave; the run goes on"


def run(
    preset: str, overrides: Sequence[str], seed: int | None, name: str, here: Machine, *, detach: bool, as_json: bool
) -> int:
    """A preset becomes a run; returns the exit code."""
    path = presets.resolve(preset)
    named = [f"name={json.dumps(name)}"] if name else []
    config: RunConfig | JudgeConfig
    if toml.merged(path).table.get("kind") == "evaluation":  # the config of a saved evaluation
        if overrides or seed is not None or name:
            raise ConfigError(["a saved evaluation is repeated as it is: --set, --seed and --name do not apply to it"])
        config = toml.read(path.resolve())
    else:
        config = toml.load(path, [*overrides, *named], seed)
    folder = folders.create(config, toml.text_of(path), here)
    _invite(folder, here)
    return go(folder, detach=detach, as_json=as_json)


def resume(
    name: str, runs: Path, settings: Sequence[str], crew: Mapping[str, Any], *, detach: bool, as_json: bool
) -> int:
    """An interrupted run goes on where its last checkpoint is, on its machine with these changes."""
    folder = rundir.find(runs, name)
    row = library.summary(folder)
    if row is not None and row.state == "done" and _is_done(folder):
        output.say(f"{row.id} is done already.")
        if not as_json:
            output.show(_table(folder))
        return DONE
    _invite(folder, _moved(folder, settings, crew))
    return go(folder, detach=detach, as_json=as_json, again=True)


def _is_done(folder: RunDir) -> bool:
    """Whether an engine would find nothing to do, or nothing to go on from."""
    return folders.is_done(folder, toml.read(folder.config)) or not any(folder.checkpoints.glob("[0-9]*-*.pt"))


def _invite(folder: RunDir, here: Machine) -> None:
    words = invitation(folder, here)
    if words:
        output.say(words)


def _moved(folder: RunDir, settings: Sequence[str], crew: Mapping[str, Any]) -> Machine:
    """Its machine for this and later engines, where the run lies now; RunFolderError while one is at work."""
    written, known = machine_as_written(folder), machine_of(folder) or Machine(runs=str(folder.path.parent))
    here = options.machine(settings, known, **crew)
    if written is not None and here.data == known.data != written.data:
        output.say(f"its data folder {written.data} is not on this machine: {known.data} is used; --data names another")
    if here != (written or known):
        engine_process.refuse_a_second(folder)
        write_atomically(folder.machine, (here.model_dump_json(indent=1) + "\n").encode())
    return here


def stop(name: str, runs: Path, *, kill: bool) -> int:
    """Asks the engine to save and leave, or kills it."""
    folder = rundir.find(runs, name)
    if not engine_process.alive(folder):
        row = library.summary(folder)
        if row is None or row.state not in library.LIVING:
            raise RunFolderError(
                f"no engine is at work in {display(folder.id)}; it is {row.state if row else 'no run'}"
            )
    engine_process.ask_to_stop(folder)
    if not kill:
        output.say(f"{folder.id} stops after this step and saves; {advice.on('resume', folder)} goes on.")
        return DONE
    state = run_reader.load(folder)
    if engine_process.kill(folder):
        engine_process.kill_teacher(folder, state)
        output.say(f"{folder.id} is killed; {advice.on('resume', folder)} goes on from its last checkpoint.")
        return DONE
    output.say(
        f"{folder.id}: its engine is not a process of this machine that could be killed; `stop` was left for it."
    )
    return FAILED


def watch(name: str, runs: Path, *, as_json: bool) -> int:
    """Looks on until the engine leaves; Ctrl-C leaves the run alone."""
    folder = rundir.find(runs, name)
    view = _view(folder, as_json, WATCHER_KEYS)
    outcome = Attachment(folder, view, from_start=True).follow()
    if outcome.code == INTERRUPTED:
        output.say(f"{folder.id} goes on without a watcher.")
        return INTERRUPTED
    return _finish(folder, outcome, as_json)


def go(folder: RunDir, *, detach: bool, as_json: bool, again: bool = False) -> int:
    """Starts the engine of a run folder and follows it, or leaves it alone once it has spoken."""
    before = _stamp(folder)
    process = engine_process.start(folder)
    if detach:
        return _detached(folder, process, before)
    view = _view(folder, as_json, OWNER_KEYS)
    outcome = Attachment(folder, view, process, from_start=not again).follow()
    return _finish(folder, outcome, as_json, spoke=_stamp(folder) != before)


def _stamp(folder: RunDir) -> tuple[int, int]:
    """Changes when an engine says something; the last words of an earlier engine are not this one's."""
    try:
        found = folder.events.stat(follow_symlinks=False)
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns


def _detached(folder: RunDir, process: subprocess.Popen[bytes], before: tuple[int, int]) -> int:
    code = engine_process.wait_started(folder, process)
    if code is not None:
        engine_process.ended(folder, process)
    if code in (None, DONE):
        sys.stdout.write(folder.id + "\n")
        sys.stdout.flush()
        return DONE
    _complain(folder, code or 0, spoke=_stamp(folder) != before)
    return code if code in (FAILED, USAGE, STOPPED) else FAILED


def _view(folder: RunDir, as_json: bool, keys: str) -> View:
    console = output.narration()
    if as_json:
        return JsonView(console)
    if console.is_terminal and not console.is_dumb_terminal:
        return LiveView(console, _title(folder), keys)
    return PlainView(console)


def _title(folder: RunDir) -> str:
    """What the run is, in one line."""
    try:
        config = toml.read(folder.config)
    except ConfigError:
        return ""
    return describe(config)


def describe(config: RunConfig | JudgeConfig) -> str:
    """Method, student, teacher, data, radius, seed."""
    epsilon = f"epsilon {config.threat_model.epsilon}"
    if isinstance(config, JudgeConfig):
        parts = [f"evaluation of {config.name}" if config.name else "evaluation", config.data.title, epsilon]
        return one_line(" \u00b7 ".join(parts), 160)
    of = f" \u2190 {config.teacher_title}" if config.teacher else ""
    parts = [config.method.title, f"{config.student.title}{of}", config.data.title, epsilon, f"seed {config.seed}"]
    return one_line(" \u00b7 ".join(parts), 160)


def _finish(folder: RunDir, outcome: Outcome, as_json: bool, *, spoke: bool = True) -> int:
    """The table, the run's id and where it lies; or what went wrong and how to go on."""
    if outcome.code in (FAILED, USAGE) or outcome.killed:
        _complain(folder, outcome.code, outcome, spoke=spoke)
    elif outcome.code in (STOPPED, INTERRUPTED):
        reason = f" ({outcome.state.reason})" if outcome.state.reason else ""
        at = f"stopped at step {outcome.state.step:,}{reason} and saved"
        output.say(f"{at}; {advice.on('resume', folder)} goes on", "yellow")
    if not as_json:
        lines = _table(folder)
        if lines:
            title = _title(folder)
            output.show([Text(), Text(f"  {title}", "bold"), Text(), *lines, Text()])
        output.show([Text(f"run     {display(folder.id)}"), Text(f"folder  {display(str(folder.path))}")])
    return outcome.code


def _table(folder: RunDir) -> list[Text]:
    console = output.data()
    return report.table(run_reader.load(folder), min(console.width, 100), ascii_only=output.is_ascii(console))


def _complain(folder: RunDir, code: int, outcome: Outcome | None = None, *, spoke: bool) -> None:
    """Why the engine left: its own last event where there is one, else the end of its log."""
    state = outcome.state if outcome else run_reader.load(folder)
    if state.phase == "failed" and spoke:
        output.say(f"failed: {state.reason}", "red")
        if state.hint:
            output.say(f"  {state.hint}")
        return
    if outcome is not None and outcome.code == INTERRUPTED:
        output.say(f"killed; {advice.on('resume', folder)} goes on from the last checkpoint", "yellow")
        return
    killed = outcome.killed if outcome else code < 0
    death = library.death_of(folder) if killed else Death("")
    what = "the engine refused the run" if code == USAGE else death.text
    last_words = library.log_tail(folder)
    output.say(f"{what}; " + (f"the end of {folder.log}:" if last_words else f"its log is {folder.log}"), "red")
    for line in last_words:
        output.say(f"  {line}")
    if code != USAGE:
        output.say(death.advice(advice.named(folder), files.read(folder.machine)))
