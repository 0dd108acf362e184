"""The form of a preset: tabs of fields made from the types of engine.spec, a line to type in, help, undo."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from rich.text import Text
from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static, Tab, Tabs

from crdnd_tui.core import presets
from crdnd_tui.core.palette import named
from crdnd_tui.core.text import display, one_line
from crdnd_tui.tui.form import form, kinds
from crdnd_tui.tui.form.draft import DraftError, Key
from crdnd_tui.tui.form.editing import Editing
from crdnd_tui.tui.form.form import MACHINE, Entry
from crdnd_tui.tui.widgets.field_list import FieldList, Wish, chosen_value
from crdnd_tui.tui.widgets.sheets import Pick

LONGEST = 400  # characters of one value
HINTS = "enter edit   \u2190\u2192 choose   space switch   [ ] tabs   u undo"


class PresetForm(Vertical):
    """Edits the preset that `editing` holds; `Changed` tells that its text or its machine is another."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right_square_bracket", "tab(1)", "Next tab", show=False, key_display="]"),
        Binding("left_square_bracket", "tab(-1)", "Previous tab", show=False, key_display="["),
        Binding("u", "undo(-1)", "Undo", show=False),
        Binding("U", "undo(1)", "Redo", show=False),
        Binding("ctrl+r", "reset", "Default", show=False, tooltip="the field says nothing of its own any more"),
    ]

    class Changed(Message):
        """The preset, or the field under the cursor, is another."""

    def __init__(self, id: str) -> None:
        super().__init__(id=id, classes="panel")
        self.editing: Editing | None = None
        self._typed: Entry | None = None  # the field whose value is being typed
        self._typed_in: FieldList | None = None

    def compose(self) -> ComposeResult:
        self.border_title = "New run"
        yield Static(id="preset", markup=False)
        yield Tabs(*(Tab(Content(name), id=name.lower()) for name in form.TABS), id="tabs")
        with Horizontal(id="fields"):
            yield FieldList("here")
            yield FieldList("beside")
        with Horizontal(id="typing"):
            yield Static(id="typing-label", markup=False)
            yield Input(id="typing-value", compact=True, max_length=LONGEST, select_on_focus=True)
        yield Static(id="homeless", markup=False)
        yield Static(id="help", markup=False)

    def on_mount(self) -> None:
        """Nothing is typed yet; colours follow the theme."""
        self.query_one("#typing").display = False
        self.query_one("#homeless").display = False
        self.query_one(Tabs).can_focus = False  # its keys work everywhere in the form
        self.watch(self.app, "theme", self.refresh_form, init=False)

    def on_resize(self) -> None:
        """Rows are made for a width."""
        self.call_after_refresh(self.refresh_form)

    @property
    def tab(self) -> str:
        """The name of the tab in front."""
        active = self.query_one(Tabs).active
        return next((name for name in form.TABS if name.lower() == active), next(iter(form.TABS)))

    @property
    def fields(self) -> FieldList:
        """The list in use."""
        beside = self.query_one("#beside", FieldList)
        return beside if beside.has_focus or beside is self._typed_in else self.query_one("#here", FieldList)

    @property
    def entry(self) -> Entry | None:
        """The field under the cursor."""
        return self.fields.entry

    @property
    def is_typing(self) -> bool:
        """Whether a value is being typed."""
        return self._typed is not None

    def focus_fields(self) -> None:
        """Give the keys to the fields."""
        self.fields.focus()

    def open(self, text: str, path: Path | None, flags: dict[str, Any]) -> None:
        """Another preset; `flags` are those of the machine that the program was started with."""
        self.stop_typing(keep=False)
        if self.editing is None:
            self.editing = Editing(text, path)
            self.editing.flags = flags
        else:
            self.editing.open(text, path)
        self.refresh_form()

    def refresh_form(self) -> None:
        """Show the preset as it is now."""
        editing = self.editing
        if editing is None or not self.is_attached:
            return
        names = list(form.TABS)
        beside = names[(names.index(self.tab) + 1) % len(names)]
        with self.app.batch_update():
            for place, tab in (("#here", self.tab), ("#beside", beside)):
                fields = self.query_one(place, FieldList)
                fields.border_title = Content(tab)
                if fields.display:
                    entries = editing.tab(tab)
                    fields.show(entries, editing.told(entries), editing.opened)
            mistakes = editing.mistakes()
            for name in names:
                label, count = self.query_one(f"#{name.lower()}", Tab), mistakes.get(name)
                label.label = Content.from_text(f"{name} {count}\u2717" if count else name, markup=False)
                label.set_class(bool(count), "-wrong")
            homeless, lost = self.query_one("#homeless", Static), editing.homeless()[:4]
            homeless.update("\n".join(f"\u2717 {editing.short(problem)}" for problem in lost))
            homeless.display = bool(lost)
            self._show_preset(editing)
            self.show_help()
        self.post_message(self.Changed())

    def _show_preset(self, editing: Editing) -> None:
        palette, path = named(self.app.theme), editing.draft.path
        shipped = next((name for name, known in presets.shipped().items() if known == path), None)
        line = Text("preset  ", palette.muted, no_wrap=True, overflow="ellipsis")
        line.append(shipped or one_line(str(path) if path else "unsaved", 60), f"bold {palette.text}")
        first = editing.draft.first.partition("\n")[0]
        line.append("  " + one_line(first.lstrip("# "), 200) if first.startswith("#") else "", palette.muted)
        self.query_one("#preset", Static).update(line)
        self.border_subtitle = "changed, not written" if editing.draft.changed else ""

    def show_help(self) -> None:
        """Tell of the field under the cursor."""
        readonly = bool(getattr(getattr(self.app, "session", None), "readonly", False))
        text = help_text(self._typed or self.entry, self.app.theme, readonly=readonly)
        self.query_one("#help", Static).update(text, layout=False)

    @on(Tabs.TabActivated)
    def _tab_activated(self, event: Tabs.TabActivated) -> None:
        event.stop()
        self.stop_typing()
        self.refresh_form()

    @on(FieldList.Moved)
    def _moved(self, event: FieldList.Moved) -> None:
        event.stop()
        self.show_help()
        self.post_message(self.Changed())

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """The other list has another field under its cursor."""
        self.show_help()

    @on(FieldList.Asked)
    def _asked(self, event: FieldList.Asked) -> None:
        event.stop()
        self.stop_typing()
        if self.editing is None:
            return
        if event.entry.kind == "attack":
            self._change_attack(self.editing, event.entry, event.wish)
        else:
            self._change_field(event.entry, event.wish)

    def _change_attack(self, editing: Editing, entry: Entry, wish: Wish) -> None:
        match wish:
            case "edit" | "previous" | "next":
                self.change(editing.unfold if entry.value else editing.tick, entry)
            case "copy":
                made: list[Key] = []
                self.change(lambda: made.append(editing.copy(entry)))
                for key in made:
                    self.fields.reach(key)
            case "toggle" | "drop":
                if wish == "toggle" or entry.value:
                    self.change(editing.tick, entry)

    def _change_field(self, entry: Entry, wish: Wish) -> None:
        by = {"previous": -1, "next": 1}.get(wish, 0)
        match entry.kind:
            case "switch":
                on = by > 0 if by else chosen_value(entry) != "true"
                self.enter(entry, "true" if on else "false")
            case "choice" | "kind" | "source" if by:
                values = [option.value for option in entry.options]
                value = chosen_value(entry)
                place = values.index(value) + by if value in values else 0
                if 0 <= place < len(values):
                    self.enter(entry, values[place])
            case "choice" | "kind" | "source":
                self._pick(entry)
            case _ if wish == "edit":
                self._type(entry)

    def enter(self, entry: Entry, value: str) -> None:
        """This value for this field, when it is another."""
        if self.editing is not None and value != chosen_value(entry):
            self.change(self.editing.enter, entry, value)

    def change(self, edit: Callable[..., object], *arguments: object) -> None:
        """Make an edit, remember it for undo, and show what follows."""
        if self.editing is None:
            return
        try:
            edit(*arguments)
        except DraftError as error:
            self.notify(f"{error}; ctrl+e edits the text", severity="warning", markup=False)
        if not self.is_typing:
            self.editing.remember()
        self.refresh_form()

    @work
    async def _pick(self, entry: Entry) -> None:
        pick = Pick(entry.label.capitalize(), entry.options, chosen_value(entry), free=entry.free)
        value = await self.app.push_screen_wait(pick)
        if value is not None:
            self.enter(entry, value)

    def _type(self, entry: Entry) -> None:
        """Open the line in which a value is typed; each key is checked."""
        self._typed, self._typed_in = entry, self.fields
        label, line = self.query_one("#typing-label", Static), self.query_one("#typing-value", Input)
        label.update(one_line(entry.label, 30))
        with self.prevent(Input.Changed):
            line.value = kinds.shown(entry.value)
        line.placeholder = kinds.shown(entry.default)
        self.query_one("#typing").display = True
        line.focus()
        self.show_help()

    @on(Input.Changed, "#typing-value")
    def _typed_on(self, event: Input.Changed) -> None:
        event.stop()
        if self._typed is not None and self.editing is not None:
            self.change(self.editing.enter, self._typed, event.value)

    @on(Input.Submitted, "#typing-value")
    def _typed_whole(self, event: Input.Submitted) -> None:
        event.stop()
        self.stop_typing()

    def stop_typing(self, *, keep: bool = True) -> None:
        """Close the line; without `keep` the field is as it was before."""
        if self._typed is None or self.editing is None:
            return
        self._typed = None
        had_focus = self.query_one("#typing-value").has_focus
        self.query_one("#typing").display = False
        if had_focus:
            self.focus_fields()
        self._typed_in = None
        if keep:
            self.editing.remember()
        else:
            self.editing.restore(0)
        self.refresh_form()

    def action_tab(self, by: int) -> None:
        """The next or previous tab, round and round."""
        names = [name.lower() for name in form.TABS]
        tabs = self.query_one(Tabs)
        tabs.active = names[(names.index(tabs.active) + by) % len(names)]

    def action_undo(self, by: int) -> None:
        """One edit back, or forth again."""
        self.stop_typing()
        if self.editing is not None and not self.editing.restore(by):
            self.notify("nothing to undo" if by < 0 else "nothing to redo", timeout=2)
        self.refresh_form()

    def action_reset(self) -> None:
        """The field under the cursor says nothing of its own any more."""
        entry = self._typed or self.entry
        self.stop_typing(keep=False)
        if entry is not None and self.editing is not None:
            self.change(self.editing.reset, entry)


