"""Make a run folder, and find those of an equal config."""

import hashlib
import re
import secrets
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from engine.spec import events, files, gallery, outcomes
from engine.spec import machine as machine_file
from engine.spec import status as status_file
from engine.spec.config import CheckpointTeacher, JudgeConfig, RunConfig, RunTeacher
from engine.spec.errors import ConfigError, RunFolderError, brief
from engine.spec.machine import Machine
from engine.spec.marks import decode_checks
from engine.spec.rundir import RunDir, created
from engine.spec.status import Status
from engine.spec.toml import dump, read


def create(config: RunConfig | JudgeConfig, preset_text: str, machine: Machine) -> RunDir:
    """Make a run folder, which appears complete or not at all; RunFolderError when it cannot be written."""
    folder = machine.runs_folder
    settled = machine.model_copy(update={"data": str(machine.data_folder), "runs": str(folder)})
    fresh = folder / f".new-{secrets.token_hex(8)}"
    try:
        fresh.mkdir(parents=True)
        inside = RunDir(fresh)
        inside.preset.write_text(preset_text, encoding="utf-8")
        inside.config.write_text(dump(config), encoding="utf-8")
        inside.machine.write_text(settled.model_dump_json(indent=1) + "\n", encoding="utf-8")
        while True:
            path = folder / new_id(config)
            if not path.exists():
                fresh.rename(path)
                return RunDir(path)
    except OSError as error:
        shutil.rmtree(fresh, ignore_errors=True)
        raise RunFolderError(
            f"no run folder can be made here: {error.strerror}", where=str(folder), hint="--runs names another folder."
        ) from None


def new_id(config: RunConfig | JudgeConfig) -> str:
    """`<YYYYMMDD-HHMMSS, UTC>-<method>-<student>-s<seed>-<4 hex>`; an evaluation names its subject instead."""
    if isinstance(config, RunConfig):
        parts, seed = f"{config.method.name}-{config.student.name}", config.seed
    else:
        match config.subject:
            case RunTeacher(run=subject):
                word = Path(subject).name[16:]  # without its own date
            case CheckpointTeacher(model=model):
                word = model.name
            case other:
                word = str(getattr(other, "robustbench", "model"))
        parts, seed = f"eval-{word}", config.evaluation.seed
    words = re.sub(r"[^a-z0-9_]+", "-", parts.lower()).strip("-")[:60]
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{words}-s{seed}-{secrets.token_hex(2)}"


def equal_runs(runs: Path, config: RunConfig) -> list[tuple[RunDir, Status | None]]:
    """Find the runs of this config, newest first. The hash in a status is a hint: the config itself is compared."""
    wanted = config.config_hash
    found: list[tuple[RunDir, Status | None]] = []
    for path in runs.glob("[a-z0-9]*"):
        run = RunDir(path)
        status = status_of(run)
        if status is not None and status.config_hash not in ("", wanted):
            continue
        try:
            if files.is_folder(path) and files.is_file(run.config) and read(run.config).config_hash == wanted:
                found.append((run, status))
        except ConfigError:  # a damaged run, or one of a newer engine, is not this one
            continue
    return sorted(found, key=lambda pair: (created(pair[0].path), pair[0].id), reverse=True)


def finished_run(runs: Path, config: RunConfig) -> RunDir | None:
    """Find the newest finished run of this config that has its weights."""
    done = [run for run, status in equal_runs(runs, config) if status is not None and status.phase == "done"]
    return next((run for run in done if all(files.is_regular(run.weights_of(name)) for name in ("best", "last"))), None)


def is_done(run: RunDir, config: RunConfig | JudgeConfig) -> bool:
    """Return whether the run is finished: its status says so, and nothing else in the folder contradicts it.

    Damaged records and examples contradict it: a resumed run makes them anew.
    """
    status = status_of(run)
    if status is None or status.phase != "done" or status.config_hash not in ("", config.config_hash):
        return False
    said = events.decode(files.tail(run.events).split(b"\n")).events
    try:
        whole = status.events_bytes <= run.events.stat().st_size
    except OSError:
        return False
    checkpoints = ("best", "last") if isinstance(config, RunConfig) else config.evaluation.checkpoints
    kept = all(files.is_regular(run.weights_of(name)) for name in checkpoints)
    return whole and kept and bool(said) and isinstance(said[-1], events.RunFinished) and _is_judged(run)


def _is_judged(run: RunDir) -> bool:
    """Return whether all records can be read, and examples have the pixels that their index names."""
    readers: dict[str, Callable[[bytes], object]] = {"gallery": gallery.decode, "suspect": decode_checks}
    for path in run.evaluation.glob("*/*.json"):
        record = files.decoded(path, readers.get(path.stem, outcomes.decode), files.RESULT_CAP)
        if record is None:
            return False
        for examples in record.attacks.values() if isinstance(record, gallery.Gallery) else ():
            pixels = files.read(path.with_name(examples.file), files.PIXEL_CAP) or b""
            if hashlib.sha256(pixels).hexdigest() != examples.sha256:
                return False
    return True


def status_of(run: RunDir) -> Status | None:
    return files.decoded(run.status, status_file.decode)


def machine_of(run: RunDir) -> Machine:
    """Read where the run is computed, for where its folder lies now; defaults without a machine file. ConfigError."""
    try:
        return files.parsed(files.content_of(run.machine), machine_file.decode).beside(run.path)
    except FileNotFoundError:
        return Machine().beside(run.path)
    except (OSError, ValueError) as error:
        raise ConfigError([f"{run.machine}: {brief(error)}"]) from error
