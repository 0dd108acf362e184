"""New run: a form made from the spec's types, the preset as TOML beside it, what it will cost below, and the launch."""

import asyncio
import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import SuspendNotSupported
from textual.binding import Binding, BindingType
from textual.content import Content

from crdnd_tui.core import cost_summary, launch, presets, run_actions
from crdnd_tui.core.text import display
from crdnd_tui.queue import actions
from crdnd_tui.queue.tickets import Queue
from crdnd_tui.tui.dialogs.question import Ask, Question
from crdnd_tui.tui.form.draft import DraftError
from crdnd_tui.tui.form.editing import Editing
from crdnd_tui.tui.screens.new.desk import Desk, PresetWanted
from crdnd_tui.tui.widgets.control import Line
from crdnd_tui.tui.widgets.sheets import Sheet, reading
from crdnd_tui.tui.widgets.tabs import TabLine
from engine.spec import estimate, files, folders, toml
from engine.spec.config import RunConfig
from engine.spec.errors import ConfigError, CrdndError
from engine.spec.rundir import RunDir
from engine.spec.toml_text import decode_utf8


class NewScreen(Desk):
    """What its keys do. Launching, queueing and writing are refused while only reading is allowed."""

    NAME = "New"
    SAYS = "A preset is made here, checked at every key, and launched or queued. Empty fields keep their default."
    CHANGES = frozenset({"launch", "enqueue", "write", "editor"})
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "launch", "Launch"),
        Binding("f6,a", "enqueue", "Queue", tooltip="start it when the runs before it are done"),
        Binding("f2,ctrl+w,w", "write", "Write", tooltip="save the preset as a file"),
        Binding("f5", "dry_run", "Dry run", tooltip="the whole config with every default, and its cost"),
        Binding("f3", "toml", "TOML", tooltip="show or hide the preset's text"),
        Binding("ctrl+o,o", "open", "Open preset", show=False, tooltip="by path, or a shipped one by name"),
        Binding("ctrl+e", "editor", "Edit as text", show=False, tooltip="in $EDITOR"),
        Binding("ctrl+r", "reset", "Default", show=False, tooltip="the field says nothing of its own any more"),
        Binding("right_square_bracket", "tab(1)", "Next tab", show=False, key_display="]"),
        Binding("left_square_bracket", "tab(-1)", "Previous tab", show=False, key_display="["),
        Binding("up,k", "field(-1)", "Previous field", show=False),
        Binding("down,j", "field(1)", "Next field", show=False),
        Binding("escape", "back", "Leave the field, or back", show=False),
    ]

    _busy = False  # a launch is under way; a second key press makes no second run

    def action_tab(self, by: int) -> None:
        """The next or previous tab."""
        self.query_one("#tabs", TabLine).action_step(by)

    async def action_field(self, by: int) -> None:
        """The next or previous field; above the first is the preset."""
        preset = self.query_one("#preset")
        if by < 0 and self.focused is preset:
            return
        if not (await self.front()).go(by):
            preset.focus()

    async def action_back(self) -> None:
        """Out of the field first, then to the runs."""
        pane = await self.front()
        if pane.current is not None:
            pane.focus()
        else:
            self.lab.show("runs")

    def action_toml(self) -> None:
        """The text in place of the form where there is room for one; beside it elsewhere."""
        self.toggle_class("-toml" if self.has_class("-narrow") else "-plain")

    async def action_reset(self) -> None:
        """The field in focus says nothing of its own any more."""
        field = (await self.front()).current
        if field is None or self.editing is None:
            self.notify("No field is in focus.", timeout=2)
            return
        if isinstance(field.control, Line):
            field.control.empty()
        await self.change(self.editing.reset, field.entry)

    def action_dry_run(self) -> None:
        """What the preset means: every key, and its cost; or every mistake."""
        editing = self.editing
        if editing is None:
            return
        config = editing.config
        if config is None:
            lines = [editing.short(problem) for problem in editing.problems]
            self.app.push_screen(Sheet("Not valid yet", reading(lines)))
            return
        cost = cost_summary.lines(estimate.estimate(config))
        lines = [*cost, "", f"config hash {config.config_hash}", "", *toml.dump(config).rstrip().splitlines()]
        self.app.push_screen(Sheet("Dry run: the whole config, and its cost", reading(lines)))

    def action_launch(self) -> None:
        """A run folder, an engine, and the Live screen."""
        ready = self._ready()
        if ready is not None:
            self._busy = True
            self._launch(*ready)

    def action_enqueue(self) -> None:
        """A run folder in the queue."""
        ready = self._ready()
        if ready is not None:
            self._busy = True
            self._enqueue(*ready)

    def _ready(self) -> tuple[Editing, RunConfig] | None:
        """The config, unless something is wrong or a launch is under way; the first mistake is said."""
        editing = self.editing
        if editing is None or self._busy:
            return None
        config = editing.config
        if config is None:
            self.notify(editing.short(editing.problems[0]), title="Not launched", severity="error", markup=False)
            return None
        return editing, config

    @work(group="launch")
    async def _launch(self, editing: Editing, config: RunConfig) -> None:
        self._note("starting\u2026")
        run: RunDir | None = None
        try:
            where = launch.machine(self.session.machine_with(editing.machine))
            run = await asyncio.to_thread(folders.create, config, editing.draft.text, where)
            await asyncio.to_thread(run_actions.start, run)
        except (CrdndError, OSError) as error:
            self._complain("It did not start", error, run)
        else:
            self.launched = editing.draft.text
            if words := launch.invitation(run, where):
                self.notify(words, title="Several nodes", markup=False, timeout=60)
            self.lab.open_run(run.id)
        finally:
            self._busy = False
            self._note("")

    def _note(self, words: str) -> None:
        for panel in self.query("#estimate"):  # none, when the screen was closed in the meantime
            panel.border_subtitle = Content(words)

    @work(group="launch")
    async def _enqueue(self, editing: Editing, config: RunConfig) -> None:
        run: RunDir | None = None
        try:
            where = launch.machine(self.session.machine_with(editing.machine))
            await asyncio.to_thread(Queue(where.runs_folder).check)
            run = await asyncio.to_thread(folders.create, config, editing.draft.text, where)
            await asyncio.to_thread(actions.enqueue, run)
        except (CrdndError, OSError) as error:
            self._complain("Not queued", error, run)
        else:
            self.launched = editing.draft.text
            self.notify(f"{run.id} waits in the queue; 6 shows it", title="Queued", markup=False)
            await self.redraw()
        finally:
            self._busy = False

    def _complain(self, title: str, error: CrdndError | OSError, run: RunDir | None) -> None:
        text = reading(display(str(error)).splitlines())
        if run is not None:
            runs = shlex.quote(str(self.session.runs))
            text.append(f"\n\nTo see it again:\n  crdnd resume {run.id} --runs {runs}", self.palette.accent)
        self.app.push_screen(Sheet(title, text))

    @work(group="files")
    async def action_open(self) -> None:
        """Another preset, by its path or its shipped name."""
        await self.pick_preset()

    @on(PresetWanted)
    @work(group="files")
    async def _open(self, event: PresetWanted) -> None:
        """This preset, unless changes would be lost and are dear."""
        if not await self.may_lose("Open another preset"):
            await self.redraw()
            return
        try:
            path = presets.resolve(event.name)
            text = await asyncio.to_thread(toml.text_of, path)
        except (ConfigError, OSError, ValueError) as error:
            self.notify(display(str(error)), title="Not opened", severity="error", markup=False)
            await self.redraw()
            return
        await self.open_text(text, path)

    @work(group="files")
    async def action_write(self) -> None:
        """The preset as a file; a file that is there is replaced only when that is wanted."""
        editing = self.editing
        if editing is None:
            return
        name = await self.app.push_screen_wait(Ask("Write preset", str(_place(editing)), "path of the file"))
        if not name or not name.strip():
            return
        try:
            path = _named(name.strip())
        except (OSError, RuntimeError, ValueError) as error:  # `/`, nobody's home, letters without end
            self.notify(display(str(error)), title="Not written", severity="error", markup=False)
            return
        if os.path.lexists(path):
            answer = await self.app.push_screen_wait(Question("Replace the file?", [str(path)], [("r", "replace")]))
            if answer != "replace":
                return
        try:
            await asyncio.to_thread(editing.draft.save, path)
        except (OSError, DraftError, ValueError) as error:
            self.notify(display(str(error)), title="Not written", severity="error", markup=False)
            return
        self.notify(str(path), title="Written", markup=False)
        editing.read()
        await self.redraw()

    async def action_editor(self) -> None:
        """The text in an editor of the user's choice; it comes back checked."""
        editing, command = self.editing, _editor()
        if editing is None:
            return
        if not command:
            self.notify("$EDITOR is not set, and neither vi nor nano is here.", severity="error", markup=False)
            return
        with tempfile.TemporaryDirectory(prefix="crdnd-") as folder:
            file = Path(folder) / "preset.toml"
            file.write_text(editing.draft.text, encoding="utf-8")
            try:
                with self.app.suspend():
                    subprocess.run([*command, str(file)], check=True)
                text = decode_utf8(file.read_bytes())
            except SuspendNotSupported:
                self.notify("This terminal cannot be left for an editor.", severity="error", markup=False)
                return
            except (OSError, subprocess.CalledProcessError, ValueError) as error:
                self.notify(display(str(error)), title="Not edited", severity="error", markup=False)
                return
        editing.replace(text)
        await self.redraw()
        self.refresh(layout=True)


