"""crdnd queue: what waits, in which order, and how many at once. A terminal's Queue screen does the same with keys."""

import json
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
from rich.text import Text

from crdnd_tui.cli import output
from crdnd_tui.core import advice, library, presets
from crdnd_tui.core.format import clock, duration
from crdnd_tui.core.text import display, one_line
from crdnd_tui.queue import agenda, batches, worker
from crdnd_tui.queue.agenda import Agenda
from crdnd_tui.queue.entry import Entry
from crdnd_tui.queue.queue_lines import SIGNS
from crdnd_tui.queue.sharing import MEANS, By
from crdnd_tui.queue.tickets import Queue, Ticket
from engine.spec import files, folders, rundir, toml
from engine.spec.errors import ConfigError, RunFolderError
from engine.spec.machine import Machine
from engine.spec.rundir import RunDir

OK, USAGE = 0, 2


def show(runs: Path, *, as_json: bool) -> int:
    """The agenda as lines, or for scripts."""
    now = time.time()
    found = agenda.Reader(runs).read(now)
    for name in found.damaged:
        output.say(f"passed over, for it is no ticket: {runs / '.queue' / 'tickets' / name}", "yellow")
    if as_json:
        output.show_json(_plain(found))
        return OK
    lines = list(_lines(found, now))
    if not lines:
        output.say(f"Nothing waits. {advice.command('queue add PRESET', runs)} lets a run wait for its device.")
    output.show(lines)
    return OK


def add(preset: str, overrides: Sequence[str], seeds: str, name: str, machine: Machine) -> int:
    """A run folder and a ticket for each seed; all presets are read before the first is made."""
    path = presets.resolve(preset)
    named = [f"name={json.dumps(name)}"] if name else []
    configs = [toml.load(path, [*overrides, *named], seed) for seed in _seeds(seeds)]
    Queue(machine.runs_folder).check()
    for config in configs:
        run = folders.create(config, toml.text_of(path), machine)
        worker.enqueue(run)
        sys.stdout.write(run.id + "\n")
        sys.stdout.flush()
    return OK


def hold(name: str, runs: Path, study: str = "") -> int:
    """It keeps its place; with `study`, all that waits of that."""
    if _one_of(name, study) == study:
        release = advice.command(f"queue release --study {shlex.quote(study)}", runs)
        output.say(f"{batches.hold(runs, study)} held; {release} lets them start.")
        return OK
    run = find(runs, name)
    Queue(runs).hold(run)
    output.say(f"{run} is held; {advice.command(f'queue release {run}', runs)} lets it start.")
    return OK


def release(name: str, runs: Path, study: str = "") -> int:
    """Its turn will come; with `study`, that of all that is held of it."""
    if _one_of(name, study) == study:
        output.say(f"{batches.release(runs, study)} wait for their device.")
        return OK
    run = find(runs, name)
    worker.release(runs, run)
    output.say(f"{run} waits for its device.")
    return OK


def move(name: str, where: Literal["up", "down", "top"], runs: Path) -> int:
    """Up, down or to the top."""
    queue, run = Queue(runs), find(runs, name)
    queue.move(run, where)
    ticket = queue.ticket(run)
    output.say(f"{run} is in place {ticket.place if ticket else 0}.")
    return OK


def cancel(name: str, runs: Path, study: str = "") -> int:
    """Off the queue; with `study`, all that waits or is held of that."""
    if _one_of(name, study) == study:
        many = batches.cancel(runs, study)
        output.say(f"{many} left the queue; folders that were never started are in .trash, the others stay.")
        return OK
    output.say(worker.cancel(runs, find(runs, name)))
    return OK


def _one_of(name: str, study: str) -> str:
    """The one that was given; ConfigError for both or neither."""
    if bool(name) == bool(study):
        raise ConfigError(["name a run, or a study with --study NAME; not both"])
    return name or study


def retry(name: str, runs: Path) -> int:
    """Once more, from its last checkpoint."""
    run = find(runs, name)
    before = library.death_of(RunDir(runs / run))
    worker.retry(runs, run)
    output.say(f"{run} waits for its device and goes on from its last checkpoint.")
    if before.repeated:
        output.say(before.advice(advice.named(RunDir(runs / run)), files.read(RunDir(runs / run).machine)), "yellow")
    return OK


def slots(count: int, runs: Path) -> int:
    """Runs at once on a device."""
    Queue(runs).set_at_once(count)
    output.say(f"{count} at once on each device.")
    return OK


def share(by: By, runs: Path) -> int:
    """By number alone, or by memory too."""
    Queue(runs).share_by(by)
    output.say(MEANS[by])
    return OK


