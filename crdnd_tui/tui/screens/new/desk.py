"""The working half of the New screen: rows, preset and estimate follow every edit. Its keys stand elsewhere."""

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from textual import on, work
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import ContentSwitcher, Static

from crdnd_tui.core import presets, runtime_estimate
from crdnd_tui.core.runtime_estimate import PastRun
from crdnd_tui.core.text import one_line
from crdnd_tui.tui.dialogs.question import Question
from crdnd_tui.tui.form import form, prospect
from crdnd_tui.tui.form.draft import DraftError
from crdnd_tui.tui.form.editing import Editing
from crdnd_tui.tui.form.form import Entry, Key, Sources
from crdnd_tui.tui.form.kinds import Option
from crdnd_tui.tui.form.preset_text import key_of, line_of
from crdnd_tui.tui.form.prospect import Prospect
from crdnd_tui.tui.screen import LabScreen
from crdnd_tui.tui.screens.new.panels import estimate_text, help_text
from crdnd_tui.tui.widgets.control import Choice, Edited, ListWanted, Tick
from crdnd_tui.tui.widgets.field import Field
from crdnd_tui.tui.widgets.form_pane import FormPane
from crdnd_tui.tui.widgets.sheets import Pick
from crdnd_tui.tui.widgets.tabs import TabLine
from crdnd_tui.tui.widgets.toml_view import TomlView
from engine.spec import toml

PATIENCE = 0.15  # seconds without a key before the runs folder is asked again
DEFAULT = "quickstart"


