"""crdnd study: a grid of runs is listed, queued, followed; whatever was interrupted goes on with the same command."""

import shlex
import signal
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Protocol

from rich.console import Console
from rich.text import Text

from crdnd_tui.cli import output
from crdnd_tui.cli.follow import LinedProgress
from crdnd_tui.cli.output import FAILED, INTERRUPTED, OK, STOPPED
from crdnd_tui.core import advice, presets
from crdnd_tui.core.format import duration
from crdnd_tui.core.text import display, one_line, plain
from crdnd_tui.queue import worker
from crdnd_tui.study import conduct
from crdnd_tui.study import text as study_text
from crdnd_tui.study.file import read_study
from crdnd_tui.study.progress import CostEstimator, CostSummary, ProgressReader, State, StudyProgress
from crdnd_tui.study.study import Study
from engine.spec.machine import Machine

ENDED: frozenset[State] = frozenset({"done", "failed", "killed", "lost", "stopped"})
EVERY, POLL = 1.0, 0.1  # seconds between two looks; between two thoughts of leaving


def study(  # noqa: PLR0913  options of a command line
    name: str,
    machine: Machine,
    only: Sequence[str] = (),
    *,
    dry_run: bool = False,
    at_once: int | None = None,
    stop_on_failure: bool | None = None,
    retry_failed: bool = False,
    detach: bool = False,
    as_json: bool = False,
) -> int:
    """Returns the exit code: 1 when a run failed or is lost, 3 when one was stopped or is held, 130 when left."""
    whole = read_study(presets.resolve_study(name))
    part = conduct.narrowed(whole, only)
    conduct.check_at_once(at_once)
    reader, estimator = ProgressReader(machine.runs_folder), CostEstimator(machine.runs_folder, machine.device)
    if dry_run:
        found = reader.read(part)
        progress = replace(found, at_once=at_once or found.at_once)
        _list(progress, estimator.estimate(progress, time.time()), as_json=as_json)
        return OK
    begun = conduct.launch(
        whole, machine, only=part, at_once=at_once, stop_on_failure=stop_on_failure, retry_failed=retry_failed
    )
    output.say(f"{part.title}: {len(part.cells)} runs")
    for line in begun.lines:
        output.say(line)
    progress = reader.read(part)
    if not detach and progress.busy:
        followed = _follow(reader, estimator, part)
        if followed is None:
            again = advice.command(f"study {shlex.quote(name)}", machine.runs_folder)
            held = advice.command(f"queue hold --study {whole.name}", machine.runs_folder)
            output.say(f"The queue goes on without a watcher: {again} shows it again, {held} holds what waits.")
            return INTERRUPTED
        progress = followed
    if as_json:
        output.show_json(study_text.to_json(progress))
    if detach:
        follow = advice.command(f"study {shlex.quote(name)}", machine.runs_folder)
        listed = advice.command("queue list", machine.runs_folder)
        output.say(f"The queue works on it; {follow} follows it, {listed} shows it.")
        return OK
    return _end(progress, name, machine.runs_folder)


def _list(progress: StudyProgress, cost: CostSummary, *, as_json: bool) -> None:
    """All cells, their states, and what the rest will cost."""
    if as_json:
        output.show_json(study_text.to_json(progress, cost))
        return
    console = output.data()
    width = console.width if console.is_terminal else 240
    head = [Text(display(progress.study.title), "bold"), Text(study_text.counted(progress)), Text()]
    foot = [Text(), *study_text.teachers(progress), *map(Text, cost.lines)]
    output.show([*head, *study_text.cells(progress, width), *foot])


def _end(progress: StudyProgress, name: str, runs: Path) -> int:
    """What became of it, on stderr, and where the table is."""
    output.say(study_text.counted(progress))
    for one in progress.statuses:
        if one.state in ("failed", "killed", "lost", "stopped"):
            style = "red" if one.state == "failed" else "yellow"
            output.say(f"  {one.cell.text}: {one.state}: {one.why}  ({one.run})", style)
    counts = progress.counts
    if counts["failed"]:
        again = advice.command(f"study {shlex.quote(name)} --retry-failed", runs)
        output.say(f"{again} tries what failed again.")
    if counts["killed"] or counts["stopped"] or counts["held"]:
        again = advice.command(f"study {shlex.quote(name)}", runs)
        output.say(f"{again} goes on with what was interrupted, and with what a failure holds.")
    if counts["lost"]:
        output.say(
            "An engine on another machine may have what is lost; if none has, "
            f"{advice.command('resume RUN', runs)} goes on."
        )
    output.say(f"{advice.command(f'report {shlex.quote(name)}', runs)} prints the table.")
    if counts["failed"] or counts["killed"] or counts["lost"]:
        return FAILED
    return STOPPED if counts["stopped"] or counts["held"] or counts["absent"] else OK


class _View(Protocol):
    def show(self, progress: StudyProgress, cost: CostSummary) -> None: ...

    def close(self) -> None: ...


class _Lines:
    """A line for each change; for pipes, logs and dumb terminals."""

    def __init__(self) -> None:
        self._before: StudyProgress | None = None

    def show(self, progress: StudyProgress, cost: CostSummary) -> None:
        for line in study_text.news(self._before, progress):
            output.say(line)
        self._before = progress

    def close(self) -> None:
        """Nothing is left open."""


class _Bars:
    """A progress bar that is redrawn; what has ended stays above it as a line."""

    def __init__(self, console: Console) -> None:
        self._ascii = output.is_ascii(console)
        self._progress = LinedProgress(console)
        self._progress.start()
        self._before: StudyProgress | None = None

    def show(self, progress: StudyProgress, cost: CostSummary) -> None:
        for line in study_text.news(self._before, progress, ENDED):
            self._progress.console.print(Text(plain(line) if self._ascii else line))
        self._before = progress
        left = f"{duration(cost.wall)} left" if cost.left and not cost.unknown else ""
        done = f"{progress.counts['done']}/{len(progress.statuses)}"
        bars = [(done, study_text.share(progress), 1.0, left)]
        footer = Text("Ctrl-C: leave; the queue goes on", "dim")
        below = [*study_text.at_work(progress, cost), Text(), footer]
        self._progress.draw(bars, [Text(one_line(progress.study.title, 120), "bold")], below, self._ascii)

    def close(self) -> None:
        self._progress.stop()


def _follow(reader: ProgressReader, estimator: CostEstimator, of: Study) -> StudyProgress | None:
    """Until nothing of the study is at work and nothing waits; None when the user left before."""
    presses: list[int] = []

    def pressed(number: int, _frame: FrameType | None) -> None:
        presses.append(number)

    before = signal.signal(signal.SIGINT, pressed)
    console = output.narration()
    view: _View = _Bars(console) if output.is_lively(console) else _Lines()
    try:
        while True:
            progress = reader.read(of)
            view.show(progress, estimator.estimate(progress, time.time()))
            if not progress.busy:
                return progress
            if not progress.worker:
                worker.wake(reader.runs)  # it was killed; its runs go on, and what waits needs another one
            end = time.monotonic() + EVERY
            while time.monotonic() < end:
                if presses:
                    return None
                time.sleep(POLL)
    finally:
        signal.signal(signal.SIGINT, before)
        view.close()