def work(runs: Path) -> int:
    """The worker, here."""

    def say(words: str) -> None:
        output.say(f"{time.strftime('%H:%M:%S')}  {words}")

    try:
        if not worker.work(runs, say):
            output.say("A worker is there already.")
    except KeyboardInterrupt:
        work_on = advice.command("queue work", runs)
        output.say(f"The worker leaves; runs go on, and {work_on} or the next `add` brings one back.")
    return OK


def find(runs: Path, name: str) -> str:
    """The run in the queue that has this id, or whose id begins so; one whose folder is gone has a ticket still."""
    known = [ticket.run for ticket in Queue(runs).tickets() if name and ticket.run.startswith(name)]
    if name in known:
        return name
    if len(known) > 1:
        raise RunFolderError(f"`{display(name)}` may mean {len(known)} runs: {', '.join(known[:5])}")
    if known:
        return known[0]
    run = rundir.find(runs, name).id
    raise RunFolderError(f"{display(run)} is not in the queue", hint="`crdnd queue list` shows what is.")


def _seeds(text: str) -> list[int | None]:
    """The preset's own when none is named."""
    try:
        return [int(part) for part in text.split(",")] if text else [None]
    except ValueError:
        raise ConfigError([f"--seeds: `{display(text, 80)}` is no list of numbers, as in 0,1,2"]) from None


def _plain(found: Agenda) -> dict[str, Any]:
    atwork = [job for device in found.devices for job in device.jobs]
    entries = [entry for entry in (*atwork, *found.queued, *found.ended) if entry.ticket]
    return {
        "worker": found.worker,
        "at_once": max(found.sharing.most(device.name) for device in found.devices),
        "share_by": found.sharing.by,
        "all_done": found.all_done,
        "tickets": [_ticket(entry, entry.ticket) for entry in entries if entry.ticket],
        "by_hand": [{"run": job.run, "device": job.device} for job in atwork if not job.ticket],
        "damaged": list(found.damaged),
        "studies": [msgspec.to_builtins(study) for study in found.studies],
    }


def _ticket(entry: Entry, ticket: Ticket) -> dict[str, Any]:
    return {
        "run": ticket.run, "state": ticket.state, "place": ticket.place, "device": entry.device,
        "name": entry.about.name, "method": entry.about.method, "seed": entry.about.seed, "added": ticket.added,
        "started": ticket.started or None, "ended": ticket.ended or None, "note": ticket.note,
        "study": ticket.study, "takes": entry.takes, "left": entry.left, "starts": entry.starts,
        "devices": list(entry.places), "waits": entry.waits,
    }  # fmt: skip


def _lines(found: Agenda, now: float) -> "list[Text]":
    """At work, waiting, ended; one line each."""
    lines: list[Text] = [_study(study) for study in found.studies]
    for device in found.devices:
        for job in device.jobs:
            left = f"{duration(job.left)} left" if job.left is not None else ""
            lines.append(_line("running", job, device.name, left or ("" if job.ticket else "started by hand")))
    for entry in found.queued:
        if entry.ticket:
            starts = f"starts {clock(entry.starts, now)}" if entry.starts is not None else entry.ticket.note
            more = "; ".join(filter(None, (starts, entry.waits)))
            lines.append(_line(entry.ticket.state, entry, str(entry.ticket.place), more))
    for entry in found.ended:
        if entry.ticket:
            lines.append(_line(entry.ticket.state, entry, "", entry.ticket.note))
    if any(entry.ticket and entry.ticket.state == "waiting" for entry in found.queued) and not found.worker:
        lines.append(Text("No worker is there: `crdnd queue work` starts one.", "yellow"))
    return lines


def _study(study: batches.Progress) -> Text:
    """`digits 14/27 done, 2 at work, 11 waiting`."""
    parts = [(study.running, "at work"), (study.waiting, "waiting"), (study.held, "held"), (study.failed, "failed")]
    words = ", ".join([f"{study.words} done", *(f"{many} {what}" for many, what in parts if many)])
    return Text.assemble((" study ", "dim"), words)


def _line(state: str, entry: Entry, place: str, more: str) -> Text:
    sign, style = SIGNS[state]
    line = Text(f"{place:>6} ", "dim")
    line.append(f"{sign} {state:<9} ", {"good": "green", "warn": "yellow", "bad": "red"}.get(style, "dim"))
    line.append(display(entry.run))
    if entry.ticket and entry.ticket.study:
        line.append(f"  {one_line(entry.ticket.study, 24)}", "dim")
    line.append(f"  {one_line(more, 80)}" if more else "", "dim")
    return line
