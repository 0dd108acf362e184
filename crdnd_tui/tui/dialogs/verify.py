"""Verify a run: how much is judged again and what that costs, then every check as it is made, and the verdict.

The same engine as that of `crdnd verify` works in a process of its own, so the terminal goes on meanwhile. Allowed
with --readonly: it takes this machine's time, but the run is only read, and what it computes lies in a temporary
folder that goes with it.
"""

import asyncio
import os
import signal
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from crdnd_tui.core import verifying
from crdnd_tui.core.palette import named
from crdnd_tui.core.text import display
from crdnd_tui.core.verifying import VerifyCost, VerifyReport
from crdnd_tui.tui.dialogs import verify_page
from crdnd_tui.tui.dialogs.question import Question
from crdnd_tui.tui.widgets.text_sheet import TextSheet
from engine.spec.errors import CrdndError
from engine.spec.rundir import RunDir

CHOOSING, RUNNING, STOPPING, ENDED = "choosing", "running", "stopping", "ended"
KEYS = {
    CHOOSING: "q quick   f full   esc back",
    RUNNING: "esc stop   \u2191 \u2193 scroll",
    STOPPING: "esc kill   \u2191 \u2193 scroll",
    ENDED: "esc close   \u2191 \u2193 scroll",
}


class VerifyDialog(ModalScreen[None]):
    """Its engine never outlives it: whoever leaves this dialog, or the app, stops the engine."""

    VERTICAL_BREAKPOINTS = [(0, "-flat"), (20, "-low"), (34, "-tall")]  # noqa: RUF012  as in Textual's Screen
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Back", show=False),
        Binding("q", "go(True)", "Quick", show=False),
        Binding("f", "go(False)", "Full", show=False),
        Binding("enter", "enter", "Quick, then close", show=False),
        Binding("down,j", "scroll(1)", "Down", show=False),
        Binding("up,k", "scroll(-1)", "Up", show=False),
    ]

    def __init__(self, run: RunDir, data: Path) -> None:
        super().__init__()
        self._run, self._data = run, data
        self._phase, self._course = CHOOSING, VerifyReport()
        self._extents: tuple[VerifyCost, VerifyCost] | None = None
        self._trouble, self._quick = "", False
        self._engine: Process | None = None

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog", id="verify") as box:
            box.border_title = Content(f"Verify {display(self._run.id, 80)}")
            yield TextSheet(id="checks")
            yield Static("", id="now", markup=False)
            yield Static(KEYS[CHOOSING], classes="keys", markup=False)

    def on_mount(self) -> None:
        """What it costs is told first."""
        self.watch(self.app, "theme", self._themed, init=False)
        self.query_one(TextSheet).focus()
        self._draw()
        self._price()

    def on_unmount(self) -> None:
        """However it was left."""
        self._send(signal.SIGTERM)

    @work(group="price")
    async def _price(self) -> None:
        try:
            self._extents = await asyncio.to_thread(verifying.extents, self._run)
        except (CrdndError, OSError) as error:
            self._trouble = f"What it costs cannot be said: {error}"
        self._draw()

    # --- what the user may do

    def action_go(self, quick: bool) -> None:
        """Start it."""
        if self._phase == CHOOSING:
            self._phase, self._quick, self._trouble = RUNNING, quick, ""
            self._draw()
            self._work(quick)

    def action_enter(self) -> None:
        """The quick one; once it has ended, the same key closes."""
        if self._phase == ENDED:
            self.dismiss(None)
        else:
            self.action_go(True)

    def action_leave(self) -> None:
        """While it works: asked, then stopped, then killed."""
        if self._phase in (CHOOSING, ENDED):
            self.dismiss(None)
        elif self._phase == STOPPING:
            self._send(signal.SIGKILL)
        else:
            words = ["What was checked so far stays here to be read; there is no verdict."]
            self.app.push_screen(Question("Stop verifying", words, [("s", "stop")]), self._answered)

    def _answered(self, word: str | None) -> None:
        if word == "stop" and self._phase == RUNNING:
            self._phase = STOPPING
            self._draw()
            self._send(signal.SIGTERM)
            self.set_timer(verifying.PATIENCE, lambda: self._send(signal.SIGKILL))

    def action_scroll(self, rows: int) -> None:
        """By a row."""
        self.query_one(TextSheet).scroll_relative(y=rows, animate=False)

    def _send(self, number: signal.Signals) -> None:
        if self._engine is not None and self._engine.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self._engine.pid, number)

    # --- the engine

    @work(group="verify")
    async def _work(self, quick: bool) -> None:
        """Its lines, and how it left."""
        flags = await asyncio.to_thread(verifying.flags, self._run, self._data, quick=quick)
        with tempfile.TemporaryFile() as complaints:
            try:
                engine = await asyncio.create_subprocess_exec(
                    *verifying.verify_command(self._run, flags), limit=verifying.MAX_LINE, start_new_session=True,
                    stdin=DEVNULL, stdout=PIPE, stderr=complaints, env=verifying.environment(),
                )  # fmt: skip
            except OSError as error:
                self._ended(f"The engine cannot be started: {error.strerror or error}")
                return
            self._engine = engine
            if self._phase == STOPPING or not self.is_attached:  # asked while it was being started
                self._send(signal.SIGTERM)
            await self._listen(engine)
            code = await engine.wait()
            complaints.seek(0)
            self._ended("" if self._course.verdict else self._course.trouble(code, complaints.read()))

    async def _listen(self, engine: Process) -> None:
        assert engine.stdout is not None
        while True:
            try:
                raw = await engine.stdout.readline()
            except ValueError:  # a line longer than MAX_LINE is none of ours
                continue
            if not raw:
                return
            word = verifying.decode_line(raw)
            if word is not None:
                self._course = self._course.after(word)
                self._draw()

    def _ended(self, trouble: str) -> None:
        stopped = self._phase == STOPPING and self._course.verdict is None
        self._trouble = "Stopped; the run was only read." if stopped else trouble
        self._phase = ENDED
        self._draw()

    # --- what is shown

    def _themed(self, _theme: str) -> None:
        self._draw()

    def _draw(self) -> None:
        """Of everything that is known; the last check stays in sight unless the user has scrolled up."""
        if not self.is_attached:
            return
        palette, course, extents, trouble = named(self.app.theme), self._course, self._extents, self._trouble
        sheet, now = self.query_one(TextSheet), self.query_one("#now", Static)
        at_end = sheet.is_vertical_scroll_end
        if self._phase == CHOOSING:
            sheet.show(lambda width: verify_page.choice(extents, trouble, width, palette))
        else:
            sheet.show(lambda width: verify_page.checks(course, width, palette))
            if at_end:
                self.call_after_refresh(sheet.scroll_end, animate=False)
        self.set_class(self._phase != CHOOSING, "-started")
        self.query_one("#verify").border_subtitle = Content(verify_page.tally(course))
        width = max(20, sheet.size.width)
        now.update(
            verify_page.now(course, trouble, self._phase == STOPPING, width, palette)
            if self._phase != CHOOSING
            else Text(f"crdnd verify {display(self._run.id, 80)} --quick", palette.muted)
        )
        self.query_one(".keys", Static).update(KEYS[self._phase])
