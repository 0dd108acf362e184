"""Several of many, in front of a screen."""

from collections.abc import Collection, Mapping
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import SelectionList, Static
from textual.widgets.selection_list import Selection


class Choose(ModalScreen[frozenset[str] | None]):
    """Answers with the chosen keys; None on Escape."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Back", show=False),
        Binding("enter", "take", "Take these", show=False, priority=True),
    ]

    def __init__(self, title: str, options: Mapping[str, str], chosen: Collection[str]) -> None:
        super().__init__()
        self._title, self._options, self._chosen = title, options, chosen

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as box:
            box.border_title = Content(self._title)
            yield SelectionList[str](
                *(Selection(Content(words), key, key in self._chosen) for key, words in self._options.items()),
                compact=True,
            )
            yield Static("space on and off   enter take   esc back", classes="keys", markup=False)

    def action_take(self) -> None:
        """What is ticked now."""
        self.dismiss(frozenset(self.query_one(SelectionList).selected))

    def action_leave(self) -> None:
        """As it was."""
        self.dismiss(None)
