"""A list to choose one thing from."""

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option


class Pick(ModalScreen[str]):
    """Answers with the chosen word, or an empty one on Escape. `choices` are (word, what is shown) pairs."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Back", show=False),
        Binding("j", "move('down')", "Down", show=False),
        Binding("k", "move('up')", "Up", show=False),
    ]

    def __init__(self, title: str, choices: Sequence[tuple[str, Text]], chosen: str = "") -> None:
        super().__init__()
        self._title, self._choices, self._chosen = title, list(choices), chosen

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as box:
            box.border_title = Content(self._title)
            yield OptionList(*(Option(text) for _, text in self._choices), compact=True, markup=False)
            yield Static("enter choose   esc back", classes="keys", markup=False)

    def on_mount(self) -> None:
        """The cursor begins on what is chosen now."""
        words = [word for word, _ in self._choices]
        self.query_one(OptionList).highlighted = words.index(self._chosen) if self._chosen in words else 0

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter or a click."""
        self.dismiss(self._choices[event.option_index][0])

    def action_move(self, way: str) -> None:
        """The same as the arrows."""
        options = self.query_one(OptionList)
        if way == "down":
            options.action_cursor_down()
        else:
            options.action_cursor_up()

    def action_leave(self) -> None:
        """Nothing was chosen."""
        self.dismiss("")
