"""Live: one run, at work or saved, its own or copied from elsewhere. Curves, classes, robustness, log."""

import threading
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from textual import work
from textual.binding import ActiveBinding, Binding, BindingType
from textual.message import Message
from textual.widget import Widget
from textual.worker import get_current_worker

from crdnd_tui.tui.monitor.run_curves import Curves
from crdnd_tui.tui.monitor.tracking import Look, Tracker, newest
from crdnd_tui.tui.screens.live import words
from crdnd_tui.tui.screens.live.actions import RunActions
from crdnd_tui.tui.screens.live.panels import Panels
from crdnd_tui.tui.widgets.chart import Chart
from crdnd_tui.tui.widgets.status_line import Notice, StatusLine
from engine.spec import files
from engine.spec.rundir import RUN_ID, RunDir

_CHART_KEYS = {
    "y": "Log Y", "x": "Log X", "s": "Smoothing", "plus": "Zoom in", "equals_sign": "Zoom in", "minus": "Zoom out",
    "0": "All of it", "left_square_bracket": "Pan left", "right_square_bracket": "Pan right",
    "comma": "Crosshair left", "full_stop": "Crosshair right",
}  # fmt: skip
_TITLES = {"bars": "accuracy per class", "map": "accuracy by epoch", "matrix": "the matrix M"}


class Arrived(Message):
    """A look at the run was taken; `curves` came with the first one."""

    def __init__(self, look: Look | None, tracker: Tracker | None, curves: Curves | None = None) -> None:
        super().__init__()
        self.look, self.tracker, self.curves = look, tracker, curves


