"""Export some runs: which format, to where, and the same as a command. What writes is a process of its own.

So neither matplotlib nor MLflow nor torch ever enters this one. Allowed with --readonly: nothing in a run's folder is
touched, for what is written goes elsewhere, and `crdnd export` refuses to write into one.
"""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from crdnd_tui.core import engine_process
from crdnd_tui.core.text import display
from crdnd_tui.write.formats import FORMATS, ExportFormat, ExportRequest, default_path

KEYS = "enter export   ctrl+r and replace   tab target   esc back"


class Export(ModalScreen[None]):
    """Stays until the export is done and its path, or what went wrong, was read."""

    VERTICAL_BREAKPOINTS = [(0, "-low"), (34, "-tall")]  # noqa: RUF012  as in Textual's Screen
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Back", show=False),
        Binding("enter", "go(False)", "Export", show=False, priority=True),
        Binding("ctrl+r", "go(True)", "Export and replace", show=False, priority=True),
    ]

    def __init__(
        self,
        runs: Sequence[str],
        folder: Path,
        checkpoint: str = "",
        *,
        baseline: str = "",
        grouped: bool | None = None,
    ) -> None:
        """`baseline` and `grouped` are those of a comparison; see ExportRequest."""
        super().__init__()
        self._runs, self._folder, self._checkpoint = tuple(runs), folder, checkpoint
        self._baseline, self._grouped = baseline, grouped
        self._process: Process | None = None
        self._proposed = ""
        self._busy = self._done = False

    def compose(self) -> ComposeResult:
        width = max(len(one.name) for one in FORMATS) + 2
        with Vertical(classes="dialog", id="export") as box:
            many = self._runs[0] if len(self._runs) == 1 else f"{len(self._runs)} runs"
            box.border_title = Content(f"Export {many}")
            lines = (Text.assemble((f"{one.name:<{width}}", "bold"), one.says) for one in FORMATS)
            yield OptionList(*(Option(line) for line in lines), compact=True, markup=False)
            with Horizontal(id="target"):
                yield Static("to ", markup=False)
                yield Input("", compact=True, select_on_focus=False)
            yield Static("", id="order", markup=False)
            with VerticalScroll(id="said"):
                yield Static("", markup=False)
            yield Static(KEYS, classes="keys", markup=False)

    def on_mount(self) -> None:
        """The first format."""
        self.query_one("#said").display = False
        self.query_one(OptionList).highlighted = 0

    @property
    def _form(self) -> ExportFormat:
        return FORMATS[self.query_one(OptionList).highlighted or 0]

    def order(self, *, force: bool = False) -> ExportRequest:
        """As the dialog stands now; `force` replaces what lies there."""
        where = self.query_one(Input).value.strip() or default_path(self._runs, self._form, self._folder)
        return ExportRequest(
            runs=self._runs, to=self._form.name, out=where, folder=self._folder, force=force,
            checkpoint=self._checkpoint, baseline=self._baseline, grouped=self._grouped,
        )  # fmt: skip

    @on(OptionList.OptionHighlighted)
    def _chosen(self) -> None:
        """A target that the user wrote keeps its name; only its suffix follows the format."""
        field, before = self.query_one(Input), self._proposed
        self._proposed = default_path(self._runs, self._form, self._folder)
        written = field.value.strip()
        own = written not in ("", before) and not written.endswith("/")
        field.value = str(Path(written).with_suffix(self._form.suffix)) if own else self._proposed
        self._tell_order()

    @on(Input.Changed)
    def _tell_order(self) -> None:
        self._tell(self.order())

    def _tell(self, order: ExportRequest) -> None:
        self.query_one("#order", Static).update(display(order.line))

    def action_go(self, force: bool) -> None:
        """Start it; once it is done, the same key closes."""
        if self._done:
            self.dismiss(None)
        elif not self._busy:
            self._busy = True
            order = self.order(force=force)
            self._tell(order)
            self._say("writing \u2026")
            self._export(order)

    def action_leave(self) -> None:
        """What is being written is given up."""
        self.dismiss(None)

    def on_unmount(self) -> None:
        """Nothing is written behind a closed dialog, or app; a file that is not whole is not there."""
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGTERM)

    @work(group="export")
    async def _export(self, order: ExportRequest) -> None:
        path = os.pathsep.join(filter(None, [str(engine_process.ROOT), os.environ.get("PYTHONPATH", "")]))
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", "crdnd_tui", *order.arguments,
                stdin=DEVNULL, stdout=PIPE, stderr=PIPE, start_new_session=True, env={**os.environ, "PYTHONPATH": path},
            )  # fmt: skip
        except OSError as error:
            self._ended(1, "", f"it cannot be started: {error.strerror or error}")
            return
        out, err = await self._process.communicate()
        self._ended(self._process.returncode or 0, out.decode(errors="replace"), err.decode(errors="replace"))

    def _ended(self, code: int, out: str, err: str) -> None:
        """The paths, or the whole error."""
        self._busy, self._done = False, code == 0
        if code == 0:
            self._say("written:\n" + out.strip() + (f"\n{err.strip()}" if err.strip() else ""))
            self.query_one(".keys", Static).update("enter close   esc close")
        else:
            self._say((err.strip() or out.strip() or f"it ended with exit code {code}"), bad=True)

    def _say(self, words: str, *, bad: bool = False) -> None:
        said = self.query_one("#said")
        said.display = True
        said.set_class(bad, "-bad")
        said.query_one(Static).update(display(words))
