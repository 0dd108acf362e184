"""What can be done to the run folders of a list: resume, stop, kill, clone, put in the trash and back. Blocking."""

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from crdnd_tui.core import engine_process, presets, run_reader, run_status
from crdnd_tui.core.run_status import LIVING, State
from crdnd_tui.core.text import display
from engine.spec import files
from engine.spec.errors import ConfigError, CrdndError, RunFolderError
from engine.spec.rundir import RunDir
from engine.spec.toml_text import decode_utf8

TRASH = ".trash"
LAST_LINES = 12  # of the log of an engine that did not start
_TEACHER = re.compile(r'"source": "([a-z0-9][a-z0-9_-]*) \((?:best|last)\)"')
RESUMED: frozenset[State] = frozenset({"stopped", "preempted", "killed", "failed", "lost", "queued"})


def start(run: RunDir) -> None:
    """Start the engine of a run and wait until it speaks; RunFolderError, in lines, when it does not."""
    code = engine_process.wait_started(run, engine_process.start(run))
    if code:
        last = run_status.log_tail(run, LAST_LINES) or [f"It said nothing; its log is {display(str(run.log))}"]
        raise RunFolderError("\n".join([f"The engine left with exit code {code}.", "", *last]))


def resume(path: Path) -> None:
    """Start the engine again; RunFolderError says what to type where it did not start."""
    try:
        start(RunDir(path))
    except (CrdndError, OSError) as error:
        by_hand = f"crdnd resume {display(path.name)} --runs {display(str(path.parent))}"
        raise RunFolderError("\n".join([display(str(error)), "", "By hand:", by_hand])) from None


def ask_to_stop(path: Path) -> None:
    """The engine finishes its step, saves and leaves; RunFolderError where it cannot be asked."""
    try:
        engine_process.ask_to_stop(RunDir(path))
    except OSError as error:
        raise RunFolderError(f"The stop file cannot be written: {error.strerror}") from None


def kill(path: Path) -> None:
    """The engine, and the one that trains its teacher when nobody else waits for that; RunFolderError without one."""
    run = RunDir(path)
    state = run_reader.load(run)
    if not engine_process.kill(run):
        raise RunFolderError(f"No engine of this machine is at work in {display(run.id)}.")
    engine_process.kill_teacher(run, state)


def clone(path: Path) -> str:
    """A preset that stands alone: as the user wrote it where that alone says all of this run, else written out.

    Flags may have overridden it, and it may lean on other files. CrdndError when there is nothing to clone.
    """
    from engine.spec import toml  # noqa: PLC0415  pydantic, which the first paint does not wait for
    from engine.spec.config import RunConfig  # noqa: PLC0415

    run = RunDir(path)
    table = files.decoded(run.preset, files.toml_table) or {}
    teacher = table.get("teacher")
    if table and "extends" not in table and not (isinstance(teacher, dict) and "preset" in teacher):
        written = decode_utf8(files.read(run.preset) or b"")
        with suppress(ConfigError):
            resolved = toml.read(run.config)
            if isinstance(resolved, RunConfig) and toml.config_of(written, run.preset) == resolved:
                return written
    return _written_out(run)


def _written_out(run: RunDir) -> str:
    import tomlkit  # noqa: PLC0415  only this needs it
    from tomlkit.exceptions import TOMLKitError  # noqa: PLC0415

    from engine.spec.config import name_protocol  # noqa: PLC0415  pydantic

    content = files.read(run.config)
    if content is None:
        raise RunFolderError("config.toml cannot be read", where=display(str(run.path)))
    try:
        document = files.parsed(content, lambda text: tomlkit.parse(decode_utf8(text)))
    except (TOMLKitError, files.MalformedError) as error:
        raise RunFolderError(
            f"config.toml is damaged: {display(str(error), 200)}", where=display(str(run.path))
        ) from None
    if "subject" in document:
        raise RunFolderError("this is an evaluation of weights; it has no preset to clone")
    name_protocol(document)
    teacher = document.get("teacher")
    if isinstance(teacher, dict) and "config" in teacher:
        _name_teacher(run, teacher)
    return tomlkit.dumps(document)


def _name_teacher(run: RunDir, teacher: dict[str, Any]) -> None:
    """A preset that is shipped, or else the run that was the teacher, in place of a file that may not lie here."""
    name = Path(str(teacher.get("preset", "")))
    found = presets.shipped().get(name.stem)
    told = files.read(run.provenance) or b"{}"
    match = _TEACHER.search(told.decode("utf-8", "replace"))
    del teacher["config"]
    if found is not None:
        teacher["preset"] = str(found)
    elif match is not None and files.is_file(run.path.parent / match[1] / "config.toml"):
        del teacher["preset"]
        teacher["run"] = match[1]
    else:
        raise RunFolderError(f"its teacher's preset {display(name.name, 80)} is not here, nor is that teacher's run")


def trash(path: Path) -> Path:
    """Move the folder to `.trash` beside it; returns where it lies. RunFolderError when it lives or cannot be moved."""
    row = run_status.summary(RunDir(path))
    if engine_process.alive(RunDir(path)) or (row is not None and row.state in LIVING):
        raise RunFolderError(f"{display(path.name)} is at work; stop it first")
    bin_ = path.parent / TRASH
    try:
        files.make_folder(bin_)
        target = bin_ / path.name
        for k in range(1, 1000):
            if not os.path.lexists(target):
                break
            target = bin_ / f"{path.name}.{k}"
        path.rename(target)
    except OSError as error:
        raise RunFolderError(f"{display(path.name)} cannot be moved: {error.strerror}") from None
    return target


def restore(target: Path, path: Path) -> None:
    """Out of the trash again. RunFolderError when something lies in its place."""
    if os.path.lexists(path):
        raise RunFolderError(f"a run of the name {display(path.name)} is there already")
    try:
        target.rename(path)
    except OSError as error:
        raise RunFolderError(f"{display(path.name)} cannot be brought back: {error.strerror}") from None