class LiveScreen(RunActions):
    """One run; a thread reads what is new while the screen is in front."""

    NAME = "Live"
    SAYS = "One run as it goes, or as it went. Keys of the curves reach the loss while no panel is in focus."
    CHANGES = frozenset({"stop", "kill", "resume"})
    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("z", "maximise", "Maximise", tooltip="the panel in focus on the whole screen, and back"),
        Binding("a", "images", "x or x'", tooltip="classes on clean or on adversarial images"),
        Binding("M", "matrix", "Matrix", tooltip="heat map over epochs, or the matrix M of the ACM"),
        Binding("E", "examples", "Examples", tooltip="adversarial examples of this run"),
        Binding("e", "export", "Export", tooltip="this run: tables, plots, a report, the student"),
        Binding("r", "resume", "Resume", show=False, tooltip="a run that ended goes on from its last checkpoint"),
        Binding("ctrl+s", "stop", "Stop", tooltip="asks first; the engine saves and leaves; again: kill"),
        Binding("ctrl+k,X", "kill", "Kill", show=False, tooltip="asks first"),
        Binding("C", "clone", "Clone", show=False, tooltip="a new run with this run's configuration"),
        Binding("i", "provenance", "Provenance", tooltip="code, data, hashes; the line that repeats the run"),
        Binding("V", "verify", "Verify", tooltip="judges the saved student again: do the numbers hold?"),
        Binding("l", "log", "Log", show=False, priority=True, tooltip="on the whole screen, and back"),
        Binding("p", "pause", "Pause view", show=False, tooltip="the run goes on; the picture stands still"),
        Binding("u", "quantity", "Throughput, time, rate, GPU", show=False, tooltip="what the small chart shows"),
        Binding("w", "page(1)", "Next page", show=False, tooltip="in a narrow terminal"),
        Binding("W", "page(-1)", "Page before", show=False, tooltip="in a narrow terminal"),
        Binding("T", "teacher", "Teacher's run", show=False, tooltip="the run that this one learns from"),
        Binding("D", "detach", "Detach", show=False, tooltip="back to the runs; this one goes on"),
        Binding("escape", "back", "Back", show=False),
        *(
            Binding(key, f"chart('{key}')", words, show=False, tooltip="of the loss, or the chart in focus")
            for key, words in _CHART_KEYS.items()
        ),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.look: Look | None = None
        self._tracker: Tracker | None = None
        self._curves, self._teacher_curves = Curves(), Curves()
        self._engines = []
        self._opened = "\0"  # the id that was asked for last; empty is the newest
        self._front, self._wake = threading.Event(), threading.Event()
        self._pending = self._paused = self._force = self._empty = self._opening = False
        self._from: list[str] = []  # runs that T came from

    def body(self) -> Iterable[Widget]:
        yield StatusLine(id="standing")
        yield Notice(id="notice")
        yield Panels(id="panels")

    # --- what comes in

    def on_mount(self) -> None:
        """The age of the last event grows by itself."""
        self.set_interval(1.0, self._tick)

    def on_screen_resume(self) -> None:
        """In front again: catch up, or open another run."""
        self._front.set()
        self._aim()

    def on_screen_suspend(self) -> None:
        """Behind another screen nothing is read."""
        self._front.clear()
        self._wake.set()

    def on_unmount(self) -> None:
        """The thread ends with the screen."""
        self._front.clear()
        self._wake.set()

    def _aim(self) -> None:
        wanted = self.lab.current
        if wanted != self._opened or (self._tracker is None and not self._opening):
            self._opened, self._opening = wanted, True
            self.open(wanted)
        elif self._tracker is not None and not self._opening:  # to follow the old one would end the opening
            self._follow(self._tracker)

    @work(thread=True, exclusive=True, group="look")
    def open(self, wanted: str) -> None:
        """The first look, however long the log is."""
        now = self.session.now()
        named = wanted and Path(wanted).name == wanted and not wanted.startswith(".")
        run = RunDir(self.session.runs / wanted) if named else None
        run = run or (newest(self.session.runs, now) if not wanted else None)
        if run is None:
            self.post_message(Arrived(None, None))
            return
        tracker, curves = Tracker(run), Curves()
        look = tracker.poll(now, force=True)
        if look is not None:
            curves.feed(look.state)
        if not get_current_worker().is_cancelled:
            self.post_message(Arrived(look, tracker, curves))

    @work(thread=True, exclusive=True, group="look")
    def _follow(self, tracker: Tracker) -> None:
        """Looks as often as frames are drawn; says so only when something changed and the last was drawn."""
        worker, pause = get_current_worker(), 1.0 / max(0.2, self.session.frames)
        while self._front.is_set() and not worker.is_cancelled:
            if not self._pending:
                force, self._force = self._force, False
                look = tracker.poll(self.session.now(), force=force)
                if look is not None:
                    self._pending = True
                    self.post_message(Arrived(look, tracker))
            self._wake.wait(pause)
            self._wake.clear()

    def on_arrived(self, message: Arrived) -> None:
        """A look at the run in front; one of a run that was left is passed over."""
        self._pending = False
        self._empty = message.tracker is None
        if message.curves is not None or message.tracker is None:
            self._tracker, self._curves, self._teacher_curves = message.tracker, message.curves or Curves(), Curves()
            self._paused = self._opening = False
            self.query_one(Panels).forget()
            if self._tracker is not None and self._front.is_set():
                self._follow(self._tracker)
        elif message.tracker is not self._tracker:
            return
        before, self.look = self.look, message.look
        if before is None or self.look is None or words.state_of(before) != words.state_of(self.look):
            self.refresh_bindings()
        if self.look is not None:
            self._curves.feed(self.look.state)
            if self.look.teacher is not None:
                self._teacher_curves.feed(self.look.teacher)
        if not self._paused:
            self._paint()

    @property
    def active_bindings(self) -> dict[str, ActiveBinding]:
        """The footer offers what can be done now: one at work can be stopped, one that ended be verified or go on."""
        known, living = self.look is not None, self.look is not None and self.look.living
        offered = {"stop": living, "resume": words.can_go_on(self.look), "verify": known and not living}
        return {
            key: found._replace(binding=replace(found.binding, show=offered[found.binding.action]))
            if found.binding.action in offered
            else found
            for key, found in super().active_bindings.items()
        }

    def look_again(self) -> None:
        """An action changed something."""
        self._force = True
        self._wake.set()

    def _tick(self) -> None:
        if self._front.is_set() and self._empty:
            self.open(self._opened)  # until there is a run
        if self._front.is_set() and self.look is not None:
            self._stand(self.look)
            if not self._paused:
                self.query_one(Panels).tick(self.session.now())

    # --- what is shown of it

    def _paint(self) -> None:
        panels = self.query_one(Panels)
        panels.show(self.look, self._curves, self._teacher_curves, self.session.now())
        self.query_one(StatusLine).display = self.look is not None
        if self.look is not None:
            self._stand(self.look)

    def _stand(self, look: Look) -> None:
        """The lines above the panels."""
        now = self.session.now()
        self.query_one(StatusLine).show(words.standing(look, now, paused=self._paused))
        fate = "fate" in self.query_one(Panels).places
        self.query_one(Notice).say(*words.notice(look, now, fate_shown=fate))

    # --- what the user may do

    async def action_chart(self, key: str) -> None:
        """A key of the curves while another panel, or none, is in focus: the loss takes it."""
        chart = self.query_one("#loss", Chart)
        if not chart.display:
            return
        for binding in chart._bindings.key_to_bindings.get(key, ()):
            await self.app.run_action(binding.action, chart)

    def _panel(self) -> str:
        """The panel in focus, or the one that tells most."""
        panels = self.query_one(Panels)
        focused = self.focused.id if self.focused is not None else None
        return focused if focused in panels.places else panels.main()

    def action_maximise(self) -> None:
        """One panel on the whole screen, and back."""
        panels = self.query_one(Panels)
        panels.maximise(panels.maximised or self._panel())

    def action_log(self) -> None:
        """The log on the whole screen, and back."""
        self.query_one(Panels).maximise("log")

    def action_images(self) -> None:
        """Classes on clean or adversarial images."""
        shown = self.query_one(Panels).other_images()
        self._say("classes on clean images x" if shown == "clean" else "classes on adversarial images x'")

    def action_matrix(self) -> None:
        """What stands in the place of the classes."""
        self._say(_TITLES[self.query_one(Panels).turn_acm()])

    def action_quantity(self) -> None:
        """Throughput, learning rate, GPU."""
        self._say(self.query_one(Panels).next_quantity())

    def action_page(self, step: int) -> None:
        """In a narrow terminal."""
        self.query_one(Panels).turn_page(step)

    def action_pause(self) -> None:
        """The picture stands still; reading goes on."""
        self._paused = not self._paused
        if self._paused and self.look is not None:
            self._stand(self.look)
        else:
            self._paint()

    def action_examples(self) -> None:
        """On their own screen."""
        if self.look is not None:
            self.lab.open_run(self.look.path.name, "examples")

    def action_teacher(self) -> None:
        """The run that this one learns from, at work or finished."""
        look = self.look
        state = look.state if look else None
        name = (state.teacher_run or (state.teacher.source.split(" ")[0] if state.teacher else "")) if state else ""
        if look is None or not RUN_ID.fullmatch(name) or not files.is_folder(self.session.runs / name):
            self._say("its teacher is no run in this folder", bad=True)
            return
        self._from.append(look.path.name)
        self._go(name)

    def _go(self, run: str) -> None:
        self.lab.open_run(run)
        self._aim()

    def action_detach(self) -> None:
        """The run never needed us."""
        if self.look is not None and self.look.living:
            self._say("the run goes on; 3 comes back to it")
        self.lab.show("runs")

    def action_back(self) -> None:
        """One thing at a time: the maximised panel, the focus, the student's run, the list of runs."""
        panels = self.query_one(Panels)
        if panels.maximised:
            panels.maximise("")
        elif self.focused is not None:
            self.set_focus(None)
        elif self._from:
            self._go(self._from.pop())
        else:
            self.lab.show("runs")
