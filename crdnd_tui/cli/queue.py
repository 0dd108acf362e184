"""crdnd queue: what waits, in which order, and how many at once. A terminal's Queue screen does the same with keys."""

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.text import Text

from crdnd_tui.cli import options as opt
from crdnd_tui.cli import output
from crdnd_tui.core import advice, complete
from crdnd_tui.core.format import duration
from crdnd_tui.core.text import display, grid_lines, one_line
from engine.spec import rundir
from engine.spec.errors import ConfigError, RunFolderError
from engine.spec.rundir import RunDir

if TYPE_CHECKING:
    from crdnd_tui.queue.snapshot import QueueEntry, QueueSnapshot
    from crdnd_tui.queue.tickets import Ticket, TicketState, Where

app = typer.Typer(
    help="Let runs wait for a device and start one after another; it goes on when the terminal is closed.",
    no_args_is_help=True,
)
Run = Annotated[
    str, typer.Argument(help="A run's id or its beginning.", autocompletion=complete.runs, show_default=False)
]
Study = Annotated[str, typer.Option("--study", metavar="NAME", help="All runs of this study.")]
SIGNS: "dict[TicketState, tuple[str, str]]" = {
    "waiting": ("\u25cc", "dim"), "held": ("\u2016", "yellow"), "running": ("\u25cf", "green"),
    "done": ("\u2713", "green"), "stopped": ("\u25cb", "yellow"), "failed": ("\u2717", "red"),
    "cancelled": ("\u25cb", "dim"),
}  # fmt: skip


@app.command(name="list")
def list_tickets(as_json: opt.Json = False, runs: opt.Runs = Path("runs")) -> None:
    """Show what runs, what waits, and how the earlier ones ended."""
    from crdnd_tui.queue.snapshot import SnapshotReader

    found = SnapshotReader(runs).read(time.time())
    for name in found.damaged:
        output.say(f"passed over, for it is no ticket: {runs / '.queue' / 'tickets' / name}", "yellow")
    if as_json:
        output.show_json(_to_json(found))
        return
    lines = _lines(found)
    if not lines:
        output.say(f"Nothing waits. {advice.command('queue add PRESET', runs)} lets a run wait for its device.")
    output.show(lines)


@app.command()
def add(  # noqa: PLR0913  options of a command line
    preset: opt.Preset,
    *,
    overrides: opt.Set = None,
    seeds: Annotated[
        str, typer.Option("--seed", "--seeds", metavar="N[,N...]", help="Override the seed; a run for each of several.")
    ] = "",
    name: opt.Name = "",
    device: opt.Device = "auto",
    threads: opt.Threads = 0,
    devices: opt.Devices = None,
    exact: opt.Exact = None,
    settings: opt.Settings = None,
    data: opt.Data = Path("data"),
    runs: opt.Runs = Path("runs"),
) -> None:
    """Put a preset at the end of the queue; prints the id of each run."""
    from crdnd_tui.core import presets
    from crdnd_tui.queue import actions
    from crdnd_tui.queue.tickets import Queue
    from engine.spec import folders, toml

    machine = opt.machine(settings, runs=runs, data=data, device=device, threads=threads, devices=devices, exact=exact)
    path = presets.resolve(preset)
    try:
        numbers = [int(part) for part in seeds.split(",")] if seeds else [None]
    except ValueError:
        raise ConfigError([f"--seeds: `{display(seeds, 80)}` is no list of numbers, as in 0,1,2"]) from None
    configs = [toml.load(path, opt.named(overrides, name), seed) for seed in numbers]  # all, before one is made
    Queue(machine.runs_folder).check()
    for config in configs:
        run = folders.create(config, toml.text_of(path), machine)
        actions.enqueue(run)
        output.show_paths([run.id])


@app.command()
def hold(run: Run = "", study: Study = "", runs: opt.Runs = Path("runs")) -> None:
    """Do not start a waiting run until it is released; it keeps its place."""
    from crdnd_tui.queue import actions
    from crdnd_tui.queue.tickets import Queue

    if name := _run_of(runs, run, study):
        Queue(runs).hold(name)
        output.say(f"{name} is held; {advice.command(f'queue release {name}', runs)} lets it start.")
    else:
        release_it = advice.command(f"queue release --study {shlex.quote(study)}", runs)
        output.say(f"{actions.change_study(runs, study, 'hold')} held; {release_it} lets them start.")


@app.command()
def release(run: Run = "", study: Study = "", runs: opt.Runs = Path("runs")) -> None:
    """Let a held run start when its turn comes."""
    from crdnd_tui.queue import actions

    if name := _run_of(runs, run, study):
        actions.release(runs, name)
        output.say(f"{name} waits for its device.")
    else:
        output.say(f"{actions.change_study(runs, study, 'release')} wait for their device.")


@app.command()
def cancel(run: Run = "", study: Study = "", runs: opt.Runs = Path("runs")) -> None:
    """Take a waiting run off the queue; its folder, when it was never started, goes to .trash."""
    from crdnd_tui.queue import actions

    if name := _run_of(runs, run, study):
        output.say(actions.cancel(runs, name))
    else:
        many = actions.change_study(runs, study, "cancel")
        output.say(f"{many} left the queue; folders that were never started are in .trash, the others stay.")


@app.command()
def move(
    run: Run,
    where: Annotated[str, typer.Argument(help="up, down or top.", metavar="up|down|top")],
    runs: opt.Runs = Path("runs"),
) -> None:
    """Change the order of the waiting runs."""
    from crdnd_tui.queue.tickets import Queue

    if where not in ("up", "down", "top"):
        raise typer.BadParameter("may be up, down or top", param_hint="WHERE")
    queue, run = Queue(runs), _find(runs, run)
    queue.move(run, cast("Where", where))
    ticket = queue.ticket(run)
    output.say(f"{run} is in place {ticket.place if ticket else 0}.")


