"""The rows of one tab. They are made when the tab is first shown, and made anew when other rows are wanted."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.message import Message
from textual.widget import Widget

from crdnd_tui.tui.form.form import Entry, Key
from crdnd_tui.tui.widgets.field import Field


class FormPane(VerticalScroll, can_focus=True, inherit_bindings=False):
    """One tab of the form."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "screen.field(1)", "Into the fields", show=False),
        Binding("pageup", "page_up", "Page up", show=False),
        Binding("pagedown", "page_down", "Page down", show=False),
    ]

    class Entered(Message):
        """Another row has the focus."""

        def __init__(self, entry: Entry) -> None:
            super().__init__()
            self.entry = entry

    def __init__(self, tab: str) -> None:
        super().__init__(id=f"tab-{tab.lower()}")
        self.tab = tab
        self._entries: list[Entry] = []
        self._last: Key = ()

    async def show(self, entries: Sequence[Entry], messages: Mapping[Key, str], opened: frozenset[Key]) -> None:
        """These rows. Those that are there already, at either end, only change what they say."""
        old, new = [entry.shape for entry in self._entries], [entry.shape for entry in entries]
        head = next((k for k, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
        rest = min(len(old), len(new)) - head
        tail = next((k for k in range(rest) if old[-1 - k] != new[-1 - k]), rest)
        fields, current = self.fields, self.current
        kept = current is None or current not in fields[head : len(fields) - tail]
        fresh = [
            Field(entry, messages.get(entry.key, ""), opened=entry.key in opened)
            for entry in entries[head : len(entries) - tail]
        ]
        self._entries = list(entries)
        with self.app.batch_update():
            if not kept:
                self.focus(scroll_visible=False)  # what has it is about to go
            await self.remove_children(fields[head : len(fields) - tail])
            if fresh:
                await self.mount(*fresh, before=fields[len(fields) - tail] if tail else None)
            for field, entry in zip(self.fields, entries, strict=True):
                field.show(entry, messages.get(entry.key, ""), opened=entry.key in opened)
        if current is not None and not kept:
            self._focus_again(current.entry)

    @property
    def fields(self) -> list[Field]:
        """All rows."""
        return [child for child in self.children if isinstance(child, Field)]

    @property
    def current(self) -> Field | None:
        """The row in focus."""
        focused = self.screen.focused
        return next((field for field in self.fields if field.control is not None and field.control is focused), None)

    def go(self, by: int) -> bool:
        """Focus so many rows further; from outside, where it was last. False above the first."""
        reachable = [field for field in self.fields if field.control is not None]
        if not reachable:
            return True
        current = self.current
        if current is None:
            near = next((field for field in reachable if field.entry.key == self._last), None)
            target = near or reachable[0 if by > 0 else -1]
        elif by < 0 and current is reachable[0]:
            return False
        else:
            target = reachable[min(max(reachable.index(current) + by, 0), len(reachable) - 1)]
        if target.control is not None:
            target.control.focus()
        return True

    def reach(self, key: Key) -> None:
        """Focus the row of this key."""
        field = next((field for field in self.fields if field.entry.key == key), None)
        if field is not None and field.control is not None:
            field.control.focus()

    def field_of(self, control: Widget) -> Field | None:
        """The row around a control."""
        return next((field for field in self.fields if field.control is control), None)

    def on_descendant_focus(self) -> None:
        """Its help is wanted."""
        field = self.current
        if field is not None:
            self._last = field.entry.key
            self.post_message(self.Entered(field.entry))

    def _focus_again(self, entry: Entry) -> None:
        """The row that stands for the same thing; the key of an attack is its place in the suite, which may change."""
        same = [field for field in self.fields if field.entry.key == entry.key]
        if entry.kind == "attack":
            like = (f for f in self.fields if f.entry.kind == "attack" and f.entry.options == entry.options)
            same = [field for field in like if field.entry.key[:-1] == entry.key[:-1]]
        if same and same[0].control is not None:
            same[0].control.focus()
