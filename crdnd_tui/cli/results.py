"""crdnd compare, study, report, export, verify: what is imported when it is called does the work."""

import shlex
import time
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from crdnd_tui.cli import options, output
from crdnd_tui.cli.options import (
    Baseline,
    Data,
    Device,
    Exact,
    Force,
    Json,
    Out,
    Run,
    Runs,
    Seeds,
    Settings,
    Study,
    Threads,
    To,
)
from crdnd_tui.cli.output import INTERRUPTED, NOT_COMPARABLE, OK
from crdnd_tui.core import advice, complete


def compare(  # noqa: PLR0913  options of a command line
    runs_: Annotated[
        list[str], typer.Argument(metavar="RUN...", help="Two runs and more.", autocompletion=complete.runs)
    ],
    *,
    baseline: Baseline = "",
    checkpoint: Annotated[str, typer.Option(metavar="best|last", help="Whose numbers are compared.")] = "best",
    seeds: Seeds = None,
    as_json: Json = False,
    to: To = "",
    out: Out = "",
    force: Force = False,
    runs: Runs = Path("runs"),
) -> int:
    """Compare runs: accuracies with intervals, paired tests, gaps, classes, and the keys that differ."""
    from crdnd_tui.cli import compare as command
    from crdnd_tui.write.gathering import check_checkpoint

    check_checkpoint(checkpoint)
    output.check_target(to, out, as_json=as_json)
    found = command.compare(runs_, runs, baseline, checkpoint, seeds)
    for line in filter(None, (command.unjudged(found.comparison, checkpoint), *found.refusals)):
        output.say(line)
    page = partial(command.page, found)
    output.put_document(found.document, page, "json" if as_json else to, out, names=found.ids, force=force)
    return NOT_COMPARABLE if found.refusals else OK


def study(  # noqa: PLR0913  options of a command line
    name: Study,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the runs and the estimate; start nothing.")] = False,
    only: Annotated[
        list[str] | None, typer.Option(metavar="AXIS=LABEL", help="Only these runs, as in seed=0; may be repeated.")
    ] = None,
    at_once: Annotated[int | None, typer.Option(help="Runs that may share a device.", show_default=False)] = None,
    stop_on_failure: Annotated[
        bool | None,
        typer.Option("--stop-on-failure/--go-on", help="When a run fails: hold the rest, or not; as before otherwise."),
    ] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try what failed again.")] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Queue the runs and return.")] = False,
    as_json: Json = False,
    device: Device = "auto",
    threads: Threads = 0,
    exact: Exact = None,
    settings: Settings = None,
    data: Data = Path("data"),
    runs: Runs = Path("runs"),
) -> int:
    """Run a whole table from one file; what is done is not repeated, what was interrupted goes on. Ctrl-C leaves.

    Exits with 1 when a run failed or is lost, with 3 when one was stopped or is held, with 130 when it was left.
    """
    from crdnd_tui.cli import study as command
    from crdnd_tui.core import presets
    from crdnd_tui.study import conduct
    from crdnd_tui.study import text as study_text
    from crdnd_tui.study.file import read_study
    from crdnd_tui.study.progress import CostEstimator, ProgressReader

    here = options.machine(settings, runs=runs, data=data, device=device, threads=threads, exact=exact)
    whole = read_study(presets.resolve_study(name))
    part = conduct.narrowed(whole, only or ())
    conduct.check_at_once(at_once)
    reader, estimator = ProgressReader(here.runs_folder), CostEstimator(here.runs_folder, here.device)
    if dry_run:
        command.show_plan(reader.read(part), at_once, estimator, as_json=as_json)
        return OK
    begun = conduct.launch(
        whole, here, only=part, at_once=at_once, stop_on_failure=stop_on_failure, retry_failed=retry_failed
    )
    output.say(f"{part.title}: {len(part.cells)} runs")
    for line in begun.lines:
        output.say(line)
    progress = reader.read(part)
    again = advice.command(f"study {shlex.quote(name)}", here.runs_folder)
    if not detach and progress.busy:
        followed = command.follow(reader, estimator, part)
        if followed is None:
            held = advice.command(f"queue hold --study {whole.name}", here.runs_folder)
            output.say(f"The queue goes on without a watcher: {again} shows it again, {held} holds what waits.")
            return INTERRUPTED
        progress = followed
    if as_json:
        output.show_json(study_text.to_json(progress))
    if detach:
        listed = advice.command("queue list", here.runs_folder)
        output.say(f"The queue works on it; {again} follows it, {listed} shows it.")
        return OK
    return command.end(progress, name, here.runs_folder)


