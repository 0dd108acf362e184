"""crdnd export: runs, a comparison or a study as documents and plots, replayed elsewhere, or the student itself.

Paths of what was written go to stdout, one a line; words about it to stderr.
"""

import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crdnd_tui.cli import output
from crdnd_tui.cli.output import OK
from crdnd_tui.core import engine_process
from crdnd_tui.core.text import display
from crdnd_tui.write import formats
from crdnd_tui.write.formats import STDOUT, ExportFormat, ExportRequest
from crdnd_tui.write.gathering import ExportSources, gather
from engine.spec import files
from engine.spec.errors import CrdndError
from engine.spec.rundir import RunDir


@dataclass(frozen=True, kw_only=True)
class WrittenExport:
    """One thing that lies somewhere now."""

    path: str
    run: str = ""  # whose it is alone
    is_new: bool = True
    facts: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        return {**(self.facts or {}), "path": self.path, "new": self.is_new, **({"run": self.run} if self.run else {})}


def export(request: ExportRequest, *, as_json: bool = False) -> int:
    form = request.checked()
    of = gather(request.runs, request.folder)
    if form.is_document:
        written = _document(of, form, request)
    elif not of.runs:
        raise CrdndError(f"no run of {' '.join(of.names)} is done", hint="`crdnd study` shows how far it is.")
    elif form.kind == "student":
        many = len(of.runs) > 1
        written = [one for run in of.runs for one in _student(run, form, request, many=many)]
    else:
        written = _replayed(of, form, request)
    if request.out == STDOUT:
        return OK
    if as_json:
        told = [one.to_json() for one in written]
        output.show_json({"format": form.name, "runs": [run.id for run in of.runs], "written": told})
    else:
        for one in written:
            if not one.is_new:
                output.say(f"{one.run or one.path} lies there already, unchanged")
        output.show_paths(one.path for one in written)
    return OK


def _document(of: ExportSources, form: ExportFormat, request: ExportRequest) -> list[WrittenExport]:
    from crdnd_tui.write import gathering, writing

    whole = gathering.document(of, checkpoint=request.checkpoint, baseline=request.baseline, grouped=request.grouped)
    document = writing.picked(whole, request.tables, request.figures)
    if request.out == STDOUT:
        output.show_file(writing.text(document, form))
        return []
    path = formats.target(of.names, form, request.out, of.folder)
    return [WrittenExport(path=formats.relative(p)) for p in writing.write(document, form, path, force=request.force)]


def _replayed(of: ExportSources, form: ExportFormat, request: ExportRequest) -> list[WrittenExport]:
    from crdnd_tui.write import mlflow, tensorboard, trackers

    place = request.out or str(of.folder.parent / formats.FOLDER / form.name)
    written: list[WrittenExport] = []
    if form.name == "tensorboard":
        folder = Path(place).expanduser()
        for run in of.runs:
            path, is_new = tensorboard.replay(trackers.tracked_run(run), folder, force=request.force)
            written.append(WrittenExport(path=formats.relative(path), run=run.id, is_new=is_new))
        output.say(f"`tensorboard --logdir {shlex.quote(formats.relative(folder))}` shows it")
        return written
    store, experiment = mlflow.store(place), request.experiment or mlflow.EXPERIMENT
    for run in of.runs:
        made = mlflow.replay(trackers.tracked_run(run), store, experiment=experiment, force=request.force)
        facts = {"experiment": experiment, "run_id": made.run}
        written.append(WrittenExport(path=store.uri, run=run.id, is_new=made.is_new, facts=facts))
    output.say(f"`mlflow ui --backend-store-uri {shlex.quote(store.uri)}` shows it, in the experiment {experiment}")
    return written


def _student(run: RunDir, form: ExportFormat, request: ExportRequest, *, many: bool) -> list[WrittenExport]:
    """An engine of its own writes it and a `.json` that tells of it, and checks what it wrote."""
    from crdnd_tui.write import writing

    target = formats.target((run.id,), form, request.out, request.folder, many=many)
    beside = target.with_name(f"{target.name}.json")
    writing.check([target, beside], force=request.force)
    target.parent.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable, "-P", "-m", "engine.teachers.export", str(run.path), "--to", form.name, "--out", str(target),
        "--data", str(request.data), *(["--checkpoint", request.checkpoint] if request.checkpoint else []),
        *(["--force"] if request.force else []),
    ]  # fmt: skip
    here = engine_process.environment()
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False, env=here)
    try:
        said = files.json_table(done.stdout.strip().splitlines()[-1])
    except (IndexError, files.MalformedError):  # it died without a word
        said = {}
    if done.returncode or said.get("event") != "exported":
        why = display(str(said.get("message") or f"the engine ended with exit code {done.returncode}"))
        raise CrdndError(f"{run.id}: {why}", hint=display(str(said.get("hint", ""))))
    facts = {key: value for key, value in said.items() if key not in ("event", "format")}
    return [
        WrittenExport(path=formats.relative(target), run=run.id, facts=facts),
        WrittenExport(path=formats.relative(beside), run=run.id),
    ]
