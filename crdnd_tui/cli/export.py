"""crdnd export: runs, a comparison or a study as documents and plots, replayed elsewhere, or the student itself.

Paths of what was written go to stdout, one a line; words about it to stderr.
"""

import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crdnd_tui.cli import output
from crdnd_tui.cli.output import OK
from crdnd_tui.core import engine_process
from crdnd_tui.core.text import display
from crdnd_tui.write import formats
from crdnd_tui.write.formats import Format
from crdnd_tui.write.gathering import CHECKPOINTS, Gathered, gather
from engine.spec import files
from engine.spec.errors import ConfigError, CrdndError
from engine.spec.rundir import RunDir


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the flags said."""

    to: str
    out: str = ""  # a file, a folder, an MLflow tracking URI, or - for stdout
    force: bool = False
    checkpoint: str = ""
    baseline: str = ""
    grouped: bool | None = None  # seeds as one row, or each on its own; None: as in `crdnd compare`
    tables: tuple[str, ...] = ()  # keys; all when empty
    figures: tuple[str, ...] = ()
    experiment: str = ""  # of MLflow
    data: Path = Path("data")


@dataclass(frozen=True, kw_only=True)
class Written:
    """One thing that lies somewhere now."""

    path: str
    run: str = ""  # whose it is alone
    is_new: bool = True
    facts: dict[str, Any] | None = None


def export(what: Sequence[str], folder: Path, wanted: Wanted, *, as_json: bool = False) -> int:
    """Write what was asked for, and say where it is."""
    form = formats.known(wanted.to)
    _check(form, wanted)
    of = gather(what, folder)
    if form.kind in ("text", "figure"):
        written = _document(of, form, wanted)
    elif not of.runs:
        raise CrdndError(f"no run of {' '.join(of.names)} is done", hint="`crdnd study` shows how far it is.")
    elif form.kind == "student":
        many = len(of.runs) > 1
        written = [one for run in of.runs for one in _student(run, form, wanted, many=many, folder=of.folder)]
    else:
        written = _replayed(of, form, wanted)
    if wanted.out == output.STDOUT:
        return OK
    if as_json:
        output.show_json({"format": form.name, "runs": [run.id for run in of.runs], "written": _plain(written)})
    else:
        for one in written:
            if not one.is_new:
                output.say(f"{one.run or one.path} lies there already, unchanged")
        output.show_paths(one.path for one in written)
    return OK


def _check(form: Format, wanted: Wanted) -> None:
    """Options that this format does not have are mistakes."""
    mistakes = []
    if form.kind not in ("text", "figure"):
        if wanted.tables or wanted.figures:
            mistakes.append(f"--only and --figure pick parts of a document; {form.name} has none")
        if wanted.baseline:
            mistakes.append(f"--baseline is of comparisons; {form.name} compares nothing")
        if wanted.grouped is not None:
            mistakes.append(f"--seeds and --each are of comparisons; {form.name} compares nothing")
        if wanted.out == output.STDOUT:
            mistakes.append(f"-o -: {form.name} is no text; name a file")
    if form.kind == "replay" and wanted.checkpoint:
        mistakes.append(f"--checkpoint: {form.name} has the results of every checkpoint")
    if form.kind == "student" and wanted.checkpoint not in ("", *CHECKPOINTS):
        mistakes.append(f"--checkpoint: no checkpoint `{wanted.checkpoint}`; it may be {' or '.join(CHECKPOINTS)}")
    if wanted.experiment and form.name != "mlflow":
        mistakes.append(f"--experiment is MLflow's; {form.name} has none")
    if mistakes:
        raise ConfigError(mistakes)


def _document(of: Gathered, form: Format, wanted: Wanted) -> list[Written]:
    from crdnd_tui.write import gathering, writing

    whole = gathering.document(of, checkpoint=wanted.checkpoint, baseline=wanted.baseline, grouped=wanted.grouped)
    document = writing.picked(whole, wanted.tables, wanted.figures)
    if wanted.out == output.STDOUT:
        output.show_file(writing.text(document, form))
        return []
    paths = writing.write(document, form.name, _target(of.names, of.folder, form, wanted.out), force=wanted.force)
    return [Written(path=formats.relative(path)) for path in paths]


def _target(names: tuple[str, ...], folder: Path, form: Format, out: str, *, many: bool = False) -> Path:
    """The file or folder that was named; `exports` beside the runs otherwise."""
    if not out:
        return folder.parent / formats.FOLDER / formats.file_name(names, form)
    return output.target(names, form, out, many=many)


def _replayed(of: Gathered, form: Format, wanted: Wanted) -> list[Written]:
    from crdnd_tui.write import mlflow, tensorboard, trackers

    place = wanted.out or str(of.folder.parent / formats.FOLDER / form.name)
    written: list[Written] = []
    if form.name == "tensorboard":
        folder = Path(place).expanduser()
        for run in of.runs:
            path, is_new = tensorboard.replay(trackers.tracked_run(run), folder, force=wanted.force)
            written.append(Written(path=formats.relative(path), run=run.id, is_new=is_new))
        output.say(f"`tensorboard --logdir {shlex.quote(formats.relative(folder))}` shows it")
        return written
    store, experiment = mlflow.store(place), wanted.experiment or mlflow.EXPERIMENT
    for run in of.runs:
        made = mlflow.replay(trackers.tracked_run(run), store, experiment=experiment, force=wanted.force)
        facts = {"experiment": experiment, "run_id": made.run}
        written.append(Written(path=store.uri, run=run.id, is_new=made.is_new, facts=facts))
    output.say(f"`mlflow ui --backend-store-uri {shlex.quote(store.uri)}` shows it, in the experiment {experiment}")
    return written


def _student(run: RunDir, form: Format, wanted: Wanted, *, many: bool, folder: Path) -> list[Written]:
    """An engine of its own writes it and a `.json` that tells of it, and checks what it wrote."""
    from crdnd_tui.write import writing

    target = _target((run.id,), folder, form, wanted.out, many=many)
    beside = target.with_name(f"{target.name}.json")
    writing.check([target, beside], force=wanted.force)
    target.parent.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable, "-P", "-m", "engine.teachers.export", str(run.path), "--to", form.name, "--out", str(target),
        "--data", str(wanted.data), *(["--checkpoint", wanted.checkpoint] if wanted.checkpoint else []),
        *(["--force"] if wanted.force else []),
    ]  # fmt: skip
    here = engine_process.environment()
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False, env=here)
    said = _last_word(done.stdout)
    if done.returncode or said.get("event") != "exported":
        why = display(str(said.get("message") or f"the engine ended with exit code {done.returncode}"))
        raise CrdndError(f"{run.id}: {why}", hint=display(str(said.get("hint", ""))))
    facts = {key: value for key, value in said.items() if key not in ("event", "format")}
    return [
        Written(path=formats.relative(target), run=run.id, facts=facts),
        Written(path=formats.relative(beside), run=run.id),
    ]


def _last_word(out: bytes) -> dict[str, Any]:
    """The engine's JSON line; empty when it died without one."""
    lines = out.strip().splitlines()
    try:
        return files.json_table(lines[-1]) if lines else {}
    except files.MalformedError:
        return {}


def _plain(written: Sequence[Written]) -> list[dict[str, Any]]:
    return [
        {**(one.facts or {}), "path": one.path, "new": one.is_new, **({"run": one.run} if one.run else {})}
        for one in written
    ]
