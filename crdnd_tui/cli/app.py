"""crdnd: the command line. Names and flags only; what a command does is imported when it is called.

Exit codes: 0 ok, 1 the run failed, 2 usage or config, 3 stopped, 4 nothing can be compared, 130 interrupted.
"""

import os
import re
import signal
import sys
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer

from crdnd_tui.cli import cli_results, options, queue
from crdnd_tui.cli.options import (
    AnotherData,
    AnotherDevice,
    AnotherThreads,
    Data,
    Device,
    Devices,
    Exact,
    Json,
    Nodes,
    Preset,
    Rendezvous,
    Run,
    Runs,
    Set,
    Settings,
    Threads,
    folder,
)
from crdnd_tui.core import complete
from crdnd_tui.core.text import display
from engine.spec.errors import ConfigError, CrdndError
from engine.spec.process import replace_closed_streams

app = typer.Typer(
    name="crdnd",
    help="The lab for adversarial robustness distillation: a preset becomes a robustness table.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(queue.app, name="queue")
_UsageError: type[Exception] = typer.BadParameter.__bases__[0]  # Typer carries its own click, or uses the installed one
USAGE = 2
_PLACED = re.compile(r"\S+: ")  # file:line: or --set:

Seed = Annotated[int | None, typer.Option(help="Override the seed.", show_default=False)]
Detach = Annotated[bool, typer.Option("--detach", help="Print the run's id and return; the engine goes on.")]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"crdnd {metadata.version('crdnd-tui')}")
        raise typer.Exit


@app.callback()
def _root(
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it and leave.")] = False,
) -> None:
    pass


@app.command()
def run(  # noqa: PLR0913  options of a command line
    preset: Preset,
    *,
    overrides: Set = None,
    seed: Seed = None,
    name: Annotated[str, typer.Option(help="What to call the run; changes nothing.")] = "",
    detach: Detach = False,
    as_json: Json = False,
    device: Device = "auto",
    threads: Threads = 0,
    devices: Devices = None,
    nodes: Nodes = None,
    rendezvous: Rendezvous = None,
    exact: Exact = None,
    settings: Settings = None,
    data: Data = Path("data"),
    runs: Runs = Path("runs"),
) -> None:
    """Run a preset, watch it, and print its robustness table. Ctrl-C stops and saves; twice kills."""
    from crdnd_tui.cli import run

    here = options.machine(
        settings, runs=runs, data=data, device=device, threads=threads, devices=devices, nodes=nodes,
        rendezvous=rendezvous, exact=exact,
    )  # fmt: skip
    raise typer.Exit(run.run(preset, overrides or [], seed, name, here, detach=detach, as_json=as_json))


@app.command()
def resume(  # noqa: PLR0913  options of a command line
    run: Run,
    *,
    detach: Detach = False,
    as_json: Json = False,
    device: AnotherDevice = None,
    threads: AnotherThreads = None,
    devices: Devices = None,
    nodes: Nodes = None,
    rendezvous: Rendezvous = None,
    exact: Exact = None,
    settings: Settings = None,
    data: AnotherData = None,
    runs: Runs = Path("runs"),
) -> None:
    """Go on with a stopped, killed or failed run, from its last checkpoint; what is said of its machine stays so."""
    from crdnd_tui.cli import run as command

    crew = {
        "device": device, "threads": threads, "devices": devices, "nodes": nodes, "rendezvous": rendezvous,
        "exact": exact, "data": str(folder(data)) if data else None,
    }  # fmt: skip
    raise typer.Exit(
        command.resume(run, folder(runs), settings or (), crew, detach=detach, as_json=as_json),
    )


@app.command()
def join(run: Run, runs: Runs = Path("runs")) -> None:
    """Compute a part of a run of several nodes on this one; the run itself is started on the first node."""
    from crdnd_tui.cli import join as command

    raise typer.Exit(command.join(run, folder(runs)))


@app.command()
def stop(
    run: Run,
    kill: Annotated[bool, typer.Option("--kill", help="Do not wait for the step to end.")] = False,
    runs: Runs = Path("runs"),
) -> None:
    """Ask a run to finish its step, save and leave."""
    from crdnd_tui.cli import run as command

    raise typer.Exit(command.stop(run, folder(runs), kill=kill))


@app.command()
def watch(run: Run, as_json: Json = False, runs: Runs = Path("runs")) -> None:
    """Look at a run while it works. Ctrl-C leaves it alone."""
    from crdnd_tui.cli import run as command

    raise typer.Exit(command.watch(run, folder(runs), as_json=as_json))


@app.command(name="runs")
def list_runs(
    state: Annotated[
        list[str] | None, typer.Option(help="Only runs in this state.", autocompletion=complete.states)
    ] = None,
    as_json: Json = False,
    runs: Runs = Path("runs"),
) -> None:
    """List the runs and how they are."""
    from crdnd_tui.cli import show

    raise typer.Exit(show.runs(folder(runs), state or [], as_json=as_json))


