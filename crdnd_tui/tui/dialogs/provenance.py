"""Where a run's numbers come from, and the one line that repeats the run, ready to be copied."""

import asyncio
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from crdnd_tui.core import provenance
from crdnd_tui.core.text import display
from crdnd_tui.tui.widgets.text_sheet import TextSheet
from engine.spec.rundir import RunDir


class ProvenanceDialog(ModalScreen[None]):
    """What `crdnd show RUN --provenance` prints; files are hashed in a thread, for weights and logs may be large."""

    VERTICAL_BREAKPOINTS = [(0, "-flat"), (20, "-low"), (34, "-tall")]  # noqa: RUF012  as in Textual's Screen
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Back", show=False),
        Binding("c", "copy", "Copy the line", show=False),
        Binding("down,j", "scroll(1)", "Down", show=False),
        Binding("up,k", "scroll(-1)", "Up", show=False),
    ]

    def __init__(self, run: RunDir) -> None:
        super().__init__()
        self._run, self._line = run, ""

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog", id="provenance") as box:
            box.border_title = Content(f"Provenance {display(self._run.id, 80)}")
            yield TextSheet(id="origins")
            yield Static("reproduce", id="title", markup=False)
            yield Static("", id="reproduce", markup=False)
            yield Static("", id="notes", markup=False)
            yield Static("c copy the line   \u2191 \u2193 scroll   esc back", classes="keys", markup=False)

    def on_mount(self) -> None:
        """The files are read at once."""
        sheet = self.query_one(TextSheet)
        sheet.show(lambda _width: [Text("reading \u2026", "dim")])
        sheet.focus()
        self._read()

    @work(group="provenance")
    async def _read(self) -> None:
        try:
            found = await asyncio.to_thread(provenance.read, self._run)
        except OSError as error:
            trouble = f"its folder cannot be read: {error.strerror or error}"
            self.query_one(TextSheet).show(lambda _width: [Text(trouble)])
            return
        self.query_one(TextSheet).show(lambda width: provenance.fact_lines(found, max(20, width - 1)))
        self._line = display(found.reproduce())
        self.query_one("#reproduce", Static).update(self._line)
        notes = self.query_one("#notes", Static)
        notes.update("\n".join(found.warnings))
        notes.display = bool(found.warnings)

    def action_copy(self) -> None:
        """Through the terminal (OSC 52), so that it arrives from a machine far away, too."""
        if self._line:
            self.app.copy_to_clipboard(self._line)
            words = "The line was handed to the terminal's clipboard. If it does not arrive there, select it by mouse."
            self.app.notify(words, markup=False, timeout=4)

    def action_scroll(self, rows: int) -> None:
        """By a row."""
        self.query_one(TextSheet).scroll_relative(y=rows, animate=False)

    def action_leave(self) -> None:
        """Nothing was changed."""
        self.dismiss(None)