def _editor() -> list[str]:
    """The command of the user's editor; empty when there is none."""
    wanted = os.environ.get("VISUAL") or os.environ.get("EDITOR") or ""
    found = next((name for name in ("vi", "nano") if shutil.which(name)), "")
    try:
        command = shlex.split(wanted)
    except ValueError:  # a quote that is not closed
        command = wanted.split()
    return command or ([found] if found else [])


def _place(editing: Editing) -> Path:
    """Where a preset is written unless another place is named."""
    path = editing.draft.path
    if path is not None and path not in presets.shipped().values() and files.is_file(path):
        return path
    name = editing.reading.table.get("name")
    stem = "".join(c if c.isalnum() else "_" for c in str(name or "preset").lower())[:60] or "preset"
    return Path("presets") / f"{stem}.toml"


def _named(name: str) -> Path:
    """The file that is meant; ValueError, OSError or RuntimeError when no preset can be written there."""
    path = Path(name).expanduser()
    if not path.name:
        raise ValueError(f"{path} is a folder: name a file in it")
    path = path if path.suffix == ".toml" else path.with_name(path.name + ".toml")
    parts = path.resolve().parts
    if "site-packages" in parts or "_presets" in parts:
        raise ValueError(f"{path} belongs to the installed program; choose another place")
    return path
