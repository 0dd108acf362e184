"""crdnd queue: names and flags only; what a command does is imported when it is called."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from crdnd_tui.cli.options import Data, Device, Devices, Exact, Json, Preset, Runs, Set, Settings, Threads, folder
from crdnd_tui.core import complete

app = typer.Typer(
    help="Let runs wait for a device and start one after another; it goes on when the terminal is closed.",
    no_args_is_help=True,
)

Run = Annotated[str, typer.Argument(help="A run's id or its beginning.", autocompletion=complete.runs)]
AnyRun = Annotated[
    str, typer.Argument(help="A run's id or its beginning.", autocompletion=complete.runs, show_default=False)
]
Study = Annotated[str, typer.Option("--study", metavar="NAME", help="All runs of this study.")]


@app.command(name="list")
def list_tickets(as_json: Json = False, runs: Runs = Path("runs")) -> None:
    """Show what runs, what waits and when it may start, and how the earlier ones ended."""
    from crdnd_tui.cli import queue  # noqa: PLC0415  paid for by this command alone

    raise typer.Exit(queue.show(folder(runs), as_json=as_json))


@app.command()
def add(  # noqa: PLR0913  options of a command line
    preset: Preset,
    *,
    overrides: Set = None,
    seeds: Annotated[
        str, typer.Option("--seed", "--seeds", metavar="N[,N...]", help="Override the seed; a run for each of several.")
    ] = "",
    name: Annotated[str, typer.Option(help="What to call the run; changes nothing.")] = "",
    device: Device = "auto",
    threads: Threads = 0,
    devices: Devices = None,
    exact: Exact = None,
    settings: Settings = None,
    data: Data = Path("data"),
    runs: Runs = Path("runs"),
) -> None:
    """Put a preset at the end of the queue; prints the id of each run."""
    from crdnd_tui.cli import machine, queue  # noqa: PLC0415  paid for by this command alone

    here = machine.machine(
        runs=str(runs), data=str(data), device=device, threads=threads, settings=settings or (),
        crew={"devices": devices, "exact": exact},
    )  # fmt: skip
    raise typer.Exit(queue.add(preset, overrides or [], seeds, name, here))


@app.command()
def hold(run: AnyRun = "", study: Study = "", runs: Runs = Path("runs")) -> None:
    """Do not start a waiting run until it is released; it keeps its place."""
    from crdnd_tui.cli import queue  # noqa: PLC0415  paid for by this command alone

    raise typer.Exit(queue.hold(run, folder(runs), study))


@app.command()
def release(run: AnyRun = "", study: Study = "", runs: Runs = Path("runs")) -> None:
    """Let a held run start when its turn comes."""
    from crdnd_tui.cli import queue  # noqa: PLC0415  paid for by this command alone

    raise typer.Exit(queue.release(run, folder(runs), study))


@app.command()
def move(
    run: Run,
    where: Annotated[str, typer.Argument(help="up, down or top.", metavar="up|down|top")],
    runs: Runs = Path("runs"),
) -> None:
    """Change the order of the waiting runs."""
    from crdnd_tui.cli import queue  # noqa: PLC0415  paid for by this command alone

    places: dict[str, Literal["up", "down", "top"]] = {"up": "up", "down": "down", "top": "top"}
    if where not in places:
        raise typer.BadParameter("may be up, down or top", param_hint="WHERE")
    raise typer.Exit(queue.move(run, places[where], folder(runs)))


@app.command()
def cancel(run: AnyRun = "", study: Study = "", runs: Runs = Path("runs")) -> None:
    """Take a waiting run off the queue; its folder, when it was never started, goes to .trash."""
    from crdnd_tui.cli import queue  # noqa: PLC0415  paid for by this command alone

    raise typer.Exit(queue.cancel(run, folder(runs), study))


@app.command()
def retry(run: Run, runs: Runs = Path("runs")) -> None:
    """Queue a stopped or failed run again; it goes on from its last checkpoint."""
    from crdnd_tui.cli import queue  # noqa: PLC0415  paid for by this command alone

    raise typer.Exit(queue.retry(run, folder(runs)))


@app.command()
def slots(
    count: Annotated[int, typer.Argument(help="Runs at once on a device; 1 unless it was set, 8 by memory.")],
    runs: Runs = Path("runs"),
) -> None:
    """Set how many runs may share a device."""
    from crdnd_tui.cli import queue  # noqa: PLC0415  paid for by this command alone

    raise typer.Exit(queue.slots(count, folder(runs)))


@app.command()
def share(
    by: Annotated[str, typer.Argument(help="memory or slots.", metavar="memory|slots")],
    runs: Runs = Path("runs"),
) -> None:
    """Let runs share a GPU as long as their memory fits, or by their number alone."""
    from crdnd_tui.cli import queue  # noqa: PLC0415  paid for by this command alone

    ways: dict[str, Literal["memory", "slots"]] = {"memory": "memory", "slots": "slots"}
    if by not in ways:
        raise typer.BadParameter("may be memory or slots", param_hint="BY")
    raise typer.Exit(queue.share(ways[by], folder(runs)))


@app.command()
def work(runs: Runs = Path("runs")) -> None:
    """Be the worker, here in the foreground, until nothing waits. Ctrl-C leaves the runs alone."""
    from crdnd_tui.cli import queue  # noqa: PLC0415  paid for by this command alone

    raise typer.Exit(queue.work(folder(runs)))