@app.command()
def retry(run: Run, runs: opt.Runs = Path("runs")) -> None:
    """Queue a stopped or failed run again; it goes on from its last checkpoint."""
    from crdnd_tui.core import run_status
    from crdnd_tui.queue import actions

    run = _find(runs, run)
    path = RunDir(runs / run)
    death = run_status.death_of(path)
    actions.retry(runs, run)
    output.say(f"{run} waits for its device and goes on from its last checkpoint.")
    if death.repeated:
        output.say(run_status.todo(path, death), "yellow")


@app.command()
def slots(
    count: Annotated[int, typer.Argument(help="Runs at once on a device; 1 unless it was set.")],
    runs: opt.Runs = Path("runs"),
) -> None:
    """Set how many runs may share a device."""
    from crdnd_tui.queue.tickets import Queue

    Queue(runs).set_at_once(count)
    output.say(f"{count} at once on each device.")


@app.command()
def work(runs: opt.Runs = Path("runs")) -> None:
    """Be the worker, here in the foreground, until nothing waits. Ctrl-C leaves the runs alone."""
    from crdnd_tui.queue import worker

    try:
        if not worker.work(runs, lambda text: output.say(f"{time.strftime('%H:%M:%S')}  {text}")):
            output.say("A worker is there already.")
    except KeyboardInterrupt:
        again = advice.command("queue work", runs)
        output.say(f"The worker leaves; runs go on, and {again} or the next `add` brings one back.")


def _run_of(runs: Path, run: str, study: str) -> str:
    """The run that was named; empty where a study was. ConfigError for both or neither."""
    if bool(run) == bool(study):
        raise ConfigError(["name a run, or a study with --study NAME; not both"])
    return _find(runs, run) if run else ""


def _find(runs: Path, name: str) -> str:
    """The run in the queue that has this id, or whose id begins so; one whose folder is gone has a ticket still."""
    from crdnd_tui.queue.tickets import Queue

    known = [ticket.run for ticket in Queue(runs).tickets() if name and ticket.run.startswith(name)]
    if name in known:
        return name
    if len(known) > 1:
        raise RunFolderError(f"`{display(name)}` may mean {len(known)} runs: {', '.join(known[:5])}")
    if known:
        return known[0]
    run = rundir.find(runs, name).id
    raise RunFolderError(f"{display(run)} is not in the queue", hint="`crdnd queue list` shows what is.")


def _to_json(found: "QueueSnapshot") -> dict[str, Any]:
    import msgspec

    entries = [entry for entry in (*found.jobs, *found.queued, *found.ended) if entry.ticket]
    return {
        "worker": found.worker, "at_once": found.at_once, "share_by": "slots", "all_done": None,
        "tickets": [_ticket(entry, entry.ticket) for entry in entries if entry.ticket],
        "by_hand": [{"run": job.run, "device": job.device} for job in found.jobs if not job.ticket],
        "damaged": list(found.damaged),
        "studies": [msgspec.to_builtins(study) for study in found.studies],
    }  # fmt: skip


def _ticket(entry: "QueueEntry", ticket: "Ticket") -> dict[str, Any]:
    """Scripts may expect `takes`, `starts`, `waits`, `all_done`, `share_by`; nothing estimates them now."""
    return {
        "run": ticket.run, "state": ticket.state, "place": ticket.place, "device": entry.device,
        "name": entry.about.name, "method": entry.about.method, "seed": entry.about.seed, "added": ticket.added,
        "started": ticket.started or None, "ended": ticket.ended or None, "note": ticket.note,
        "study": ticket.study, "takes": None, "left": entry.left, "starts": None,
        "devices": list(entry.places), "waits": "",
    }  # fmt: skip


def _lines(found: "QueueSnapshot") -> list[Text]:
    """Studies, then what is at work, waits, has ended; one line each."""
    lines = []
    for study in found.studies:  # `digits 14/27 done, 2 at work, 11 waiting`
        parts = [(study.running, "at work"), (study.waiting, "waiting"), (study.held, "held"), (study.failed, "failed")]
        counted = ", ".join([f"{study.text} done", *(f"{many} {what}" for many, what in parts if many)])
        lines.append(Text.assemble((" study ", "dim"), counted))
    rows = []
    for device in found.devices:
        for job in device.jobs:
            left = f"{duration(job.left)} of training left" if job.left is not None else ""
            rows.append(_row("running", job, device.name, left or ("" if job.ticket else "started by hand")))
    for entry in (*found.queued, *found.ended):
        if entry.ticket:
            rows.append(_row(entry.ticket.state, entry, str(entry.ticket.place or ""), entry.ticket.note))
    lines += grid_lines(rows, right=(0,))
    if any(entry.ticket and entry.ticket.state == "waiting" for entry in found.queued) and not found.worker:
        lines.append(Text("No worker is there: `crdnd queue work` starts one.", "yellow"))
    return lines


def _row(state: "TicketState", entry: "QueueEntry", place: str, more: str) -> tuple[Text, ...]:
    sign, style = SIGNS[state]
    study = one_line(entry.ticket.study, 24) if entry.ticket else ""
    told = "  ".join(filter(None, (study, one_line(more, 80))))
    return Text(place, "dim"), Text(f"{sign} {state}", style), Text(display(entry.run)), Text(told, "dim")
