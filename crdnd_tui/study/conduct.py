"""A study is begun, or goes on: what is missing is made and queued, what was interrupted is queued again.

Whatever dies in between, the same call goes on from what lies on disk. Blocks: not for the event loop.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from msgspec import structs

from crdnd_tui.core import engine_process
from crdnd_tui.core.text import display
from crdnd_tui.queue import devices, snapshot, worker
from crdnd_tui.queue.tickets import ENDED, SLOTS, Queue, Ticket, TicketState
from crdnd_tui.queue.worker import HELD_FOR
from crdnd_tui.study import grid
from crdnd_tui.study.progress import RESUMABLE, CellStatus, ProgressReader, StudyProgress
from crdnd_tui.study.study import Study, StudyCell
from engine.spec import files, folders, locks
from engine.spec.config import RunConfig
from engine.spec.errors import ConfigError, RunFolderError
from engine.spec.machine import Machine
from engine.spec.rundir import RunDir

_ANY: tuple[TicketState, ...] = TicketState.__args__  # type: ignore[attr-defined]
SETTLES = 5.0  # seconds in which a worker notices that an engine is gone


@dataclass(frozen=True, kw_only=True)
class LaunchResult:
    """What a launch did; ids of runs by what became of them."""

    made: tuple[str, ...] = ()
    resumed: tuple[str, ...] = ()
    retried: tuple[str, ...] = ()  # had failed
    released: tuple[str, ...] = ()  # a failure had held them
    kept: tuple[str, ...] = ()  # failed, and left so
    held: tuple[str, ...] = ()  # by a person, and left so
    lost: tuple[str, ...] = ()  # silent on another machine, and left so
    done: int = 0  # before
    waiting: int = 0  # before, or at work

    @property
    def lines(self) -> list[str]:
        """A line for each kind of which there are any."""
        counted = [
            (self.done, "done already"),
            (self.waiting, "at work or waiting already"),
            (len(self.made), "made and queued"),
            (len(self.resumed), "interrupted: queued again, to go on from the last checkpoint"),
            (len(self.retried), "failed: queued again"),
            (len(self.released), "held by a failure: released"),
            (len(self.kept), "failed and left so; --retry-failed tries again"),
            (len(self.held), "held; `crdnd queue release` lets them start"),
            (len(self.lost), "lost, silent on another machine, and left so; once surely dead, `crdnd resume` goes on"),
        ]
        return [f"{many:>4} {what}" for many, what in counted if many]


def narrowed(study: Study, only: Sequence[str]) -> Study:
    """The cells at these places alone, each `axis=label`; several of one axis add up. ConfigError for others."""
    wanted: dict[str, list[str]] = {}
    problems = []
    for text in only:
        axis, equals, label = text.partition("=")
        if not equals or axis not in study.axes:
            near = grid.near(axis, list(study.axes))
            problems.append(f"--only: {display(text, 80)!r} should read axis=label{near}")
        elif label not in study.axes[axis]:
            problems.append(f"--only: {display(text, 80)!r} is no label{grid.near(label, study.axes[axis])}")
        wanted.setdefault(axis, []).append(label)
    cells = tuple(c for c in study.cells if all(c.place.get(axis) in labels for axis, labels in wanted.items()))
    if not problems and not cells:
        problems.append("--only: the study leaves out all of these runs")
    if problems:
        raise ConfigError(problems)
    return replace(study, cells=cells)


def check_at_once(count: int | None) -> None:
    """ConfigError when so many runs cannot share a device; None is whatever was set before."""
    if count is not None and count not in SLOTS:
        raise ConfigError([f"--at-once: should be {SLOTS[0]} to {SLOTS[-1]}, not {count}"])


def in_order(cells: Sequence[StudyCell], study: Study) -> list[StudyCell]:
    """All rows with the first seed, then all with the second: so a table fills early."""
    seeds = study.axes.get("seed", ())
    return sorted(cells, key=lambda cell: seeds.index(cell.place["seed"]) if seeds else 0)


def launch(
    study: Study,
    machine: Machine,
    *,
    only: Study | None = None,
    at_once: int | None = None,
    stop_on_failure: bool | None = None,
    retry_failed: bool = False,
) -> LaunchResult:
    """Begin or go on with the study, or with the part `only` of it; a worker is there when this returns.

    `at_once` and `stop_on_failure` None: as before.
    """
    runs, part = machine.runs_folder, only or study
    check_at_once(at_once)
    queue, reader = Queue(runs), ProgressReader(runs)
    with _alone(runs):
        queue.check()
        if at_once is not None and at_once != queue.at_once:
            queue.set_at_once(at_once)
        _settle(queue)
        progress = reader.read(part)
        stops = progress.stops if stop_on_failure is None else stop_on_failure
        _adopt(queue, progress, study.name, stops)
        hashes = tuple(cell.config_hash for cell in study.cells)
        note = snapshot.StudyNote(study=study.name, title=study.title, path=str(study.path.resolve()), hashes=hashes)
        snapshot.note_study(runs, note)
        begun = _queue_all(queue, progress, machine, stop_on_failure=stops, retry_failed=retry_failed)
    worker.wake(runs)
    return begun


def _queue_all(
    queue: Queue, progress: StudyProgress, machine: Machine, *, stop_on_failure: bool, retry_failed: bool
) -> LaunchResult:
    study = progress.study
    by_hash = {cell_status.cell.config_hash: cell_status for cell_status in progress.statuses}
    ids: defaultdict[str, list[str]] = defaultdict(list)  # kind -> runs
    wanted, epochs = [], planned_epochs([s.cell.config for s in progress.statuses if s.state != "done"])
    for cell in in_order(study.cells, study):
        cell_status = by_hash[cell.config_hash]
        kind = _launch_kind(cell_status, retry_failed)
        if not kind:
            continue
        together = machine.model_copy(update={"table_epochs": epochs.get(_views(cell.config), 0)})
        run = cell_status.run or folders.create(cell.config, preset_text(study, cell), together).id
        ids[kind].append(run)
        if kind == "released":
            queue.release(run)
        elif kind not in ("kept", "held", "lost"):
            asked = devices.requested(RunDir(queue.runs / run))
            ticket = Ticket(run=run, device=asked.device, devices=asked.devices, added=time.time(), study=study.name)
            wanted.append(structs.replace(ticket, stop_on_failure=stop_on_failure))
    queue.add_all(wanted)
    counts = progress.counts
    return LaunchResult(
        **{kind: tuple(found) for kind, found in ids.items()},
        done=counts["done"],
        waiting=counts["running"] + counts["waiting"],
    )


def planned_epochs(configs: Iterable[RunConfig]) -> Counter[str]:
    """Of all these runs together, by what `_views` says of each: what a teacher's table would be shared for."""
    epochs: Counter[str] = Counter()
    for config in configs:
        epochs[_views(config)] += config.training.epochs if config.teacher else 0
    return epochs


