"""crdnd queue: names and flags only; what a command does is imported when it is called."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from crdnd_tui import complete

app = typer.Typer(
    help="Let runs wait for a device and start one after another; it goes on when the terminal is closed.",
    no_args_is_help=True,
)

Run = Annotated[str, typer.Argument(help="A run's id or its beginning.", autocompletion=complete.runs)]
AnyRun = Annotated[
    str, typer.Argument(help="A run's id or its beginning.", autocompletion=complete.runs, show_default=False)
]
Study = Annotated[str, typer.Option("--study", metavar="NAME", help="All runs of this study.")]
Runs = Annotated[Path, typer.Option("--runs", envvar="CRDND_RUNS", help="Folder of the runs.")]
Json = Annotated[bool, typer.Option("--json", help="Data for scripts on stdout.")]


@app.command(name="list")
def list_tickets(as_json: Json = False, runs: Runs = Path("runs")) -> None:
    """Show what runs, what waits and when it may start, and how the earlier ones ended."""
    from crdnd_tui.commands import queue  # noqa: PLC0415  paid for by this command alone

    raise typer.Exit(queue.show(_folder(runs), as_json=as_json))


@app.command()
def add(  # noqa: PLR0913  options of a command line
    preset: Annotated[
        str, typer.Argument(help="A preset file, or the name of a shipped one.", autocompletion=complete.preset)
    ],
    *,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a key, as in method.temperature=0.2."),
    ] = None,
    seeds: Annotated[
        str, typer.Option("--seed", "--seeds", metavar="N[,N...]", help="Override the seed; a run for each of several.")
    ] = "",
    name: Annotated[str, typer.Option(help="What to call the run; changes nothing.")] = "",
    device: Annotated[str, typer.Option(envvar="CRDND_DEVICE", help="auto, cpu, cuda, cuda:1 ...")] = "auto",
    threads: Annotated[int, typer.Option(help="CPU threads; 0 = by the size of the model.", min=0)] = 0,
    settings: Annotated[
        list[str] | None,
        typer.Option("--machine", metavar="KEY=VALUE", help="Of the machine: tf32, layout, checkpoint_seconds."),
    ] = None,
    data: Annotated[Path, typer.Option(envvar="CRDND_DATA", help="Folder of data sets and teachers.")] = Path("data"),
    runs: Runs = Path("runs"),
) -> None:
    """Put a preset at the end of the queue; prints the id of each run."""
    from crdnd_tui.commands import machine, queue  # noqa: PLC0415  paid for by this command alone

    here = machine.machine(runs=str(runs), data=str(data), device=device, threads=threads, settings=settings or ())
    raise typer.Exit(queue.add(preset, overrides or [], seeds, name, here))


@app.command()
def hold(run: AnyRun = "", study: Study = "", runs: Runs = Path("runs")) -> None:
    """Do not start a waiting run until it is released; it keeps its place."""
    from crdnd_tui.commands import queue  # noqa: PLC0415  paid for by this command alone

    raise typer.Exit(queue.hold(run, _folder(runs), study))


@app.command()
def release(run: AnyRun = "", study: Study = "", runs: Runs = Path("runs")) -> None:
    """Let a held run start when its turn comes."""
    from crdnd_tui.commands import queue  # noqa: PLC0415  paid for by this command alone

    raise typer.Exit(queue.release(run, _folder(runs), study))


@app.command()
def move(
    run: Run,
    where: Annotated[str, typer.Argument(help="up, down or top.", metavar="up|down|top")],
    runs: Runs = Path("runs"),
) -> None:
    """Change the order of the waiting runs."""
    from crdnd_tui.commands import queue  # noqa: PLC0415  paid for by this command alone

    places: dict[str, Literal["up", "down", "top"]] = {"up": "up", "down": "down", "top": "top"}
    if where not in places:
        raise typer.BadParameter("may be up, down or top", param_hint="WHERE")
    raise typer.Exit(queue.move(run, places[where], _folder(runs)))


@app.command()
def cancel(run: AnyRun = "", study: Study = "", runs: Runs = Path("runs")) -> None:
    """Take a waiting run off the queue; its folder, when it was never started, goes to .trash."""
    from crdnd_tui.commands import queue  # noqa: PLC0415  paid for by this command alone

    raise typer.Exit(queue.cancel(run, _folder(runs), study))


@app.command()
def retry(run: Run, runs: Runs = Path("runs")) -> None:
    """Queue a stopped or failed run again; it goes on from its last checkpoint."""
    from crdnd_tui.commands import queue  # noqa: PLC0415  paid for by this command alone

    raise typer.Exit(queue.retry(run, _folder(runs)))


@app.command()
def slots(
    count: Annotated[int, typer.Argument(help="Runs at once on a device; 1 unless it was set.")],
    runs: Runs = Path("runs"),
) -> None:
    """Set how many runs may share a device."""
    from crdnd_tui.commands import queue  # noqa: PLC0415  paid for by this command alone

    raise typer.Exit(queue.slots(count, _folder(runs)))


@app.command()
def work(runs: Runs = Path("runs")) -> None:
    """Be the worker, here in the foreground, until nothing waits. Ctrl-C leaves the runs alone."""
    from crdnd_tui.commands import queue  # noqa: PLC0415  paid for by this command alone

    raise typer.Exit(queue.work(_folder(runs)))


def _folder(path: Path) -> Path:
    return path.expanduser().resolve()
