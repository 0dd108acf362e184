"""Sheets in front of the New screen: a list to choose from, and a text to read."""

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static

from crdnd_tui.core.palette import named
from crdnd_tui.core.text import display, one_line
from crdnd_tui.tui.form.kinds import Option


class Pick(ModalScreen[str | None]):
    """Options with their remarks; typing narrows them. `free`: what was typed is an answer, too. None on Escape."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Back", show=False),
        Binding("down", "move('cursor_down')", "Down", show=False, priority=True),
        Binding("up", "move('cursor_up')", "Up", show=False, priority=True),
        Binding("pagedown", "move('page_down')", "Page down", show=False, priority=True),
        Binding("pageup", "move('page_up')", "Page up", show=False, priority=True),
    ]

    def __init__(
        self, title: str, options: Sequence[Option], value: str, *, free: bool = False, hint: str = ""
    ) -> None:
        super().__init__()
        self._hint = hint or ("type to narrow, or another value" if free else "type to narrow")
        self._title, self._options, self._value, self._free = title, list(options), value, free
        self._shown: list[Option] = []

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as box:
            box.border_title = Content(self._title)
            yield Input(placeholder=self._hint, compact=True)
            yield OptionList(compact=True, markup=False)
            yield Static(id="remark", markup=False)
            yield Static("\u2191\u2193 choose   enter take   esc back", classes="keys", markup=False)

    def on_mount(self) -> None:
        """All of them, the present one in front."""
        self._list("")
        values = [option.value for option in self._shown]
        if self._value in values:
            self.query_one(OptionList).highlighted = values.index(self._value)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Narrower."""
        if event.value or self._shown != self._options:
            self._list(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """The one under the cursor, or what was typed."""
        place = self.query_one(OptionList).highlighted
        if place is not None and self._shown:
            self.dismiss(self._shown[place].value)
        elif self._free and event.value.strip():
            self.dismiss(event.value.strip())

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """All that is known of the one under the cursor."""
        if event.option_index < len(self._shown):
            self.query_one("#remark", Static).update(display(self._shown[event.option_index].note))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Chosen with the mouse, or with Enter on the list."""
        self.dismiss(self._shown[event.option_index].value)

    def action_move(self, how: str) -> None:
        """The cursor of the list, while the filter has the keys."""
        getattr(self.query_one(OptionList), f"action_{how}")()

    def _list(self, words: str) -> None:
        wanted = words.lower().split()
        self._shown = [o for o in self._options if all(w in f"{o.title} {o.value} {o.note}".lower() for w in wanted)]
        palette, choices = named(self.app.theme), self.query_one(OptionList)
        names = [f"{o.title} ({o.value})" if o.value in o.aside.split(", ") else o.title for o in self._shown]
        width = max((len(name) for name in names), default=0)
        rows = []
        for option, name in zip(self._shown, names, strict=True):
            row = Text(no_wrap=True, overflow="ellipsis")
            row.append(one_line(name, 40).ljust(min(width, 40)), palette.text)
            row.append("  " + one_line(option.note, 200), palette.muted)
            rows.append(row)
        choices.clear_options()
        choices.add_options(rows)
        choices.highlighted = 0 if rows else None
        if not rows:
            words = "nothing like it; enter takes what you typed" if self._free else "nothing like it"
            self.query_one("#remark", Static).update(words)


class Sheet(ModalScreen[None]):
    """A text to read; Escape goes back."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,f5,enter", "dismiss(None)", "Back", show=False)]

    def __init__(self, title: str, text: Text, keys: str = "esc back") -> None:
        super().__init__()
        self._title, self._text, self._keys = title, text, keys

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as box:
            box.border_title = Content(self._title)
            with VerticalScroll(can_focus=True):
                yield Static(self._text, markup=False)
            yield Static(self._keys, classes="keys", markup=False)


def reading(lines: Sequence[str]) -> Text:
    """Lines as they are, safe to show."""
    return Text("\n".join(display(line) for line in lines))