def _views(config: RunConfig) -> str:
    """Equal for runs that ask one teacher about the same images, padded and mirrored alike."""
    return f"{config.teacher.model_dump_json() if config.teacher else ''} {config.data.model_dump_json()}"


def _launch_kind(cell_status: CellStatus, retry_failed: bool) -> str:
    """The field of LaunchResult that a cell's run belongs to; empty for what a launch leaves alone."""
    if cell_status.state == "held":
        by_failure = cell_status.ticket is not None and cell_status.ticket.note.startswith(HELD_FOR)
        return "released" if by_failure else "held"
    kinds = {"absent": "made", "lost": "lost", "failed": "retried" if retry_failed else "kept"}
    return (kinds | dict.fromkeys(RESUMABLE, "resumed")).get(cell_status.state, "")


def preset_text(study: Study, cell: StudyCell) -> str:
    """The preset as it is, under a head that says what else the study asked for."""
    head = [f"# A run of the study {study.name}: {cell.text}.", *(f"#   --set {text}" for text in cell.overrides)]
    return "\n".join([*head, "", cell.preset_text])


def _settle(queue: Queue) -> None:
    """Tickets whose engine is gone while nobody followed it: their runs were interrupted."""
    end = time.monotonic() + SETTLES
    while stale := [ticket for ticket in queue.tickets() if ticket.state == "running" and _gone(queue, ticket)]:
        if not worker.alive(queue.runs):
            for ticket in stale:
                queue.change(ticket.run, ("running",), _let_go)
        elif time.monotonic() > end:  # the worker knows better
            return
        time.sleep(0.05)


def _let_go(ticket: Ticket) -> Ticket:
    note = "its engine was gone, and nobody had followed it"
    return structs.replace(ticket, state="stopped", ended=time.time(), pid=0, born=0.0, note=note)


def _gone(queue: Queue, ticket: Ticket) -> bool:
    run = RunDir(queue.runs / ticket.run)
    return not engine_process.alive(run) and not ticket.engine_lives


def _adopt(queue: Queue, progress: StudyProgress, study: str, stop_on_failure: bool) -> None:
    """Runs in the queue that no other study holds become this one's, with the wish of this launch.

    A run that two studies share stays with the first: what is held or cancelled there is still all of it.
    """
    for cell_status in progress.statuses:
        ticket = cell_status.ticket
        if ticket is None or ticket.state in ENDED or ticket.study not in ("", study):
            continue
        if (ticket.study, ticket.stop_on_failure) != (study, stop_on_failure):
            queue.change(ticket.run, _ANY, lambda t: structs.replace(t, study=study, stop_on_failure=stop_on_failure))


@contextmanager
def _alone(runs: Path) -> Iterator[None]:
    """Two launches at once would make the same runs twice; RunFolderError when the folder cannot be written."""
    with ExitStack() as stack:
        try:
            files.make_folder(runs / ".queue")
            stack.enter_context(locks.exclusive(runs / ".queue" / "studies.lock"))
        except OSError as error:
            raise RunFolderError(f"no study can be queued here: {error.strerror}", where=str(runs)) from None
        yield
