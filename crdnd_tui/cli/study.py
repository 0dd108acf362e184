"""crdnd study: a grid of runs is listed, queued, followed; whatever was interrupted goes on with the same command."""

import shlex
import signal
import time
from dataclasses import replace
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.text import Text

from crdnd_tui.cli import output
from crdnd_tui.cli.live_bars import LiveBars
from crdnd_tui.cli.output import FAILED, OK, STOPPED
from crdnd_tui.core import advice
from crdnd_tui.core.format import duration
from crdnd_tui.core.text import display, one_line
from crdnd_tui.queue import worker
from crdnd_tui.study import text as study_text
from crdnd_tui.study.progress import CostEstimator, CostSummary, ProgressReader, State, StudyProgress
from crdnd_tui.study.study import Study

ENDED: frozenset[State] = frozenset({"done", "failed", "killed", "lost", "stopped"})
EVERY, POLL = 1.0, 0.1  # seconds between two looks; between two thoughts of leaving


def show_plan(found: StudyProgress, at_once: int | None, estimator: CostEstimator, *, as_json: bool) -> None:
    """All cells, their states, and what the rest will cost with so many at once."""
    progress = replace(found, at_once=at_once or found.at_once)
    cost = estimator.estimate(progress, time.time())
    if as_json:
        output.show_json(study_text.to_json(progress, cost))
        return
    console = output.data()
    width = console.width if console.is_terminal else 240
    head = [Text(display(progress.study.title), "bold"), Text(study_text.counted(progress)), Text()]
    foot = [Text(), *study_text.teachers(progress), *map(Text, cost.lines)]
    output.show([*head, *study_text.cells(progress, width), *foot])


def end(progress: StudyProgress, name: str, runs: Path) -> int:
    """What became of it, on stderr, and where the table is."""
    output.say(study_text.counted(progress))
    for one in progress.statuses:
        if one.state in ("failed", "killed", "lost", "stopped"):
            style = "red" if one.state == "failed" else "yellow"
            output.say(f"  {one.cell.text}: {one.state}: {one.why}  ({one.run})", style)
    counts, again = progress.counts, f"study {shlex.quote(name)}"
    if counts["failed"]:
        output.say(f"{advice.command(f'{again} --retry-failed', runs)} tries what failed again.")
    if counts["killed"] or counts["stopped"] or counts["held"]:
        output.say(f"{advice.command(again, runs)} goes on with what was interrupted, and with what a failure holds.")
    if counts["lost"]:
        output.say(
            "An engine on another machine may have what is lost; if none has, "
            f"{advice.command('resume RUN', runs)} goes on."
        )
    output.say(f"{advice.command(f'report {shlex.quote(name)}', runs)} prints the table.")
    if counts["failed"] or counts["killed"] or counts["lost"]:
        return FAILED
    return STOPPED if counts["stopped"] or counts["held"] or counts["absent"] else OK


class _View:
    """A line for each change; in a terminal a bar that is redrawn, and lines above it for what has ended."""

    def __init__(self, console: Console) -> None:
        self._bars = LiveBars(console) if output.is_lively(console) else None
        self._before: StudyProgress | None = None
        if self._bars:
            self._bars.start()

    def show(self, progress: StudyProgress, cost: CostSummary) -> None:
        bars, before, self._before = self._bars, self._before, progress
        if bars is None:
            for line in study_text.news(before, progress):
                output.say(line)
            return
        for line in study_text.news(before, progress, ENDED):
            bars.say(line)
        left = f"{duration(cost.wall)} left" if cost.left and not cost.unknown else ""
        done = f"{progress.counts['done']}/{len(progress.statuses)}"
        footer = Text("Ctrl-C: leave; the queue goes on", "dim")
        below = [*study_text.at_work(progress, cost), Text(), footer]
        title = [Text(one_line(progress.study.title, 120), "bold")]
        bars.draw([(done, progress.share, 1.0, left)], title, below)

    def close(self) -> None:
        if self._bars:
            self._bars.stop()


def follow(reader: ProgressReader, estimator: CostEstimator, of: Study) -> StudyProgress | None:
    """Until nothing of the study is at work and nothing waits; None when the user left before."""
    presses: list[int] = []

    def pressed(number: int, _frame: FrameType | None) -> None:
        presses.append(number)

    before = signal.signal(signal.SIGINT, pressed)
    view = _View(output.narration())
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