def report(
    study: Study,
    *,
    checkpoint: Annotated[
        str, typer.Option(metavar="best|last", help="Whose numbers; the study's own otherwise.")
    ] = "",
    as_json: Json = False,
    to: To = "",
    out: Out = "",
    force: Force = False,
    runs: Runs = Path("runs"),
) -> int:
    """Print a study's tables, with the numbers in print beside the measured ones; what has not run says so."""
    from crdnd_tui.cli import report as command
    from crdnd_tui.core import presets
    from crdnd_tui.study.file import read_study
    from crdnd_tui.write.gathering import check_checkpoint
    from crdnd_tui.write.study_document import study_document

    check_checkpoint(checkpoint)
    output.check_target(to, out, as_json=as_json)
    read = read_study(presets.resolve_study(study))
    document = study_document(read, runs, checkpoint=checkpoint, now=time.time())
    page = partial(command.page, document)
    output.put_document(document, page, "json" if as_json else to, out, names=(read.name,), force=force)
    return OK


def export(  # noqa: PLR0913  options of a command line
    what: Annotated[
        list[str],
        typer.Argument(
            metavar="WHAT...", help="A run, several to be compared, or a study.", autocompletion=complete.runs
        ),
    ],
    *,
    to: Annotated[
        str,
        typer.Option(
            metavar="FORMAT",
            help="markdown latex csv json html svg png pdf; tensorboard mlflow; safetensors onnx robustbench.",
            autocompletion=complete.formats,
        ),
    ],
    out: Annotated[
        str,
        typer.Option("-o", "--out", metavar="PATH", help="A file, a folder/, - for stdout; exports/ beside the runs."),
    ] = "",
    force: Force = False,
    checkpoint: Annotated[str, typer.Option(metavar="best|last", help="Whose numbers, or which student.")] = "",
    baseline: Baseline = "",
    seeds: Seeds = None,
    only: Annotated[str, typer.Option(metavar="KEY[,KEY...]", help="These tables, as in results,differences.")] = "",
    figure: Annotated[str, typer.Option(metavar="KEY[,KEY...]", help="These figures, as in loss,classes.")] = "",
    experiment: Annotated[str, typer.Option(help="Of MLflow: crdnd unless it is named.")] = "",
    as_json: Json = False,
    data: Data = Path("data"),
    runs: Runs = Path("runs"),
) -> int:
    """Write a run, a comparison or a study as tables, plots or a report; replay it elsewhere; export the student."""
    from crdnd_tui.cli import export as command
    from crdnd_tui.write.formats import ExportRequest

    request = ExportRequest(
        runs=tuple(what), to=to, out=out, folder=runs, force=force, checkpoint=checkpoint, baseline=baseline,
        grouped=seeds, tables=_keys(only), figures=_keys(figure), experiment=experiment, data=data,
    )  # fmt: skip
    return command.export(request, as_json=as_json)


def _keys(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def verify(  # noqa: PLR0913  options of a command line
    run: Run,
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Judge again on clean images and by one attack only.")] = False,
    attack: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Judge again by this one only; may be repeated.", autocompletion=complete.attacks
        ),
    ] = None,
    as_json: Json = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda ...; that of the run otherwise.")] = "",
    threads: Annotated[int, typer.Option(help="CPU threads; 0 = as many as the run had.", min=0)] = 0,
    data: Annotated[
        Path | None, typer.Option(envvar="CRDND_DATA", help="Folder of data sets and teachers.", callback=options.whole)
    ] = None,
    runs: Runs = Path("runs"),
) -> int:
    """Check a run's hashes and records, judge its student again, and say whether the stored numbers hold."""
    from crdnd_tui.cli import verify as command

    flags = [word for name in attack or () for word in ("--attack", name)] + ["--quick"] * quick
    flags += ["--device", device] if device else []
    flags += ["--threads", str(threads)] if threads else []
    flags += ["--data", str(data)] if data else []
    return command.verify(run, runs, flags, as_json=as_json)