@app.command()
def show(
    run: Run,
    provenance: Annotated[
        bool, typer.Option("--provenance", help="Where its numbers come from, and the line that repeats the run.")
    ] = False,
    as_json: Json = False,
    runs: Runs = Path("runs"),
) -> None:
    """Show one run: how it is, its robustness table, its warnings."""
    from crdnd_tui.cli import show

    raise typer.Exit(show.show(run, folder(runs), as_json=as_json, provenance=provenance))


@app.command()
def check(preset: Preset, overrides: Set = None, seed: Seed = None, as_json: Json = False) -> None:
    """Validate a preset; print it with every default written out, and what it will cost."""
    from crdnd_tui.cli import preset as command

    raise typer.Exit(command.check(preset, overrides or [], seed, as_json=as_json))


@app.command()
def schema() -> None:
    """Print the JSON Schema of presets."""
    from crdnd_tui.cli import preset

    raise typer.Exit(preset.schema())


@app.command()
def evaluate(  # noqa: PLR0913  options of a command line
    subject: Annotated[str, typer.Argument(help="A run, or a checkpoint file.", autocompletion=complete.runs)],
    *,
    attack: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[:KEY=VALUE,...]",
            help="An attack, as in pgd:steps=100,step_size=1/255; the usual suite when there is none.",
            autocompletion=complete.attacks,
        ),
    ] = None,
    weights: Annotated[str, typer.Option(help="Of a run: best or last.")] = "best",
    model: Annotated[str, typer.Option(metavar="NAME[:KEY=VALUE,...]", help="Of a checkpoint file.")] = "",
    data_set: Annotated[str, typer.Option(metavar="NAME[:KEY=VALUE,...]", help="Of a checkpoint file.")] = "",
    prefix: Annotated[
        str | None,
        typer.Option(help="Of the tensors' names, where several networks in a checkpoint file fit; may be empty."),
    ] = None,
    epsilon: Annotated[str, typer.Option(help="Another radius, as in 8/255.")] = "",
    images: Annotated[
        int | None, typer.Option(min=0, help="A stratified part of the test split; 0 = all.", show_default=False)
    ] = None,
    detach: Detach = False,
    as_json: Json = False,
    device: Device = "auto",
    threads: Threads = 0,
    devices: Devices = None,
    exact: Exact = None,
    settings: Settings = None,
    data: Data = Path("data"),
    runs: Runs = Path("runs"),
) -> None:
    """Judge a saved student, or any checkpoint, again; the judgement is a run of its own."""
    from crdnd_tui.cli import evaluate

    here = options.machine(settings, runs=runs, data=data, device=device, threads=threads, devices=devices, exact=exact)
    changes = {
        "attacks": attack, "weights": weights, "model": model, "data_set": data_set, "epsilon": epsilon,
        "images": images, "prefix": prefix,
    }  # fmt: skip
    raise typer.Exit(evaluate.evaluate(subject, changes, here, detach=detach, as_json=as_json))


@app.command()
def doctor(as_json: Json = False, data: Data = Path("data"), runs: Runs = Path("runs")) -> None:
    """Say whether this machine can do the work."""
    from crdnd_tui.cli import doctor

    raise typer.Exit(doctor.doctor(folder(runs), folder(data), as_json=as_json))


@app.command(name="tables")
def list_tables(
    remove: Annotated[
        str, typer.Option(metavar="ID", help="Take this one away; its beginning is enough. Refused while in use.")
    ] = "",
    as_json: Json = False,
    data: Data = Path("data"),
) -> None:
    """List the tables of teachers' logits in the data folder, which runs share, or remove one."""
    from crdnd_tui.cli import tables

    if remove:
        raise typer.Exit(tables.remove(remove, folder(data), as_json=as_json))
    raise typer.Exit(tables.show(folder(data), as_json=as_json))


cli_results.register(app)


def main() -> None:
    """The entry point. A user's mistake is a message on stderr, never a traceback."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` ends us quietly; an engine has a session of its own
    replace_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    sys.exit(_called())


def _called() -> int:
    try:
        code = app(standalone_mode=False)
        sys.stdout.flush()
    except ConfigError as error:
        return _complain(_mistakes(error), USAGE)
    except CrdndError as error:
        return _complain(str(error), USAGE)
    except _UsageError as error:
        return _complain(f"{error}\nTry `crdnd --help`.", USAGE)
    except typer.Abort:
        return 130
    except OSError as error:
        named = f": {error.filename}" if error.filename else ""
        return _complain(f"{error.strerror or error}{named}", 1)
    return code if isinstance(code, int) else 0


def _mistakes(error: ConfigError) -> str:
    """Several mistakes that each say where they are get a head line; a mistake and its hint do not."""
    if len(error.problems) < 2 or not all(_PLACED.match(problem) for problem in error.problems):
        return str(error)
    return "\n  ".join([f"{len(error.problems)} mistakes:", *error.problems])


def _complain(words: str, code: int) -> int:
    try:
        os.write(2, (display(words) + "\n").encode(sys.stderr.encoding or "utf-8", "replace"))
    except OSError:
        return code  # nobody listens any more
    return code
