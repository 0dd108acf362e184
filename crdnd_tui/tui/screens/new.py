"""New run: a form made from the spec's types, the preset as TOML beside it, what it will cost below, and the launch."""

import asyncio
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import SuspendNotSupported
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from crdnd_tui.core import cost_summary, launch, presets, run_actions, runtime_estimate
from crdnd_tui.core.format import duration
from crdnd_tui.core.palette import Palette
from crdnd_tui.core.runtime_estimate import PastRun
from crdnd_tui.core.text import display, one_line, pad
from crdnd_tui.queue import actions
from crdnd_tui.queue.tickets import Queue
from crdnd_tui.tui.dialogs.question import Ask, Question
from crdnd_tui.tui.form import prospect
from crdnd_tui.tui.form.draft import DraftError
from crdnd_tui.tui.form.editing import Editing
from crdnd_tui.tui.form.form import Sources
from crdnd_tui.tui.form.kinds import Option
from crdnd_tui.tui.form.preset_text import key_of, line_of
from crdnd_tui.tui.form.prospect import Prospect
from crdnd_tui.tui.screen import LabScreen
from crdnd_tui.tui.widgets.preset_form import PresetForm
from crdnd_tui.tui.widgets.sheets import Pick, Sheet, reading
from crdnd_tui.tui.widgets.toml_view import TomlView
from engine.spec import estimate, files, folders, toml
from engine.spec.config import RunConfig
from engine.spec.errors import ConfigError, CrdndError
from engine.spec.rundir import RunDir
from engine.spec.toml_text import decode_utf8

PATIENCE = 0.15  # seconds without an edit before the runs folder is asked again
DEFAULT = "quickstart"
DEAR = 60.0  # seconds from which a launch is asked about
ESTIMATE_ROWS = 5  # as new.tcss has it: a panel that grew and shrank would shake the form


