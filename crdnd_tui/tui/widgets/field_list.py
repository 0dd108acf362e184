"""Rows of a form as a list: what a field is called, its value, what holds by itself, and what is wrong with it."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from crdnd_tui.core.palette import Palette, named
from crdnd_tui.core.text import one_line
from crdnd_tui.tui.form import kinds
from crdnd_tui.tui.form.draft import Key
from crdnd_tui.tui.form.form import NONE, Entry

LABEL, VALUE = 30, 24  # cells; half of a narrow row is its label
Wish = Literal["edit", "toggle", "previous", "next", "copy", "drop"]


class FieldList(OptionList):
    """The fields of one tab. Keys ask for changes; whoever holds the preset makes them and shows the rows anew."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "cursor_down", "Down", show=False),
        Binding("k", "cursor_up", "Up", show=False),
        Binding("left,h", "ask('previous')", "Previous choice", show=False),
        Binding("right,l", "ask('next')", "Next choice", show=False),
        Binding("space", "ask('toggle')", "Switch", show=False, tooltip="a switch, or an attack in or out"),
        Binding("plus", "ask('copy')", "Once more", show=False, key_display="+", tooltip="the attack, with a label"),
        Binding("minus", "ask('drop')", "Take out", show=False, key_display="-", tooltip="the attack"),
    ]

    class Asked(Message):
        """A change of this field is wanted."""

        def __init__(self, entry: Entry, wish: Wish) -> None:
            super().__init__()
            self.entry, self.wish = entry, wish

    class Moved(Message):
        """Another field is under the cursor."""

    def __init__(self, id: str) -> None:
        super().__init__(id=id, compact=True, markup=False)
        self.entries: list[Entry] = []
        self._said: tuple[object, ...] = ()

    @property
    def entry(self) -> Entry | None:
        """The field under the cursor."""
        place = self.highlighted
        return self.entries[place] if place is not None and place < len(self.entries) else None

    def show(self, entries: Sequence[Entry], messages: Mapping[Key, str], opened: frozenset[Key]) -> None:
        """These fields; the cursor stays on its key, or on the same attack at another place."""
        width, palette = self.scrollable_content_region.width, named(self.app.theme)
        said = (list(entries), dict(messages), opened, width, palette.name)
        if said == self._said:
            return
        self._said, before = said, self.entry
        self.entries = list(entries)
        rows = [
            Option(
                field_row(entry, messages.get(entry.key, ""), width, palette, is_open=entry.key in opened, first=not n),
                id=entry.dotted,
                disabled=entry.kind == "heading",
            )
            for n, entry in enumerate(entries)
        ]
        if [option.id for option in self.options] == [row.id for row in rows]:
            for place, row in enumerate(rows):
                if self.options[place].prompt != row.prompt:
                    self.replace_option_prompt_at_index(place, row.prompt)
            return
        offset = self.scroll_offset
        with self.app.batch_update():
            self.set_options(rows)
            self.scroll_to(y=offset.y, animate=False)
        self.reach(before.key if before else (), before)

    def reach(self, key: Key, like: Entry | None = None) -> None:
        """Put the cursor on this key, else on the same attack, else on the first field."""
        places = {entry.key: place for place, entry in enumerate(self.entries) if entry.kind != "heading"}
        same = (
            place for at, place in places.items()
            if like is not None and like.kind == "attack" and self.entries[place].kind == "attack"
            and at[:-1] == like.key[:-1] and self.entries[place].options == like.options
        )  # fmt: skip
        exact = None if like is not None and like.kind == "attack" else places.get(key)
        self.highlighted = next(
            (p for p in (exact, next(same, None), places.get(key)) if p is not None), min(places.values(), default=None)
        )

    def watch_highlighted(self, highlighted: int | None) -> None:
        """Tell that another field is meant."""
        super().watch_highlighted(highlighted)
        self.post_message(self.Moved())

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter or a click."""
        event.stop()
        self.action_ask("edit")

    def action_ask(self, wish: Wish) -> None:
        """Of the field under the cursor."""
        if self.entry is not None:
            self.post_message(self.Asked(self.entry, wish))


def chosen_value(entry: Entry) -> str:
    """The preset's own word, else the default, as it is typed."""
    value = entry.value if entry.value is not None else entry.default
    return NONE if value is None else kinds.shown(value)


def field_row(entry: Entry, message: str, width: int, palette: Palette, *, is_open: bool, first: bool) -> Text:
    """One row: a sign, the label, the value, and the default where another value holds; the message below it."""
    if entry.kind == "heading":
        return Text("" if first else "\n").append(entry.label, f"bold {palette.text}")
    row = Text(no_wrap=True, overflow="ellipsis")
    own = entry.value is not None
    if entry.kind == "attack":
        row.append("\u2713 " if entry.value else "\u25cb ", palette.accent if entry.value else palette.faint)
        row.append(entry.label.ljust(15), palette.text if entry.value else palette.muted)
        row.append((" \u25be " if is_open else " \u25b8 ") if entry.value else "   ", palette.faint)
        row.append(one_line(entry.note, 200), palette.muted)
    else:
        label = LABEL if width >= LABEL + VALUE - 2 else width // 2
        indent = "  " * min(entry.depth, 2)
        row.append(
            indent + ("\u2717 " if message else "\u2022 " if own else "  "), palette.bad if message else palette.accent
        )
        row.append(
            one_line(entry.label, label - len(indent) - 3).ljust(label - len(indent) - 2),
            palette.text if own else palette.muted,
        )
        _append_value(row, entry, width - label, palette)
    if message:
        for line in textwrap.wrap(message, max(16, width - 5))[:3]:
            row.append("\n    " + line, palette.bad)
    return row


def _append_value(row: Text, entry: Entry, room: int, palette: Palette) -> None:
    own, look = entry.value is not None, palette.text if entry.value is not None else palette.muted
    value = chosen_value(entry)
    match entry.kind:
        case "switch":
            row.append("\u25cf on" if value == "true" else "\u25cb off", look)
        case "choice" | "kind" | "source":
            option = next((option for option in entry.options if option.value == value), None)
            title = one_line(option.title if option else value or "choose", max(4, room - 4))
            row.append("\u2039 ", palette.faint).append(title, look).append(" \u203a", palette.faint)
            if option is not None and option.aside and room - len(title) > 18:
                row.append("  " + one_line(option.aside, max(4, room - len(title) - 7)), palette.muted)
        case _:
            row.append(
                "  " + one_line(value or ("must be given" if entry.required else "\u2013"), max(4, room - 3)), look
            )
    if own and entry.default is not None and entry.kind not in ("kind", "source"):
        default = f"default {one_line(kinds.shown(entry.default, short=True) or 'empty', 24)}"
        gap = LABEL + VALUE + 2 - row.cell_len
        if gap >= 1 and room - VALUE - 2 > len(default):
            row.append(" " * gap + default, palette.muted)