class PresetWanted(Message):
    """This preset is to be on the desk."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


class Desk(LabScreen):
    """A preset in the making. `editing` is None until the first one is read."""

    editing: Editing | None = None

    def __init__(self) -> None:
        super().__init__()
        self._options: list[Option] = []  # shipped presets
        self._runs: list[Option] = []
        self._pasts: Mapping[str, PastRun | None] = {}
        self._prospect: Prospect | None = None
        self._entry: Entry | None = None  # in focus
        self._said: dict[str, str] = {}  # below panels
        self._drawing = asyncio.Lock()
        self.launched = ""  # the text that a run folder keeps
        self._taken: object = None  # the draft of the app that was taken last

    def body(self) -> Iterable[Widget]:
        """Form, preset, estimate."""
        panel = Vertical(
            Horizontal(Static("preset", markup=False), Choice([], "", id="preset"), id="preset-line"),
            TabLine(list(form.TABS), id="tabs"),
            ContentSwitcher(id="panes"),
            Static(id="homeless", markup=False),
            Static(id="help", markup=False),
            id="form",
        )
        panel.border_title = "New run"
        yield Horizontal(panel, TomlView(id="toml"), id="desk")
        estimate = Static(id="estimate", classes="panel", markup=False)
        estimate.border_title = "Estimate"
        yield estimate

    def on_mount(self) -> None:
        """Colours follow the theme."""
        self.watch(self.app, "theme", self._recolour, init=False)
        self.watch(self, "focused", self._frame, init=False)

    def _frame(self, focused: Widget | None) -> None:
        """The accent on the form's border. A :focus-within rule would style every row anew at each step."""
        around = focused.ancestors if focused else ()
        self.query_one("#form").set_class(any(node.id == "form" for node in around), "-inside")
        if self._entry is not None and not any(isinstance(node, Field) for node in around):
            self._entry = None
            self._say_help()

    def _recolour(self) -> None:
        self._say_help()
        self._say_estimate()

    def on_resize(self) -> None:
        """The estimate is short where there is little room."""
        self.call_after_refresh(self._say_estimate)

    @work(exclusive=True, group="resume")
    async def on_screen_resume(self) -> None:
        """A preset that was handed over is taken; the runs folder may have changed."""
        draft: tuple[str, Path | None] | None = getattr(self.app, "draft", None)
        if draft is not None and draft is not self._taken:
            self._taken = draft
            self._take(*draft)
        elif self.editing is None:
            path = presets.shipped()[DEFAULT]
            await self.open_text(await asyncio.to_thread(toml.text_of, path), path)
        runs, now = self.session.runs, self.session.now()
        self._options = self._options or await asyncio.to_thread(prospect.shipped_presets)
        self._runs = await asyncio.to_thread(prospect.saved_runs, runs, now=now)
        self._pasts = await asyncio.to_thread(runtime_estimate.past_runs, runs, self._pasts)
        await self.redraw()

    @work(group="files")
    async def _take(self, text: str, path: Path | None) -> None:
        if await self.may_lose("Take the other preset"):
            await self.open_text(text, path)

    async def may_lose(self, what: str) -> bool:
        """Whether another preset may come: at once, unless changes are neither written nor in a run."""
        editing = self.editing
        if editing is None or not editing.draft.changed or editing.draft.text == self.launched:
            return True
        words = ["What you changed is written nowhere."]
        return await self.app.push_screen_wait(Question(what, words, [("d", "discard")])) == "discard"

    async def open_text(self, text: str, path: Path | None) -> None:
        """Another preset on the desk."""
        if self.editing is None:
            self.editing = Editing(text, path)
            self.editing.flags = self.session.machine
        else:
            self.editing.open(text, path)
        await self.redraw()

    async def front(self) -> FormPane:
        """The pane of the tab in front, made when it is shown first."""
        tab, panes = self.query_one("#tabs", TabLine).front, self.query_one("#panes", ContentSwitcher)
        found = next((pane for pane in panes.children if isinstance(pane, FormPane) and pane.tab == tab), None)
        if found is None:
            found = FormPane(tab)
            await panes.mount(found)
        panes.current = found.id
        return found

    async def redraw(self) -> None:
        """All that follows from the text; one at a time, for rows come and go meanwhile."""
        async with self._drawing:
            with self.app.batch_update():
                await self._redraw()

    async def _redraw(self) -> None:
        editing = self.editing
        if editing is None or self.query_one_optional("#estimate") is None:  # closed, or not drawn yet
            return
        editing.sources = Sources(runs=self._runs, presets=prospect.teachers(self._options, editing.draft.path))
        tabs, pane = self.query_one("#tabs", TabLine), await self.front()
        entries = editing.tab(pane.tab)
        await pane.show(entries, editing.told(entries), editing.opened)
        if self._entry is not None:
            self._entry = next((entry for entry in entries if entry.key == self._entry.key), None)
        tabs.show(pane.tab, editing.mistakes())
        homeless, lost = self.query_one("#homeless", Static), editing.homeless()[:4]
        if lost or homeless.display:
            homeless.update("\n".join(f"\u2717 {editing.short(problem)}" for problem in lost))
            homeless.display = bool(lost)
        self._say_preset(editing)
        self._say_help()
        self._prospect = None
        self._say_estimate()
        if editing.config is not None:
            self.ask_the_runs()

    @work(exclusive=True, group="look")
    async def ask_the_runs(self) -> None:
        """Time and equal runs, once the keys rest."""
        await asyncio.sleep(PATIENCE)
        editing = self.editing
        if editing is None or (config := editing.config) is None:
            return
        found = await asyncio.to_thread(prospect.look, config, self.session.runs, editing.device, self._pasts)
        if editing.config is config:
            self._prospect = found
            self._say_estimate()

    @on(Edited)
    async def _edited(self, event: Edited) -> None:
        event.stop()
        if event.sender.id == "preset":
            self.post_message(PresetWanted(event.value))
            return
        pane = await self.front()
        field, editing = pane.field_of(event.sender), self.editing
        if field is not None and editing is not None:
            await self.change(editing.enter, field.entry, event.value)

    @on(Tick.Ticked)
    @on(Tick.Unfolded)
    async def _ticked(self, event: Tick.Ticked | Tick.Unfolded) -> None:
        field, editing = (await self.front()).field_of(event.tick), self.editing
        if field is not None and editing is not None:
            await self.change(editing.tick if isinstance(event, Tick.Ticked) else editing.unfold, field.entry)

    @on(Tick.Copied)
    async def _copied(self, event: Tick.Copied) -> None:
        pane = await self.front()
        field, editing = pane.field_of(event.tick), self.editing
        if field is None or editing is None:
            return
        made: list[Key] = []
        await self.change(lambda entry: made.append(editing.copy(entry)), field.entry)
        for key in made:
            pane.reach(key)

    @on(ListWanted)
    @work
    async def _list_wanted(self, event: ListWanted) -> None:
        if event.choice.id == "preset":
            await self.pick_preset()
            return
        field = (await self.front()).field_of(event.choice)
        if field is None or self.editing is None:
            return
        entry = field.entry
        pick = Pick(entry.label.capitalize(), entry.options, event.choice.value, free=entry.free)
        value = await self.app.push_screen_wait(pick)
        if value is not None and value != event.choice.value:
            await self.change(self.editing.enter, entry, value)

    async def pick_preset(self) -> None:
        """One of those that were shipped, or any by its path."""
        self._options = self._options or await asyncio.to_thread(prospect.shipped_presets)
        chosen = self.query_one("#preset", Choice).value
        value = await self.app.push_screen_wait(
            Pick("Open preset", self._options, chosen, free=True, hint="type to narrow, or the path of a preset")
        )
        if value is not None:
            self.post_message(PresetWanted(value))

    @on(FormPane.Entered)
    def _entered(self, event: FormPane.Entered) -> None:
        self._entry = event.entry
        self._say_help()
        if self.editing is not None:
            self._say_preset(self.editing)

    @on(TabLine.Chosen)
    async def _tab_chosen(self, event: TabLine.Chosen) -> None:
        tabs = self.query_one("#tabs", TabLine)
        tabs.front, self._entry = event.name, None
        await self.redraw()

    async def change(self, edit: Any, *arguments: Any) -> None:  # noqa: ANN401  any edit of Editing
        """An edit, and what follows from it."""
        try:
            edit(*arguments)
        except DraftError as error:
            self.notify(f"{error}; ctrl+e edits the text", severity="warning", markup=False)
        await self.redraw()

    def _say_preset(self, editing: Editing) -> None:
        draft, chooser = editing.draft, self.query_one("#preset", Choice)
        shipped = next((name for name, path in presets.shipped().items() if path == draft.path), None)
        name = shipped or (str(draft.path) if draft.path else "unsaved")
        mine = [] if shipped else [Option(value=name, title=one_line(name, 60))]
        chooser.show([*mine, *self._options], name, muted=False)
        self._entitle("#form", "changed, not written" if draft.changed else "")
        lines = [line_of(draft.text, key_of(problem.key)) for problem in editing.reading.problems if problem.key]
        here = line_of(draft.text, self._entry.key) if self._entry else None
        view = self.query_one("#toml", TomlView)
        view.show(draft.text, {line for line in lines if line}, here)
        self._entitle("#toml", one_line(draft.path.name if draft.path else "", 30))

    def _entitle(self, panel: str, words: str) -> None:
        """Below a panel; the same words would draw all of it anew."""
        widget = self.query_one(panel)
        if self._said.get(panel) != words:
            self._said[panel] = words
            widget.border_subtitle = Content(words)

    def _say_help(self) -> None:
        text = help_text(self._entry, self.palette, readonly=self.session.readonly)
        self.query_one("#help", Static).update(text, layout=False)

    def _say_estimate(self) -> None:
        panel, editing = self.query_one_optional("#estimate", Static), self.editing
        if editing is None or panel is None:  # what was read came back after the screen was closed
            return
        brief = self.has_class("-narrow") or not self.has_class("-tall")
        panel.update(estimate_text(editing, self._prospect, self.palette, brief=brief), layout=False)
