"""Studies: a grid of runs from one file, what has become of each, and the table that comes of them."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.binding import Binding, BindingType
from textual.events import DescendantFocus
from textual.widget import Widget
from textual.worker import get_current_worker

from crdnd_tui.core.text import wrapped
from crdnd_tui.tui.screens.studies import plan, saying
from crdnd_tui.tui.screens.studies.actions import StudyActions
from crdnd_tui.tui.screens.studies.desk import Asked, Desk, Seen
from crdnd_tui.tui.widgets.queue_list import QueueList
from crdnd_tui.tui.widgets.study_list import StudyList
from crdnd_tui.tui.widgets.study_matrix import StudyMatrix
from crdnd_tui.tui.widgets.study_panels import PAGES, StudyPanels
from crdnd_tui.write.document import Document

EVERY = 1.0  # seconds between two looks, while the screen is in front
REST = 10.0  # times as long as a look took, until the next one: thousands of runs are looked at less often


class StudiesScreen(StudyActions):
    """Studies on the left, the plan of the one under the cursor, its trade-off and its report."""

    NAME = "Studies"
    SAYS = "A study is a grid of runs from one file. Runs that are done are not repeated; what was interrupted goes on."
    AUTO_FOCUS = ""
    CHANGES = frozenset({"start", "hold", "cancel", "retry", "slots"})
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Open", tooltip="the plan of a study; the run under the cursor on Live"),
        Binding("s", "start", "Start", tooltip="begin, or go on with what is missing and what was interrupted"),
        Binding("space", "hold", "Hold", tooltip="what waits is not started until the same key releases it"),
        Binding("x", "cancel", "Cancel", show=False, tooltip="takes what waits off the queue"),
        Binding("R", "retry", "Retry", tooltip="what failed is queued again"),
        Binding("c", "compare", "Compare", tooltip="the judged runs of this table, seeds together"),
        Binding("e", "export", "Export", tooltip="the report as a file"),
        Binding("i", "provenance", "Provenance", tooltip="code, data, hashes of the run under the cursor of the plan"),
        Binding("V", "verify", "Verify", tooltip="judges the student under the cursor again: do the numbers hold?"),
        Binding("d", "dry_run", "Dry run", show=False, tooltip="all runs in words, and what the rest will cost"),
        Binding("o", "file", "Open a file", show=False, tooltip="a study that lies elsewhere"),
        Binding("w", "checkpoint", "Checkpoint", show=False, tooltip="best or last, in the report"),
        Binding("plus,equals_sign", "slots(1)", "More at once", show=False, tooltip="runs that share a device"),
        Binding("minus", "slots(-1)", "Fewer at once", show=False, tooltip="runs that share a device"),
        Binding("z", "zoom", "Maximise", show=False, tooltip="the panel in focus, or all panels again"),
        Binding("tab", "panel(1)", "Next panel", show=False),
        Binding("shift+tab", "panel(-1)", "Panel before", show=False),
        Binding("escape", "back", "Back", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._seen: tuple[Seen, ...] = ()
        self._document: Document | None = None
        self._asked = Asked()
        self._opened: list[Path] = []
        self._page = "list"
        self._reading = self._again = self._turning = False
        self._next = 0.0  # by the monotonic clock

    def body(self) -> Iterable[Widget]:
        """One container; the style sheet lays it out."""
        yield StudyPanels(id="panels")

    def on_mount(self) -> None:
        """Looks again and again, but only while it is in front."""
        self._desk = Desk(self.session.runs, str(self.session.machine.get("device", "auto")))
        self.query_one(StudyPanels).turn(self._page)
        self.query_one("#list").focus()
        self.set_interval(EVERY, self._tick)
        self.watch(self.app, "theme", self._themed, init=False)

    def on_screen_resume(self) -> None:
        """At once; a file that was broken may have been mended."""
        self._desk.forget_mistakes()
        self.look()

    def on_resize(self) -> None:
        """Lines are fitted to the width."""
        self.call_after_refresh(self._draw)

    def _themed(self, _theme: str) -> None:
        self._draw()

    def _tick(self) -> None:
        if self.is_current and not self._reading and time.monotonic() >= self._next:
            self.look()

    @property
    def _front(self) -> Seen | None:
        """The study that is chosen; at first the liveliest one."""
        return _front(self._seen, self._asked.key)

    # What comes in

    def look(self) -> None:
        """Read again; at once after a look that is under way."""
        if self._reading:
            self._again = True
        else:
            self._reading, self._again = True, False
            self._look(self._asked, tuple(self._opened))

    @work(thread=True, group="look")
    def _look(self, asked: Asked, opened: Sequence[Path]) -> None:
        """The only place where files are read: first how far the studies are, then the report of the one in front."""
        began, now = time.monotonic(), self.session.now()
        seen = self._desk.look(now, asked.key, opened)
        if get_current_worker().is_cancelled:
            return
        self.app.call_from_thread(self._arrived, seen)
        front = _front(seen, asked.key)
        if front is not None:
            asked = replace(asked, key=front.entry.key)
            document = self._desk.report(front, asked, now)
            self.app.call_from_thread(self._reported, asked, document)
        self._next = time.monotonic() + REST * (time.monotonic() - began)

    def _arrived(self, seen: tuple[Seen, ...]) -> None:
        self._seen = seen
        self._draw()

    def _reported(self, asked: Asked, document: Document | None) -> None:
        self._reading = False
        if asked == self._asked:
            self._document = document
            self._draw()
        if self._again or asked != self._asked:
            self.look()

    def _choose(self, key: str) -> None:
        """Another study in front."""
        if key != self._asked.key:
            self._asked, self._document = Asked(key=key), None
            self._draw()
            self.look()

    # What is shown

    def _draw(self) -> None:
        front = self._front
        if front is None or not self.is_attached:
            return
        panels, palette, rows = self.query_one(StudyPanels), self.palette, self._seen
        listed = self.query_one(StudyList)

        def fill(width: int) -> list[tuple[str, list[Text]]]:
            lines = saying.studies(rows, front.entry.key, width, palette)
            return [(one.entry.key, [line]) for one, line in zip(rows, lines, strict=True)]

        listed.show(fill)
        if listed.cursor != front.entry.key:
            listed.put(front.entry.key)
        if not self._asked.key:
            self._asked = replace(self._asked, key=front.entry.key)
        self.set_class(front.progress is None, "-broken")
        panels.turn(self._page)
        self._draw_plan(panels, front)
        self._draw_report(panels, front)

    def _draw_plan(self, panels: StudyPanels, front: Seen) -> None:
        palette, progress = self.palette, front.progress
        self.query_one(StudyMatrix).show(plan.plan(front))
        if progress is None:
            return
        done = f"{progress.counts['done']} of {len(progress.statuses)} done"
        panels.entitle("plan", f"Plan of {progress.study.name}", f"{done} \u00b7 {progress.at_once} at once")
        cell_status, cost = self._cell_status, front.cost
        if cell_status is not None:
            panels.entitle("run", saying.called(cell_status))
            known = saying.run(cell_status, cost, 400, palette)
            panels.say("run", _mark(known), lambda width: saying.run(cell_status, cost, width, palette))

    def _draw_report(self, panels: StudyPanels, front: Seen) -> None:
        palette, document = self.palette, self._document
        if front.progress is None:
            panels.entitle("report", "What is wrong", f"{front.entry.name}: mend it, and it is read again")
            panels.say("report", saying.problems(front), partial(_wrong, saying.problems(front), palette.bad))
            return
        panels.entitle("plot", "Trade-off")
        if document is None:
            panels.say("report", "", lambda _width: [Text("Reading its runs ...", palette.muted)])
            return
        wanted = self._asked.checkpoint or front.progress.study.layout.checkpoint
        panels.entitle("report", f"Report: {front.progress.study.title}", f"{wanted} checkpoint \u00b7 w changes it")
        panels.report(document)
        figure = next((one for one in document.figures if one.kind == "scatter"), None)
        if figure is None:
            words = "Two rows with clean and robust accuracies make a plot."
            panels.say("plot", words, lambda width: wrapped(words, width, palette.muted, "", ""))
        else:
            panels.entitle("plot", f"Trade-off: {figure.title}")
            panels.trade(figure)

    # Where the cursor goes

    def on_queue_list_edge(self, message: QueueList.Edge) -> None:
        """From the last study to the plan."""
        if message.direction > 0:
            self._turn("plan")

    @on(StudyMatrix.Edge)
    def _up(self) -> None:
        self._turn("list")

    @on(StudyMatrix.Moved)
    def _moved(self) -> None:
        self._draw()

    @on(StudyList.Moved)
    def _chosen(self, message: StudyList.Moved) -> None:
        if message.key in {one.entry.key for one in self._seen}:
            self._choose(message.key)

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        """The page in front is the one with the focus."""
        if event.widget.id in PAGES and event.widget.id != self._page and not self._turning:
            self._page = event.widget.id
            self.query_one(StudyPanels).turn(self._page)


def _wrong(problems: Sequence[str], colour: str, width: int) -> list[Text]:
    return [line for problem in problems for line in wrapped(problem, width, colour, "", "  ")]


def _front(seen: Sequence[Seen], key: str) -> Seen | None:
    """The study of this key; else the liveliest one."""
    return next((one for one in seen if one.entry.key == key), None) or next(iter(sorted(seen, key=_liveliness)), None)


def _liveliness(seen: Seen) -> int:
    """What is at work first, then what was begun."""
    if seen.progress is None:
        return 3
    return 0 if seen.progress.busy else 1 if any(s.run for s in seen.progress.statuses) else 2


def _mark(lines: Sequence[Text]) -> object:
    return tuple((line.plain, tuple(line.spans)) for line in lines)
