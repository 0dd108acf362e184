"""Queue: what is at work on each device, what waits for one, and what became of the rest."""

import asyncio
from collections.abc import Callable, Iterable
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widget import Widget
from textual.widgets import Static

from crdnd_tui.core.text import display, one_line
from crdnd_tui.queue import actions, worker
from crdnd_tui.queue.snapshot import QueueEntry, QueueSnapshot, SnapshotReader
from crdnd_tui.queue.tickets import SLOTS, Queue
from crdnd_tui.tui.dialogs.question import Question
from crdnd_tui.tui.screen import LabScreen
from crdnd_tui.tui.screens.queue import rows
from crdnd_tui.tui.widgets.queue_list import QueueList, Rows
from engine.spec.errors import CrdndError

EVERY = 2.0  # seconds between two looks while the screen is in front
ROOMY = 50  # columns for the whole card of an empty queue


class QueueScreen(LabScreen):
    """Runs that wait for a device."""

    NAME = "Queue"
    SAYS = (
        "Runs that wait for a device. The worker starts them one after another; it goes on when the terminal is closed."
    )
    AUTO_FOCUS = ""  # what waits has it, once it is known
    CHANGES = frozenset({"move", "hold", "cancel", "retry", "slots", "clear", "wake"})
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Open", tooltip="on Live"),
        Binding("n", "app.show('new')", "New run"),
        Binding("J,shift+down", "move('down')", "Later", show=False, tooltip="the waiting run changes places"),
        Binding("K,shift+up", "move('up')", "Earlier", show=False, tooltip="the waiting run changes places"),
        Binding("T", "move('top')", "First", show=False, tooltip="the waiting run is the next"),
        Binding("space", "hold", "Hold", tooltip="a waiting run is not started until it is released with the same key"),
        Binding("x", "cancel", "Cancel", tooltip="takes a waiting run off the queue"),
        Binding("R", "retry", "Retry", tooltip="what stopped or failed waits again, and goes on from its checkpoint"),
        Binding("plus,equals_sign", "slots(1)", "More at once", show=False, tooltip="runs that share a device"),
        Binding("minus", "slots(-1)", "Fewer at once", show=False, tooltip="runs that share a device"),
        Binding("c", "clear", "Clear ended", show=False, tooltip="forgets those that ended; the runs stay"),
        Binding("W", "wake", "Start worker", show=False, tooltip="when it died or was stopped"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._snapshot: QueueSnapshot | None = None
        self._reader: SnapshotReader | None = None
        self._words = Text()  # of the card that stands where nothing waits

    def body(self) -> Iterable[Widget]:
        """Devices above; what waits and what ended below, or beside each other."""
        with Vertical(id="words", classes="panel"):
            yield Static("", id="says", markup=False)
        with Vertical(id="lists"):
            yield QueueList(id="devices")
            yield QueueList(id="waiting")
            yield QueueList(id="ended")

    def on_mount(self) -> None:
        """Looks again and again, but only while it is in front."""
        self._reader = SnapshotReader(self.session.runs)
        self.query_one("#lists").display = False
        self.query_one("#words").border_title = "Queue"
        self.set_interval(EVERY, self._tick)
        self.watch(self.app, "theme", self._repaint, init=False)

    def on_screen_resume(self) -> None:
        """A worker for what waits, should none be there; then a look."""
        if not self.session.readonly:
            self._do(lambda: "", wake=True)
        else:
            self.look()

    def on_resize(self) -> None:
        """A flat screen says less."""
        self.call_after_refresh(self._draw)

    def _tick(self) -> None:
        if self.is_current:
            self.look()

    def _repaint(self, _theme: str) -> None:
        self._draw()

    @work(exclusive=True, group="look")
    async def look(self, follow: str = "") -> None:
        """Read the queue and show it; the cursor goes to the run `follow` if that is named."""
        if self._reader is None:
            return
        now = self.session.now()
        self._snapshot = await asyncio.to_thread(self._reader.read, now)
        self._draw()
        if follow:
            self._go_to(follow)

    def _draw(self) -> None:
        snapshot, palette, now = self._snapshot, self.palette, self.session.now()
        if snapshot is None or not self.is_attached:
            return
        lists = self.query_one("#lists")
        nothing = not snapshot.queued and not snapshot.ended and not snapshot.jobs
        self.query_one("#words").display = nothing
        lists.display = not nothing
        if nothing:
            self._say(rows.empty(palette, short=self.has_class("-flat") or self.size.width < ROOMY))
            return
        devices, waiting, ended = (self.query_one(f"#{name}", QueueList) for name in ("devices", "waiting", "ended"))
        flat = self.has_class("-flat")

        def work_rows(width: int) -> Rows:
            found = [row for of in snapshot.devices for row in rows.device(of, snapshot, width, palette, flat=flat)]
            return found if flat else [*found, ("", [rows.worker(snapshot, palette)])]

        def waiting_rows(width: int) -> Rows:
            lines = rows.queued(snapshot.queued, width, palette)
            return [(e.run, of) for e, of in zip(snapshot.queued, lines, strict=True)] or _none(palette.muted)

        def ended_rows(width: int) -> Rows:
            lines = rows.ended(snapshot.ended, width, palette, now)
            return [(entry.run, of) for entry, of in zip(snapshot.ended, lines, strict=True)]

        devices.show(work_rows)
        waiting.show(waiting_rows)
        ended.show(ended_rows)
        self.set_class(not snapshot.ended, "-alone")
        self.set_class(not snapshot.queued and bool(snapshot.ended), "-over")
        self._title(snapshot, devices, waiting, ended)
        if not isinstance(self.focused, QueueList) or not self.focused.keys or not self.focused.display:
            (waiting if waiting.keys else devices if devices.keys else ended).focus()

    def _say(self, words: Text) -> None:
        if words != self._words:
            self._words = words
            self.query_one("#says", Static).update(words)

    def _title(self, snapshot: QueueSnapshot, devices: QueueList, waiting: QueueList, ended: QueueList) -> None:
        """Titles left, figures right, all in the borders."""
        starved = not snapshot.worker and any(e.ticket and e.ticket.state == "waiting" for e in snapshot.queued)
        room = rows.room(snapshot)
        studies = "".join(f" \u00b7 {study.text}" for study in snapshot.studies[:2])  # `digits 14/27`
        devices.entitle(f"Devices{studies}", "no worker: W" if starved and self.has_class("-flat") else room)
        held = sum(entry.ticket is not None and entry.ticket.state == "held" for entry in snapshot.queued)
        many = f"{len(snapshot.queued) - held} waiting" + (f", {held} held" if held else "")
        more = many if snapshot.queued else ""
        if snapshot.damaged:
            names = one_line(", ".join(snapshot.damaged), 40)
            more = f"{len(snapshot.damaged)} damaged: {names}"
        waiting.entitle("Waiting", more)
        failed = sum(entry.ticket is not None and entry.ticket.state == "failed" for entry in snapshot.ended)
        ended.entitle("Ended", f"{len(snapshot.ended)} runs" + (f", {failed} failed" if failed else ""))

    def on_queue_list_edge(self, message: QueueList.Edge) -> None:
        """The arrows walk from panel to panel."""
        lists = [of for of in self.query(QueueList) if of.keys and of.display]
        here = next((k for k, of in enumerate(lists) if of.has_focus), None)
        if here is not None and 0 <= here + message.direction < len(lists):
            there = lists[here + message.direction]
            there.focus()
            there.put(there.keys[0 if message.direction > 0 else -1])

    def _go_to(self, run: str) -> None:
        for of in self.query(QueueList):
            if run in of.keys:
                of.focus()
                of.put(run)

    @property
    def _run(self) -> str:
        """Under the cursor."""
        return self.focused.cursor if isinstance(self.focused, QueueList) else ""

    @property
    def _entry(self) -> QueueEntry | None:
        snapshot = self._snapshot or QueueSnapshot()
        everyone = (*snapshot.jobs, *snapshot.queued, *snapshot.ended)
        return next((entry for entry in everyone if entry.run == self._run), None)

    @work
    async def _do(self, act: Callable[[], str], *, wake: bool = False, follow: str = "") -> None:
        """Off the event loop; what went wrong is told, and what went right in a word."""
        try:
            words = await asyncio.to_thread(act)
            if wake:
                await asyncio.to_thread(worker.wake, self.session.runs)
        except (CrdndError, OSError) as error:
            self.notify(display(str(error)), severity="warning", markup=False)
        else:
            if words:
                self.notify(words, markup=False, timeout=3)
        self.look(follow)

    def action_open(self) -> None:
        """The run on Live."""
        if self._run:
            self.lab.open_run(self._run)

    def action_move(self, where: str) -> None:
        """Places are changed."""
        run, queue = self._run, Queue(self.session.runs)
        if run:
            self._do(lambda: _quietly(queue.move, run, where), follow=run)

    def action_hold(self) -> None:
        """Held, or released."""
        entry, runs = self._entry, self.session.runs
        if entry is None or entry.ticket is None or entry.ticket.state not in ("waiting", "held"):
            self.notify("Only a waiting run can be held.", markup=False, timeout=3)
        elif entry.ticket.state == "held":
            self._do(lambda: _quietly(actions.release, runs, entry.run), follow=entry.run)
        else:
            self._do(lambda: _quietly(Queue(runs).hold, entry.run), follow=entry.run)

    def action_cancel(self) -> None:
        """Asks first."""
        entry, runs = self._entry, self.session.runs
        if entry is None:
            return
        if entry.ticket is None or entry.ticket.state not in ("waiting", "held"):
            atwork = entry.ticket is None or entry.ticket.state == "running"
            self.notify("It is at work: x on Runs stops it." if atwork else "It has ended.", markup=False, timeout=4)
            return

        def answered(word: str | None) -> None:
            if word:
                self._do(lambda: actions.cancel(runs, entry.run))

        begun = entry.row is not None and entry.row.state != "queued"
        kept = "It was begun: its folder stays." if begun else "Never started, its folder goes to .trash."
        words = [one_line(rows.title(entry), 64), "", kept]
        self.app.push_screen(Question("Take it off the queue?", words, [("y", "take it off")]), answered)

    def action_retry(self) -> None:
        """Once more."""
        run, runs = self._run, self.session.runs
        if not run:
            self.notify("There is nothing to retry.", markup=False, timeout=3)
        else:
            self._do(lambda: _quietly(actions.retry, runs, run), follow=run)

    def action_slots(self, by: int) -> None:
        """Runs at once on a device."""
        queue = Queue(self.session.runs)
        count = min(max(queue.at_once + by, SLOTS[0]), SLOTS[-1])
        self._do(lambda: _quietly(queue.set_at_once, count))

    def action_clear(self) -> None:
        """Those that ended leave the list."""
        queue = Queue(self.session.runs)
        self._do(lambda: f"{queue.clear()} left the list; their runs stay.")

    def action_wake(self) -> None:
        """The worker, by hand."""
        self._do(lambda: "", wake=True)


def _none(colour: str) -> list[tuple[str, list[Text]]]:
    return [("", [Text("Nothing waits: a on 2 New adds a run", colour)])]


def _quietly(act: Callable[..., object], *arguments: object) -> str:
    """What it returns is for others."""
    act(*arguments)
    return ""