class NewScreen(LabScreen):
    """A preset in the making. Launching, queueing and writing are refused while only reading is allowed."""

    NAME = "New"
    SAYS = "A preset is made here, checked at every key, and launched or queued. Empty fields keep their default."
    CHANGES = frozenset({"launch", "enqueue", "write", "editor"})
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "launch", "Launch", priority=True),
        Binding("f6", "enqueue", "Queue", tooltip="start it when the runs before it are done"),
        Binding("f2", "write", "Write", tooltip="save the preset as a file"),
        Binding("f5", "dry_run", "Dry run", tooltip="the whole config with every default, and its cost"),
        Binding("f3", "toml", "TOML", tooltip="show or hide the preset's text"),
        Binding("ctrl+o,o", "open", "Open preset", show=False, tooltip="by path, or a shipped one by name"),
        Binding("ctrl+e", "editor", "Edit as text", show=False, tooltip="in $EDITOR", priority=True),
        Binding("escape", "back", "Leave the field, or back", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._options: list[Option] = []  # shipped presets
        self._pasts: Mapping[str, PastRun | None] = {}
        self._prospect: Prospect | None = None
        self._looked_at: RunConfig | None = None  # whose prospect was asked for last
        self._taken: object = None  # the draft of the app that was taken last
        self._launched = ""  # the text that a run folder keeps
        self._is_busy = False  # a launch is under way; a second key press makes no second run

    def body(self) -> Iterable[Widget]:
        """Form, preset, estimate."""
        yield Horizontal(PresetForm(id="form"), TomlView(id="toml"), id="desk")
        panel = Static(id="estimate", classes="panel", markup=False)
        panel.border_title = "Estimate"
        yield panel

    @property
    def form(self) -> PresetForm:
        """The form."""
        return self.query_one("#form", PresetForm)

    @property
    def editing(self) -> Editing | None:
        """The preset; None until the first one is read."""
        return self.form.editing

    def on_mount(self) -> None:
        """The fields have the keys; colours follow the theme."""
        self.watch(self.app, "theme", self._show_estimate, init=False)
        self.form.focus_fields()

    def on_resize(self) -> None:
        """The estimate is short where there is little room."""
        self.call_after_refresh(self._show_estimate)

    @work(exclusive=True, group="resume")
    async def on_screen_resume(self) -> None:
        """A preset that was handed over is taken; the runs folder may have changed."""
        draft: tuple[str, Path | None] | None = getattr(self.app, "draft", None)
        if draft is not None and draft is not self._taken:
            self._taken = draft
            self._take(*draft)
        elif self.editing is None:
            path = presets.shipped()[DEFAULT]
            self._open_text(await asyncio.to_thread(toml.text_of, path), path)
        runs, now = self.session.runs, self.session.now()
        self._options = self._options or await asyncio.to_thread(prospect.shipped_presets)
        saved = await asyncio.to_thread(prospect.saved_runs, runs, now=now)
        self._pasts = await asyncio.to_thread(runtime_estimate.past_runs, runs, self._pasts)
        if self.editing is not None:
            named = prospect.teachers(self._options, self.editing.draft.path)
            self.editing.sources = Sources(runs=saved, presets=named)
        self._looked_at = None
        self.form.refresh_form()

    @work(group="files")
    async def _take(self, text: str, path: Path | None) -> None:
        if await self._may_lose("Take the other preset"):
            self._open_text(text, path)

    async def _may_lose(self, what: str) -> bool:
        """Whether another preset may come: at once, unless changes are neither written nor in a run."""
        editing = self.editing
        if editing is None or not editing.draft.changed or editing.draft.text == self._launched:
            return True
        words = ["What you changed is written nowhere."]
        return await self.app.push_screen_wait(Question(what, words, [("d", "discard")])) == "discard"

    def _open_text(self, text: str, path: Path | None) -> None:
        self.form.open(text, path, dict(self.session.machine))
        if self.editing is not None and self._options:
            presets_here = prospect.teachers(self._options, path)
            self.editing.sources = Sources(runs=self.editing.sources.runs, presets=presets_here)

    @on(PresetForm.Changed)
    def _changed(self) -> None:
        editing = self.editing
        if editing is None or self.query_one_optional("#toml") is None:
            return
        draft, entry = editing.draft, self.form.entry
        lines = [line_of(draft.text, key_of(problem.key)) for problem in editing.reading.problems if problem.key]
        here = line_of(draft.text, entry.key) if entry and self.form.has_pseudo_class("focus-within") else None
        view = self.query_one("#toml", TomlView)
        view.show(draft.text, {line for line in lines if line}, here)
        view.border_subtitle = Content(one_line(draft.path.name if draft.path else "", 30))
        if editing.config is not self._looked_at or editing.config is None:
            self._looked_at, self._prospect = editing.config, None
            self._show_estimate()
            if editing.config is not None:
                self._ask_the_runs(editing, editing.config)

    @work(exclusive=True, group="look")
    async def _ask_the_runs(self, editing: Editing, config: RunConfig) -> None:
        """Time and equal runs, once the keys rest."""
        await asyncio.sleep(PATIENCE)
        found = await asyncio.to_thread(prospect.look, config, self.session.runs, editing.device, self._pasts)
        if editing.config is config:
            self._prospect = found
            self._show_estimate()

    def _show_estimate(self) -> None:
        panel, editing = self.query_one_optional("#estimate", Static), self.editing
        if editing is None or panel is None:  # what was read came back after the screen was closed
            return
        brief = self.has_class("-narrow") or not self.has_class("-tall")
        panel.update(estimate_text(editing, self._prospect, self.palette, brief=brief), layout=False)

    def action_back(self) -> None:
        """Out of the field first, then to the runs."""
        if self.form.is_typing:
            self.form.stop_typing(keep=False)
        else:
            self.lab.show("runs")

    def action_toml(self) -> None:
        """The text in place of the form where there is room for one; beside it elsewhere."""
        self.toggle_class("-toml" if self.has_class("-narrow") else "-plain")

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

    @work(group="launch")
    async def action_launch(self) -> None:
        """A run folder, an engine, and the Live screen."""
        await self._make_run("Launch", start=True)

    @work(group="launch")
    async def action_enqueue(self) -> None:
        """A run folder in the queue."""
        await self._make_run("Queue", start=False)

    async def _make_run(self, what: str, *, start: bool) -> None:
        """Check, ask where it is dear or done already, make the folder, and start or queue it."""
        editing = self.editing
        if editing is None or self._is_busy:
            return
        self.form.stop_typing()
        config, text, machine = editing.config, editing.draft.text, dict(editing.machine)  # edits go on meanwhile
        if config is None:
            self.notify(editing.short(editing.problems[0]), title=f"{what}: not yet", severity="error", markup=False)
            return
        self._is_busy = True
        run: RunDir | None = None
        try:
            found = await asyncio.to_thread(prospect.look, config, self.session.runs, editing.device, self._pasts)
            doubts = launch_doubts(found)
            if doubts and await self.app.push_screen_wait(Question(what, doubts, [("y", "yes")])) != "yes":
                return
            self._say_busy("starting\u2026" if start else "queueing\u2026")
            where = launch.machine(self.session.machine_with(machine))
            if not start:
                await asyncio.to_thread(Queue(where.runs_folder).check)
            run = await asyncio.to_thread(folders.create, config, text, where)
            await asyncio.to_thread(run_actions.start if start else actions.enqueue, run)
        except (CrdndError, OSError) as error:
            self._complain("It did not start" if start else "Not queued", error, run)
            return
        finally:
            self._is_busy = False
            self._say_busy("")
        self._launched = text
        if not start:
            self.notify(f"{run.id} waits in the queue; 6 shows it", title="Queued", markup=False)
            self._looked_at = None
            self.form.refresh_form()
            return
        if words := launch.invitation(run, where):
            self.notify(words, title="Several nodes", markup=False, timeout=60)
        self.lab.open_run(run.id)

    def _say_busy(self, words: str) -> None:
        for panel in self.query("#estimate"):  # none, when the screen was closed in the meantime
            panel.border_subtitle = Content(words)

    def _complain(self, title: str, error: CrdndError | OSError, run: RunDir | None) -> None:
        text = reading(display(str(error)).splitlines())
        if run is not None:
            runs = shlex.quote(str(self.session.runs))
            text.append(f"\n\nTo see it again:\n  crdnd resume {run.id} --runs {runs}", self.palette.accent)
        self.app.push_screen(Sheet(title, text))

    @work(group="files")
    async def action_open(self) -> None:
        """Another preset, by its path or its shipped name; changes that are written nowhere are asked about."""
        self._options = self._options or await asyncio.to_thread(prospect.shipped_presets)
        hint = "type to narrow, or the path of a preset"
        name = await self.app.push_screen_wait(Pick("Open preset", self._options, "", free=True, hint=hint))
        if name is None or not await self._may_lose("Open another preset"):
            return
        try:
            path = presets.resolve(name)
            text = await asyncio.to_thread(toml.text_of, path)
        except (ConfigError, OSError, ValueError) as error:
            self.notify(display(str(error)), title="Not opened", severity="error", markup=False)
            return
        self._open_text(text, path)

    @work(group="files")
    async def action_write(self) -> None:
        """The preset as a file; a file that is there is replaced only when that is wanted."""
        editing = self.editing
        if editing is None:
            return
        self.form.stop_typing()
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
            await asyncio.to_thread(editing.save, path)
        except (OSError, DraftError, ValueError) as error:
            self.notify(display(str(error)), title="Not written", severity="error", markup=False)
            return
        self.notify(str(path), title="Written", markup=False)
        self.form.refresh_form()

    async def action_editor(self) -> None:
        """The text in an editor of the user's choice; it comes back checked."""
        editing, command = self.editing, _editor()
        if editing is None:
            return
        self.form.stop_typing()
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
        self.form.change(editing.replace, text)
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


def launch_doubts(found: Prospect) -> list[str]:
    """Why a launch is asked about: it costs more than a minute, or nobody knows, or an equal run is there."""
    words = []
    seconds = found.time.seconds if found.time else None
    if found.time is None:
        words.append("No past run tells how long it will take.")
    elif seconds is not None and seconds > DEAR:
        words.append(f"It takes about {duration(seconds)}, as past runs tell.")
    if found.trains_teacher:
        words.append("Its teacher is trained first.")
    if found.equal:
        words.append(f"An equal run is there: {found.equal[0]}.")
    return words


def estimate_text(editing: Editing, found: Prospect | None, palette: Palette, *, brief: bool) -> Text:
    """The cost, or the mistakes that are in the way. `brief`: on one line."""
    text = Text()
    if editing.config is None:
        count = len(editing.problems)
        told = [editing.short(problem) for problem in editing.problems[: 1 if brief else ESTIMATE_ROWS - 1]]
        text.append(f"\u2717 {count} mistake{'s' if count > 1 else ''}", palette.bad)
        text.append(f": {told[0]}" if brief else " before this can be launched", palette.bad)
        for line in [] if brief else told:
            text.append(f"\n  {line}", palette.muted)
    elif brief:
        text.append(prospect.brief(editing.config, found), palette.text)
    else:
        for what, value, more in prospect.rows(editing.config, found):
            text.append(f"{pad(what, 11)}", palette.muted)
            bold = "bold " if what == "time" else ""
            text.append(display(value), palette.warn if what == "equal run" and ", " in value else bold + palette.text)
            text.append(f"  {display(more)}\n", palette.muted)
        text.rstrip()
    return text
