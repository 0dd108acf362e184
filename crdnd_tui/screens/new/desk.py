"""The working half of the New screen: rows, preset and estimate follow every edit. Its keys stand elsewhere."""

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.text import Text
from textual import on, work
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widget import Widget
from textual.widgets import ContentSwitcher, Static

from crdnd_tui import presets
from crdnd_tui.screen import LabScreen
from crdnd_tui.setup import forecast, form, prospect
from crdnd_tui.setup.draft import DraftError
from crdnd_tui.setup.editing import Editing
from crdnd_tui.setup.forecast import Past
from crdnd_tui.setup.form import Entry, Sources
from crdnd_tui.setup.kinds import Option
from crdnd_tui.setup.prospect import Prospect
from crdnd_tui.text import display, one_line, pad
from crdnd_tui.widgets.control import Choice, Edited, ListWanted, Tick
from crdnd_tui.widgets.form_pane import FormPane
from crdnd_tui.widgets.sheets import Pick
from crdnd_tui.widgets.tabs import TabLine
from crdnd_tui.widgets.toml_view import TomlView
from engine.spec.preset_text import line_of

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
        self._pasts: Mapping[str, Past | None] = {}
        self._prospect: Prospect | None = None
        self._entry: Entry | None = None  # in focus
        self._estimate_rows, self._drawing = -1, asyncio.Lock()
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
            await self.open_text(*draft)
        elif self.editing is None:
            path = presets.shipped()[DEFAULT]
            await self.open_text(await asyncio.to_thread(path.read_text, "utf-8"), path)
        runs, now = self.session.runs, self.session.now()
        self._options = self._options or await asyncio.to_thread(_shipped_options)
        self._runs = await asyncio.to_thread(prospect.saved_runs, runs, now=now)
        self._pasts = await asyncio.to_thread(forecast.past_runs, runs, self._pasts)
        await self.redraw()

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
        tab, panes = self.query_one(TabLine).front, self.query_one("#panes", ContentSwitcher)
        found = next((pane for pane in panes.query(FormPane) if pane.tab == tab), None)
        if found is None:
            found = FormPane(tab)
            await panes.mount(found)
        panes.current = found.id
        return found

    async def redraw(self) -> None:
        """All that follows from the text; one at a time, for rows come and go meanwhile."""
        async with self._drawing:
            await self._redraw()

    async def _redraw(self) -> None:
        editing = self.editing
        if editing is None or not self.query("#estimate"):  # closed, or not drawn yet
            return
        editing.sources = Sources(runs=self._runs, presets=self._teachers(editing))
        tabs, pane = self.query_one(TabLine), await self.front()
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
    async def _ticked(self, event: Tick.Ticked) -> None:
        field = (await self.front()).field_of(event.tick)
        if field is not None and self.editing is not None:
            await self.change(self.editing.tick, field.entry)

    @on(Tick.Unfolded)
    async def _unfolded(self, event: Tick.Unfolded) -> None:
        field = (await self.front()).field_of(event.tick)
        if field is not None and self.editing is not None:
            await self.change(self.editing.unfold, field.entry)

    @on(ListWanted)
    @work
    async def _list_wanted(self, event: ListWanted) -> None:
        if event.choice.id == "preset":
            value = await self.app.push_screen_wait(Pick("Presets", self._options, event.choice.value))
            if value is not None:
                self.post_message(PresetWanted(value))
            return
        field = (await self.front()).field_of(event.choice)
        if field is None or self.editing is None:
            return
        entry = field.entry
        pick = Pick(entry.label.capitalize(), entry.options, event.choice.value, free=entry.free)
        value = await self.app.push_screen_wait(pick)
        if value is not None and value != event.choice.value:
            await self.change(self.editing.enter, entry, value)

    @on(FormPane.Entered)
    def _entered(self, event: FormPane.Entered) -> None:
        self._entry = event.entry
        self._say_help()
        if self.editing is not None:
            self._say_preset(self.editing)

    @on(TabLine.Chosen)
    async def _tab_chosen(self, event: TabLine.Chosen) -> None:
        tabs = self.query_one(TabLine)
        tabs.front, self._entry = event.name, None
        await self.redraw()

    async def change(self, edit: Any, *arguments: Any) -> None:  # noqa: ANN401  any edit of Editing
        """An edit, and what follows from it."""
        try:
            edit(*arguments)
        except DraftError as error:
            self.notify(f"{error}; ctrl+e edits the text", severity="warning", markup=False)
        await self.redraw()

    def _teachers(self, editing: Editing) -> list[Option]:
        """Shipped presets as the draft would name them."""
        folder = (editing.draft.path or Path("preset")).resolve().parent
        shipped, found = presets.shipped(), []
        for option in self._options:
            path = shipped[option.value]
            value = path.name if path.parent == folder else str(path)
            found.append(Option(value=value, title=option.title, note=option.note))
        return found

    def _say_preset(self, editing: Editing) -> None:
        draft, chooser = editing.draft, self.query_one("#preset", Choice)
        shipped = next((name for name, path in presets.shipped().items() if path == draft.path), None)
        name = shipped or (str(draft.path) if draft.path else "unsaved")
        mine = [] if shipped else [Option(value=name, title=one_line(name, 60))]
        chooser.show([*mine, *self._options], name, muted=False)
        panel = self.query_one("#form")
        panel.border_subtitle = "changed, not written" if draft.changed else ""
        lines = [line_of(draft.text, _path(problem.key)) for problem in editing.reading.problems if problem.key]
        here = line_of(draft.text, self._entry.key) if self._entry else None
        view = self.query_one(TomlView)
        view.show(draft.text, {line for line in lines if line}, here)
        view.border_subtitle = escape(one_line(draft.path.name if draft.path else "", 30))

    def _say_help(self) -> None:
        palette, text, entry = self.palette, Text(), self._entry
        if entry is None:
            text.append("\u2191\u2193 fields   ", palette.muted)
            text.append("[ ] tabs   enter choices   ctrl+r default   ? all keys", palette.muted)
        else:
            text.append(one_line(entry.dotted, 60), f"bold {palette.text}")
            text.append(f"   {entry.allowed}\n" if entry.allowed else "\n", palette.muted)
            text.append(display(entry.help), palette.text)
        self.query_one("#help", Static).update(text, layout=False)

    def _say_estimate(self) -> None:
        panel, editing = next(iter(self.query("#estimate").results(Static)), None), self.editing
        if editing is None or panel is None:  # what was read came back after the screen was closed
            return
        palette, text = self.palette, Text()
        if editing.config is None:
            count = len(editing.problems)
            text.append(f"\u2717 {count} mistake{'s' if count > 1 else ''} before this can be launched", palette.bad)
            for problem in editing.problems[: 1 if self.has_class("-narrow") else 3]:
                text.append(f"\n  {editing.short(problem)}", palette.muted)
        elif self.has_class("-narrow") or self.has_class("-flat"):
            text.append(prospect.brief(editing.config, self._prospect), palette.text)
        else:
            for what, value, more in prospect.rows(editing.config, self._prospect):
                text.append(f"{pad(what, 11)}", palette.muted)
                text.append(value, f"bold {palette.text}" if what == "time" else palette.text)
                text.append(f"  {more}\n", palette.muted)
            for equal in self._prospect.equal if self._prospect else ():
                text.append(f"{pad('equal run', 11)}", palette.muted)
                text.append(f"{display(equal)}\n", palette.warn)
            text.rstrip()
        rows = text.plain.count("\n")
        panel.update(text, layout=rows != self._estimate_rows)
        self._estimate_rows = rows


def _path(dotted: str) -> tuple[str | int, ...]:
    return tuple(int(part) if part.isdecimal() else part for part in dotted.split("."))


def _shipped_options() -> list[Option]:
    """Presets that came with the program, quickstarts first, with what their first line says."""
    found = []
    for name, path in sorted(presets.shipped().items(), key=lambda item: (not item[0].startswith("quick"), item[0])):
        first = path.read_text("utf-8").partition("\n")[0].lstrip("# ")
        found.append(Option(value=name, title=name, note=one_line(first)))
    return found