def help_text(entry: Entry | None, theme: str, *, readonly: bool) -> Text:
    """The field: its key, what it may be, what it is, and the keys that change it."""
    palette, text = named(theme), Text()
    if entry is None or entry.kind == "heading":
        launch = "" if readonly else "ctrl+s launches this run as it is   f6 queues it   "
        return text.append(f"{launch}f5 explains it\n", palette.text).append(HINTS, palette.muted)
    is_machine = entry.key[0] == MACHINE
    text.append(one_line(entry.dotted.removeprefix(f"{MACHINE}."), 60), f"bold {palette.text}")
    text.append("   of this machine, not of the preset" if is_machine else "", palette.muted)
    if entry.kind == "attack":
        text.append("   space in or out   enter settings   + once more", palette.muted)
    else:
        default = one_line(kinds.shown(entry.default, short=True), 40)
        known = [entry.allowed, f"default {default}" if default else "must be given" if entry.required else ""]
        text.append("".join(f"   {words}" for words in known if words), palette.muted)
    option = next((option for option in entry.options if option.value == chosen_value(entry)), None)
    for line in filter(None, [entry.help, option.note if option and option.note not in entry.help else ""]):
        text.append(f"\n{display(line)}", palette.text)
    return text.append(f"\n{HINTS}", palette.muted)
